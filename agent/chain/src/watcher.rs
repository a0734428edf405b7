//! Reads the contracts' logs from the durable cursor on, and keeps the projection.
//!
//! Logs only say *which* nodes and jobs may have changed; their state is then asked for by view
//! calls at the hash of the head block. So a log that is read twice does no harm, and a block that
//! is replaced leaves nothing behind: what it touched is asked for again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use aleph_types::{JobId, NodeId, job::Job};
use alloy::primitives::Address as AlloyAddress;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    ChainError,
    calls::{self, At, Key},
    config::ChainConfig,
    cursor::{Cursor, Marks, Scope},
    health::{Backoff, ChainHealth},
    journal::{self, ChainTable, Change, Journal},
    rpc::{Header, Rpc, RpcError},
    view::{ChainHead, ChainView, NodeRecord, NodeStatus},
};

/// One log request never spans more blocks; endpoints refuse larger spans.
const LOG_BLOCKS_MAX: u64 = 1_000;
/// Behind by more blocks, reading everything is cheaper than reading the log.
const CATCH_UP_BLOCKS_MAX: u64 = 20_000;
/// With more changes at once, reading everything is cheaper, and marks stay small.
const CHANGES_MAX: usize = 1_024;
/// View calls under way at once.
const READS_AT_ONCE: usize = 8;
/// Everything is read anew this often: an endpoint whose machines lag behind each other can leave
/// logs out without a sign.
const RECONCILE_EVERY: Duration = Duration::from_secs(600);
/// The one row of the cursor table.
const CURSOR_KEY: &[u8] = b"cursor";

/// The channels on which the watcher tells what it sees.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) head: watch::Sender<Option<ChainHead>>,
    pub(crate) view: watch::Sender<Arc<ChainView>>,
    pub(crate) health: watch::Sender<ChainHealth>,
}

/// The task's state.
pub(crate) struct Watcher {
    config: ChainConfig,
    contracts: [AlloyAddress; 3],
    rpc: Rpc,
    journal: Arc<dyn Journal>,
    published: Published,
    /// What the journal holds; replaced only after a commit.
    cursor: Option<Cursor>,
    /// The projection that belongs to the cursor.
    view: Arc<ChainView>,
    /// Set once the endpoint has shown that it serves the configured chain.
    scope: Option<Scope>,
    log_blocks: u64,
    /// Also set at the start: after a restart the log says what was missed.
    reconciled_at: Instant,
}

/// What a reading changes; `None` removes.
#[derive(Default)]
struct Reading {
    nodes: BTreeMap<NodeId, Option<NodeRecord>>,
    jobs: BTreeMap<JobId, Option<Job>>,
}

/// A head that is older than the one seen before by more than this is an endpoint that lags. The
/// reorganisations that chains have are far shorter.
const BEHIND_S: u64 = 30;

impl Watcher {
    /// Blocks while the journal is read.
    pub(crate) fn load(
        config: ChainConfig,
        rpc: Rpc,
        journal: Arc<dyn Journal>,
        published: Published,
    ) -> Result<Self, ChainError> {
        let cursor: Option<Cursor> = journal::read_all(&*journal, ChainTable::Cursor)?.pop();
        let nodes: Vec<NodeRecord> = journal::read_all(&*journal, ChainTable::Nodes)?;
        let jobs: Vec<Job> = journal::read_all(&*journal, ChainTable::Jobs)?;
        let view = Arc::new(ChainView {
            head: cursor.as_ref().and_then(|cursor| cursor.marks.tip().copied()),
            node_id: config.node_id,
            nodes: nodes.into_iter().map(|node| (node.id, node)).collect(),
            jobs: jobs.into_iter().map(|job| (job.id, job)).collect(),
        });
        // Of another node or other contracts, the former view would mislead.
        let scope_fits = cursor.as_ref().is_some_and(|cursor| {
            cursor.scope.node_id == config.node_id && cursor.scope.addresses == config.addresses
        });
        if scope_fits {
            published.view.send_replace(Arc::clone(&view));
        }
        let contracts = [
            config.addresses.node_registry,
            config.addresses.staking_manager,
            config.addresses.job_manager,
        ]
        .map(calls::alloy_address);
        Ok(Self {
            config,
            contracts,
            rpc,
            journal,
            published,
            cursor,
            view,
            scope: None,
            log_blocks: LOG_BLOCKS_MAX,
            reconciled_at: Instant::now(),
        })
    }

