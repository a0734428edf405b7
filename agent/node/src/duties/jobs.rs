//! The jobs of this node: what the chain says they are, brought together with their signed
//! messages and their images, becomes what the executor is to run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use aleph_chain::{Chain, ChainView};
use aleph_executor::{DesiredVm, DesiredVms, Executor, Power};
use aleph_storage::{BlobState, Blobs, StorageError};
use aleph_types::{Cid, JobId, JobSpec, JobStatus, job::Job};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::messages::Messages;

/// Brings the jobs of the chain to the executor, until cancelled.
pub(crate) struct JobsDuty {
    pub(crate) chain: Chain,
    pub(crate) messages: Messages,
    pub(crate) blobs: Blobs,
    pub(crate) executor: Executor,
    /// Nothing until the chain was read once: an empty wish would end every machine.
    pub(crate) desired: watch::Sender<Option<DesiredVms>>,
    /// How long a job waits for its message and image.
    pub(crate) patience: Duration,
}

impl JobsDuty {
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut view = self.chain.view();
        let mut arrivals = self.messages.arrivals();
        let mut planner = Planner::new(self.patience);
        loop {
            let seen = Arc::clone(&view.borrow_and_update());
            arrivals.mark_unchanged();
            if seen.head.is_some() {
                self.step(&mut planner, &seen).await?;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // Images arrive without a sign, and waits run out.
                () = sleep(LOOK_EVERY) => {}
                Ok(()) = view.changed() => {}
                Ok(()) = arrivals.changed() => {}
            }
        }
    }

    async fn step(&self, planner: &mut Planner, view: &ChainView) -> anyhow::Result<()> {
        let mut jobs = Vec::new();
        for job in view.own_jobs() {
            let mut material = self.material(job).await;
            // A machine that is here needs its message and its image no more.
            if !matches!(material, Material::Ready(_))
                && let Some(spec) = self.executor.recorded(job.id)
            {
                material = Material::Ready(spec);
            }
            jobs.push((job, material));
        }
        let Plan { desired, tell } = planner.plan(&jobs, Instant::now());
        if let Some(desired) = desired {
            self.desired.send_if_modified(|known| {
                let changed = known.as_ref() != Some(&desired);
                *known = Some(desired);
                changed
            });
        }
        for (job, tell) in tell {
            let told = match tell {
                Tell::Completed => self.chain.complete_job(job).await,
                Tell::Failed(reason) => {
                    info!(%job, reason, "the job cannot be run here");
                    self.chain.fail_job(job, &reason).await
                }
            };
            // A full outbox empties; it is told again then.
            if let Err(error) = told {
                warn!(%job, %error, "the chain could not be told of a job's end");
            }
        }
        Ok(())
    }

    async fn material(&self, job: &Job) -> Material {
        let found = async {
            let Some(manifest) = self.messages.manifest(job.manifest).await? else {
                return Ok(Material::NoMessage);
            };
            let spec = match manifest.job_spec(job) {
                Ok(spec) => spec,
                Err(error) => return Ok(Material::Unfit(error.to_string())),
            };
            let blobs = self.blobs.clone();
            let rootfs = spec.rootfs;
            let image = tokio::task::spawn_blocking(move || blobs.info(rootfs)).await;
            let image = image.map_err(StorageError::Cancelled)??;
            let there = image.is_some_and(|image| image.state == BlobState::Ready);
            Ok(if there { Material::Ready(spec) } else { Material::NoImage(spec) })
        };
        found.await.unwrap_or_else(|error: StorageError| {
            warn!(job = %job.id, %error, "what the job runs could not be looked up");
            Material::Unknown
        })
    }
}

/// What is here of what a job needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// Everything.
    Ready(JobSpec),
    /// The message, and not the image that it names.
    NoImage(JobSpec),
    /// Not even the message.
    NoMessage,
    /// The message contradicts the job.
    Unfit(String),
    /// It cannot be said now.
    Unknown,
}

/// What is to be done about the jobs.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// What is to run; nothing if that cannot be said now.
    desired: Option<DesiredVms>,
    /// What the chain is to be told.
    tell: Vec<(JobId, Tell)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Tell {
    Completed,
    Failed(String),
}

/// Remembers from one look at the jobs to the next.
#[derive(Debug)]
struct Planner {
    patience: Duration,
    desired: DesiredVms,
    /// Since when jobs have waited for their message or image.
    waiting: BTreeMap<JobId, Instant>,
    /// Since when jobs that had a machine are no longer on the chain.
    gone: BTreeMap<JobId, Instant>,
    /// When the chain was last told of a job's end.
    told: BTreeMap<JobId, Instant>,
}

