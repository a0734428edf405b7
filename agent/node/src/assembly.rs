//! How the parts of a node are put together, from the disk up to the interface.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use aleph_api::{Identity, Limits, Metrics, Server};
use aleph_attestation::structures::AkPublic;
use aleph_chain::{
    Addresses, AttestationKey, Chain, ChainConfig, ChainError, ChainTask, Heartbeat, NodeType,
    OperatorKey, Registration,
};
use aleph_executor::{Capacity, DesiredVms, Executor, ExecutorOptions, HostReserve};
use aleph_storage::{BlobLimits, BlobOptions, Blobs, StorageError, Store, StoreOptions};
use aleph_types::{Cid, NodeId, text::in_words};
use anyhow::{Context, Error};
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    adapters::{BlobImages, StoreJournal},
    agent::{Agent, resources_of},
    config::{self, Config},
    duties::{
        collector::Collector, coordinator::CoordinatorDuty, jobs::JobsDuty,
        registration::RegistrationDuty, reports::ChainReports, watch::WatchDuty,
    },
    exit::Ended,
    messages::{Messages, References},
    metadata::{METADATA_BYTES_MAX, Metadata},
    metrics::NodeMetrics,
    operator,
    readiness::{Conditions, Need},
    run::{Phases, Running},
    stop::{StopSignals, shutdown_marker},
    tasks::CriticalTasks,
    tpm::TpmHandle,
};

/// Puts a node together and sets it to work.
pub(crate) async fn assemble(config: &Config, data_dir: &Path) -> Result<Running, Ended> {
    let started = Instant::now();
    if profile() != HOST {
        config.names_only_what_is_measured().map_err(|error| Ended::Config(error.into()))?;
    }
    let signals = StopSignals::listen().map_err(Ended::Failed)?;
    let mut assembly = Assembly {
        config,
        data_dir,
        tasks: CriticalTasks::default(),
        phases: Phases::default(),
        conditions: Conditions::new(),
        registry: Registry::with_prefix("aleph"),
    };
    let (store, blobs) = assembly.open_storage().map_err(Ended::Unavailable)?;
    let operator_key = operator::load_or_create(data_dir).map_err(Ended::Unavailable)?;
    let operator = operator_key.address();
    let tls = Identity::generate().map_err(|error| Ended::Failed(error.into()))?;
    let tpm = assembly.open_tpm(&tls).await;
    let node_id = tpm.as_ref().ok().map(|tpm| tpm.identity().node_id);
    let version = env!("CARGO_PKG_VERSION");
    let node = node_id.map(tracing::field::display);
    info!(version, node, %operator, data_dir = %data_dir.display(), "starting");

    let (heartbeat, heartbeats) = watch::channel(None);
    let journal = StoreJournal(store.clone());
    let chain = assembly.start_chain(operator_key, node_id, journal, heartbeats)?;
    let (executor, desired) =
        assembly.start_executor(&blobs, chain.clone()).map_err(Ended::Unavailable)?;
    let view = chain.as_ref().map(Chain::view);
    let references = References { view, has_node_id: node_id.is_some() };
    let messages = Messages::new(store.clone(), references);
    let profile = profile();
    let agent = Agent {
        started,
        profile,
        node_id,
        operator,
        owner: config.node.owner,
        blob_size_bytes_max: config.api.blob_mib_max << 20,
        conditions: assembly.conditions.clone(),
        blobs,
        messages,
        chain,
        executor: executor.clone(),
        tpm,
    };
    let kept = assembly.start_job_duties(&agent, desired).await.map_err(Ended::Failed)?;
    assembly.start_upkeep(&agent, store, kept, heartbeat);
    assembly.start_api(agent, tls).await.map_err(Ended::Failed)?;
    let Assembly { tasks, phases, conditions, .. } = assembly;
    let marker = shutdown_marker(&config.executor.run_dir);
    Ok(Running { tasks, phases, conditions, executor, marker, signals })
}

/// What the parts are put into.
struct Assembly<'a> {
    config: &'a Config,
    data_dir: &'a Path,
    tasks: CriticalTasks,
    phases: Phases,
    conditions: Conditions,
    registry: Registry,
}

