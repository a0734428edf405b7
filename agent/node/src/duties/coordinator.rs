//! The coordinator's part: jobs that wait for a node get one, or a reason.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use aleph_chain::{Chain, ChainView, NodeRecord};
use aleph_executor::occupied;
use aleph_scheduler::{NodeState, Placement, Request, Resource, Unplaceable, place};
use aleph_storage::Blobs;
use aleph_types::{Cid, JobId, JobStatus, NodeId, Resources, job::Job};
use anyhow::Context;
use tokio::{task::spawn_blocking, time::sleep};
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
        let mut documents = Documents::new();
        loop {
            let seen = Arc::clone(&view.borrow_and_update());
            if let Some(head) = seen.head {
                let capacities = self.capacities(&seen, &mut documents).await;
                let seed = *head.hash.as_bytes();
                // Jobs times nodes take longer than a thread may be kept that serves others.
                let decide = move || {
                    let orders = desk.decide(&seen, &capacities, seed, Instant::now());
                    (desk, orders)
                };
                let orders;
                (desk, orders) = spawn_blocking(decide).await.context("cannot place jobs")?;
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
    async fn capacities(
        &self,
        view: &ChainView,
        documents: &mut Documents,
    ) -> BTreeMap<NodeId, Resources> {
        let mut capacities = BTreeMap::new();
        let mut named = Documents::new();
        for node in view.active_nodes() {
            if node.id == view.node_id {
                capacities.insert(node.id, self.own_capacity);
                continue;
            }
            let Ok(cid) = node.metadata.parse::<Cid>() else { continue };
            let known = documents.get(&cid).or(named.get(&cid)).copied();
            let capacity = match known {
                Some(capacity) => Some(capacity),
                None => self.published_capacity(cid).await,
            };
            match capacity {
                Some(capacity) => {
                    named.insert(cid, capacity);
                    capacities.insert(node.id, capacity);
                }
                None => debug!(node = %node.id, "its metadata is not stored here"),
            }
        }
        *documents = named;
        capacities
    }

    async fn published_capacity(&self, cid: Cid) -> Option<Resources> {
        let file = self.blobs.open_verified(cid).await.ok()?;
        let mut document = Vec::new();
        // Verified and small: it comes from the page cache.
        file.take(METADATA_BYTES_MAX).read_to_end(&mut document).ok()?;
        Some(Metadata::from_bytes(&document)?.capacity)
    }
}

/// The capacities in the documents of active nodes. A document is named by its bytes: what was
/// read of it stays true.
type Documents = BTreeMap<Cid, Resources>;

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
    /// The job that the next look begins with.
    next: JobId,
}

#[derive(Debug)]
struct Ordered {
    at: Instant,
    /// Where the job goes, unless it fails.
    node: Option<NodeId>,
    /// What its machine will occupy there.
    occupied: Resources,
}

impl Desk {
    fn new(patience: Duration) -> Self {
        Self { patience, waiting: BTreeMap::new(), ordered: BTreeMap::new(), next: JobId(0) }
    }

    /// What is to be done about the jobs whose turn it is.
    fn decide(
        &mut self,
        view: &ChainView,
        capacities: &BTreeMap<NodeId, Resources>,
        seed: [u8; 32],
        now: Instant,
    ) -> Vec<(JobId, Order)> {
        let is_open = |job: &JobId| view.jobs.get(job).is_some_and(is_open);
        self.waiting.retain(|job, _| is_open(job));
        self.ordered.retain(|job, ordered| {
            is_open(job) && now.duration_since(ordered.at) < ORDER_AGAIN_AFTER
        });

        let mut nodes = self.nodes(view, capacities);
        let mut orders = Vec::new();
        for job in self.turn(view) {
            let occupied = occupied(job.resources);
            let request = Request { job: job.id, resources: occupied, region: None };
            let placement = candidates(job, &nodes, view).and_then(|candidates| {
                place(&request, &candidates, seed)
                    .map_err(|unplaceable| in_words(&unplaceable, &job.resources))
            });
            let (node, order) = match placement {
                Ok(placement) => {
                    let chosen = nodes.iter_mut().filter(|node| node.id == placement.node);
                    chosen.for_each(|node| node.reserved = sum(node.reserved, occupied));
                    (Some(placement.node), Order::Assign(placement))
                }
                Err(reason) => {
                    let since = *self.waiting.entry(job.id).or_insert(now);
                    if now.duration_since(since) < self.patience {
                        continue;
                    }
                    (None, Order::Fail(reason))
                }
            };
            self.ordered.insert(job.id, Ordered { at: now, node, occupied });
            orders.push((job.id, order));
        }
        orders
    }

