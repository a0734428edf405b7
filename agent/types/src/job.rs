//! What a customer asks for, and how far it has come.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Address, Cid, Digest, JobId, NodeId};

/// What a job occupies on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Writable disk in MiB.
    pub disk_mib: u64,
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vcpus, memory_mib, disk_mib } = self;
        write!(f, "{vcpus} vCPU, {memory_mib} MiB memory, {disk_mib} MiB disk")
    }
}

/// How far a job has come; the states of JobManager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for a node.
    Created,
    /// A node was chosen and prepares it.
    Assigned,
    /// Runs.
    Running,
    /// The customer asked for its end.
    Stopping,
    /// Ended as wished.
    Completed,
    /// Ended otherwise; the chain holds the reason.
    Failed,
}

impl JobStatus {
    /// Nothing follows this state.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Completed => "completed",
            Self::Failed => "failed",
        })
    }
}

/// What a job pays, and what it asks of its node besides room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTerms {
    /// What an hour costs, in the smallest unit of `token`; 0 for a job that costs nothing.
    pub price_per_hour: u128,
    /// The token that is paid in, if anything is.
    pub token: Option<Address>,
    /// Graphics processors.
    pub gpus: u8,
    /// The node must have been attested on the chain within so many seconds; 0 for no such wish.
    pub attested_within_s: u64,
}

/// A job as the chain tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Who asked for it.
    pub customer: Address,
    /// The item hash of the signed INSTANCE message that says what to run.
    pub manifest: Digest,
    /// The node that was chosen, if one was.
    pub node: Option<NodeId>,
    /// How far it has come.
    pub status: JobStatus,
    /// What it occupies.
    pub resources: Resources,
    /// What it pays and asks for besides.
    pub terms: JobTerms,
    /// Seconds of Unix time at which the job was created.
    pub created_at_s: u64,
    /// Seconds of Unix time of the last heartbeat, 0 before the first.
    pub last_heartbeat_s: u64,
    /// Seconds that its present node has proven, and that are paid.
    pub accrued_s: u64,
    /// Why it ended, if it failed.
    pub reason: String,
}

/// What a node has to run for a job: the chain's words and the manifest's, brought together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job's number.
    pub id: JobId,
    /// The item hash of the message that says so.
    pub manifest: Digest,
    /// The image that the first disk is a copy of.
    pub rootfs: Cid,
    /// What it occupies.
    pub resources: Resources,
}
