use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use aleph_types::JobId;
use aleph_vmm::status::PAGE_SIZE_BYTES;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    ExecutorError, VmView, disk,
    leftovers::{jobs_in, remove_folder},
    options::{RECORD_FILE, STATUS_FILE},
    record::Record,
};

/// So many removed machines are remembered: with the largest status pages they take 65 MiB, which
/// the part of the data disk that is not for machines has room for.
pub const ENDED_MAX: usize = 64;

/// So long a removed machine is remembered: whoever looks the next day still finds out why it
/// ended, and what a customer's guest printed stays no longer than that takes.
pub const ENDED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What is kept of machines that were removed: how each ended, and the end of its console. Every
/// one has a folder with its last record, whose age is its own, and its status page.
#[derive(Debug)]
pub(crate) struct Archive {
    folder: PathBuf,
    kept: Mutex<BTreeMap<JobId, Kept>>,
    /// Held while files change, so that nobody who only asks what is kept waits for the disk.
    changing: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Kept {
    since: SystemTime,
    view: VmView,
}

impl Archive {
    /// Reads what earlier agents have kept. Blocks, shortly.
    pub(crate) fn open(folder: &Path) -> Result<Self, ExecutorError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(ExecutorError::file("create", folder))?;
        remove_folder(&folder.join(UNFINISHED))?;
        let archive =
            Self { folder: folder.to_owned(), kept: Mutex::default(), changing: Mutex::default() };
        for job in jobs_in(folder).map_err(ExecutorError::file("list", folder))? {
            match archive.read(job) {
                Some(kept) => drop(archive.kept().insert(job, kept)),
                None => archive.remove(job),
            }
        }
        archive.prune(SystemTime::now());
        Ok(archive)
    }

    /// Keeps how a machine ended, and its status page if it was ever started. Blocks.
    pub(crate) fn keep(&self, record: &Record, page: &Path) -> Result<(), ExecutorError> {
        let job = record.spec.id;
        let changing = self.changing();
        // It is here if an earlier removal was interrupted, and the page may be gone since.
        if self.kept().contains_key(&job) {
            return Ok(());
        }
        let (new, path) = (self.folder.join(UNFINISHED), self.path(job));
        remove_folder(&new)?;
        record.save(&new.join(RECORD_FILE))?;
        copy_page(page, &new.join(STATUS_FILE))?;
        remove_folder(&path)?;
        fs::rename(&new, &path).map_err(ExecutorError::file("finish", &path))?;
        let now = SystemTime::now();
        self.kept().insert(job, Kept { since: now, view: final_view(record) });
        drop(changing);
        self.prune(now);
        Ok(())
    }

    /// Forgets a machine because there is a new one of the same job. Blocks if there was an old
    /// one.
    pub(crate) fn discard(&self, job: JobId) {
        let _changing = self.changing();
        if self.kept().remove(&job).is_some() {
            self.remove(job);
        }
    }

    /// Forgets what is too much or too old. Blocks if there is any.
    pub(crate) fn prune(&self, now: SystemTime) {
        let _changing = self.changing();
        for (index, (job, since)) in self.newest_first().into_iter().enumerate() {
            // A clock that was set back makes nothing old.
            let age = now.duration_since(since).unwrap_or_default();
            if index >= ENDED_MAX || age > ENDED_FOR {
                info!(%job, "forgetting a machine that was removed");
                self.kept().remove(&job);
                self.remove(job);
            }
        }
    }

    pub(crate) fn view(&self, job: JobId) -> Option<VmView> {
        self.kept().get(&job).map(|kept| kept.view.clone())
    }

    /// All of them, the one that was removed last first.
    pub(crate) fn views(&self) -> Vec<VmView> {
        self.newest_first().into_iter().filter_map(|(job, _)| self.view(job)).collect()
    }

    /// Where the status page of a machine is, if it was ever started.
    pub(crate) fn page(&self, job: JobId) -> PathBuf {
        self.path(job).join(STATUS_FILE)
    }

    fn path(&self, job: JobId) -> PathBuf {
        self.folder.join(job.to_string())
    }

    fn read(&self, job: JobId) -> Option<Kept> {
        let path = self.path(job).join(RECORD_FILE);
        let record = Record::load(&path).filter(|record| record.spec.id == job)?;
        let since = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        Some(Kept { since, view: final_view(&record) })
    }

    fn remove(&self, job: JobId) {
        if let Err(error) = remove_folder(&self.path(job)) {
            // The next agent finds it and tries again.
            error!(%job, %error, "what was kept of a machine could not be removed");
        }
    }

