//! `aleph node status`.

use aleph_sdk::NodeClient;
use aleph_types::api::{NodeInfo, Readiness};
use anyhow::Result;
use serde::Serialize;

use crate::{context::Context, output::table};

#[derive(Serialize)]
struct Status {
    url: String,
    node: NodeInfo,
    readiness: Readiness,
}

pub(crate) async fn status(context: &Context, url: Option<&str>) -> Result<()> {
    let node = match url {
        Some(url) => NodeClient::new(url)?,
        None => context.client()?.node().clone(),
    };
    let status = Status {
        url: node.url().to_owned(),
        node: node.info().await?,
        readiness: node.readiness().await?,
    };
    context.output.print(&status, in_words)
}

fn in_words(status: &Status) -> String {
    let NodeInfo { node_id, version, profile, operator, owner, chain, capacity, reserved, .. } =
        &status.node;
    let none = || "none".to_owned();
    let head = chain.head.map_or_else(none, |head| head.to_string());
    let registration = format!("{:?}", chain.registration).to_lowercase();
    let mut text = table(&[
        ("node", node_id.map_or_else(|| "no id: no TPM".to_owned(), |id| id.to_string())),
        ("address", status.url.clone()),
        ("version", format!("{version} ({profile})")),
        ("operator", operator.to_string()),
        ("owner", owner.map_or_else(none, |owner| owner.to_string())),
        ("chain", format!("id {}, block {head}, {registration}", chain.chain_id)),
        ("capacity", capacity.to_string()),
        ("reserved", reserved.to_string()),
        ("ready", if status.readiness.ready { "yes".into() } else { "no".into() }),
    ]);
    for condition in &status.readiness.conditions {
        let mark = if condition.ok { "ok  " } else { "FAIL" };
        text.push_str(&format!("  {mark} {}: {}\n", condition.name, condition.detail));
    }
    text
}
