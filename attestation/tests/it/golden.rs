//! Evidence recorded from a TPM, verified again and spoilt in every way that one byte can.

use std::path::{Path, PathBuf};

use aleph_attestation::evidence::Transcript;
use aleph_attestation::release::ReleaseManifest;
use aleph_attestation::roots::Roots;
use aleph_attestation::verdict::CheckName;
use aleph_attestation::verify::{decode_transcript, verify_encoded};
use aleph_types::wire;

use crate::boot::Boot;

/// The recorded evidence, with what it is verified against.
pub(crate) struct Golden {
    pub(crate) bytes: Vec<u8>,
    pub(crate) transcript: Transcript,
    pub(crate) release: ReleaseManifest,
    pub(crate) roots: Roots,
}

pub(crate) fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

pub(crate) fn golden() -> Golden {
    let read = |name: &str| std::fs::read(golden_dir().join(name)).unwrap();
    let bytes = read("transcript.bin");
    let mut roots = Roots::new();
    roots.add_pem(&read("roots.pem")).unwrap();
    Golden {
        transcript: decode_transcript(&bytes).unwrap(),
        bytes,
        release: ReleaseManifest::from_json(&read("release.json")).unwrap(),
        roots,
    }
}

#[cfg_attr(not(feature = "tpm"), allow(dead_code, reason = "recording needs a TPM"))]
pub(crate) fn write_golden(dir: &Path, transcript: &Transcript, boot: &Boot, roots_pem: &[u8]) {
    std::fs::write(dir.join("transcript.bin"), wire::encode(transcript).unwrap()).unwrap();
    std::fs::write(dir.join("release.json"), boot.release().to_json().unwrap()).unwrap();
    std::fs::write(dir.join("roots.pem"), roots_pem).unwrap();
}

#[test]
fn recorded_evidence_is_accepted() {
    let Golden { bytes, release, roots, .. } = golden();
    let verdict = verify_encoded(&bytes, &release, &roots, None);
    assert!(verdict.accepted, "{verdict}");
    assert_eq!(release, Boot::default().release());
}

#[test]
fn evidence_cut_at_any_length_is_refused() {
    let Golden { bytes, release, roots, .. } = golden();
    for len in 0..bytes.len() {
        let verdict = verify_encoded(&bytes[..len], &release, &roots, None);
        assert!(!verdict.accepted, "cut to {len} bytes");
        assert_eq!(verdict.checks.len(), 1, "cut to {len} bytes: {verdict}");
        assert_eq!(verdict.checks[0].name, CheckName::Encoding);
    }
}

#[test]
fn evidence_with_any_byte_changed_is_refused() {
    let Golden { mut bytes, release, roots, .. } = golden();
    for index in 0..bytes.len() {
        let one_bit = 1 << (index % 8);
        for flip in [one_bit, 0xff] {
            bytes[index] ^= flip;
            let verdict = verify_encoded(&bytes, &release, &roots, None);
            assert!(!verdict.accepted, "byte {index} changed by {flip:#04x}");
            assert!(verdict.failures().all(|check| !check.detail.is_empty()));
            bytes[index] ^= flip;
        }
    }
    assert!(verify_encoded(&bytes, &release, &roots, None).accepted, "the bytes were restored");
}

#[test]
fn evidence_with_a_byte_more_or_of_another_version_is_refused() {
    let Golden { mut bytes, release, roots, .. } = golden();
    bytes.push(0);
    let verdict = verify_encoded(&bytes, &release, &roots, None);
    assert!(verdict.to_string().contains("after the value's end"), "{verdict}");
    bytes.pop();
    bytes[1] = bytes[1].wrapping_add(1);
    let verdict = verify_encoded(&bytes, &release, &roots, None);
    assert!(verdict.to_string().contains("update the older side"), "{verdict}");
    let verdict = verify_encoded(&vec![0xa5; 2 << 20], &release, &roots, None);
    assert!(verdict.to_string().contains("at most"), "{verdict}");
}
