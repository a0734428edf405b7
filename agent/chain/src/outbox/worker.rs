//! The one task that numbers, signs, sends and follows transactions.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718 as _,
    network::TxSignerSync as _,
    primitives::{Address, TxKind},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Failure, OutboxStatus, SharedLedger,
    row::{Attempt, Fees, Mined, Row, Seen, Sent, State, Verdict},
};
use crate::{
    ChainError, calls,
    config::ChainConfig,
    health::ChainHealth,
    rpc::{Call, Rpc, RpcError},
    view::ChainHead,
    watcher::unix_now_s,
};

/// So many signed transactions wait at once; endpoints take about 16 of an account before the
/// first is mined.
const IN_FLIGHT_MAX: usize = 16;
/// A transaction in no block is sent again after this long: endpoints restart and forget.
const RESEND_AFTER: Duration = Duration::from_secs(3);
/// So long must a number be used up without a receipt of ours: machines behind one endpoint may
/// be apart.
const NONCE_TAKEN_AFTER: Duration = Duration::from_secs(60);
/// A transaction's fee is raised so many times at most.
const ATTEMPTS_MAX: usize = 20;

pub(crate) struct Worker {
    pub(crate) config: ChainConfig,
    pub(crate) rpc: Rpc,
    pub(crate) ledger: SharedLedger,
    pub(crate) head: watch::Receiver<Option<ChainHead>>,
    pub(crate) health: watch::Receiver<ChainHealth>,
    pub(crate) status: watch::Sender<OutboxStatus>,
    pub(crate) pool: Pool,
}

/// What is known of the endpoint's pool. Not durable: a wrong guess costs a call.
#[derive(Default)]
pub(crate) struct Pool {
    /// When a row's newest attempt was last sent.
    sent_at: HashMap<u64, Instant>,
    /// Since when the endpoint has had a row's newest attempt.
    accepted_at: HashMap<u64, Instant>,
    /// Since when a row's number is used up without its receipt.
    missing_since: HashMap<u64, Instant>,
}

impl Pool {
    fn forget(&mut self, id: u64) {
        self.sent_at.remove(&id);
        self.accepted_at.remove(&id);
        self.missing_since.remove(&id);
    }
}

impl Worker {
    /// Runs until cancelled. Only the journal's failure and that of the signer end it otherwise.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Result<(), ChainError> {
        let _stopped = self.ledger.stopped.clone().drop_guard();
        loop {
            // The watcher knows whether this is the configured chain; nothing is sent before.
            let head = if self.health.borrow_and_update().is_healthy() {
                *self.head.borrow_and_update()
            } else {
                None
            };
            if let Some(head) = head {
                match cancel.run_until_cancelled(self.tick(&head)).await {
                    None => return Ok(()),
                    Some(Ok(problem)) => self.tell(problem).await?,
                    Some(Err(ChainError::Rpc(error))) => {
                        debug!(%error, "the outbox goes on later");
                        self.tell(Some(format!("{error}; {}", error.next()))).await?;
                    }
                    Some(Err(error)) => return Err(error),
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                Ok(()) = self.head.changed() => {}
                Ok(()) = self.health.changed() => {}
                () = self.ledger.submitted.notified() => {}
                () = tokio::time::sleep(RESEND_AFTER) => {}
            }
        }
    }

    /// One look at everything; gives what holds transactions up, if something does.
    async fn tick(&mut self, head: &ChainHead) -> Result<Option<String>, ChainError> {
        let account_nonce = self.rpc.nonce(self.account()).await?;
        self.settle(head, account_nonce).await?;
        let resent = self.resend(account_nonce).await?;
        let sent = self.send_queued(account_nonce).await?;
        Ok(resent.or(sent))
    }

    fn account(&self) -> Address {
        self.config.operator_key.signer().address()
    }

