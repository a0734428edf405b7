//! What the chain says, as far as it matters to this node.

use std::{collections::BTreeMap, fmt};

use aleph_types::{Address, JobId, JobStatus, NodeId, job::Job};
use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

/// The hash of a block or of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(B256);

impl Hash {
    /// The hash's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }
}

impl From<B256> for Hash {
    fn from(hash: B256) -> Self {
        Self(hash)
    }
}

impl From<Hash> for B256 {
    fn from(hash: Hash) -> Self {
        hash.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // alloy's own display shortens.
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
    /// The hash of the block before it.
    pub parent_hash: Hash,
    /// When it was made, in seconds of Unix time.
    pub timestamp_s: u64,
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeType {
    /// Runs jobs.
    Compute,
    /// Keeps data.
    Storage,
    /// Assigns jobs.
    Coordinator,
}

/// Where a node stands in NodeRegistry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// Registered, and never had enough matured stake.
    Inactive,
    /// Takes work.
    Active,
    /// Was active until its stake fell below the minimum.
    Unbonding,
    /// Given up by its owner.
    Deregistered,
}

/// The TPM key that signs a node's quotes: a point of P-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationKey {
    /// Horizontal coordinate, big-endian.
    pub x: [u8; 32],
    /// Vertical coordinate, big-endian.
    pub y: [u8; 32],
}

/// What is staked for a node, in the token's smallest unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stake {
    /// Maturing and matured stake.
    pub total: u128,
    /// The part that counts for activation.
    pub matured: u128,
    /// Taken back, not withdrawn yet.
    pub unbonding: u128,
    /// When the maturing part matures, in seconds of Unix time; 0 when nothing matures.
    pub matures_at_s: u64,
}

/// A node, as the chain knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its id.
    pub id: NodeId,
    /// Stakes for the node.
    pub owner: Address,
    /// Signs the node's transactions.
    pub operator: Address,
    /// What it is for.
    pub node_type: NodeType,
    /// Where it stands.
    pub status: NodeStatus,
    /// When it was registered, in seconds of Unix time.
    pub registered_at_s: u64,
    /// When it last said that it is alive, in seconds of Unix time; 0 before the first time.
    pub last_heartbeat_s: u64,
    /// The key that signs its quotes.
    pub attestation_key: AttestationKey,
    /// CID of the document that describes it.
    pub metadata: String,
    /// Where it says it is.
    pub region: String,
    /// When it last showed the chain by a quote what it runs, in seconds of Unix time; 0 for never.
    pub attested_at_s: u64,
    /// What is staked for it.
    pub stake: Stake,
}

/// The chain's state at one block, as far as it matters to this node.
///
/// It holds this node and the jobs assigned to it; for a coordinator all active nodes, their jobs
/// and the jobs that wait for a node. Jobs that have ended are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainView {
    /// The block after which this was the state. None until the chain was read once.
    pub head: Option<ChainHead>,
    /// Whose view it is.
    pub node_id: NodeId,
    /// Nodes by id.
    pub nodes: BTreeMap<NodeId, NodeRecord>,
    /// Jobs by number.
    pub jobs: BTreeMap<JobId, Job>,
}

impl ChainView {
    /// The view of one who has not looked.
    pub fn unread(node_id: NodeId) -> Self {
        Self { head: None, node_id, nodes: BTreeMap::new(), jobs: BTreeMap::new() }
    }

    /// This node, if it was ever registered.
    pub fn this_node(&self) -> Option<&NodeRecord> {
        self.nodes.get(&self.node_id)
    }

    /// The nodes that take work; without a coordinator's view only this one can be among them.
    pub fn active_nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values().filter(|node| node.status == NodeStatus::Active)
    }

    /// The jobs that are assigned to a node and have not ended.
    pub fn jobs_of(&self, node: NodeId) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(move |job| job.node == Some(node))
    }

    /// The jobs that are assigned to this node and have not ended.
    pub fn own_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs_of(self.node_id)
    }

    /// The jobs that wait for a node, the oldest first. Empty without a coordinator's view.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(|job| job.status == JobStatus::Created)
    }
}
