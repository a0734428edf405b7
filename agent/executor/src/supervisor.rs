use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use aleph_types::{JobId, JobSpec, text::in_words};
use aleph_vmm::{
    control::{Exit, Request},
    status::State,
};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    ExecutorError, ExecutorOptions, Images, Reports, VmEvent, VmState, VmView, VmViews,
    archive::Archive,
    capacity::Ledger,
    disk, leftovers,
    monitor::{self, Ended, Monitor},
    options::{Places, RestartPolicy},
    record::{End, Record},
};

/// What the supervisors share.
#[derive(Debug)]
pub(crate) struct Shared<I, R> {
    pub(crate) options: Arc<ExecutorOptions>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) views: watch::Sender<VmViews>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) images: I,
    pub(crate) reports: R,
}

/// What the reconciler wants of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Nothing yet: what runs goes on, what does not is left so.
    Keep,
    /// It runs, until it ends by itself.
    Run,
    /// It does not run.
    Stop,
    /// It ends, and nothing of it is left but how it ended.
    Remove,
    /// It does not run, because the host goes down; its life goes on afterwards.
    PowerDown {
        /// How long its guest may take.
        grace: Duration,
    },
}

/// Sees to one machine from its first appearance to its removal.
pub(crate) struct Supervisor<I, R> {
    shared: Arc<Shared<I, R>>,
    job: JobId,
    places: Places,
    goal: watch::Receiver<Goal>,
    record: Record,
    monitor: Option<Monitor>,
    /// How often in a row the others had left it no room.
    room_waits: u32,
}

impl<I: Images, R: Reports> Supervisor<I, R> {
    pub(crate) fn new(
        shared: Arc<Shared<I, R>>,
        spec: JobSpec,
        goal: watch::Receiver<Goal>,
    ) -> Self {
        let (job, places) = (spec.id, shared.options.places(spec.id));
        Self { shared, job, places, goal, record: Record::new(spec), monitor: None, room_waits: 0 }
    }

    /// Runs until the machine is removed or the host goes down. Dropping the future leaves the
    /// machine running.
    pub(crate) async fn run(mut self, strays: Vec<u32>) {
        self.take_over(strays).await;
        loop {
            let goal = *self.goal.borrow_and_update();
            match (goal, self.monitor.take()) {
                (Goal::Keep | Goal::Run, Some(monitor)) => self.attend(monitor).await,
                (Goal::Keep, None) => self.rest().await,
                (Goal::Run, None) => match self.record.end {
                    None | Some(End::Stopped { desired: true, .. }) => self.launch().await,
                    Some(_) => self.rest().await,
                },
                (Goal::Stop, Some(monitor)) => {
                    let exit = self.bring_down(&monitor).await.words;
                    self.finish(End::Stopped { exit, desired: true }).await;
                }
                (Goal::Stop, None) if self.record.end.is_none() => self.finish(not_running()).await,
                (Goal::Stop, None) => self.rest().await,
                (Goal::Remove, monitor) => {
                    if let Some(monitor) = monitor {
                        let exit = self.bring_down(&monitor).await.words;
                        self.record.end = Some(End::Stopped { exit, desired: true });
                    }
                    self.keep().await;
                    return self.remove().await;
                }
                (Goal::PowerDown { .. }, monitor) => {
                    if let Some(monitor) = monitor {
                        self.bring_down(&monitor).await;
                        self.record.monitor = None;
                        self.save().await;
                    }
                    let exit = "the node is powering off".to_owned();
                    return self.publish(VmState::Stopped { exit });
                }
            }
        }
    }

    /// Finds out what an earlier agent has left of this machine.
    async fn take_over(&mut self, strays: Vec<u32>) {
        let path = self.places.record();
        if let Ok(Some(record)) = spawn_blocking(move || Record::load(&path)).await {
            self.record = record;
        }
        if let Some(id) = self.record.monitor.clone() {
            self.monitor = Monitor::adopt(&self.shared.options, &self.places, &id).await;
        }
        let adopted = self.monitor.as_ref().map(|monitor| monitor.id().pid);
        if !strays.is_empty() {
            let (options, job) = (self.shared.options.clone(), self.job);
            let kill = move || leftovers::kill_strays(&options.run_dir, job, &strays, adopted);
            // Its only failure is a panic, which has been logged.
            let _ = spawn_blocking(kill).await;
        }
        let Shared { ledger, options, .. } = &*self.shared;
        let is_made = self.places.disk().exists();
        if adopted.is_some() || is_made {
            ledger.occupy(self.job, self.record.spec.resources);
        }
        if let Some(pid) = adopted {
            info!(job = %self.job, pid, "adopted a running machine");
            return self.publish(VmState::Starting);
        }
        ledger.release_compute(self.job);
        self.publish(self.record.resting_state());
        match self.record.monitor.take() {
            // A host that was restarted ends all machines, through no fault of theirs.
            Some(id) if id.is_of_this_boot() => {
                // It may have run for long, so that a reset is taken as wanted.
                let age = options.restart.reset_is_wanted_after;
                self.after_end(Ended::of_unwatched(&self.places), age).await;
            }
            _ => self.report_end().await,
        }
    }

