use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use aleph_types::Resources;

use crate::capacity::overhead_mib;

/// Makes the control group of a machine, with its limits. The first error is returned after
/// everything was tried: a group with some limits is better than none.
pub(crate) fn create(group: &Path, resources: Resources) -> io::Result<()> {
    let parent = group.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let root = parent.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(group)?;
    let mut outcome = Ok(());
    for ancestor in [root, parent] {
        for controller in CONTROLLERS {
            let enabled = write(&ancestor.join("cgroup.subtree_control"), controller);
            outcome = outcome.and(enabled);
        }
    }
    for (file, value) in limits(resources) {
        outcome = outcome.and(write(&group.join(file), &value));
    }
    outcome
}

/// Moves a process into a group.
pub(crate) fn add(group: &Path, pid: u32) -> io::Result<()> {
    write(&group.join("cgroup.procs"), &pid.to_string())
}

/// Kills whatever is in a group, and removes it. Blocks until it is gone.
pub(crate) fn remove(group: &Path) -> io::Result<()> {
    if !group.exists() {
        return Ok(());
    }
    write(&group.join("cgroup.kill"), "1")?;
    let deadline = Instant::now() + REMOVAL_PATIENCE;
    loop {
        match fs::remove_dir(group) {
            // Killed processes are members until they are gone.
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

const CONTROLLERS: [&str; 3] = ["+cpu", "+memory", "+pids"];
const REMOVAL_PATIENCE: Duration = Duration::from_secs(10);
/// The period of the processor quota.
const PERIOD_US: u64 = 100_000;
/// Threads of a monitor beside those of the virtual processors.
const MONITOR_THREADS: u32 = 64;

fn limits(resources: Resources) -> [(&'static str, String); 4] {
    let Resources { vcpus, memory_mib, .. } = resources;
    let memory_mib = memory_mib.saturating_add(overhead_mib(memory_mib));
    [
        ("memory.max", memory_mib.saturating_mul(1 << 20).to_string()),
        ("memory.oom.group", "1".to_owned()),
        // Devices are served from the same quota: what they take, they take from their guest.
        ("cpu.max", format!("{} {PERIOD_US}", u64::from(vcpus).saturating_mul(PERIOD_US))),
        ("pids.max", vcpus.saturating_add(MONITOR_THREADS).to_string()),
    ]
}

/// Never creates a file: in a folder that is no control group this has to fail.
fn write(path: &Path, value: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_from_the_resources() {
        let limits = limits(Resources { vcpus: 2, memory_mib: 256, disk_mib: 1 });
        let expected = [
            ("memory.max", (322 << 20).to_string()),
            ("memory.oom.group", "1".to_owned()),
            ("cpu.max", "200000 100000".to_owned()),
            ("pids.max", "66".to_owned()),
        ];
        assert_eq!(limits, expected);
    }

    #[test]
    fn where_there_are_no_groups_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let group = folder.path().join("aleph/7");
        create(&group, Resources::default()).unwrap_err();
        add(&group, 1).unwrap_err();
        remove(&folder.path().join("aleph/8")).unwrap();
    }
}
