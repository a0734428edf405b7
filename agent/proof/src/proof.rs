//! Making and checking answers.

use std::collections::BTreeMap;

use aleph_types::Digest;

use crate::{
    Challenge, LEAF_BYTES, SUBTREE_LEAVES, SUBTREE_LEVELS,
    hash::{self, Levels},
    outline::Outline,
    shape::{Neighbour, Shape},
};

const HASH_BYTES: usize = 32;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError<E> {
    /// The outline is of other bytes than the challenge is about.
    #[error("the challenge is about other bytes: look for those with the root it names")]
    OtherBytes,
    /// Bytes could not be read.
    #[error("bytes {offset}..{end} cannot be read")]
    Read {
        /// Where they begin.
        offset: u64,
        /// Where they end.
        end: u64,
        /// Why.
        #[source]
        source: E,
    },
    /// Bytes are not those that the outline was built from.
    #[error("bytes {offset}..{end} have changed: fetch them again from another node")]
    Changed {
        /// Where they begin.
        offset: u64,
        /// Where they end.
        end: u64,
    },
}

/// Why a proof does not answer a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is shorter or longer than the only right one.
    #[error("a proof of {size_bytes} bytes is too short or too long")]
    Length {
        /// How long it is.
        size_bytes: usize,
    },
    /// The leaf or the path at this position does not lead to the root.
    #[error("leaf {leaf} at position {position} does not lead to the root")]
    Wrong {
        /// Which of the leaves that were asked for, from 0.
        position: usize,
        /// Its index.
        leaf: u64,
    },
}

/// The answer to a challenge.
///
/// `read` fills the buffer with the bytes from an offset on. It is called once for each subtree
/// that has a leaf asked for, with at most 4 MiB.
pub fn prove<E>(
    challenge: &Challenge,
    outline: &Outline,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<u8>, ProveError<E>> {
    if (challenge.root, challenge.shape) != (outline.root(), outline.shape()) {
        return Err(ProveError::OtherBytes);
    }
    let mut asked = BTreeMap::<u64, Vec<(usize, u64)>>::new();
    for (position, leaf) in challenge.leaf_indexes().enumerate() {
        asked.entry(leaf >> SUBTREE_LEVELS).or_default().push((position, leaf));
    }
    let upper = Levels::over(outline.layer().to_vec());
    let mut parts = BTreeMap::new();
    for (subtree, leaves) in asked {
        let Subtree { bytes, lower } = Subtree::read(subtree, outline, &mut read)?;
        for (position, leaf) in leaves {
            let index = in_subtree(leaf);
            let mut part = Vec::new();
            part.extend(bytes.chunks(LEAF_BYTES).nth(index).into_iter().flatten());
            let path = lower.neighbours(index).chain(upper.neighbours(subtree as usize));
            path.for_each(|neighbour| part.extend(neighbour.0));
            parts.insert(position, part);
        }
    }
    Ok(parts.into_values().flatten().collect())
}

/// Whether this is the answer to the challenge.
pub fn verify(challenge: &Challenge, proof: &[u8]) -> Result<(), VerifyError> {
    let length = VerifyError::Length { size_bytes: proof.len() };
    let mut rest = proof;
    for (position, leaf) in challenge.leaf_indexes().enumerate() {
        let root = root_from(challenge.shape, leaf, &mut rest).ok_or(length)?;
        if root != challenge.root {
            return Err(VerifyError::Wrong { position, leaf });
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(length) }
}

/// The root that the leaf and the path at the front of the proof lead to; `None` if it is cut off.
fn root_from(shape: Shape, leaf: u64, proof: &mut &[u8]) -> Option<Digest> {
    let range = shape.leaf_range(leaf);
    let leaf_bytes = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
    let (bytes, rest) = proof.split_at_checked(leaf_bytes)?;
    *proof = rest;
    let mut hash = hash::leaf(bytes);
    for side in shape.path(leaf) {
        let (neighbour, rest) = proof.split_first_chunk::<HASH_BYTES>()?;
        *proof = rest;
        let neighbour = Digest(*neighbour);
        hash = match side {
            Neighbour::Left => hash::node(&neighbour, &hash),
            Neighbour::Right => hash::node(&hash, &neighbour),
        };
    }
    Some(hash)
}

/// A subtree, read and compared with the outline.
struct Subtree {
    bytes: Vec<u8>,
    lower: Levels,
}

impl Subtree {
    fn read<E>(
        subtree: u64,
        outline: &Outline,
        read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, ProveError<E>> {
        let shape = outline.shape();
        let first = subtree.saturating_mul(SUBTREE_LEAVES as u64);
        let last = first.saturating_add(SUBTREE_LEAVES as u64).saturating_sub(1);
        let (offset, end) = (shape.leaf_range(first).start, shape.leaf_range(last).end);
        // At most 4 MiB.
        let mut bytes = vec![0; end.saturating_sub(offset) as usize];
        read(offset, &mut bytes).map_err(|source| ProveError::Read { offset, end, source })?;
        let lower = Levels::over(bytes.chunks(LEAF_BYTES).map(hash::leaf).collect());
        if lower.root().as_ref() != outline.layer().get(subtree as usize) {
            return Err(ProveError::Changed { offset, end });
        }
        Ok(Self { bytes, lower })
    }
}

fn in_subtree(leaf: u64) -> usize {
    (leaf & (SUBTREE_LEAVES as u64).saturating_sub(1)) as usize
}
