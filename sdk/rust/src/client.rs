//! The client: a node and the chain, with or without an account.

use std::path::Path;

use aleph_contracts::{AlephToken, JobManager, Resources as ChainResources, StakingManager};
use aleph_types::{Address, Cid, JobId, NodeId};
use alloy::primitives::U256;

use crate::{
    ChainReader, ClientConfig, EthAccount, InstanceSpec, NodeClient, SdkError,
    chain::{ChainWriter, chain_error},
    instance::instance_envelope,
};

/// A client without an account: it can look.
#[derive(Debug, Clone)]
pub struct AlephClient {
    config: ClientConfig,
    node: NodeClient,
    chain: ChainReader,
}

impl AlephClient {
    /// A client of the network that the configuration names. Nothing is sent yet.
    pub fn new(config: ClientConfig) -> Result<Self, SdkError> {
        let node = match &config.node_key_sha256 {
            None => NodeClient::new(&config.node_url)?,
            Some(text) => {
                let mut pin = [0; 32];
                hex::decode_to_slice(text, &mut pin).map_err(|_| {
                    SdkError::Config("node_key_sha256 is not 64 hexadecimal digits".into())
                })?;
                NodeClient::pinned(&config.node_url, pin)?
            }
        };
        let chain = ChainReader::new(&config.chain_rpc_url, config.contracts.clone())?;
        Ok(Self { config, node, chain })
    }

    /// The same client with an account: it can act.
    pub fn with_account(&self, account: EthAccount) -> AuthenticatedClient {
        AuthenticatedClient { client: self.clone(), account }
    }

    /// The node that is asked.
    pub fn node(&self) -> &NodeClient {
        &self.node
    }

    /// The chain.
    pub fn chain(&self) -> &ChainReader {
        &self.chain
    }
}

/// A client with an account.
#[derive(Debug, Clone)]
pub struct AuthenticatedClient {
    client: AlephClient,
    account: EthAccount,
}

impl AuthenticatedClient {
    /// The account's address.
    pub fn address(&self) -> Address {
        self.account.address()
    }

    /// The node that is asked.
    pub fn node(&self) -> &NodeClient {
        self.client.node()
    }

    /// The chain.
    pub fn chain(&self) -> &ChainReader {
        self.client.chain()
    }

    /// Uploads a file to the node, and tells its name.
    pub async fn upload_file(&self, path: &Path) -> Result<Cid, SdkError> {
        Ok(self.node().upload_file(path).await?.cid)
    }

    /// Asks for a virtual machine: hands the signed message to the node, and creates the job.
    pub async fn create_instance(&self, spec: InstanceSpec) -> Result<JobId, SdkError> {
        let (envelope, manifest) = instance_envelope(&self.account, &spec)?;
        self.node().submit(&envelope).await?;
        let writer = self.writer()?;
        let jobs = JobManager::new(self.chain().contracts().job_manager, &writer.provider);
        let resources =
            ChainResources { vcpus: spec.vcpus, memoryMib: spec.memory_mb, diskMib: spec.disk_mb };
        let receipt = writer.send(jobs.createJob(manifest.0.into(), resources)).await?;
        let created = receipt
            .decoded_log::<JobManager::JobCreated>()
            .ok_or_else(|| SdkError::Chain("the job's transaction tells of no job".into()))?;
        created.jobId.try_into().map(JobId).map_err(chain_error)
    }

    /// Asks for a job's end.
    pub async fn stop_instance(&self, job: JobId) -> Result<(), SdkError> {
        let writer = self.writer()?;
        let jobs = JobManager::new(self.chain().contracts().job_manager, &writer.provider);
        writer.send(jobs.stopJob(U256::from(job.0))).await.map(drop)
    }

    /// Stakes an amount, in the smallest unit of the ALEPH token, on a node.
    pub async fn stake(&self, node: NodeId, amount: U256) -> Result<(), SdkError> {
        let writer = self.writer()?;
        let contracts = self.chain().contracts();
        let token = AlephToken::new(contracts.aleph, &writer.provider);
        writer.send(token.approve(contracts.staking_manager, amount)).await?;
        let staking = StakingManager::new(contracts.staking_manager, &writer.provider);
        writer.send(staking.stake(node.0.into(), amount)).await.map(drop)
    }

    /// Activates a node whose stake has matured; anyone may.
    pub async fn activate(&self, node: NodeId) -> Result<(), SdkError> {
        let writer = self.writer()?;
        let staking =
            StakingManager::new(self.chain().contracts().staking_manager, &writer.provider);
        writer.send(staking.activate(node.0.into())).await.map(drop)
    }

    fn writer(&self) -> Result<ChainWriter, SdkError> {
        ChainWriter::new(&self.client.config.chain_rpc_url, &self.account)
    }
}
