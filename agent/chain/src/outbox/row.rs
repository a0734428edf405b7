//! One transaction's durable row, and what follows from what the chain shows of it.

use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{Failure, Outcome};
use crate::rpc::Receipt;

/// A transaction that this many blocks follow is not asked about any more, unless its number is
/// free again.
pub(crate) const FINAL_BLOCKS: u64 = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) to: Address,
    pub(crate) calldata: Bytes,
    pub(crate) expires_at_s: Option<u64>,
    pub(crate) state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Queued,
    Sent(Sent),
    Confirmed(Sent),
    Failed { failure: Failure, sent: Option<Sent> },
}

/// What was signed for a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) nonce: u64,
    pub(crate) gas_limit: u64,
    /// The same transaction with rising fees, never empty. At most one of them can be mined.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) mined: Option<Mined>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) hash: B256,
    pub(crate) raw: Bytes,
    pub(crate) fees: Fees,
}

/// What a transaction offers for a unit of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fees {
    pub(crate) max_wei: u128,
    pub(crate) priority_wei: u128,
}

impl Fees {
    /// Nodes replace a waiting transaction only by one that offers a tenth more; an eighth is.
    pub(crate) fn raised(self, market: Self) -> Self {
        let raise = |fee: u128| fee.saturating_add(fee / 8).saturating_add(1);
        let priority_wei = raise(self.priority_wei).max(market.priority_wei);
        Self { max_wei: raise(self.max_wei).max(market.max_wei).max(priority_wei), priority_wei }
    }
}

/// Where a transaction was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mined {
    pub(crate) transaction: B256,
    pub(crate) block_hash: B256,
    pub(crate) block_number: u64,
    pub(crate) succeeded: bool,
    pub(crate) gas_used: u64,
}

impl From<Receipt> for Mined {
    fn from(receipt: Receipt) -> Self {
        Self {
            transaction: receipt.transaction_hash,
            block_hash: receipt.block_hash,
            block_number: receipt.block_number(),
            succeeded: receipt.succeeded(),
            gas_used: receipt.gas_used(),
        }
    }
}

/// What the chain shows of a row's transaction.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: u64,
    /// How many transactions of the account were in blocks before the receipt was asked for.
    pub(crate) account_nonce: u64,
    pub(crate) mined: Option<Mined>,
    pub(crate) confirmations: u64,
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As the row says.
    Unchanged,
    /// In a block, or in another block than before, and not deep enough to tell.
    Mined(Mined),
    /// Deep enough, and the contract took it.
    Succeeded(Mined),
    /// Deep enough, and the contract did not take it.
    Reverted(Mined),
    /// In no block (any more): it has to be sent again.
    NotMined,
    /// In no block, yet its number is used up.
    NonceTaken,
}

