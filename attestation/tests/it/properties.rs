//! Whatever the bytes are, nothing panics, and nothing but the recorded evidence is accepted.

use aleph_attestation::fuzz;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::boot::Boot;
use crate::golden::golden;

/// Valid bytes with a few of them replaced, and perhaps cut or extended.
fn spoilt(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let len = valid.len();
    let changes = vec((0..len, any::<u8>()), 1..8);
    (changes, 0..=len, vec(any::<u8>(), 0..16)).prop_map(move |(changes, cut, more)| {
        let mut bytes = valid.clone();
        for (index, byte) in changes {
            bytes[index] = byte;
        }
        // Most often the length stays as it is.
        if cut % 4 == 0 {
            bytes.truncate(cut);
            bytes.extend(more);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn event_logs(bytes in spoilt(Boot::default().log().to_bytes())) {
        fuzz::event_log(&bytes);
    }

    #[test]
    fn certificates(bytes in spoilt(golden().transcript.evidence.body.identity.ek_certificate)) {
        fuzz::certificate(&bytes);
    }

    #[test]
    fn quotes(bytes in spoilt(golden().transcript.evidence.quote)) {
        fuzz::tpm_structures(&bytes);
    }

    #[test]
    fn endorsement_keys(bytes in spoilt(golden().transcript.evidence.body.identity.ek_public)) {
        fuzz::tpm_structures(&bytes);
    }

    #[test]
    fn attestation_keys(bytes in spoilt(golden().transcript.evidence.body.identity.ak_public)) {
        fuzz::tpm_structures(&bytes);
    }

    #[test]
    fn transcripts(bytes in spoilt(golden().bytes)) {
        let golden = golden();
        let accepted = fuzz::transcript(&bytes, &golden.release, &golden.roots);
        prop_assert_eq!(accepted, bytes == golden.bytes);
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..512)) {
        fuzz::event_log(&bytes);
        fuzz::certificate(&bytes);
        fuzz::tpm_structures(&bytes);
        fuzz::roots(&bytes);
        fuzz::release_manifest(&bytes);
    }
}
