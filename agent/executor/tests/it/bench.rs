//! What every test needs: an executor in a folder of its own, images, and an ear for reports.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    future::Future,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use aleph_executor::{
    Capacity, DesiredVm, DesiredVms, Executor, ExecutorError, ExecutorOptions, ImageError, Images,
    Power, Reports, RestartPolicy, VmEvent, VmState, VmView,
};
use aleph_types::{Cid, Digest, JobId, JobSpec, Resources};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::standin;

pub(crate) const CAPACITY: Capacity = Capacity { vcpus: 4, memory_mib: 1024, disk_mib: 64 };
pub(crate) const SMALL: Resources = Resources { vcpus: 1, memory_mib: 64, disk_mib: 1 };

/// So long does a test wait for what has to come. A busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    root: PathBuf,
    /// Removes the folder in the end.
    _folder: Option<TempDir>,
    pub(crate) options: ExecutorOptions,
    pub(crate) images: TestImages,
    pub(crate) heard: Heard,
    desired: watch::Sender<Option<DesiredVms>>,
    running: Option<Running>,
}

struct Running {
    executor: Executor,
    cancelled: CancellationToken,
    task: JoinHandle<Result<(), ExecutorError>>,
}

impl Bench {
    /// With an executor that does not know yet what is desired.
    pub(crate) fn new(adjust: impl FnOnce(&mut ExecutorOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Self::at(folder.path(), adjust);
        bench._folder = Some(folder);
        bench
    }

    /// In a folder that is shared with another process.
    pub(crate) fn at(root: &Path, adjust: impl FnOnce(&mut ExecutorOptions)) -> Self {
        let mut options = ExecutorOptions::appliance(root.join("data"), CAPACITY);
        options.monitor = vec![standin::install(root).into()];
        options.kernel = root.join("vmlinux");
        options.run_dir = root.join("run");
        options.cgroup = None;
        // No test leaves interfaces of this name, so none meets another's.
        options.tap_prefix = "alephtest".to_owned();
        // Nothing but what a test makes happen.
        options.resync = Duration::from_secs(600);
        options.restart = RestartPolicy { pause: Duration::from_millis(10), ..Default::default() };
        adjust(&mut options);
        fs::write(&options.kernel, "a kernel").unwrap();
        let images = TestImages { folder: Arc::new(root.join("images")), panics: Arc::default() };
        fs::create_dir_all(&*images.folder).unwrap();
        let mut bench = Self {
            root: root.to_owned(),
            _folder: None,
            options,
            images,
            heard: Heard::default(),
            desired: watch::channel(None).0,
            running: None,
        };
        bench.start();
        bench
    }

    /// An executor, as a new agent makes one.
    pub(crate) fn start(&mut self) {
        assert!(self.running.is_none(), "one at a time");
        let (executor, reconciler) = Executor::new(
            self.options.clone(),
            self.images.clone(),
            self.heard.clone(),
            self.desired.subscribe(),
        )
        .unwrap();
        let cancelled = CancellationToken::new();
        let task = tokio::spawn(reconciler.run(cancelled.clone()));
        self.running = Some(Running { executor, cancelled, task });
    }

    /// Ends the executor, as the end of its agent does.
    pub(crate) async fn end(&mut self) {
        let running = self.running.take().expect("an executor runs");
        running.cancelled.cancel();
        running.task.await.unwrap().unwrap();
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.running.as_ref().expect("an executor runs").executor
    }

    /// What a new agent knows before it has asked the chain.
    pub(crate) fn desire_unknown(&self) {
        self.desired.send_replace(None);
    }

    pub(crate) fn desire_nothing(&self) {
        self.desired.send_replace(Some(DesiredVms::new()));
    }

    /// Adds a machine to what is desired, or changes what is desired of it.
    pub(crate) fn desire(&self, job: u64, rootfs: Cid, resources: Resources, power: Power) {
        let id = JobId(job);
        let spec = JobSpec { id, manifest: Digest([7; 32]), rootfs, resources };
        let vm = DesiredVm { spec, power };
        self.desired.send_modify(|desired| {
            desired.get_or_insert_default().insert(id, vm);
        });
    }

    pub(crate) fn view(&self, job: u64) -> Option<VmView> {
        self.executor().view(JobId(job))
    }

    pub(crate) async fn until(&self, what: &str, holds: impl FnMut() -> bool) {
        until(what, holds, || format!("{:?}, {:?}", self.executor().views().borrow(), self.heard))
            .await;
    }

    pub(crate) async fn until_state(
        &self,
        job: u64,
        what: &str,
        is: impl Fn(&VmState) -> bool,
    ) -> VmView {
        self.until(what, || self.view(job).is_some_and(|view| is(&view.state))).await;
        self.view(job).unwrap()
    }

    /// Waits until a machine runs; returns its process.
    pub(crate) async fn until_running(&self, job: u64) -> u32 {
        let view = self.until_state(job, "running", |state| *state == VmState::Running).await;
        view.pid.unwrap()
    }

    pub(crate) async fn until_failed(&self, job: u64) -> String {
        let view =
            self.until_state(job, "failed", |state| matches!(state, VmState::Failed { .. })).await;
        assert_eq!(view.pid, None);
        match view.state {
            VmState::Failed { reason } => reason,
            state => panic!("{state}"),
        }
    }

    pub(crate) async fn until_stopped(&self, job: u64) -> String {
        let is_stopped = |state: &VmState| matches!(state, VmState::Stopped { .. });
        match self.until_state(job, "stopped", is_stopped).await.state {
            VmState::Stopped { exit } => exit,
            state => panic!("{state}"),
        }
    }

    /// Waits until nothing is left of a machine but the memory of it.
    pub(crate) async fn until_removed(&self, job: u64) {
        self.until("removed", || !self.executor().views().borrow().contains_key(&JobId(job))).await;
    }

    /// All that a machine has written to its console.
    pub(crate) async fn console(&self, job: u64) -> Result<String, ExecutorError> {
        let console = self.executor().console(JobId(job), 0, 1 << 20).await?;
        Ok(String::from_utf8(console.bytes).unwrap())
    }

    /// How often a machine was started, by its disk.
    pub(crate) fn starts(&self, job: u64) -> u8 {
        let mut starts = [0];
        let disk = File::open(self.options.data_dir.join(format!("{job}/root.img"))).unwrap();
        disk.read_exact_at(&mut starts, standin::STARTS_OFFSET).unwrap();
        starts[0]
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Monitors outlive executors, but not tests.
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let maps = fs::read_to_string(entry.path().join("maps")).unwrap_or_default();
            let page = format!("{}/", self.root.join("run").display());
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let (true, Some(pid)) = (maps.contains(&page), pid) {
                kill(pid);
            }
        }
    }
}

