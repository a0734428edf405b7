//! What the monitor takes from itself before the guest's first instruction.
//!
//! The process: every capability, the way to more privileges, and with landlock every file system
//! and network access. Each thread: every system call that is not in its table ([`table`]). Whoever
//! breaks out of the guest finds descriptors of one machine's disks and taps, and no call that could
//! open anything else.
//!
//! A call outside the table ends the process: it is reported, and the exit code is
//! [`Exit::Internal`].

#![allow(unsafe_code)]

mod table;

use std::io;
use std::sync::Arc;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::Error;
use crate::control::Exit;

pub(crate) use table::Role;

/// The newest landlock this code knows; older kernels do what they can.
const LANDLOCK: ABI = ABI::V6;

/// The filters of all threads, compiled.
#[derive(Clone)]
pub(crate) struct Confinement(Option<Arc<Filters>>);

struct Filters {
    /// Answers `clone3` with "no such call", so that C libraries fall back to `clone`.
    fallback: BpfProgram,
    /// One for each role.
    roles: Vec<(Role, BpfProgram)>,
}

impl Confinement {
    /// Compiles the filters and confines the process. To be called by the main thread before it
    /// starts any other, and after everything is opened.
    pub(crate) fn of_process() -> Result<Confinement, Error> {
        let filters = Filters {
            fallback: table::fallback().map_err(filter_error)?,
            roles: Role::ALL
                .into_iter()
                .map(|role| Ok((role, table::filter(role).map_err(filter_error)?)))
                .collect::<Result<_, Error>>()?,
        };
        report_violations()?;
        rustix::thread::set_no_new_privs(true).map_err(Error::io("give up new privileges"))?;
        give_up_files_and_networks()?;
        give_up_capabilities()?;
        Ok(Confinement(Some(Arc::new(filters))))
    }

    /// No confinement, for tests of devices.
    #[cfg(test)]
    pub(crate) fn none() -> Confinement {
        Confinement(None)
    }

    /// Takes from the calling thread every system call that its role does not need.
    pub(crate) fn of_thread(&self, role: Role) -> Result<(), Error> {
        let Some(filters) = &self.0 else {
            return Ok(());
        };
        let own = filters.roles.iter().find(|(of, _)| *of == role);
        for program in [Some(&filters.fallback), own.map(|(_, program)| program)] {
            let program = program.ok_or(Error::Confinement("a thread has no filter".into()))?;
            seccompiler::apply_filter(program).map_err(filter_error)?;
        }
        Ok(())
    }
}

fn filter_error(error: impl std::fmt::Display) -> Error {
    Error::Confinement(format!("system call filter: {error}"))
}

/// Nothing may be opened, made, renamed or executed any more, no port bound or connected to, no
/// process outside signalled.
fn give_up_files_and_networks() -> Result<(), Error> {
    let refuse = |error: landlock::RulesetError| Error::Confinement(format!("landlock: {error}"));
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(LANDLOCK)))
        .and_then(|rules| rules.scope(Scope::from_all(LANDLOCK)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.restrict_self())
        .map(drop)
        .map_err(refuse)
}

fn give_up_capabilities() -> Result<(), Error> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(Error::io("give up capabilities"))
}

/// A refused call sends `SIGSYS` to its thread.
fn report_violations() -> Result<(), Error> {
    // SAFETY: the structure is plain data, all zero is a valid start.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_violation as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler is a function for the life of the process, and makes only calls that a
    // signal handler may make.
    let result = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if result < 0 {
        return Err(Error::io("handle refused system calls")(io::Error::last_os_error()));
    }
    Ok(())
}

/// Where `siginfo_t` has the number of a refused call (`si_syscall`, which libc does not name).
const SYSCALL_OFFSET: usize = 24;

extern "C" fn on_violation(
    _signal: libc::c_int,
    info: *const libc::siginfo_t,
    _context: *const libc::c_void,
) {
    // SAFETY: the kernel passes a whole `siginfo_t`, whose fields for SIGSYS are set.
    let number = unsafe { info.cast::<u8>().add(SYSCALL_OFFSET).cast::<u32>().read_unaligned() };
    let mut text = *b"aleph-vmm: refused itself system call 0000000000\n";
    let mut rest = number;
    for digit in text[38..48].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // SAFETY: the buffer is ours; both calls are in every table and allowed in signal handlers.
    unsafe {
        libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len());
        libc::_exit(Exit::Internal.code());
    }
}

