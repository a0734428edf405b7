//! The main thread: answers the control socket until the machine ends.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::net::SocketFlags;

use crate::Error;
use crate::control::{self, Exit, Request, Response, Status};
use crate::vcpu::Shared;

/// Connections at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 8;

/// Termination signals, taken from their default action and made readable.
pub(crate) struct Signals {
    event: OwnedFd,
}

impl Signals {
    /// Blocks the signals in this thread and all that it starts later.
    pub(crate) fn block() -> Result<Signals, Error> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` initialises the set that the other calls read; the descriptor is
        // new and owned by nobody else.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGTERM, libc::SIGINT] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(Error::io("watch for signals")(std::io::Error::last_os_error()));
            }
            Ok(Signals { event: OwnedFd::from_raw_fd(fd) })
        }
    }
}

/// Everything the main thread needs to answer.
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) control: Option<OwnedFd>,
    pub(crate) signals: Signals,
    pub(crate) vcpus: u8,
    pub(crate) memory_mib: u32,
    pub(crate) started: Instant,
}

impl Server {
    /// Answers until the machine ends; returns why it did.
    pub(crate) fn run(self) -> Result<(Exit, String), Error> {
        let mut connections: Vec<OwnedFd> = Vec::new();
        loop {
            let ready = self.wait(&connections)?;
            if ready.signal {
                self.shared.end.reach(Exit::Stopped, "a termination signal arrived".into());
            }
            if let Some(end) = self.shared.end.why() {
                return Ok(end.clone());
            }
            let mut index = 0;
            connections.retain(|connection| {
                let readable = ready.connections[index];
                index += 1;
                !readable || self.answer(connection)
            });
            if ready.listener
                && let Some(connection) = self.accept()
                && connections.len() < CONNECTIONS_MAX
            {
                connections.push(connection);
            }
        }
    }

    fn wait(&self, connections: &[OwnedFd]) -> Result<Ready, Error> {
        let mut events = vec![
            PollFd::new(&self.shared.end, PollFlags::IN),
            PollFd::new(&self.signals.event, PollFlags::IN),
        ];
        events.extend(connections.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        events.extend(self.control.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        match rustix::event::poll(&mut events, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::io("wait for events")(error)),
        }
        let ready: Vec<_> = events.iter().map(|event| !event.revents().is_empty()).collect();
        let (fixed, rest) = ready.split_at(2);
        let (connections, listener) = rest.split_at(connections.len());
        Ok(Ready {
            signal: fixed[1],
            connections: connections.to_vec(),
            listener: listener.first().copied().unwrap_or(false),
        })
    }

    fn accept(&self) -> Option<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // The other side may have gone again: that is its own affair.
        rustix::net::accept_with(self.control.as_ref()?, flags).ok()
    }

    /// Answers one request; false if the connection is to be closed.
    fn answer(&self, connection: &OwnedFd) -> bool {
        let response = match control::receive::<Request>(connection.as_fd()) {
            Ok(Some(request)) => self.carry_out(&request),
            Ok(None) | Err(Error::Io { .. }) => return false,
            Err(error) => Response::Error(error.to_string()),
        };
        control::send(connection.as_fd(), &response).is_ok()
    }

    fn carry_out(&self, request: &Request) -> Response {
        let Shared { bus, limits, status, end } = &*self.shared;
        match request {
            Request::Status => Response::Status(Status {
                pid: std::process::id(),
                state: status.state(),
                vcpus: self.vcpus,
                memory_mib: self.memory_mib,
                uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
                console_bytes: status.console_bytes(),
                counters: status.counters(),
            }),
            Request::PowerButton => {
                bus.press_power_button();
                Response::Done
            }
            Request::Stop => {
                end.reach(Exit::Stopped, "stopped by request".into());
                Response::Done
            }
            Request::SetLimit { limited, limit } => match limits.get(*limited) {
                Some(shared) => {
                    shared.set(*limit);
                    Response::Done
                }
                None => Response::Error(format!("this machine has no {limited:?}")),
            },
        }
    }
}

struct Ready {
    signal: bool,
    connections: Vec<bool>,
    listener: bool,
}
