//! The system calls of each thread, once it is confined.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// What a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Answers the control socket.
    Main,
    /// Runs a virtual processor and carries out what the guest asks of registers.
    Vcpu,
    /// Serves a device's queues.
    Device,
}

impl Role {
    /// All roles.
    pub(crate) const ALL: [Role; 3] = [Role::Main, Role::Vcpu, Role::Device];
}

/// Rules as the compiler wants them.
pub(super) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// A call that is allowed, and when.
#[derive(Clone, Copy)]
enum Allow {
    /// With any arguments.
    Any(libc::c_long),
    /// If an argument has none of these bits.
    Without(libc::c_long, u8, u64),
    /// If an argument is this.
    Equal(libc::c_long, u8, u64),
}

use Allow::{Any, Equal, Without};

/// What Rust and the C library need in any thread: memory, locks, time, standard error, the end.
const COMMON: &[Allow] = &[
    Any(libc::SYS_brk),
    Without(libc::SYS_mmap, 2, libc::PROT_EXEC as u64),
    Without(libc::SYS_mprotect, 2, libc::PROT_EXEC as u64),
    Any(libc::SYS_mremap),
    Any(libc::SYS_munmap),
    Any(libc::SYS_madvise),
    Any(libc::SYS_futex),
    Any(libc::SYS_sched_yield),
    // The kernel answers most of these without a call; not where the clock is emulated.
    Any(libc::SYS_clock_gettime),
    Any(libc::SYS_clock_nanosleep),
    Any(libc::SYS_nanosleep),
    Any(libc::SYS_restart_syscall),
    // Event descriptors, and standard error.
    Any(libc::SYS_read),
    Any(libc::SYS_write),
    Any(libc::SYS_writev),
    Any(libc::SYS_close),
    // Rust asks whether a descriptor is open before it closes it, where its own checks are compiled
    // in.
    Equal(libc::SYS_fcntl, 1, libc::F_GETFD as u64),
    // The end of a thread, and of the process.
    Any(libc::SYS_sigaltstack),
    Any(libc::SYS_rt_sigprocmask),
    Any(libc::SYS_rt_sigreturn),
    Any(libc::SYS_gettid),
    Any(libc::SYS_getpid),
    Any(libc::SYS_tgkill),
    Any(libc::SYS_exit),
    Any(libc::SYS_exit_group),
    // Refused by the filter before this one, with an error in place of the end.
    Any(libc::SYS_clone3),
];

/// `KVM_RUN`.
const KVM_RUN: u64 = 0xae80;
/// `KVM_SET_GSI_ROUTING`, when a guest changes where a device's interrupt goes.
const KVM_SET_GSI_ROUTING: u64 = 0x4008_ae6a;
/// `KVM_SIGNAL_MSI`, for the interrupts of the console and the power button.
const KVM_SIGNAL_MSI: u64 = 0x4020_aea5;
/// `TUNSETOFFLOAD`, once a network driver has said what it can do.
const TUNSETOFFLOAD: u64 = 0x4004_54d0;

const MAIN: &[Allow] = &[
    Any(libc::SYS_poll),
    Any(libc::SYS_ppoll),
    Any(libc::SYS_accept4),
    Any(libc::SYS_recvfrom),
    Any(libc::SYS_sendto),
    Equal(libc::SYS_ioctl, 1, KVM_SIGNAL_MSI),
];

const VCPU: &[Allow] = &[
    Equal(libc::SYS_ioctl, 1, KVM_RUN),
    Equal(libc::SYS_ioctl, 1, KVM_SET_GSI_ROUTING),
    Equal(libc::SYS_ioctl, 1, KVM_SIGNAL_MSI),
];

const DEVICE: &[Allow] = &[
    Any(libc::SYS_epoll_create1),
    Any(libc::SYS_epoll_ctl),
    Any(libc::SYS_epoll_wait),
    Any(libc::SYS_epoll_pwait),
    Any(libc::SYS_preadv),
    Any(libc::SYS_pwritev),
    Any(libc::SYS_readv),
    Any(libc::SYS_fdatasync),
    Any(libc::SYS_getrandom),
    Any(libc::SYS_timerfd_settime),
    Equal(libc::SYS_ioctl, 1, TUNSETOFFLOAD),
];

/// The filter of a role.
pub(super) fn filter(role: Role) -> Result<BpfProgram, BackendError> {
    let own = match role {
        Role::Main => MAIN,
        Role::Vcpu => VCPU,
        Role::Device => DEVICE,
    };
    super::compile(rules(COMMON.iter().chain(own))?)
}

/// A filter that allows everything but `clone3`, whose flags no filter can see.
pub(super) fn fallback() -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

fn rules<'a>(allowed: impl Iterator<Item = &'a Allow>) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    for allow in allowed {
        match *allow {
            Any(number) => {
                // No conditions: any arguments.
                rules.insert(number, Vec::new());
            }
            Without(number, argument, bits) => {
                let none = condition(argument, SeccompCmpOp::MaskedEq(bits), 0)?;
                rules.entry(number).or_default().push(SeccompRule::new(vec![none])?);
            }
            Equal(number, argument, value) => {
                let equal = condition(argument, SeccompCmpOp::Eq, value)?;
                rules.entry(number).or_default().push(SeccompRule::new(vec![equal])?);
            }
        }
    }
    Ok(rules)
}

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    // The upper half of each of these arguments is ignored by the kernel.
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}