impl Planner {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            desired: DesiredVms::new(),
            waiting: BTreeMap::new(),
            gone: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    fn plan(&mut self, jobs: &[(&Job, Material)], now: Instant) -> Plan {
        let present: BTreeSet<JobId> = jobs.iter().map(|(job, _)| job.id).collect();
        for waits in [&mut self.waiting, &mut self.told] {
            waits.retain(|job, _| present.contains(job));
        }
        self.gone.retain(|job, _| !present.contains(job));

        let mut tell = Vec::new();
        let mut complete = true;
        for (job, material) in jobs {
            match self.decide(job, material, now) {
                Decision::Run(spec, power) => {
                    self.waiting.remove(&job.id);
                    self.desired.insert(job.id, DesiredVm { spec, power });
                }
                Decision::Wait => {}
                Decision::Tell(what) => {
                    let told = self.told.get(&job.id);
                    if told.is_none_or(|told| now.duration_since(*told) >= TELL_AGAIN_AFTER) {
                        self.told.insert(job.id, now);
                        tell.push((job.id, what));
                    }
                }
                Decision::Unknown => complete = false,
            }
        }
        self.forget_the_gone(&present, now);
        Plan { desired: complete.then(|| self.desired.clone()), tell }
    }

    fn decide(&mut self, job: &Job, material: &Material, now: Instant) -> Decision {
        let power = if job.status == JobStatus::Stopping { Power::Off } else { Power::On };
        // What runs here goes on running, whatever has become of its message or image since.
        if let Some(known) = self.desired.get(&job.id) {
            return Decision::Run(known.spec.clone(), power);
        }
        match (material, job.status) {
            (Material::Unknown, _) => Decision::Unknown,
            (Material::Ready(spec), _) => Decision::Run(spec.clone(), power),
            // Its machine may have outlived a restart of the agent; it has a disk of its own.
            (Material::NoImage(spec), JobStatus::Running | JobStatus::Stopping) => {
                Decision::Run(spec.clone(), power)
            }
            // Without a message there never was a machine.
            (Material::NoMessage | Material::Unfit(_), JobStatus::Stopping) => {
                Decision::Tell(Tell::Completed)
            }
            (Material::Unfit(reason), _) => Decision::Tell(Tell::Failed(reason.clone())),
            (Material::NoImage(spec), _) => self.wait(job.id, now, || missing_image(spec.rootfs)),
            (Material::NoMessage, _) => self.wait(job.id, now, || missing_message(job)),
        }
    }

    fn wait(&mut self, job: JobId, now: Instant, missing: impl Fn() -> String) -> Decision {
        let since = *self.waiting.entry(job).or_insert_with(|| {
            debug!(%job, missing = missing(), "the job waits");
            now
        });
        if now.duration_since(since) < self.patience {
            return Decision::Wait;
        }
        let patience_s = self.patience.as_secs();
        Decision::Tell(Tell::Failed(format!("{} within {patience_s} s", missing())))
    }

    /// A job that is no longer on the chain has ended, or its block was replaced and it comes
    /// back. Its machine stays as it is until the second is no longer likely.
    fn forget_the_gone(&mut self, present: &BTreeSet<JobId>, now: Instant) {
        let gone = &mut self.gone;
        self.desired.retain(|job, _| {
            if present.contains(job) {
                return true;
            }
            let since = *gone.entry(*job).or_insert(now);
            let stays = now.duration_since(since) < GONE_GRACE;
            if !stays {
                gone.remove(job);
            }
            stays
        });
    }
}

enum Decision {
    Run(JobSpec, Power),
    Wait,
    Tell(Tell),
    Unknown,
}

fn missing_message(job: &Job) -> String {
    format!("its message {} was not uploaded to the node", job.manifest)
}

fn missing_image(rootfs: Cid) -> String {
    format!("its image {rootfs} was not uploaded to the node")
}

