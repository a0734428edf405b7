//! The document by which the chain's record of a node says more than fits on a chain.

use aleph_types::Resources;
use serde::{Deserialize, Serialize};

/// Stored as a blob, whose CID the registration names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    /// Grows with every change of the shape.
    format: u32,
    /// The version of the agent that registered.
    pub(crate) version: String,
    /// What the node has for machines.
    pub(crate) capacity: Resources,
}

impl Metadata {
    pub(crate) fn new(capacity: Resources) -> Self {
        Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), capacity }
    }

    /// The bytes that are stored; the same for the same document.
    pub(crate) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads a document that any node may have written.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let document: Self = serde_json::from_slice(bytes).ok()?;
        (document.format == FORMAT).then_some(document)
    }
}

/// No document is longer.
pub(crate) const METADATA_BYTES_MAX: u64 = 64 * 1024;
const FORMAT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let capacity = Resources { vcpus: 1, memory_mib: 2, disk_mib: 3 };
        let document = Metadata::new(capacity);
        let bytes = document.to_bytes().unwrap();
        assert_eq!(Metadata::from_bytes(&bytes), Some(document));
        let later = String::from_utf8(bytes).unwrap().replace("\"format\":1", "\"format\":2");
        assert_eq!(Metadata::from_bytes(later.as_bytes()), None);
        assert_eq!(Metadata::from_bytes(b"{"), None);
    }
}
