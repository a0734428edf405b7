//! All rows: in the journal, and the same in memory.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Submission,
    row::{Row, State},
};
use crate::{
    ChainError, calls,
    journal::{self, ChainTable, Change, Journal},
};

/// No more transactions wait for their end; a node that submits more has gone wrong.
const LIVE_MAX: usize = 1_024;
/// So many ends are kept, for those who ask and to be sent again should the chain forget them.
const ENDS_MAX: usize = 256;

pub(crate) struct Ledger {
    journal: Arc<dyn Journal>,
    rows: BTreeMap<u64, Row>,
    /// The newest row of each key.
    by_key: HashMap<String, u64>,
}

impl Ledger {
    pub(crate) fn load(journal: Arc<dyn Journal>) -> Result<Self, ChainError> {
        let rows: Vec<Row> = journal::read_all(&*journal, ChainTable::Outbox)?;
        let by_key = rows.iter().map(|row| (row.key.clone(), row.id)).collect();
        Ok(Self { journal, rows: rows.into_iter().map(|row| (row.id, row)).collect(), by_key })
    }

    /// The number of the row that carries this submission out: a new one, or the one that already
    /// does.
    pub(crate) fn submit(&mut self, submission: Submission) -> Result<u64, ChainError> {
        let known = self.by_key.get(&submission.key).and_then(|id| self.rows.get(id));
        if let Some(row) = known.filter(|row| !matches!(row.state, State::Failed { .. })) {
            return Ok(row.id);
        }
        let waiting = self.live().count();
        if waiting >= LIVE_MAX {
            return Err(ChainError::OutboxFull { waiting });
        }
        let id = self.rows.last_key_value().map_or(1, |(id, _)| id + 1);
        let row = Row {
            id,
            key: submission.key,
            to: calls::alloy_address(submission.to),
            calldata: submission.calldata.into(),
            expires_at_s: submission.expires_at_s,
            state: State::Queued,
        };
        self.put(row)?;
        Ok(id)
    }

    /// Writes a row, durably when this returns, and forgets the oldest ends.
    pub(crate) fn put(&mut self, row: Row) -> Result<(), ChainError> {
        let mut changes = vec![Change::put(ChainTable::Outbox, &row.id.to_be_bytes(), &row)?];
        let ends = self.rows.values().filter(|other| other.is_terminal() && other.id != row.id);
        let ends_max = if row.is_terminal() { ENDS_MAX - 1 } else { ENDS_MAX };
        let forgotten: Vec<u64> = {
            let surplus = ends.clone().count().saturating_sub(ends_max);
            ends.take(surplus).map(|end| end.id).collect()
        };
        changes.extend(
            forgotten.iter().map(|id| Change::delete(ChainTable::Outbox, &id.to_be_bytes())),
        );
        journal::commit(&*self.journal, changes)?;
        for id in forgotten {
            if let Some(row) = self.rows.remove(&id)
                && self.by_key.get(&row.key) == Some(&id)
            {
                self.by_key.remove(&row.key);
            }
        }
        let newest = self.by_key.entry(row.key.clone()).or_insert(row.id);
        *newest = row.id.max(*newest);
        self.rows.insert(row.id, row);
        Ok(())
    }

    pub(crate) fn outcome(&self, id: u64) -> Result<Option<Outcome>, ChainError> {
        let row = self.rows.get(&id).ok_or(ChainError::UnknownTransaction(id))?;
        Ok(row.outcome())
    }

    pub(crate) fn has_ended(&self, id: u64) -> bool {
        self.rows.get(&id).is_none_or(Row::is_terminal)
    }

    /// Rows that have not ended.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Row> {
        self.rows.values().filter(|row| !row.is_terminal())
    }

    /// Signed rows of which the chain may show something new, by number.
    pub(crate) fn unsettled(&self, head: u64, account_nonce: u64) -> Vec<Row> {
        let is_unsettled = |row: &&Row| row.is_unsettled(head, account_nonce);
        let mut rows: Vec<Row> = self.rows.values().filter(is_unsettled).cloned().collect();
        rows.sort_by_key(|row| row.sent().map(|sent| sent.nonce));
        rows
    }

    /// Signed rows that have not ended, by number.
    pub(crate) fn in_flight(&self) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.live().filter(|row| matches!(row.state, State::Sent(_))).cloned().collect();
        rows.sort_by_key(|row| row.sent().map(|sent| sent.nonce));
        rows
    }

    /// Rows that wait for their signature, in the order of submission.
    pub(crate) fn queued(&self) -> Vec<Row> {
        self.live().filter(|row| row.state == State::Queued).cloned().collect()
    }

    /// A number that nothing was signed for.
    pub(crate) fn next_nonce(&self, account_nonce: u64) -> u64 {
        let signed = self
            .rows
            .values()
            .filter_map(|row| row.sent().map(|sent| sent.nonce.saturating_add(1)));
        signed.max().unwrap_or(0).max(account_nonce)
    }
}

/// The ledger for its writer, its submitters and those who wait.
#[derive(Clone)]
pub(crate) struct SharedLedger {
    ledger: Arc<Mutex<Ledger>>,
    /// Counts the ends of transactions.
    ends: Arc<watch::Sender<u64>>,
    /// Wakes the worker.
    pub(crate) submitted: Arc<Notify>,
    /// Cancelled when the worker has ended.
    pub(crate) stopped: CancellationToken,
}

