use aleph_api::metric_set;
use prometheus_client::metrics::gauge::Gauge;

metric_set! {
    /// What the agent measures of the node.
    pub(crate) struct NodeMetrics {
        /// Whether every condition of readiness holds, 1 or 0.
        node_ready: Gauge = Gauge::default(),
        /// Memory of the agent's process that is in use.
        node_resident_bytes: Gauge = Gauge::default(),
        /// Bytes that blobs may still take.
        storage_usable_bytes: Gauge = Gauge::default(),
        /// Bytes of the data disk.
        storage_total_bytes: Gauge = Gauge::default(),
        /// How often the bytes of a blob were compared with its name.
        storage_blob_verifications: Gauge = Gauge::default(),
        /// The newest block that was read.
        chain_head_block: Gauge = Gauge::default(),
        /// Whether the chain answers, 1 or 0.
        chain_healthy: Gauge = Gauge::default(),
        /// Transactions that are not signed yet.
        chain_transactions_queued: Gauge = Gauge::default(),
        /// Transactions that are signed and have not ended.
        chain_transactions_in_flight: Gauge = Gauge::default(),
        /// Jobs of this node that have not ended.
        jobs_assigned: Gauge = Gauge::default(),
        /// Machines whose processors run.
        vms_running: Gauge = Gauge::default(),
        /// Machines that this node knows.
        vms_known: Gauge = Gauge::default(),
        /// Virtual processors that machines may still take.
        vms_free_vcpus: Gauge = Gauge::default(),
        /// Memory that machines may still take.
        vms_free_memory_mib: Gauge = Gauge::default(),
    }
}
