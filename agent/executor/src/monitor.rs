use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::{fs::DirBuilderExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aleph_types::JobSpec;
use aleph_vmm::{
    control::{Client, Disk, Exit, MachineConfig, RateLimit, Request, Response, listen},
    status::{self, Reader, State},
};
use rustix::io::{FdFlags, fcntl_setfd};
use tokio::{task::spawn_blocking, time::Instant};
use tracing::warn;

use crate::{
    ExecutorError, ExecutorOptions, cgroup,
    options::Places,
    process::{Process, ProcessId, Termination},
};

/// The running monitor of a machine.
#[derive(Debug)]
pub(crate) struct Monitor {
    process: Process,
    places: Places,
    patience: Duration,
    since: Instant,
}

/// How a monitor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The kind of end, if the monitor had the time to say.
    pub(crate) exit: Option<Exit>,
    /// The end in words.
    pub(crate) words: String,
}

impl Ended {
    /// The end of a monitor that ended while there was no agent: only it can have said how.
    pub(crate) fn of_unwatched(places: &Places) -> Self {
        explain(None, places)
    }
}

impl Monitor {
    /// Starts the monitor of a machine whose disk is ready.
    pub(crate) async fn start(
        options: &ExecutorOptions,
        places: &Places,
        spec: &JobSpec,
    ) -> Result<Self, ExecutorError> {
        let (options_, places_, spec) = (options.clone(), places.clone(), spec.clone());
        let mut child = spawn_blocking(move || spawn(&options_, &places_, &spec))
            .await
            .map_err(|_| ExecutorError::Cancelled)??;
        match Process::child(child.id()) {
            Ok(process) => Ok(Self::watch(options, places, process)),
            Err(error) => {
                // Nobody would know of it: it must not run beside the next one.
                let _ = child.kill().and_then(|()| child.wait());
                Err(error)
            }
        }
    }

    /// Takes over the monitor that an earlier agent started, if it lives and answers. One that
    /// lives and does not answer is killed: nobody could ever command it.
    pub(crate) async fn adopt(
        options: &ExecutorOptions,
        places: &Places,
        id: &ProcessId,
    ) -> Option<Self> {
        let monitor = Self::watch(options, places, Process::find(id)?);
        match monitor.ask(Request::Status).await {
            Ok(Response::Status(status)) if status.pid == id.pid => Some(monitor),
            answer => {
                warn!(pid = id.pid, ?answer, "a running monitor cannot be commanded: killing it");
                monitor.kill();
                monitor.process.ended().await;
                None
            }
        }
    }

    pub(crate) fn id(&self) -> &ProcessId {
        self.process.id()
    }

    /// How long this agent has known it.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// What the machine does, in its own words, once it has any.
    pub(crate) fn state(&self) -> Option<State> {
        Reader::open(&self.places.status()).and_then(|page| page.snapshot()).ok().map(|it| it.state)
    }

    /// Has a request carried out.
    pub(crate) async fn command(&self, request: Request) -> Result<(), ExecutorError> {
        match self.ask(request).await? {
            Response::Done => Ok(()),
            Response::Error(words) => Err(ExecutorError::Refused(words)),
            Response::Status(_) => Err(ExecutorError::Refused("answered another question".into())),
        }
    }

    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> Ended {
        let termination = self.process.ended().await;
        explain(termination, &self.places)
    }

    fn watch(options: &ExecutorOptions, places: &Places, process: Process) -> Self {
        let (places, patience) = (places.clone(), options.monitor_patience);
        Self { process, places, patience, since: Instant::now() }
    }

    async fn ask(&self, request: Request) -> Result<Response, ExecutorError> {
        let (path, patience) = (self.places.control(), self.patience);
        spawn_blocking(move || Client::connect(&path, patience)?.request(&request))
            .await
            .map_err(|_| ExecutorError::Cancelled)?
            .map_err(ExecutorError::Monitor)
    }
}

/// Checks what can be checked of a machine before anything is made for it.
pub(crate) fn check(options: &ExecutorOptions, spec: &JobSpec) -> Result<(), ExecutorError> {
    // Any descriptors do: they are not looked at.
    let descriptors = Descriptors { kernel: 3, disk: 4, status: 5, control: 6 };
    machine_config(options, spec, descriptors).validate().map_err(ExecutorError::Machine)
}

