//! The coordinator's part: jobs that wait for a node get one, or a reason.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use aleph_chain::{Chain, ChainView, NodeRecord};
use aleph_scheduler::{NodeState, Placement, Request, place};
use aleph_storage::Blobs;
use aleph_types::{Cid, JobId, NodeId, Resources};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::metadata::{METADATA_BYTES_MAX, Metadata};

/// Assigns open jobs, until cancelled.
pub(crate) struct CoordinatorDuty {
    pub(crate) chain: Chain,
    pub(crate) blobs: Blobs,
    /// What this node has; of other nodes it is read from their metadata.
    pub(crate) own_capacity: Resources,
    /// How long a job waits for a node with room.
    pub(crate) patience: Duration,
}

impl CoordinatorDuty {
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut view = self.chain.view();
        let mut desk = Desk::new(self.patience);
        loop {
            let seen = Arc::clone(&view.borrow_and_update());
            if let Some(head) = seen.head {
                let capacities = self.capacities(&seen).await;
                let orders = desk.decide(&seen, &capacities, *head.hash.as_bytes(), Instant::now());
                for (job, order) in orders {
                    self.carry_out(job, order).await;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // Waits run out without a sign.
                () = sleep(LOOK_EVERY) => {}
                Ok(()) = view.changed() => {}
            }
        }
    }

    async fn carry_out(&self, job: JobId, order: Order) {
        let told = match order {
            Order::Assign(Placement { node, score, explanation }) => {
                info!(%job, %node, score = score.get(), %explanation, "assigning a job");
                self.chain.assign_job(job, node).await
            }
            Order::Fail(reason) => {
                info!(%job, reason, "no node can take the job");
                self.chain.fail_job(job, &reason).await
            }
        };
        if let Err(error) = told {
            warn!(%job, %error, "the chain could not be told where a job goes; trying again");
        }
    }

    /// What the active nodes have, as far as it is known here.
    async fn capacities(&self, view: &ChainView) -> BTreeMap<NodeId, Resources> {
        let mut capacities = BTreeMap::new();
        for node in view.active_nodes() {
            let capacity = if node.id == view.node_id {
                Some(self.own_capacity)
            } else {
                self.published_capacity(node).await
            };
            match capacity {
                Some(capacity) => drop(capacities.insert(node.id, capacity)),
                None => debug!(node = %node.id, "its metadata is not stored here"),
            }
        }
        capacities
    }

