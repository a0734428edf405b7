//! The node's only door to the chain: what the contracts say, and what they are told.
//!
//! # Tasks
//!
//! [`Chain::start`] gives three futures, which the caller spawns and supervises by name. Each runs
//! until it is cancelled; each ends early only when the journal (or the key) fails, and then the
//! process should end.
//!
//! | task | does |
//! |---|---|
//! | `chain-watcher` | polls the head, reads logs from the durable cursor, keeps the projection |
//! | `chain-outbox` | the one owner of the account's numbers: signs, sends, follows transactions |
//! | `chain-heartbeat` | submits the node's and its jobs' heartbeats, one per interval |
//!
//! # Channels
//!
//! `watch<Option<ChainHead>>`, `watch<Arc<ChainView>>` and `watch<ChainHealth>` are written by the
//! watcher, `watch<OutboxStatus>` by the outbox: readers get the newest value and may miss those
//! in between. Submissions are rows of the journal, not messages: they cannot be lost.
//!
//! # Invariants
//!
//! - The projection is what view calls said at the hash of one block. Replaced blocks leave
//!   nothing behind: what they touched is read again.
//! - A transaction is durable before it is signed, and its signed bytes before they are sent. One
//!   number is signed for one row only, and again only to raise the fee.
//! - Nothing is sent to an endpoint that has not shown the configured chain id, the first block of
//!   the chain that was used before, and code at the contracts' addresses.
//! - An endpoint that does not answer is a state ([`ChainHealth`]), not an error: attempts go on
//!   with bounded pauses.
//! - No secret is logged: neither the key nor the endpoint's address, which may hold one.
//!
//! # What it does not do
//!
//! It decides nothing: who registers, starts or assigns what and when is the caller's. It uses no
//! subscriptions, which end unnoticed, and does not read the history before its first start.

#![forbid(unsafe_code)]

mod calls;
mod config;
mod cursor;
mod error;
mod health;
mod heartbeat;
mod journal;
mod outbox;
mod rpc;
mod view;
mod watcher;

use std::{fmt, pin::Pin, sync::Arc};

