//! The same trees by `rs_merkle`; docs/adr/0008 says why it is not what makes ours.

use aleph_proof::{LEAF_BYTES, Outline};
use proptest::prelude::*;
use rs_merkle::{Hasher, MerkleTree};
use sha2::{Digest as _, Sha256};

use crate::{bytes, challenge, prove};

#[derive(Clone)]
struct Separated;

impl Hasher for Separated {
    type Hash = [u8; 32];

    fn hash(leaf: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix([0]).chain_update(leaf).finalize().into()
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        let Some(right) = right else { return *left };
        Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
    }
}

fn tree(bytes: &[u8]) -> MerkleTree<Separated> {
    let leaves: Vec<_> = bytes.chunks(LEAF_BYTES).map(Separated::hash).collect();
    MerkleTree::from_leaves(&leaves)
}

#[test]
fn roots_agree_for_every_small_number_of_leaves() {
    let bytes = bytes(300 * LEAF_BYTES);
    for leaves in 1..300 {
        let some = &bytes[..leaves * LEAF_BYTES - 9];
        assert_eq!(tree(some).root(), Some(Outline::of(some).unwrap().root().0));
    }
}

#[test]
fn roots_agree_where_subtrees_end() {
    let bytes = bytes(2 * (4 << 20) + 5 * LEAF_BYTES);
    for leaves in [8191, 8192, 8193, 16_383, 16_384, 16_389] {
        let some = &bytes[..leaves * LEAF_BYTES];
        assert_eq!(tree(some).root(), Some(Outline::of(some).unwrap().root().0));
    }
}

proptest! {
    #[test]
    fn paths_agree(size in 1..200 * LEAF_BYTES, number: u64) {
        let bytes = bytes(size);
        let outline = Outline::of(&bytes).unwrap();
        let challenge = challenge(&outline, 1, number);
        let leaf = challenge.leaf_indexes().next().unwrap() as usize;
        let mut wanted = bytes.chunks(LEAF_BYTES).nth(leaf).unwrap().to_vec();
        wanted.extend(tree(&bytes).proof(&[leaf]).proof_hashes().concat());
        prop_assert_eq!(prove(&challenge, &outline, &bytes), wanted);
    }
}