    /// Runs until cancelled. Only the journal's failure ends it otherwise.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Result<(), ChainError> {
        let mut backoff = Backoff::new();
        let mut failures = Failures::default();
        loop {
            let pause = match cancel.run_until_cancelled(self.poll()).await {
                None => return Ok(()),
                Some(Ok(())) => {
                    failures.end(&self.published.health);
                    backoff.reset();
                    self.config.poll_interval
                }
                Some(Err(ChainError::Rpc(error))) => {
                    // It may come back as something else.
                    self.scope = None;
                    failures.add(&self.published.health, &error);
                    backoff.pause()
                }
                Some(Err(error)) => return Err(error),
            };
            if cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
    }

    async fn poll(&mut self) -> Result<(), ChainError> {
        let scope = match &self.scope {
            Some(scope) => scope.clone(),
            None => self.verify_endpoint().await?,
        };
        let header = self.rpc.head().await?;
        let head = head_of(&header);
        let (mut marks, mut keys) = (self.marks_in(&scope), BTreeSet::new());
        // A head that is much older than what was seen is no reorganisation: the endpoint was set
        // back or catches up, and what it does not know yet must not look undone.
        if marks
            .tip()
            .is_some_and(|tip| head.timestamp_s.saturating_add(BEHIND_S) < tip.timestamp_s)
        {
            return Err(RpcError::BlockGone(head.number).into());
        }
        self.rewind(&mut marks, &head, &mut keys).await?;

        let touched = match marks.tip() {
            None => None,
            Some(tip) if self.must_read_all(tip, &head) => None,
            // Nothing new, or a machine that lags behind answered.
            Some(tip) if tip.number >= head.number && keys.is_empty() => {
                self.scope = Some(scope);
                self.tell_head(*tip);
                return Ok(());
            }
            // What it would say of the touched keys is older than the view.
            Some(tip) if tip.number > head.number => {
                return Err(RpcError::BlockGone(head.number).into());
            }
            Some(tip) => self.touched_since(tip.number, head.number).await?,
        };
        let reading = match touched {
            Some(touched) if touched.len() + keys.len() <= CHANGES_MAX => {
                keys.extend(&touched);
                let reading = self.read(&head, &keys).await?;
                if marks.tip().is_none_or(|tip| tip.number < head.number) {
                    marks.push(head, keys);
                }
                reading
            }
            _ => {
                let reading = self.read_everything(&head).await?;
                marks = Marks::starting_at(head);
                self.reconciled_at = Instant::now();
                reading
            }
        };
        self.keep(Cursor { scope, marks }, head, reading).await
    }

    /// Whether the endpoint serves the configured chain and contracts.
    async fn verify_endpoint(&self) -> Result<Scope, RpcError> {
        let found = self.rpc.chain_id().await?;
        let wanted = self.config.chain_id;
        if found != wanted {
            return Err(RpcError::WrongChain { found, wanted });
        }
        let genesis = self.rpc.header(0).await?.ok_or(RpcError::BlockGone(0))?;
        let scope = Scope {
            chain_id: found,
            genesis: genesis.hash,
            addresses: self.config.addresses,
            node_id: self.config.node_id,
            coordinator: self.config.coordinator,
        };
        if self.cursor.as_ref().is_some_and(|cursor| !cursor.scope.is_same_chain(&scope)) {
            return Err(RpcError::OtherChain);
        }
        for (contract, address) in [
            ("NodeRegistry", self.config.addresses.node_registry),
            ("StakingManager", self.config.addresses.staking_manager),
            ("JobManager", self.config.addresses.job_manager),
        ] {
            if !self.rpc.has_code(calls::alloy_address(address)).await? {
                return Err(RpcError::NoContract { contract, address });
            }
        }
        Ok(scope)
    }

    /// The marks that still mean something.
    fn marks_in(&self, scope: &Scope) -> Marks {
        match &self.cursor {
            Some(cursor) if cursor.scope == *scope => cursor.marks.clone(),
            _ => Marks::default(),
        }
    }

    /// Walks back to the newest mark that is still on the chain, and collects what the replaced
    /// blocks touched.
    async fn rewind(
        &self,
        marks: &mut Marks,
        head: &ChainHead,
        keys: &mut BTreeSet<Key>,
    ) -> Result<(), RpcError> {
        if marks.is_continued_by(head) {
            return Ok(());
        }
        let former = marks.tip().copied();
        while let Some(tip) = marks.tip() {
            let there = self.rpc.header(tip.number).await?;
            if there.is_some_and(|block| tip.hash == block.hash.into()) {
                break;
            }
            keys.extend(marks.drop_tip());
        }
        if let Some(former) = former.filter(|former| marks.tip() != Some(former)) {
            let common = marks.tip().map(|tip| tip.number);
            warn!(former = former.number, ?common, head = head.number, "blocks were replaced");
        }
        Ok(())
    }

