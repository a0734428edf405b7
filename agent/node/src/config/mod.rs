//! The typed configuration and its defaults. `default.toml`, beside this file, is what people
//! read; a test keeps the two the same.

mod layers;

use std::{fmt, net::SocketAddr, path::PathBuf};

use aleph_types::Address;
use serde::Deserialize;

pub use layers::{ConfigError, Setting, load};

/// Every key at its default, with what it is for.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The HTTP interface.
    pub api: Api,
    /// The chain; without it the node takes no jobs.
    pub chain: Option<Chain>,
    /// Instances.
    pub executor: Executor,
    /// Jobs that have no machine yet.
    pub jobs: Jobs,
    /// What is logged, and how.
    pub log: Log,
    /// PID 1's table, which it defines and checks itself.
    machine: toml::Table,
    /// The node as the chain knows it.
    pub node: Node,
    /// Database and blobs.
    pub storage: Storage,
    /// The TPM.
    pub tpm: Tpm,
}

/// `[node]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// The account that the node is registered for.
    pub owner: Option<Address>,
    /// Where the node stands.
    pub region: String,
    /// Whether it also assigns jobs.
    pub coordinator: bool,
}

/// `[api]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Where the interface listens.
    pub listen: SocketAddr,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once of one client.
    pub connections_per_client_max: usize,
    /// The largest blob.
    pub blob_mib_max: u64,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0; 8], 8443)),
            connections_max: 256,
            connections_per_client_max: 32,
            blob_mib_max: 64 * 1024,
        }
    }
}

/// `[storage]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Disk that blobs leave free.
    pub free_mib_min: u64,
    /// Memory for database pages.
    pub cache_mib: usize,
    /// How long an unreferenced blob is kept.
    pub blob_grace_s: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self { free_mib_min: 256, cache_mib: 4, blob_grace_s: 86_400 }
    }
}

/// `[executor]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Executor {
    /// The monitor's executable.
    pub monitor: PathBuf,
    /// The guests' kernel.
    pub kernel: PathBuf,
    /// Where running instances are found again.
    pub run_dir: PathBuf,
    /// Memory kept for the node itself.
    pub memory_reserved_mib: u64,
    /// Virtual processors for each real one.
    pub vcpus_per_cpu: u32,
    /// How long an instance has to power itself off.
    pub power_off_s: u64,
}

impl Default for Executor {
    fn default() -> Self {
        Self {
            monitor: "/usr/bin/aleph-vmm".into(),
            kernel: "/usr/share/aleph/guest/vmlinux".into(),
            run_dir: "/run/aleph/vms".into(),
            memory_reserved_mib: 512,
            vcpus_per_cpu: 1,
            power_off_s: 60,
        }
    }
}

impl Config {
    /// Refuses what would put something unmeasured in the place of a part of the image: this file
    /// is covered by no measurement, and the image's parts are.
    pub(crate) fn names_only_what_is_measured(&self) -> Result<(), Unmeasured> {
        let (own, image) = (&self.executor, Executor::default());
        let same = own.monitor == image.monitor
            && own.kernel == image.kernel
            && own.run_dir == image.run_dir
            && self.tpm.tcti == Tpm::default().tcti;
        same.then_some(()).ok_or(Unmeasured)
    }
}

/// The configuration replaces a measured part of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "executor.monitor, executor.kernel, executor.run_dir and tpm.tcti cannot be changed on an \
     image, whose parts are measured: remove them from the configuration"
)]
pub(crate) struct Unmeasured;

/// `[jobs]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// How long a job waits for its message.
    pub manifest_wait_s: u64,
    /// How long a job waits for a node.
    pub placement_wait_s: u64,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { manifest_wait_s: 300, placement_wait_s: 120 }
    }
}

/// `[tpm]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tpm {
    /// Whether to use it.
    pub enabled: bool,
    /// Where it is: a device, or an address in the notation of tpm2-tss.
    pub tcti: String,
}

impl Default for Tpm {
    fn default() -> Self {
        Self { enabled: true, tcti: "/dev/tpmrm0".to_owned() }
    }
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// What is logged.
    pub filter: String,
    /// For whom.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// For whom log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// People where a terminal is attached, machines elsewhere.
    Auto,
    /// Machines.
    Json,
    /// People.
    Pretty,
}

/// `[chain]`.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Where the chain is asked.
    pub rpc_url: String,
    /// The id that the chain must have.
    pub chain_id: u64,
    /// NodeRegistry.
    pub node_registry: Address,
    /// StakingManager.
    pub staking_manager: Address,
    /// JobManager.
    pub job_manager: Address,
    /// Blocks after which a transaction counts as done.
    #[serde(default = "default_confirmations")]
    pub confirmations: u64,
    /// Pause between two looks.
    #[serde(default = "default_poll_interval_ms")]
    pub poll_interval_ms: u64,
    /// After how long a fee is raised.
    #[serde(default = "default_stuck_after_s")]
    pub stuck_after_s: u64,
    /// Pause between two heartbeats.
    #[serde(default = "default_heartbeat_interval_s")]
    pub heartbeat_interval_s: u64,
    /// The greatest price of a unit of gas.
    #[serde(default = "default_fee_per_gas_gwei_max")]
    pub fee_per_gas_gwei_max: u64,
}

const fn default_confirmations() -> u64 {
    1
}

const fn default_poll_interval_ms() -> u64 {
    1000
}

