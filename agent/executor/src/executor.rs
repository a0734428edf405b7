use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aleph_types::{JobId, JobSpec, text::in_words};
use aleph_vmm::status::{Console, Reader};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    Capacity, DesiredVms, ExecutorError, ExecutorOptions, Images, Power, Reports, VmView, VmViews,
    archive::Archive,
    capacity::Ledger,
    leftovers::{self, Leftovers},
    record::Record,
    supervisor::{Goal, Shared, Supervisor},
};

/// Everyone's handle to the machines of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Executor {
    options: Arc<ExecutorOptions>,
    ledger: Arc<Ledger>,
    views: watch::Receiver<VmViews>,
    archive: Arc<Archive>,
    power_down: Arc<watch::Sender<Option<Duration>>>,
    all_down: watch::Receiver<bool>,
}

impl Executor {
    /// The handle, and the work behind it: [`Reconciler::run`] has to be run for anything to
    /// happen. While `desired` is `None`, running machines are adopted and attended to, and
    /// nothing is started, stopped or removed.
    pub fn new<I: Images, R: Reports>(
        mut options: ExecutorOptions,
        images: I,
        reports: R,
        desired: watch::Receiver<Option<DesiredVms>>,
    ) -> Result<(Self, Reconciler<I, R>), ExecutorError> {
        let run_dir = options.run_dir.clone();
        let canonical = || {
            fs::create_dir_all(&run_dir)?;
            run_dir.canonicalize()
        };
        // Processes are known by the files they use, and the kernel resolves links in their names.
        options.run_dir = canonical().map_err(ExecutorError::file("create", &run_dir))?;
        let archive = Arc::new(Archive::open(&options.ended_dir)?);
        let options = Arc::new(options);
        let ledger = Arc::new(Ledger::new(options.capacity));
        let (views, views_receiver) = watch::channel(VmViews::new());
        let (power_down, power_down_receiver) = watch::channel(None);
        let (all_down, all_down_receiver) = watch::channel(false);
        let executor = Self {
            options: options.clone(),
            ledger: ledger.clone(),
            views: views_receiver,
            archive: archive.clone(),
            power_down: Arc::new(power_down),
            all_down: all_down_receiver,
        };
        let reconciler = Reconciler {
            shared: Arc::new(Shared { options, ledger, views, archive, images, reports }),
            desired,
            power_down: power_down_receiver,
            all_down,
            vms: BTreeMap::new(),
            tasks: JoinSet::new(),
            strays: Leftovers::default(),
        };
        Ok((executor, reconciler))
    }

    /// All machines that have not been removed, now and whenever one of them changes.
    pub fn views(&self) -> watch::Receiver<VmViews> {
        self.views.clone()
    }

    /// All machines, now: those that have not been removed, then those that were and are still
    /// remembered, the last one first.
    pub fn list(&self) -> Vec<VmView> {
        // In this order: whatever is removed meanwhile has been put into the archive before.
        let present = self.views.borrow().clone();
        let mut ended = self.archive.views();
        ended.retain(|view| !present.contains_key(&view.spec.id));
        present.into_values().chain(ended).collect()
    }

    /// One machine, now. One that was removed is still remembered for a while, as stopped or
    /// failed.
    pub fn view(&self, job: JobId) -> Option<VmView> {
        let present = self.views.borrow().get(&job).cloned();
        present.or_else(|| self.archive.view(job))
    }

    /// What a machine that is on this host was made for, by its own record; known from the first
    /// moment, when nothing was adopted yet.
    pub fn recorded(&self, job: JobId) -> Option<JobSpec> {
        Record::load(&self.options.places(job).record()).map(|record| record.spec)
    }

    /// What machines may occupy together.
    pub fn capacity(&self) -> Capacity {
        self.options.capacity
    }

    /// What the next machine may occupy, its monitor's memory included.
    pub fn available(&self) -> Capacity {
        self.ledger.available()
    }

    /// What a machine has written to its console since its last start, from a position on. The
    /// last MiB is kept, also after the machine's end and for a while after its removal.
    pub async fn console(
        &self,
        job: JobId,
        offset: u64,
        size_bytes_max: usize,
    ) -> Result<Console, ExecutorError> {
        if self.view(job).is_none() {
            return Err(ExecutorError::UnknownJob { job });
        }
        let pages = [self.options.places(job).status(), self.archive.page(job)];
        let read = move || {
            for path in &pages {
                match File::open(path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    page => {
                        let page = page.map_err(ExecutorError::file("open", path))?;
                        let console = Reader::new(page).console(offset, size_bytes_max);
                        return console.map_err(ExecutorError::Monitor);
                    }
                }
            }
            Err(ExecutorError::NoConsole { job })
        };
        spawn_blocking(read).await.map_err(|_| ExecutorError::Cancelled)?
    }

    /// Ends all machines because the host goes down: they are desired as before, and run again
    /// when the host does. Returns when none runs; that takes little longer than `grace`.
    pub async fn power_down(&self, grace: Duration) {
        self.power_down.send_replace(Some(grace));
        // An error means that there is no reconciler, and nobody to wait for.
        let _ = self.all_down.clone().wait_for(|all_down| *all_down).await;
    }
}

