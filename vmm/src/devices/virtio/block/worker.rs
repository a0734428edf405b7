//! What a disk's thread does: requests from the queue, one by one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use virtio_queue::{QueueOwnedT, QueueT};
use vm_memory::Bytes;

use super::QUEUE_SIZE;
use super::image::{ID_SIZE_BYTES, Image};
use super::request::{Kind, Limits, Refusal, Request};
use crate::devices::virtio::chain::{Buffers, Segment, take_front, total_size_bytes};
use crate::devices::virtio::throttle::Throttle;
use crate::devices::virtio::worker::{Service, Stop};
use crate::devices::virtio::{ActiveQueue, Interrupt, broken_queue};
use crate::memory::GuestMemory;
use crate::report::report;
use crate::status::Counter;
use crate::{Error, event};

const STATUS_OK: u8 = 0;
const STATUS_IO_ERROR: u8 = 1;
const STATUS_UNSUPPORTED: u8 = 2;

/// Serves one queue of a disk.
pub(super) struct Server {
    pub(super) image: Arc<Image>,
    pub(super) memory: GuestMemory,
    pub(super) queue: ActiveQueue,
    pub(super) throttle: Arc<Throttle>,
    pub(super) interrupt: Interrupt,
}

impl Service for Server {
    fn wake_ups(&self) -> Vec<BorrowedFd<'_>> {
        vec![event::borrow(&self.queue.notify), self.throttle.as_fd()]
    }

    fn serve(&mut self, stop: &Stop) -> Result<(), Error> {
        self.serve_queue(stop)
    }
}

impl Server {
    /// Serves everything in the queue.
    fn serve_queue(&mut self, stop: &Stop) -> Result<(), Error> {
        loop {
            self.queue.queue.disable_notification(&self.memory).map_err(broken_queue)?;
            loop {
                if stop.is_asked() || !self.throttle.may_go_on()? {
                    return Ok(());
                }
                let queue = &mut self.queue.queue;
                let Some(chain) = queue.iter(&self.memory).map_err(broken_queue)?.next() else {
                    break;
                };
                let head = chain.head_index();
                let buffers = Buffers::collect(&self.memory, chain, usize::from(QUEUE_SIZE))?;
                let written = self.answer(buffers)?;
                let queue = &mut self.queue.queue;
                queue.add_used(&self.memory, head, written).map_err(broken_queue)?;
                if queue.needs_notification(&self.memory).map_err(broken_queue)? {
                    self.interrupt.signal_queue(0);
                }
            }
            if !self.queue.queue.enable_notification(&self.memory).map_err(broken_queue)? {
                return Ok(());
            }
        }
    }

    /// Carries one request out; returns how many bytes were written into the guest's buffers.
    fn answer(&self, buffers: Buffers) -> Result<u32, Error> {
        let limits =
            Limits { size_bytes: self.image.size_bytes(), read_only: self.image.read_only() };
        let request = Request::parse(&self.memory, buffers, limits)?;
        self.throttle.served(total_size_bytes(&request.data));
        let result = match request.kind {
            Ok(kind) => self.execute(kind, request.data),
            Err(refusal) => Err(refusal.into()),
        };
        let (status, written) = match result {
            Ok(written) => (STATUS_OK, written),
            Err(Failure::Unsupported) => (STATUS_UNSUPPORTED, 0),
            Err(Failure::Invalid) => (STATUS_IO_ERROR, 0),
            Err(Failure::Io(error)) => {
                report(format_args!("a block request failed: {error}"));
                (STATUS_IO_ERROR, 0)
            }
        };
        if status != STATUS_OK {
            self.interrupt.status.count(Counter::BlockError, 1);
        }
        self.memory
            .write_obj(status, request.status)
            .map_err(|_| Error::Guest("a block request's status byte is outside of memory"))?;
        // The status byte counts as written too.
        Ok(written.saturating_add(1))
    }

    fn execute(&self, kind: Kind, data: Vec<Segment>) -> Result<u32, Failure> {
        let size_bytes = total_size_bytes(&data);
        match kind {
            Kind::Read { offset_bytes } => {
                self.image.read(&self.memory, &data, offset_bytes)?;
                self.count(Counter::BlockRead, Some((Counter::BlockReadBytes, size_bytes)));
                Ok(u32::try_from(size_bytes).unwrap_or(u32::MAX))
            }
            Kind::Write { offset_bytes } => {
                self.image.write(&self.memory, &data, offset_bytes)?;
                self.count(Counter::BlockWrite, Some((Counter::BlockWriteBytes, size_bytes)));
                Ok(0)
            }
            Kind::Flush => {
                if !self.image.read_only() {
                    self.image.flush()?;
                }
                self.count(Counter::BlockFlush, None);
                Ok(0)
            }
            Kind::GetId => self.write_id(data),
        }
    }

    fn write_id(&self, mut data: Vec<Segment>) -> Result<u32, Failure> {
        let pieces = take_front(&mut data, ID_SIZE_BYTES as u32).ok_or(Failure::Invalid)?;
        let mut rest = &self.image.id()[..];
        for piece in pieces {
            let (now, later) = rest.split_at(piece.size_bytes as usize);
            self.memory.write_slice(now, piece.address).map_err(|_| Failure::Invalid)?;
            rest = later;
        }
        Ok(ID_SIZE_BYTES as u32)
    }

    fn count(&self, requests: Counter, bytes: Option<(Counter, u64)>) {
        self.interrupt.status.count(requests, 1);
        if let Some((counter, size_bytes)) = bytes {
            self.interrupt.status.count(counter, size_bytes);
        }
    }
}

/// Why a request gets an answer other than yes.
enum Failure {
    Invalid,
    Unsupported,
    Io(io::Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Invalid => Failure::Invalid,
            Refusal::Unsupported => Failure::Unsupported,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}