    /// Takes a machine from nothing to a started monitor, or notes why it cannot.
    async fn launch(&mut self) {
        self.record.end = None;
        let (archive, job) = (self.shared.archive.clone(), self.job);
        // Its only failure is a panic, which has been logged.
        let _ = spawn_blocking(move || archive.discard(job)).await;
        let cancelled = CancellationToken::new();
        // If this agent goes away in the middle, so does the work in other threads.
        let _guard = cancelled.clone().drop_guard();
        let mut goal = self.goal.clone();
        let prepared = {
            let mut preparing = pin!(self.prepare(&cancelled));
            tokio::select! {
                prepared = &mut preparing => prepared,
                () = changed(&mut goal) => {
                    // Waited for: nobody may write any more when the next goal is seen to.
                    cancelled.cancel();
                    preparing.await
                }
            }
        };
        if cancelled.is_cancelled() {
            return self.give_back();
        }
        // Not cut off by a changed goal: a process that was started must be known.
        let started = match prepared {
            Ok(()) => {
                self.room_waits = 0;
                self.start().await
            }
            Err(error) => Err(error),
        };
        match started {
            Ok(()) => {}
            Err(error) if error.is_lack_of_room() => self.wait_for_room(in_words(&error)).await,
            Err(error) => self.fail(in_words(&error), error.is_final()).await,
        }
    }

    async fn prepare(&self, cancelled: &CancellationToken) -> Result<(), ExecutorError> {
        let Shared { options, ledger, images, .. } = &*self.shared;
        let spec = &self.record.spec;
        self.publish(VmState::Preparing { detail: "fetching and checking the image".into() });
        monitor::check(options, spec)?;
        ledger.reserve(self.job, spec.resources)?;
        let path = self.places.disk();
        if path.exists() {
            return Ok(());
        }
        let image = tokio::select! {
            image = images.open(spec.rootfs) => image.map_err(ExecutorError::Image)?,
            () = cancelled.cancelled() => return Err(ExecutorError::Cancelled),
        };
        self.publish(VmState::Preparing { detail: "making the disk from the image".into() });
        let (disk_mib, cancelled) = (spec.resources.disk_mib, cancelled.clone());
        spawn_blocking(move || disk::prepare(&path, &image, disk_mib, &cancelled))
            .await
            .map_err(|_| ExecutorError::Cancelled)?
    }

    async fn start(&mut self) -> Result<(), ExecutorError> {
        // The record comes first: a place that cannot keep it shall not run machines.
        self.record.monitor = None;
        self.write_record().await?;
        let Shared { options, .. } = &*self.shared;
        let monitor = Monitor::start(options, &self.places, &self.record.spec).await?;
        info!(job = %self.job, pid = monitor.id().pid, "started a machine");
        self.record.monitor = Some(monitor.id().clone());
        self.monitor = Some(monitor);
        self.publish(VmState::Starting);
        self.save().await;
        Ok(())
    }

