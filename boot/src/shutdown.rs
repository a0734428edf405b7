//! The end: everything is killed, everything is on the disk, then the machine goes down.

use std::{
    fmt,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use rustix::{
    mount::{UnmountFlags, unmount},
    system::{RebootCommand, reboot},
};

use crate::{console, console::say, disk::volume::DATA_DIR};

/// A process in the middle of disk I/O needs a moment to die.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// How long a fatal message stays readable.
const FATAL_PAUSE: Duration = Duration::from_secs(10);

/// Where the machine goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Off.
    PowerOff,
    /// Up again.
    Reboot,
}

impl fmt::Display for Goal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PowerOff => "powering off",
            Self::Reboot => "rebooting",
        })
    }
}

/// Takes the machine down in order. The agent has had its chance.
pub(crate) fn finish(goal: Goal) -> ! {
    kill_everyone();
    rustix::fs::sync();
    match unmount(DATA_DIR, UnmountFlags::NOFOLLOW) {
        Ok(()) => say!("{DATA_DIR} is unmounted"),
        Err(error) => say!("unmount {DATA_DIR}: {error}; its journal will be replayed"),
    }
    rustix::fs::sync();
    say!("{goal} now");
    go_down(goal)
}

/// Something happened after which PID 1 cannot go on: the message stays for a while, then the
/// machine restarts. With two system slots, that is a failed try.
pub(crate) fn fatal(reason: &str) -> ! {
    console::emergency(&format!("FATAL: {reason}; rebooting in {} s", FATAL_PAUSE.as_secs()));
    rustix::fs::sync();
    std::thread::sleep(FATAL_PAUSE);
    go_down(Goal::Reboot)
}

/// A panic in any of PID 1's threads must not end in a machine that hangs without a word.
pub(crate) fn reboot_on_panic() {
    std::panic::set_hook(Box::new(|panic| fatal(&panic.to_string().replace('\n', ": "))));
}

fn kill_everyone() {
    const EVERYONE: Pid = Pid::from_raw(-1);
    let deadline = Instant::now() + KILL_DEADLINE;
    let _ = kill(EVERYONE, Signal::SIGKILL);
    while Instant::now() < deadline {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Err(Errno::EINTR) => {}
            Err(_) => return,
            Ok(nix::sys::wait::WaitStatus::StillAlive) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(_) => {}
        }
    }
    say!("some processes could not be killed");
}

fn go_down(goal: Goal) -> ! {
    let command = match goal {
        Goal::PowerOff => RebootCommand::PowerOff,
        Goal::Reboot => RebootCommand::Restart,
    };
    if let Err(error) = reboot(command) {
        console::emergency(&format!("{goal}: {error}"));
    }
    loop {
        // The hardware watchdog, if any, ends this.
        std::thread::sleep(Duration::from_secs(3600));
    }
}
