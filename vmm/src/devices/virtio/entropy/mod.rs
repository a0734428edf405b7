//! virtio-rng: random bytes from the host's kernel.
//!
//! A new machine has no randomness of its own, and one that was cloned has the same as its twin.

use std::os::fd::BorrowedFd;

use rustix::rand::{GetRandomFlags, getrandom};
use virtio_queue::{QueueOwnedT, QueueT};
use vm_memory::Bytes;

use super::chain::{Buffers, Segment};
use super::worker::{Service, Stop, Worker};
use super::{
    Activation, ActiveQueue, FEATURE_EVENT_INDEX, FEATURE_INDIRECT_DESCRIPTORS, FEATURE_VERSION_1,
    Interrupt, VirtioDevice, broken_queue,
};
use crate::confine::Confinement;
use crate::memory::GuestMemory;
use crate::status::Counter;
use crate::{Error, event};

const DEVICE_TYPE: u16 = 4;
/// A base system peripheral, none of the known kinds.
const CLASS: u32 = 0x08_80_00;
const QUEUE_SIZE: u16 = 16;
/// Most bytes for one request; the specification lets a device give fewer than asked for.
const ANSWER_SIZE_BYTES_MAX: usize = 4096;

/// The device.
pub(crate) struct Entropy {
    worker: Worker,
}

impl Entropy {
    /// A device with its thread.
    pub(crate) fn new(confinement: &Confinement) -> Result<Entropy, Error> {
        Ok(Entropy { worker: Worker::new("entropy", confinement)? })
    }
}

impl VirtioDevice for Entropy {
    fn device_type(&self) -> u16 {
        DEVICE_TYPE
    }

    fn class(&self) -> u32 {
        CLASS
    }

    fn features(&self) -> u64 {
        FEATURE_VERSION_1 | FEATURE_INDIRECT_DESCRIPTORS | FEATURE_EVENT_INDEX
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn read_config(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn activate(&mut self, activation: Activation) -> Result<(), Error> {
        let Activation { memory, queues, interrupt, .. } = activation;
        let Some(queue) = queues.into_iter().flatten().next() else {
            return Err(Error::Guest("an entropy driver is ready without a queue"));
        };
        let server = Server { memory, queue, interrupt: interrupt.clone() };
        self.worker.serve(server, interrupt);
        Ok(())
    }

    fn reset(&mut self) {
        self.worker.stop();
    }
}

struct Server {
    memory: GuestMemory,
    queue: ActiveQueue,
    interrupt: Interrupt,
}

impl Service for Server {
    fn wake_ups(&self) -> Vec<BorrowedFd<'_>> {
        vec![event::borrow(&self.queue.notify)]
    }

    fn serve(&mut self, stop: &Stop) -> Result<(), Error> {
        loop {
            let queue = &mut self.queue.queue;
            queue.disable_notification(&self.memory).map_err(broken_queue)?;
            while let Some(chain) = queue.iter(&self.memory).map_err(broken_queue)?.next() {
                if stop.is_asked() {
                    return Ok(());
                }
                let head = chain.head_index();
                let buffers = Buffers::collect(&self.memory, chain, usize::from(QUEUE_SIZE))?;
                let written = fill(&self.memory, &buffers.writable)?;
                self.interrupt.status.count(Counter::EntropyBytes, u64::from(written));
                queue.add_used(&self.memory, head, written).map_err(broken_queue)?;
                if queue.needs_notification(&self.memory).map_err(broken_queue)? {
                    self.interrupt.signal_queue(0);
                }
            }
            if !queue.enable_notification(&self.memory).map_err(broken_queue)? {
                return Ok(());
            }
        }
    }
}

/// Writes random bytes into the segments, in order; returns how many.
fn fill(memory: &GuestMemory, segments: &[Segment]) -> Result<u32, Error> {
    let mut random = [0; ANSWER_SIZE_BYTES_MAX];
    let mut written = 0;
    for segment in segments {
        let room = &mut random[written..];
        let size = room.len().min(segment.size_bytes as usize);
        let room = &mut room[..size];
        // Whole: the kernel cuts only requests larger than this, or interrupted ones.
        let mut filled = 0;
        while filled < room.len() {
            filled += rustix::io::retry_on_intr(|| {
                getrandom(&mut room[filled..], GetRandomFlags::empty())
            })
            .map_err(Error::io("get random bytes"))?;
        }
        memory
            .write_slice(room, segment.address)
            .map_err(|_| Error::Guest("an entropy buffer lies outside of memory"))?;
        written += size;
    }
    Ok(written as u32)
}