    async fn tell(&self, problem: Option<String>) -> Result<(), ChainError> {
        let (queued, in_flight) = self
            .ledger
            .with(|ledger| Ok((ledger.queued().len(), ledger.in_flight().len())))
            .await?;
        let status = OutboxStatus { queued, in_flight, problem };
        self.status.send_if_modified(|known| {
            let changed = *known != status;
            if known.problem != status.problem
                && let Some(problem) = &status.problem
            {
                warn!(queued, in_flight, problem, "transactions are held up");
            }
            *known = status;
            changed
        });
        Ok(())
    }

    // -----------------------------------------------------------------------------------------
    // Follow
    // -----------------------------------------------------------------------------------------

    /// Draws the conclusions from what the chain shows of every signed transaction.
    async fn settle(&mut self, head: &ChainHead, account_nonce: u64) -> Result<(), ChainError> {
        let number = head.number;
        let rows =
            self.ledger.with(move |ledger| Ok(ledger.unsettled(number, account_nonce))).await?;
        for row in rows {
            let Some(sent) = row.sent().cloned() else { continue };
            let seen = Seen {
                head: number,
                account_nonce,
                mined: self.find(&sent).await?,
                confirmations: self.config.confirmations,
            };
            let verdict = row.judge(seen);
            if verdict != Verdict::NonceTaken {
                self.pool.missing_since.remove(&row.id);
            }
            self.conclude(row, sent, verdict).await?;
        }
        Ok(())
    }

    async fn conclude(&mut self, row: Row, sent: Sent, verdict: Verdict) -> Result<(), ChainError> {
        let (id, key, nonce) = (row.id, row.key.clone(), sent.nonce);
        let state = match verdict {
            Verdict::Unchanged => return Ok(()),
            Verdict::Mined(mined) => State::Sent(Sent { mined: Some(mined), ..sent }),
            Verdict::Succeeded(mined) => {
                info!(id, key, nonce, block = mined.block_number, "transaction confirmed");
                State::Confirmed(Sent { mined: Some(mined), ..sent })
            }
            Verdict::Reverted(mined) => {
                let error = self.why_reverted(&row, &sent, &mined).await?;
                warn!(id, key, nonce, block = mined.block_number, error, "transaction reverted");
                let sent = Some(Sent { mined: Some(mined), ..sent });
                State::Failed { failure: Failure::Reverted { error }, sent }
            }
            Verdict::NotMined => {
                warn!(id, key, nonce, "the transaction's block was replaced; sending it again");
                self.pool.forget(id);
                State::Sent(Sent { mined: None, ..sent })
            }
            Verdict::NonceTaken => {
                let since = *self.pool.missing_since.entry(id).or_insert_with(Instant::now);
                if since.elapsed() < NONCE_TAKEN_AFTER {
                    return Ok(());
                }
                let failure = Failure::NonceTaken { nonce };
                warn!(id, key, %failure, "transaction lost");
                State::Failed { failure, sent: Some(sent) }
            }
        };
        let row = Row { state, ..row };
        if row.is_terminal() {
            self.pool.forget(id);
        }
        self.ledger.put(row).await
    }

    /// Where any of the attempts was mined; the newest is the likeliest.
    async fn find(&self, sent: &Sent) -> Result<Option<Mined>, RpcError> {
        for attempt in sent.attempts.iter().rev() {
            if let Some(receipt) = self.rpc.receipt(attempt.hash).await? {
                return Ok(Some(receipt.into()));
            }
        }
        Ok(None)
    }

    /// What a mined transaction failed with, by replaying it on the state before its block.
    async fn why_reverted(
        &self,
        row: &Row,
        sent: &Sent,
        mined: &Mined,
    ) -> Result<String, RpcError> {
        if mined.gas_used >= sent.gas_limit {
            return Ok(format!("out of gas after {} units", mined.gas_used));
        }
        let call = Call { from: Some(self.account()), to: row.to, data: &row.calldata };
        match self.rpc.call_at_number(&call, mined.block_number.saturating_sub(1)).await {
            Ok(_) => Ok("another transaction of the same block came before it".to_owned()),
            Err(error) => match error.revert() {
                Some(data) => Ok(calls::explain_revert(data)),
                None if error.is_refusal() => Ok("the endpoint cannot tell".to_owned()),
                None => Err(error),
            },
        }
    }