/// Descriptors lose their close-on-exec flag just before the monitor is started. Only the
/// executor starts processes in the agent, and this keeps two starts from seeing each other's.
static STARTING: Mutex<()> = Mutex::new(());

/// The end of the monitor's own words that is worth repeating.
const LOG_BYTES: u64 = 512;

fn spawn(
    options: &ExecutorOptions,
    places: &Places,
    spec: &JobSpec,
) -> Result<Child, ExecutorError> {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let log = renew_run_dir(places)?;
    let kernel = File::open(&options.kernel)
        .map_err(ExecutorError::file("open the guest kernel", &options.kernel))?;
    let disk = File::options()
        .read(true)
        .write(true)
        .open(places.disk())
        .map_err(ExecutorError::file("open the disk", &places.disk()))?;
    let page = status::create(&places.status()).map_err(ExecutorError::Monitor)?;
    let socket = listen(&places.control()).map_err(ExecutorError::Monitor)?;
    let descriptors = Descriptors {
        kernel: kernel.as_raw_fd(),
        disk: disk.as_raw_fd(),
        status: page.as_raw_fd(),
        control: socket.as_raw_fd(),
    };
    let config = machine_config(options, spec, descriptors);
    let config = config.to_memory_file().map_err(ExecutorError::Machine)?;

    let program = options.monitor.first().map(PathBuf::from).unwrap_or_default();
    let failed = |source| ExecutorError::Spawn { program: program.clone(), source };
    for fd in [kernel.as_fd(), disk.as_fd(), page.as_fd(), socket.as_fd(), config.as_fd()] {
        fcntl_setfd(fd, FdFlags::empty()).map_err(|error| failed(error.into()))?;
    }
    let group = make_cgroup(places, spec);
    let child = Command::new(&program)
        .args(options.monitor.iter().skip(1))
        .args(["--config-fd", &config.as_raw_fd().to_string()])
        .env_clear()
        .current_dir("/")
        // What is meant for the agent's group, such as Ctrl-C, is not meant for machines.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    if let Some(group) = group
        && let Err(error) = cgroup::add(group, child.id())
    {
        warn!(job = %spec.id, %error, "the machine runs outside of its control group");
    }
    Ok(child)
}

/// The numbers of the files that a monitor inherits.
struct Descriptors {
    kernel: i32,
    disk: i32,
    status: i32,
    control: i32,
}

fn machine_config(
    options: &ExecutorOptions,
    spec: &JobSpec,
    descriptors: Descriptors,
) -> MachineConfig {
    MachineConfig {
        // What does not fit into the types is over the monitor's limits, and refused by them.
        vcpus: u8::try_from(spec.resources.vcpus).unwrap_or(u8::MAX),
        memory_mib: u32::try_from(spec.resources.memory_mib).unwrap_or(u32::MAX),
        cmdline: options.cmdline.clone(),
        kernel_fd: descriptors.kernel,
        disks: vec![Disk {
            fd: descriptors.disk,
            read_only: false,
            serial: "root".into(),
            limit: RateLimit::default(),
        }],
        cards: Vec::new(),
        status_fd: descriptors.status,
        control_fd: descriptors.control,
    }
}

/// Clears away what an earlier monitor of the machine left; returns the file for the new one's
/// words.
fn renew_run_dir(places: &Places) -> Result<File, ExecutorError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&places.run)
        .map_err(ExecutorError::file("create", &places.run))?;
    for path in [places.status(), places.control()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ExecutorError::file("remove", &path)(error));
            }
            _ => {}
        }
    }
    File::create(places.log()).map_err(ExecutorError::file("create", &places.log()))
}

/// Machines without limits are better than none: a host that does not have them only warns.
fn make_cgroup<'a>(places: &'a Places, spec: &JobSpec) -> Option<&'a Path> {
    let group = places.cgroup.as_deref()?;
    if let Err(error) = cgroup::create(group, spec.resources) {
        warn!(job = %spec.id, group = %group.display(), %error, "some limits are not in force");
    }
    group.is_dir().then_some(group)
}

