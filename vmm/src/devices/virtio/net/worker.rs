//! What a card's thread does: frames from the guest to the tap, and back.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::posted::{Filled, Posted, piece};
use super::tap::{Offloads, Tap};
use super::{FRAME_SIZE_BYTES_MAX, HEADER_SIZE_BYTES, QUEUE_SIZE, RECEIVE, TRANSMIT};
use crate::devices::virtio::chain::{Buffers, Segment, total_size_bytes};
use crate::devices::virtio::throttle::Throttle;
use crate::devices::virtio::worker::{Service, Stop};
use crate::devices::virtio::{ActiveQueue, Interrupt, broken_queue};
use crate::memory::GuestMemory;
use crate::report::report;
use crate::status::Counter;
use crate::{Error, event};

/// Frames in one direction before the other has its turn.
const TURN_FRAMES_MAX: usize = 64;
/// Where the number of merged buffers lies in the header.
const BUFFER_COUNT_OFFSET: u64 = 10;

/// The way to the host's network.
pub(super) struct Cable {
    pub(super) tap: Arc<Tap>,
    pub(super) offloads: Offloads,
    pub(super) receive: Arc<Throttle>,
    pub(super) send: Arc<Throttle>,
}

/// Serves both queues of a card.
pub(super) struct Server {
    cable: Cable,
    memory: GuestMemory,
    receive: ActiveQueue,
    transmit: ActiveQueue,
    framing: Framing,
    interrupt: Interrupt,
    /// Something was added to the queue and the driver not told.
    unsignalled: [bool; 2],
    posted: Posted,
    /// Where each posted chain starts, in the order of `posted`.
    headers: VecDeque<GuestAddress>,
    filled: Vec<Filled>,
    frame: Frame,
}

/// What was agreed on for received frames.
#[derive(Clone, Copy)]
pub(super) struct Framing {
    /// A frame may fill several buffers.
    pub(super) merged: bool,
    /// Largest frame with its header.
    pub(super) size_bytes_max: u64,
}

/// The pieces of one frame of the guest; kept to be used again.
#[derive(Default)]
struct Frame(Vec<libc::iovec>);

// SAFETY: the pieces point into guest memory, which is mapped as long as the process lives and
// belongs to no thread.
unsafe impl Send for Frame {}

/// Whether there may be more to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Finished,
    Unfinished,
}

impl Service for Server {
    fn start(&mut self) {
        if let Err(error) = self.cable.tap.set_offloads(self.cable.offloads) {
            // The kernel then does the work itself: slower, and right all the same.
            report(format_args!("a card has no offloads: {error}"));
        }
    }

    fn wake_ups(&self) -> Vec<BorrowedFd<'_>> {
        vec![
            event::borrow(&self.receive.notify),
            event::borrow(&self.transmit.notify),
            self.cable.tap.as_fd(),
            self.cable.receive.as_fd(),
            self.cable.send.as_fd(),
        ]
    }

    fn serve(&mut self, stop: &Stop) -> Result<(), Error> {
        loop {
            let sent = self.serve_transmit(stop)?;
            let received = self.serve_receive(stop)?;
            if (sent, received) == (Turn::Finished, Turn::Finished) || stop.is_asked() {
                return Ok(());
            }
        }
    }
}

impl Server {
    pub(super) fn new(
        cable: Cable,
        memory: GuestMemory,
        receive: ActiveQueue,
        transmit: ActiveQueue,
        framing: Framing,
        interrupt: Interrupt,
    ) -> Server {
        Server {
            cable,
            memory,
            receive,
            transmit,
            framing,
            interrupt,
            unsignalled: [false; 2],
            posted: Posted::default(),
            headers: VecDeque::new(),
            filled: Vec::new(),
            frame: Frame::default(),
        }
    }

    fn serve_transmit(&mut self, stop: &Stop) -> Result<Turn, Error> {
        let mut frames = 0;
        loop {
            let queue = &mut self.transmit.queue;
            queue.disable_notification(&self.memory).map_err(broken_queue)?;
            loop {
                if frames == TURN_FRAMES_MAX || stop.is_asked() {
                    self.signal(TRANSMIT)?;
                    return Ok(Turn::Unfinished);
                }
                if !self.cable.send.may_go_on()? {
                    self.signal(TRANSMIT)?;
                    return Ok(Turn::Finished);
                }
                let queue = &mut self.transmit.queue;
                let Some(chain) = queue.iter(&self.memory).map_err(broken_queue)?.next() else {
                    break;
                };
                frames += 1;
                let head = chain.head_index();
                let buffers = Buffers::collect(&self.memory, chain, usize::from(QUEUE_SIZE))?;
                self.send(&buffers.readable)?;
                let queue = &mut self.transmit.queue;
                queue.add_used(&self.memory, head, 0).map_err(broken_queue)?;
                self.unsignalled[TRANSMIT] = true;
            }
            self.signal(TRANSMIT)?;
            let queue = &mut self.transmit.queue;
            if !queue.enable_notification(&self.memory).map_err(broken_queue)? {
                return Ok(Turn::Finished);
            }
        }
    }

