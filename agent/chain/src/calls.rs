//! What the contracts are asked and told, in our own words: calldata out, records in.

use std::fmt;

use aleph_contracts::{
    JobManager, JobManager::JobManagerErrors, JobStatus as JobStatusCode, NodeRegistry,
    NodeRegistry::NodeRegistryErrors, NodeStatus as NodeStatusCode, NodeType as NodeTypeCode,
    StakingManager, StakingManager::StakingManagerErrors,
};
use aleph_types::{
    Address, Digest, JobId, JobStatus, NodeId, Resources,
    job::{Job, JobTerms},
};
use alloy::{
    primitives::{Address as AlloyAddress, B256, Bytes, U256, hex},
    sol_types::{Revert, SolCall, SolError, SolInterface},
};

use crate::{
    config::Addresses,
    rpc::{Call, Log, Rpc, RpcError},
    view::{AttestationKey, NodeRecord, NodeStatus, NodeType, Stake},
};

/// The longest reason that JobManager keeps.
pub(crate) const REASON_BYTES_MAX: usize = 256;
/// The most jobs in one heartbeat.
pub(crate) const HEARTBEAT_JOBS_MAX: usize = 64;
/// Ids are read in pages of this many, the contracts' greatest.
const PAGE: u64 = 256;
/// No list is read beyond this many ids: a contract that answers for ever is none of ours.
const LIST_MAX: usize = 65_536;

/// A coordinator looks at this many open jobs at once. Creating jobs is free, so that a flood of them
/// must neither be read whole nor be an error: those at the front are dealt with, and make room.
const OPEN_JOBS_MAX: usize = 1024;

/// What a log entry says may have changed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) enum Key {
    Node(NodeId),
    Job(JobId),
}

/// What a node says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The account that stakes for the node.
    pub owner: Address,
    /// What the node is for.
    pub node_type: NodeType,
    /// The TPM key that signs the node's quotes.
    pub attestation_key: AttestationKey,
    /// CID of the document that describes the node.
    pub metadata: String,
    /// Where the node is.
    pub region: String,
}

pub(crate) fn alloy_address(address: Address) -> AlloyAddress {
    AlloyAddress::from(address.0)
}

fn address(address: AlloyAddress) -> Address {
    Address(address.into_array())
}

// ---------------------------------------------------------------------------------------------
// Told
// ---------------------------------------------------------------------------------------------

pub(crate) fn register_node(node: NodeId, registration: &Registration) -> Bytes {
    let node_type = match registration.node_type {
        NodeType::Compute => NodeTypeCode::Compute,
        NodeType::Storage => NodeTypeCode::Storage,
        NodeType::Coordinator => NodeTypeCode::Coordinator,
    };
    NodeRegistry::registerNodeCall {
        nodeId: node.0.into(),
        owner: alloy_address(registration.owner),
        nodeType: node_type.into(),
        key: aleph_contracts::AttestationKey {
            x: registration.attestation_key.x.into(),
            y: registration.attestation_key.y.into(),
        },
        metadata: registration.metadata.clone(),
        region: registration.region.clone(),
    }
    .abi_encode()
    .into()
}

pub(crate) fn activate_node(node: NodeId) -> Bytes {
    StakingManager::activateCall { nodeId: node.0.into() }.abi_encode().into()
}

pub(crate) fn heartbeat_node(node: NodeId, status_hash: Digest) -> Bytes {
    NodeRegistry::heartbeatCall { nodeId: node.0.into(), statusHash: status_hash.0.into() }
        .abi_encode()
        .into()
}

pub(crate) fn heartbeat_jobs(jobs: &[JobId]) -> Bytes {
    JobManager::heartbeatCall { jobIds: jobs.iter().map(|job| U256::from(job.0)).collect() }
        .abi_encode()
        .into()
}

pub(crate) fn assign_job(job: JobId, node: NodeId) -> Bytes {
    JobManager::assignJobCall { jobId: U256::from(job.0), nodeId: node.0.into() }
        .abi_encode()
        .into()
}

pub(crate) fn start_job(job: JobId) -> Bytes {
    JobManager::startJobCall { jobId: U256::from(job.0) }.abi_encode().into()
}

pub(crate) fn complete_job(job: JobId) -> Bytes {
    JobManager::completeJobCall { jobId: U256::from(job.0) }.abi_encode().into()
}

