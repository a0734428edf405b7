//! What a node and its clients say to each other over HTTP, in JSON.

use serde::{Deserialize, Serialize};

use crate::{Address, Cid, Digest, JobId, JobStatus, NodeId, Resources};

/// An error of the HTTP interface (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name of the kind of error, as a URI reference such as `/problems/storage-full`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The node's id; absent while it has no TPM.
    pub node_id: Option<NodeId>,
    /// The version of the agent.
    pub version: String,
    /// The image's profile: `release`, `debug`, or `host` outside an image.
    pub profile: String,
    /// The account that signs the node's transactions; it needs gas.
    pub operator: Address,
    /// The account that the node is registered for.
    pub owner: Option<Address>,
    /// Where the node stands on the chain.
    pub chain: ChainInfo,
    /// What the node has.
    pub capacity: Resources,
    /// What of it is taken.
    pub reserved: Resources,
    /// Seconds since the agent started.
    pub uptime_s: u64,
}

/// Where a node stands on the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainInfo {
    /// The chain's id.
    pub chain_id: u64,
    /// The newest block seen, absent before the first.
    pub head: Option<u64>,
    /// Where the node's registration stands.
    pub registration: Registration,
    /// Why the chain cannot be reached, if it cannot.
    pub problem: Option<String>,
}

/// Where a node's registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Not known yet: the chain has not been read.
    Unknown,
    /// Not registered.
    Unregistered,
    /// Registered, without enough matured stake.
    Inactive,
    /// Registered and active: it gets jobs.
    Active,
    /// On its way out.
    Unbonding,
    /// Gone for good.
    Deregistered,
}

/// The answer to an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobInfo {
    /// The blob's name.
    pub cid: Cid,
    /// Its size.
    pub size_bytes: u64,
}

/// The answer to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageReceipt {
    /// The message's name.
    pub item_hash: Digest,
}

/// `GET /v1/instances/{job}`: a machine as its node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceInfo {
    /// The job it belongs to.
    pub job: JobId,
    /// What the chain says of the job; once it no longer lists it, what follows from how the
    /// machine ended.
    pub job_status: JobStatus,
    /// The message that says what to run.
    pub manifest: Digest,
    /// What the machine does.
    pub state: InstanceState,
    /// Why it does that, in words.
    pub detail: String,
    /// The image it was started from, once known.
    pub rootfs: Option<Cid>,
    /// What it occupies.
    pub resources: Resources,
    /// How often it was started on this node.
    pub starts: u32,
    /// The process id of its monitor, while it runs.
    pub monitor_pid: Option<u32>,
}

/// What a machine does on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Its image or message is being fetched and checked.
    Preparing,
    /// Its monitor was started.
    Starting,
    /// Its processors run.
    Running,
    /// It was asked to end.
    Stopping,
    /// It ended as wished.
    Stopped,
    /// It ended otherwise.
    Failed,
}

impl InstanceState {
    /// Nothing more comes from the machine.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

/// `GET /readyz?verbose`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// All conditions hold.
    pub ready: bool,
    /// Each condition.
    pub conditions: Vec<Condition>,
}

/// Something that must hold for a node to be ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Its name.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// Why, and what to do if it does not.
    pub detail: String,
}
