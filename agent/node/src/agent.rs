//! The node as its interface shows it.

use std::{collections::BTreeMap, time::Instant};

use aleph_api::{BlobFile, BlobReader, LOG_CHUNK_BYTES_MAX, LogChunk, Node, Refusal, RefusalKind};
use aleph_attestation::{Error as AttestationError, evidence::QuoteRequest};
use aleph_chain::{Chain, ChainHealth, NodeStatus};
use aleph_executor::{Capacity, Executor, ExecutorError, VmState, VmView};
use aleph_message::MessageError;
use aleph_storage::{BlobLimits, Blobs, StorageError};
use aleph_types::{
    Address, Cid, Digest, JobId, JobStatus, NodeId, Resources,
    api::{
        BlobInfo, ChainInfo, InstanceInfo, InstanceState, MessageReceipt, NodeInfo, Readiness,
        Registration,
    },
    job::Job,
    text::in_words,
    wire,
};
use bytes::Bytes;

use crate::{
    messages::{Messages, PutMessageError},
    readiness::Conditions,
    tpm::{QuoteError, TpmHandle},
};

/// Everything that the interface is asked about.
pub(crate) struct Agent {
    pub(crate) started: Instant,
    pub(crate) profile: String,
    pub(crate) node_id: Option<NodeId>,
    pub(crate) operator: Address,
    pub(crate) owner: Option<Address>,
    pub(crate) blob_size_bytes_max: u64,
    pub(crate) conditions: Conditions,
    pub(crate) blobs: Blobs,
    pub(crate) messages: Messages,
    pub(crate) chain: Option<Chain>,
    pub(crate) executor: Executor,
    /// The TPM, or why there is none.
    pub(crate) tpm: Result<TpmHandle, String>,
}

impl Node for Agent {
    fn readiness(&self) -> Readiness {
        self.conditions.readiness()
    }

    async fn info(&self) -> Result<NodeInfo, Refusal> {
        let capacity = self.executor.capacity();
        let free = self.executor.available();
        Ok(NodeInfo {
            node_id: self.node_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: self.profile.clone(),
            operator: self.operator,
            owner: self.owner,
            chain: self.chain_info(),
            capacity: resources_of(capacity),
            reserved: Resources {
                vcpus: capacity.vcpus.saturating_sub(free.vcpus),
                memory_mib: capacity.memory_mib.saturating_sub(free.memory_mib),
                disk_mib: capacity.disk_mib.saturating_sub(free.disk_mib),
            },
            uptime_s: self.started.elapsed().as_secs(),
        })
    }

    async fn attestation_identity(&self) -> Result<Bytes, Refusal> {
        wire::encode(self.tpm()?.identity()).map(Bytes::from).map_err(|error| internal(&error))
    }

    async fn quote(&self, request: Bytes) -> Result<Bytes, Refusal> {
        let tpm = self.tpm()?;
        let request: QuoteRequest = wire::decode(&request).map_err(|error| {
            Refusal::new(RefusalKind::Invalid, in_words(&error))
                .next("send a quote request as the aleph command does")
        })?;
        let evidence = tpm.quote(request).await.map_err(|error| match &error {
            QuoteError::Busy => Refusal::new(RefusalKind::Busy, error.to_string()),
            QuoteError::Attestation(AttestationError::TpmCredential) => {
                Refusal::new(RefusalKind::Invalid, in_words(&error))
            }
            QuoteError::Gone | QuoteError::Attestation(_) => internal(&error),
        })?;
        wire::encode(&evidence).map(Bytes::from).map_err(|error| internal(&error))
    }

    async fn put_blob(&self, expected: Option<Cid>, body: BlobReader) -> Result<BlobInfo, Refusal> {
        let limits = BlobLimits { size_bytes_max: self.blob_size_bytes_max, expected };
        let stored = self.blobs.put(body, limits).await.map_err(|error| refuse(&error))?;
        Ok(BlobInfo { cid: stored.cid, size_bytes: stored.size_bytes })
    }

    async fn open_blob(&self, cid: Cid) -> Result<BlobFile, Refusal> {
        let file = self.blobs.open_verified(cid).await.map_err(|error| refuse(&error))?;
        let size_bytes = file.metadata().map_err(|error| internal(&error))?.len();
        Ok(BlobFile { file, size_bytes })
    }

