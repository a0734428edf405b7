//! How the process is asked to stop, and whether the host goes down with it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask for a stop.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on these signals no longer kill the process.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one. Safe to drop.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// PID 1 makes this file before it stops the agent because the host goes down.
pub(crate) fn shutdown_marker(run_dir: &Path) -> PathBuf {
    run_dir.parent().unwrap_or(run_dir).join("shutting-down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_where_pid_1_makes_it() {
        let marker = shutdown_marker(Path::new("/run/aleph/vms"));
        assert_eq!(marker, Path::new("/run/aleph/shutting-down"));
    }
}
