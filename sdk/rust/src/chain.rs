//! The chain, from a customer's and an owner's side.

use std::{fmt::Display, time::Duration};

use aleph_contracts::{
    AddressBook, AlephToken, JobManager, JobStatus as ChainJobStatus, NodeRegistry, NodeStatus,
    PaymentManager, StakeInfo, StakingManager,
};
use aleph_types::{
    Address, Digest, JobId, JobStatus, NodeId, Resources,
    job::{Job, JobTerms},
};
use alloy::{
    contract::{CallBuilder, CallDecoder},
    network::EthereumWallet,
    primitives::{
        TxHash, U256,
        utils::{format_ether, parse_ether},
    },
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::TransactionReceipt,
};

use crate::{EthAccount, SdkError};

/// How long a transaction may take to appear in a block.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(120);
/// What a transaction gets beyond its estimate: one part in so many.
const GAS_MARGIN: u64 = 4;
/// How often a receipt is asked for.
const RECEIPT_POLL: Duration = Duration::from_millis(500);

/// Reads the network's state on the chain.
#[derive(Debug, Clone)]
pub struct ChainReader {
    provider: DynProvider,
    contracts: AddressBook,
}

/// A node as the chain knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOnChain {
    /// Where it is in its life.
    pub status: NodeStatus,
    /// The account it belongs to.
    pub owner: Address,
    /// The account that it signs with.
    pub operator: Address,
    /// Its attestation key's coordinates.
    pub attestation_key: ([u8; 32], [u8; 32]),
    /// The CID of its metadata.
    pub metadata: String,
    /// Seconds of Unix time of its last heartbeat, 0 before the first.
    pub last_heartbeat_s: u64,
}

/// An amount of ALEPH in its smallest unit, from a decimal number such as `1000.5`.
pub fn parse_amount(text: &str) -> Result<U256, SdkError> {
    parse_ether(text.trim())
        .map_err(|error| SdkError::Invalid(format!("{text:?} is no amount of ALEPH: {error}")))
}