/// Keeps the machines as desired.
#[derive(Debug)]
pub struct Reconciler<I, R> {
    shared: Arc<Shared<I, R>>,
    desired: watch::Receiver<Option<DesiredVms>>,
    power_down: watch::Receiver<Option<Duration>>,
    all_down: watch::Sender<bool>,
    vms: BTreeMap<JobId, Vm>,
    tasks: JoinSet<()>,
    strays: Leftovers,
}

/// A machine's supervisor, or the task that removes what is left of a machine without record.
#[derive(Debug)]
struct Vm {
    task: Id,
    goal: watch::Sender<Goal>,
    /// Its task panicked, and a new one is not started before the next resync.
    has_failed: bool,
}

impl<I: Images, R: Reports> Reconciler<I, R> {
    /// Works until cancelled. The machines go on running then, and the next agent adopts them.
    pub async fn run(mut self, cancelled: CancellationToken) -> Result<(), ExecutorError> {
        let records = self.look_around().await?;
        for record in records {
            self.supervise(record.spec, Goal::Keep);
        }
        let mut resync = interval(self.shared.options.resync);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let power_down = *self.power_down.borrow_and_update();
            match power_down {
                Some(_) if self.vms.values().all(|vm| vm.has_failed) => {
                    self.all_down.send_replace(true);
                }
                Some(grace) => self.set_all(Goal::PowerDown { grace }),
                None => self.reconcile(),
            }
            tokio::select! {
                () = cancelled.cancelled() => return Ok(()),
                // Without a sender, the last wish stays.
                Ok(()) = self.desired.changed() => {}
                Ok(()) = self.power_down.changed() => {}
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
                _ = resync.tick() => {
                    self.vms.retain(|_, vm| !vm.has_failed);
                    let archive = self.shared.archive.clone();
                    self.tasks.spawn_blocking(move || archive.prune(SystemTime::now()));
                }
            }
        }
    }

    async fn look_around(&mut self) -> Result<Vec<Record>, ExecutorError> {
        let options = self.shared.options.clone();
        let look = move || {
            let mut found = Leftovers::find(&options)?;
            let records: Vec<_> = found
                .jobs
                .iter()
                .filter_map(|job| Record::load(&options.places(*job).record()))
                .filter(|record| found.jobs.contains(&record.spec.id))
                .collect();
            for record in &records {
                found.jobs.remove(&record.spec.id);
            }
            Ok((found, records))
        };
        let (found, records) =
            spawn_blocking(look).await.map_err(|_| ExecutorError::Cancelled)??;
        info!(machines = records.len(), strays = ?found.jobs, "looked for what is left here");
        self.strays = found;
        Ok(records)
    }

    fn reconcile(&mut self) {
        let Some(desired) = self.desired.borrow_and_update().clone() else { return };
        for (job, vm) in &desired {
            if !self.vms.contains_key(job) {
                self.strays.jobs.remove(job);
                self.supervise(vm.spec.clone(), Goal::Keep);
            }
        }
        for (job, vm) in &self.vms {
            let goal = match desired.get(job).map(|vm| vm.power) {
                Some(Power::On) => Goal::Run,
                Some(Power::Off) => Goal::Stop,
                None => Goal::Remove,
            };
            vm.set(goal);
        }
        for job in std::mem::take(&mut self.strays.jobs) {
            self.remove_stray(job);
        }
    }

    fn supervise(&mut self, spec: JobSpec, goal: Goal) {
        let job = spec.id;
        let (sender, receiver) = watch::channel(goal);
        let processes = self.strays.processes.remove(&job).unwrap_or_default();
        let supervisor = Supervisor::new(self.shared.clone(), spec, receiver);
        let task = self.tasks.spawn(supervisor.run(processes)).id();
        self.vms.insert(job, Vm { task, goal: sender, has_failed: false });
    }

    /// There is no record, so nothing is known but the places.
    fn remove_stray(&mut self, job: JobId) {
        let processes = self.strays.processes.remove(&job).unwrap_or_default();
        let options = self.shared.options.clone();
        warn!(%job, "removing what is left of a machine that is not desired");
        let remove = move || {
            leftovers::kill_strays(&options.run_dir, job, &processes, None);
            if let Err(error) = leftovers::remove(&options.places(job)) {
                error!(%job, error = in_words(&error), "not all could be removed");
            }
        };
        let task = self.tasks.spawn_blocking(remove).id();
        let (goal, _) = watch::channel(Goal::Remove);
        self.vms.insert(job, Vm { task, goal, has_failed: false });
    }

    fn set_all(&self, goal: Goal) {
        self.vms.values().for_each(|vm| vm.set(goal));
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        match ended {
            Ok((task, ())) => self.vms.retain(|_, vm| vm.task != task),
            Err(error) => {
                // The next one begins anew with what the record says.
                error!(%error, "a machine's supervisor failed");
                let failed = self.vms.values_mut().filter(|vm| vm.task == error.id());
                failed.for_each(|vm| vm.has_failed = true);
            }
        }
    }
}

impl Vm {
    /// A removal that has begun is carried through, though faster if the host goes down; if the
    /// machine is desired after all, it is made anew.
    fn set(&self, goal: Goal) {
        self.goal.send_if_modified(|current| {
            let is_allowed = *current != Goal::Remove || matches!(goal, Goal::PowerDown { .. });
            let is_new = *current != goal && is_allowed;
            if is_new {
                *current = goal;
            }
            is_new
        });
    }
}