pub(crate) fn fail_job(job: JobId, reason: &str) -> Bytes {
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    JobManager::failJobCall { jobId: U256::from(job.0), reason: reason[..end].to_owned() }
        .abi_encode()
        .into()
}

// ---------------------------------------------------------------------------------------------
// Asked
// ---------------------------------------------------------------------------------------------

/// The contracts, as they were after one block.
#[derive(Debug)]
pub(crate) struct At<'a> {
    pub(crate) rpc: &'a Rpc,
    pub(crate) addresses: &'a Addresses,
    pub(crate) block: B256,
}

impl At<'_> {
    /// The node, if it was ever registered.
    pub(crate) async fn node(&self, id: NodeId) -> Result<Option<NodeRecord>, RpcError> {
        let call = NodeRegistry::getNodeCall { nodeId: id.0.into() };
        let node = self.ask(self.addresses.node_registry, call).await?;
        let status = match NodeStatusCode::try_from(node.status).map_err(malformed("getNode"))? {
            NodeStatusCode::None => return Ok(None),
            NodeStatusCode::Inactive => NodeStatus::Inactive,
            NodeStatusCode::Active => NodeStatus::Active,
            NodeStatusCode::Unbonding => NodeStatus::Unbonding,
            NodeStatusCode::Deregistered => NodeStatus::Deregistered,
        };
        let node_type = match NodeTypeCode::try_from(node.nodeType).map_err(malformed("getNode"))? {
            NodeTypeCode::Compute => NodeType::Compute,
            NodeTypeCode::Storage => NodeType::Storage,
            NodeTypeCode::Coordinator => NodeType::Coordinator,
        };
        Ok(Some(NodeRecord {
            id,
            owner: address(node.owner),
            operator: address(node.operator),
            node_type,
            status,
            registered_at_s: node.registeredAt,
            last_heartbeat_s: node.lastHeartbeat,
            attestation_key: AttestationKey {
                x: node.attestationKey.x.0,
                y: node.attestationKey.y.0,
            },
            metadata: node.metadata,
            region: node.region,
            attested_at_s: self.attested_at_s(id).await?,
            stake: self.stake(id).await?,
        }))
    }

    async fn attested_at_s(&self, id: NodeId) -> Result<u64, RpcError> {
        let call = NodeRegistry::getAttestationCall { nodeId: id.0.into() };
        let attestation = self.ask(self.addresses.node_registry, call).await?;
        Ok(attestation.attestedAt)
    }

    async fn stake(&self, id: NodeId) -> Result<Stake, RpcError> {
        let call = StakingManager::getStakeCall { nodeId: id.0.into() };
        let stake = self.ask(self.addresses.staking_manager, call).await?;
        Ok(Stake {
            // The token's whole supply fits 128 bits.
            total: stake.total.saturating_to(),
            matured: stake.matured.saturating_to(),
            unbonding: stake.unbonding.saturating_to(),
            matures_at_s: stake.maturesAt,
        })
    }

    /// The job, if it was ever created.
    pub(crate) async fn job(&self, id: JobId) -> Result<Option<Job>, RpcError> {
        let call = JobManager::getJobCall { jobId: U256::from(id.0) };
        let job = self.ask(self.addresses.job_manager, call).await?;
        let status = match JobStatusCode::try_from(job.status).map_err(malformed("getJob"))? {
            JobStatusCode::None => return Ok(None),
            JobStatusCode::Created => JobStatus::Created,
            JobStatusCode::Assigned => JobStatus::Assigned,
            JobStatusCode::Running => JobStatus::Running,
            JobStatusCode::Stopping => JobStatus::Stopping,
            JobStatusCode::Completed => JobStatus::Completed,
            JobStatusCode::Failed => JobStatus::Failed,
        };
        Ok(Some(Job {
            id,
            customer: address(job.customer),
            manifest: Digest(job.manifestHash.0),
            node: (!job.nodeId.is_zero()).then_some(NodeId(job.nodeId.0)),
            status,
            resources: Resources {
                vcpus: job.resources.vcpus,
                memory_mib: job.resources.memoryMib,
                disk_mib: job.resources.diskMib,
            },
            terms: JobTerms {
                price_per_hour: job.pricePerHour,
                token: (!job.token.is_zero()).then(|| address(job.token)),
                gpus: job.resources.gpuCount,
                attested_within_s: job.attestedWithin,
            },
            created_at_s: job.createdAt,
            last_heartbeat_s: job.lastHeartbeat,
            accrued_s: job.accruedSeconds,
            reason: job.reason,
        }))
    }

    pub(crate) async fn active_nodes(&self) -> Result<Vec<NodeId>, RpcError> {
        let mut ids = Vec::new();
        loop {
            let call = NodeRegistry::getActiveNodesCall {
                offset: U256::from(ids.len()),
                limit: U256::from(PAGE),
            };
            let page = self.ask(self.addresses.node_registry, call).await?;
            let last = self.is_last_page("getActiveNodes", ids.len(), page.len())?;
            ids.extend(page.into_iter().map(|id| NodeId(id.0)));
            if last {
                return Ok(ids);
            }
        }
    }

    pub(crate) async fn jobs_of_node(&self, node: NodeId) -> Result<Vec<JobId>, RpcError> {
        let mut ids = Vec::new();
        loop {
            let call = JobManager::getJobsOfNodeCall {
                nodeId: node.0.into(),
                offset: U256::from(ids.len()),
                limit: U256::from(PAGE),
            };
            let page = self.ask(self.addresses.job_manager, call).await?;
            let last = self.is_last_page("getJobsOfNode", ids.len(), page.len())?;
            ids.extend(page.into_iter().map(job_id));
            if last {
                return Ok(ids);
            }
        }
    }

    pub(crate) async fn open_jobs(&self) -> Result<Vec<JobId>, RpcError> {
        let mut ids = Vec::new();
        loop {
            let call = JobManager::getOpenJobsCall {
                offset: U256::from(ids.len()),
                limit: U256::from(PAGE),
            };
            let page = self.ask(self.addresses.job_manager, call).await?;
            let last = self.is_last_page("getOpenJobs", ids.len(), page.len())?;
            ids.extend(page.into_iter().map(job_id));
            if last || ids.len() >= OPEN_JOBS_MAX {
                return Ok(ids);
            }
        }
    }

    fn is_last_page(
        &self,
        method: &'static str,
        before: usize,
        page: usize,
    ) -> Result<bool, RpcError> {
        if before + page > LIST_MAX {
            return Err(malformed(method)(format!("more than {LIST_MAX} entries")));
        }
        Ok((page as u64) < PAGE)
    }

    async fn ask<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, RpcError> {
        let data = call.abi_encode().into();
        let call = Call { from: None, to: alloy_address(to), data: &data };
        let answer = self.rpc.call_at(&call, self.block).await?;
        C::abi_decode_returns(&answer).map_err(malformed(C::SIGNATURE))
    }
}