    fn must_read_all(&self, tip: &ChainHead, head: &ChainHead) -> bool {
        let is_due = self.reconciled_at.elapsed() >= RECONCILE_EVERY;
        is_due || head.number.saturating_sub(tip.number) > CATCH_UP_BLOCKS_MAX
    }

    /// What the log says has changed after block `read` up to block `last`; none if it is more
    /// than one reads singly.
    async fn touched_since(
        &mut self,
        read: u64,
        last: u64,
    ) -> Result<Option<BTreeSet<Key>>, RpcError> {
        let mut touched = BTreeSet::new();
        let mut read = read;
        while read < last {
            let first = read.saturating_add(1);
            let end = last.min(read.saturating_add(self.log_blocks));
            let logs = match self.rpc.logs(&self.contracts, first, end).await {
                Ok(logs) => logs,
                // Endpoints bound the span or the size of an answer, each in its own words.
                Err(error) if error.is_refusal() && end > first => {
                    self.log_blocks = ((end - read) / 2).max(1);
                    debug!(blocks = self.log_blocks, %error, "asking for fewer blocks at once");
                    continue;
                }
                Err(error) => return Err(error),
            };
            touched
                .extend(logs.iter().filter_map(|log| calls::key_of(log, &self.config.addresses)));
            if touched.len() > CHANGES_MAX {
                return Ok(None);
            }
            self.log_blocks = (self.log_blocks * 2).min(LOG_BLOCKS_MAX);
            read = end;
        }
        Ok(Some(touched))
    }

    /// The present state of what may have changed.
    async fn read(&self, head: &ChainHead, keys: &BTreeSet<Key>) -> Result<Reading, RpcError> {
        let nodes = keys.iter().filter_map(|key| match key {
            Key::Node(id) if self.config.coordinator || *id == self.config.node_id => Some(*id),
            _ => None,
        });
        let mut jobs: BTreeSet<JobId> = keys
            .iter()
            .filter_map(|key| match key {
                Key::Job(id) => Some(*id),
                Key::Node(_) => None,
            })
            .collect();
        let nodes = self.read_nodes(head, nodes.collect()).await?;
        // The jobs of a node that comes back have not been followed while it was away.
        for (id, node) in &nodes {
            let is_new = !self.view.nodes.contains_key(id);
            if node.as_ref().is_some_and(|node| is_new && self.matters(node)) {
                jobs.extend(self.at(head).jobs_of_node(*id).await?);
            }
        }
        let jobs = self.read_jobs(head, jobs.into_iter().collect()).await?;
        Ok(self.only_what_matters(nodes, jobs))
    }

    /// The present state of all that matters.
    async fn read_everything(&self, head: &ChainHead) -> Result<Reading, RpcError> {
        let at = self.at(head);
        let mut ids = BTreeSet::from([self.config.node_id]);
        let mut jobs = BTreeSet::new();
        if self.config.coordinator {
            ids.extend(at.active_nodes().await?);
            jobs.extend(at.open_jobs().await?);
        }
        for id in &ids {
            jobs.extend(at.jobs_of_node(*id).await?);
        }
        let nodes = self.read_nodes(head, ids.into_iter().collect()).await?;
        let jobs = self.read_jobs(head, jobs.into_iter().collect()).await?;
        let mut reading = self.only_what_matters(nodes, jobs);
        // What is known and was not met is gone.
        for id in self.view.nodes.keys() {
            reading.nodes.entry(*id).or_insert(None);
        }
        for id in self.view.jobs.keys() {
            reading.jobs.entry(*id).or_insert(None);
        }
        info!(
            block = head.number,
            nodes = reading.nodes.values().flatten().count(),
            jobs = reading.jobs.values().flatten().count(),
            "read the contracts' whole state"
        );
        Ok(reading)
    }

