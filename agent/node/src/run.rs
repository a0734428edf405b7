//! From a configuration to a working node, and back in order.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aleph_executor::Executor;
use anyhow::anyhow;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    assembly::assemble, config::Config, exit::Ended, readiness::Conditions, stop::StopSignals,
    tasks::CriticalTasks,
};

/// Does the work of a node until asked to stop.
pub(crate) async fn run(config: &Config, data_dir: &Path) -> Ended {
    match assemble(config, data_dir).await {
        Ok(running) => running.until_stopped().await,
        Err(ended) => {
            if let Ended::Config(error) | Ended::Unavailable(error) | Ended::Failed(error) = &ended
            {
                error!(error = format!("{error:#}"), "the agent could not start");
            }
            ended
        }
    }
}

/// A node at work.
pub(crate) struct Running {
    pub(crate) tasks: CriticalTasks,
    pub(crate) phases: Phases,
    pub(crate) conditions: Conditions,
    pub(crate) executor: Executor,
    /// What is there if the host goes down.
    pub(crate) marker: PathBuf,
    pub(crate) signals: StopSignals,
}

/// What is stopped together, in this order.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    /// Who takes in work: the interface and the duties.
    pub(crate) intake: CancellationToken,
    /// The reconciler of machines.
    pub(crate) machines: CancellationToken,
    /// Whoever writes what the others have left: the chain's tasks.
    pub(crate) chain: CancellationToken,
}

impl Running {
    async fn until_stopped(mut self) -> Ended {
        let ended = tokio::select! {
            signal = self.signals.next() => {
                info!(signal, "stopping");
                Ended::Stopped
            }
            Some(ended) = self.tasks.next_ended() => {
                let name = ended.name;
                let why = ended.result.err().unwrap_or_else(|| anyhow!("task {name} ended"));
                error!(task = name, error = format!("{why:#}"), "a critical task ended");
                Ended::Failed(why)
            }
        };
        let Self { tasks, phases, conditions, executor, marker, mut signals } = self;
        let stop = stop(tasks, phases, conditions, executor, marker.exists());
        tokio::select! {
            () = stop => ended,
            signal = signals.next() => {
                warn!(signal, "asked again: ending at once");
                Ended::Failed(anyhow!("ended before everything was in order"))
            }
        }
    }
}

/// Stops in phases. Machines go on running unless the host goes down.
async fn stop(
    tasks: CriticalTasks,
    phases: Phases,
    conditions: Conditions,
    executor: Executor,
    host_goes_down: bool,
) {
    conditions.stop();
    phases.intake.cancel();
    if host_goes_down {
        info!("the host goes down: ending all machines");
        let ended = timeout(MACHINES_PATIENCE, executor.power_down(MACHINES_GRACE)).await;
        if ended.is_err() {
            warn!("not all machines ended in time");
        }
    }
    phases.machines.cancel();
    // What has been committed is durable, and what has not is said again after the restart, so
    // the chain's tasks need no more than to end between two steps.
    phases.chain.cancel();
    tasks.drain(TASKS_PATIENCE).await;
    info!("stopped");
}

/// For guests to power themselves off when the host goes down.
const MACHINES_GRACE: Duration = Duration::from_secs(20);
/// Until they are killed; PID 1 waits 30 s for everything together.
const MACHINES_PATIENCE: Duration = Duration::from_secs(22);
/// For the tasks to end once they have been asked to.
const TASKS_PATIENCE: Duration = Duration::from_secs(6);