fn explain(termination: Option<Termination>, places: &Places) -> Ended {
    let report = Reader::open(&places.status()).and_then(|page| page.snapshot()).ok();
    let report = report.and_then(|snapshot| snapshot.exit);
    // The kernel's word before the monitor's own; of an adopted monitor there is only its own.
    let exit = match termination {
        Some(Termination::Code(code)) => Exit::from_code(code),
        Some(Termination::Signal(_)) => None,
        None => report.as_ref().map(|report| report.exit),
    };
    let reason = report.filter(|report| Some(report.exit) == exit && !report.reason.is_empty());
    let words = match (reason, exit, termination) {
        (Some(report), ..) => report.reason,
        (None, Some(exit), _) => with_log(in_words(exit), places),
        (None, None, Some(Termination::Code(code))) => {
            with_log(&format!("the monitor ended with the unknown code {code}"), places)
        }
        (None, None, Some(Termination::Signal(signal))) => {
            with_log(&format!("the monitor was ended by signal {signal}"), places)
        }
        (None, None, None) => with_log("the monitor ended without a word", places),
    };
    Ended { exit, words }
}

fn in_words(exit: Exit) -> &'static str {
    match exit {
        Exit::PoweredOff => "the guest powered off",
        Exit::Reset => "the guest reset itself",
        Exit::Crashed => "the guest crashed",
        Exit::Stopped => "the machine was stopped",
        Exit::BadConfig => "the monitor refused its configuration",
        Exit::BadImage => "the kernel or the disk cannot be used",
        Exit::NoKvm => "this node has no usable KVM",
        Exit::Internal => "the monitor failed",
    }
}

fn with_log(words: &str, places: &Places) -> String {
    match log_end(&places.log()) {
        Ok(log) if !log.is_empty() => format!("{words}: {log}"),
        _ => words.to_owned(),
    }
}

fn log_end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size_bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(size_bytes.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use aleph_vmm::status::Writer;

    use super::*;
    use crate::Capacity;

    fn places(folder: &Path) -> Places {
        let mut options = ExecutorOptions::appliance(
            folder.join("data"),
            Capacity { vcpus: 1, memory_mib: 1, disk_mib: 1 },
        );
        options.run_dir = folder.join("run");
        options.places(aleph_types::JobId(7))
    }

    #[test]
    fn an_end_is_explained_by_the_best_witness() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let code = |code| Some(Termination::Code(code));
        fs::create_dir_all(&places.run).unwrap();

        let ended = explain(None, &places);
        assert_eq!(ended, Ended { exit: None, words: "the monitor ended without a word".into() });
        let ended = explain(code(10), &places);
        assert_eq!(ended.exit, Some(Exit::Reset));
        fs::write(places.log(), "aleph-vmm: no\n  vmlinux\n").unwrap();
        let ended = explain(code(65), &places);
        let words = "the kernel or the disk cannot be used: aleph-vmm: no vmlinux";
        assert_eq!(ended, Ended { exit: Some(Exit::BadImage), words: words.into() });

        let page = Writer::new(&status::create(&places.status()).unwrap()).unwrap();
        page.set_stopped(Exit::Crashed, "triple fault");
        let crashed = Ended { exit: Some(Exit::Crashed), words: "triple fault".into() };
        assert_eq!(explain(None, &places), crashed);
        assert_eq!(explain(code(11), &places), crashed);
        // A page that contradicts the kernel is not believed.
        let ended = explain(Some(Termination::Signal(9)), &places);
        assert_eq!(ended.exit, None);
        assert!(ended.words.starts_with("the monitor was ended by signal 9"), "{}", ended.words);
        assert_eq!(explain(code(0), &places).exit, Some(Exit::PoweredOff));
    }

    #[test]
    fn a_long_log_is_cut_at_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, format!("{} end", "x".repeat(10_000))).unwrap();
        let end = log_end(&path).unwrap();
        assert_eq!(end.len() as u64, LOG_BYTES);
        assert!(end.ends_with("x end"));
    }
}
