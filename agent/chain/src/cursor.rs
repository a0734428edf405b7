//! How far the log has been read, and what to read again when blocks are replaced.

use std::collections::{BTreeSet, VecDeque};

use aleph_types::NodeId;
use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{calls::Key, config::Addresses, view::ChainHead};

/// How many readings are remembered. A replacement that reaches behind the oldest is answered by
/// reading everything anew, so this bounds work, not correctness.
pub(crate) const MARKS_MAX: usize = 64;

/// The durable cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) scope: Scope,
    pub(crate) marks: Marks,
}

/// What the projection is a projection of. With another scope it means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    pub(crate) chain_id: u64,
    pub(crate) genesis: B256,
    pub(crate) addresses: Addresses,
    pub(crate) node_id: NodeId,
    pub(crate) coordinator: bool,
}

impl Scope {
    /// Whether both speak of the same chain, whatever they look at there.
    pub(crate) fn is_same_chain(&self, other: &Self) -> bool {
        self.chain_id == other.chain_id && self.genesis == other.genesis
    }
}

/// A block up to which the log was read, and what changed between the mark before and this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) head: ChainHead,
    pub(crate) touched: BTreeSet<Key>,
}

/// The newest marks, oldest first, with rising block numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Marks(VecDeque<Mark>);

impl Marks {
    /// One mark, and nothing known of what was before.
    pub(crate) fn starting_at(head: ChainHead) -> Self {
        Self(VecDeque::from([Mark { head, touched: BTreeSet::new() }]))
    }

    /// The newest block that was read.
    pub(crate) fn tip(&self) -> Option<&ChainHead> {
        self.0.back().map(|mark| &mark.head)
    }

    /// Whether the chain that ends in `head` obviously continues the one that was read, so that
    /// the tip need not be asked for.
    pub(crate) fn is_continued_by(&self, head: &ChainHead) -> bool {
        self.tip().is_some_and(|tip| {
            tip.hash == head.hash
                || (head.number.checked_sub(1) == Some(tip.number) && head.parent_hash == tip.hash)
        })
    }

    /// Forgets the newest block, which was replaced; what it touched must be read again.
    pub(crate) fn drop_tip(&mut self) -> BTreeSet<Key> {
        self.0.pop_back().map(|mark| mark.touched).unwrap_or_default()
    }

    /// Remembers that the log was read up to `head`.
    pub(crate) fn push(&mut self, head: ChainHead, touched: BTreeSet<Key>) {
        debug_assert!(self.tip().is_none_or(|tip| tip.number < head.number));
        if self.0.len() == MARKS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Mark { head, touched });
    }
}

#[cfg(test)]
mod tests {
    use aleph_types::JobId;

    use super::*;

    fn head(number: u64, fork: u8) -> ChainHead {
        let hash = |number: u64| {
            let mut bytes = [fork; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            B256::from(bytes).into()
        };
        ChainHead { number, hash: hash(number), parent_hash: hash(number - 1), timestamp_s: 0 }
    }

    fn touched(job: u64) -> BTreeSet<Key> {
        BTreeSet::from([Key::Job(JobId(job))])
    }

    #[test]
    fn a_child_and_the_same_block_continue_a_chain_and_others_do_not() {
        let marks = Marks::starting_at(head(10, 0));
        assert!(marks.is_continued_by(&head(10, 0)));
        assert!(marks.is_continued_by(&head(11, 0)));
        for other in [head(10, 1), head(11, 1), head(12, 0), head(9, 0)] {
            assert!(!marks.is_continued_by(&other), "{other:?}");
        }
        assert!(!Marks::default().is_continued_by(&head(1, 0)));
    }

    #[test]
    fn replaced_blocks_give_back_what_they_touched_newest_first() {
        let mut marks = Marks::starting_at(head(10, 0));
        marks.push(head(11, 0), touched(1));
        marks.push(head(15, 0), touched(2));
        assert_eq!(marks.drop_tip(), touched(2));
        assert_eq!(marks.tip(), Some(&head(11, 0)));
        assert_eq!(marks.drop_tip(), touched(1));
        assert_eq!(marks.drop_tip(), BTreeSet::new());
        assert_eq!(marks.tip(), None);
        assert_eq!(marks.drop_tip(), BTreeSet::new());
    }

    #[test]
    fn only_the_newest_marks_are_kept_and_survive_the_journal() {
        let mut marks = Marks::starting_at(head(1, 0));
        for number in 2..=200 {
            marks.push(head(number, 0), touched(number));
        }
        assert_eq!(marks.0.len(), MARKS_MAX);
        assert_eq!(marks.0.front().map(|mark| mark.head.number), Some(137));
        let json = serde_json::to_vec(&marks).unwrap();
        assert_eq!(serde_json::from_slice::<Marks>(&json).unwrap(), marks);
    }
}
