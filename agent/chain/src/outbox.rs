//! Transactions that are sent for sure and once.
//!
//! A transaction is a row of the journal before anything else happens to it, and what was signed
//! is in the journal before it is sent. One task numbers, signs and sends, so a number is signed
//! for one row only, and again only for the same row with a higher fee. What a replaced block or a
//! restarted endpoint has lost is sent again as the same bytes.

mod ledger;
mod row;
mod worker;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use ledger::{Ledger, SharedLedger};
pub(crate) use worker::{Pool, Worker};

use crate::{ChainError, Hash};

/// A transaction to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Names the purpose. While a row with this key waits or has succeeded, submitting it again
    /// gives the same row; after a failure it is tried anew.
    pub key: String,
    /// The contract.
    pub to: aleph_types::Address,
    /// The encoded call.
    pub calldata: Vec<u8>,
    /// Not signed after this time, in seconds of Unix time.
    pub expires_at_s: Option<u64>,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in a block that enough blocks follow.
    Confirmed {
        /// The transaction.
        transaction: Hash,
        /// The block that holds it.
        block_number: u64,
    },
    /// It did not happen.
    Failed(Failure),
}

/// Why a transaction did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The contract would not take it, so it was not sent.
    Refused {
        /// The contract's error.
        error: String,
    },
    /// The contract did not take it.
    Reverted {
        /// The contract's error.
        error: String,
    },
    /// It was not signed in time.
    Expired,
    /// Another transaction of the same account came in its place.
    NonceTaken {
        /// The number that both had.
        nonce: u64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { error } => write!(f, "the contract would refuse it: {error}"),
            Self::Reverted { error } => write!(f, "the contract reverted it: {error}"),
            Self::Expired => f.write_str("it could not be sent before its time was over"),
            Self::NonceTaken { nonce } => write!(
                f,
                "another program used number {nonce} of the operator's account: let only this \
                 node have its key"
            ),
        }
    }
}

/// How the outbox fares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OutboxStatus {
    /// Transactions that are not signed yet.
    pub queued: usize,
    /// Transactions that are signed and have not ended.
    pub in_flight: usize,
    /// What holds them up, and what to do about it.
    pub problem: Option<String>,
}

/// A submitted transaction.
#[derive(Debug, Clone)]
pub struct Ticket {
    id: u64,
    ledger: SharedLedger,
}

impl Ticket {
    pub(crate) fn new(id: u64, ledger: SharedLedger) -> Self {
        Self { id, ledger }
    }

    /// The row's number, which survives restarts.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the transaction's end. Dropping the future changes nothing.
    pub async fn outcome(&self) -> Result<Outcome, ChainError> {
        self.ledger.outcome(self.id).await
    }

    /// Whether the transaction has ended, or so long ago that it is forgotten.
    pub async fn has_ended(&self) -> Result<bool, ChainError> {
        let id = self.id;
        self.ledger.with(move |ledger| Ok(ledger.has_ended(id))).await
    }
}
