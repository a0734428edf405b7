//! Approve, create, assign, prove, settle; then the customer takes the allowance back.

use aleph_contracts::{AlephToken, JobManager, JobRequest, JobStatus, PaymentManager, Resources};
use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};

use crate::{MANIFEST, NODE, chain::Chain, event};

const ALEPH: u128 = 1_000_000_000_000_000_000;
/// Three thousand six hundred ALEPH an hour: one a second.
const PRICE_PER_HOUR: u128 = 3600 * ALEPH;

pub(crate) async fn job_is_paid(chain: &Chain) -> Result<()> {
    let token = AlephToken::new(chain.book.aleph, &chain.provider);
    let jobs = JobManager::new(chain.book.job_manager, &chain.provider);
    let payments = PaymentManager::new(chain.book.payment_manager, &chain.provider);

    let resources = Resources { vcpus: 1, memoryMib: 512, diskMib: 2048, ..Default::default() };
    let request = JobRequest {
        manifestHash: MANIFEST,
        resources,
        token: chain.book.aleph,
        pricePerHour: PRICE_PER_HOUR,
        ..Default::default()
    };
    let refused = jobs.createJob(request.clone()).from(chain.customer).call().await;
    let error = refused.err().context("a job that nobody can pay must not be created")?;
    ensure!(error.as_decoded_error::<JobManager::NotFunded>().is_some(), "{error}");

    let allowance = U256::from(10 * PRICE_PER_HOUR);
    let funding = token.transfer(chain.customer, allowance).from(chain.admin);
    ensure!(funding.send().await?.get_receipt().await?.status());
    let approval = token.approve(chain.book.payment_manager, allowance).from(chain.customer);
    ensure!(approval.send().await?.get_receipt().await?.status());
    let creation = jobs.createJob(request.clone()).from(chain.customer);
    let created: JobManager::JobCreated = event(&creation.send().await?.get_receipt().await?)?;
    ensure!(created.request == request && created.allowance == allowance);
    let job_id = created.jobId;

    let assignment = jobs.assignJob(job_id, NODE).from(chain.admin);
    let assigned: JobManager::JobAssigned = event(&assignment.send().await?.get_receipt().await?)?;
    ensure!(assigned.nodeId == NODE && assigned.owner == chain.owner);
    let start = jobs.startJob(job_id).from(chain.operator);
    ensure!(start.send().await?.get_receipt().await?.status());
    chain.pass(100).await?;
    let heartbeat = jobs.heartbeat(vec![job_id]).from(chain.operator);
    let heard: JobManager::JobHeartbeat = event(&heartbeat.send().await?.get_receipt().await?)?;
    let proven_s = heard.accruedSeconds;
    ensure!(proven_s >= 100, "{proven_s}");

    let due = U256::from(u128::from(proven_s) * ALEPH);
    ensure!(payments.dueOf(job_id).call().await? == due);
    let settlement = payments.settleJob(job_id).from(chain.stranger);
    let receipt = settlement.send().await?.get_receipt().await?;
    let settled: PaymentManager::JobSettled = event(&receipt)?;
    ensure!(settled.nodeId == NODE && settled.owner == chain.owner && settled.amount == due);
    let credit = payments.withdrawable(chain.book.aleph, chain.owner).call().await?;
    let withdrawal = payments.withdraw(chain.book.aleph).from(chain.owner);
    let withdrawn: PaymentManager::Withdrawn =
        event(&withdrawal.send().await?.get_receipt().await?)?;
    ensure!(withdrawn.amount == credit && !credit.is_zero());

    revoked_allowance_ends_the_job(chain, job_id).await
}

/// Grace first, then the end; other jobs are none of its business.
async fn revoked_allowance_ends_the_job(chain: &Chain, job_id: U256) -> Result<()> {
    let token = AlephToken::new(chain.book.aleph, &chain.provider);
    let jobs = JobManager::new(chain.book.job_manager, &chain.provider);
    let payments = PaymentManager::new(chain.book.payment_manager, &chain.provider);

    let revocation = token.approve(chain.book.payment_manager, U256::ZERO).from(chain.customer);
    ensure!(revocation.send().await?.get_receipt().await?.status());
    chain.pass(10).await?;
    let heartbeat = jobs.heartbeat(vec![job_id]).from(chain.operator);
    ensure!(heartbeat.send().await?.get_receipt().await?.status());
    let batch = payments.settleJobs(vec![job_id]).from(chain.stranger);
    let grace: PaymentManager::JobGraceStarted = event(&batch.send().await?.get_receipt().await?)?;
    ensure!(grace.jobId == job_id);

    chain.pass(payments.getParameters().call().await?.gracePeriod + 1).await?;
    let batch = payments.settleJobs(vec![job_id]).from(chain.stranger);
    let stopped: PaymentManager::JobStoppedUnpaid =
        event(&batch.send().await?.get_receipt().await?)?;
    ensure!(stopped.jobId == job_id);
    let job = jobs.getJob(job_id).call().await?;
    ensure!(JobStatus::try_from(job.status)? == JobStatus::Stopping);
    let completion = jobs.completeJob(job_id).from(chain.operator);
    ensure!(completion.send().await?.get_receipt().await?.status());
    Ok(())
}