    async fn put_message(&self, envelope: Bytes) -> Result<MessageReceipt, Refusal> {
        // Messages take the database's disk: they keep to the floor that blobs keep to.
        let capacity = self.blobs.capacity().map_err(|error| refuse(&error))?;
        if capacity.usable_bytes() == 0 {
            return Err(Refusal::new(RefusalKind::StorageFull, "the data disk is full"));
        }
        match self.messages.put(envelope).await {
            Ok(item_hash) => Ok(MessageReceipt { item_hash }),
            Err(PutMessageError::Storage(error)) => Err(refuse(&error)),
            Err(error @ PutMessageError::TooMany) => {
                Err(Refusal::new(RefusalKind::Busy, error.to_string()))
            }
            Err(PutMessageError::Rule(error)) => {
                let kind = match error {
                    MessageError::TooLarge { .. } => RefusalKind::TooLarge,
                    _ => RefusalKind::Invalid,
                };
                Err(Refusal::new(kind, in_words(&error)))
            }
        }
    }

    async fn message(&self, item_hash: Digest) -> Result<Bytes, Refusal> {
        let found = self.messages.get(item_hash).await.map_err(|error| refuse(&error))?;
        found.ok_or_else(|| {
            let detail = format!("message {item_hash} is not stored here");
            Refusal::new(RefusalKind::NotFound, detail).next("post it to /v1/messages first")
        })
    }

    async fn instances(&self) -> Result<Vec<InstanceInfo>, Refusal> {
        let machines = self.executor.list();
        let view = self.chain.as_ref().map(|chain| chain.view().borrow().clone());
        let jobs: BTreeMap<JobId, &Job> =
            view.iter().flat_map(|view| view.own_jobs()).map(|job| (job.id, job)).collect();
        let machine_of = |job: &Job| machines.iter().find(|machine| machine.spec.id == job.id);
        let present = jobs.values().map(|job| instance_of(job, machine_of(job)));
        let ended = machines.iter().filter(|machine| !jobs.contains_key(&machine.spec.id));
        Ok(present.chain(ended.filter_map(ended_instance)).collect())
    }

    async fn instance(&self, job: JobId) -> Result<InstanceInfo, Refusal> {
        let machine = self.executor.view(job);
        match self.own_job(job) {
            Some(known) => Ok(instance_of(&known, machine.as_ref())),
            None => machine.as_ref().and_then(ended_instance).ok_or_else(|| not_here(job)),
        }
    }

    async fn log(&self, job: JobId, offset: u64) -> Result<LogChunk, Refusal> {
        // Looked at before the console is read: what is printed in between is not the end.
        let machine = self.executor.view(job);
        let has_ended = machine.is_some_and(|machine| {
            let end = matches!(machine.state, VmState::Stopped { .. } | VmState::Failed { .. });
            end && machine.pid.is_none()
        });
        match self.executor.console(job, offset, LOG_CHUNK_BYTES_MAX).await {
            Ok(console) => {
                let ended = has_ended && console.bytes.len() < LOG_CHUNK_BYTES_MAX;
                Ok(LogChunk { offset: console.offset, bytes: console.bytes, ended })
            }
            // A job whose machine is still being prepared has printed nothing yet, and one whose
            // machine could not be prepared never will.
            Err(ExecutorError::NoConsole { .. }) => {
                Ok(LogChunk { offset, bytes: Vec::new(), ended: has_ended })
            }
            Err(ExecutorError::UnknownJob { .. }) if self.own_job(job).is_some() => {
                Ok(LogChunk { offset, bytes: Vec::new(), ended: has_ended })
            }
            Err(ExecutorError::UnknownJob { .. }) => Err(not_here(job)),
            Err(error) => Err(internal(&error)),
        }
    }
}

impl Agent {
    fn tpm(&self) -> Result<&TpmHandle, Refusal> {
        self.tpm.as_ref().map_err(|why| {
            Refusal::new(RefusalKind::Unavailable, format!("the node has no usable TPM: {why}"))
                .next("make the TPM usable and restart the node; without one it proves nothing")
        })
    }

    fn own_job(&self, job: JobId) -> Option<Job> {
        let view = self.chain.as_ref()?.view();
        let view = view.borrow();
        view.own_jobs().find(|known| known.id == job).cloned()
    }

    fn chain_info(&self) -> ChainInfo {
        let Some(chain) = &self.chain else {
            let problem = "no [chain] table in the configuration".to_owned();
            return ChainInfo {
                chain_id: 0,
                head: None,
                registration: Registration::Unknown,
                problem: Some(problem),
            };
        };
        let view = chain.view().borrow().clone();
        let status = view.this_node().map(|node| node.status);
        let registration = match (view.head, status) {
            (None, _) => Registration::Unknown,
            (_, None) => Registration::Unregistered,
            (_, Some(NodeStatus::Inactive)) => Registration::Inactive,
            (_, Some(NodeStatus::Active)) => Registration::Active,
            (_, Some(NodeStatus::Unbonding)) => Registration::Unbonding,
            (_, Some(NodeStatus::Deregistered)) => Registration::Deregistered,
        };
        let health = chain.health().borrow().clone();
        let outbox = chain.outbox().borrow().problem.clone();
        let problem = match health {
            ChainHealth::Healthy => outbox,
            other => Some(other.to_string()),
        };
        let head = view.head.map(|head| head.number);
        ChainInfo { chain_id: chain.config().chain_id, head, registration, problem }
    }
}

