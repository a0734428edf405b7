//! What the chain's part of the node is told at its start.

use std::{fmt, str::FromStr, time::Duration};

use aleph_types::{Address, NodeId};
use alloy::signers::local::PrivateKeySigner;

use crate::ChainError;

/// Everything that [`Chain::start`](crate::Chain::start) needs to know.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    /// Where the chain is asked: `http://` or `https://`. May hold an access key; never logged.
    pub rpc_url: String,
    /// The id that the chain must have.
    pub chain_id: u64,
    /// The contracts.
    pub addresses: Addresses,
    /// How many blocks, its own included, must hold a transaction before its end is announced.
    pub confirmations: u64,
    /// Pause between two looks at the chain.
    pub poll_interval: Duration,
    /// After how long in the pool a transaction's fee is raised.
    pub stuck_after: Duration,
    /// Pause between two heartbeats.
    pub heartbeat_interval: Duration,
    /// No transaction offers more than this for a unit of gas.
    pub fee_per_gas_wei_max: u128,
    /// Signs transactions. No other program may use it: transactions are numbered per key.
    pub operator_key: OperatorKey,
    /// This node.
    pub node_id: NodeId,
    /// Whether this node assigns jobs, and so must know of all nodes and jobs.
    pub coordinator: bool,
}

impl ChainConfig {
    /// A configuration with the usual intervals and limits.
    pub fn new(
        rpc_url: String,
        chain_id: u64,
        addresses: Addresses,
        operator_key: OperatorKey,
        node_id: NodeId,
    ) -> Self {
        Self {
            rpc_url,
            chain_id,
            addresses,
            confirmations: 1,
            poll_interval: Duration::from_secs(1),
            stuck_after: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(60),
            fee_per_gas_wei_max: 100_000_000_000,
            operator_key,
            node_id,
            coordinator: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ChainError> {
        let wrong = |setting, problem: &str| {
            Err(ChainError::Config { setting, problem: problem.to_owned() })
        };
        if !(1..=64).contains(&self.confirmations) {
            return wrong("confirmations", "write a number from 1 to 64");
        }
        if self.poll_interval < Duration::from_millis(10) {
            return wrong("poll_interval", "at least 10 ms lie between two polls");
        }
        if self.heartbeat_interval < Duration::from_secs(1) {
            return wrong("heartbeat_interval", "at least 1 s lies between two heartbeats");
        }
        if self.fee_per_gas_wei_max == 0 {
            return wrong("fee_per_gas_wei_max", "no transaction is free: write a number above 0");
        }
        Ok(())
    }
}

/// Where the contracts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Addresses {
    /// NodeRegistry.
    pub node_registry: Address,
    /// StakingManager.
    pub staking_manager: Address,
    /// JobManager.
    pub job_manager: Address,
}

/// The private key of the node's operator account. Printing it shows the account only.
#[derive(Clone)]
pub struct OperatorKey(PrivateKeySigner);

impl OperatorKey {
    /// The key with these 32 bytes; most are keys.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, ChainError> {
        PrivateKeySigner::from_slice(bytes).map(Self).map_err(|_| not_a_key())
    }

    /// The account that belongs to the key.
    pub fn address(&self) -> Address {
        Address(self.0.address().into_array())
    }

    pub(crate) fn signer(&self) -> &PrivateKeySigner {
        &self.0
    }
}

impl FromStr for OperatorKey {
    type Err = ChainError;

    fn from_str(text: &str) -> Result<Self, ChainError> {
        text.trim().parse().map(Self).map_err(|_| not_a_key())
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorKey(of {})", self.address())
    }
}

// The cause is left out: it could quote the key.
fn not_a_key() -> ChainError {
    ChainError::Config {
        setting: "operator_key",
        problem: "expected a secp256k1 private key of 64 hexadecimal digits".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_prints_itself() {
        let digits = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let key: OperatorKey = digits.parse().unwrap();
        assert_eq!(
            format!("{key:?}"),
            "OperatorKey(of 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266)"
        );
        let error = digits[1..].parse::<OperatorKey>().unwrap_err().to_string();
        assert!(!error.contains(&digits[2..10]), "{error}");
    }

    #[test]
    fn settings_have_bounds() {
        let key: OperatorKey = "01".repeat(32).parse().unwrap();
        let zero = Address([0; 20]);
        let addresses = Addresses { node_registry: zero, staking_manager: zero, job_manager: zero };
        let good = ChainConfig::new("http://a".into(), 1, addresses, key, NodeId([0; 32]));
        good.check().unwrap();
        for bad in [
            ChainConfig { confirmations: 0, ..good.clone() },
            ChainConfig { confirmations: 65, ..good.clone() },
            ChainConfig { poll_interval: Duration::ZERO, ..good.clone() },
            ChainConfig { heartbeat_interval: Duration::ZERO, ..good.clone() },
            ChainConfig { fee_per_gas_wei_max: 0, ..good },
        ] {
            assert!(matches!(bad.check(), Err(ChainError::Config { .. })));
        }
    }
}
