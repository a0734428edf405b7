//! Which node gets a job.
//!
//! [`place`] looks at the request and at what the nodes have, and gives the node with the highest
//! score, or says for each node why it cannot take the job. Whoever calls it with the same values
//! gets the same answer, in whatever order the nodes stand.
//!
//! # The score
//!
//! Only nodes with all of the request's resources free are scored. Each term is a share between 0
//! and 1 in parts per million ([`Ppm`]), rounded down:
//!
//! | weight | term | from | is 0 | is 1 |
//! |---|---|---|---|---|
//! | 0.4 | `resource_fit` | free and wanted resources | the job is lost in the node | it fills what is free |
//! | 0.3 | `stake_weight` | the node's stake | less than one token | 2²⁰ − 1 tokens or more |
//! | 0.2 | `locality` | both regions | elsewhere | the same region, or none is wanted |
//! | 0.1 | `load_balance` | capacity, reserved and wanted | the node will be full | the node stays empty |
//!
//! - `resource_fit` is the mean, over processors, memory and disk, of wanted ÷ free; nothing
//!   wanted of nothing free is 1. Tight nodes are filled first, so that large jobs find room.
//! - `stake_weight` is log₂(whole tokens + 1) ÷ 20, linear between powers of two: each doubling
//!   counts the same, so that nobody wins every job by stake alone.
//! - `locality` is ½ where the part before the first `-` is the same (`eu-west`, `eu-north`).
//! - `load_balance` is 1 − the greatest use of a resource once the job is there.
//!
//! A node's score does not depend on the other nodes. Equal scores are decided by the smallest
//! SHA-256 of seed, job and node, which no node can aim at before the seed is known.
//!
//! # Invariants
//!
//! It runs no task and owns no channel; it reads no clock and no random source, uses no floating
//! point, and cannot overflow or panic for any input. It does not know where its values come from,
//! and reserves nothing.

#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod ppm;
mod score;
mod unplaceable;

use std::{cmp::Reverse, fmt};

use aleph_types::{JobId, NodeId, Resources};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use ppm::Ppm;
pub use score::Terms;
pub use unplaceable::{Resource, Shortage, Unplaceable};

/// A job that wants a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The job.
    pub job: JobId,
    /// What it occupies.
    pub resources: Resources,
    /// Where it should run, if that matters.
    pub region: Option<String>,
}

/// A node that takes work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// The node.
    pub id: NodeId,
    /// What it has for jobs.
    pub capacity: Resources,
    /// What of it is taken. May exceed the capacity, which may have shrunk.
    pub reserved: Resources,
    /// What is staked for it, in the token's smallest unit: 10¹⁸ are one token.
    pub stake: u128,
    /// Where it is; empty if it does not say.
    pub region: String,
}

impl NodeState {
    /// What is left for further jobs.
    pub fn free(&self) -> Resources {
        Resources {
            vcpus: self.capacity.vcpus.saturating_sub(self.reserved.vcpus),
            memory_mib: self.capacity.memory_mib.saturating_sub(self.reserved.memory_mib),
            disk_mib: self.capacity.disk_mib.saturating_sub(self.reserved.disk_mib),
        }
    }
}

/// The chosen node, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The node.
    pub node: NodeId,
    /// Its score.
    pub score: Ppm,
    /// How the score came about.
    pub explanation: Explanation,
}

/// How a score came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The score's terms.
    pub terms: Terms,
    /// How many nodes had room.
    pub candidates: usize,
    /// How many nodes were looked at.
    pub nodes: usize,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { terms, candidates, nodes } = self;
        write!(f, "best of {candidates} nodes with room ({nodes} in all): {terms}")
    }
}

/// The best node for a request.
pub fn place(
    request: &Request,
    nodes: &[NodeState],
    seed: [u8; 32],
) -> Result<Placement, Unplaceable> {
    let candidates =
        nodes.iter().filter(|node| Shortage::all(&request.resources, &node.free()).is_empty());
    let best = candidates.clone().map(|node| (node.id, Terms::of(request, node))).max_by_key(
        |(id, terms)| (terms.score(), Reverse((tie_break(&seed, request.job, *id), *id))),
    );
    let Some((node, terms)) = best else {
        return Err(Unplaceable::explain(request.resources, nodes));
    };
    let explanation = Explanation { terms, candidates: candidates.count(), nodes: nodes.len() };
    Ok(Placement { node, score: terms.score(), explanation })
}