/// Between looks for what arrives without a sign.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A transaction that the chain refused is not tried with every block.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Longer than a replaced block takes to come back.
const GONE_GRACE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use aleph_types::{Address, Digest, NodeId, Resources, job::JobTerms};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(300);

    fn job(number: u64, status: JobStatus) -> Job {
        Job {
            id: JobId(number),
            customer: Address([1; 20]),
            manifest: Digest([2; 32]),
            node: Some(NodeId([3; 32])),
            status,
            resources: Resources::default(),
            terms: JobTerms::default(),
            created_at_s: 0,
            last_heartbeat_s: 0,
            accrued_s: 0,
            reason: String::new(),
        }
    }

    fn spec(number: u64) -> JobSpec {
        JobSpec {
            id: JobId(number),
            manifest: Digest([2; 32]),
            rootfs: Cid::of(b"image"),
            resources: Resources::default(),
        }
    }

    fn power(plan: &Plan, number: u64) -> Option<Power> {
        plan.desired.as_ref().unwrap().get(&JobId(number)).map(|vm| vm.power)
    }

    #[test]
    fn a_job_runs_and_is_stopped() {
        let (mut planner, now) = (Planner::new(PATIENCE), Instant::now());
        let assigned = job(1, JobStatus::Assigned);
        let plan = planner.plan(&[(&assigned, Material::Ready(spec(1)))], now);
        assert_eq!(power(&plan, 1), Some(Power::On));
        // The image may go once the machine has its disk.
        let running = job(1, JobStatus::Running);
        let plan = planner.plan(&[(&running, Material::NoImage(spec(1)))], now);
        assert_eq!(power(&plan, 1), Some(Power::On));
        let stopping = job(1, JobStatus::Stopping);
        let plan = planner.plan(&[(&stopping, Material::NoMessage)], now);
        assert_eq!(power(&plan, 1), Some(Power::Off));
        assert_eq!(plan.tell, []);
    }

    #[test]
    fn a_job_without_message_or_image_waits_and_then_fails_with_the_reason() {
        let now = Instant::now();
        for (material, named) in [
            (Material::NoMessage, Digest([2; 32]).to_string()),
            (Material::NoImage(spec(1)), Cid::of(b"image").to_string()),
        ] {
            let mut planner = Planner::new(PATIENCE);
            let assigned = job(1, JobStatus::Assigned);
            let jobs = [(&assigned, material)];
            let plan = planner.plan(&jobs, now);
            assert_eq!((power(&plan, 1), plan.tell.len()), (None, 0));
            let plan = planner.plan(&jobs, now + PATIENCE);
            let [(JobId(1), Tell::Failed(reason))] = &plan.tell[..] else { panic!("{plan:?}") };
            assert!(reason.contains(&named) && reason.len() <= 256, "{reason}");
            // Not with every block, but again if the chain did not hear.
            assert_eq!(planner.plan(&jobs, now + PATIENCE).tell, []);
            let later = now + PATIENCE + TELL_AGAIN_AFTER;
            assert_eq!(planner.plan(&jobs, later).tell.len(), 1);
        }
    }

    #[test]
    fn what_arrives_in_time_is_run() {
        let (mut planner, now) = (Planner::new(PATIENCE), Instant::now());
        let assigned = job(1, JobStatus::Assigned);
        planner.plan(&[(&assigned, Material::NoMessage)], now);
        let later = now + PATIENCE / 2;
        let plan = planner.plan(&[(&assigned, Material::Ready(spec(1)))], later);
        assert_eq!(power(&plan, 1), Some(Power::On));
    }

    #[test]
    fn a_contradiction_fails_at_once_and_a_stop_without_machine_completes() {
        let (mut planner, now) = (Planner::new(PATIENCE), Instant::now());
        let (first, second) = (job(1, JobStatus::Assigned), job(2, JobStatus::Stopping));
        let jobs = [(&first, Material::Unfit("too small".into())), (&second, Material::NoMessage)];
        let plan = planner.plan(&jobs, now);
        let expected = [(JobId(1), Tell::Failed("too small".into())), (JobId(2), Tell::Completed)];
        assert_eq!(plan.tell, expected);
        assert_eq!(plan.desired, Some(DesiredVms::new()));
    }

    #[test]
    fn nothing_is_wished_while_something_cannot_be_looked_up() {
        let (mut planner, now) = (Planner::new(PATIENCE), Instant::now());
        let running = job(1, JobStatus::Running);
        assert_eq!(planner.plan(&[(&running, Material::Unknown)], now).desired, None);
        planner.plan(&[(&running, Material::Ready(spec(1)))], now);
        let plan = planner.plan(&[(&running, Material::Unknown)], now);
        assert_eq!(power(&plan, 1), Some(Power::On));
    }

    #[test]
    fn a_job_whose_block_was_replaced_keeps_its_machine_for_a_while() {
        let (mut planner, now) = (Planner::new(PATIENCE), Instant::now());
        let running = job(1, JobStatus::Running);
        let jobs = [(&running, Material::Ready(spec(1)))];
        planner.plan(&jobs, now);
        assert_eq!(power(&planner.plan(&[], now), 1), Some(Power::On));
        let half = now + GONE_GRACE / 2;
        planner.plan(&jobs, half);
        // It came back, so the grace begins anew.
        planner.plan(&[], half);
        assert_eq!(power(&planner.plan(&[], now + GONE_GRACE), 1), Some(Power::On));
        assert_eq!(power(&planner.plan(&[], half + GONE_GRACE), 1), None);
    }
}
