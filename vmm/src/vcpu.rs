//! Virtual processors: one thread each, which runs the guest and carries out what it asks of
//! devices.

use std::sync::{Arc, Barrier};

use kvm_ioctls::{VcpuExit, VcpuFd};

use crate::Error;
use crate::confine::{Confinement, Role};
use crate::control::Exit;
use crate::devices::bus::Bus;
use crate::devices::power::Action;
use crate::end::End;
use crate::machine::{Limits, describe};
use crate::status::{self, Counter};

/// What all vCPUs share.
pub(crate) struct Shared {
    pub(crate) bus: Bus,
    pub(crate) limits: Limits,
    pub(crate) status: Arc<status::Writer>,
    pub(crate) end: End,
}

/// Starts the thread of one vCPU; it waits, confined, for all the others.
pub(crate) fn spawn(
    id: u8,
    mut vcpu: VcpuFd,
    shared: Arc<Shared>,
    confinement: Confinement,
    start: Arc<Barrier>,
) -> Result<(), Error> {
    std::thread::Builder::new()
        .name(format!("vcpu{id}"))
        .spawn(move || {
            let confined = confinement.of_thread(Role::Vcpu);
            start.wait();
            let (exit, reason) = match confined {
                Ok(()) => run(&mut vcpu, &shared),
                Err(error) => (Exit::Internal, describe(&error)),
            };
            shared.end.reach(exit, format!("vcpu{id}: {reason}"));
        })
        .map(drop)
        .map_err(Error::io("start a vCPU's thread"))
}

/// Runs the guest until something ends the machine.
fn run(vcpu: &mut VcpuFd, shared: &Shared) -> (Exit, String) {
    loop {
        let result = vcpu.run();
        match result {
            Ok(exit) => {
                if let Some(end) = handle(exit, shared) {
                    return end;
                }
            }
            // A signal arrived, or the processor waits for the guest's first command.
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {}
            Err(error) => return (Exit::Internal, format!("KVM cannot run it: {error}")),
        }
    }
}

fn handle(exit: VcpuExit<'_>, shared: &Shared) -> Option<(Exit, String)> {
    let Shared { bus, status, .. } = shared;
    match exit {
        VcpuExit::IoOut(port, data) => {
            status.count(Counter::ExitPortWrite, 1);
            return bus.write_port(port, data).map(|action| match action {
                Action::PowerOff => (Exit::PoweredOff, "the guest switched its power off".into()),
                Action::Reset => (Exit::Reset, "the guest asked for a reset".into()),
            });
        }
        VcpuExit::IoIn(port, data) => {
            status.count(Counter::ExitPortRead, 1);
            bus.read_port(port, data);
        }
        VcpuExit::MmioRead(address, data) => {
            status.count(Counter::ExitMmioRead, 1);
            bus.read_memory(address, data);
        }
        VcpuExit::MmioWrite(address, data) => {
            status.count(Counter::ExitMmioWrite, 1);
            bus.write_memory(address, data);
        }
        VcpuExit::Shutdown => {
            return Some((Exit::Crashed, "triple fault: the guest's kernel is broken".into()));
        }
        VcpuExit::FailEntry(reason, cpu) => {
            let reason = format!("the processor refuses to run it: {reason:#x} on CPU {cpu}");
            return Some((Exit::Internal, reason));
        }
        VcpuExit::Intr | VcpuExit::IrqWindowOpen | VcpuExit::Hlt => {
            status.count(Counter::ExitOther, 1);
        }
        VcpuExit::InternalError => {
            let reason = "the guest runs an instruction that KVM cannot emulate".into();
            return Some((Exit::Crashed, reason));
        }
        other => {
            return Some((Exit::Internal, format!("unexpected exit of KVM: {other:?}")));
        }
    }
    None
}
