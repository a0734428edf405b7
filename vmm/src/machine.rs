//! Builds a machine from its parts and runs it to its end.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use kvm_ioctls::{Cap, IoEventAddress, Kvm, NoDatamatch, VmFd};
use rustix::fs::OFlags;
use vmm_sys_util::eventfd::EventFd;

use crate::confine::{Confinement, Role};
use crate::control::{Exit, Limited, RateLimit};
use crate::devices::MsiMessage;
use crate::devices::bus::Bus;
use crate::devices::pci::PciBus;
use crate::devices::pci::msix::Sink;
use crate::devices::serial::Serial;
use crate::devices::virtio::VirtioDevice;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::entropy::Entropy;
use crate::devices::virtio::net::{self, Net};
use crate::devices::virtio::throttle::SharedLimit;
use crate::devices::virtio::transport::VirtioFunction;
use crate::end::End;
use crate::memory::GuestMemory;
use crate::report::report;
use crate::server::{Server, Signals};
use crate::vcpu::Shared;
use crate::{Error, arch, memory, status, vcpu};

/// What this monitor needs of KVM.
const CAPABILITIES: [(Cap, &str); 7] = [
    (Cap::UserMemory, "user memory"),
    (Cap::SplitIrqchip, "split interrupt controller"),
    (Cap::Irqfd, "interrupts by event descriptor"),
    (Cap::Ioeventfd, "notifications by event descriptor"),
    (Cap::SignalMsi, "message-signalled interrupts"),
    (Cap::ExtCpuid, "processor features"),
    (Cap::TscDeadlineTimer, "TSC deadline timer"),
];
const KVM_API_VERSION: i32 = 12;

/// The parts of a machine: opened files and numbers.
#[derive(Debug)]
pub struct Parts {
    /// Number of virtual processors.
    pub vcpus: u8,
    /// Guest memory.
    pub memory_mib: u32,
    /// Kernel command line.
    pub cmdline: String,
    /// The kernel.
    pub kernel: File,
    /// The disks, in order.
    pub disks: Vec<DiskPart>,
    /// The network cards, in order.
    pub cards: Vec<CardPart>,
    /// The listening control socket, if the machine is to be controlled.
    pub control: Option<OwnedFd>,
    /// Copy the console to standard output.
    pub echo_console: bool,
}

/// One disk.
#[derive(Debug)]
pub struct DiskPart {
    /// The image.
    pub file: File,
    /// The guest may not write.
    pub read_only: bool,
    /// Serial number.
    pub serial: String,
    /// How fast it may be used.
    pub limit: RateLimit,
}

/// One network card.
#[derive(Debug)]
pub struct CardPart {
    /// The tap.
    pub tap: File,
    /// Hardware address.
    pub mac: [u8; 6],
    /// How fast it may receive.
    pub receive_limit: RateLimit,
    /// How fast it may send.
    pub send_limit: RateLimit,
}

/// Runs a machine to its end, which is in the status page when this returns. Threads of the machine
/// may still run: the caller ends the process.
pub fn run(parts: Parts, status: Arc<status::Writer>) -> Exit {
    let (exit, reason) = match build_and_run(parts, &status) {
        Ok(end) => end,
        Err(error) => (error.exit(), describe(&error)),
    };
    status.set_stopped(exit, &reason);
    report(&reason);
    exit
}

/// An error with all its causes.
#[must_use]
pub fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn check_control(control: &OwnedFd) -> Result<(), Error> {
    let listening = rustix::net::sockopt::socket_acceptconn(control).unwrap_or(false);
    if !listening {
        return Err(Error::Config("the control descriptor is not a listening socket".into()));
    }
    // So that a connection that is gone when we come to it does not stop the main thread.
    rustix::fs::fcntl_setfl(control, OFlags::NONBLOCK)
        .map_err(Error::io("make the control socket non-blocking"))
}

fn build_and_run(parts: Parts, status: &Arc<status::Writer>) -> Result<(Exit, String), Error> {
    let started = Instant::now();
    // Before the first thread, so that all of them leave signals to the server.
    let signals = Signals::block()?;
    let Parts { vcpus, memory_mib, cmdline, mut kernel, disks, cards, control, echo_console } =
        parts;
    control.as_ref().map_or(Ok(()), check_control)?;
    let kvm = open_kvm()?;
    // Everything is open: from here on, threads and files are this machine's.
    let confinement = Confinement::of_process()?;
    let vm = Arc::new(create_vm(&kvm)?);
    let memory = memory::allocate(u64::from(memory_mib) << 20)?;
    memory::register(&vm, &memory)?;
    let entry = arch::load(&memory, &mut kernel, &cmdline, vcpus)?;
    drop(kernel);

    let interrupts = arch::Interrupts::new(vm.clone())?;
    let mut pci = PciBus::default();
    let limits = Limits::new(&disks, &cards);
    for (index, device) in devices(disks, cards, &limits, &confinement)?.into_iter().enumerate() {
        let function = virtio_function(device, index, &vm, &memory, &interrupts, status)?;
        pci.add(Box::new(function));
    }
    let serial = Serial::new(status.clone(), echo_console);
    let bus = Bus::new(pci, serial, interrupts);
    let shared = Arc::new(Shared { bus, limits, status: status.clone(), end: End::new()? });

    let mut processors = Vec::new();
    for id in 0..vcpus {
        let vcpu = vm.create_vcpu(u64::from(id)).map_err(Error::kvm("create a vCPU"))?;
        arch::set_up_vcpu(&kvm, &vcpu, id, vcpus, entry)?;
        processors.push((id, vcpu));
    }
    let start = Arc::new(Barrier::new(processors.len() + 1));
    for (id, processor) in processors {
        vcpu::spawn(id, processor, shared.clone(), confinement.clone(), start.clone())?;
    }
    confinement.of_thread(Role::Main)?;
    status.set_running();
    // No guest instruction before every thread is confined.
    start.wait();
    Server { shared, control, signals, vcpus, memory_mib, started }.run()
}