impl Row {
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.state, State::Confirmed(_) | State::Failed { .. })
    }

    pub(crate) fn sent(&self) -> Option<&Sent> {
        match &self.state {
            State::Queued => None,
            State::Sent(sent) | State::Confirmed(sent) => Some(sent),
            State::Failed { sent, .. } => sent.as_ref(),
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match &self.state {
            State::Queued | State::Sent(_) => None,
            State::Confirmed(sent) => sent.mined.as_ref().map(|mined| Outcome::Confirmed {
                transaction: mined.transaction.into(),
                block_number: mined.block_number,
            }),
            State::Failed { failure, .. } => Some(Outcome::Failed(failure.clone())),
        }
    }

    /// Whether the chain can still say something new about it.
    pub(crate) fn is_unsettled(&self, head: u64, account_nonce: u64) -> bool {
        let Some(sent) = self.sent() else { return false };
        if !self.is_terminal() || sent.nonce >= account_nonce {
            return true;
        }
        sent.mined
            .as_ref()
            .is_some_and(|mined| head < mined.block_number.saturating_add(FINAL_BLOCKS))
    }

    /// What follows for a row with a signed transaction.
    pub(crate) fn judge(&self, seen: Seen) -> Verdict {
        let Some(sent) = self.sent() else { return Verdict::Unchanged };
        let Some(mined) = seen.mined else {
            let number_is_free = sent.nonce >= seen.account_nonce;
            return match (number_is_free, self.is_terminal()) {
                (true, _) if self.is_terminal() || sent.mined.is_some() => Verdict::NotMined,
                (true, _) => Verdict::Unchanged,
                (false, true) => Verdict::Unchanged,
                (false, false) => Verdict::NonceTaken,
            };
        };
        let is_same = sent.mined.as_ref() == Some(&mined);
        let depth_blocks = seen.head.saturating_add(1).saturating_sub(mined.block_number);
        // What was announced stays announced while the same transaction moves between blocks.
        let is_deep = depth_blocks >= seen.confirmations || self.is_terminal();
        match (is_deep, is_same) {
            (_, true) if self.is_terminal() => Verdict::Unchanged,
            (true, _) if mined.succeeded => Verdict::Succeeded(mined),
            (true, _) => Verdict::Reverted(mined),
            (false, true) => Verdict::Unchanged,
            (false, false) => Verdict::Mined(mined),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mined(block_number: u64, succeeded: bool) -> Mined {
        Mined {
            transaction: B256::repeat_byte(1),
            block_hash: B256::with_last_byte(block_number as u8),
            block_number,
            succeeded,
            gas_used: 21_000,
        }
    }

    fn sent(mined: Option<Mined>) -> Sent {
        let fees = Fees { max_wei: 100, priority_wei: 10 };
        let attempt = Attempt { hash: B256::repeat_byte(1), raw: Bytes::new(), fees };
        Sent { nonce: 5, gas_limit: 50_000, attempts: vec![attempt], mined }
    }

    fn row(state: State) -> Row {
        Row {
            id: 1,
            key: "k".into(),
            to: Address::ZERO,
            calldata: Bytes::new(),
            expires_at_s: None,
            state,
        }
    }

    fn seen(head: u64, account_nonce: u64, mined: Option<Mined>) -> Seen {
        Seen { head, account_nonce, mined, confirmations: 3 }
    }

    #[test]
    fn a_transaction_is_announced_when_it_is_deep_enough() {
        let fresh = row(State::Sent(sent(None)));
        let found = mined(10, true);
        assert_eq!(fresh.judge(seen(9, 5, None)), Verdict::Unchanged);
        assert_eq!(fresh.judge(seen(11, 6, Some(found.clone()))), Verdict::Mined(found.clone()));
        let waiting = row(State::Sent(sent(Some(found.clone()))));
        assert_eq!(waiting.judge(seen(11, 6, Some(found.clone()))), Verdict::Unchanged);
        assert_eq!(
            waiting.judge(seen(12, 6, Some(found.clone()))),
            Verdict::Succeeded(found.clone())
        );
        let failed = mined(10, false);
        assert_eq!(fresh.judge(seen(12, 6, Some(failed.clone()))), Verdict::Reverted(failed));
        // A lagging head does not make it deep.
        assert_eq!(waiting.judge(seen(3, 6, Some(found))), Verdict::Unchanged);
    }

    #[test]
    fn a_replaced_block_takes_even_an_announced_transaction_back() {
        for state in [
            State::Sent(sent(Some(mined(10, true)))),
            State::Confirmed(sent(Some(mined(10, true)))),
            State::Failed {
                failure: Failure::Reverted { error: String::new() },
                sent: Some(sent(Some(mined(10, false)))),
            },
        ] {
            let row = row(state);
            assert!(row.is_unsettled(1_000, 5), "its number is free");
            assert_eq!(row.judge(seen(12, 5, None)), Verdict::NotMined);
        }
    }

    #[test]
    fn an_announced_transaction_follows_its_block_and_may_end_otherwise() {
        let confirmed = row(State::Confirmed(sent(Some(mined(10, true)))));
        assert_eq!(confirmed.judge(seen(12, 6, Some(mined(10, true)))), Verdict::Unchanged);
        let elsewhere = mined(11, true);
        assert_eq!(
            confirmed.judge(seen(11, 6, Some(elsewhere.clone()))),
            Verdict::Succeeded(elsewhere)
        );
        let otherwise = mined(11, false);
        assert_eq!(
            confirmed.judge(seen(11, 6, Some(otherwise.clone()))),
            Verdict::Reverted(otherwise)
        );
    }

    #[test]
    fn a_used_up_number_is_told_apart_from_a_forgotten_receipt() {
        assert_eq!(row(State::Sent(sent(None))).judge(seen(12, 6, None)), Verdict::NonceTaken);
        let confirmed = row(State::Confirmed(sent(Some(mined(10, true)))));
        assert_eq!(confirmed.judge(seen(12, 6, None)), Verdict::Unchanged);
    }

    #[test]
    fn old_rows_are_left_alone() {
        let confirmed = row(State::Confirmed(sent(Some(mined(10, true)))));
        assert!(confirmed.is_unsettled(73, 6));
        assert!(!confirmed.is_unsettled(74, 6));
        assert!(!row(State::Queued).is_unsettled(0, 0));
    }

    #[test]
    fn fees_rise_by_more_than_a_tenth_and_to_the_market() {
        let old = Fees { max_wei: 1_000, priority_wei: 0 };
        let cheap = Fees { max_wei: 1, priority_wei: 1 };
        assert_eq!(old.raised(cheap), Fees { max_wei: 1_126, priority_wei: 1 });
        let dear = Fees { max_wei: 9_999, priority_wei: 50 };
        assert_eq!(old.raised(dear), dear);
        let most = Fees { max_wei: u128::MAX, priority_wei: u128::MAX };
        assert_eq!(most.raised(cheap), most);
    }

    #[test]
    fn rows_survive_the_journal() {
        let row = row(State::Failed {
            failure: Failure::NonceTaken { nonce: 5 },
            sent: Some(Sent {
                attempts: vec![Attempt {
                    hash: B256::ZERO,
                    raw: Bytes::from_static(&[2, 3]),
                    fees: Fees { max_wei: u128::MAX, priority_wei: 1 << 70 },
                }],
                ..sent(Some(mined(10, false)))
            }),
        });
        let json = serde_json::to_vec(&row).unwrap();
        assert_eq!(serde_json::from_slice::<Row>(&json).unwrap(), row);
    }
}