const fn default_stuck_after_s() -> u64 {
    60
}

const fn default_heartbeat_interval_s() -> u64 {
    60
}

const fn default_fee_per_gas_gwei_max() -> u64 {
    100
}

// The URL may hold an access key.
impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("chain_id", &self.chain_id).finish_non_exhaustive()
    }
}

impl Config {
    /// What types cannot say: bounds, and what belongs together.
    fn check(&self) -> Result<(), String> {
        let bounds = [
            ("api.connections_max", self.api.connections_max as u64, 1, 65_536),
            (
                "api.connections_per_client_max",
                self.api.connections_per_client_max as u64,
                1,
                65_536,
            ),
            ("api.blob_mib_max", self.api.blob_mib_max, 1, 1 << 30),
            ("storage.free_mib_min", self.storage.free_mib_min, 16, 1 << 30),
            ("storage.cache_mib", self.storage.cache_mib as u64, 1, 65_536),
            ("storage.blob_grace_s", self.storage.blob_grace_s, 60, 10 * 365 * 86_400),
            ("executor.vcpus_per_cpu", self.executor.vcpus_per_cpu.into(), 1, 64),
            ("executor.power_off_s", self.executor.power_off_s, 1, 3600),
            ("jobs.manifest_wait_s", self.jobs.manifest_wait_s, 1, 86_400),
            ("jobs.placement_wait_s", self.jobs.placement_wait_s, 1, 86_400),
        ];
        for (key, value, min, max) in bounds {
            if !(min..=max).contains(&value) {
                return Err(format!("{key} is {value}, allowed are {min} to {max}"));
            }
        }
        if self.node.region.len() > REGION_BYTES_MAX {
            return Err(format!("node.region has more than {REGION_BYTES_MAX} bytes"));
        }
        if let Err(error) = self.log.filter.parse::<tracing_subscriber::EnvFilter>() {
            return Err(format!("log.filter is {:?}: {error}", self.log.filter));
        }
        if let Some(chain) = &self.chain {
            chain.check()?;
        } else if self.node.coordinator {
            return Err(
                "node.coordinator needs a [chain] table: add one, or set it to false".into()
            );
        }
        Ok(())
    }
}

impl Chain {
    fn check(&self) -> Result<(), String> {
        if !(self.rpc_url.starts_with("http://") || self.rpc_url.starts_with("https://")) {
            return Err("chain.rpc_url must begin with http:// or https://".to_owned());
        }
        let bounds = [
            ("chain.chain_id", self.chain_id, 1, u64::MAX),
            ("chain.confirmations", self.confirmations, 1, 64),
            ("chain.poll_interval_ms", self.poll_interval_ms, 10, 3_600_000),
            ("chain.stuck_after_s", self.stuck_after_s, 1, 86_400),
            ("chain.heartbeat_interval_s", self.heartbeat_interval_s, 1, 86_400),
            ("chain.fee_per_gas_gwei_max", self.fee_per_gas_gwei_max, 1, 1_000_000_000),
        ];
        for (key, value, min, max) in bounds {
            if !(min..=max).contains(&value) {
                return Err(format!("{key} is {value}, allowed are {min} to {max}"));
            }
        }
        Ok(())
    }
}

/// It is written to the chain, where bytes cost.
const REGION_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        assert_eq!(toml::from_str::<Config>(DEFAULT_TOML).unwrap(), Config::default());
    }

    #[test]
    fn the_printed_defaults_name_every_key() {
        // Comment signs before keys and tables taken away, everything is set.
        let full: String = DEFAULT_TOML
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest,
                _ => line,
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let config: Config = toml::from_str(&full).unwrap();
        config.check().unwrap();
        let chain = config.chain.unwrap();
        assert!(config.node.owner.is_some());
        assert_eq!(chain.confirmations, default_confirmations());
        assert_eq!(chain.poll_interval_ms, default_poll_interval_ms());
        assert_eq!(chain.stuck_after_s, default_stuck_after_s());
        assert_eq!(chain.heartbeat_interval_s, default_heartbeat_interval_s());
        assert_eq!(chain.fee_per_gas_gwei_max, default_fee_per_gas_gwei_max());
        let printed: toml::Table = toml::from_str(&full).unwrap();
        for table in known_keys("\"?\" = 1").iter().filter(|table| *table != "machine") {
            let keys = printed[table].as_table().unwrap();
            for key in known_keys(&format!("[{table}]\n\"?\" = 1")) {
                assert!(keys.contains_key(&key), "{table}.{key} is not printed");
            }
        }
    }

    /// The keys that the types know: serde names them when it meets one that it does not.
    fn known_keys(text: &str) -> Vec<String> {
        let error = toml::from_str::<Config>(text).unwrap_err();
        let (_, known) = error.message().split_once("expected").unwrap();
        let known: Vec<_> = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(known.len() >= 2, "{error}");
        known
    }

    #[test]
    fn the_access_key_in_the_url_is_not_printed() {
        let text = "[chain]\nrpc_url = \"https://host/SECRET\"\nchain_id = 1\n\
            node_registry = \"0x0000000000000000000000000000000000000001\"\n\
            staking_manager = \"0x0000000000000000000000000000000000000002\"\n\
            job_manager = \"0x0000000000000000000000000000000000000003\"\n";
        let config: Config = toml::from_str(text).unwrap();
        assert!(!format!("{config:?}").contains("SECRET"));
    }
}