fn malformed<E: fmt::Display>(method: &'static str) -> impl Fn(E) -> RpcError {
    move |problem| RpcError::Malformed { method: method.into(), problem: problem.to_string() }
}

// A number beyond 64 bits is no job of ours; the contract counts up from 1.
fn job_id(id: U256) -> JobId {
    JobId(id.saturating_to())
}

// ---------------------------------------------------------------------------------------------
// Heard
// ---------------------------------------------------------------------------------------------

/// What an event of one of the contracts says has changed; none for events about nothing of ours,
/// such as role changes.
pub(crate) fn key_of(log: &Log, addresses: &Addresses) -> Option<Key> {
    use alloy::sol_types::SolEvent;

    let [event, subject, ..] = log.topics[..] else { return None };
    let is = |known: &[B256]| known.contains(&event);
    let of = address(log.address);
    if of == addresses.node_registry
        && is(&[
            NodeRegistry::NodeRegistered::SIGNATURE_HASH,
            NodeRegistry::NodeMetadataUpdated::SIGNATURE_HASH,
            NodeRegistry::NodeHeartbeat::SIGNATURE_HASH,
            NodeRegistry::NodeActivated::SIGNATURE_HASH,
            NodeRegistry::NodeDeactivated::SIGNATURE_HASH,
            NodeRegistry::NodeDeregistered::SIGNATURE_HASH,
            NodeRegistry::NodeEvicted::SIGNATURE_HASH,
            NodeRegistry::NodeAttested::SIGNATURE_HASH,
            NodeRegistry::KeyEnrolled::SIGNATURE_HASH,
            NodeRegistry::KeyRevoked::SIGNATURE_HASH,
        ])
    {
        return Some(Key::Node(NodeId(subject.0)));
    }
    if of == addresses.staking_manager
        && is(&[
            StakingManager::Staked::SIGNATURE_HASH,
            StakingManager::Unstaked::SIGNATURE_HASH,
            StakingManager::Withdrawn::SIGNATURE_HASH,
            StakingManager::Slashed::SIGNATURE_HASH,
        ])
    {
        return Some(Key::Node(NodeId(subject.0)));
    }
    if of == addresses.job_manager
        && is(&[
            JobManager::JobCreated::SIGNATURE_HASH,
            JobManager::JobAssigned::SIGNATURE_HASH,
            JobManager::JobReassigned::SIGNATURE_HASH,
            JobManager::JobStarted::SIGNATURE_HASH,
            JobManager::JobHeartbeat::SIGNATURE_HASH,
            JobManager::JobStopRequested::SIGNATURE_HASH,
            JobManager::JobCompleted::SIGNATURE_HASH,
            JobManager::JobFailed::SIGNATURE_HASH,
        ])
    {
        return Some(Key::Job(job_id(subject.into())));
    }
    None
}

