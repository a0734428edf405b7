//! Says on the chain, once per interval, that the node is alive and which jobs run.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aleph_types::{Digest, JobId, JobStatus};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{Chain, ChainError, ChainView, NodeStatus, Ticket, watcher::unix_now_s};

/// What a heartbeat tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// SHA-256 of the status document that the node serves.
    pub status: Digest,
    /// The jobs whose machines run now.
    pub running: BTreeSet<JobId>,
}

/// Runs until cancelled. Only the journal's failure ends it otherwise.
pub(crate) async fn run(
    chain: Chain,
    mut heartbeat: watch::Receiver<Option<Heartbeat>>,
    cancel: CancellationToken,
) -> Result<(), ChainError> {
    let interval_s = chain.config().heartbeat_interval.as_secs();
    let mut view = chain.view();
    let mut last_slot = None;
    let mut waiting: Vec<Ticket> = Vec::new();
    loop {
        // Slots are counted by the clock, so that a restarted agent does not say it twice.
        let slot = unix_now_s() / interval_s;
        let current = heartbeat.borrow_and_update().clone();
        let seen = Arc::clone(&view.borrow_and_update());
        if let Some(current) = current.filter(|_| last_slot != Some(slot))
            && may_speak(&chain, &seen)
        {
            last_slot = Some(slot);
            beat(&chain, &seen, &current, slot, &mut waiting).await?;
        }
        let next_slot_s = ((slot + 1) * interval_s).saturating_sub(unix_now_s()).max(1);
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(next_slot_s)) => {}
            Ok(()) = view.changed() => {}
            Ok(()) = heartbeat.changed() => {}
        }
    }
}

/// Whether the chain knows this node, with this operator.
fn may_speak(chain: &Chain, view: &ChainView) -> bool {
    let operator = chain.config().operator_key.address();
    view.this_node().is_some_and(|node| {
        let is_ours = node.operator == operator;
        if !is_ours {
            debug!(registered = %node.operator, %operator, "no heartbeat: another operator");
        }
        is_ours && node.status != NodeStatus::Deregistered
    })
}

async fn beat(
    chain: &Chain,
    view: &ChainView,
    heartbeat: &Heartbeat,
    slot: u64,
    waiting: &mut Vec<Ticket>,
) -> Result<(), ChainError> {
    // While the chain takes none, further ones would only pile up behind.
    for ticket in waiting.iter() {
        if !ticket.has_ended().await? {
            debug!(slot, "no heartbeat: the one before has not ended");
            return Ok(());
        }
    }
    let on_chain = view
        .own_jobs()
        .filter(|job| matches!(job.status, JobStatus::Running | JobStatus::Stopping));
    let jobs: Vec<JobId> =
        on_chain.map(|job| job.id).filter(|id| heartbeat.running.contains(id)).collect();
    waiting.clear();
    match chain.heartbeat_node(heartbeat.status, slot).await {
        Ok(ticket) => waiting.push(ticket),
        Err(error @ ChainError::OutboxFull { .. }) => {
            warn!(%error, "no heartbeat");
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    match chain.heartbeat_jobs(&jobs, slot).await {
        Ok(tickets) => waiting.extend(tickets),
        Err(error @ ChainError::OutboxFull { .. }) => warn!(%error, "no heartbeat of jobs"),
        Err(error) => return Err(error),
    }
    Ok(())
}
