//! Content identifiers: what a blob is called by everyone who holds it.

use std::{fmt, str::FromStr};

use cid::{Cid as AnyCid, Version};
use multihash::Multihash;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Multicodec of raw bytes.
const RAW: u64 = 0x55;
/// Multicodec of SHA-256.
const SHA2_256: u64 = 0x12;
/// No CID of ours is longer in text; what is longer is refused unread.
const TEXT_BYTES_MAX: usize = 128;

/// The name of a blob: CIDv1, codec `raw`, SHA-256 of all its bytes.
///
/// Two blobs with the same bytes have the same name on every node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid(Digest);

/// A text that names no blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCidError {
    /// It is no CID at all.
    #[error("not a CID; expected CIDv1 text such as bafkrei…")]
    Malformed,
    /// It is a CID of another version, codec or hash.
    #[error("a CID of another kind; blobs are named by CIDv1, codec raw (0x55), SHA-256 (0x12)")]
    Unsupported,
}

impl Cid {
    /// The name of the blob with this SHA-256.
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Digest(Sha256::digest(bytes).into()))
    }

    /// The SHA-256 of the blob.
    pub const fn digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = Multihash::<64>::wrap(SHA2_256, &self.0.0).map_err(|_| fmt::Error)?;
        AnyCid::new_v1(RAW, hash).fmt(f)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({self})")
    }
}

impl FromStr for Cid {
    type Err = ParseCidError;

    fn from_str(text: &str) -> Result<Self, ParseCidError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ParseCidError::Malformed);
        }
        let any = AnyCid::try_from(text).map_err(|_| ParseCidError::Malformed)?;
        let hash = any.hash();
        if any.version() != Version::V1 || any.codec() != RAW || hash.code() != SHA2_256 {
            return Err(ParseCidError::Unsupported);
        }
        let digest = hash.digest().try_into().map_err(|_| ParseCidError::Unsupported)?;
        Ok(Self(Digest(digest)))
    }
}

impl Serialize for Cid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Cid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            Digest::deserialize(deserializer).map(Self)
        }
    }
}

/// Names a blob whose bytes come piece by piece.
#[derive(Debug, Clone, Default)]
pub struct CidHasher(Sha256);

impl CidHasher {
    /// A hasher that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the blob.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The name of all the bytes taken.
    pub fn finish(self) -> Cid {
        Cid(Digest(self.0.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_known_bytes() {
        // `printf hello | ipfs add --cid-version 1 --raw-leaves` names the same.
        let cid = Cid::of(b"hello");
        assert_eq!(cid.to_string(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
        assert_eq!(cid.to_string().parse(), Ok(cid));
    }

    #[test]
    fn pieces_name_the_whole() {
        let mut hasher = CidHasher::new();
        hasher.update(b"he");
        hasher.update(b"llo");
        assert_eq!(hasher.finish(), Cid::of(b"hello"));
    }

    #[test]
    fn other_kinds_are_told_apart_from_nonsense() {
        let v0 = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";
        assert_eq!(v0.parse::<Cid>(), Err(ParseCidError::Unsupported));
        assert_eq!("hello".parse::<Cid>(), Err(ParseCidError::Malformed));
        assert_eq!("b".repeat(1 << 20).parse::<Cid>(), Err(ParseCidError::Malformed));
    }
}
