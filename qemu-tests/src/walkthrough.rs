//! From power-on to a paid-for, attested, running machine and back, each step verified.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aleph_devnet::{DEV_ACCOUNTS, Layout, LocalNetwork, NetworkOptions};
use aleph_sdk::{U256, format_amount, parse_amount};
use aleph_types::Cid;
use anyhow::{Context, Result, bail, ensure};

use crate::Cli;

/// What the owner stakes.
const STAKE: &str = "250000";
/// What the customer pays for an hour, in ALEPH.
const PRICE_PER_HOUR: &str = "0.36";
/// Limits of the waits, generous for emulated machines on a busy host.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(120);
const LOGIN_TIMEOUT: Duration = Duration::from_secs(420);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(120);
const POWER_OFF_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_secs(1);

/// What a walk needs from the build.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The folder with the image and its manifest.
    pub image: PathBuf,
    /// The customer's root file system.
    pub rootfs: PathBuf,
    /// Where the network keeps everything of its own; what is there from before is removed.
    pub folder: PathBuf,
}

impl Paths {
    /// The places that `make image` and `make rootfs` fill.
    pub fn of(layout: &Layout, image: &str, name: &str) -> Self {
        let build = layout.build();
        Self {
            image: layout.root().join(image),
            rootfs: build.join("debian-12.img"),
            folder: build.join("networks").join(name),
        }
    }

    /// What of it is missing, in words.
    pub fn missing(&self) -> Option<String> {
        let wanted = [self.image.join("aleph-node.raw"), self.rootfs.clone()];
        let missing = wanted.iter().find(|path| !path.is_file())?;
        Some(format!("{} is missing: run `make image image-debug rootfs`", missing.display()))
    }
}

/// A walk on its way.
#[derive(Debug)]
pub struct Walkthrough {
    /// The network that is walked through.
    pub network: LocalNetwork,
    /// The command line without an account.
    pub cli: Cli,
    paths: Paths,
    started: Instant,
    steps: RefCell<Vec<Step>>,
}

/// A step that was verified.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was seen, in words that are the same in every walk.
    pub name: &'static str,
    /// Since the start of the walk.
    pub at: Duration,
}

impl Walkthrough {
    /// Brings the network up: chain, contracts, a machine through firmware with its TPM.
    pub async fn start(layout: &Layout, paths: Paths) -> Result<Self> {
        let started = Instant::now();
        if paths.folder.exists() {
            std::fs::remove_dir_all(&paths.folder)?;
        }
        std::fs::create_dir_all(&paths.folder)?;
        let options = NetworkOptions {
            folder: paths.folder.clone(),
            image: paths.image.clone(),
            chain_port: 0,
            node_port: 0,
        };
        let network = LocalNetwork::start(layout, &options).await?;
        let cli = Cli::new(&paths.folder.join("client.json"))?;
        let walk = Self { network, cli, paths, started, steps: RefCell::default() };
        walk.done("chain up, contracts deployed, node booted through firmware with a TPM", "");
        Ok(walk)
    }

    /// The node proves what it booted; the saved evidence gives the same verdict offline.
    pub fn attest(&self) -> Result<()> {
        let evidence = self.paths.folder.join("evidence.bin");
        let (url, evidence) = (&self.network.state.client.node_url, path(&evidence)?);
        let policy = self.policy()?;
        let policy = policy.each_ref().map(String::as_str);
        let attest = ["node", "attest", url, "--save", evidence, "--pin"];
        let live = self.cli.json(&[&attest[..], &policy].concat())?;
        let saved = self.cli.json(&[&["attest", "verify", evidence], &policy[..]].concat())?;
        ensure!(live["accepted"] == true, "the verdict is not an acceptance: {live}");
        ensure!(live["checks"] == saved["checks"], "offline, another verdict: {saved}");
        let checks = live["checks"].as_array().map_or(0, Vec::len);
        self.done("attested against the release manifest", &format!(": accepted, {checks} checks"));
        Ok(())
    }

    /// The node registers itself; its owner stakes; the stake matures; the node is active.
    pub async fn activate(&self) -> Result<()> {
        self.wait_for("registration", REGISTRATION_TIMEOUT, |walk| {
            let status = walk.cli.json(&["node", "status"])?;
            Ok((status["node"]["chain"]["registration"] == "inactive").then_some(()))
        })
        .await?;
        self.done("registered on the chain with its attestation key and metadata", "");
        let [_, owner, _] = DEV_ACCOUNTS;
        let staked = self.cli.with_account(owner).json(&["stake", STAKE, "--activate"])?;
        ensure!(staked["active"] == true, "the node is not active: {staked}");
        self.done("staked, matured, active", &format!(": {STAKE} ALEPH"));
        Ok(())
    }

    /// A customer uploads a real Debian 12 and asks for a machine that runs it.
    pub fn create_instance(&self) -> Result<String> {
        let [_, _, customer] = DEV_ACCOUNTS;
        let uploaded = self.cli.json(&["upload", path(&self.paths.rootfs)?])?;
        let cid = uploaded["cid"].as_str().context("the upload has no name")?;
        ensure!(cid.parse::<Cid>().is_ok(), "{cid} is no CID");
        self.done("uploaded a Debian 12 root file system", &format!(": {cid}"));
        let create = ["instance", "create", "--rootfs", cid, "--vcpus", "1", "--memory", "256"];
        let customer = self.cli.with_account(customer);
        let price = ["--price-per-hour", PRICE_PER_HOUR, "--wait"];
        let created = customer.json(&[&create[..], &price].concat())?;
        ensure!(created["status"] == "running", "the job does not run: {created}");
        let job = created["job"].to_string();
        self.done("job created, assigned by the coordinator, running", &format!(": job {job}"));
        Ok(job)
    }