impl SharedLedger {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self {
            ledger: Arc::new(Mutex::new(ledger)),
            ends: Arc::new(watch::Sender::new(0)),
            submitted: Arc::new(Notify::new()),
            stopped: CancellationToken::new(),
        }
    }

    /// Works on the ledger away from the async threads; the lock is held for the journal's commit.
    pub(crate) async fn with<T, F>(&self, work: F) -> Result<T, ChainError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Ledger) -> Result<T, ChainError> + Send + 'static,
    {
        let ledger = Arc::clone(&self.ledger);
        journal::off_thread(move || {
            // A panic in between left at most the memory behind the journal.
            work(&mut ledger.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
    }

    /// Writes a row and tells those who wait for its end.
    pub(crate) async fn put(&self, row: Row) -> Result<(), ChainError> {
        let has_ended = row.is_terminal();
        self.with(move |ledger| ledger.put(row)).await?;
        if has_ended {
            self.ends.send_modify(|ends| *ends += 1);
        }
        Ok(())
    }

    pub(crate) async fn submit(&self, submission: Submission) -> Result<u64, ChainError> {
        let id = self.with(move |ledger| ledger.submit(submission)).await?;
        self.submitted.notify_one();
        Ok(id)
    }

    pub(crate) async fn outcome(&self, id: u64) -> Result<Outcome, ChainError> {
        // Subscribed before the row is read, so that no end falls in between.
        let mut ends = self.ends.subscribe();
        loop {
            if let Some(outcome) = self.with(move |ledger| ledger.outcome(id)).await? {
                return Ok(outcome);
            }
            if self.stopped.run_until_cancelled(ends.changed()).await.is_none() {
                return Err(ChainError::Stopped);
            }
        }
    }
}

impl fmt::Debug for SharedLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLedger").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{JournalError, KeyValue},
        outbox::{Failure, row::Sent},
    };

    #[derive(Default)]
    struct Rows(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

    impl Journal for Rows {
        fn scan(&self, _: ChainTable) -> Result<Vec<KeyValue>, JournalError> {
            Ok(self.0.lock().unwrap().clone().into_iter().collect())
        }

        fn commit(&self, changes: Vec<Change>) -> Result<(), JournalError> {
            let mut rows = self.0.lock().unwrap();
            for Change { key, value, .. } in changes {
                match value {
                    Some(value) => rows.insert(key, value),
                    None => rows.remove(&key),
                };
            }
            Ok(())
        }
    }

    fn submission(key: u64) -> Submission {
        let to = aleph_types::Address([1; 20]);
        Submission { key: key.to_string(), to, calldata: vec![1], expires_at_s: None }
    }

    fn end(ledger: &mut Ledger, id: u64, failure: Option<Failure>) {
        let sent = Sent { nonce: id - 1, gas_limit: 1, attempts: Vec::new(), mined: None };
        let state = match failure {
            Some(failure) => State::Failed { failure, sent: None },
            None => State::Confirmed(sent),
        };
        let row = Row { state, ..ledger.rows[&id].clone() };
        ledger.put(row).unwrap();
    }

    #[test]
    fn a_purpose_has_one_row_until_it_fails() {
        let journal: Arc<Rows> = Arc::default();
        let mut ledger = Ledger::load(journal.clone()).unwrap();
        assert_eq!([7, 8, 7].map(|key| ledger.submit(submission(key)).unwrap()), [1, 2, 1]);
        end(&mut ledger, 1, None);
        assert_eq!(ledger.submit(submission(7)).unwrap(), 1, "it has succeeded");
        end(&mut ledger, 2, Some(Failure::Expired));
        assert_eq!(ledger.submit(submission(8)).unwrap(), 3, "it is tried anew");

        let mut again = Ledger::load(journal).unwrap();
        assert_eq!(again.rows, ledger.rows);
        assert_eq!([7, 8].map(|key| again.submit(submission(key)).unwrap()), [1, 3]);
    }

    #[test]
    fn only_the_newest_ends_are_kept_and_no_number_comes_back() {
        let journal: Arc<Rows> = Arc::default();
        let mut ledger = Ledger::load(journal.clone()).unwrap();
        for id in 1..=300 {
            assert_eq!(ledger.submit(submission(id)).unwrap(), id);
            end(&mut ledger, id, None);
        }
        assert_eq!((ledger.rows.len(), ledger.by_key.len()), (ENDS_MAX, ENDS_MAX));
        assert!(matches!(ledger.outcome(44), Err(ChainError::UnknownTransaction(44))));
        assert!(ledger.has_ended(44));
        assert_eq!(Ledger::load(journal).unwrap().rows, ledger.rows);
        // A chain that was set back does not make a signed number free; one ahead counts.
        assert_eq!((ledger.next_nonce(10), ledger.next_nonce(1_000)), (300, 1_000));
    }

    #[test]
    fn a_runaway_submitter_is_stopped() {
        let mut ledger = Ledger::load(Arc::new(Rows::default())).unwrap();
        for key in 0..LIVE_MAX as u64 {
            ledger.submit(submission(key)).unwrap();
        }
        let error = ledger.submit(submission(u64::MAX)).unwrap_err();
        assert!(matches!(error, ChainError::OutboxFull { waiting: LIVE_MAX }));
        assert_eq!(ledger.submit(submission(3)).unwrap(), 4, "what waits is still found");
    }
}