    /// The open jobs that this look is for, the oldest first: so many that it ends soon. The next
    /// look goes on behind them.
    fn turn<'a>(&mut self, view: &'a ChainView) -> Vec<&'a Job> {
        let waits = |job: &&Job| is_open(job) && !self.ordered.contains_key(&job.id);
        let jobs = view.jobs.range(self.next..).map(|(_, job)| job);
        let jobs: Vec<&Job> = jobs.filter(waits).take(JOBS_PER_LOOK).collect();
        self.next = match jobs.last() {
            Some(last) if jobs.len() == JOBS_PER_LOOK => JobId(last.id.0.saturating_add(1)),
            _ => JobId(0),
        };
        jobs
    }

    /// The nodes with what they have and what is taken of it: by jobs on the chain, and by those
    /// that are on their way there.
    fn nodes(&self, view: &ChainView, capacities: &BTreeMap<NodeId, Resources>) -> Vec<NodeState> {
        let mut reserved: BTreeMap<NodeId, Resources> = BTreeMap::new();
        let on_chain = view.jobs.values().map(|job| (job.node, occupied(job.resources)));
        let coming = self.ordered.values().map(|ordered| (ordered.node, ordered.occupied));
        for (node, occupied) in on_chain.chain(coming) {
            let Some(node) = node else { continue };
            let taken = reserved.entry(node).or_default();
            *taken = sum(*taken, occupied);
        }
        let state = |node: &NodeRecord| {
            let capacity = *capacities.get(&node.id)?;
            Some(NodeState {
                id: node.id,
                capacity,
                reserved: reserved.get(&node.id).copied().unwrap_or_default(),
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

/// The nodes that meet what a job asks for besides room, or why none does.
fn candidates<'a>(
    job: &Job,
    nodes: &'a [NodeState],
    view: &ChainView,
) -> Result<Cow<'a, [NodeState]>, String> {
    if job.terms.gpus != 0 {
        return Err("it asks for graphics processors, and no node has any to give".to_owned());
    }
    let within_s = job.terms.attested_within_s;
    if within_s == 0 {
        return Ok(Cow::Borrowed(nodes));
    }
    let head_s = view.head.map_or(0, |head| head.timestamp_s);
    let attested = |node: &&NodeState| {
        let at_s = view.nodes.get(&node.id).map_or(0, |node| node.attested_at_s);
        at_s != 0 && at_s.saturating_add(within_s) >= head_s
    };
    let attested: Vec<_> = nodes.iter().filter(attested).cloned().collect();
    if attested.is_empty() {
        return Err(format!("no active node was attested on the chain within {within_s} s"));
    }
    Ok(Cow::Owned(attested))
}

fn is_open(job: &Job) -> bool {
    job.status == JobStatus::Created
}

/// Why no node takes a job. Its customer did not ask for what the monitor takes.
fn in_words(unplaceable: &Unplaceable, asked: &Resources) -> String {
    let is_of_memory = unplaceable.nowhere.iter().any(|lack| lack.resource == Resource::Memory);
    if !is_of_memory {
        return unplaceable.to_string();
    }
    let own_mib = unplaceable.needs.memory_mib.saturating_sub(asked.memory_mib);
    format!("{unplaceable} ({own_mib} MiB of what it needs are the monitor's)")
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
/// Jobs that one look is for. With ten thousand nodes it takes seconds, and then others have a turn.
const JOBS_PER_LOOK: usize = 512;

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
    fn wishes_besides_room_choose_among_nodes_or_end_the_job() {
        let mut view = view(&[(1, 1), (2, 1)]);
        for (job, terms) in [
            (1, JobTerms { gpus: 1, ..JobTerms::default() }),
            (2, JobTerms { attested_within_s: 60, ..JobTerms::default() }),
        ] {
            view.jobs.get_mut(&JobId(job)).unwrap().terms = terms;
        }
        let mut desk = Desk::new(Duration::ZERO);
        let orders = desk.decide(&view, &capacities(), [0; 32], Instant::now());
        let reasons: Vec<_> = orders
            .iter()
            .map(|(_, order)| match order {
                Order::Fail(reason) => reason.as_str(),
                Order::Assign(_) => "assigned",
            })
            .collect();
        assert!(reasons[0].contains("graphics"), "{reasons:?}");
        assert!(reasons[1].contains("attested"), "{reasons:?}");

        view.nodes.get_mut(&NODE).unwrap().attested_at_s = 1;
        let mut desk = Desk::new(Duration::ZERO);
        let orders = desk.decide(&view, &capacities(), [0; 32], Instant::now());
        assert!(matches!(orders[1].1, Order::Assign(_)), "{orders:?}");
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
    fn what_the_monitor_takes_is_counted() {
        let (mut desk, now) = (Desk::new(PATIENCE), Instant::now());
        let mut view = view(&[(1, 1), (2, 1), (3, 1)]);
        for (number, memory_mib) in [(1, 1984), (2, 1984), (3, 4096)] {
            let job = view.jobs.get_mut(&JobId(number)).unwrap();
            job.resources = Resources { memory_mib, ..job.resources };
        }
        // Each of two takes 1984 + 64 + 15 MiB of 4096.
        let orders = desk.decide(&view, &capacities(), [0; 32], now);
        assert!(matches!(&orders[..], [(JobId(1), Order::Assign(_))]), "{orders:?}");
        view.jobs.retain(|job, _| *job == JobId(3));
        let orders = desk.decide(&view, &capacities(), [0; 32], now + PATIENCE);
        let [(JobId(3), Order::Fail(reason))] = &orders[..] else { panic!("{orders:?}") };
        assert_eq!(
            reason,
            "no node has room: needs 4192 MiB memory, the largest free is 4096 MiB (96 MiB of what \
             it needs are the monitor's)"
        );
    }

    #[test]
    fn of_very_many_jobs_each_has_its_turn() {
        let (mut desk, now) = (Desk::new(PATIENCE), Instant::now());
        // None but the last fits anywhere.
        let last = JOBS_PER_LOOK as u64 + 10;
        let mut jobs: Vec<_> = (1..last).map(|number| (number, 3)).collect();
        jobs.push((last, 1));
        let view = view(&jobs);
        assert_eq!(desk.decide(&view, &capacities(), [0; 32], now), []);
        assert_eq!(desk.waiting.len(), JOBS_PER_LOOK);
        let orders = desk.decide(&view, &capacities(), [0; 32], now);
        assert!(matches!(&orders[..], [(job, Order::Assign(_))] if job.0 == last), "{orders:?}");
        assert_eq!(desk.waiting.len(), jobs.len() - 1);
        // The first ones again, and they have waited long enough.
        let orders = desk.decide(&view, &capacities(), [0; 32], now + PATIENCE);
        assert_eq!((orders.len(), orders[0].0), (JOBS_PER_LOOK, JobId(1)));
    }

    #[test]
    fn a_node_of_unknown_capacity_gets_nothing() {
        let (mut desk, now) = (Desk::new(PATIENCE), Instant::now());
        assert_eq!(desk.decide(&view(&[(1, 1)]), &BTreeMap::new(), [0; 32], now), []);
    }
}
