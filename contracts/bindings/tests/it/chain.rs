//! A chain of our own with the contracts on it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use aleph_contracts::AddressBook;
use alloy::{
    primitives::Address,
    providers::{DynProvider, Provider, ProviderBuilder},
};
use anyhow::{Context, Result, bail, ensure};

/// anvil with everything deployed. Nothing is signed here: anvil holds the accounts' keys.
pub(crate) struct Chain {
    anvil: Anvil,
    pub(crate) provider: DynProvider,
    pub(crate) book: AddressBook,
    pub(crate) admin: Address,
    pub(crate) owner: Address,
    pub(crate) operator: Address,
    pub(crate) customer: Address,
    pub(crate) stranger: Address,
}

impl Chain {
    pub(crate) async fn start() -> Result<Self> {
        let anvil = Anvil::start()?;
        let provider = ProviderBuilder::new().connect_http(anvil.url.parse()?).erased();
        let accounts = provider.get_accounts().await?;
        let [admin, owner, operator, customer, stranger, ..] = accounts[..] else {
            bail!("anvil has only {} accounts", accounts.len());
        };
        let book = deploy(&anvil.url, admin)?;
        Ok(Self { anvil, provider, book, admin, owner, operator, customer, stranger })
    }

    /// Where its JSON-RPC interface is.
    pub(crate) fn url(&self) -> &str {
        &self.anvil.url
    }

    /// Lets time and a few blocks pass.
    pub(crate) async fn pass(&self, seconds: u64) -> Result<()> {
        let _: serde_json::Value =
            self.provider.raw_request("evm_increaseTime".into(), [seconds]).await?;
        let _: serde_json::Value = self.provider.raw_request("anvil_mine".into(), [3]).await?;
        Ok(())
    }
}

/// Killed when dropped.
struct Anvil {
    process: Child,
    url: String,
}

impl Anvil {
    fn start() -> Result<Self> {
        let mut process = Command::new(tool("anvil")?)
            .args(["--port", "0", "--chain-id", "42161", "--hardfork", "osaka"])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start anvil")?;
        let stdout = process.stdout.take();
        let mut anvil = Self { process, url: String::new() };

        let mut lines = BufReader::new(stdout.context("anvil has no output")?).lines();
        let address = loop {
            let line = lines.next().context("anvil ended before it listened")??;
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.to_owned();
            }
        };
        anvil.url = format!("http://{address}");
        // A full pipe would stop anvil.
        thread::spawn(move || lines.for_each(drop));
        Ok(anvil)
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn deploy(url: &str, admin: Address) -> Result<AddressBook> {
    let dir = tempfile::Builder::new().prefix("aleph-contracts-").tempdir_in("/tmp")?;
    let book = dir.path().join("book.json");
    let output = Command::new(tool("forge")?)
        .current_dir(contracts_dir())
        .args(["script", "script/Deploy.s.sol", "--broadcast", "--unlocked"])
        .args(["--rpc-url", url, "--sender", &admin.to_string()])
        .env("ALEPH_ADDRESS_BOOK", &book)
        .env("FOUNDRY_BROADCAST", dir.path().join("broadcast"))
        .output()
        .context("cannot start forge")?;
    ensure!(
        output.status.success(),
        "the deploy script failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(AddressBook::read(&book)?)
}

/// The native program behind the npm package, without npx's start-up.
fn tool(name: &str) -> Result<PathBuf> {
    let path =
        contracts_dir().join(format!("node_modules/@foundry-rs/{name}-linux-amd64/bin/{name}"));
    ensure!(path.exists(), "{} is missing: run `npm ci` in contracts/", path.display());
    Ok(path)
}

pub(crate) fn contracts_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