impl Assembly<'_> {
    fn open_storage(&self) -> anyhow::Result<(Store, Blobs)> {
        let Self { config, data_dir, .. } = self;
        std::fs::create_dir_all(data_dir).with_context(|| {
            format!("cannot use the data folder {}: check the data disk", data_dir.display())
        })?;
        let options = StoreOptions { cache_bytes: config.storage.cache_mib << 20 };
        let store = Store::open(&data_dir.join("db"), options)?;
        let options = BlobOptions { floor_bytes: config.storage.free_mib_min << 20 };
        let blobs = Blobs::open(&data_dir.join("blobs"), store.clone(), options)?;
        Ok((store, blobs))
    }

    /// Without a TPM the node works on, and says what it cannot do.
    async fn open_tpm(&self, tls: &Identity) -> Result<TpmHandle, String> {
        let config = &self.config.tpm;
        if !config.enabled {
            let why = "switched off in the configuration (tpm.enabled)".to_owned();
            self.conditions.fails(Need::Tpm, why.clone());
            return Err(why);
        }
        match TpmHandle::open(config.tcti.clone(), tls.spki_sha256()).await {
            Ok(tpm) => {
                self.conditions.holds(Need::Tpm, "answers");
                Ok(tpm)
            }
            Err(error) => {
                let why = format!("{error:#}");
                warn!(why, "no usable TPM: the node cannot prove what it runs, nor register");
                self.conditions.fails(Need::Tpm, why.clone());
                Err(why)
            }
        }
    }

    fn start_chain(
        &mut self,
        operator_key: OperatorKey,
        node_id: Option<NodeId>,
        journal: StoreJournal,
        heartbeats: watch::Receiver<Option<Heartbeat>>,
    ) -> Result<Option<Chain>, Ended> {
        let Some(chain) = &self.config.chain else {
            warn!("no [chain] table in the configuration: the node takes no jobs");
            return Ok(None);
        };
        let coordinator = self.config.node.coordinator;
        let node_id = node_id.unwrap_or(NOBODY);
        let config = chain_config(chain, coordinator, operator_key, node_id);
        let started =
            Chain::start(config, Arc::new(journal), heartbeats, self.phases.chain.clone());
        let (chain, tasks) = started.map_err(|error| match error {
            ChainError::Config { .. } | ChainError::Rpc(_) => Ended::Config(error.into()),
            error => Ended::Unavailable(error.into()),
        })?;
        for ChainTask { name, future } in tasks {
            self.tasks.spawn(name, async move { Ok(future.await?) });
        }
        Ok(Some(chain))
    }

    fn start_executor(
        &mut self,
        blobs: &Blobs,
        chain: Option<Chain>,
    ) -> anyhow::Result<(Executor, watch::Sender<Option<DesiredVms>>)> {
        let (desired, wishes) = watch::channel(None);
        let options = executor_options(self.config, self.data_dir)?;
        let images = BlobImages(blobs.clone());
        let (executor, reconciler) = Executor::new(options, images, ChainReports(chain), wishes)?;
        let stop = self.phases.machines.clone();
        self.tasks.spawn("executor", async move { Ok(reconciler.run(stop).await?) });
        Ok((executor, desired))
    }

    /// Gives back the documents that the node needs.
    async fn start_job_duties(
        &mut self,
        agent: &Agent,
        desired: watch::Sender<Option<DesiredVms>>,
    ) -> anyhow::Result<BTreeSet<Cid>> {
        let Some(chain) = &agent.chain else { return Ok(BTreeSet::new()) };
        let config = self.config;
        let stop = &self.phases.intake;
        // Without an id the chain tells nothing of this node's jobs, and no jobs would mean that no
        // machine may stay. The wish is left open instead: what runs, runs on.
        if agent.node_id.is_some() {
            let jobs = JobsDuty {
                chain: chain.clone(),
                messages: agent.messages.clone(),
                blobs: agent.blobs.clone(),
                executor: agent.executor.clone(),
                desired,
                patience: Duration::from_secs(config.jobs.manifest_wait_s),
            };
            self.tasks.spawn("jobs", jobs.run(stop.clone()));
        }
        let capacity = resources_of(agent.executor.capacity());
        if config.node.coordinator {
            let coordinator = CoordinatorDuty {
                chain: chain.clone(),
                blobs: agent.blobs.clone(),
                own_capacity: capacity,
                patience: Duration::from_secs(config.jobs.placement_wait_s),
            };
            self.tasks.spawn("coordinator", coordinator.run(stop.clone()));
        }
        let Ok(tpm) = &agent.tpm else { return Ok(BTreeSet::new()) };
        let document = store_metadata(&agent.blobs, &Metadata::new(capacity)).await?;
        if let Some(registration) = registration(config, tpm, document)? {
            let duty = RegistrationDuty { chain: chain.clone(), registration };
            self.tasks.spawn("registration", duty.run(stop.clone()));
        }
        Ok(BTreeSet::from([document]))
    }

    fn start_upkeep(
        &mut self,
        agent: &Agent,
        store: Store,
        kept: BTreeSet<Cid>,
        heartbeat: watch::Sender<Option<Heartbeat>>,
    ) {
        let Self { config, phases, .. } = self;
        let collector = Collector {
            messages: agent.messages.clone(),
            blobs: agent.blobs.clone(),
            grace: Duration::from_secs(config.storage.blob_grace_s),
            kept,
        };
        self.tasks.spawn("collector", collector.run(phases.intake.clone()));
        let monitor = config.executor.monitor.clone();
        let watch = WatchDuty {
            store,
            blobs: agent.blobs.clone(),
            chain: agent.chain.clone(),
            executor: agent.executor.clone(),
            machine_needs: ["/dev/kvm".into(), monitor, config.executor.kernel.clone()],
            conditions: self.conditions.clone(),
            metrics: NodeMetrics::register(&mut self.registry),
            heartbeat,
        };
        self.tasks.spawn("watch", watch.run(phases.intake.clone()));
    }

    async fn start_api(&mut self, agent: Agent, tls: Identity) -> anyhow::Result<()> {
        let config = &self.config.api;
        let limits = Limits {
            connections_max: config.connections_max,
            connections_per_client_max: config.connections_per_client_max,
            blob_size_bytes_max: agent.blob_size_bytes_max,
            ..Limits::default()
        };
        let metrics = Metrics::register(&mut self.registry);
        let registry = Arc::new(std::mem::take(&mut self.registry));
        let server = Server::bind(config.listen, tls, limits, metrics).await?;
        info!(address = %server.local_addr(), "the interface listens");
        self.conditions.holds(Need::Api, format!("listens on {}", server.local_addr()));
        let stop = self.phases.intake.clone();
        self.tasks.spawn("api", async move {
            server.serve(Arc::new(agent), registry, stop).await;
            Ok(())
        });
        Ok(())
    }
}