    /// The guest comes up to its login prompt, and tells what it is.
    pub async fn see_login(&self, job: &str) -> Result<()> {
        self.wait_for("the login prompt", LOGIN_TIMEOUT, |walk| {
            let logs = walk.cli.text(&["instance", "logs", job])?;
            let complete = logs.contains("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"")
                && logs.contains("login:");
            Ok(complete.then_some(()))
        })
        .await?;
        self.done("the guest's /etc/os-release and login prompt appear in the instance's logs", "");
        Ok(())
    }

    /// Heartbeats of the node and of the job go on.
    pub async fn see_heartbeats(&self, job: &str) -> Result<()> {
        let before = self.heartbeats(job).await?;
        let mut now = before;
        let deadline = Instant::now() + HEARTBEAT_TIMEOUT;
        while now.0 <= before.0 || now.1 <= before.1 {
            ensure!(Instant::now() < deadline, "no new heartbeats: {before:?}, then {now:?}");
            tokio::time::sleep(POLL).await;
            now = self.heartbeats(job).await?;
        }
        self.done("heartbeats of the node and of the job appear on the chain", "");
        Ok(())
    }

    /// The times of the last heartbeats on the chain: the node's and the job's.
    pub async fn heartbeats(&self, job: &str) -> Result<(u64, u64)> {
        let chain = aleph_sdk::AlephClient::new(self.network.state.client.clone())?;
        let shown = chain.chain().job(job.parse()?).await?;
        let node = shown.node.context("the job has no node")?;
        let node = chain.chain().node(node).await?.context("the node is not registered")?;
        Ok((node.last_heartbeat_s, shown.last_heartbeat_s))
    }

    /// The customer stops the machine; it powers off cleanly, and the chain says so.
    pub fn stop_instance(&self, job: &str) -> Result<()> {
        let [_, _, customer] = DEV_ACCOUNTS;
        let stopped = self.cli.with_account(customer).json(&["instance", "stop", job, "--wait"])?;
        ensure!(stopped["status"] == "completed", "the job is not complete: {stopped}");
        let shown = self.cli.json(&["instance", "show", job])?;
        ensure!(shown["node"]["state"] == "stopped", "the machine did not stop: {shown}");
        let logs = self.cli.text(&["instance", "logs", job])?;
        ensure!(logs.contains("reboot: Power down"), "the guest did not power off by itself");
        self.done("stopped: the guest powered off cleanly, the chain says completed", "");
        self.settle(job)
    }

    /// The time that the node has proven is paid for, and nothing else.
    fn settle(&self, job: &str) -> Result<()> {
        let proven_s = self.cli.json(&["instance", "show", job])?["chain"]["accrued_s"].clone();
        let proven_s = proven_s.as_u64().context("the chain tells of no proven time")?;
        let [_, owner, _] = DEV_ACCOUNTS;
        let settled = self.cli.with_account(owner).json(&["instance", "settle", job])?;
        let due = U256::from(proven_s) * parse_amount(PRICE_PER_HOUR)? / U256::from(3600);
        ensure!(proven_s > 0, "no second of the machine's life was proven");
        ensure!(settled["paid"] == due.to_string() && settled["due"] == "0", "paid: {settled}");
        let paid = format!(": {} ALEPH for {proven_s} s", format_amount(due));
        self.done("paid for the time that the node proved", &paid);
        Ok(())
    }

    /// The node powers off cleanly by its power button.
    pub fn power_off(mut self) -> Result<Vec<Step>> {
        let machine = &mut self.network.machine;
        machine.press_power_button()?;
        machine.wait_for_power_off(POWER_OFF_TIMEOUT)?;
        let console = machine.console();
        ensure!(
            console.contains("aleph-init: powering off now"),
            "the console does not tell of an orderly power-off; its end: {}",
            tail(&console)
        );
        self.done("the node powered off cleanly", "");
        Ok(self.steps())
    }

    /// The options that name the release and the roots.
    pub fn policy(&self) -> Result<[String; 4]> {
        let state = &self.network.state;
        let (release, roots) = (path(&state.release)?.into(), path(&state.ek_roots)?.into());
        Ok(["--release".into(), release, "--ek-roots".into(), roots])
    }

    /// Waits until `look` finds something.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let seen = look(self);
            match seen {
                Ok(Some(found)) => return Ok(found),
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => bail!("{what} did not come within {} s", limit.as_secs()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error.context(format!("while waiting for {what}")));
                }
                Err(_) => {}
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The steps that were verified so far.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.borrow().clone()
    }

    fn done(&self, name: &'static str, detail: &str) {
        let at = self.started.elapsed();
        eprintln!("{:6.1} s  {name}{detail}", at.as_secs_f64());
        self.steps.borrow_mut().push(Step { name, at });
    }
}

/// The last lines of a console, for an error.
fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