    async fn published_capacity(&self, node: &NodeRecord) -> Option<Resources> {
        let cid: Cid = node.metadata.parse().ok()?;
        let file = self.blobs.open_verified_async(cid).await.ok()?;
        let mut document = Vec::new();
        // Verified and small: it comes from the page cache.
        file.take(METADATA_BYTES_MAX).read_to_end(&mut document).ok()?;
        Some(Metadata::from_bytes(&document)?.capacity)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Order {
    Assign(Placement),
    Fail(String),
}

/// Remembers from one look at the open jobs to the next.
#[derive(Debug)]
struct Desk {
    patience: Duration,
    /// Since when jobs have waited for a node.
    waiting: BTreeMap<JobId, Instant>,
    /// What was ordered and does not show on the chain yet.
    ordered: BTreeMap<JobId, Ordered>,
}

#[derive(Debug)]
struct Ordered {
    at: Instant,
    /// Where the job goes, unless it fails.
    node: Option<NodeId>,
    resources: Resources,
}

impl Desk {
    fn new(patience: Duration) -> Self {
        Self { patience, waiting: BTreeMap::new(), ordered: BTreeMap::new() }
    }

    fn decide(
        &mut self,
        view: &ChainView,
        capacities: &BTreeMap<NodeId, Resources>,
        seed: [u8; 32],
        now: Instant,
    ) -> Vec<(JobId, Order)> {
        let is_open = |job: &JobId| view.open_jobs().any(|open| open.id == *job);
        self.waiting.retain(|job, _| is_open(job));
        self.ordered.retain(|job, ordered| {
            is_open(job) && now.duration_since(ordered.at) < ORDER_AGAIN_AFTER
        });

        let mut orders = Vec::new();
        for job in view.open_jobs() {
            if self.ordered.contains_key(&job.id) {
                continue;
            }
            let nodes = self.nodes(view, capacities);
            let request = Request { job: job.id, resources: job.resources, region: None };
            let (node, order) = match place(&request, &nodes, seed) {
                Ok(placement) => (Some(placement.node), Order::Assign(placement)),
                Err(unplaceable) => {
                    let since = *self.waiting.entry(job.id).or_insert(now);
                    if now.duration_since(since) < self.patience {
                        continue;
                    }
                    (None, Order::Fail(unplaceable.to_string()))
                }
            };
            let ordered = Ordered { at: now, node, resources: job.resources };
            self.ordered.insert(job.id, ordered);
            orders.push((job.id, order));
        }
        orders
    }

    /// The nodes with what they have and what is taken of it: by jobs on the chain, and by those
    /// that are on their way there.
    fn nodes(&self, view: &ChainView, capacities: &BTreeMap<NodeId, Resources>) -> Vec<NodeState> {
        let state = |node: &NodeRecord| {
            let capacity = *capacities.get(&node.id)?;
            let on_chain = view.jobs_of(node.id).map(|job| job.resources);
            let goes_there = |ordered: &&Ordered| ordered.node == Some(node.id);
            let coming = self.ordered.values().filter(goes_there).map(|ordered| ordered.resources);
            Some(NodeState {
                id: node.id,
                capacity,
                reserved: on_chain.chain(coming).fold(Resources::default(), sum),
                stake: node.stake.matured,
                region: node.region.clone(),
            })
        };
        let head_s = view.head.map_or(0, |head| head.timestamp_s);
        let is_alive =
            |node: &&NodeRecord| node.last_heartbeat_s.saturating_add(HEARTBEAT_STALE_S) >= head_s;
        view.active_nodes().filter(is_alive).filter_map(state).collect()
    }
}

fn sum(a: Resources, b: Resources) -> Resources {
    Resources {
        vcpus: a.vcpus.saturating_add(b.vcpus),
        memory_mib: a.memory_mib.saturating_add(b.memory_mib),
        disk_mib: a.disk_mib.saturating_add(b.disk_mib),
    }
}

/// A node without a heartbeat for so long gets no jobs: ten times the usual pause between two.
const HEARTBEAT_STALE_S: u64 = 600;
/// Between looks for what comes without a sign.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What does not show on the chain by then was refused, and is decided anew.
const ORDER_AGAIN_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use aleph_chain::{AttestationKey, NodeStatus, NodeType, Stake};
    use aleph_types::{
        Address, Digest, JobStatus,
        job::{Job, JobTerms},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(120);
    const NODE: NodeId = NodeId([7; 32]);

    fn resources(vcpus: u32) -> Resources {
        Resources { vcpus, memory_mib: 256, disk_mib: 1024 }
    }

    fn view(jobs: &[(u64, u32)]) -> ChainView {
        let node = NodeRecord {
            id: NODE,
            owner: Address([1; 20]),
            operator: Address([2; 20]),
            node_type: NodeType::Compute,
            status: NodeStatus::Active,
            registered_at_s: 1,
            last_heartbeat_s: 1,
            attestation_key: AttestationKey { x: [0; 32], y: [0; 32] },
            metadata: String::new(),
            region: String::new(),
            attested_at_s: 0,
            stake: Stake::default(),
        };
        let job = |(number, vcpus): &(u64, u32)| Job {
            id: JobId(*number),
            customer: Address([3; 20]),
            manifest: Digest([4; 32]),
            node: None,
            status: JobStatus::Created,
            resources: resources(*vcpus),
            terms: JobTerms::default(),
            created_at_s: 0,
            last_heartbeat_s: 0,
            accrued_s: 0,
            reason: String::new(),
        };
        let mut view = ChainView::unread(NODE);
        view.nodes.insert(NODE, node);
        view.jobs.extend(jobs.iter().map(job).map(|job| (job.id, job)));
        view
    }

    fn capacities() -> BTreeMap<NodeId, Resources> {
        let capacity = Resources { vcpus: 2, memory_mib: 4096, disk_mib: 40_960 };
        BTreeMap::from([(NODE, capacity)])
    }

    #[test]
    fn jobs_on_their_way_count_as_taken() {
        let (mut desk, now) = (Desk::new(PATIENCE), Instant::now());
        let view = view(&[(1, 1), (2, 1), (3, 1)]);
        let orders = desk.decide(&view, &capacities(), [0; 32], now);
        let jobs: Vec<_> = orders.iter().map(|(job, _)| job.0).collect();
        assert_eq!(jobs, [1, 2]);
        assert!(matches!(&orders[0].1, Order::Assign(placement) if placement.node == NODE));
        // Nothing is ordered twice while it may still show.
        assert_eq!(desk.decide(&view, &capacities(), [0; 32], now), []);
        let orders = desk.decide(&view, &capacities(), [0; 32], now + ORDER_AGAIN_AFTER);
        assert_eq!(orders.len(), 2);
    }

    #[test]
    fn a_job_that_fits_nowhere_fails_after_a_while_with_the_reason() {
        let (mut desk, now) = (Desk::new(PATIENCE), Instant::now());
        let view = view(&[(1, 3)]);
        assert_eq!(desk.decide(&view, &capacities(), [0; 32], now), []);
        let orders = desk.decide(&view, &capacities(), [0; 32], now + PATIENCE);
        let [(JobId(1), Order::Fail(reason))] = &orders[..] else { panic!("{orders:?}") };
        assert!(reason.contains("needs 3 vCPU"), "{reason}");
    }

    #[test]
    fn a_node_of_unknown_capacity_gets_nothing() {
        let (mut desk, now) = (Desk::new(PATIENCE), Instant::now());
        assert_eq!(desk.decide(&view(&[(1, 1)]), &BTreeMap::new(), [0; 32], now), []);
    }
}
