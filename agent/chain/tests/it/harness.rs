//! A local chain with the contracts, a journal in memory, and a node's chain part on both.

use std::{
    collections::BTreeMap,
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aleph_chain::{
    Addresses, AttestationKey, Chain, ChainConfig, ChainError, ChainTable, Change, Heartbeat,
    Journal, JournalError, KeyValue, NodeType, OperatorKey, Registration,
};
use aleph_contracts::{
    JobManager, JobParameters, JobRequest, NodeParameters, NodeRegistry, Resources, StakingManager,
    StakingParameters,
};
use aleph_types::{Address, NodeId};
use alloy::{
    network::{EthereumWallet, TransactionBuilder as _},
    primitives::{Address as AlloyAddress, Bytes, FixedBytes, U256, hex, keccak256},
    providers::{DynProvider, Provider as _, ProviderBuilder},
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// The first two accounts of anvil's well-known mnemonic.
const ADMIN_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const OPERATOR_KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const CHAIN_ID: u64 = 42_161;
/// Nothing that works takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const NODE: NodeId = NodeId([0x11; 32]);

/// A local chain.
pub(crate) struct Anvil {
    process: Child,
    port: u16,
    state: tempfile::TempDir,
}

impl Anvil {
    fn binary() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
    }

    /// None where anvil is not installed; the reason is printed.
    fn start() -> Result<Option<Self>> {
        let binary = Self::binary();
        if !binary.exists() {
            println!("skipped: no anvil at {}; run `npm ci` in contracts", binary.display());
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let state = tempfile::tempdir()?;
        let process = Self::spawn(port, state.path())?;
        Ok(Some(Self { process, port, state }))
    }

    fn spawn(port: u16, state: &Path) -> Result<Child> {
        Command::new(Self::binary())
            .args(["--port", &port.to_string(), "--chain-id", &CHAIN_ID.to_string()])
            .args(["--hardfork", "osaka", "--state"])
            .arg(state.join("state.json"))
            .stdout(Stdio::null())
            .spawn()
            .context("start anvil")
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends the chain; it writes its state first.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let status =
            Command::new("kill").args(["-INT", &self.process.id().to_string()]).status()?;
        ensure!(status.success(), "anvil was gone already");
        self.process.wait()?;
        Ok(())
    }

    /// Starts the chain again, from the state it wrote.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.process = Self::spawn(self.port, self.state.path())?;
        Ok(())
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A local chain with the contracts on it.
pub(crate) struct Net {
    pub(crate) anvil: Anvil,
    pub(crate) admin: DynProvider,
    pub(crate) addresses: Addresses,
}

impl Net {
    /// A chain that makes a block a second once the contracts are there.
    pub(crate) async fn start() -> Result<Option<Self>> {
        let Some(anvil) = Anvil::start()? else { return Ok(None) };
        let signer: PrivateKeySigner = ADMIN_KEY.parse()?;
        let admin = ProviderBuilder::new()
            .wallet(EthereumWallet::from(signer.clone()))
            .connect_http(anvil.url().parse()?)
            .erased();
        eventually("anvil answers", || async { Ok(admin.get_chain_id().await.is_ok()) }).await?;
        let addresses = deploy(&admin, signer.address()).await?;
        let net = Self { anvil, admin, addresses };
        net.mine_every_s(1).await?;
        Ok(Some(net))
    }

    pub(crate) fn config(&self) -> Result<ChainConfig> {
        let key: OperatorKey = OPERATOR_KEY.parse()?;
        let mut config = ChainConfig::new(self.anvil.url(), CHAIN_ID, self.addresses, key, NODE);
        config.poll_interval = Duration::from_millis(100);
        config.heartbeat_interval = Duration::from_secs(3600);
        Ok(config)
    }

    pub(crate) fn registry(&self) -> NodeRegistry::NodeRegistryInstance<DynProvider> {
        NodeRegistry::new(alloy(self.addresses.node_registry), self.admin.clone())
    }

    pub(crate) fn jobs(&self) -> JobManager::JobManagerInstance<DynProvider> {
        JobManager::new(alloy(self.addresses.job_manager), self.admin.clone())
    }

    /// How many transactions of the operator are in blocks.
    pub(crate) async fn operator_nonce(&self) -> Result<u64> {
        let operator: OperatorKey = OPERATOR_KEY.parse()?;
        Ok(self.admin.get_transaction_count(alloy(operator.address())).await?)
    }

    pub(crate) async fn head(&self) -> Result<u64> {
        Ok(self.admin.get_block_number().await?)
    }

    /// Makes a block every so many seconds; 0 makes none.
    pub(crate) async fn mine_every_s(&self, seconds: u64) -> Result<()> {
        self.rpc("evm_setIntervalMining", json!([seconds])).await.map(drop)
    }

    /// Calls one of anvil's own methods.
    pub(crate) async fn rpc(&self, method: &'static str, params: Value) -> Result<Value> {
        self.admin.raw_request(method.into(), params).await.context(method)
    }

    /// How many heartbeats of the node the chain holds.
    pub(crate) async fn heartbeats(&self) -> Result<usize> {
        let events = self.registry().NodeHeartbeat_filter().from_block(0).query().await?;
        Ok(events.len())
    }

    /// Activates the node without stake, as the staking manager would.
    pub(crate) async fn activate_node(&self) -> Result<()> {
        let call = self.registry().activateNode(NODE.0.into()).send().await?;
        ensure!(call.get_receipt().await?.status(), "activation failed");
        Ok(())
    }

    /// Orders a job.
    pub(crate) async fn create_job(&self) -> Result<()> {
        let call = self.jobs().createJob(free_job(256, 1024)).send().await?;
        ensure!(call.get_receipt().await?.status(), "the job was not created");
        Ok(())
    }
}

pub(crate) fn alloy(address: Address) -> AlloyAddress {
    AlloyAddress::from(address.0)
}

async fn deploy(admin: &DynProvider, account: AlloyAddress) -> Result<Addresses> {
    let registry = clone_of(admin, *NodeRegistry::deploy(admin.clone()).await?.address()).await?;
    let staking = clone_of(admin, *StakingManager::deploy(admin.clone()).await?.address()).await?;
    let jobs = clone_of(admin, *JobManager::deploy(admin.clone()).await?.address()).await?;

    let node_registry = NodeRegistry::new(registry, admin.clone());
    let rules = NodeParameters {
        verifierQuorum: 1,
        challengeValidity: 3600,
        enrolmentWindow: 86_400,
        minReleaseVersion: 0,
    };
    node_registry.initialize(account, rules).send().await?.get_receipt().await?;
    let rules = StakingParameters {
        minTotalStake: U256::from(10u64.pow(18)),
        minStakeDuration: 60,
        unbondingPeriod: 86_400,
        reporterBpsMax: 0,
        rewardInterval: 1,
        treasury: account,
        rewardGrowthMax: U256::from(1),
    };
    let token = AlloyAddress::repeat_byte(0x77);
    StakingManager::new(staking, admin.clone())
        .initialize(account, token, registry, rules)
        .send()
        .await?
        .get_receipt()
        .await?;
    let job_manager = JobManager::new(jobs, admin.clone());
    let rules = JobParameters {
        heartbeatGapMax: 300,
        reassignAfter: 600,
        expireAfter: 3600,
        minFundedHours: 1,
    };
    job_manager.initialize(account, registry, rules).send().await?.get_receipt().await?;

    let operator: OperatorKey = OPERATOR_KEY.parse()?;
    let operator = alloy(operator.address());
    let grant = node_registry.grantRole(role("STAKING_MANAGER_ROLE"), account).send().await?;
    ensure!(grant.get_receipt().await?.status(), "deployment failed");
    let grant = job_manager.grantRole(role("SCHEDULER_ROLE"), operator).send().await?;
    ensure!(grant.get_receipt().await?.status(), "deployment failed");
    Ok(Addresses {
        node_registry: Address(registry.into_array()),
        staking_manager: Address(staking.into_array()),
        job_manager: Address(jobs.into_array()),
    })
}

/// A job that costs nothing.
pub(crate) fn free_job(memory_mib: u64, disk_mib: u64) -> JobRequest {
    let resources =
        Resources { vcpus: 1, memoryMib: memory_mib, diskMib: disk_mib, ..Default::default() };
    JobRequest { manifestHash: [7; 32].into(), resources, ..Default::default() }
}

fn role(name: &str) -> FixedBytes<32> {
    keccak256(name)
}

/// The smallest proxy (ERC-1167): implementations refuse to be initialised themselves.
async fn clone_of(admin: &DynProvider, implementation: AlloyAddress) -> Result<AlloyAddress> {
    let code: Bytes = [
        &hex!("3d602d80600a3d3981f3363d3d373d3d3d363d73")[..],
        implementation.as_slice(),
        &hex!("5af43d82803e903d91602b57fd5bf3"),
    ]
    .concat()
    .into();
    let request = TransactionRequest::default().with_deploy_code(code);
    let receipt = admin.send_transaction(request).await?.get_receipt().await?;
    receipt.contract_address.context("no proxy was made")
}

pub(crate) type Rows = BTreeMap<(ChainTable, Vec<u8>), Vec<u8>>;
type CrashPoint = Box<dyn Fn(&[Change]) -> bool + Send + Sync>;

/// A journal that survives the node of the test, and can be the last thing the node did.
#[derive(Clone, Default)]
pub(crate) struct MemoryJournal {
    rows: Arc<Mutex<Rows>>,
    crash: Option<Arc<CrashPoint>>,
}

impl MemoryJournal {
    /// The same rows; a commit that fits `crash` is made and then reported as failed, so that
    /// the node ends between what it has kept and what it was about to do.
    pub(crate) fn crashing(
        &self,
        crash: impl Fn(&[Change]) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { rows: Arc::clone(&self.rows), crash: Some(Arc::new(Box::new(crash))) }
    }

    /// The rows of a table.
    pub(crate) fn table(&self, table: ChainTable) -> Vec<Value> {
        let rows = self.scan(table).expect("memory does not fail");
        rows.iter().map(|(_, row)| serde_json::from_slice(row).expect("rows are JSON")).collect()
    }
}

impl Journal for MemoryJournal {
    fn scan(&self, table: ChainTable) -> Result<Vec<KeyValue>, JournalError> {
        let rows = self.rows.lock().expect("no panic while locked");
        let of_table = rows.iter().filter(|((of, _), _)| *of == table);
        Ok(of_table.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), JournalError> {
        let crashes = self.crash.as_ref().is_some_and(|crash| crash(&changes));
        let mut rows = self.rows.lock().expect("no panic while locked");
        for Change { table, key, value } in changes {
            match value {
                Some(value) => rows.insert((table, key), value),
                None => rows.remove(&(table, key)),
            };
        }
        if crashes { Err("the power is gone".into()) } else { Ok(()) }
    }
}

/// A node's chain part at work. Dropped, it is gone at once, as after `kill -9`.
pub(crate) struct Node {
    pub(crate) chain: Chain,
    pub(crate) heartbeat: watch::Sender<Option<Heartbeat>>,
    pub(crate) tasks: JoinSet<Result<(), ChainError>>,
    pub(crate) cancel: CancellationToken,
}

impl Node {
    pub(crate) fn start(config: ChainConfig, journal: &MemoryJournal) -> Result<Self> {
        let heartbeat = watch::Sender::new(None);
        let cancel = CancellationToken::new();
        let (chain, tasks) =
            Chain::start(config, Arc::new(journal.clone()), heartbeat.subscribe(), cancel.clone())?;
        let mut running = JoinSet::new();
        for task in tasks {
            running.spawn(task.future);
        }
        Ok(Self { chain, heartbeat, tasks: running, cancel })
    }

    /// Stops the tasks in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.cancel.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }

    pub(crate) async fn is_healthy(&self) -> Result<()> {
        let mut health = self.chain.health();
        in_time("the chain is healthy", health.wait_for(|health| health.is_healthy())).await??;
        Ok(())
    }
}

/// A registration that the contract takes: the key is the generator of P-256.
pub(crate) fn registration() -> Registration {
    Registration {
        owner: Address([0x22; 20]),
        node_type: NodeType::Compute,
        attestation_key: AttestationKey {
            x: hex!("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
            y: hex!("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
        },
        metadata: "bafkreidescription".into(),
        region: "eu-west".into(),
    }
}

pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future).await.with_context(|| format!("not in time: {what}"))
}

pub(crate) async fn eventually<F, Fut>(what: &str, mut holds: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    let begin = Instant::now();
    while !holds().await? {
        ensure!(begin.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
