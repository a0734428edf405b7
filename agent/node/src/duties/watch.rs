//! Keeps what others ask of the node up to date: readiness, metrics and what heartbeats tell.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use aleph_chain::{Chain, ChainHealth, Heartbeat};
use aleph_executor::{Executor, VmState};
use aleph_storage::{Blobs, Store, Table};
use aleph_types::{Digest, JobId, text::in_words};
use sha2::{Digest as _, Sha256};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::NodeMetrics,
    readiness::{Conditions, Need},
};

/// Looks at everything every few seconds and whenever a machine changes, until cancelled.
pub(crate) struct WatchDuty {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) chain: Option<Chain>,
    pub(crate) executor: Executor,
    /// What machines cannot do without.
    pub(crate) machine_needs: [PathBuf; 3],
    pub(crate) conditions: Conditions,
    pub(crate) metrics: NodeMetrics,
    pub(crate) heartbeat: watch::Sender<Option<Heartbeat>>,
}

impl WatchDuty {
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut views = self.executor.views();
        loop {
            views.mark_unchanged();
            self.look_at_storage().await;
            self.look_at_chain();
            self.look_at_machines();
            self.metrics.node_ready.set(i64::from(self.conditions.readiness().ready));
            self.metrics.node_resident_bytes.set(resident_bytes());
            tokio::select! {
                () = stop.cancelled() => {
                    // Nobody looks from now on, and what nobody sees is not said to live.
                    self.heartbeat.send_replace(None);
                    return Ok(());
                }
                () = sleep(LOOK_EVERY) => {}
                Ok(()) = views.changed() => {}
            }
        }
    }

    async fn look_at_storage(&self) {
        let blobs = self.blobs.clone();
        let seen = self
            .store
            .run(move |store| {
                store.get(Table::Node, b"")?;
                blobs.capacity()
            })
            .await;
        let capacity = match seen {
            Ok(capacity) => capacity,
            Err(error) => return self.conditions.fails(Need::Database, in_words(&error)),
        };
        self.conditions.holds(Need::Database, "reads rows");
        let verifications = self.blobs.verifications();
        self.metrics.storage_blob_verifications.set(verifications as i64);
        let usable_bytes = capacity.usable_bytes();
        self.metrics.storage_usable_bytes.set(usable_bytes as i64);
        self.metrics.storage_total_bytes.set(capacity.total_bytes as i64);
        if usable_bytes > 0 {
            let detail = format!("{} MiB are free for blobs", usable_bytes >> 20);
            self.conditions.holds(Need::Disk, detail);
        } else {
            let detail = format!(
                "the data disk is full: {} MiB are free and {} MiB stay reserved; remove blobs \
                 or instances, or add disk",
                capacity.available_bytes >> 20,
                capacity.floor_bytes >> 20
            );
            self.conditions.fails(Need::Disk, detail);
        }
    }

    fn look_at_chain(&self) {
        let Some(chain) = &self.chain else {
            let detail = "no [chain] table in the configuration: add one to take jobs";
            return self.conditions.fails(Need::Chain, detail);
        };
        let health = chain.health().borrow().clone();
        match &health {
            ChainHealth::Healthy => self.conditions.holds(Need::Chain, "answers"),
            other => self.conditions.fails(Need::Chain, other.to_string()),
        }
        self.metrics.chain_healthy.set(i64::from(health.is_healthy()));
        let head = chain.head().borrow().map_or(0, |head| head.number);
        self.metrics.chain_head_block.set(head as i64);
        let outbox = chain.outbox().borrow().clone();
        self.metrics.chain_transactions_queued.set(outbox.queued as i64);
        self.metrics.chain_transactions_in_flight.set(outbox.in_flight as i64);
        let assigned = chain.view().borrow().own_jobs().count();
        self.metrics.jobs_assigned.set(assigned as i64);
    }

    fn look_at_machines(&self) {
        match self.machine_needs.iter().find(|path| !path.exists()) {
            None => self.conditions.holds(Need::Executor, "can run machines"),
            Some(missing) => self.conditions.fails(Need::Executor, what_to_do_about(missing)),
        }
        let views = self.executor.views();
        let (running, known) = {
            let views = views.borrow();
            let runs = |state: &VmState| matches!(state, VmState::Running);
            let running: BTreeSet<JobId> =
                views.iter().filter(|(_, view)| runs(&view.state)).map(|(job, _)| *job).collect();
            (running, views.len())
        };
        self.metrics.vms_running.set(running.len() as i64);
        self.metrics.vms_known.set(known as i64);
        let free = self.executor.available();
        self.metrics.vms_free_vcpus.set(free.vcpus.into());
        self.metrics.vms_free_memory_mib.set(free.memory_mib as i64);

        let heartbeat = Heartbeat { status: self.status_of(&running), running };
        self.heartbeat.send_if_modified(|known| {
            let changed = known.as_ref() != Some(&heartbeat);
            *known = Some(heartbeat);
            changed
        });
    }

    /// A digest of what the heartbeat stands for: version, capacity, and the machines that run.
    fn status_of(&self, running: &BTreeSet<JobId>) -> Digest {
        let capacity = self.executor.capacity();
        let status = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "vcpus": capacity.vcpus,
            "memory_mib": capacity.memory_mib,
            "disk_mib": capacity.disk_mib,
            "running": running,
        });
        Digest(Sha256::digest(status.to_string()).into())
    }
}

fn what_to_do_about(missing: &std::path::Path) -> String {
    let next = if missing.starts_with("/dev") {
        "switch virtualisation (AMD-V, VT-x) on in the firmware's setup"
    } else {
        "use a complete image; outside one, correct [executor]"
    };
    format!("{} is missing: {next}", missing.display())
}

/// What the kernel calls resident: memory of the process's own, and of files that it has mapped.
fn resident_bytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    kib.unwrap_or_default().saturating_mul(1024)
}

/// Often enough for people, rarely enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        assert!(resident_bytes() > 1 << 20);
    }

    #[test]
    fn what_is_missing_decides_what_to_do() {
        let device = what_to_do_about("/dev/kvm".as_ref());
        assert!(device.contains("/dev/kvm") && device.contains("firmware"), "{device}");
        assert!(what_to_do_about("/usr/bin/aleph-vmm".as_ref()).contains("[executor]"));
    }
}
