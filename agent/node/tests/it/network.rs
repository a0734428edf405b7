//! The agent's surroundings: a customer's messages, a local chain with the contracts, a TPM.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use aleph_types::{
    Cid,
    message::{Envelope, ItemType, MessageType},
    signature::{address_of, personal_digest},
};
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::harness::{PATIENCE, in_repository};

/// A signed INSTANCE message: its item hash and its envelope.
pub(crate) fn message(rootfs: Cid, memory_mib: u64) -> (String, String) {
    let key = SigningKey::from_slice(&hex::decode(CUSTOMER_KEY).unwrap()).unwrap();
    let account = address_of(key.verifying_key()).to_string();
    let content = json!({
        "address": account,
        "time": 1_700_000_000.5,
        "allow_amend": false,
        "environment": {"internet": false, "aleph_api": false},
        "resources": {"vcpus": 1, "memory": memory_mib, "seconds": 30},
        "rootfs": {
            "parent": {"ref": rootfs.to_string(), "use_latest": false},
            "persistence": "host",
            "size_mib": 64,
        },
        "volumes": [],
    })
    .to_string();
    let item_hash = hex::encode(Sha256::digest(&content));
    let mut envelope = Envelope {
        sender: account,
        chain: "ETH".to_owned(),
        signature: String::new(),
        message_type: MessageType::Instance,
        item_hash: item_hash.clone(),
        item_content: Some(content),
        item_type: ItemType::Inline,
        time: 1_700_000_001.0,
        channel: None,
    };
    let digest = personal_digest(envelope.signed_text().as_bytes());
    let (signature, recovery) = key.sign_prehash_recoverable(&digest).unwrap();
    let signature = [&signature.to_bytes()[..], &[27 + recovery.to_byte()]].concat();
    envelope.signature = format!("0x{}", hex::encode(signature));
    (item_hash, serde_json::to_string(&envelope).unwrap())
}

/// The administrator of the contracts, the owner of nodes, and a customer: accounts that anvil
/// unlocks.
pub(crate) const ADMIN: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
pub(crate) const OWNER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
pub(crate) const CUSTOMER: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
/// Another such account, for tests that speak for a node without an agent.
pub(crate) const OPERATOR: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
/// The customer's key and anvil's first account's, known to everyone.
const CUSTOMER_KEY: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const ADMIN_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A local chain with the contracts on it.
pub(crate) struct Chain {
    url: String,
    pub(crate) contracts: Value,
    _process: Process,
    _folder: TempDir,
}

impl Chain {
    /// Nothing where the contracts' tools are not installed; the reason is printed.
    pub(crate) fn start() -> Option<Self> {
        let anvil = tool("anvil")?;
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(anvil);
        command.args(["--port", &port.to_string(), "--chain-id", "42161", "--block-time", "1"]);
        let process = Process::start(command.args(["--hardfork", "osaka", "--silent"]));
        wait_for_port(port);

        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("contracts.json");
        let output = Command::new(tool("forge")?)
            .current_dir(in_repository("contracts"))
            .args(["script", "script/Deploy.s.sol", "--broadcast", "--slow"])
            .args(["--rpc-url", &url, "--private-key", ADMIN_KEY])
            .env("ALEPH_ADDRESS_BOOK", &book)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
        let contracts = serde_json::from_slice(&fs::read(book).unwrap()).unwrap();
        Some(Self { url, contracts, _process: process, _folder: folder })
    }

    pub(crate) fn contract(&self, name: &str) -> &str {
        self.contracts[name].as_str().unwrap()
    }

    /// The `[chain]` table of an agent's configuration.
    pub(crate) fn config(&self) -> String {
        format!(
            "[chain]\nrpc_url = \"{}\"\nchain_id = 42161\nnode_registry = \"{}\"\n\
             staking_manager = \"{}\"\njob_manager = \"{}\"\npoll_interval_ms = 200\n\
             heartbeat_interval_s = 2\n",
            self.url,
            self.contract("nodeRegistry"),
            self.contract("stakingManager"),
            self.contract("jobManager"),
        )
    }

    /// Sends a transaction of an unlocked account, which must succeed.
    pub(crate) fn send(&self, from: &str, arguments: &[&str]) {
        let mut command = Command::new(tool("cast").unwrap());
        command.args(["send", "--json", "--unlocked", "--from", from, "--rpc-url", &self.url]);
        // An estimate is out of date when another block comes first.
        command.args(["--gas-limit", "1000000"]);
        let output = command.args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        // A transaction that was reverted is a success to cast.
        let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(receipt["status"], "0x1", "{arguments:?}: {receipt}");
    }

    /// Asks the chain itself; an error is the `error` of its answer.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Result<Value, Value> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = reqwest::Client::new().post(&self.url).json(&request).send().await.unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        match answer["error"].take() {
            Value::Null => Ok(answer["result"].take()),
            error => Err(error),
        }
    }

    /// What a contract answers, one line for each value.
    pub(crate) fn call(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(tool("cast").unwrap());
        command.args(["call", "--rpc-url", &self.url]);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A TPM in software.
pub(crate) struct Tpm {
    port: u16,
    process: Option<Process>,
    folder: TempDir,
}

impl Tpm {
    /// Nothing where swtpm is not installed; the reason is printed.
    pub(crate) fn start() -> Option<Self> {
        if Command::new("swtpm").arg("--version").output().is_err() {
            eprintln!("skipped: swtpm is not installed");
            return None;
        }
        // The control port is the next one.
        let port = free_port_pair();
        let mut tpm = Self { port, process: None, folder: tempfile::tempdir().unwrap() };
        tpm.restart();
        Some(tpm)
    }

    /// What the kernel's resource manager does when a program ends: nothing stays loaded.
    pub(crate) fn restart(&mut self) {
        drop(self.process.take());
        let mut command = Command::new("swtpm");
        command
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--server", &format!("type=tcp,port={}", self.port)])
            .args(["--ctrl", &format!("type=tcp,port={}", self.port + 1)])
            .arg("--tpmstate")
            .arg(format!("dir={}", self.folder.path().display()));
        self.process = Some(Process::start(&mut command));
        wait_for_port(self.port + 1);
    }

    pub(crate) fn config(&self) -> String {
        format!("[tpm]\ntcti = \"{}\"\n", self.tcti())
    }

    /// Its address, as the library takes it.
    pub(crate) fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }
}

/// A child that ends with the test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tool(name: &str) -> Option<PathBuf> {
    let path = format!("contracts/node_modules/@foundry-rs/{name}-linux-amd64/bin/{name}");
    let path = in_repository(&path);
    if !path.exists() {
        eprintln!("skipped: {} is missing; run `make setup`", path.display());
        return None;
    }
    Some(path)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn free_port_pair() -> u16 {
    loop {
        let port = free_port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

fn wait_for_port(port: u16) {
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        thread::sleep(Duration::from_millis(50));
    }
}