/// Compiles a table; what is not in it ends the process.
fn compile(rules: table::Rules) -> Result<BpfProgram, seccompiler::BackendError> {
    SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::Trap,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Set in a copy of this test's process, which is the one to be confined.
    const MARK: &str = "ALEPH_TEST_CONFINED";

    /// Runs this very test again in a process of its own, as `role`, and does `action` there.
    /// Returns exit code and standard error.
    fn confined(test: &str, role: Role, action: impl FnOnce()) -> Option<(i32, String)> {
        if std::env::var(MARK).is_ok() {
            Confinement::of_process().unwrap().of_thread(role).unwrap();
            action();
            // SAFETY: ends the process, nothing of the test harness is to run in it any more.
            unsafe { libc::_exit(0) };
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(MARK, "1")
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Some((output.status.code().unwrap_or(-1), stderr))
    }

    macro_rules! refused {
        ($name:ident, $role:expr, $call:expr) => {
            #[test]
            fn $name() {
                let test = concat!("confine::tests::", stringify!($name));
                // SAFETY: a call that the filter refuses before the kernel looks at it.
                #[allow(unused_unsafe)]
                let outcome = confined(test, $role, || unsafe {
                    let _ = $call;
                });
                let (code, stderr) = outcome.unwrap();
                assert_eq!(code, Exit::Internal.code(), "{stderr}");
                assert!(stderr.contains("refused itself system call"), "{stderr}");
            }
        };
    }

    refused!(a_vcpu_opens_nothing, Role::Vcpu, std::fs::File::open("/dev/null"));
    refused!(a_device_opens_nothing, Role::Device, std::fs::File::open("/dev/null"));
    refused!(the_main_thread_opens_nothing, Role::Main, std::fs::File::open("/dev/null"));
    refused!(a_vcpu_moves_no_blocks, Role::Vcpu, libc::preadv(0, std::ptr::null(), 0, 0));
    refused!(a_device_commands_no_kvm, Role::Device, libc::ioctl(0, 0xae80));
    refused!(a_vcpu_sets_no_other_ioctl, Role::Vcpu, libc::ioctl(0, 0x5401));
    refused!(nobody_makes_sockets, Role::Main, libc::socket(libc::AF_INET, 1, 0));
    refused!(
        nobody_runs_programs,
        Role::Device,
        libc::execve(c"/bin/true".as_ptr(), std::ptr::null(), std::ptr::null())
    );
    refused!(
        nobody_makes_code,
        Role::Vcpu,
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0
        )
    );

    #[test]
    fn allowed_calls_go_on() {
        let test = "confine::tests::allowed_calls_go_on";
        for role in Role::ALL {
            let outcome = confined(test, role, || {
                let memory = vec![1u8; 1 << 20];
                assert_eq!(memory.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 1 << 20);
                std::thread::sleep(std::time::Duration::from_millis(1));
                eprintln!("still here");
            });
            let (code, stderr) = outcome.unwrap();
            assert_eq!(code, 0, "{role:?}: {stderr}");
            assert!(stderr.contains("still here"));
        }
    }

    #[test]
    fn the_process_keeps_no_capability_and_no_file_system() {
        let test = "confine::tests::the_process_keeps_no_capability_and_no_file_system";
        if std::env::var(MARK).is_ok() {
            let _confinement = Confinement::of_process().unwrap();
            let sets = rustix::thread::capabilities(None).unwrap();
            assert_eq!(sets.effective | sets.permitted, CapabilitySet::empty());
            let opened = std::fs::File::open("/etc/hostname");
            let refused = opened.is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
            // SAFETY: ends the copy of the process.
            unsafe { libc::_exit(if refused { 0 } else { 3 }) };
        }
        // SAFETY: asks for the version; changes nothing.
        let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
        if version < 1 {
            println!("skipped: this kernel has no landlock");
            return;
        }
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(MARK, "1")
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(0));
    }
}
