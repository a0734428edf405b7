//! The thread that serves a device's queues.
//!
//! It sleeps until a driver notifies, or something else of the device's happens, and then serves
//! all there is. Descriptors are watched for edges, so that none has to be read to be silenced: one
//! system call per wake-up.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use vmm_sys_util::eventfd::EventFd;

use super::Interrupt;
use crate::{Error, event};

/// A device's work, in its thread.
pub(crate) trait Service: Send + 'static {
    /// What wakes it besides its end: new edges of these descriptors.
    fn wake_ups(&self) -> Vec<BorrowedFd<'_>>;
    /// Serves until there is nothing left or `stop` is asked for. An error is the driver's fault
    /// and stops the device.
    fn serve(&mut self, stop: &Stop) -> Result<(), Error>;
}

/// Whether a thread is to end.
pub(crate) struct Stop {
    asked: AtomicBool,
    event: EventFd,
}

impl Stop {
    /// A driver that never stops adding must not keep a reset waiting: look between two requests.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

/// A running thread; dropping it ends it after the request it is at.
pub(crate) struct Worker {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread of the given name.
    pub(crate) fn spawn(
        name: &str,
        interrupt: Interrupt,
        mut service: impl Service,
    ) -> Result<Worker, Error> {
        let stop = Arc::new(Stop { asked: AtomicBool::new(false), event: event::new()? });
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(Error::io("create an epoll"))?;
        let mut watched = service.wake_ups();
        watched.push(event::borrow(&stop.event));
        for fd in watched {
            epoll::add(&epoll, fd, EventData::new_u64(0), EventFlags::IN | EventFlags::ET)
                .map_err(Error::io("watch a device's descriptor"))?;
        }
        let thread_stop = stop.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let mut events = [EPOLL_EVENT; EVENTS_MAX];
                while !thread_stop.is_asked() {
                    match epoll::wait(&epoll, &mut events, None) {
                        Ok(_) => {}
                        Err(rustix::io::Errno::INTR) => continue,
                        Err(error) => {
                            let error = Error::io("wait for a device's work")(error);
                            return interrupt.stop_device(&error);
                        }
                    }
                    if thread_stop.is_asked() {
                        return;
                    }
                    if let Err(error) = service.serve(&thread_stop) {
                        return interrupt.stop_device(&error);
                    }
                }
            })
            .map_err(Error::io("start a device's thread"))?;
        Ok(Worker { stop, thread: Some(thread) })
    }
}

/// More than any service watches.
const EVENTS_MAX: usize = 8;
const EPOLL_EVENT: epoll::Event =
    epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };

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
