//! `aleph stake`.

use std::time::Duration;

use aleph_sdk::{AuthenticatedClient, NodeStatus, format_amount, parse_amount};
use aleph_types::NodeId;
use anyhow::{Result, bail};
use serde::Serialize;
use tracing::info;

use crate::{args::StakeArguments, context::Context, output::table};

/// How often the chain is asked whether the stake has matured.
const POLL: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Staked {
    node_id: NodeId,
    total: String,
    matured: String,
    matures_at_s: u64,
    active: bool,
}

pub(crate) async fn run(context: &Context, arguments: StakeArguments) -> Result<()> {
    let amount = parse_amount(&arguments.amount)?;
    let node_id = context.node_id(arguments.node_id).await?;
    let client = context.account_client()?;
    let Some(node) = client.chain().node(node_id).await? else {
        bail!(
            "node {node_id} is not registered yet: it registers itself once its operator's \
             account has gas (see `aleph node status`)"
        );
    };
    if node.owner != client.address() {
        bail!("node {node_id} belongs to {}, not to {}", node.owner, client.address());
    }
    client.stake(node_id, amount).await?;
    if arguments.activate {
        activate(&client, node_id).await?;
    }
    let stake = client.chain().stake_of(node_id).await?;
    let active = is_active(&client, node_id).await?;
    let staked = Staked {
        node_id,
        total: format_amount(stake.total),
        matured: format_amount(stake.matured),
        matures_at_s: stake.maturesAt,
        active,
    };
    context.output.print(&staked, in_words)
}

/// Waits until the whole stake has matured, and activates the node unless it does so itself.
async fn activate(client: &AuthenticatedClient, node_id: NodeId) -> Result<()> {
    loop {
        let stake = client.chain().stake_of(node_id).await?;
        if stake.matured == stake.total {
            break;
        }
        info!(matures_at_s = stake.maturesAt, "waiting for the stake to mature");
        tokio::time::sleep(POLL).await;
    }
    if is_active(client, node_id).await? {
        return Ok(());
    }
    match client.activate(node_id).await {
        // The node, or anyone, was faster.
        Err(_) if is_active(client, node_id).await? => Ok(()),
        result => Ok(result?),
    }
}

async fn is_active(client: &AuthenticatedClient, node_id: NodeId) -> Result<bool> {
    let node = client.chain().node(node_id).await?;
    Ok(node.is_some_and(|node| node.status == NodeStatus::Active))
}

fn in_words(staked: &Staked) -> String {
    table(&[
        ("node", staked.node_id.to_string()),
        ("stake", format!("{} ALEPH, {} of it matured", staked.total, staked.matured)),
        ("active", if staked.active { "yes".into() } else { "no".into() }),
    ])
}
