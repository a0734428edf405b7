//! A chain on this machine: anvil, with our contracts on it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use aleph_contracts::AddressBook;
use alloy::providers::{Provider, ProviderBuilder};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    Layout,
    process::{Detached, Lifetime, Process, wait_until},
};

/// How long anvil may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// After this long, an anvil that could not have its port has ended.
const SETTLE: Duration = Duration::from_millis(300);
/// Arbitrum One's chain id: what is signed for this chain is what would be signed there.
const CHAIN_ID: u64 = 42161;

/// An account that anvil endows at its start; its key is public knowledge.
#[derive(Debug, Clone, Copy)]
pub struct DevAccount {
    /// What the account does in our networks.
    pub role: &'static str,
    /// Its address.
    pub address: &'static str,
    /// Its private key, from the well-known test mnemonic.
    pub key: &'static str,
}

/// The endowed accounts that our networks use.
pub const DEV_ACCOUNTS: [DevAccount; 3] = [
    DevAccount {
        role: "administrator",
        address: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        key: "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    },
    DevAccount {
        role: "owner",
        address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        key: "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    },
    DevAccount {
        role: "customer",
        address: "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        key: "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    },
];

/// How a chain is started.
#[derive(Debug, Clone)]
pub struct ChainOptions {
    /// Where it keeps its state and its log.
    pub folder: PathBuf,
    /// Its port on the loopback interface; 0 picks a free one.
    pub port: u16,
    /// Seconds between blocks.
    pub block_time_s: u32,
}

/// A running chain.
#[derive(Debug)]
pub struct Chain {
    layout: Layout,
    options: ChainOptions,
    lifetime: Lifetime,
    process: Process,
}

impl Chain {
    /// Starts a chain; one that was stopped in the same folder goes on where it was.
    pub fn start(layout: &Layout, options: ChainOptions) -> Result<Self> {
        Self::start_for(layout, options, Lifetime::OfStarter)
    }

    pub(crate) fn start_for(
        layout: &Layout,
        mut options: ChainOptions,
        lifetime: Lifetime,
    ) -> Result<Self> {
        fs::create_dir_all(&options.folder)?;
        if options.port == 0 {
            options.port = free_port()?;
        }
        let process = launch(layout, &options, lifetime)?;
        let mut chain = Self { layout: layout.clone(), options, lifetime, process };
        chain.wait_for_answer()?;
        Ok(chain)
    }

    /// Its JSON-RPC address on this machine.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.port)
    }

    /// Its JSON-RPC address from inside a machine of ours.
    pub fn url_in_machine(&self) -> String {
        format!("http://10.0.2.2:{}", self.options.port)
    }

    /// Deploys the contracts, and tells where they are.
    pub fn deploy(&self) -> Result<AddressBook> {
        // forge scripts may write below `build/` alone, and a network may be anywhere.
        let books = self.layout.build().join("address-books");
        fs::create_dir_all(&books)?;
        let book = books.join(format!("{}.json", self.options.port));
        deploy(&self.layout, &self.url(), &book)?;
        AddressBook::read(&book).context("the deployment wrote no address book")
    }

    /// Calls a method of the chain's JSON-RPC interface.
    pub async fn rpc(&self, method: &'static str, params: Value) -> Result<Value> {
        rpc(&self.url(), method, params).await
    }

    /// Stops the chain and starts it again with its state, as when its host reboots.
    pub fn restart(&mut self, pause: Duration) -> Result<()> {
        self.process.stop();
        std::thread::sleep(pause);
        self.process = launch(&self.layout, &self.options, self.lifetime)?;
        self.wait_for_answer()
    }

    /// The number of its newest block.
    pub async fn head(&self) -> Result<u64> {
        let provider = ProviderBuilder::new().connect_http(self.url().parse()?);
        provider.get_block_number().await.context("the chain does not tell its head")
    }

    /// Replaces the newest blocks by others without their transactions.
    pub async fn reorganise(&self, depth: u32) -> Result<()> {
        self.rpc("anvil_reorg", json!([depth, []])).await.map(drop)
    }

    pub(crate) fn detach(self) -> Result<Detached> {
        self.process.detach()
    }

    fn wait_for_answer(&mut self) -> Result<()> {
        let address = ("127.0.0.1", self.options.port);
        let process = &mut self.process;
        wait_until("anvil's port", START_TIMEOUT, || match process.exit_code()? {
            // Whatever answers on the port then is somebody else's.
            Some(code) => bail!("anvil ended with code {code}; is port {} taken?", address.1),
            None => Ok(TcpStream::connect(address).ok().map(drop)),
        })?;
        std::thread::sleep(SETTLE);
        match self.process.exit_code()? {
            Some(code) => bail!("anvil ended with code {code}; is port {} taken?", address.1),
            None => Ok(()),
        }
    }
}

fn launch(layout: &Layout, options: &ChainOptions, lifetime: Lifetime) -> Result<Process> {
    let mut command = lifetime.command(layout.foundry("anvil")?)?;
    command
        .args(["--host", "127.0.0.1", "--hardfork", "osaka"])
        .args(["--chain-id", &CHAIN_ID.to_string()])
        .args(["--port", &options.port.to_string()])
        .args(["--block-time", &options.block_time_s.to_string()])
        .arg("--state")
        .arg(options.folder.join("state.json"));
    Process::start("anvil", &mut command, &options.folder.join("anvil.log"))
}

/// Deploys the contracts with the project's own script.
fn deploy(layout: &Layout, url: &str, book: &Path) -> Result<()> {
    let [administrator, ..] = DEV_ACCOUNTS;
    let output = Command::new(layout.foundry("forge")?)
        .current_dir(layout.contracts())
        .args(["script", "script/Deploy.s.sol", "--target-contract", "Deploy", "--broadcast"])
        .args(["--rpc-url", url])
        .args(["--private-key", administrator.key])
        .env("ALEPH_ADDRESS_BOOK", book)
        .env("FOUNDRY_BROADCAST", book.with_extension("broadcast"))
        .output()
        .context("cannot start forge")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("the contracts could not be deployed:\n{words}\n{errors}");
    }
    Ok(())
}

/// A port of the loopback interface that nothing listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Calls a method of a chain's JSON-RPC interface.
pub(crate) async fn rpc(url: &str, method: &'static str, params: Value) -> Result<Value> {
    let provider = ProviderBuilder::new().connect_http(url.parse()?);
    provider.raw_request(method.into(), params).await.with_context(|| format!("{method} at {url}"))
}