fn chain_config(
    chain: &config::Chain,
    coordinator: bool,
    operator_key: OperatorKey,
    node_id: NodeId,
) -> ChainConfig {
    let addresses = Addresses {
        node_registry: chain.node_registry,
        staking_manager: chain.staking_manager,
        job_manager: chain.job_manager,
    };
    let rpc_url = chain.rpc_url.clone();
    ChainConfig {
        confirmations: chain.confirmations,
        poll_interval: Duration::from_millis(chain.poll_interval_ms),
        stuck_after: Duration::from_secs(chain.stuck_after_s),
        heartbeat_interval: Duration::from_secs(chain.heartbeat_interval_s),
        fee_per_gas_wei_max: u128::from(chain.fee_per_gas_gwei_max) * WEI_PER_GWEI,
        coordinator,
        ..ChainConfig::new(rpc_url, chain.chain_id, addresses, operator_key, node_id)
    }
}

fn executor_options(config: &Config, data_dir: &Path) -> anyhow::Result<ExecutorOptions> {
    let machines = data_dir.join("vms");
    std::fs::create_dir_all(&machines)
        .with_context(|| format!("cannot make {}: check the data disk", machines.display()))?;
    let reserve = HostReserve {
        memory_mib: config.executor.memory_reserved_mib,
        disk_mib: config.storage.free_mib_min,
    };
    let host = Capacity::detect(&machines, reserve)?;
    let vcpus = host.vcpus.saturating_mul(config.executor.vcpus_per_cpu);
    let defaults = ExecutorOptions::appliance(machines, Capacity { vcpus, ..host });
    let cgroup = defaults.cgroup.filter(|group| match std::fs::create_dir_all(group) {
        Ok(()) => true,
        Err(error) => {
            warn!(group = %group.display(), %error, "no control groups: machines run without");
            false
        }
    });
    Ok(ExecutorOptions {
        monitor: vec![config.executor.monitor.clone().into()],
        kernel: config.executor.kernel.clone(),
        run_dir: config.executor.run_dir.clone(),
        stop_grace: Duration::from_secs(config.executor.power_off_s),
        cgroup,
        ..defaults
    })
}

/// What the node registers with, if its owner is known.
fn registration(
    config: &Config,
    tpm: &TpmHandle,
    document: Cid,
) -> anyhow::Result<Option<Registration>> {
    let Some(owner) = config.node.owner else {
        warn!("no node.owner in the configuration: the node does not register");
        return Ok(None);
    };
    let key = AkPublic::parse(&tpm.identity().ak_public)
        .context("the TPM's attestation key cannot be read")?;
    let (x, y) = key.coordinates();
    Ok(Some(Registration {
        owner,
        node_type: NodeType::Compute,
        attestation_key: AttestationKey { x, y },
        metadata: document.to_string(),
        region: config.node.region.clone(),
    }))
}

async fn store_metadata(blobs: &Blobs, metadata: &Metadata) -> anyhow::Result<Cid> {
    let document = metadata.to_bytes()?;
    let limits = BlobLimits { size_bytes_max: METADATA_BYTES_MAX, expected: None };
    match blobs.put(&document[..], limits).await {
        Ok(stored) => Ok(stored.cid),
        // Registering matters more than a document that everyone can do without.
        Err(error @ StorageError::Full { .. }) => {
            warn!(error = in_words(&error), "the node's document could not be stored");
            Ok(Cid::of(&document))
        }
        Err(error) => Err(Error::new(error).context("cannot store the node's document")),
    }
}

/// The image's profile, as its builder wrote it down.
fn profile() -> String {
    #[derive(Deserialize)]
    struct Image {
        profile: String,
    }
    std::fs::read("/usr/share/aleph/image.json")
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .map_or_else(|| HOST.to_owned(), |image: Image| image.profile)
}

/// Whose view a node has that is nobody on the chain: no TPM has this id.
/// The profile of an agent that runs outside an image.
const HOST: &str = "host";
const NOBODY: NodeId = NodeId([0; 32]);
const WEI_PER_GWEI: u128 = 1_000_000_000;
