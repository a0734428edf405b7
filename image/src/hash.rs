//! SHA-256 of bytes and files, and the fixed identifiers derived from it.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Result;
use crate::error::IoContext;

/// The hash of some bytes, in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The hash of a file's content.
pub(crate) fn sha256_file(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path).at("open", path)?;
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher).at("read", path)?;
    Ok(hasher.finalize().into())
}

/// A UUID (version 8: the bits are ours) that depends on nothing but its inputs.
pub(crate) fn derived_uuid(purpose: &str, content: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"aleph-image uuid\0");
    hasher.update((purpose.len() as u64).to_le_bytes());
    hasher.update(purpose);
    hasher.update(content);
    let digest = hasher.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_depend_on_purpose_and_content_and_carry_version_and_variant() {
        let uuid = derived_uuid("disk", b"content");
        assert_eq!(uuid, derived_uuid("disk", b"content"));
        assert_ne!(uuid, derived_uuid("root", b"content"));
        assert_ne!(uuid, derived_uuid("disk", b"contents"));
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "8");
        assert!("89ab".contains(&uuid[19..20]));
    }
}
