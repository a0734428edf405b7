//! SHA-256, and what extending a PCR of the SHA-256 bank does.

use sha2::{Digest as _, Sha256};

pub use aleph_types::Digest;

/// The value of a PCR that nothing was measured into.
pub const ZERO: Digest = Digest([0; 32]);

/// The digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The digest of the parts, one after the other.
pub fn sha256_parts(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

/// What a PCR holding `value` holds after `event` is extended into it.
pub fn extend(value: &Digest, event: &Digest) -> Digest {
    sha256_parts(&[&value.0, &event.0])
}

/// The first eight hex digits, for sentences.
pub(crate) fn short(digest: &Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(8);
    text.push('…');
    text
}