    /// Stays with a running monitor until it ends or something else is wanted of it.
    async fn attend(&mut self, monitor: Monitor) {
        let mut goal = self.goal.clone();
        let mut look = interval(LOOK_PERIOD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported: Option<Instant> = None;
        let mut is_too_slow = false;
        loop {
            tokio::select! {
                mut ended = monitor.ended() => {
                    if is_too_slow {
                        ended.words = "the guest did not start in time".to_owned();
                    }
                    return self.after_end(ended, monitor.age()).await;
                }
                () = changed(&mut goal) => return self.monitor = Some(monitor),
                _ = look.tick() => {}
            }
            let is_due = reported.is_none_or(|at| at.elapsed() >= self.shared.options.resync);
            if is_due && monitor.state() == Some(State::Running) {
                if reported.is_none() {
                    self.publish_running(&monitor);
                }
                reported = Some(Instant::now());
                self.shared.reports.report(self.job, VmEvent::Started).await;
            }
            if reported.is_none() && monitor.age() > self.shared.options.start_patience {
                warn!(job = %self.job, "a monitor takes too long to start: killing it");
                is_too_slow = true;
                monitor.kill();
            }
        }
    }

    async fn after_end(&mut self, ended: Ended, age: Duration) {
        self.record.monitor = None;
        info!(job = %self.job, exit = ?ended.exit, words = ended.words, "a machine ended");
        match verdict(ended.exit, age, &self.shared.options.restart) {
            Verdict::Done => {
                self.finish(End::Stopped { exit: ended.words, desired: false }).await;
            }
            Verdict::Again => self.save().await,
            Verdict::Failed { forgive, is_final } => {
                if forgive {
                    self.record.failures = 0;
                }
                self.fail(ended.words, is_final).await;
            }
        }
    }

    /// Other machines have what this one needs, which is no failure of its own. Returns when it is
    /// time to look again; after many looks in vain, the job is told that there is no room.
    async fn wait_for_room(&mut self, words: String) {
        let policy = &self.shared.options.restart;
        if self.room_waits >= policy.room_waits_max {
            let reason = format!("{words} (waited {} times for room)", self.room_waits);
            return self.finish(End::Failed { reason }).await;
        }
        self.room_waits += 1;
        let pause = policy.pause_after(self.room_waits);
        info!(job = %self.job, waits = self.room_waits, ?pause, words, "a machine waits for room");
        self.pause(words, pause).await;
    }

    /// Notes a failure. Unless it is the last one, returns when it is time to try again.
    async fn fail(&mut self, words: String, is_final: bool) {
        let policy = &self.shared.options.restart;
        self.record.failures = self.record.failures.saturating_add(1);
        let failures = self.record.failures;
        if is_final || failures >= policy.failures_max {
            let reason = match failures {
                1 => words,
                _ => format!("{words} (failed {failures} times in a row)"),
            };
            return self.finish(End::Failed { reason }).await;
        }
        let pause = policy.pause_after(failures);
        warn!(job = %self.job, failures, ?pause, words, "a machine failed and is tried again");
        self.save().await;
        self.pause(words, pause).await;
    }

    /// Lets others have what it does not need now. Returns when it is time to try again, or when
    /// something else is wanted.
    async fn pause(&self, words: String, pause: Duration) {
        self.give_back();
        let detail = format!("{words}; trying again in {} s", pause.as_secs());
        self.publish(VmState::Preparing { detail });
        let mut goal = self.goal.clone();
        tokio::select! {
            () = sleep(pause) => {}
            () = changed(&mut goal) => {}
        }
    }

    /// Frees what it occupies, but for a disk that is made.
    fn give_back(&self) {
        let Shared { ledger, .. } = &*self.shared;
        match self.places.disk().exists() {
            true => ledger.release_compute(self.job),
            false => ledger.release(self.job),
        }
    }

    /// Power button, then power cut, then the kernel's way. Comes back when the monitor is gone.
    async fn bring_down(&mut self, monitor: &Monitor) -> Ended {
        self.publish_stopping(monitor);
        let Shared { options, .. } = &*self.shared;
        let mut goal = self.goal.clone();
        let grace = match *goal.borrow_and_update() {
            Goal::PowerDown { grace } => grace,
            _ => options.stop_grace,
        };
        let mut deadline = Instant::now() + grace;
        match monitor.command(Request::PowerButton).await {
            Ok(()) => loop {
                tokio::select! {
                    ended = monitor.ended() => return ended,
                    () = sleep_until(deadline) => break,
                    () = changed(&mut goal) => {
                        if let Goal::PowerDown { grace } = *goal.borrow_and_update() {
                            deadline = deadline.min(Instant::now() + grace);
                        }
                    }
                }
            },
            Err(error) => warn!(job = %self.job, error = in_words(&error), "no power button"),
        }
        warn!(job = %self.job, "the guest does not end: cutting its power");
        match monitor.command(Request::Stop).await {
            Ok(()) => {
                if let Ok(ended) = timeout(options.monitor_patience, monitor.ended()).await {
                    return ended;
                }
            }
            Err(error) => warn!(job = %self.job, error = in_words(&error), "no power cut"),
        }
        warn!(job = %self.job, "the monitor does not end: killing it");
        monitor.kill();
        monitor.ended().await
    }

    async fn finish(&mut self, end: End) {
        self.record.monitor = None;
        if matches!(end, End::Stopped { .. }) {
            self.record.failures = 0;
        }
        self.record.end = Some(end);
        self.room_waits = 0;
        self.give_back();
        self.save().await;
        self.publish(self.record.resting_state());
        self.report_end().await;
    }

    /// Waits for another goal, and repeats what has been reported of the end.
    async fn rest(&mut self) {
        self.publish(self.record.resting_state());
        let mut goal = self.goal.clone();
        loop {
            tokio::select! {
                () = changed(&mut goal) => return,
                () = sleep(self.shared.options.resync) => self.report_end().await,
            }
        }
    }

    async fn report_end(&self) {
        let event = match self.record.end.clone() {
            Some(End::Stopped { exit, .. }) => VmEvent::Stopped { exit },
            Some(End::Failed { reason }) => VmEvent::Failed { reason },
            None => return,
        };
        self.shared.reports.report(self.job, event).await;
    }

    /// Saves what outlives the machine. If that fails, its removal goes on: it makes room.
    async fn keep(&mut self) {
        self.record.monitor = None;
        self.record.end.get_or_insert_with(not_running);
        let (archive, record) = (self.shared.archive.clone(), self.record.clone());
        let page = self.places.status();
        let keep = move || archive.keep(&record, &page);
        match spawn_blocking(keep).await.map_err(|_| ExecutorError::Cancelled) {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => {
                let error = in_words(&error);
                error!(job = %self.job, error, "how a machine ended cannot be kept");
            }
        }
    }

    async fn remove(self) {
        let Shared { options, ledger, views, .. } = &*self.shared;
        loop {
            let places = self.places.clone();
            match spawn_blocking(move || leftovers::remove(&places)).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => {
                    let error = in_words(&error);
                    error!(job = %self.job, error, "cannot remove a machine yet");
                }
                Err(error) => error!(job = %self.job, %error, "cannot remove a machine yet"),
            }
            sleep(options.resync).await;
        }
        ledger.release(self.job);
        views.send_modify(|views| {
            views.remove(&self.job);
        });
        info!(job = %self.job, "removed a machine");
    }