fn tie_break(seed: &[u8; 32], job: JobId, node: NodeId) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"aleph-node placement v1\0");
    hash.update(seed);
    hash.update(job.0.to_be_bytes());
    hash.update(node.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 32] = [0; 32];

    fn resources(vcpus: u32, memory_mib: u64, disk_mib: u64) -> Resources {
        Resources { vcpus, memory_mib, disk_mib }
    }

    fn node(id: u8) -> NodeState {
        NodeState {
            id: NodeId([id; 32]),
            capacity: resources(4, 4096, 40_960),
            reserved: Resources::default(),
            stake: 0,
            region: "eu-west".into(),
        }
    }

    fn request() -> Request {
        Request { job: JobId(1), resources: resources(1, 1024, 10_240), region: None }
    }

    #[test]
    fn the_only_node_with_room_gets_the_job_and_the_reason_is_told() {
        let full = NodeState { reserved: resources(4, 0, 0), ..node(1) };
        let placement = place(&request(), &[full, node(2)], SEED).unwrap();
        assert_eq!(placement.node, NodeId([2; 32]));
        // 0.4 × ¼ + 0.3 × 0 + 0.2 × 1 + 0.1 × ¾.
        assert_eq!(placement.score.get(), 375_000);
        assert_eq!(
            placement.explanation.to_string(),
            "best of 1 nodes with room (2 in all): resource fit 0.250000, stake 0.000000, \
             locality 1.000000, load balance 0.750000"
        );
    }

    #[test]
    fn each_term_alone_decides() {
        let stronger = [
            NodeState { capacity: resources(2, 2048, 20_480), ..node(2) },
            NodeState { stake: 100 * 10u128.pow(18), ..node(2) },
            NodeState { region: "us-east".into(), ..node(2) },
        ];
        for better in stronger {
            let request = Request { region: Some("us-east".into()), ..request() };
            let placement = place(&request, &[node(1), better.clone()], SEED).unwrap();
            assert_eq!(placement.node, better.id, "{better:?}");
        }
        // The same room is free on both, and one of them is emptier.
        let half = NodeState {
            capacity: resources(8, 8192, 81_920),
            reserved: resources(4, 4096, 40_960),
            ..node(1)
        };
        assert_eq!(place(&request(), &[half, node(2)], SEED).unwrap().node, NodeId([2; 32]));
    }

    #[test]
    fn equal_nodes_take_turns_by_job_and_seed() {
        let nodes: Vec<NodeState> = (1..=4).map(node).collect();
        let mut taken = [0; 5];
        for job in 0..400 {
            let request = Request { job: JobId(job), ..request() };
            taken[place(&request, &nodes, SEED).unwrap().node.0[0] as usize] += 1;
        }
        assert!(taken[1..].iter().all(|count| (60..140).contains(count)), "{taken:?}");
        let with_seed = |byte| place(&request(), &nodes, [byte; 32]).unwrap().node;
        assert!((1..20).any(|byte| with_seed(byte) != with_seed(0)));
    }

    #[test]
    fn a_request_that_fits_nowhere_names_the_largest_room() {
        let nodes = [
            NodeState { reserved: resources(0, 2560, 0), ..node(1) },
            NodeState { reserved: resources(0, 3072, 0), ..node(2) },
        ];
        let request = Request { resources: resources(1, 65_536, 1), ..request() };
        let error = place(&request, &nodes, SEED).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no node has room: needs 65536 MiB memory, the largest free is 1536 MiB"
        );
        let shortage = Shortage { resource: Resource::Memory, needs: 65_536, largest_free: 1_024 };
        assert_eq!(error.reasons[1], (NodeId([2; 32]), vec![shortage]));
    }

    #[test]
    fn room_that_is_spread_over_nodes_is_said_to_be() {
        let nodes = [
            NodeState { reserved: resources(4, 0, 0), ..node(1) },
            NodeState { reserved: resources(0, 4096, 0), ..node(2) },
        ];
        assert_eq!(
            place(&request(), &nodes, SEED).unwrap_err().to_string(),
            "no node has room for 1 vCPU, 1024 MiB memory, 10240 MiB disk at once, though each is \
             free on some node: wait for a job to end, or ask for less"
        );
        assert_eq!(
            place(&request(), &[], SEED).unwrap_err().to_string(),
            "no node takes work: register, stake and activate one"
        );
    }
}
