//! What a challenge asks for.

use aleph_types::{Digest, NodeId};
use sha2::{Digest as _, Sha256};

use crate::{POSITIONS_MAX, shape::Shape};

/// What the positions are drawn under.
const SEED_DOMAIN: &[u8; 26] = b"aleph/storage/positions/v1";

/// A challenge whose round of the beacon is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// Its number in the registry.
    pub id: u64,
    /// The round's number.
    pub randomness: Digest,
    /// The node that is challenged.
    pub node: NodeId,
    /// The version of its commitment.
    pub version: u32,
    /// How many leaves are asked for; the registry never asks for more than [`POSITIONS_MAX`].
    pub positions: u8,
    /// The shape of the bytes that were committed to.
    pub shape: Shape,
    /// The root that was committed to.
    pub root: Digest,
}

impl Challenge {
    /// The leaves that are asked for, in the proof's order. A leaf can be asked for twice.
    pub fn leaf_indexes(&self) -> impl Iterator<Item = u64> + use<> {
        let seed = self.seed();
        let leaf_count = self.shape.leaf_count().get();
        (0..self.positions.min(POSITIONS_MAX)).map(move |position| {
            let hasher = Sha256::new_with_prefix(seed.0);
            let hash = hasher.chain_update(word(&[position])).finalize();
            remainder(&hash, leaf_count)
        })
    }

    /// The hash of what `abi.encode` makes of these values: words of 32 bytes, text on the left
    /// and numbers on the right.
    fn seed(&self) -> Digest {
        let mut domain = [0; 32];
        domain.iter_mut().zip(SEED_DOMAIN).for_each(|(to, from)| *to = *from);
        let hasher = Sha256::new_with_prefix(domain)
            .chain_update(self.randomness.0)
            .chain_update(word(&self.id.to_be_bytes()))
            .chain_update(self.node.0)
            .chain_update(word(&self.version.to_be_bytes()))
            .chain_update(word(&self.shape.leaf_count().get().to_be_bytes()));
        Digest(hasher.finalize().into())
    }
}

fn word(big_endian: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word.iter_mut().rev().zip(big_endian.iter().rev()).for_each(|(to, from)| *to = *from);
    word
}

/// Of a number in big-endian order. It never overflows: what is left is below 2⁶⁴.
fn remainder(number: &[u8], divisor: u64) -> u64 {
    let left = number.iter().fold(0_u128, |left, byte| {
        ((left << 8) | u128::from(*byte)).checked_rem(u128::from(divisor)).unwrap_or(0)
    });
    u64::try_from(left).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge() -> Challenge {
        Challenge {
            id: 1,
            randomness: Digest([1; 32]),
            node: NodeId([2; 32]),
            version: 1,
            positions: 20,
            shape: Shape::new(1_000_000).unwrap(),
            root: Digest([3; 32]),
        }
    }

    #[test]
    fn remainders_of_known_numbers() {
        assert_eq!(remainder(&[0xff; 32], 1), 0);
        assert_eq!(remainder(&[0xff; 32], 10), 5);
        assert_eq!(remainder(&[0xff; 32], u64::MAX), 0);
        assert_eq!(remainder(&[1, 0], 255), 1);
    }

    #[test]
    fn everything_a_challenge_is_bound_to_moves_its_positions() {
        let leaves = |challenge: Challenge| challenge.leaf_indexes().collect::<Vec<_>>();
        let first = leaves(challenge());
        assert_eq!(first.len(), 20);
        for other in [
            Challenge { id: 2, ..challenge() },
            Challenge { randomness: Digest([9; 32]), ..challenge() },
            Challenge { node: NodeId([9; 32]), ..challenge() },
            Challenge { version: 2, ..challenge() },
            Challenge { shape: Shape::new(1_000_001 + 512).unwrap(), ..challenge() },
        ] {
            assert_ne!(leaves(other), first);
        }
    }

    #[test]
    fn no_challenge_asks_for_more_than_the_most() {
        assert_eq!(Challenge { positions: 255, ..challenge() }.leaf_indexes().count(), 20);
    }
}
