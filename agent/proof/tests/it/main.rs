//! Proofs against the shared vectors, against another implementation, and against hostile bytes.

mod answers;
mod other_trees;
mod vectors;

use std::convert::Infallible;

use aleph_proof::{Challenge, Outline};
use aleph_types::{Digest, NodeId};
use sha2::{Digest as _, Sha256};

/// Bytes that no two places share: the hashes of the numbers from 0.
fn bytes(size_bytes: usize) -> Vec<u8> {
    let blocks = (0_u64..).flat_map(|number| Sha256::digest(number.to_be_bytes()));
    blocks.take(size_bytes).collect()
}

/// A challenge about bytes with this outline; the number sets what it asks for.
fn challenge(outline: &Outline, positions: u8, number: u64) -> Challenge {
    Challenge {
        id: number,
        randomness: Digest(Sha256::digest(number.to_le_bytes()).into()),
        node: NodeId(Sha256::digest(b"node").into()),
        version: 1 + number as u32 % 3,
        positions,
        shape: outline.shape(),
        root: outline.root(),
    }
}

fn prove(challenge: &Challenge, outline: &Outline, bytes: &[u8]) -> Vec<u8> {
    aleph_proof::prove::<Infallible>(challenge, outline, |offset, buffer| {
        buffer.copy_from_slice(&bytes[offset as usize..][..buffer.len()]);
        Ok(())
    })
    .expect("the bytes are those of the outline")
}
