//! The bindings against the real contracts: anvil, the deploy script, and the flows that the network
//! lives by, event by event: a node joins, a job runs and is paid, stored data are challenged.
//!
//! Needs `npm ci` in `contracts/`.

mod chain;
mod challenges;
mod payments;

use aleph_contracts::{
    AlephToken, AttestationKey, JobManager, JobRequest, JobStatus, NodeRegistry, NodeStatus,
    NodeType, Resources, StakingManager,
};
use alloy::{
    primitives::{B256, U256, b256, keccak256},
    rpc::types::TransactionReceipt,
    sol_types::SolEvent,
};
use anyhow::{Context, Result, ensure};

use crate::chain::Chain;

pub(crate) const NODE: B256 =
    b256!("1111111111111111111111111111111111111111111111111111111111111111");
pub(crate) const MANIFEST: B256 =
    b256!("2222222222222222222222222222222222222222222222222222222222222222");
/// The generator of the P-256 curve: the simplest public key there is.
const KEY: AttestationKey = AttestationKey {
    x: b256!("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
    y: b256!("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_and_a_job_runs() -> Result<()> {
    let chain = Chain::start().await?;
    ensure!(chain.book.chain_id == 42161);
    node_joins(&chain).await?;
    job_runs(&chain).await?;
    job_fails(&chain).await?;
    payments::job_is_paid(&chain).await?;
    challenges::unanswered_challenge_costs_stake(&chain).await
}

async fn node_joins(chain: &Chain) -> Result<()> {
    let token = AlephToken::new(chain.book.aleph, &chain.provider);
    let registry = NodeRegistry::new(chain.book.node_registry, &chain.provider);
    let staking = StakingManager::new(chain.book.staking_manager, &chain.provider);
    let minimum = staking.getParameters().call().await?.minTotalStake;

    let registration = registry.registerNode(
        NODE,
        chain.owner,
        NodeType::Compute.into(),
        KEY,
        "bafkreimetadata".into(),
        "eu-west".into(),
    );
    let receipt = registration.from(chain.operator).send().await?.get_receipt().await?;
    let registered: NodeRegistry::NodeRegistered = event(&receipt)?;
    ensure!(registered.nodeId == NODE);
    ensure!(registered.owner == chain.owner && registered.operator == chain.operator);
    ensure!(registry.nodeOfOperator(chain.operator).call().await? == NODE);
    let node = registry.getNode(NODE).call().await?;
    ensure!(NodeStatus::try_from(node.status)? == NodeStatus::Inactive);
    ensure!(NodeType::try_from(node.nodeType)? == NodeType::Compute);
    ensure!(node.attestationKey == KEY && node.region == "eu-west");

    let funding = token.transfer(chain.owner, minimum).from(chain.admin);
    ensure!(funding.send().await?.get_receipt().await?.status());
    let approval = token.approve(chain.book.staking_manager, minimum).from(chain.owner);
    ensure!(approval.send().await?.get_receipt().await?.status());
    let stake = staking.stake(NODE, minimum).from(chain.owner);
    let receipt = stake.send().await?.get_receipt().await?;
    let staked: StakingManager::Staked = event(&receipt)?;
    ensure!(staked.amount == minimum);
    let info = staking.getStake(NODE).call().await?;
    ensure!(info.total == minimum && info.matured.is_zero());
    ensure!(info.maturesAt == staked.maturesAt);

    let refused = staking.activate(NODE).from(chain.stranger).call().await;
    let error = refused.err().context("stake that has not matured must not activate a node")?;
    let reason = error
        .as_decoded_error::<StakingManager::NotEnoughMaturedStake>()
        .with_context(|| format!("another refusal: {error}"))?;
    ensure!(reason.matured.is_zero() && reason.required == minimum);

    chain.pass(60).await?;
    let activation = staking.activate(NODE).from(chain.stranger);
    let receipt = activation.send().await?.get_receipt().await?;
    let activated: NodeRegistry::NodeActivated = event(&receipt)?;
    ensure!(activated.nodeId == NODE);
    ensure!(registry.isNodeActive(NODE).call().await?);
    ensure!(registry.getActiveNodes(U256::ZERO, U256::from(10)).call().await? == [NODE]);

    let status_hash = keccak256("status");
    let heartbeat = registry.heartbeat(NODE, status_hash).from(chain.operator);
    let receipt = heartbeat.send().await?.get_receipt().await?;
    let heard: NodeRegistry::NodeHeartbeat = event(&receipt)?;
    ensure!(heard.statusHash == status_hash);
    ensure!(registry.getNode(NODE).call().await?.lastHeartbeat == heard.timestamp);
    Ok(())
}

async fn job_runs(chain: &Chain) -> Result<()> {
    let jobs = JobManager::new(chain.book.job_manager, &chain.provider);
    let job_id = create_job(chain).await?;
    ensure!(jobs.getOpenJobs(U256::ZERO, U256::from(10)).call().await? == [job_id]);

    let misplaced = jobs.assignJob(job_id, MANIFEST).from(chain.admin).call().await;
    let error = misplaced.err().context("a job must not go to a node that does not exist")?;
    ensure!(error.as_decoded_error::<JobManager::NodeNotActive>().is_some(), "{error}");

    let assignment = jobs.assignJob(job_id, NODE).from(chain.admin);
    let assigned: JobManager::JobAssigned = event(&assignment.send().await?.get_receipt().await?)?;
    ensure!(assigned.jobId == job_id && assigned.nodeId == NODE);
    ensure!(jobs.getJobsOfNode(NODE, U256::ZERO, U256::from(10)).call().await? == [job_id]);

    let start = jobs.startJob(job_id).from(chain.operator);
    let started: JobManager::JobStarted = event(&start.send().await?.get_receipt().await?)?;
    ensure!(started.jobId == job_id && started.nodeId == NODE);

    let unknown = U256::from(99);
    let heartbeat = jobs.heartbeat(vec![unknown, job_id]).from(chain.operator);
    let receipt = heartbeat.send().await?.get_receipt().await?;
    let skipped: JobManager::JobHeartbeatSkipped = event(&receipt)?;
    ensure!(skipped.jobId == unknown && JobStatus::try_from(skipped.status)? == JobStatus::None);
    let heard: JobManager::JobHeartbeat = event(&receipt)?;
    ensure!(heard.jobId == job_id);

    let stop = jobs.stopJob(job_id).from(chain.customer);
    let asked: JobManager::JobStopRequested = event(&stop.send().await?.get_receipt().await?)?;
    ensure!(asked.jobId == job_id);
    let completion = jobs.completeJob(job_id).from(chain.operator);
    let done: JobManager::JobCompleted = event(&completion.send().await?.get_receipt().await?)?;
    ensure!(done.jobId == job_id);

    let job = jobs.getJob(job_id).call().await?;
    ensure!(JobStatus::try_from(job.status)? == JobStatus::Completed);
    ensure!(job.customer == chain.customer && job.nodeId == NODE && job.manifestHash == MANIFEST);
    ensure!(job.createdAt <= job.assignedAt && job.assignedAt <= job.startedAt);
    ensure!(job.startedAt <= job.endedAt && job.lastHeartbeat == heard.timestamp);
    ensure!(jobs.getJobsOfNode(NODE, U256::ZERO, U256::from(10)).call().await?.is_empty());
    Ok(())
}

async fn job_fails(chain: &Chain) -> Result<()> {
    let jobs = JobManager::new(chain.book.job_manager, &chain.provider);
    let job_id = create_job(chain).await?;
    let assignment = jobs.assignJob(job_id, NODE).from(chain.admin);
    ensure!(assignment.send().await?.get_receipt().await?.status());

    let failure = jobs.failJob(job_id, "no image".into()).from(chain.operator);
    let failed: JobManager::JobFailed = event(&failure.send().await?.get_receipt().await?)?;
    ensure!(failed.jobId == job_id && failed.reason == "no image");
    let job = jobs.getJob(job_id).call().await?;
    ensure!(JobStatus::try_from(job.status)? == JobStatus::Failed && job.reason == "no image");
    Ok(())
}

async fn create_job(chain: &Chain) -> Result<U256> {
    let jobs = JobManager::new(chain.book.job_manager, &chain.provider);
    let resources = Resources { vcpus: 1, memoryMib: 512, diskMib: 2048, ..Default::default() };
    let request = JobRequest { manifestHash: MANIFEST, resources, ..Default::default() };
    let creation = jobs.createJob(request.clone()).from(chain.customer);
    let created: JobManager::JobCreated = event(&creation.send().await?.get_receipt().await?)?;
    ensure!(created.customer == chain.customer && created.request == request);
    Ok(created.jobId)
}

/// The one event of its kind in a transaction that succeeded.
pub(crate) fn event<E: SolEvent>(receipt: &TransactionReceipt) -> Result<E> {
    ensure!(receipt.status(), "the transaction was reverted");
    let log = receipt.decoded_log::<E>().with_context(|| format!("no {}", E::SIGNATURE))?;
    Ok(log.data)
}
