//! virtio 1.2 devices over PCI.
//!
//! `transport` is the function on the bus, [`common_config`] the state machine between driver
//! and device, [`chain`] what is read from a queue. A device implements `VirtioDevice` and serves
//! its queues in threads of its own between `activate` and `reset`.

pub(crate) mod block;
pub mod chain;
pub mod common_config;
pub(crate) mod entropy;
pub(crate) mod net;
#[cfg(test)]
mod tests;
pub(crate) mod throttle;
pub(crate) mod transport;
mod worker;

pub use block::request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use virtio_queue::Queue;
use vmm_sys_util::eventfd::EventFd;

use self::common_config::Vectors;
use crate::Error;
use crate::devices::pci::msix::Msix;
use crate::memory::GuestMemory;
use crate::report::report;
use crate::status::{self, Counter};

/// The device speaks virtio 1.0 or later; every driver must accept it.
pub const FEATURE_VERSION_1: u64 = 1 << 32;
/// Descriptors may point to tables of descriptors.
pub const FEATURE_INDIRECT_DESCRIPTORS: u64 = 1 << 28;
/// Both sides say from which event on they want to be told.
pub const FEATURE_EVENT_INDEX: u64 = 1 << 29;

/// A device behind the transport.
pub(crate) trait VirtioDevice: Send {
    /// Device type of the virtio specification.
    fn device_type(&self) -> u16;
    /// Class code of the PCI function, as `0xCCSSII`.
    fn class(&self) -> u32;
    /// Features offered.
    fn features(&self) -> u64;
    /// Largest size of each queue.
    fn queue_sizes(&self) -> &[u16];
    /// The guest reads the device's own configuration; `offset` may be anything.
    fn read_config(&self, offset: u64, data: &mut [u8]);
    /// The driver is ready: start to serve the queues.
    fn activate(&mut self, activation: Activation) -> Result<(), Error>;
    /// Stop to serve the queues; returns when nothing is in flight any more.
    fn reset(&mut self);
}

/// What a device gets when its driver is ready.
pub(crate) struct Activation {
    /// The guest's memory.
    pub(crate) memory: GuestMemory,
    /// Features agreed on.
    pub(crate) features: u64,
    /// One entry per queue the device has; nothing for those the driver does not use.
    pub(crate) queues: Vec<Option<ActiveQueue>>,
    /// How to reach the driver.
    pub(crate) interrupt: Interrupt,
}

/// A queue in use.
pub(crate) struct ActiveQueue {
    /// The queue, checked to lie in the guest's memory.
    pub(crate) queue: Queue,
    /// Fires when the driver has added to it.
    pub(crate) notify: Arc<EventFd>,
}

/// The way from a device's threads to its driver.
#[derive(Clone)]
pub(crate) struct Interrupt {
    pub(crate) msix: Arc<Msix>,
    pub(crate) vectors: Arc<Vectors>,
    pub(crate) needs_reset: Arc<AtomicBool>,
    pub(crate) status: Arc<status::Writer>,
}

impl Interrupt {
    /// Something was added to the used ring of queue `index`.
    pub(crate) fn signal_queue(&self, index: usize) {
        self.status.count(Counter::Interrupt, 1);
        self.msix.signal(self.vectors.queue(index));
    }

    /// The driver broke the rules: the device does nothing more until it is reset, and says so.
    pub(crate) fn stop_device(&self, reason: &Error) {
        report(format_args!("device stopped: {reason}"));
        self.status.count(Counter::DeviceStopped, 1);
        self.needs_reset.store(true, Ordering::Release);
        self.msix.signal(self.vectors.config());
    }
}

/// What a driver reads at `offset` of a device's own configuration; zeros beyond its end.
fn config_bytes(config: &[u8], offset: u64, data: &mut [u8]) {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    for (index, byte) in data.iter_mut().enumerate() {
        *byte = config.get(start.saturating_add(index)).copied().unwrap_or(0);
    }
}

fn broken_queue(_: virtio_queue::Error) -> Error {
    Error::Guest("a queue's rings are broken")
}
