//! Where a network has its contracts.

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, ChainId};
use serde::{Deserialize, Serialize};

/// The addresses of a network's contracts, as the deploy script writes them.
///
/// Unknown fields are ignored: a newer deployment has more contracts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressBook {
    /// EIP-155 id of the chain.
    pub chain_id: ChainId,
    /// The ALEPH token.
    pub aleph: Address,
    /// Proxy of the node registry.
    pub node_registry: Address,
    /// Proxy of the staking manager.
    pub staking_manager: Address,
    /// Proxy of the job manager.
    pub job_manager: Address,
    /// Proxy of the payment manager.
    pub payment_manager: Address,
    /// The verifier of the randomness beacon's rounds.
    pub beacon: Address,
    /// Proxy of the storage registry.
    pub storage_registry: Address,
    /// What a storage fault costs.
    pub storage_fault_policy: Address,
    /// Proxy of the manager of service levels.
    pub sla_manager: Address,
    /// Proxy of the domain registry.
    pub domain_registry: Address,
    /// Proxy of the image marketplace.
    pub image_marketplace: Address,
    /// The timelock that holds every power of governance.
    pub timelock: Address,
    /// The governor, whose decisions the timelock carries out.
    pub governor: Address,
}

/// The address book cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressBookError {
    /// The file cannot be read.
    #[error("cannot read the address book {path}: deploy the contracts or give another path")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not an address book.
    #[error("the address book is not valid JSON or lacks an address: deploy the contracts again")]
    Parse(#[from] serde_json::Error),
}

impl AddressBook {
    /// Reads an address book from its JSON text.
    pub fn from_json(text: &str) -> Result<Self, AddressBookError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Reads an address book from a file.
    pub fn read(path: &Path) -> Result<Self, AddressBookError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| AddressBookError::Read { path: path.to_owned(), source })?;
        Self::from_json(&text)
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::address;

    use super::*;

    const WRITTEN: &str = r#"{
        "aleph": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
        "beacon": "0x0000000000000000000000000000000000000001",
        "bridge": "0x0000000000000000000000000000000000000002",
        "chainId": 42161,
        "domainRegistry": "0x0000000000000000000000000000000000000003",
        "governor": "0x0000000000000000000000000000000000000004",
        "imageMarketplace": "0x0000000000000000000000000000000000000005",
        "jobManager": "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9",
        "nodeRegistry": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
        "paymentManager": "0x0000000000000000000000000000000000000006",
        "slaManager": "0x0165878A594ca255338adfa4d48449f69242Eb8F",
        "stakingManager": "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0",
        "storageFaultPolicy": "0x0000000000000000000000000000000000000007",
        "storageRegistry": "0x0000000000000000000000000000000000000008",
        "timelock": "0x0000000000000000000000000000000000000009"
    }"#;

    #[test]
    fn reads_a_deployment_with_more_contracts_than_it_knows() {
        let book = AddressBook::from_json(WRITTEN).unwrap();
        assert_eq!(book.chain_id, 42161);
        assert_eq!(book.job_manager, address!("0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9"));
        let again = AddressBook::from_json(&serde_json::to_string(&book).unwrap()).unwrap();
        assert_eq!(again, book);
    }

    #[test]
    fn refuses_a_book_without_a_contract() {
        let without = WRITTEN.replace("jobManager", "jobsManager");
        assert!(matches!(AddressBook::from_json(&without), Err(AddressBookError::Parse(_))));
    }

    #[test]
    fn names_the_file_that_is_missing() {
        let error = AddressBook::read(Path::new("/nonexistent/devnet.json")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/devnet.json"));
    }
}
