//! `aleph instance`.

use std::time::Duration;

use aleph_sdk::{AlephClient, InstanceSpec, SdkError, U256, format_amount, parse_amount};
use aleph_types::{
    JobId, JobStatus,
    api::{InstanceInfo, InstanceState},
    job::Job,
};
use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tracing::info;

use crate::{
    args::{CreateArguments, InstanceCommand},
    context::Context,
    output::table,
};

/// How often a job or a console is looked at while something is waited for.
const POLL: Duration = Duration::from_secs(1);

pub(crate) async fn run(context: &Context, command: InstanceCommand) -> Result<()> {
    match command {
        InstanceCommand::Create(arguments) => create(context, arguments).await,
        InstanceCommand::List => list(context).await,
        InstanceCommand::Logs { job, follow } => logs(context, job, follow).await,
        InstanceCommand::Settle { job } => settle(context, job).await,
        InstanceCommand::Show { job } => show(context, job).await,
        InstanceCommand::Stop { job, wait } => stop(context, job, wait).await,
    }
}

#[derive(Serialize)]
struct Created {
    job: JobId,
    status: JobStatus,
}

async fn create(context: &Context, arguments: CreateArguments) -> Result<()> {
    let CreateArguments { rootfs, vcpus, memory, disk, price_per_hour, funded_hours, wait } =
        arguments;
    let client = context.account_client()?;
    let price_per_hour = parse_amount(&price_per_hour)?;
    let spec = InstanceSpec {
        rootfs,
        vcpus,
        memory_mb: memory,
        disk_mb: disk,
        price_per_hour: price_per_hour.try_into().context("nobody pays that much for an hour")?,
        funded_hours,
        ..Default::default()
    };
    let job = client.create_instance(spec).await?;
    let status = if wait {
        wait_for(&context.client()?, job, JobStatus::Running).await?
    } else {
        client.chain().job(job).await?.status
    };
    context.output.print(&Created { job, status }, |created| created.job.to_string())
}

async fn list(context: &Context) -> Result<()> {
    let instances = context.client()?.node().instances().await?;
    context.output.print(&instances, |instances| {
        let mut text = format!("{:>6}  {:10} {:10} {}\n", "JOB", "CHAIN", "MACHINE", "RESOURCES");
        for instance in instances {
            let InstanceInfo { job, job_status, state, resources, .. } = instance;
            let (chain, machine) = (job_status.to_string(), state_word(*state));
            text.push_str(&format!("{job:>6}  {chain:10} {machine:10} {resources}\n"));
        }
        text
    })
}

async fn logs(context: &Context, job: JobId, follow: bool) -> Result<()> {
    let client = context.client()?;
    let mut offset = 0;
    loop {
        let chunk = client.node().logs(job, offset).await?;
        context.output.bytes(&chunk.bytes)?;
        let ended = client.node().instance(job).await?.state.has_ended();
        if chunk.next_offset == offset {
            if !follow || ended {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        offset = chunk.next_offset;
    }
}

#[derive(Serialize)]
struct Settled {
    job: JobId,
    /// What was paid now, in the token's smallest unit, as a decimal number.
    paid: String,
    /// What is owed still: the payment was refused, or only a part of it was settled.
    due: String,
}

async fn settle(context: &Context, job: JobId) -> Result<()> {
    let client = context.account_client()?;
    let paid = client.settle_instance(job).await?;
    let due = client.chain().due_of(job).await?;
    let settled = Settled { job, paid: paid.to_string(), due: due.to_string() };
    context.output.print(&settled, |_| {
        format!("paid {} ALEPH, {} still due", format_amount(paid), format_amount(due))
    })
}

#[derive(Serialize)]
struct Shown {
    chain: Job,
    /// Absent when the node that is asked does not run the job.
    node: Option<InstanceInfo>,
}

async fn show(context: &Context, job: JobId) -> Result<()> {
    let client = context.client()?;
    let chain = client.chain().job(job).await?;
    let node = match client.node().instance(job).await {
        Ok(info) => Some(info),
        Err(SdkError::Problem(problem)) if problem.status == 404 => None,
        Err(error) => return Err(error.into()),
    };
    context.output.print(&Shown { chain, node }, in_words)
}

fn in_words(shown: &Shown) -> String {
    let Shown { chain, node } = shown;
    let mut rows = vec![
        ("job", chain.id.to_string()),
        ("customer", chain.customer.to_string()),
        ("chain", with_reason(&chain.status.to_string(), &chain.reason)),
        ("node", chain.node.map_or_else(|| "none yet".to_owned(), |id| id.to_string())),
        ("manifest", chain.manifest.to_string()),
        ("resources", chain.resources.to_string()),
        ("heartbeat", format!("{} (Unix time)", chain.last_heartbeat_s)),
        (
            "price",
            format!("{} ALEPH an hour", format_amount(U256::from(chain.terms.price_per_hour))),
        ),
        ("proven", format!("{} s on its present node", chain.accrued_s)),
    ];
    if let Some(info) = node {
        rows.push(("machine", with_reason(state_word(info.state), &info.detail)));
        rows.push(("starts", info.starts.to_string()));
    }
    table(&rows)
}

async fn stop(context: &Context, job: JobId, wait: bool) -> Result<()> {
    let client = context.account_client()?;
    client.stop_instance(job).await?;
    let status = if wait {
        wait_for(&context.client()?, job, JobStatus::Completed).await?
    } else {
        client.chain().job(job).await?.status
    };
    context.output.print(&Created { job, status }, |stopped| stopped.status.to_string())
}

/// Waits until a job has a status; a job that failed instead is an error with its reason.
async fn wait_for(client: &AlephClient, job: JobId, wanted: JobStatus) -> Result<JobStatus> {
    let mut before = None;
    loop {
        let now = client.chain().job(job).await?;
        if before != Some(now.status) {
            info!(job = job.0, status = %now.status, "job");
            before = Some(now.status);
        }
        if now.status == wanted {
            return Ok(wanted);
        }
        if now.status.is_terminal() {
            bail!("job {job} is {}", with_reason(&now.status.to_string(), &now.reason));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn with_reason(word: &str, reason: &str) -> String {
    if reason.is_empty() { word.to_owned() } else { format!("{word}: {reason}") }
}

fn state_word(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Preparing => "preparing",
        InstanceState::Starting => "starting",
        InstanceState::Running => "running",
        InstanceState::Stopping => "stopping",
        InstanceState::Stopped => "stopped",
        InstanceState::Failed => "failed",
    }
}
