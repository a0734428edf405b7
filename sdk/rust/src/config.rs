//! Where a client finds its network.

use std::path::Path;

use aleph_contracts::AddressBook;
use serde::{Deserialize, Serialize};

use crate::SdkError;

/// Where a client finds its network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// The node that is asked, such as `https://node.example:8443`.
    pub node_url: String,
    /// The SHA-256 of the TLS key (SubjectPublicKeyInfo) of that node, in hexadecimal digits, from
    /// an accepted attestation. Without it the node is not authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_key_sha256: Option<String>,
    /// The chain's JSON-RPC address.
    pub chain_rpc_url: String,
    /// Where the contracts are.
    pub contracts: AddressBook,
}

impl ClientConfig {
    /// Reads a configuration from a JSON file.
    pub fn read(path: &Path) -> Result<Self, SdkError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SdkError::File { path: path.to_owned(), source })?;
        serde_json::from_str(&text)
            .map_err(|error| SdkError::Config(format!("{}: {error}", path.display())))
    }
    /// Writes the configuration to a JSON file.
    pub fn write(&self, path: &Path) -> Result<(), SdkError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| SdkError::Config(error.to_string()))?;
        std::fs::write(path, text)
            .map_err(|source| SdkError::File { path: path.to_owned(), source })
    }
}
