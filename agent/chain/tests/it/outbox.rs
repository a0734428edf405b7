//! What the node tells the chain: everything, and nothing twice.

use std::time::Duration;

use aleph_chain::{ChainTable, Change, Failure, NodeStatus, Outcome};
use aleph_types::{Digest, JobId};
use alloy::providers::Provider as _;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::harness::{MemoryJournal, NODE, Net, Node, eventually, in_time, registration};

/// A slot of heartbeats that lies far ahead, so that none expires; each slot is another one.
const SLOT: u64 = 10_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_keeping_and_sending_loses_and_doubles_nothing() -> Result<()> {
    let Some(net) = Net::start().await? else { return Ok(()) };
    let journal = MemoryJournal::default();
    let signs = |changes: &[Change]| {
        changes.iter().any(|change| {
            let row = change.value.as_deref().unwrap_or_default();
            change.table == ChainTable::Outbox && String::from_utf8_lossy(row).contains("\"sent\"")
        })
    };
    let mut node = Node::start(net.config()?, &journal.crashing(signs))?;
    node.chain.register_node(&registration()).await?;
    let ended = in_time("the crash", node.tasks.join_next()).await?.context("a task")??;
    ensure!(ended.unwrap_err().to_string().contains("data disk"));
    drop(node);
    let row = journal.table(ChainTable::Outbox).pop().context("a row")?;
    let signed = row["state"]["sent"]["attempts"][0]["hash"].clone();
    let there: Option<Value> =
        net.admin.raw_request("eth_getTransactionByHash".into(), [&signed]).await?;
    assert_eq!((there, net.operator_nonce().await?), (None, 0));

    let node = Node::start(net.config()?, &journal)?;
    // The caller does not know and submits again.
    let ticket = node.chain.register_node(&registration()).await?;
    let outcome = in_time("registered", ticket.outcome()).await??;
    let Outcome::Confirmed { transaction, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(json!(transaction.to_string()), signed);
    assert_eq!(net.operator_nonce().await?, 1);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_chain_loses_and_doubles_nothing() -> Result<()> {
    let Some(mut net) = Net::start().await? else { return Ok(()) };
    let journal = MemoryJournal::default();
    let node = Node::start(net.config()?, &journal)?;
    in_time("registered", node.chain.register_node(&registration()).await?.outcome()).await??;

    // Three wait in the pool, which the chain does not keep.
    net.mine_every_s(0).await?;
    let mut tickets = Vec::new();
    for slot in 0..3 {
        tickets.push(node.chain.heartbeat_node(Digest([1; 32]), SLOT + slot).await?);
    }
    let mut status = node.chain.outbox();
    in_time("in flight", status.wait_for(|status| status.in_flight == 3)).await??;
    net.anvil.stop()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    net.anvil.start_again()?;
    for ticket in tickets {
        let outcome = in_time("confirmed", ticket.outcome()).await??;
        ensure!(matches!(outcome, Outcome::Confirmed { .. }), "{outcome:?}");
    }
    assert_eq!((net.heartbeats().await?, net.operator_nonce().await?), (3, 4));
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_of_five_blocks_loses_and_doubles_nothing() -> Result<()> {
    let Some(net) = Net::start().await? else { return Ok(()) };
    let journal = MemoryJournal::default();
    let node = Node::start(net.config()?, &journal)?;
    node.is_healthy().await?;
    net.mine_every_s(0).await?;
    net.rpc("anvil_mine", json!([5])).await?;

    // A block each for the registration and three heartbeats, all among the last five.
    let mut tickets = vec![node.chain.register_node(&registration()).await?];
    for slot in 0..3 {
        confirm(&net, &tickets[slot as usize]).await?;
        tickets.push(node.chain.heartbeat_node(Digest([1; 32]), SLOT + slot).await?);
    }
    confirm(&net, &tickets[3]).await?;
    assert_eq!((net.heartbeats().await?, net.operator_nonce().await?), (3, 4));
    let before: Vec<Value> = hashes(&journal);

    net.rpc("anvil_reorg", json!([5, []])).await?;
    assert_eq!(net.operator_nonce().await?, 0, "the blocks were replaced");
    net.mine_every_s(1).await?;
    let is_all_back = || async { Ok(net.operator_nonce().await? == 4) };
    eventually("all transactions are back", is_all_back).await?;
    let mut view = node.chain.view();
    let is_known = |view: &std::sync::Arc<aleph_chain::ChainView>| {
        view.this_node().is_some_and(|node| node.status == NodeStatus::Inactive)
    };
    in_time("seen again", view.wait_for(is_known)).await??;
    let head = net.head().await?;
    eventually("three more blocks", || async { Ok(net.head().await? > head + 3) }).await?;
    assert_eq!((net.heartbeats().await?, net.operator_nonce().await?), (3, 4));
    assert_eq!(hashes(&journal), before, "the same bytes were sent again");
    let mut status = node.chain.outbox();
    in_time("settled", status.wait_for(|status| status.in_flight == 0)).await??;
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_transaction_pays_more_under_the_same_number() -> Result<()> {
    let Some(net) = Net::start().await? else { return Ok(()) };
    let journal = MemoryJournal::default();
    let mut config = net.config()?;
    config.stuck_after = Duration::from_secs(1);
    let node = Node::start(config, &journal)?;
    node.is_healthy().await?;
    net.mine_every_s(0).await?;
    let ticket = node.chain.register_node(&registration()).await?;
    let mut status = node.chain.outbox();
    in_time("in flight", status.wait_for(|status| status.in_flight == 1)).await??;
    let is_raised = || async {
        let rows = journal.table(ChainTable::Outbox);
        let attempts = rows[0]["state"]["sent"]["attempts"].as_array().map_or(0, Vec::len);
        Ok(attempts >= 2)
    };
    eventually("the fee is raised", is_raised).await?;
    net.mine_every_s(1).await?;
    let outcome = in_time("registered", ticket.outcome()).await??;
    ensure!(matches!(outcome, Outcome::Confirmed { .. }), "{outcome:?}");
    let head = net.head().await?;
    eventually("two more blocks", || async { Ok(net.head().await? > head + 2) }).await?;
    assert_eq!(net.operator_nonce().await?, 1);
    node.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_named_and_may_be_tried_again() -> Result<()> {
    let Some(net) = Net::start().await? else { return Ok(()) };
    let node = Node::start(net.config()?, &MemoryJournal::default())?;
    let ticket = node.chain.start_job(JobId(99)).await?;
    let outcome = in_time("refused", ticket.outcome()).await??;
    let Outcome::Failed(Failure::Refused { error }) = &outcome else { panic!("{outcome:?}") };
    assert!(error.contains("WrongJobStatus") && error.contains("99"), "{error}");
    let again = node.chain.start_job(JobId(99)).await?;
    assert_ne!(again.id(), ticket.id());
    in_time("refused", again.outcome()).await??;
    assert_eq!(net.operator_nonce().await?, 0, "nothing was sent");

    // One that waits, and one that has succeeded, is not submitted again.
    let first = node.chain.register_node(&registration()).await?;
    assert_eq!(node.chain.register_node(&registration()).await?.id(), first.id());
    in_time("registered", first.outcome()).await??;
    let beat = node.chain.heartbeat_node(Digest([1; 32]), SLOT).await?;
    in_time("confirmed", beat.outcome()).await??;
    assert_eq!(node.chain.heartbeat_node(Digest([1; 32]), SLOT).await?.id(), beat.id());

    // Its time is over before it could be signed.
    let late = node.chain.heartbeat_node(Digest([1; 32]), 1).await?;
    let outcome = in_time("expired", late.outcome()).await??;
    assert_eq!(outcome, Outcome::Failed(Failure::Expired));
    assert_eq!((net.heartbeats().await?, net.operator_nonce().await?), (1, 2));
    assert_eq!(node.chain.config().node_id, NODE);
    node.stop().await
}

/// Makes one block with what is in flight, and waits for the end of `ticket`.
async fn confirm(net: &Net, ticket: &aleph_chain::Ticket) -> Result<()> {
    let is_pending = || async {
        let pool = net.rpc("txpool_status", json!([])).await?;
        Ok(pool["pending"] != json!("0x0"))
    };
    eventually("in the pool", is_pending).await?;
    net.rpc("anvil_mine", json!([1])).await?;
    let outcome = in_time("confirmed", ticket.outcome()).await??;
    ensure!(matches!(outcome, Outcome::Confirmed { .. }), "{outcome:?}");
    Ok(())
}

/// The hashes of everything that was ever signed.
fn hashes(journal: &MemoryJournal) -> Vec<Value> {
    let rows = journal.table(ChainTable::Outbox);
    let sent = rows.iter().flat_map(|row| {
        let state = row["state"].as_object().into_iter().flatten();
        state.flat_map(|(_, sent)| sent["attempts"].as_array().cloned().unwrap_or_default())
    });
    sent.map(|attempt| attempt["hash"].clone()).collect()
}
