//! The client: a node and the chain, with or without an account.

use std::path::Path;

use aleph_contracts::{
    AlephToken, JobManager, JobRequest, PaymentManager, Resources as ChainResources, StakingManager,
};
use aleph_types::{Address, Cid, JobId, NodeId};
use alloy::primitives::U256;

use crate::{
    ChainReader, ClientConfig, EthAccount, InstanceSpec, NodeClient, SdkError,
    chain::{ChainWriter, chain_error, format_amount},
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

    /// Asks for a virtual machine: hands the signed message to the node, and creates the job. One
    /// that costs something first allows the payment contract to take what the hours cost.
    pub async fn create_instance(&self, spec: InstanceSpec) -> Result<JobId, SdkError> {
        let (envelope, manifest) = instance_envelope(&self.account, &spec)?;
        self.node().submit(&envelope).await?;
        let writer = self.writer()?;
        let contracts = self.chain().contracts();
        let jobs = JobManager::new(contracts.job_manager, &writer.provider);
        let mut request = JobRequest {
            manifestHash: manifest.0.into(),
            resources: ChainResources {
                vcpus: spec.vcpus,
                memoryMib: spec.memory_mb,
                diskMib: spec.disk_mb,
                ..Default::default()
            },
            pricePerHour: spec.price_per_hour,
            ..Default::default()
        };
        if spec.price_per_hour != 0 {
            request.token = contracts.aleph;
            self.fund(&writer, &spec).await?;
        }
        let receipt = writer.send(jobs.createJob(request)).await?;
        let created = receipt
            .decoded_log::<JobManager::JobCreated>()
            .ok_or_else(|| SdkError::Chain("the job's transaction tells of no job".into()))?;
        created.jobId.try_into().map(JobId).map_err(chain_error)
    }

    /// Lets the payment contract take the price of some hours more than it may already.
    async fn fund(&self, writer: &ChainWriter, spec: &InstanceSpec) -> Result<(), SdkError> {
        let price = U256::from(spec.price_per_hour).saturating_mul(U256::from(spec.funded_hours));
        let balance = self.chain().balance(self.address()).await?;
        if balance < price {
            return Err(SdkError::Invalid(format!(
                "{} hours cost {} ALEPH and the account has {}: choose fewer hours, or get ALEPH",
                spec.funded_hours,
                format_amount(price),
                format_amount(balance)
            )));
        }
        let contracts = self.chain().contracts();
        let token = AlephToken::new(contracts.aleph, &writer.provider);
        let allowed = token
            .allowance(self.address().0.into(), contracts.payment_manager)
            .call()
            .await
            .map_err(chain_error)?;
        let wanted = allowed.saturating_add(price);
        writer.send(token.approve(contracts.payment_manager, wanted)).await.map(drop)
    }

    /// Has a job's debt paid, as far as it goes; anyone may. Tells what was paid, in the smallest
    /// unit of the job's token.
    pub async fn settle_instance(&self, job: JobId) -> Result<U256, SdkError> {
        let writer = self.writer()?;
        let payments =
            PaymentManager::new(self.chain().contracts().payment_manager, &writer.provider);
        let receipt = writer.send(payments.settleJob(U256::from(job.0))).await?;
        let settled = receipt.logs().iter().filter_map(|log| {
            log.log_decode::<PaymentManager::JobSettled>().ok().map(|log| log.inner.data.amount)
        });
        Ok(settled.fold(U256::ZERO, U256::saturating_add))
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