    fn newest_first(&self) -> Vec<(JobId, SystemTime)> {
        let mut all: Vec<_> = self.kept().iter().map(|(job, kept)| (*job, kept.since)).collect();
        all.sort_by_key(|(job, since)| std::cmp::Reverse((*since, *job)));
        all
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<JobId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No job's name: a folder that was not finished is not taken for one that was.
const UNFINISHED: &str = "new";

fn final_view(record: &Record) -> VmView {
    let Record { spec, failures, .. } = record;
    VmView { spec: spec.clone(), state: record.resting_state(), failures: *failures, pid: None }
}

/// Copies what a status page holds: mostly nothing, and never more than one has, whatever size
/// its monitor gave it.
fn copy_page(from: &Path, to: &Path) -> Result<(), ExecutorError> {
    let page = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        page => page.map_err(ExecutorError::file("open", from))?,
    };
    let copy = || {
        let size_bytes = page.metadata()?.len().min(PAGE_SIZE_BYTES as u64);
        let kept = File::options().write(true).create_new(true).mode(0o600).open(to)?;
        disk::copy(&page, &kept, size_bytes, &CancellationToken::new())
    };
    copy().map_err(ExecutorError::file("copy the status page to", to))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use aleph_types::{Cid, Digest, JobSpec, Resources};

    use super::*;
    use crate::{VmState, record::End};

    fn record(job: u64) -> Record {
        let mut record = Record::new(JobSpec {
            id: JobId(job),
            manifest: Digest([1; 32]),
            rootfs: Cid::of(b"x"),
            resources: Resources::default(),
        });
        record.end = Some(End::Failed { reason: format!("reason {job}") });
        record
    }

    fn jobs(archive: &Archive) -> Vec<u64> {
        archive.views().iter().map(|view| view.spec.id.0).collect()
    }

    #[test]
    fn the_newest_are_kept_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        let page = folder.path().join("no page");
        let before = SystemTime::now();
        for job in 0..ENDED_MAX as u64 + 3 {
            archive.keep(&record(job), &page).unwrap();
        }
        let newest: Vec<u64> = (3..ENDED_MAX as u64 + 3).rev().collect();
        assert_eq!(jobs(&archive), newest);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), ENDED_MAX);
        assert_eq!(jobs(&Archive::open(folder.path()).unwrap()), newest);

        archive.prune(before - ENDED_FOR);
        archive.prune(before + ENDED_FOR);
        assert_eq!(jobs(&archive), newest);
        archive.prune(SystemTime::now() + ENDED_FOR + Duration::from_secs(1));
        assert_eq!(jobs(&archive), [0; 0]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_new_machine_replaces_the_old_and_half_a_removal_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        let page = folder.path().join("page");
        fs::write(&page, "a page").unwrap();
        archive.keep(&record(7), &page).unwrap();
        fs::remove_file(&page).unwrap();
        let mut other = record(7);
        other.end = Some(End::Failed { reason: "another".into() });
        let reason = |words: &str| VmState::Failed { reason: words.into() };

        archive.keep(&other, &page).unwrap();
        assert_eq!(archive.view(JobId(7)).unwrap().state, reason("reason 7"));
        assert_eq!(fs::read(archive.page(JobId(7))).unwrap(), b"a page");
        archive.discard(JobId(7));
        assert_eq!(archive.view(JobId(7)), None);
        archive.keep(&other, &page).unwrap();
        assert_eq!(archive.view(JobId(7)).unwrap().state, reason("another"));
        assert!(!archive.page(JobId(7)).exists());
    }

    #[test]
    fn a_page_takes_what_it_holds_and_no_more_than_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let page = File::create(&from).unwrap();
        page.write_all_at(b"header", 0).unwrap();
        page.set_len(PAGE_SIZE_BYTES as u64 * 100).unwrap();
        copy_page(&from, &to).unwrap();
        let kept = fs::metadata(&to).unwrap();
        assert_eq!(kept.len(), PAGE_SIZE_BYTES as u64);
        assert!(kept.blocks() * 512 <= 256 << 10, "{} blocks", kept.blocks());
    }

    #[test]
    fn what_cannot_be_read_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        Archive::open(folder.path()).unwrap().keep(&record(7), Path::new("/nowhere")).unwrap();
        fs::rename(folder.path().join("7"), folder.path().join("8")).unwrap();
        for name in ["9", UNFINISHED] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(jobs(&Archive::open(folder.path()).unwrap()), [0; 0]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