    // -----------------------------------------------------------------------------------------
    // Send again
    // -----------------------------------------------------------------------------------------

    /// Sends what is in no block again, and raises the fee of the first in line when it is stuck.
    async fn resend(&mut self, account_nonce: u64) -> Result<Option<String>, ChainError> {
        let rows = self.ledger.with(|ledger| Ok(ledger.in_flight())).await?;
        let mut problem = None;
        let mut is_first = true;
        for row in rows {
            let Some(sent) = row.sent().filter(|sent| sent.nonce >= account_nonce) else {
                continue;
            };
            if is_first && sent.nonce > account_nonce {
                problem = Some(format!(
                    "the chain expects number {account_nonce} of the operator's account, the \
                     oldest that waits is {}: the chain was set back; send any transaction for \
                     each number in between",
                    sent.nonce
                ));
            }
            let is_stuck = is_first
                && sent.nonce == account_nonce
                && self
                    .pool
                    .accepted_at
                    .get(&row.id)
                    .is_some_and(|at| at.elapsed() >= self.config.stuck_after);
            is_first = false;
            let is_due =
                self.pool.sent_at.get(&row.id).is_none_or(|at| at.elapsed() >= RESEND_AFTER);
            let met = if is_stuck {
                self.raise_fee(row).await?
            } else if is_due {
                self.broadcast(&row).await?
            } else {
                None
            };
            problem = problem.or(met);
        }
        Ok(problem)
    }

    /// Signs the same transaction with a higher fee.
    async fn raise_fee(&mut self, row: Row) -> Result<Option<String>, ChainError> {
        let State::Sent(mut sent) = row.state.clone() else { return Ok(None) };
        let Some(newest) = sent.attempts.last() else { return Ok(None) };
        let fees = newest.fees.raised(self.market_fees().await?);
        if fees.max_wei > self.config.fee_per_gas_wei_max || sent.attempts.len() >= ATTEMPTS_MAX {
            let met = self.broadcast(&row).await?;
            return Ok(met.or_else(|| {
                Some(format!(
                    "a transaction is stuck at {} wei per gas: raise fee_per_gas_wei_max in \
                     [chain], or wait for a calmer chain",
                    newest.fees.max_wei
                ))
            }));
        }
        info!(
            id = row.id,
            key = row.key,
            nonce = sent.nonce,
            max_wei = fees.max_wei,
            "raising fee"
        );
        let attempt = self.sign(&row, sent.nonce, sent.gas_limit, fees)?;
        sent.attempts.push(attempt);
        let row = Row { state: State::Sent(sent), ..row };
        self.ledger.put(row.clone()).await?;
        self.pool.forget(row.id);
        self.broadcast(&row).await
    }

    /// Hands the newest attempt to the endpoint; gives what stands against it.
    async fn broadcast(&mut self, row: &Row) -> Result<Option<String>, ChainError> {
        let Some(attempt) = row.sent().and_then(|sent| sent.attempts.last()) else {
            return Ok(None);
        };
        self.pool.sent_at.insert(row.id, Instant::now());
        let message = match self.rpc.send_raw(&attempt.raw).await {
            Ok(_) => None,
            Err(RpcError::Refused { message, .. }) => Some(message),
            Err(error) => return Err(error.into()),
        };
        let text = message.as_deref().unwrap_or_default().to_lowercase();
        // It is there, or it was mined meanwhile; the next look tells.
        if ["already", "known transaction", "nonce too low"]
            .iter()
            .any(|known| text.contains(known))
            || message.is_none()
        {
            self.pool.accepted_at.entry(row.id).or_insert_with(Instant::now);
            return Ok(None);
        }
        Ok(message.map(|message| self.explain_refusal(&message)))
    }