use aleph_types::{Address, Digest, JobId, NodeId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use calls::Registration;
pub use config::{Addresses, ChainConfig, OperatorKey};
pub use error::ChainError;
pub use health::ChainHealth;
pub use heartbeat::Heartbeat;
pub use journal::{ChainTable, Change, Journal, JournalError, KeyValue};
pub use outbox::{Failure, OutboxStatus, Outcome, Submission, Ticket};
pub use rpc::RpcError;
pub use view::{
    AttestationKey, ChainHead, ChainView, Hash, NodeRecord, NodeStatus, NodeType, Stake,
};

use outbox::SharedLedger;
use watcher::unix_now_s;

/// A task to spawn; when it ends with an error, or unasked, the process should end.
pub struct ChainTask {
    /// Its name, for logs.
    pub name: &'static str,
    /// What to spawn.
    pub future: Pin<Box<dyn Future<Output = Result<(), ChainError>> + Send>>,
}

impl fmt::Debug for ChainTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainTask").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The handle: cheap to clone, for everyone who reads the chain or tells it something.
#[derive(Debug, Clone)]
pub struct Chain {
    config: Arc<ChainConfig>,
    head: watch::Receiver<Option<ChainHead>>,
    view: watch::Receiver<Arc<ChainView>>,
    health: watch::Receiver<ChainHealth>,
    status: watch::Receiver<OutboxStatus>,
    ledger: SharedLedger,
}

impl Chain {
    /// Reads the journal, which blocks, and gives the handle and its tasks.
    ///
    /// `heartbeat` supplies what heartbeats tell; there are none while it holds none. The view is
    /// at first the journal's, of the last run.
    pub fn start(
        config: ChainConfig,
        journal: Arc<dyn Journal>,
        heartbeat: watch::Receiver<Option<Heartbeat>>,
        cancel: CancellationToken,
    ) -> Result<(Self, Vec<ChainTask>), ChainError> {
        config.check()?;
        let rpc = rpc::Rpc::new(&config.rpc_url)?;
        let ledger = SharedLedger::new(outbox::Ledger::load(Arc::clone(&journal))?);
        let published = watcher::Published {
            head: watch::Sender::new(None),
            view: watch::Sender::new(Arc::new(ChainView::unread(config.node_id))),
            health: watch::Sender::new(ChainHealth::Starting),
        };
        let status = watch::Sender::new(OutboxStatus::default());
        let chain = Self {
            config: Arc::new(config.clone()),
            head: published.head.subscribe(),
            view: published.view.subscribe(),
            health: published.health.subscribe(),
            status: status.subscribe(),
            ledger: ledger.clone(),
        };
        let watcher = watcher::Watcher::load(config.clone(), rpc.clone(), journal, published)?;
        let worker = outbox::Worker {
            config,
            rpc,
            ledger,
            head: chain.head(),
            health: chain.health(),
            status,
            pool: outbox::Pool::default(),
        };
        let tasks = vec![
            ChainTask { name: "chain-watcher", future: Box::pin(watcher.run(cancel.clone())) },
            ChainTask { name: "chain-outbox", future: Box::pin(worker.run(cancel.clone())) },
            ChainTask {
                name: "chain-heartbeat",
                future: Box::pin(heartbeat::run(chain.clone(), heartbeat, cancel)),
            },
        ];
        Ok((chain, tasks))
    }

    /// What the tasks were started with.
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// The newest block that was seen; none before the first of this run.
    pub fn head(&self) -> watch::Receiver<Option<ChainHead>> {
        self.head.clone()
    }

    /// What the chain says, as far as it matters to this node.
    pub fn view(&self) -> watch::Receiver<Arc<ChainView>> {
        self.view.clone()
    }

    /// Whether the chain can be used.
    pub fn health(&self) -> watch::Receiver<ChainHealth> {
        self.health.clone()
    }

    /// How the transactions fare.
    pub fn outbox(&self) -> watch::Receiver<OutboxStatus> {
        self.status.clone()
    }

    /// Queues a transaction; durable when this returns.
    pub async fn submit(&self, submission: Submission) -> Result<Ticket, ChainError> {
        let id = self.ledger.submit(submission).await?;
        Ok(self.ticket(id))
    }

    /// The ticket of a row that was submitted earlier, also by a former run.
    pub fn ticket(&self, id: u64) -> Ticket {
        Ticket::new(id, self.ledger.clone())
    }

    /// Registers this node, with the operator's account as its operator.
    pub async fn register_node(&self, registration: &Registration) -> Result<Ticket, ChainError> {
        let node = self.config.node_id;
        // After a deregistration the same words are a new request.
        let former = self.view.borrow().this_node().map_or(0, |node| node.registered_at_s);
        self.tell(
            format!("register-node/{node}/{former}"),
            self.config.addresses.node_registry,
            calls::register_node(node, registration).into(),
            None,
        )
        .await
    }

    /// Activates this node, once its stake has matured. Safe to repeat: at most one is sent in
    /// five minutes.
    pub async fn activate_node(&self) -> Result<Ticket, ChainError> {
        let node = self.config.node_id;
        self.tell(
            format!("activate-node/{node}/{}", unix_now_s() / 300),
            self.config.addresses.staking_manager,
            calls::activate_node(node).into(),
            None,
        )
        .await
    }

    /// Says that this node is alive. One is sent per `slot`, the number of a heartbeat interval.
    pub async fn heartbeat_node(&self, status: Digest, slot: u64) -> Result<Ticket, ChainError> {
        let node = self.config.node_id;
        self.tell(
            format!("heartbeat-node/{node}/{slot}"),
            self.config.addresses.node_registry,
            calls::heartbeat_node(node, status).into(),
            Some(self.slot_end_s(slot)),
        )
        .await
    }

    /// Says that these jobs run, in as many transactions as it takes.
    pub async fn heartbeat_jobs(
        &self,
        jobs: &[JobId],
        slot: u64,
    ) -> Result<Vec<Ticket>, ChainError> {
        let mut tickets = Vec::new();
        for (part, jobs) in jobs.chunks(calls::HEARTBEAT_JOBS_MAX).enumerate() {
            let ticket = self
                .tell(
                    format!("heartbeat-jobs/{slot}/{part}"),
                    self.config.addresses.job_manager,
                    calls::heartbeat_jobs(jobs).into(),
                    Some(self.slot_end_s(slot)),
                )
                .await?;
            tickets.push(ticket);
        }
        Ok(tickets)
    }

    /// Gives a job to a node. The operator's account needs the scheduler's role.
    pub async fn assign_job(&self, job: JobId, node: NodeId) -> Result<Ticket, ChainError> {
        // One node per job: a second choice must not race the first.
        self.tell_job_manager(format!("assign-job/{job}"), calls::assign_job(job, node).into())
            .await
    }

    /// Says that a job of this node runs.
    pub async fn start_job(&self, job: JobId) -> Result<Ticket, ChainError> {
        self.tell_job_manager(format!("start-job/{job}"), calls::start_job(job).into()).await
    }

    /// Says that a job of this node has ended as it should.
    pub async fn complete_job(&self, job: JobId) -> Result<Ticket, ChainError> {
        self.tell_job_manager(format!("complete-job/{job}"), calls::complete_job(job).into()).await
    }

    /// Says that a job cannot go on; a reason over 256 bytes is cut.
    pub async fn fail_job(&self, job: JobId, reason: &str) -> Result<Ticket, ChainError> {
        self.tell_job_manager(format!("fail-job/{job}"), calls::fail_job(job, reason).into()).await
    }

    async fn tell_job_manager(&self, key: String, calldata: Vec<u8>) -> Result<Ticket, ChainError> {
        self.tell(key, self.config.addresses.job_manager, calldata, None).await
    }

    async fn tell(
        &self,
        key: String,
        to: Address,
        calldata: Vec<u8>,
        expires_at_s: Option<u64>,
    ) -> Result<Ticket, ChainError> {
        self.submit(Submission { key, to, calldata, expires_at_s }).await
    }

    fn slot_end_s(&self, slot: u64) -> u64 {
        (slot + 1).saturating_mul(self.config.heartbeat_interval.as_secs())
    }
}
