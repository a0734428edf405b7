use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process,
};

use aleph_types::JobId;
use tracing::warn;

use crate::{
    ExecutorError, ExecutorOptions, cgroup,
    options::{Places, STATUS_FILE},
    process::kill_stray,
    taps,
};

/// What earlier agents left on this host.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Jobs of which anything is there.
    pub(crate) jobs: BTreeSet<JobId>,
    /// Processes that use a job's status page, as its monitor does.
    pub(crate) processes: BTreeMap<JobId, Vec<u32>>,
}

impl Leftovers {
    /// Looks at everything machines are made of. Blocks.
    pub(crate) fn find(options: &ExecutorOptions) -> Result<Self, ExecutorError> {
        let mut found = Self::default();
        for folder in [&options.data_dir, &options.run_dir] {
            fs::create_dir_all(folder).map_err(ExecutorError::file("create", folder))?;
            found.jobs.extend(jobs_in(folder).map_err(ExecutorError::file("list", folder))?);
        }
        // A host without control groups, or without this one yet, has nothing left in it.
        found
            .jobs
            .extend(options.cgroup.as_deref().and_then(|it| jobs_in(it).ok()).unwrap_or_default());
        found.jobs.extend(taps::list(&options.tap_prefix));
        found.processes = monitors(&options.run_dir);
        found.jobs.extend(found.processes.keys());
        Ok(found)
    }
}

/// Kills the processes that use a machine's status page, except its monitor. Blocks.
pub(crate) fn kill_strays(run_dir: &Path, job: JobId, pids: &[u32], monitor: Option<u32>) {
    for pid in pids.iter().copied().filter(|pid| Some(*pid) != monitor) {
        warn!(%job, pid, "killing a monitor that nobody knows of");
        kill_stray(pid, || job_of(run_dir, pid) == Some(job));
    }
}

/// Removes everything of a machine whose monitor has ended. Blocks.
pub(crate) fn remove(places: &Places) -> Result<(), ExecutorError> {
    if let Some(group) = &places.cgroup {
        cgroup::remove(group).map_err(ExecutorError::file("remove the control group", group))?;
    }
    taps::remove(&places.tap)
        .map_err(ExecutorError::file("remove the interface", Path::new(&places.tap)))?;
    // The disk last, and with it the record: what is half removed is found again.
    remove_folder(&places.run)?;
    remove_folder(&places.data)
}

/// Removes a folder and what is in it, if it is there.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), ExecutorError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(ExecutorError::file("remove", folder)),
    }
}

/// The jobs that a folder has folders of.
pub(crate) fn jobs_in(folder: &Path) -> io::Result<Vec<JobId>> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        match entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            Some(job) => jobs.push(job),
            None => warn!(path = %entry.path().display(), "not a machine's folder: left alone"),
        }
    }
    Ok(jobs)
}

fn monitors(run_dir: &Path) -> BTreeMap<JobId, Vec<u32>> {
    let mut found: BTreeMap<JobId, Vec<u32>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return found };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in pids.filter(|pid| *pid != process::id()) {
        if let Some(job) = job_of(run_dir, pid) {
            found.entry(job).or_default().push(pid);
        }
    }
    found
}

/// The job whose status page a process has open or mapped. A new process has it open, and may
/// close it once it is mapped.
fn job_of(run_dir: &Path, pid: u32) -> Option<JobId> {
    let of_page = |path: PathBuf| {
        let text = path.to_str()?;
        let path = Path::new(text.strip_suffix(" (deleted)").unwrap_or(text));
        let is_page = path.file_name()? == STATUS_FILE;
        let name = path.parent()?.strip_prefix(run_dir).ok()?;
        if is_page { name.to_str()?.parse().ok() } else { None }
    };
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let open = open.filter_map(|entry| fs::read_link(entry.path()).ok()).find_map(of_page);
    open.or_else(|| {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        // Address, access, offset, device and inode come before the path, which may have blanks.
        maps.lines().filter_map(|line| line.find('/').map(|at| line[at..].into())).find_map(of_page)
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_folders_named_by_a_job_are_machines() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["7", "19", "lost+found", "-1"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("8"), "").unwrap();
        let mut jobs = jobs_in(folder.path()).unwrap();
        jobs.sort();
        assert_eq!(jobs, [JobId(7), JobId(19)]);
    }

    #[test]
    fn the_holder_of_a_status_page_is_found_also_when_the_page_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().canonicalize().unwrap();
        fs::create_dir(run_dir.join("7")).unwrap();
        let path = run_dir.join("7").join(STATUS_FILE);
        let page = fs::File::create(&path).unwrap();
        let other = fs::File::create(run_dir.join("7/other")).unwrap();
        let start = |stdout: fs::File| {
            Command::new("sleep").arg("60").stdout(Stdio::from(stdout)).spawn().unwrap()
        };
        let (mut holder, mut bystander) = (start(page), start(other));
        let expected = BTreeMap::from([(JobId(7), vec![holder.id()])]);
        assert_eq!(monitors(&run_dir), expected);
        fs::remove_file(&path).unwrap();
        assert_eq!(monitors(&run_dir), expected);

        kill_strays(&run_dir, JobId(7), &[holder.id(), bystander.id()], None);
        assert_eq!(monitors(&run_dir), BTreeMap::new());
        assert_eq!(bystander.try_wait().unwrap(), None, "a bystander was killed");
        bystander.kill().unwrap();
        bystander.wait().unwrap();
        // Reaped by kill_strays, or here.
        let _ = holder.wait();
    }
}