fn instance_of(job: &Job, machine: Option<&VmView>) -> InstanceInfo {
    let (state, detail) = match machine.map(|machine| &machine.state) {
        None => (InstanceState::Preparing, "waits for its message and its image".to_owned()),
        Some(state) => (
            match state {
                VmState::Preparing { .. } => InstanceState::Preparing,
                VmState::Starting => InstanceState::Starting,
                VmState::Running => InstanceState::Running,
                VmState::Stopping => InstanceState::Stopping,
                VmState::Stopped { .. } => InstanceState::Stopped,
                VmState::Failed { .. } => InstanceState::Failed,
            },
            state.to_string(),
        ),
    };
    let has_started =
        !matches!(state, InstanceState::Preparing | InstanceState::Failed) && machine.is_some();
    InstanceInfo {
        job: job.id,
        job_status: job.status,
        manifest: job.manifest,
        state,
        detail,
        rootfs: machine.map(|machine| machine.spec.rootfs),
        resources: job.resources,
        starts: machine.map_or(0, |machine| machine.failures + u32::from(has_started)),
        monitor_pid: machine.and_then(|machine| machine.pid),
    }
}

/// The instance of a job that the chain no longer lists: how the job ended follows from how its
/// machine did. A machine that still runs is about to be ended, and then tells.
fn ended_instance(machine: &VmView) -> Option<InstanceInfo> {
    let VmView { spec, state, failures, pid } = machine;
    let (job_status, instance_state, last_start) = match state {
        VmState::Stopped { .. } => (JobStatus::Completed, InstanceState::Stopped, 1),
        VmState::Failed { .. } => (JobStatus::Failed, InstanceState::Failed, 0),
        VmState::Preparing { .. } | VmState::Starting | VmState::Running | VmState::Stopping => {
            return None;
        }
    };
    Some(InstanceInfo {
        job: spec.id,
        job_status,
        manifest: spec.manifest,
        state: instance_state,
        detail: state.to_string(),
        rootfs: Some(spec.rootfs),
        resources: spec.resources,
        starts: failures + last_start,
        monitor_pid: *pid,
    })
}

pub(crate) fn resources_of(capacity: Capacity) -> Resources {
    let Capacity { vcpus, memory_mib, disk_mib } = capacity;
    Resources { vcpus, memory_mib, disk_mib }
}

fn not_here(job: JobId) -> Refusal {
    Refusal::new(RefusalKind::NotFound, format!("this node has no instance of job {job}"))
        .next("look on the chain which node the job has, and whether it has ended")
}

fn refuse(error: &StorageError) -> Refusal {
    let kind = match error {
        StorageError::Full { .. } => RefusalKind::StorageFull,
        StorageError::TooLarge { .. } => RefusalKind::TooLarge,
        StorageError::Mismatch { .. } => RefusalKind::Conflict,
        StorageError::NotFound { .. } | StorageError::BlobCorrupt { .. } => RefusalKind::NotFound,
        StorageError::Body(_) => RefusalKind::Invalid,
        _ => RefusalKind::Internal,
    };
    Refusal::new(kind, in_words(error))
}

fn internal(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(RefusalKind::Internal, in_words(error))
}

#[cfg(test)]
mod tests {
    use aleph_types::JobSpec;

    use super::*;

    #[test]
    fn a_job_that_the_chain_no_longer_lists_ended_as_its_machine_did() {
        let spec = JobSpec {
            id: JobId(7),
            manifest: Digest([1; 32]),
            rootfs: Cid::of(b"image"),
            resources: Resources::default(),
        };
        let instance = |state, failures| {
            ended_instance(&VmView { spec: spec.clone(), state, failures, pid: None })
        };
        let stopped = instance(VmState::Stopped { exit: "powered off".to_owned() }, 0).unwrap();
        assert_eq!((stopped.job, stopped.manifest), (spec.id, spec.manifest));
        assert_eq!(stopped.job_status, JobStatus::Completed);
        assert_eq!((stopped.state, stopped.starts), (InstanceState::Stopped, 1));
        assert_eq!(stopped.detail, "stopped: powered off");
        let failed = instance(VmState::Failed { reason: "crashed".to_owned() }, 3).unwrap();
        assert_eq!(failed.job_status, JobStatus::Failed);
        assert_eq!((failed.state, failed.starts), (InstanceState::Failed, 3));
        assert_eq!(failed.detail, "failed: crashed");
        assert_eq!(instance(VmState::Running, 0), None);
    }
}