/// An amount of ALEPH as a decimal number.
pub fn format_amount(amount: U256) -> String {
    let text = format_ether(amount);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An error of the chain in one line.
pub(crate) fn chain_error(error: impl Display) -> SdkError {
    SdkError::Chain(error.to_string())
}

impl ChainReader {
    /// A reader of the chain behind this JSON-RPC address.
    pub fn new(rpc_url: &str, contracts: AddressBook) -> Result<Self, SdkError> {
        let url = rpc_url
            .parse()
            .map_err(|error| SdkError::Config(format!("chain address {rpc_url:?}: {error}")))?;
        let provider = ProviderBuilder::new().connect_http(url).erased();
        Ok(Self { provider, contracts })
    }

    /// The newest block's number.
    pub async fn head(&self) -> Result<u64, SdkError> {
        self.provider.get_block_number().await.map_err(chain_error)
    }

    /// A node, if it was ever registered.
    pub async fn node(&self, id: NodeId) -> Result<Option<NodeOnChain>, SdkError> {
        let registry = NodeRegistry::new(self.contracts.node_registry, &self.provider);
        let node = registry.getNode(id.0.into()).call().await.map_err(chain_error)?;
        let status = NodeStatus::try_from(node.status).map_err(chain_error)?;
        if status == NodeStatus::None {
            return Ok(None);
        }
        Ok(Some(NodeOnChain {
            status,
            owner: Address(node.owner.into_array()),
            operator: Address(node.operator.into_array()),
            attestation_key: (node.attestationKey.x.0, node.attestationKey.y.0),
            metadata: node.metadata,
            last_heartbeat_s: node.lastHeartbeat,
        }))
    }

    /// The stake on a node.
    pub async fn stake_of(&self, id: NodeId) -> Result<StakeInfo, SdkError> {
        let staking = StakingManager::new(self.contracts.staking_manager, &self.provider);
        staking.getStake(id.0.into()).call().await.map_err(chain_error)
    }

    /// A job.
    pub async fn job(&self, id: JobId) -> Result<Job, SdkError> {
        let jobs = JobManager::new(self.contracts.job_manager, &self.provider);
        let job = jobs.getJob(U256::from(id.0)).call().await.map_err(chain_error)?;
        let status = ChainJobStatus::try_from(job.status).map_err(chain_error)?;
        let status = match status {
            ChainJobStatus::None => return Err(SdkError::NoSuchJob(id)),
            ChainJobStatus::Created => JobStatus::Created,
            ChainJobStatus::Assigned => JobStatus::Assigned,
            ChainJobStatus::Running => JobStatus::Running,
            ChainJobStatus::Stopping => JobStatus::Stopping,
            ChainJobStatus::Completed => JobStatus::Completed,
            ChainJobStatus::Failed => JobStatus::Failed,
        };
        Ok(Job {
            id,
            customer: Address(job.customer.into_array()),
            manifest: Digest(job.manifestHash.0),
            node: (!job.nodeId.is_zero()).then_some(NodeId(job.nodeId.0)),
            status,
            resources: Resources {
                vcpus: job.resources.vcpus,
                memory_mib: job.resources.memoryMib,
                disk_mib: job.resources.diskMib,
            },
            terms: JobTerms {
                price_per_hour: job.pricePerHour,
                token: (!job.token.is_zero()).then(|| Address(job.token.into_array())),
                gpus: job.resources.gpuCount,
                attested_within_s: job.attestedWithin,
            },
            created_at_s: job.createdAt,
            last_heartbeat_s: job.lastHeartbeat,
            accrued_s: job.accruedSeconds,
            reason: job.reason,
        })
    }

    /// How many jobs were ever created; they are numbered from 1.
    pub async fn job_count(&self) -> Result<u64, SdkError> {
        let jobs = JobManager::new(self.contracts.job_manager, &self.provider);
        let count = jobs.jobCount().call().await.map_err(chain_error)?;
        count.try_into().map_err(chain_error)
    }

    /// The balance of an account in the smallest unit of the ALEPH token.
    pub async fn balance(&self, account: Address) -> Result<U256, SdkError> {
        let token = AlephToken::new(self.contracts.aleph, &self.provider);
        token.balanceOf(account.0.into()).call().await.map_err(chain_error)
    }

    /// What a job owes by now, in the smallest unit of its token.
    pub async fn due_of(&self, id: JobId) -> Result<U256, SdkError> {
        let payments = PaymentManager::new(self.contracts.payment_manager, &self.provider);
        payments.dueOf(U256::from(id.0)).call().await.map_err(chain_error)
    }

    pub(crate) fn contracts(&self) -> &AddressBook {
        &self.contracts
    }
}

/// Sends transactions of one account.
#[derive(Debug, Clone)]
pub(crate) struct ChainWriter {
    pub(crate) provider: DynProvider,
}

impl ChainWriter {
    pub(crate) fn new(rpc_url: &str, account: &EthAccount) -> Result<Self, SdkError> {
        let url = rpc_url
            .parse()
            .map_err(|error| SdkError::Config(format!("chain address {rpc_url:?}: {error}")))?;
        let wallet = EthereumWallet::from(account.signer());
        Ok(Self { provider: ProviderBuilder::new().wallet(wallet).connect_http(url).erased() })
    }

    /// Sends a call and waits until it stands in a block. It gets a margin of gas: the estimate is
    /// of the state a block ago.
    pub(crate) async fn send<P: Provider, D: CallDecoder>(
        &self,
        call: CallBuilder<P, D>,
    ) -> Result<TransactionReceipt, SdkError> {
        let gas = call.estimate_gas().await.map_err(chain_error)?;
        let sent = call.gas(gas.saturating_add(gas / GAS_MARGIN)).send().await;
        self.receipt(*sent.map_err(chain_error)?.tx_hash()).await
    }

    /// Waits until a transaction stands in a block, and makes a revert an error. Asks for the
    /// receipt by itself: notifications of new blocks can be missed for ever.
    async fn receipt(&self, hash: TxHash) -> Result<TransactionReceipt, SdkError> {
        let deadline = tokio::time::Instant::now() + RECEIPT_TIMEOUT;
        loop {
            let receipt = self.provider.get_transaction_receipt(hash).await.map_err(chain_error)?;
            match receipt {
                Some(receipt) if receipt.status() => return Ok(receipt),
                Some(_) => return Err(SdkError::Chain(format!("transaction {hash} reverted"))),
                None if tokio::time::Instant::now() >= deadline => {
                    let waited_s = RECEIPT_TIMEOUT.as_secs();
                    return Err(SdkError::Chain(format!(
                        "transaction {hash} is in no block after {waited_s} s; \
                         it may still be mined: look it up before sending it again"
                    )));
                }
                None => tokio::time::sleep(RECEIPT_POLL).await,
            }
        }
    }
}