/// Gives images from a folder, comparing them with their names as the node's storage does.
#[derive(Debug, Clone)]
pub(crate) struct TestImages {
    folder: Arc<PathBuf>,
    /// How often somebody asked for an image that makes whoever opens it panic.
    pub(crate) panics: Arc<AtomicU32>,
}

impl TestImages {
    /// The image of a machine that does this.
    pub(crate) fn add(&self, behaviour: &str) -> Cid {
        let mut bytes = format!("{behaviour}\n").into_bytes();
        bytes.resize(8192, 0);
        let cid = Cid::of(&bytes);
        fs::write(self.path(cid), bytes).unwrap();
        cid
    }

    pub(crate) fn path(&self, cid: Cid) -> PathBuf {
        self.folder.join(cid.to_string())
    }
}

impl Images for TestImages {
    async fn open(&self, cid: Cid) -> Result<File, ImageError> {
        let path = self.path(cid);
        let Ok(bytes) = fs::read(&path) else {
            return Err(ImageError::Unusable(format!("blob {cid} is not stored here").into()));
        };
        if Cid::of(&bytes) != cid {
            return Err(ImageError::Unusable(format!("blob {cid} is damaged").into()));
        }
        if bytes.starts_with(b"never") {
            std::future::pending::<()>().await;
        }
        if bytes.starts_with(b"panic") {
            self.panics.fetch_add(1, Ordering::Relaxed);
            panic!("the image wants it so");
        }
        File::open(path).map_err(|error| ImageError::Unavailable(error.into()))
    }
}

/// Keeps what was reported, without repetitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    events: Arc<Mutex<BTreeMap<JobId, Vec<VmEvent>>>>,
}

impl Heard {
    pub(crate) fn of(&self, job: u64) -> Vec<VmEvent> {
        self.events.lock().unwrap().get(&JobId(job)).cloned().unwrap_or_default()
    }

    pub(crate) fn forget(&self) {
        self.events.lock().unwrap().clear();
    }
}

impl Reports for Heard {
    fn report(&self, job: JobId, event: VmEvent) -> impl Future<Output = ()> + Send {
        let mut events = self.events.lock().unwrap();
        let events = events.entry(job).or_default();
        if events.last() != Some(&event) {
            events.push(event);
        }
        std::future::ready(())
    }
}

pub(crate) async fn until(
    what: &str,
    mut holds: impl FnMut() -> bool,
    describe: impl FnOnce() -> String,
) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not {what} in time: {}", describe());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// A process runs; one that has ended and was not waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