/// The limits of all devices, to be changed while they run.
pub(crate) struct Limits {
    disks: Vec<SharedLimit>,
    cards: Vec<net::Limits>,
}

impl Limits {
    fn new(disks: &[DiskPart], cards: &[CardPart]) -> Limits {
        let card = |card: &CardPart| net::Limits {
            receive: SharedLimit::new(card.receive_limit),
            send: SharedLimit::new(card.send_limit),
        };
        Limits {
            disks: disks.iter().map(|disk| SharedLimit::new(disk.limit)).collect(),
            cards: cards.iter().map(card).collect(),
        }
    }

    /// The limit of one device, if there is such a device.
    pub(crate) fn get(&self, limited: Limited) -> Option<&SharedLimit> {
        match limited {
            Limited::Disk(index) => self.disks.get(usize::from(index)),
            Limited::Receive(index) => {
                self.cards.get(usize::from(index)).map(|limits| &limits.receive)
            }
            Limited::Send(index) => self.cards.get(usize::from(index)).map(|limits| &limits.send),
        }
    }
}

/// All virtio devices, in the order of their slots.
fn devices(
    disks: Vec<DiskPart>,
    cards: Vec<CardPart>,
    limits: &Limits,
    confinement: &Confinement,
) -> Result<Vec<Box<dyn VirtioDevice>>, Error> {
    let mut devices: Vec<Box<dyn VirtioDevice>> = Vec::new();
    for (index, (disk, limit)) in disks.into_iter().zip(&limits.disks).enumerate() {
        let DiskPart { file, read_only, serial, .. } = disk;
        let name = format!("disk{index}");
        let limit = limit.clone();
        let block = Block::new(name, file, read_only, &serial, limit, confinement)?;
        devices.push(Box::new(block));
    }
    for (index, (card, limits)) in cards.into_iter().zip(&limits.cards).enumerate() {
        let name = format!("net{index}");
        let net = Net::new(name, card.tap, card.mac, limits.clone(), confinement)?;
        devices.push(Box::new(net));
    }
    devices.push(Box::new(Entropy::new(confinement)?));
    Ok(devices)
}

fn open_kvm() -> Result<Kvm, Error> {
    let kvm = Kvm::new().map_err(|error| Error::NoKvm(format!("/dev/kvm: {error}")))?;
    if kvm.get_api_version() != KVM_API_VERSION {
        return Err(Error::NoKvm(format!("API version {}", kvm.get_api_version())));
    }
    match CAPABILITIES.iter().find(|(capability, _)| !kvm.check_extension(*capability)) {
        Some((_, name)) => Err(Error::NoKvm(format!("it lacks {name}"))),
        None => Ok(kvm),
    }
}

fn create_vm(kvm: &Kvm) -> Result<VmFd, Error> {
    // Creating a VM waits for kernel threads, and a signal then interrupts it.
    let vm = loop {
        match kvm.create_vm() {
            Err(error) if error.errno() == libc::EINTR => {}
            Err(error) => return Err(Error::NoKvm(format!("it cannot create a VM: {error}"))),
            Ok(vm) => break vm,
        }
    };
    arch::set_up_vm(&vm)?;
    Ok(vm)
}

/// Puts a device on the bus and ties its notifications and interrupts to the kernel.
fn virtio_function(
    device: Box<dyn VirtioDevice>,
    index: usize,
    vm: &VmFd,
    memory: &GuestMemory,
    interrupts: &arch::Interrupts,
    status: &Arc<status::Writer>,
) -> Result<VirtioFunction, Error> {
    let vectors = (0..VirtioFunction::vector_count(&*device))
        .map(|_| interrupts.allocate())
        .collect::<Result<Vec<_>, _>>()?;
    let sink = Box::new(KvmSink { interrupts: interrupts.clone(), vectors });
    let bar_address = PciBus::bar_address(index);
    let function = VirtioFunction::new(device, bar_address, memory.clone(), sink, status.clone())?;
    for (address, event) in function.notifications(bar_address) {
        vm.register_ioevent(event, &IoEventAddress::Mmio(address), NoDatamatch)
            .map_err(Error::kvm("tie a notification register to an event descriptor"))?;
    }
    Ok(function)
}

/// Vectors of one function, as interrupt numbers of KVM with their event descriptors.
struct KvmSink {
    interrupts: arch::Interrupts,
    vectors: Vec<(u32, EventFd)>,
}

impl Sink for KvmSink {
    fn route(&self, vector: u16, message: MsiMessage) {
        let (gsi, _) = self.vectors[usize::from(vector)];
        if let Err(error) = self.interrupts.route(gsi, message) {
            report(describe(&error));
        }
    }

    fn fire(&self, vector: u16) {
        // It can only fail when the counter is full, and then the interrupt is on its way anyway.
        let _ = self.vectors[usize::from(vector)].1.write(1);
    }
}