/// What a contract reverted with, in words: a custom error's name and fields where it is known.
pub(crate) fn explain_revert(data: &[u8]) -> String {
    if let Ok(revert) = Revert::abi_decode(data) {
        return revert.reason;
    }
    let known = JobManagerErrors::abi_decode(data)
        .map(|error| format!("{error:?}"))
        .or_else(|_| NodeRegistryErrors::abi_decode(data).map(|error| format!("{error:?}")))
        .or_else(|_| StakingManagerErrors::abi_decode(data).map(|error| format!("{error:?}")));
    match known {
        // The generated enum repeats the name: `NodeNotActive(NodeNotActive { nodeId: … })`.
        Ok(text) => match text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')) {
            Some(inner) => inner.to_owned(),
            None => text,
        },
        Err(_) if data.is_empty() => "no reason was given".to_owned(),
        Err(_) => {
            format!("an unknown error {}", hex::encode_prefixed(&data[..data.len().min(68)]))
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::sol_types::SolEvent;

    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            node_registry: Address([1; 20]),
            staking_manager: Address([2; 20]),
            job_manager: Address([3; 20]),
        }
    }

    #[test]
    fn events_name_what_changed() {
        let log = |of: u8, topics: &[B256]| Log {
            address: AlloyAddress::repeat_byte(of),
            topics: topics.to_vec(),
        };
        let subject = B256::with_last_byte(9);
        let assigned = JobManager::JobAssigned::SIGNATURE_HASH;
        let staked = StakingManager::Staked::SIGNATURE_HASH;
        let key = |log| key_of(&log, &addresses());
        assert_eq!(key(log(3, &[assigned, subject, subject])), Some(Key::Job(JobId(9))));
        assert_eq!(key(log(2, &[staked, subject])), Some(Key::Node(NodeId(subject.0))));
        // Of another contract, without its subject, without anything, and of another kind.
        assert_eq!(key(log(1, &[assigned, subject])), None);
        assert_eq!(key(log(3, &[assigned])), None);
        assert_eq!(key(log(3, &[])), None);
        assert_eq!(key(log(1, &[B256::repeat_byte(7), subject])), None);
    }

    #[test]
    fn reverts_are_named() {
        let error = JobManager::NodeNotActive { nodeId: B256::repeat_byte(0xab) }.abi_encode();
        let text = explain_revert(&error);
        assert!(text.starts_with("NodeNotActive {") && text.contains("abab"), "{text}");
        assert_eq!(explain_revert(&[]), "no reason was given");
        assert_eq!(explain_revert(&[1, 2, 3]), "an unknown error 0x010203");
        assert_eq!(explain_revert(&Revert::from("so it is").abi_encode()), "so it is");
        assert!(explain_revert(&[0xee; 10_000]).len() < 200);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "é".repeat(200);
        let data = fail_job(JobId(1), &reason);
        let call = JobManager::failJobCall::abi_decode(&data).unwrap();
        assert_eq!(call.reason, "é".repeat(128));
        let data = fail_job(JobId(1), &format!("a{reason}"));
        let call = JobManager::failJobCall::abi_decode(&data).unwrap();
        assert_eq!(call.reason.len(), 255);
    }
}
