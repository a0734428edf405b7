//! Where a client finds its network.

use std::path::Path;

use aleph_contracts::AddressBook;
use aleph_types::NodeId;
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
    /// The node that this was. A node has another TLS key after every restart, and this id for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
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

    /// Trusts the key that an accepted attestation of a node was bound to. Where a node was trusted
    /// before, it must be the same one: an address that another machine answers at is not trusted
    /// again by itself.
    pub fn pin(
        &mut self,
        node_url: &str,
        node_id: NodeId,
        key_sha256: [u8; 32],
    ) -> Result<(), SdkError> {
        if let Some(wanted) = self.node_id.filter(|wanted| *wanted != node_id) {
            return Err(SdkError::OtherNode { url: node_url.to_owned(), wanted, shown: node_id });
        }
        self.node_url = node_url.to_owned();
        self.node_key_sha256 = Some(hex::encode(key_sha256));
        self.node_id = Some(node_id);
        Ok(())
    }

    /// Writes the configuration to a JSON file.
    pub fn write(&self, path: &Path) -> Result<(), SdkError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| SdkError::Config(error.to_string()))?;
        std::fs::write(path, text)
            .map_err(|source| SdkError::File { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    fn config() -> ClientConfig {
        let somewhere = Address::repeat_byte(1);
        let contracts = AddressBook {
            chain_id: 1,
            aleph: somewhere,
            node_registry: somewhere,
            staking_manager: somewhere,
            job_manager: somewhere,
            payment_manager: somewhere,
            beacon: somewhere,
            storage_registry: somewhere,
            storage_fault_policy: somewhere,
            sla_manager: somewhere,
            domain_registry: somewhere,
            image_marketplace: somewhere,
            timelock: somewhere,
            governor: somewhere,
        };
        ClientConfig {
            node_url: "https://a:8443".to_owned(),
            node_key_sha256: None,
            node_id: None,
            chain_rpc_url: "http://b".to_owned(),
            contracts,
        }
    }

    #[test]
    fn a_node_keeps_its_place_with_another_key_and_no_other_node_takes_it() {
        let (first, second) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut config = config();
        config.pin("https://a:8443", first, [3; 32]).unwrap();
        // After a restart, and after a move.
        config.pin("https://c:8443", first, [4; 32]).unwrap();
        let trusted = config.clone();
        assert_eq!(trusted.node_key_sha256, Some("04".repeat(32)));

        let error = config.pin("https://c:8443", second, [5; 32]).unwrap_err();
        assert!(matches!(error, SdkError::OtherNode { shown, .. } if shown == second), "{error}");
        assert_eq!(config, trusted);
        let written = serde_json::to_string(&trusted).unwrap();
        assert_eq!(serde_json::from_str::<ClientConfig>(&written).unwrap(), trusted);
    }
}
