//! What can go wrong with the chain, and what to do next.

use crate::{journal::JournalError, rpc::RpcError};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A setting cannot be used.
    #[error("{setting} in the [chain] configuration is wrong: {problem}")]
    Config {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The chain's endpoint cannot be used now. Tasks try again by themselves.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The journal failed; what was promised durable may not be. The process should end.
    #[error("cannot {doing} the chain journal: check the data disk")]
    Journal {
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: JournalError,
    },
    /// A row of the journal is not what this program writes.
    #[error("a row of {table} in the chain journal is unreadable: restore the data disk's backup")]
    Row {
        /// The table that holds it.
        table: &'static str,
        /// Why it is unreadable.
        #[source]
        source: serde_json::Error,
    },
    /// The outbox has no room.
    #[error("{waiting} transactions wait already: wait until the chain takes some")]
    OutboxFull {
        /// How many wait.
        waiting: usize,
    },
    /// The outbox knows no transaction with this number, or has forgotten it.
    #[error("no transaction {0} in the outbox; ends are kept for the newest only")]
    UnknownTransaction(u64),
    /// The outbox has ended, so that nothing can be awaited any more.
    #[error("the transaction outbox has stopped: ask again after the restart")]
    Stopped,
    /// A transaction could not be signed.
    #[error("cannot sign with the operator key: check [chain] operator_key")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
}