    fn explain_refusal(&self, message: &str) -> String {
        if message.to_lowercase().contains("insufficient funds") {
            return format!("account {} cannot pay for gas: send it ether", self.account());
        }
        format!("the endpoint does not take a transaction: {message}; it is sent again")
    }

    // -----------------------------------------------------------------------------------------
    // Send
    // -----------------------------------------------------------------------------------------

    /// Signs and sends what waits, in the order of submission, as far as there is room.
    async fn send_queued(&mut self, account_nonce: u64) -> Result<Option<String>, ChainError> {
        let (queued, mut in_flight) =
            self.ledger.with(|ledger| Ok((ledger.queued(), ledger.in_flight().len()))).await?;
        for row in queued {
            if row.expires_at_s.is_some_and(|at| at < unix_now_s()) {
                debug!(id = row.id, key = row.key, "transaction expired");
                self.fail(row, Failure::Expired).await?;
                continue;
            }
            if in_flight >= IN_FLIGHT_MAX {
                break;
            }
            let call = Call { from: Some(self.account()), to: row.to, data: &row.calldata };
            let gas = match self.rpc.estimate_gas(&call).await {
                Ok(gas) => gas,
                Err(error) => match error.revert() {
                    // One in flight may be what it needs: a heartbeat needs the registration.
                    Some(_) if in_flight > 0 => break,
                    Some(data) => {
                        let error = calls::explain_revert(data);
                        warn!(id = row.id, key = row.key, error, "transaction refused");
                        self.fail(row, Failure::Refused { error }).await?;
                        continue;
                    }
                    None => match error {
                        RpcError::Refused { message, .. } => {
                            return Ok(Some(self.explain_refusal(&message)));
                        }
                        error => return Err(error.into()),
                    },
                },
            };
            let fees = self.market_fees().await?;
            if fees.max_wei > self.config.fee_per_gas_wei_max {
                return Ok(Some(format!(
                    "gas costs {} wei, more than fee_per_gas_wei_max in [chain] allows: raise it, \
                     or wait",
                    fees.max_wei
                )));
            }
            let nonce =
                self.ledger.with(move |ledger| Ok(ledger.next_nonce(account_nonce))).await?;
            // On Arbitrum the price of the parent chain is part of the gas and may rise.
            let gas_limit = gas.saturating_add(gas / 2);
            let attempt = self.sign(&row, nonce, gas_limit, fees)?;
            info!(id = row.id, key = row.key, nonce, hash = %attempt.hash, "sending transaction");
            let sent = Sent { nonce, gas_limit, attempts: vec![attempt], mined: None };
            let row = Row { state: State::Sent(sent), ..row };
            self.ledger.put(row.clone()).await?;
            in_flight += 1;
            if let Some(problem) = self.broadcast(&row).await? {
                return Ok(Some(problem));
            }
        }
        Ok(None)
    }

    async fn fail(&self, row: Row, failure: Failure) -> Result<(), ChainError> {
        self.ledger.put(Row { state: State::Failed { failure, sent: None }, ..row }).await
    }

    /// What the next blocks ask for: room for the base fee to double.
    async fn market_fees(&self) -> Result<Fees, RpcError> {
        let base_wei = self.rpc.head().await?.base_fee_wei();
        let priority_wei = self.rpc.priority_fee_wei().await?;
        Ok(Fees { max_wei: base_wei.saturating_mul(2).saturating_add(priority_wei), priority_wei })
    }

    fn sign(
        &self,
        row: &Row,
        nonce: u64,
        gas_limit: u64,
        fees: Fees,
    ) -> Result<Attempt, ChainError> {
        let mut transaction = TxEip1559 {
            chain_id: self.config.chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: fees.max_wei,
            max_priority_fee_per_gas: fees.priority_wei,
            to: TxKind::Call(row.to),
            input: row.calldata.clone(),
            ..TxEip1559::default()
        };
        let signature = self
            .config
            .operator_key
            .signer()
            .sign_transaction_sync(&mut transaction)
            .map_err(|error| ChainError::Sign(error.into()))?;
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        Ok(Attempt { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into(), fees })
    }
}
