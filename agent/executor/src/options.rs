use std::{ffi::OsString, path::PathBuf, time::Duration};

use aleph_types::JobId;

use crate::Capacity;

/// Where things are, and how patient the executor is.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// The monitor's executable, and what comes before its own arguments.
    pub monitor: Vec<OsString>,
    /// The guest kernel.
    pub kernel: PathBuf,
    /// The guest kernel's command line.
    pub cmdline: String,
    /// A folder for what outlives a reboot: records and disks, by job. In the file system of the
    /// images if that can share blocks between files.
    pub data_dir: PathBuf,
    /// A folder for what is kept of machines that were removed, by job.
    pub ended_dir: PathBuf,
    /// A folder for what ends with a reboot: sockets and status pages, by job. Short, because
    /// socket paths are limited to 107 bytes.
    pub run_dir: PathBuf,
    /// The control group (version 2) that the machines' groups are made in, or none.
    pub cgroup: Option<PathBuf>,
    /// What the names of the machines' network interfaces begin with.
    pub tap_prefix: String,
    /// What machines may occupy together.
    pub capacity: Capacity,
    /// How long a guest may take to end after its power button was pressed.
    pub stop_grace: Duration,
    /// How long a monitor may take to answer, and to end when its guest's power is cut.
    pub monitor_patience: Duration,
    /// How long a monitor may take until its guest runs.
    pub start_patience: Duration,
    /// When a machine that ended otherwise than wished is started again.
    pub restart: RestartPolicy,
    /// How often reports are repeated and what was missed is looked for.
    pub resync: Duration,
}

/// When a machine that ended otherwise than wished is started again.
#[derive(Debug, Clone)]
pub struct RestartPolicy {
    /// So many failures in a row are final.
    pub failures_max: u32,
    /// The pause after the first failure; it doubles with each further one.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// So often a machine waits for others to leave it room, with the same pauses; a wait is no
    /// failure. Long enough in all for a machine that has ended to be taken away: what it held is
    /// free only then.
    pub room_waits_max: u32,
    /// A machine that ran for so long has its earlier failures forgiven.
    pub healthy_after: Duration,
    /// A guest that resets itself sooner than this after its start counts as failed: nobody
    /// wanted that restart.
    pub reset_is_wanted_after: Duration,
}

impl RestartPolicy {
    /// The pause before the next try, after so many in vain.
    pub(crate) fn pause_after(&self, tries: u32) -> Duration {
        let doublings = tries.saturating_sub(1).min(16);
        self.pause.saturating_mul(1 << doublings).min(self.pause_max)
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            failures_max: 3,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            // 1 + 2 + 4 + … + 60 + 60 + 60 s: four minutes.
            room_waits_max: 9,
            healthy_after: Duration::from_secs(600),
            reset_is_wanted_after: Duration::from_secs(60),
        }
    }
}

impl ExecutorOptions {
    /// The places and times of the appliance; what is kept of removed machines goes beside
    /// `data_dir`.
    pub fn appliance(data_dir: PathBuf, capacity: Capacity) -> Self {
        Self {
            monitor: vec!["/usr/bin/aleph-vmm".into()],
            kernel: "/usr/share/aleph/guest/vmlinux".into(),
            cmdline: "console=ttyS0 root=/dev/vda rw".into(),
            ended_dir: data_dir.with_file_name("ended"),
            data_dir,
            run_dir: "/run/aleph/vms".into(),
            cgroup: Some("/sys/fs/cgroup/aleph".into()),
            tap_prefix: "avm".into(),
            capacity,
            stop_grace: Duration::from_secs(60),
            monitor_patience: Duration::from_secs(10),
            start_patience: Duration::from_secs(60),
            restart: RestartPolicy::default(),
            resync: Duration::from_secs(10),
        }
    }

    pub(crate) fn places(&self, job: JobId) -> Places {
        let name = job.to_string();
        Places {
            data: self.data_dir.join(&name),
            run: self.run_dir.join(&name),
            cgroup: self.cgroup.as_ref().map(|group| group.join(&name)),
            tap: format!("{}{name}", self.tap_prefix),
        }
    }
}

/// Everything that belongs to one machine and to nobody else.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) data: PathBuf,
    pub(crate) run: PathBuf,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) tap: String,
}

impl Places {
    pub(crate) fn disk(&self) -> PathBuf {
        self.data.join("root.img")
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.data.join(RECORD_FILE)
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    pub(crate) fn status(&self) -> PathBuf {
        self.run.join(STATUS_FILE)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.run.join("monitor.log")
    }
}

/// What is known of a machine, in its folders.
pub(crate) const RECORD_FILE: &str = "vm.json";
/// A process that holds a file of this name in a run folder is the monitor of that job.
pub(crate) const STATUS_FILE: &str = "status";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let policy = RestartPolicy { pause_max: Duration::from_secs(5), ..Default::default() };
        let pauses: Vec<_> =
            [1, 2, 3, 4, 100].map(|tries| policy.pause_after(tries).as_secs()).into();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn waits_for_room_outlast_the_removal_of_another_machine() {
        let policy = RestartPolicy::default();
        let in_all: Duration =
            (1..=policy.room_waits_max).map(|wait| policy.pause_after(wait)).sum();
        // A job's end is believed a minute after the chain told of it; its guest has as long to
        // power off.
        assert!(in_all >= Duration::from_secs(2 * 60 + 60), "{in_all:?}");
        assert!(in_all <= Duration::from_secs(5 * 60), "{in_all:?}");
    }
}
