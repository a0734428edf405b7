//! Whole networks on this machine: a chain with the contracts, and a node in a machine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aleph_contracts::{AddressBook, AlephToken, JobManager};
use aleph_sdk::ClientConfig;
use aleph_types::Address;
use alloy::{
    network::EthereumWallet,
    primitives::{U256, keccak256, utils::parse_ether},
    providers::{Provider, ProviderBuilder},
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::{
    Chain, ChainOptions, DEV_ACCOUNTS, Detached, Layout, Machine, MachineOptions, TpmAuthority,
    machine::Tpm, process::Lifetime,
};

/// From power-on to the node's first answer; generous, since machines are emulated.
const NODE_TIMEOUT: Duration = Duration::from_secs(300);
/// What an operator's account gets for gas.
const GAS_ETHER: &str = "10";
/// What the owner's account gets to stake.
const STAKE_ALEPH: &str = "1000000";

/// How a network is started.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// Where everything of it is.
    pub folder: PathBuf,
    /// The folder with `aleph-node.raw` and `release.json`.
    pub image: PathBuf,
    /// The chain's port; 0 picks one.
    pub chain_port: u16,
    /// The node's port; 0 picks one.
    pub node_port: u16,
}

/// A running network; it ends with this value, unless it is detached.
#[derive(Debug)]
pub struct LocalNetwork {
    /// The chain.
    pub chain: Chain,
    /// The machine with the node.
    pub machine: Machine,
    /// Where clients find all of it.
    pub state: NetworkState,
}

/// What there is of a network; kept in `network.json` in its folder, with `client.json` for clients
/// beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkState {
    /// What a client needs.
    pub client: ClientConfig,
    /// The release manifest of the node's image.
    pub release: PathBuf,
    /// The certificates that endorse the machine's TPM.
    pub ek_roots: PathBuf,
    /// The processes, if they were detached.
    pub processes: Vec<Detached>,
}

impl NetworkState {
    /// The state of the network in a folder, if there is one.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("network.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged: remove it", path.display()))
                .map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Whether all of its processes run.
    pub fn is_up(&self) -> bool {
        !self.processes.is_empty() && self.processes.iter().all(Detached::is_alive)
    }

    /// Ends its processes and forgets it; its logs stay.
    pub fn down(&self, folder: &Path) -> Result<()> {
        for process in self.processes.iter().rev() {
            process.stop();
        }
        fs::remove_file(folder.join("network.json")).context("network.json")
    }

    fn write(&self, folder: &Path) -> Result<()> {
        self.client.write(&folder.join("client.json"))?;
        let path = folder.join("network.json");
        fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| path.display().to_string())
    }
}

impl LocalNetwork {
    /// Starts a chain, deploys the contracts, boots a node on it, and gives it gas and the
    /// coordinator's role. The node has then announced itself, and waits for stake.
    pub async fn start(layout: &Layout, options: &NetworkOptions) -> Result<Self> {
        Self::start_for(layout, options, Lifetime::OfStarter).await
    }

    /// The same for a network that runs on without its starter, to be found again by its state. It
    /// ends with its starter only where it does not come up.
    pub async fn start_detached(layout: &Layout, options: &NetworkOptions) -> Result<NetworkState> {
        let network = Self::start_for(layout, options, Lifetime::OfItsOwn).await?;
        let Self { chain, machine, mut state } = network;
        state.processes = vec![chain.detach()?];
        state.processes.extend(machine.detach()?);
        state.write(&options.folder)?;
        Ok(state)
    }

    async fn start_for(
        layout: &Layout,
        options: &NetworkOptions,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let chain = start_chain(layout, options, lifetime)?;
        let contracts = chain.deploy()?;
        info!(chain = chain.url(), "the chain is up, the contracts are deployed");
        let authority = TpmAuthority::in_folder(&options.folder.join("tpm-authority"))?;
        let tpm = authority.provision(&options.folder.join("tpm"))?;
        let seed = seed(&chain.url_in_machine(), &contracts);
        let machine = MachineOptions {
            folder: options.folder.join("machine"),
            image: options.image.join("aleph-node.raw"),
            disk_mib: 4096,
            memory_mib: 2048,
            tpm: Tpm::Crb(tpm),
            seed,
            port: options.node_port,
        };
        let machine = Machine::start_for(machine, lifetime)?;
        let client = ClientConfig {
            node_url: machine.url(),
            node_key_sha256: None,
            node_id: None,
            chain_rpc_url: chain.url(),
            contracts,
        };
        let state = NetworkState {
            client,
            release: options.image.join("release.json"),
            ek_roots: authority.roots(),
            processes: Vec::new(),
        };
        state.write(&options.folder)?;
        let mut network = Self { chain, machine, state };
        let node = network.machine.wait_for_node(NODE_TIMEOUT).await?;
        info!(node = network.state.client.node_url, "the node answers");
        network.endow(node.operator).await?;
        Ok(network)
    }

    /// What only a network's founders can do: gas for the operator, tokens for owner and
    /// customer, and the role that lets the node assign jobs.
    async fn endow(&self, operator: Address) -> Result<()> {
        let [administrator, owner, customer] = DEV_ACCOUNTS;
        let signer: PrivateKeySigner = administrator.key.parse()?;
        let provider = ProviderBuilder::new()
            .wallet(EthereumWallet::from(signer))
            .connect_http(self.chain.url().parse()?);
        let contracts = &self.state.client.contracts;
        let operator = operator.0.into();
        let gas = TransactionRequest::default().to(operator).value(parse_ether(GAS_ETHER)?);
        let token = AlephToken::new(contracts.aleph, &provider);
        let jobs = JobManager::new(contracts.job_manager, &provider);
        let role = keccak256("SCHEDULER_ROLE");
        let tokens: U256 = parse_ether(STAKE_ALEPH)?;
        provider.send_transaction(gas).await?.watch().await?;
        for account in [owner, customer] {
            token.transfer(account.address.parse()?, tokens).send().await?.watch().await?;
        }
        jobs.grantRole(role, operator).send().await?.watch().await?;
        Ok(())
    }
}

fn start_chain(layout: &Layout, options: &NetworkOptions, lifetime: Lifetime) -> Result<Chain> {
    let folder = options.folder.join("chain");
    let options = ChainOptions { folder, port: options.chain_port, block_time_s: 1 };
    Chain::start_for(layout, options, lifetime)
}

/// The configuration that the machine is given on its way: the chain, its owner, its role.
fn seed(chain_url: &str, contracts: &AddressBook) -> String {
    let [_, owner, _] = DEV_ACCOUNTS;
    format!(
        "[node]\nowner = \"{}\"\nregion = \"local\"\ncoordinator = true\n\n\
         [chain]\nrpc_url = \"{chain_url}\"\nchain_id = {}\nnode_registry = \"{}\"\n\
         staking_manager = \"{}\"\njob_manager = \"{}\"\nconfirmations = 1\n\
         heartbeat_interval_s = 10\n\n\
         # What would wait for another node or an upload on a real network fails soon here.\n\
         [jobs]\nmanifest_wait_s = 20\nplacement_wait_s = 5\n",
        owner.address,
        contracts.chain_id,
        contracts.node_registry,
        contracts.staking_manager,
        contracts.job_manager,
    )
}
