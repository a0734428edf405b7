//! The port through which this crate keeps what must survive a restart.

use serde::{Serialize, de::DeserializeOwned};

use crate::ChainError;

/// Why a journal failed.
pub type JournalError = Box<dyn std::error::Error + Send + Sync>;

/// Where rows are kept; the whole key space of each belongs to this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainTable {
    /// How far the log has been read: one row.
    Cursor,
    /// Jobs that matter here, by number.
    Jobs,
    /// Nodes that matter here, by id.
    Nodes,
    /// Transactions, by number.
    Outbox,
}

impl ChainTable {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Cursor, Self::Jobs, Self::Nodes, Self::Outbox];

    /// A stable name, for the store that keeps the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cursor => "chain_cursor",
            Self::Jobs => "chain_jobs",
            Self::Nodes => "chain_nodes",
            Self::Outbox => "chain_outbox",
        }
    }
}

/// One row to write or to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The row's table.
    pub table: ChainTable,
    /// The row's key.
    pub key: Vec<u8>,
    /// The row's new value, none to remove it.
    pub value: Option<Vec<u8>>,
}

/// A row as it is kept.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// Durable rows in key order. Calls may block: this crate makes them off the async threads.
pub trait Journal: Send + Sync + 'static {
    /// All rows of a table in the order of their keys.
    fn scan(&self, table: ChainTable) -> Result<Vec<KeyValue>, JournalError>;

    /// Makes all changes or none, durably: after `Ok` they survive the loss of power.
    fn commit(&self, changes: Vec<Change>) -> Result<(), JournalError>;
}

impl Change {
    /// Writes `value` as JSON.
    pub(crate) fn put<T: Serialize>(
        table: ChainTable,
        key: &[u8],
        value: &T,
    ) -> Result<Self, ChainError> {
        let value = serde_json::to_vec(value)
            .map_err(|source| ChainError::Row { table: table.name(), source })?;
        Ok(Self { table, key: key.to_vec(), value: Some(value) })
    }

    /// Removes a row.
    pub(crate) fn delete(table: ChainTable, key: &[u8]) -> Self {
        Self { table, key: key.to_vec(), value: None }
    }
}

/// All values of a table.
pub(crate) fn read_all<T: DeserializeOwned>(
    journal: &dyn Journal,
    table: ChainTable,
) -> Result<Vec<T>, ChainError> {
    let rows =
        journal.scan(table).map_err(|source| ChainError::Journal { doing: "read", source })?;
    rows.iter()
        .map(|(_, value)| serde_json::from_slice(value))
        .collect::<Result<_, _>>()
        .map_err(|source| ChainError::Row { table: table.name(), source })
}

/// Commits `changes`.
pub(crate) fn commit(journal: &dyn Journal, changes: Vec<Change>) -> Result<(), ChainError> {
    if changes.is_empty() {
        return Ok(());
    }
    journal.commit(changes).map_err(|source| ChainError::Journal { doing: "write", source })
}

/// Runs blocking work on the journal away from the async threads.
pub(crate) async fn off_thread<T, F>(work: F) -> Result<T, ChainError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ChainError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(ChainError::Journal { doing: "use", source: source.into() }),
    }
}
