#![no_main]

use aleph_proof::{Challenge, Shape, verify};
use aleph_types::{Digest, NodeId};

// The first bytes choose the challenge, the rest is the answer: none but the right one is accepted,
// and nobody finds a leaf that leads to a root of zeros.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((head, proof)) = bytes.split_first_chunk::<9>() else { return };
    let [positions, size @ ..] = *head;
    let Ok(shape) = Shape::new(u64::from_be_bytes(size)) else { return };
    let challenge = Challenge {
        id: 1,
        randomness: Digest([1; 32]),
        node: NodeId([2; 32]),
        version: 1,
        positions,
        shape,
        root: Digest([0; 32]),
    };
    assert!(verify(&challenge, proof).is_err() || positions == 0 && proof.is_empty());
});
