//! What a challenge's answer must be, and what is refused.

use std::io;

use aleph_proof::{
    Builder, Challenge, LEAF_BYTES, Outline, ProveError, Shape, VerifyError, prove as try_prove,
    verify,
};
use aleph_types::Digest;
use proptest::prelude::*;

use crate::{bytes, challenge, prove};

const LEAF: usize = LEAF_BYTES;

#[test]
fn the_answer_over_several_subtrees() {
    let bytes = bytes(9 * 1024 * 1024 + 333);
    let outline = Outline::of(&bytes).unwrap();
    assert_eq!(outline.layer().len(), 3);
    for number in 0..3 {
        let challenge = challenge(&outline, 20, number);
        let proof = prove(&challenge, &outline, &bytes);
        assert_eq!(verify(&challenge, &proof), Ok(()));
    }
}

#[test]
fn a_subtree_is_read_once() {
    let bytes = bytes(20 * LEAF);
    let outline = Outline::of(&bytes).unwrap();
    let mut reads = 0;
    let proof = try_prove(&challenge(&outline, 20, 1), &outline, |offset, buffer| {
        reads += 1;
        buffer.copy_from_slice(&bytes[offset as usize..][..buffer.len()]);
        Ok::<_, io::Error>(())
    });
    assert!(proof.is_ok());
    assert_eq!(reads, 1);
}

#[test]
fn bytes_that_changed_are_found_before_anything_is_sent() {
    let mut bytes = bytes(3 * LEAF);
    let outline = Outline::of(&bytes).unwrap();
    bytes[700] ^= 1;
    let error = try_prove(&challenge(&outline, 1, 1), &outline, |offset, buffer| {
        buffer.copy_from_slice(&bytes[offset as usize..][..buffer.len()]);
        Ok::<_, io::Error>(())
    });
    assert!(matches!(error, Err(ProveError::Changed { offset: 0, end: 1536 })));
}

#[test]
fn a_disk_that_fails_is_said_to_fail() {
    let outline = Outline::of(&bytes(10)).unwrap();
    let error = try_prove(&challenge(&outline, 1, 1), &outline, |_, _| {
        Err(io::Error::from(io::ErrorKind::NotFound))
    });
    assert!(matches!(error, Err(ProveError::Read { offset: 0, end: 10, .. })));
}

#[test]
fn other_bytes_answer_no_challenge() {
    let outline = Outline::of(&bytes(10)).unwrap();
    let other = Challenge { root: Digest([0; 32]), ..challenge(&outline, 1, 1) };
    let proof = try_prove(&other, &outline, |_, _| Ok::<_, io::Error>(()));
    assert!(matches!(proof, Err(ProveError::OtherBytes)));
}

#[test]
fn an_answer_answers_one_challenge_only() {
    let bytes = bytes(1000 * LEAF);
    let outline = Outline::of(&bytes).unwrap();
    let asked = challenge(&outline, 3, 1);
    let proof = prove(&asked, &outline, &bytes);
    for other in [
        Challenge { id: 2, ..asked },
        Challenge { randomness: Digest([9; 32]), ..asked },
        Challenge { version: 9, ..asked },
        Challenge { node: aleph_types::NodeId([9; 32]), ..asked },
        Challenge { shape: Shape::new(999 * LEAF as u64).unwrap(), ..asked },
    ] {
        assert!(verify(&other, &proof).is_err());
    }
}

#[test]
fn a_node_is_no_leaf() {
    // Two leaves, and then one leaf that is what their parent is the hash of.
    let bytes = bytes(2 * LEAF);
    let pair = Outline::of(&bytes).unwrap();
    let leaf = |bytes| Outline::of(bytes).unwrap().root().0;
    let forged = [leaf(&bytes[..LEAF]), leaf(&bytes[LEAF..])].concat();
    let one = Outline::of(&forged).unwrap();
    assert_ne!(one.root(), pair.root());
    let asked = Challenge { shape: one.shape(), ..challenge(&pair, 1, 1) };
    assert_eq!(verify(&asked, &forged), Err(VerifyError::Wrong { position: 0, leaf: 0 }));
}

proptest! {
    #[test]
    fn every_answer_is_accepted(size in 1..40 * LEAF, positions in 1_u8..=20, number: u64) {
        let bytes = bytes(size);
        let outline = Outline::of(&bytes).unwrap();
        let challenge = challenge(&outline, positions, number);
        prop_assert_eq!(verify(&challenge, &prove(&challenge, &outline, &bytes)), Ok(()));
    }

    #[test]
    fn every_change_of_an_answer_is_refused(
        size in 1..10 * LEAF, number: u64, at: prop::sample::Index, change in 1_u8..,
    ) {
        let bytes = bytes(size);
        let outline = Outline::of(&bytes).unwrap();
        let challenge = challenge(&outline, 2, number);
        let mut proof = prove(&challenge, &outline, &bytes);
        let cut = at.index(proof.len());
        let is_length = |result| matches!(result, Err(VerifyError::Length { .. }));
        prop_assert!(is_length(verify(&challenge, &proof[..cut])));
        *at.get_mut(&mut proof) ^= change;
        prop_assert!(verify(&challenge, &proof).is_err(), "byte {} changed", cut);
        *at.get_mut(&mut proof) ^= change;
        proof.push(change);
        prop_assert!(is_length(verify(&challenge, &proof)));
    }

    #[test]
    fn no_bytes_make_it_panic(
        proof: Vec<u8>, size in 1_u64..=1 << 50, positions: u8, number: u64,
    ) {
        let outline = Outline::of(&[1]).unwrap();
        let challenge = challenge(&outline, positions, number);
        let challenge = Challenge { shape: Shape::new(size).unwrap(), ..challenge };
        prop_assert!(positions == 0 && proof.is_empty() || verify(&challenge, &proof).is_err());
    }

    #[test]
    fn pieces_do_not_matter(pieces: Vec<Vec<u8>>) {
        let mut builder = Builder::new();
        pieces.iter().for_each(|piece| builder.update(piece));
        prop_assert_eq!(builder.finish(), Outline::of(&pieces.concat()));
    }
}
