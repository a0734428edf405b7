//! `aleph devnet`.

use std::path::Path;

use aleph_devnet::{DEV_ACCOUNTS, Layout, LocalNetwork, NetworkOptions, NetworkState};
use anyhow::{Result, bail};
use serde::Serialize;

use crate::{args::DevnetCommand, context::Context, output::table};

#[derive(Serialize)]
struct Status {
    up: bool,
    network: Option<NetworkState>,
}

pub(crate) async fn run(context: &Context, command: DevnetCommand) -> Result<()> {
    match command {
        DevnetCommand::Up { folder, image, chain_port, node_port } => {
            if let Some(old) = NetworkState::read(&folder)? {
                if old.is_up() {
                    bail!(
                        "a network runs in {} already: `aleph devnet down` ends it",
                        folder.display()
                    );
                }
                // What is left of it must not go on unknown.
                old.down(&folder)?;
            }
            let layout = Layout::find()?;
            let options = NetworkOptions { folder: folder.clone(), image, chain_port, node_port };
            let state = LocalNetwork::start_detached(&layout, &options).await?;
            print(context, &folder, Some(state))
        }
        DevnetCommand::Down { folder } => {
            if let Some(state) = NetworkState::read(&folder)? {
                state.down(&folder)?;
            }
            print(context, &folder, None)
        }
        DevnetCommand::Status { folder } => {
            let state = NetworkState::read(&folder)?;
            print(context, &folder, state)
        }
    }
}

fn print(context: &Context, folder: &Path, network: Option<NetworkState>) -> Result<()> {
    let status = Status { up: network.as_ref().is_some_and(NetworkState::is_up), network };
    context.output.print(&status, |status| match &status.network {
        None => format!("no network in {}\n", folder.display()),
        Some(network) => in_words(folder, status.up, network),
    })
}

fn in_words(folder: &Path, up: bool, network: &NetworkState) -> String {
    let [_, owner, customer] = DEV_ACCOUNTS;
    table(&[
        ("network", if up { "up".into() } else { "down: its processes have ended".into() }),
        ("node", network.client.node_url.clone()),
        ("chain", network.client.chain_rpc_url.clone()),
        ("client", folder.join("client.json").display().to_string()),
        ("release", network.release.display().to_string()),
        ("EK roots", network.ek_roots.display().to_string()),
        ("console", folder.join("machine/console.log").display().to_string()),
        ("owner's key", owner.key.to_owned()),
        ("customer's key", customer.key.to_owned()),
    ])
}
