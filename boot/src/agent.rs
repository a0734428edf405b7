//! The agent's process.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{SigSet, Signal, kill},
    unistd::Pid,
};

use crate::{disk::volume::DATA_DIR, seed::CONFIG_PATH, supervisor::AGENT};

/// The agent finds this when the machine is going down, and then stops its guests, too.
pub(crate) const SHUTTING_DOWN_PATH: &str = "/run/aleph/shutting-down";

/// A running agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agent {
    pid: Pid,
}

impl Agent {
    /// Starts it. What it prints goes to `output`.
    pub(crate) fn start(output: &OwnedFd) -> io::Result<Self> {
        let mut command = Command::new(AGENT);
        command
            .args(["run", "--config", CONFIG_PATH, "--data-dir", DATA_DIR])
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/usr/sbin")
            .env("HOME", DATA_DIR)
            .stdin(Stdio::null())
            .stdout(Stdio::from(output.as_fd().try_clone_to_owned()?))
            .stderr(Stdio::from(output.as_fd().try_clone_to_owned()?));
        // SAFETY: between fork and exec only two system calls are made, both async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                // PID 1 reads its signals from a descriptor and has them blocked: children would
                // inherit that, and never see a SIGTERM.
                SigSet::empty().thread_set_mask()?;
                rustix::process::setsid()?;
                Ok(())
            });
        }
        let child = command.spawn()?;
        Ok(Self { pid: Pid::from_raw(child.id().cast_signed()) })
    }

    /// Its process number.
    pub(crate) fn pid(self) -> Pid {
        self.pid
    }

    /// Asks it to stop, telling that the whole machine goes down.
    pub(crate) fn stop_for_shutdown(self) -> io::Result<()> {
        std::fs::write(Path::new(SHUTTING_DOWN_PATH), b"")?;
        Ok(kill(self.pid, Signal::SIGTERM)?)
    }

    /// Kills it.
    pub(crate) fn kill(self) -> io::Result<()> {
        Ok(kill(self.pid, Signal::SIGKILL)?)
    }
}
