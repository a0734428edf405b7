//! The part of a tree that is kept, and how it is built while the bytes pass by.

use aleph_types::Digest;

use crate::{
    LEAF_BYTES, SUBTREE_LEAVES, SUBTREE_LEVELS,
    hash::{self, Levels},
    shape::{Shape, SizeError},
};

/// One level of the tree over some bytes, of which a proof needs to read one subtree a leaf.
///
/// It has 32 bytes for each 4 MiB: 8 MiB for 1 TiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    shape: Shape,
    /// The roots of the subtrees, in order; at least one.
    layer: Vec<Digest>,
    root: Digest,
}

/// These hashes are no outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// There is no tree over so many bytes.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// Another number of hashes than the bytes have subtrees.
    #[error("{found} hashes for {wanted} subtrees: build the tree again from the bytes")]
    Count {
        /// How many there were.
        found: usize,
        /// How many subtrees the bytes have.
        wanted: u64,
    },
}

impl Outline {
    /// The outline that was kept as its layer.
    ///
    /// Compare the [root](Self::root) with the one that was committed to.
    pub fn from_layer(size_bytes: u64, layer: Vec<Digest>) -> Result<Self, OutlineError> {
        let shape = Shape::new(size_bytes)?;
        let wanted = shape.leaf_count().get().div_ceil(SUBTREE_LEAVES as u64);
        let error = OutlineError::Count { found: layer.len(), wanted };
        if u64::try_from(layer.len()) != Ok(wanted) {
            return Err(error);
        }
        let root = Levels::over(layer.clone()).root().ok_or(error)?;
        Ok(Self { shape, layer, root })
    }

    /// The outline of these bytes.
    pub fn of(bytes: &[u8]) -> Result<Self, OutlineError> {
        let mut builder = Builder::new();
        builder.update(bytes);
        builder.finish()
    }

    /// The root of the tree.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// What follows from the number of bytes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The hashes to keep, in order.
    pub fn layer(&self) -> &[Digest] {
        &self.layer
    }
}

/// Builds the outline of bytes that come piece by piece, in memory that grows with the outline.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    size_bytes: u64,
    /// The leaf that has begun; shorter than a leaf.
    leaf: Vec<u8>,
    /// Leaves in the subtree that has begun.
    leaves: usize,
    /// Roots of the perfect trees over them, the largest first.
    peaks: Vec<Digest>,
    layer: Vec<Digest>,
}

impl Builder {
    /// A builder that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        let missing = LEAF_BYTES.saturating_sub(self.leaf.len());
        let (head, rest) = match bytes.split_at_checked(missing) {
            Some(parts) if !self.leaf.is_empty() => parts,
            Some(_) => (&[][..], bytes),
            None => (bytes, &[][..]),
        };
        self.leaf.extend_from_slice(head);
        if self.leaf.len() == LEAF_BYTES {
            self.end_leaf();
        }
        let leaves = rest.chunks_exact(LEAF_BYTES);
        let tail = leaves.remainder();
        leaves.for_each(|leaf| self.push(hash::leaf(leaf)));
        self.leaf.extend_from_slice(tail);
    }

    /// The outline of all the bytes taken.
    pub fn finish(mut self) -> Result<Outline, OutlineError> {
        if !self.leaf.is_empty() {
            self.end_leaf();
        }
        self.end_subtree();
        Outline::from_layer(self.size_bytes, self.layer)
    }

    fn end_leaf(&mut self) {
        let leaf = hash::leaf(&self.leaf);
        self.leaf.clear();
        self.push(leaf);
    }

    /// Two trees of one height become one, as in counting: each trailing one of the number of
    /// leaves before this one is a tree to join.
    fn push(&mut self, leaf: Digest) {
        let mut peak = leaf;
        for _ in 0..self.leaves.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            peak = hash::node(&left, &peak);
        }
        self.peaks.push(peak);
        self.leaves = self.leaves.saturating_add(1);
        if self.leaves == SUBTREE_LEAVES {
            self.end_subtree();
        }
    }

    fn end_subtree(&mut self) {
        let root = self.peaks.drain(..).rev().reduce(|right, left| hash::node(&left, &right));
        self.layer.extend(root);
        self.leaves = 0;
    }
}

const _: () = assert!(SUBTREE_LEAVES == 1 << SUBTREE_LEVELS);

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 + i / 512) as u8).collect()
    }

    #[test]
    fn pieces_give_the_same_tree() {
        let bytes = bytes(3 * LEAF_BYTES + 17);
        let whole = Outline::of(&bytes).unwrap();
        for piece in [1, 511, 512, 513, 700] {
            let mut builder = Builder::new();
            bytes.chunks(piece).for_each(|piece| builder.update(piece));
            assert_eq!(builder.finish().unwrap(), whole);
        }
    }

    #[test]
    fn the_layer_gives_the_tree_over_all_leaves() {
        for leaves in [1, 2, 3, SUBTREE_LEAVES, SUBTREE_LEAVES + 1, 2 * SUBTREE_LEAVES + 3] {
            let bytes = bytes(leaves * LEAF_BYTES - 5);
            let hashes = bytes.chunks(LEAF_BYTES).map(hash::leaf).collect();
            let outline = Outline::of(&bytes).unwrap();
            assert_eq!(Some(outline.root()), Levels::over(hashes).root());
            assert_eq!(outline.layer().len(), leaves.div_ceil(SUBTREE_LEAVES));
        }
    }

    #[test]
    fn an_outline_is_restored_from_its_layer_only() {
        let outline = Outline::of(&bytes(SUBTREE_LEAVES * LEAF_BYTES + 1)).unwrap();
        let size_bytes = outline.shape().size_bytes();
        let layer = outline.layer().to_vec();
        assert_eq!(Outline::from_layer(size_bytes, layer.clone()), Ok(outline));
        assert_eq!(
            Outline::from_layer(size_bytes - 1, layer),
            Err(OutlineError::Count { found: 2, wanted: 1 })
        );
        assert!(matches!(Outline::of(&[]), Err(OutlineError::Size(_))));
    }
}
