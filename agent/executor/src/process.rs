use std::{
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
    },
};
use serde::{Deserialize, Serialize};
use tokio::io::{Interest, unix::AsyncFd};

use crate::ExecutorError;

/// Names a process for good: numbers are used again, a number with its start time is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// Clock ticks between the machine's start and the process's.
    start_ticks: u64,
    /// The kernel's name for this run of the machine.
    boot_id: String,
}

impl ProcessId {
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let boot_id = boot_id()?;
        let start_ticks = start_ticks(&stat)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat"))?;
        Ok(Self { pid, start_ticks, boot_id })
    }

    /// The host has not been restarted since.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        boot_id().is_ok_and(|boot_id| boot_id == self.boot_id)
    }
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The text has the name in brackets, which may hold anything, brackets too.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    // It is the 22nd field, and the first after the name is the third.
    after_name.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// A process that cannot be mistaken for another one while this value lives.
#[derive(Debug)]
pub(crate) struct Process {
    id: ProcessId,
    fd: AsyncFd<OwnedFd>,
    termination: OnceLock<Option<Termination>>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Termination {
    Code(i32),
    Signal(i32),
}

impl Process {
    /// A process that this one has started and not waited for.
    pub(crate) fn child(pid: u32) -> Result<Self, ExecutorError> {
        let open = || {
            let fd = open_pidfd(pid)?;
            Self::new(ProcessId::of(pid)?, fd)
        };
        open().map_err(ExecutorError::file("watch the process", Path::new(&format!("/proc/{pid}"))))
    }

    /// A process that was seen before, if it still runs.
    pub(crate) fn find(id: &ProcessId) -> Option<Self> {
        let fd = open_pidfd(id.pid).ok()?;
        // Looked at after opening: what the descriptor means can no longer change.
        let found = ProcessId::of(id.pid).ok()?;
        if found != *id || has_ended(&fd) {
            return None;
        }
        Self::new(found, fd).ok()
    }

    pub(crate) fn id(&self) -> &ProcessId {
        &self.id
    }

    pub(crate) fn kill(&self) {
        // Fails only when the process has ended.
        let _ = pidfd_send_signal(self.fd.get_ref(), Signal::KILL);
    }

    /// Waits for the end. How it ended is known of children only.
    pub(crate) async fn ended(&self) -> Option<Termination> {
        if self.fd.readable().await.is_err() {
            // The run time is shutting down: nobody hears the answer.
            std::future::pending().await
        }
        *self.termination.get_or_init(|| reap(self.fd.get_ref()))
    }

    fn new(id: ProcessId, fd: OwnedFd) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types whose descriptor may change under it; \
                      an OwnedFd's does not"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self { id, fd, termination: OnceLock::new() })
    }
}

/// Kills a process if `is_meant` says so of it once it cannot become another one, and waits a
/// little for its end. Blocks.
pub(crate) fn kill_stray(pid: u32, is_meant: impl FnOnce() -> bool) {
    let Ok(fd) = open_pidfd(pid) else { return };
    if is_meant() && pidfd_send_signal(&fd, Signal::KILL).is_ok() {
        let patience = Timespec { tv_sec: STRAY_PATIENCE.as_secs() as i64, tv_nsec: 0 };
        let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&patience));
        reap(&fd);
    }
}

/// The kernel frees a killed process's memory before it is gone, which takes its time.
const STRAY_PATIENCE: Duration = Duration::from_secs(10);

fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn has_ended(fd: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&now)).is_ok_and(|count| count > 0)
}

fn reap(fd: &OwnedFd) -> Option<Termination> {
    // Of another's child there is nothing to learn: that is the error here.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = waitid(WaitId::PidFd(fd.as_fd()), options).ok()??;
    let code = status.exit_status().map(Termination::Code);
    code.or_else(|| status.terminating_signal().map(Termination::Signal))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_start_time() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 10 11";
        assert_eq!(start_ticks(stat), Some(98765));
        assert_eq!(start_ticks("12 (a"), None);
        assert_eq!(start_ticks("12 (a) S 1"), None);
    }

    #[tokio::test]
    async fn a_childs_end_is_seen_as_often_as_asked() {
        let process = child("exit 11");
        assert_eq!(process.ended().await, Some(Termination::Code(11)));
        assert_eq!(process.ended().await, Some(Termination::Code(11)));
        assert!(Process::find(process.id()).is_none());
    }

    #[tokio::test]
    async fn a_process_is_found_again_but_not_one_that_only_has_its_number() {
        let process = child("exec sleep 60");
        let found = Process::find(process.id()).unwrap();
        let other = ProcessId { start_ticks: process.id().start_ticks + 1, ..process.id().clone() };
        assert!(Process::find(&other).is_none());
        let other = ProcessId { boot_id: "another".into(), ..process.id().clone() };
        assert!(Process::find(&other).is_none());
        found.kill();
        assert_eq!(process.ended().await, Some(Termination::Signal(9)));
    }

    #[expect(clippy::zombie_processes, reason = "waited for by its descriptor")]
    fn child(script: &str) -> Process {
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        Process::child(child.id()).unwrap()
    }

    #[test]
    fn a_stray_is_killed_only_if_meant() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        kill_stray(child.id(), || false);
        assert_eq!(child.try_wait().unwrap(), None);
        kill_stray(child.id(), || true);
        assert!(ProcessId::of(child.id()).is_err(), "still there");
    }
}
