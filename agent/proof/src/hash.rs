//! Leaves, nodes, and the levels of a tree.

use aleph_types::Digest;
use sha2::{Digest as _, Sha256};

/// The hash of a leaf.
pub(crate) fn leaf(bytes: &[u8]) -> Digest {
    Digest(Sha256::new_with_prefix([0x00]).chain_update(bytes).finalize().into())
}

/// The hash of two neighbours.
pub(crate) fn node(left: &Digest, right: &Digest) -> Digest {
    let hasher = Sha256::new_with_prefix([0x01]);
    Digest(hasher.chain_update(left.0).chain_update(right.0).finalize().into())
}

/// A tree over some hashes, from the hashes themselves to the root.
pub(crate) struct Levels(Vec<Vec<Digest>>);

impl Levels {
    pub(crate) fn over(hashes: Vec<Digest>) -> Self {
        let mut levels = Vec::new();
        let mut top = hashes;
        while top.len() > 1 {
            let next = top.chunks(2).filter_map(parent).collect();
            levels.push(std::mem::replace(&mut top, next));
        }
        levels.push(top);
        Self(levels)
    }

    /// `None` over no hashes.
    pub(crate) fn root(&self) -> Option<Digest> {
        self.0.last().and_then(|top| top.first()).copied()
    }

    /// The neighbours on the way from the hash with this index to the root. A hash that moves up
    /// as it is has none.
    pub(crate) fn neighbours(&self, index: usize) -> impl Iterator<Item = &Digest> {
        self.0.iter().enumerate().filter_map(move |(height, level)| {
            let index = index.checked_shr(u32::try_from(height).ok()?)?;
            level.get(index ^ 1)
        })
    }
}

fn parent(pair: &[Digest]) -> Option<Digest> {
    match pair {
        [left, right] => Some(node(left, right)),
        [only] => Some(*only),
        _ => None,
    }
}
