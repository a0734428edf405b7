//! What the node sees of the chain.

use std::{collections::BTreeSet, sync::Arc};

use aleph_chain::{ChainHealth, ChainView, Heartbeat, NodeStatus, Outcome};
use aleph_types::{Address, Digest, JobId, JobStatus};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::harness::{MemoryJournal, NODE, Net, Node, eventually, free_job, in_time, registration};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_registers_says_that_it_lives_and_carries_a_job_to_its_end() -> Result<()> {
    let Some(net) = Net::start().await? else { return Ok(()) };
    let journal = MemoryJournal::default();
    let mut config = net.config()?;
    config.coordinator = true;
    let node = Node::start(config.clone(), &journal)?;
    let (chain, mut view) = (&node.chain, node.chain.view());

    let ticket = chain.register_node(&registration()).await?;
    let outcome = in_time("registered", ticket.outcome()).await??;
    ensure!(matches!(outcome, Outcome::Confirmed { .. }), "{outcome:?}");
    in_time("seen as registered", view.wait_for(|view| view.this_node().is_some())).await??;
    let seen = view.borrow().this_node().cloned().context("just seen")?;
    assert_eq!((seen.status, seen.region.as_str()), (NodeStatus::Inactive, "eu-west"));
    assert_eq!(seen.attestation_key, registration().attestation_key);

    net.activate_node().await?;
    in_time("seen as active", view.wait_for(|view| view.active_nodes().count() == 1)).await??;

    net.create_job().await?;
    in_time("seen as open", view.wait_for(|view| view.open_jobs().count() == 1)).await??;
    let job = JobId(1);
    in_time("assigned", chain.assign_job(job, NODE).await?.outcome()).await??;
    in_time("seen as ours", view.wait_for(|view| view.own_jobs().count() == 1)).await??;
    assert_eq!(view.borrow().open_jobs().count(), 0);
    in_time("started", chain.start_job(job).await?.outcome()).await??;
    let running =
        |view: &Arc<ChainView>| view.own_jobs().any(|job| job.status == JobStatus::Running);
    in_time("seen as running", view.wait_for(running)).await??;

    // Job 9 runs here by mistake: the chain does not know it as ours, so nothing is said of it.
    let running = BTreeSet::from([job, JobId(9)]);
    node.heartbeat.send_replace(Some(Heartbeat { status: Digest([5; 32]), running }));
    let beaten = |view: &Arc<ChainView>| {
        view.this_node().is_some_and(|node| node.last_heartbeat_s > 0)
            && view.own_jobs().all(|job| job.last_heartbeat_s > 0)
    };
    in_time("heartbeats are seen", view.wait_for(beaten)).await??;
    let skipped = net.jobs().JobHeartbeatSkipped_filter().from_block(0).query().await?;
    assert_eq!(skipped.len(), 0);

    let receipt = net.jobs().stopJob(alloy::primitives::U256::from(1)).send().await?;
    ensure!(receipt.get_receipt().await?.status(), "the job was not stopped");
    let stopping =
        |view: &Arc<ChainView>| view.own_jobs().any(|job| job.status == JobStatus::Stopping);
    in_time("seen as stopping", view.wait_for(stopping)).await??;
    in_time("completed", chain.complete_job(job).await?.outcome()).await??;
    in_time("gone", view.wait_for(|view| view.jobs.is_empty())).await??;

    // A restarted node knows all that before it has asked, and says nothing twice.
    let heartbeats = net.heartbeats().await?;
    let former = view.borrow().nodes.clone();
    let last = node.heartbeat.borrow().clone();
    node.stop().await?;
    let node = Node::start(config, &journal)?;
    assert_eq!(node.chain.view().borrow().nodes, former);
    node.heartbeat.send_replace(last);
    let head = net.head().await?;
    eventually("two more blocks", || async { Ok(net.head().await? > head + 2) }).await?;
    assert_eq!(net.heartbeats().await?, heartbeats);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_leaves_no_stale_state() -> Result<()> {
    let Some(net) = Net::start().await? else { return Ok(()) };
    let journal = MemoryJournal::default();
    let mut config = net.config()?;
    config.coordinator = true;
    let node = Node::start(config, &journal)?;
    let mut view = node.chain.view();
    node.is_healthy().await?;
    net.mine_every_s(0).await?;
    net.rpc("anvil_mine", json!([3])).await?;

    // The job's block is one of the five that are replaced, by others without it.
    let pending = net.jobs().createJob(free_job(1, 1)).send().await?;
    net.rpc("anvil_mine", json!([3])).await?;
    ensure!(pending.get_receipt().await?.status(), "the job was not created");
    in_time("seen as open", view.wait_for(|view| view.open_jobs().count() == 1)).await??;
    net.rpc("anvil_reorg", json!([5, []])).await?;
    in_time("the job is gone", view.wait_for(|view| view.open_jobs().count() == 0)).await??;
    let (seen, head) = (view.borrow().head.context("was read")?.number, net.head().await?);
    assert_eq!(seen, head);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_chain_is_a_state_and_passes() -> Result<()> {
    let Some(mut net) = Net::start().await? else { return Ok(()) };
    net.anvil.stop()?;
    let journal = MemoryJournal::default();
    let node = Node::start(net.config()?, &journal)?;
    let mut health = node.chain.health();
    let is_out = |health: &ChainHealth| matches!(health, ChainHealth::Unreachable { .. });
    in_time("unreachable", health.wait_for(is_out)).await??;
    let text = health.borrow().to_string();
    assert!(text.contains("rpc_url") && text.contains("tries again"), "{text}");
    assert!(!text.contains("127.0.0.1"), "{text}");

    // What is submitted meanwhile waits and is done.
    let ticket = node.chain.register_node(&registration()).await?;
    assert!(!ticket.has_ended().await?);
    net.anvil.start_again()?;
    node.is_healthy().await?;
    let outcome = in_time("registered", ticket.outcome()).await??;
    ensure!(matches!(outcome, Outcome::Confirmed { .. }), "{outcome:?}");
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_chain_and_wrong_addresses_are_named() -> Result<()> {
    let Some(net) = Net::start().await? else { return Ok(()) };
    let mut wrong_chain = net.config()?;
    wrong_chain.chain_id = 1;
    let mut wrong_address = net.config()?;
    wrong_address.addresses.job_manager = Address([9; 20]);
    let mut not_a_chain = net.config()?;
    not_a_chain.rpc_url = "http://127.0.0.1:9".into();
    for (config, words) in [
        (wrong_chain, ["chain 42161", "chain_id"]),
        (wrong_address, ["no JobManager at 0x0909", "addresses"]),
        (not_a_chain, ["no answer to eth_chainId", "rpc_url"]),
    ] {
        let node = Node::start(config, &MemoryJournal::default())?;
        let mut health = node.chain.health();
        let is_out = |health: &ChainHealth| matches!(health, ChainHealth::Unreachable { .. });
        in_time("not healthy", health.wait_for(is_out)).await??;
        let text = health.borrow().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        node.stop().await?;
    }

    // A journal of another chain is not mixed with this one.
    let journal = MemoryJournal::default();
    let node = Node::start(net.config()?, &journal)?;
    in_time("read", node.chain.head().wait_for(Option::is_some)).await??;
    node.stop().await?;
    let other = Net::start().await?.context("anvil is there")?;
    let node = Node::start(other.config()?, &journal)?;
    let mut health = node.chain.health();
    let is_out = |health: &ChainHealth| matches!(health, ChainHealth::Unreachable { .. });
    in_time("another chain", health.wait_for(is_out)).await??;
    assert!(health.borrow().to_string().contains("first block"), "{}", *health.borrow());
    node.stop().await
}