    /// Sends one frame of the guest. One that the host refuses is lost, as on any cable.
    fn send(&mut self, segments: &[Segment]) -> Result<(), Error> {
        let status = &self.interrupt.status;
        let size_bytes = total_size_bytes(segments);
        if size_bytes <= HEADER_SIZE_BYTES as u64 || size_bytes > FRAME_SIZE_BYTES_MAX {
            status.count(Counter::NetRefused, 1);
            return Ok(());
        }
        let pieces = &mut self.frame.0;
        pieces.clear();
        for segment in segments {
            pieces.push(piece(&self.memory, *segment)?);
        }
        let frame_size_bytes = size_bytes - HEADER_SIZE_BYTES as u64;
        self.cable.send.served(frame_size_bytes);
        // SAFETY: the pieces lie in guest memory, which is mapped as long as the process lives.
        match unsafe { self.cable.tap.send(pieces) } {
            Ok(Some(_)) => {
                status.count(Counter::NetSent, 1);
                status.count(Counter::NetSentBytes, frame_size_bytes);
            }
            Ok(None) | Err(_) => status.count(Counter::NetRefused, 1),
        }
        Ok(())
    }

    fn serve_receive(&mut self, stop: &Stop) -> Result<Turn, Error> {
        for _ in 0..TURN_FRAMES_MAX {
            if stop.is_asked() {
                break;
            }
            if !self.cable.receive.may_go_on()? || !self.post()? {
                self.signal(RECEIVE)?;
                return Ok(Turn::Finished);
            }
            let pieces = self.posted.pieces(self.framing.merged);
            // SAFETY: the pieces lie in guest memory, of which Rust holds no reference.
            let received = unsafe { self.cable.tap.receive(pieces) };
            match received {
                Ok(Some(size_bytes)) => self.deliver(size_bytes)?,
                Ok(None) => {
                    self.signal(RECEIVE)?;
                    return Ok(Turn::Finished);
                }
                Err(error) => {
                    // The tap is gone or down; it wakes us when it is back.
                    report(format_args!("a tap gives no frames: {error}"));
                    return Ok(Turn::Finished);
                }
            }
        }
        self.signal(RECEIVE)?;
        Ok(Turn::Unfinished)
    }

    /// Takes in what the driver has posted until the largest frame fits; false if it does not. A
    /// tap cuts what does not fit.
    fn post(&mut self) -> Result<bool, Error> {
        let Framing { merged, size_bytes_max } = self.framing;
        while self.posted.size_bytes() < size_bytes_max {
            let queue = &mut self.receive.queue;
            let Some((head, Buffers { writable, .. })) = next_chain(queue, &self.memory)? else {
                return Ok(false);
            };
            let header = writable.first().copied().filter(|segment| {
                segment.size_bytes as usize >= HEADER_SIZE_BYTES
                    && (merged || total_size_bytes(&writable) >= size_bytes_max)
            });
            let Some(header) = header else {
                return Err(Error::Guest("a receive buffer is too small"));
            };
            self.headers.push_back(header.address);
            self.posted.push(&self.memory, head, &writable)?;
        }
        Ok(true)
    }

    /// Gives a frame that lies in the first posted chains to the driver.
    fn deliver(&mut self, size_bytes: usize) -> Result<(), Error> {
        if size_bytes < HEADER_SIZE_BYTES {
            return Ok(());
        }
        self.posted.fill(size_bytes, &mut self.filled);
        let count = self.filled.len() as u16;
        if let Some(header) = self.headers.front() {
            self.memory
                .write_obj(count.to_le(), GuestAddress(header.0 + BUFFER_COUNT_OFFSET))
                .map_err(|_| Error::Guest("a receive buffer lies outside of memory"))?;
        }
        self.headers.drain(..self.filled.len());
        for filled in &self.filled {
            let queue = &mut self.receive.queue;
            queue.add_used(&self.memory, filled.head, filled.size_bytes).map_err(broken_queue)?;
        }
        self.unsignalled[RECEIVE] = true;
        let frame_size_bytes = (size_bytes - HEADER_SIZE_BYTES) as u64;
        self.cable.receive.served(frame_size_bytes);
        self.interrupt.status.count(Counter::NetReceived, 1);
        self.interrupt.status.count(Counter::NetReceivedBytes, frame_size_bytes);
        Ok(())
    }

    /// Tells the driver once what was done for several frames.
    fn signal(&mut self, index: usize) -> Result<(), Error> {
        if !std::mem::take(&mut self.unsignalled[index]) {
            return Ok(());
        }
        let queue = if index == RECEIVE { &mut self.receive } else { &mut self.transmit };
        if queue.queue.needs_notification(&self.memory).map_err(broken_queue)? {
            self.interrupt.signal_queue(index);
        }
        Ok(())
    }
}

/// The next chain of a queue; asks to be notified when there is none.
fn next_chain(queue: &mut Queue, memory: &GuestMemory) -> Result<Option<(u16, Buffers)>, Error> {
    loop {
        if let Some(chain) = queue.iter(memory).map_err(broken_queue)?.next() {
            let head = chain.head_index();
            return Buffers::collect(memory, chain, usize::from(QUEUE_SIZE))
                .map(|buffers| Some((head, buffers)));
        }
        if !queue.enable_notification(memory).map_err(broken_queue)? {
            return Ok(None);
        }
    }
}