    async fn read_nodes(
        &self,
        head: &ChainHead,
        ids: Vec<NodeId>,
    ) -> Result<Vec<(NodeId, Option<NodeRecord>)>, RpcError> {
        stream::iter(ids)
            .map(|id| async move { self.at(head).node(id).await.map(|node| (id, node)) })
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn read_jobs(
        &self,
        head: &ChainHead,
        ids: Vec<JobId>,
    ) -> Result<Vec<(JobId, Option<Job>)>, RpcError> {
        stream::iter(ids)
            .map(|id| async move { self.at(head).job(id).await.map(|job| (id, job)) })
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await
    }

    fn at(&self, head: &ChainHead) -> At<'_> {
        At { rpc: &self.rpc, addresses: &self.config.addresses, block: head.hash.into() }
    }

    fn only_what_matters(
        &self,
        nodes: Vec<(NodeId, Option<NodeRecord>)>,
        jobs: Vec<(JobId, Option<Job>)>,
    ) -> Reading {
        let job_matters = |job: &Job| {
            !job.status.is_terminal()
                && (self.config.coordinator || job.node == Some(self.config.node_id))
        };
        Reading {
            nodes: nodes
                .into_iter()
                .map(|(id, node)| (id, node.filter(|node| self.matters(node))))
                .collect(),
            jobs: jobs.into_iter().map(|(id, job)| (id, job.filter(job_matters))).collect(),
        }
    }

    fn matters(&self, node: &NodeRecord) -> bool {
        node.id == self.config.node_id
            || (self.config.coordinator && node.status == NodeStatus::Active)
    }

    /// Commits a reading, then tells about it.
    async fn keep(
        &mut self,
        cursor: Cursor,
        head: ChainHead,
        reading: Reading,
    ) -> Result<(), ChainError> {
        let mut changes = vec![Change::put(ChainTable::Cursor, CURSOR_KEY, &cursor)?];
        let mut view = ChainView { head: Some(head), ..(*self.view).clone() };
        for (id, node) in reading.nodes {
            if view.nodes.get(&id) == node.as_ref() {
                continue;
            }
            changes.push(match &node {
                Some(node) => Change::put(ChainTable::Nodes, id.as_bytes(), node)?,
                None => Change::delete(ChainTable::Nodes, id.as_bytes()),
            });
            match node {
                Some(node) => view.nodes.insert(id, node),
                None => view.nodes.remove(&id),
            };
        }
        for (id, job) in reading.jobs {
            if view.jobs.get(&id) == job.as_ref() {
                continue;
            }
            let key = id.0.to_be_bytes();
            changes.push(match &job {
                Some(job) => Change::put(ChainTable::Jobs, &key, job)?,
                None => Change::delete(ChainTable::Jobs, &key),
            });
            match job {
                Some(job) => view.jobs.insert(id, job),
                None => view.jobs.remove(&id),
            };
        }
        let journal = Arc::clone(&self.journal);
        journal::off_thread(move || journal::commit(&*journal, changes)).await?;
        self.scope = Some(cursor.scope.clone());
        self.cursor = Some(cursor);
        self.view = Arc::new(view);
        self.published.view.send_replace(Arc::clone(&self.view));
        self.tell_head(head);
        Ok(())
    }

    fn tell_head(&self, head: ChainHead) {
        self.published.head.send_if_modified(|known| {
            let is_new = *known != Some(head);
            *known = Some(head);
            is_new
        });
    }
}

/// The failures in a row. The first is kept quiet: the machines behind one endpoint are often a
/// block apart, and the next attempt helps.
#[derive(Default)]
struct Failures {
    since_s: u64,
    count: u32,
}

impl Failures {
    fn add(&mut self, health: &watch::Sender<ChainHealth>, error: &RpcError) {
        self.count = self.count.saturating_add(1);
        if self.count == 1 {
            self.since_s = unix_now_s();
            debug!(%error, "the chain could not be read");
            return;
        }
        if self.count == 2 {
            warn!(%error, next = error.next(), "the chain cannot be read");
        }
        health.send_replace(ChainHealth::Unreachable {
            since_s: self.since_s,
            attempts: self.count,
            reason: error.to_string(),
            next: error.next(),
        });
    }

    fn end(&mut self, health: &watch::Sender<ChainHealth>) {
        if self.count > 1 {
            info!(failed_attempts = self.count, "the chain can be read again");
        }
        self.count = 0;
        health.send_if_modified(|health| {
            let changed = !health.is_healthy();
            *health = ChainHealth::Healthy;
            changed
        });
    }
}

fn head_of(header: &Header) -> ChainHead {
    ChainHead {
        number: header.number(),
        hash: header.hash.into(),
        parent_hash: header.parent_hash.into(),
        timestamp_s: header.timestamp_s(),
    }
}

pub(crate) fn unix_now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
