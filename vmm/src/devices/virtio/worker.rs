//! The thread that serves a device's queues.
//!
//! It is started with the machine, and confined before the guest runs; it works whenever a driver
//! has made the device ready. Then it sleeps until the driver notifies, or something else of the
//! device's happens, and serves all there is. Descriptors are watched for edges, so that none has to
//! be read to be silenced: one system call per wake-up.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use vmm_sys_util::eventfd::EventFd;

use super::Interrupt;
use crate::confine::{Confinement, Role};
use crate::report::report;
use crate::{Error, event};

/// A device's work between its driver's readiness and its reset.
pub(crate) trait Service: Send + 'static {
    /// Called once, in the device's thread, before anything is served.
    fn start(&mut self) {}
    /// What wakes it: new edges of these descriptors.
    fn wake_ups(&self) -> Vec<BorrowedFd<'_>>;
    /// Serves until there is nothing left or `stop` is asked for. An error is the driver's fault
    /// and stops the device.
    fn serve(&mut self, stop: &Stop) -> Result<(), Error>;
}

/// Whether the service is to end.
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

/// A device's thread. Dropping it ends it, after the request it is at.
pub(crate) struct Worker {
    stop: Arc<Stop>,
    work: Option<SyncSender<Work>>,
    idle: Receiver<()>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

struct Work {
    service: Box<dyn Service>,
    interrupt: Interrupt,
}

impl Worker {
    /// Starts a confined thread of the given name.
    pub(crate) fn new(name: &str, confinement: &Confinement) -> Result<Worker, Error> {
        let stop = Arc::new(Stop { asked: AtomicBool::new(false), event: event::new()? });
        // One service at a time, and one word that it has ended.
        let (work, todo) = sync_channel::<Work>(1);
        let (done, idle) = sync_channel(1);
        let (thread_stop, confinement) = (stop.clone(), confinement.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                if let Err(error) = confinement.of_thread(Role::Device) {
                    return report(error);
                }
                let _ = done.send(());
                for Work { service, interrupt } in todo {
                    if let Err(error) = work_until_stopped(service, &thread_stop) {
                        interrupt.stop_device(&error);
                    }
                    let _ = done.send(());
                }
            })
            .map_err(Error::io("start a device's thread"))?;
        // Confined before anybody asks it for anything.
        idle.recv().map_err(|_| Error::Confinement(format!("the thread {name} has ended")))?;
        Ok(Worker { stop, work: Some(work), idle, busy: false, thread: Some(thread) })
    }

    /// Serves from now on, until [`Worker::stop`].
    pub(crate) fn serve(&mut self, service: impl Service, interrupt: Interrupt) {
        self.stop();
        if let Some(work) = &self.work {
            self.busy = work.send(Work { service: Box::new(service), interrupt }).is_ok();
        }
    }

    /// Ends the service; nothing is in flight any more when this returns.
    pub(crate) fn stop(&mut self) {
        if !std::mem::take(&mut self.busy) {
            return;
        }
        self.stop.asked.store(true, Ordering::Release);
        let _ = self.stop.event.write(1);
        // Nothing comes from a thread that has ended, and it serves nothing.
        let _ = self.idle.recv();
        let _ = self.stop.event.read();
        self.stop.asked.store(false, Ordering::Release);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
    }
}

fn work_until_stopped(mut service: Box<dyn Service>, stop: &Stop) -> Result<(), Error> {
    service.start();
    let epoll = watch(&*service, stop)?;
    let mut events = [EPOLL_EVENT; EVENTS_MAX];
    while !stop.is_asked() {
        match epoll::wait(&epoll, &mut events, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(Error::io("wait for a device's work")(error)),
        }
        if stop.is_asked() {
            break;
        }
        service.serve(stop)?;
    }
    Ok(())
}

fn watch(service: &dyn Service, stop: &Stop) -> Result<OwnedFd, Error> {
    let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(Error::io("create an epoll"))?;
    let mut watched = service.wake_ups();
    watched.push(event::borrow(&stop.event));
    for fd in watched {
        epoll::add(&epoll, fd, EventData::new_u64(0), EventFlags::IN | EventFlags::ET)
            .map_err(Error::io("watch a device's descriptor"))?;
    }
    Ok(epoll)
}

/// More than any service watches.
const EVENTS_MAX: usize = 8;
const EPOLL_EVENT: epoll::Event =
    epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
