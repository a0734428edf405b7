//! `contracts/test/fixtures/storage-proofs.json`: made here, checked here and by the contracts.

use std::{env, fs, path::Path};

use aleph_proof::{LEAF_BYTES, Outline, verify};
use serde::{Deserialize, Serialize};

use crate::{bytes, challenge, prove};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    source: String,
    leaf_bytes: usize,
    cases: Vec<Case>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    size: usize,
    root: String,
    randomness: String,
    challenge_id: u64,
    node_id: String,
    version: u32,
    positions: u8,
    leaves: Vec<u64>,
    proof: String,
}

/// Sizes with every kind of end, and how many leaves are asked for.
const CASES: [(usize, u8); 14] = [
    (1, 1),
    (511, 1),
    (512, 1),
    (513, 2),
    (1024, 2),
    (1025, 3),
    (5 * 512 - 3, 5),
    (6 * 512, 6),
    (7 * 512 - 511, 7),
    (8 * 512, 3),
    (9 * 512, 9),
    (100_000, 20),
    (4 * 1024 * 1024 + 1, 3),
    (9_000_001, 3),
];

/// ALEPH_BLESS=1 writes the file anew.
#[test]
fn the_vectors_are_what_this_crate_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../contracts/test/fixtures/storage-proofs.json");
    let made = vectors();
    if env::var_os("ALEPH_BLESS").is_some() {
        let text = serde_json::to_string_pretty(&made).unwrap();
        fs::write(&path, text + "\n").unwrap();
    }
    let kept: Vectors = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(kept == made, "ALEPH_BLESS=1 writes {} anew", path.display());
}

fn vectors() -> Vectors {
    let cases = CASES.iter().zip(1..).map(|(&(size, positions), id)| case(size, positions, id));
    Vectors {
        source: "cargo test -p aleph-proof; the bytes are SHA-256 of the numbers 0, 1, 2… \
                 (8 bytes, big-endian), one after the other"
            .into(),
        leaf_bytes: LEAF_BYTES,
        cases: cases.collect(),
    }
}

fn case(size: usize, positions: u8, number: u64) -> Case {
    let bytes = bytes(size);
    let outline = Outline::of(&bytes).unwrap();
    let challenge = challenge(&outline, positions, number);
    let proof = prove(&challenge, &outline, &bytes);
    assert_eq!(verify(&challenge, &proof), Ok(()));
    Case {
        size,
        root: hex(outline.root().as_bytes()),
        randomness: hex(challenge.randomness.as_bytes()),
        challenge_id: challenge.id,
        node_id: hex(challenge.node.as_bytes()),
        version: challenge.version,
        positions,
        leaves: challenge.leaf_indexes().collect(),
        proof: hex(&proof),
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