    fn publish(&self, state: VmState) {
        let pid = self.monitor.as_ref().map(|monitor| monitor.id().pid);
        self.publish_with(pid, state);
    }

    fn publish_running(&self, monitor: &Monitor) {
        self.publish_with(Some(monitor.id().pid), VmState::Running);
    }

    fn publish_stopping(&self, monitor: &Monitor) {
        self.publish_with(Some(monitor.id().pid), VmState::Stopping);
    }

    fn publish_with(&self, pid: Option<u32>, state: VmState) {
        let Record { spec, failures, .. } = &self.record;
        let view = VmView { spec: spec.clone(), state, failures: *failures, pid };
        self.shared.views.send_if_modified(|views| {
            let is_new = views.get(&self.job) != Some(&view);
            views.insert(self.job, view);
            is_new
        });
    }

    /// Without its record a machine is still attended to; only its next agent knows less.
    async fn save(&self) {
        if let Err(error) = self.write_record().await {
            error!(job = %self.job, error = in_words(&error), "a machine's record is out of date");
        }
    }

    async fn write_record(&self) -> Result<(), ExecutorError> {
        let (record, path) = (self.record.clone(), self.places.record());
        spawn_blocking(move || record.save(&path)).await.map_err(|_| ExecutorError::Cancelled)?
    }
}

/// The end of a machine that was to end while it had no monitor.
fn not_running() -> End {
    End::Stopped { exit: "it was not running".to_owned(), desired: true }
}

/// How often a monitor's status page is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// Waits for another goal. Nobody left to have one means that the agent is going away.
async fn changed(goal: &mut watch::Receiver<Goal>) {
    if goal.changed().await.is_err() {
        pending().await
    }
}

/// What follows from the end of a monitor that nobody had asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The guest wanted it so.
    Done,
    /// The guest wants to be started again.
    Again,
    /// It failed.
    Failed {
        /// It ran for so long that earlier failures are forgiven.
        forgive: bool,
        /// The same start will fail again.
        is_final: bool,
    },
}

fn verdict(exit: Option<Exit>, age: Duration, policy: &RestartPolicy) -> Verdict {
    let forgive = age >= policy.healthy_after;
    match exit {
        Some(Exit::PoweredOff) => Verdict::Done,
        Some(Exit::Reset) if age >= policy.reset_is_wanted_after => Verdict::Again,
        Some(Exit::BadConfig | Exit::BadImage | Exit::NoKvm) => {
            Verdict::Failed { forgive, is_final: true }
        }
        Some(Exit::Reset | Exit::Crashed | Exit::Stopped | Exit::Internal) | None => {
            Verdict::Failed { forgive, is_final: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_consequence() {
        let policy = RestartPolicy::default();
        let verdict = |exit, age_s| verdict(exit, Duration::from_secs(age_s), &policy);
        let failed = Verdict::Failed { forgive: false, is_final: false };
        let for_good = Verdict::Failed { forgive: false, is_final: true };
        for exit in Exit::ALL {
            let expected = match exit {
                Exit::PoweredOff => Verdict::Done,
                Exit::Reset | Exit::Crashed | Exit::Stopped | Exit::Internal => failed,
                Exit::BadConfig | Exit::BadImage | Exit::NoKvm => for_good,
            };
            assert_eq!(verdict(Some(exit), 1), expected, "{exit:?}");
        }
        assert_eq!(verdict(None, 1), failed);
        assert_eq!(verdict(Some(Exit::Reset), 60), Verdict::Again);
        let forgiven = Verdict::Failed { forgive: true, is_final: false };
        assert_eq!(verdict(Some(Exit::Crashed), 600), forgiven);
    }
}
