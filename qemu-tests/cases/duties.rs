//! What a node keeps up while things around it fail: on the debug image, whose second serial port
//! lets a case kill processes inside the machine.

use std::time::Duration;

use aleph_devnet::DEV_ACCOUNTS;
use aleph_qemu_tests::Walkthrough;
use aleph_types::Cid;
use anyhow::{Context, Result, ensure};

use crate::paths;

const AGENT_TIMEOUT: Duration = Duration::from_secs(120);
/// The promise of SPECIFICATION.md.
const IDLE_RSS_KIB_MAX: u64 = 120 * 1024;

/// A process of the machine, as its PID 1 lists it.
#[derive(Debug, Clone)]
struct Process {
    pid: u32,
    rss_kib: u64,
    name: String,
}

#[tokio::test]
async fn duties_outlive_the_agent_the_chain_and_its_reorganisation() -> Result<()> {
    let Some((layout, paths)) = paths("build/debug", "duties") else { return Ok(()) };
    let mut walk = Walkthrough::start(&layout, paths).await?;
    walk.attest()?;
    walk.activate().await?;
    idle_memory_is_bounded(&walk)?;
    impossible_jobs_fail_with_a_reason(&walk)?;
    let job = walk.create_instance()?;
    walk.see_login(&job).await?;
    the_machine_outlives_the_agent(&walk, &job).await?;
    walk.see_heartbeats(&job).await?;
    the_chain_may_restart_and_reorganise(&mut walk, &job).await?;
    the_dead_are_not_taken_for_living(&walk, &job).await?;
    walk.stop_instance(&job)?;
    walk.power_off().map(drop)
}

fn idle_memory_is_bounded(walk: &Walkthrough) -> Result<()> {
    let own = |process: &&Process| process.pid == 1 || process.name == "aleph-node";
    let rss_kib: u64 = processes(walk)?.iter().filter(own).map(|process| process.rss_kib).sum();
    println!("idle memory of PID 1 and the agent: {rss_kib} KiB RSS");
    ensure!(rss_kib <= IDLE_RSS_KIB_MAX, "{rss_kib} KiB are more than {IDLE_RSS_KIB_MAX}");
    Ok(())
}

fn impossible_jobs_fail_with_a_reason(walk: &Walkthrough) -> Result<()> {
    let [_, _, customer] = DEV_ACCOUNTS;
    let customer = walk.cli.with_account(customer);
    let unknown = Cid::of(b"nobody has this").to_string();
    let create = ["instance", "create", "--wait", "--rootfs", &unknown];
    let (code, words) = customer.json_with_code(&[&create[..], &["--memory", "128"]].concat())?;
    ensure!(code == 1 && words.to_string().contains(&unknown), "unknown image: {words}");
    let (code, words) = customer.json_with_code(&[&create[..], &["--memory", "65536"]].concat())?;
    // What was asked for, and what its monitor takes.
    ensure!(code == 1 && words.to_string().contains("66112 MiB"), "too large a job: {words}");
    Ok(())
}

async fn the_machine_outlives_the_agent(walk: &Walkthrough, job: &str) -> Result<()> {
    let before = processes(walk)?;
    let (agent, monitor) = (only(&before, "aleph-node")?, only(&before, "aleph-vmm")?);
    walk.network.machine.debug().run("kill-agent")?;
    let limit = AGENT_TIMEOUT;
    let after = walk
        .wait_for("the agent's return", limit, |walk| {
            let processes = processes(walk)?;
            let back = only(&processes, "aleph-node")?.pid != agent.pid;
            Ok(back.then_some(processes))
        })
        .await?;
    ensure!(only(&after, "aleph-vmm")?.pid == monitor.pid, "another monitor: {after:?}");
    // The agent's TLS key is a new one, so the pinned one is refused until the node proves itself.
    walk.wait_for("the new attestation", limit, |walk| walk.attest().map(Some)).await?;
    let instance = walk
        .wait_for("the adopted machine", limit, |walk| {
            let shown = walk.cli.json(&["instance", "show", job])?;
            Ok((shown["node"]["state"] == "running").then_some(shown))
        })
        .await?;
    ensure!(instance["node"]["starts"] == 1, "started again: {instance}");
    ensure!(only(&processes(walk)?, "aleph-vmm")?.pid == monitor.pid, "another monitor");
    Ok(())
}

/// The machine dies while nobody looks: the agent that comes back finds it dead and starts it anew.
async fn the_dead_are_not_taken_for_living(walk: &Walkthrough, job: &str) -> Result<()> {
    let before = processes(walk)?;
    let (agent, monitor) = (only(&before, "aleph-node")?, only(&before, "aleph-vmm")?);
    let debug = walk.network.machine.debug();
    debug.run("kill-agent")?;
    debug.run(&format!("kill {}", monitor.pid))?;
    walk.wait_for("a new agent with a new machine", AGENT_TIMEOUT, |walk| {
        let processes = processes(walk)?;
        let agent_is_new = only(&processes, "aleph-node")?.pid != agent.pid;
        let monitor_is_new = only(&processes, "aleph-vmm")?.pid != monitor.pid;
        Ok((agent_is_new && monitor_is_new).then_some(()))
    })
    .await?;
    walk.wait_for("the new attestation", AGENT_TIMEOUT, |walk| walk.attest().map(Some)).await?;
    walk.see_login(job).await?;
    walk.see_heartbeats(job).await
}

async fn the_chain_may_restart_and_reorganise(walk: &mut Walkthrough, job: &str) -> Result<()> {
    const DEPTH: u32 = 5;
    walk.network.chain.restart(Duration::from_secs(5))?;
    let restarted_at = walk.network.chain.head().await?;
    walk.see_heartbeats(job).await?;
    // anvil keeps no states of before its start, and a branch begins with one.
    while walk.network.chain.head().await? <= restarted_at + u64::from(DEPTH) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    walk.network.chain.reorganise(DEPTH).await?;
    walk.see_heartbeats(job).await
}

fn processes(walk: &Walkthrough) -> Result<Vec<Process>> {
    let lines = walk.network.machine.debug().run("ps")?;
    lines.iter().map(|line| parse(line).with_context(|| format!("ps: {line:?}"))).collect()
}

/// Reads `pid ppid rss_kib name`.
fn parse(line: &str) -> Option<Process> {
    let mut fields = line.split_whitespace();
    let pid = fields.next()?.parse().ok()?;
    let rss_kib = fields.nth(1)?.parse().ok()?;
    Some(Process { pid, rss_kib, name: fields.next()?.to_owned() })
}

/// The one process of this name.
fn only(processes: &[Process], name: &str) -> Result<Process> {
    let mut named = processes.iter().filter(|process| process.name == name);
    let first = named.next().with_context(|| format!("no {name} among {processes:?}"))?;
    ensure!(named.next().is_none(), "more than one {name} among {processes:?}");
    Ok(first.clone())
}
