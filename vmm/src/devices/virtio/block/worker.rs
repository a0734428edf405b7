//! The thread that serves a disk's queue.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags};
use virtio_queue::{QueueOwnedT, QueueT};
use vm_memory::Bytes;
use vmm_sys_util::eventfd::EventFd;

use super::QUEUE_SIZE;
use super::image::{ID_SIZE_BYTES, Image};
use super::request::{Kind, Limits, Refusal, Request};
use crate::devices::virtio::chain::{Buffers, Segment, take_front, total_size_bytes};
use crate::devices::virtio::{ActiveQueue, Interrupt};
use crate::memory::GuestMemory;
use crate::report::report;
use crate::status::Counter;
use crate::{Error, event};

const STATUS_OK: u8 = 0;
const STATUS_IO_ERROR: u8 = 1;
const STATUS_UNSUPPORTED: u8 = 2;

/// A running thread; dropping it ends it after the request it is at.
pub(super) struct Worker {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

struct Stop {
    asked: AtomicBool,
    event: EventFd,
}

impl Worker {
    /// Starts a thread of the given name.
    pub(super) fn spawn(
        name: &str,
        image: Arc<Image>,
        memory: GuestMemory,
        queue: ActiveQueue,
        interrupt: Interrupt,
    ) -> Result<Worker, Error> {
        let stop = Arc::new(Stop { asked: AtomicBool::new(false), event: event::new()? });
        let mut server = Server { image, memory, queue, interrupt, stop: stop.clone() };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || server.run())
            .map_err(Error::io("start a disk's thread"))?;
        Ok(Worker { stop, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.asked.store(true, Ordering::Release);
        let _ = self.stop.event.write(1);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
    }
}

struct Server {
    image: Arc<Image>,
    memory: GuestMemory,
    queue: ActiveQueue,
    interrupt: Interrupt,
    stop: Arc<Stop>,
}

impl Server {
    fn run(&mut self) {
        while self.wait() {
            if let Err(error) = self.serve() {
                return self.interrupt.stop_device(&error);
            }
        }
    }

    /// Waits until the driver has added something; false if the thread is to end.
    fn wait(&self) -> bool {
        let mut events = [
            PollFd::from_borrowed_fd(event::borrow(&self.queue.notify), PollFlags::IN),
            PollFd::from_borrowed_fd(event::borrow(&self.stop.event), PollFlags::IN),
        ];
        loop {
            match rustix::event::poll(&mut events, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    report(format_args!("a disk's thread cannot wait: {error}"));
                    return false;
                }
            }
        }
        let _ = self.queue.notify.read();
        !self.stop.asked.load(Ordering::Acquire)
    }

    /// Serves everything in the queue.
    fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.queue.queue.disable_notification(&self.memory).map_err(broken_queue)?;
            while let Some(chain) =
                self.queue.queue.iter(&self.memory).map_err(broken_queue)?.next()
            {
                // A driver that never stops adding must not keep a reset waiting.
                if self.stop.asked.load(Ordering::Acquire) {
                    return Ok(());
                }
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

fn broken_queue(_: virtio_queue::Error) -> Error {
    Error::Guest("a queue's rings are broken")
}
