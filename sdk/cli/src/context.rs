//! What commands share: the network, the account, the way to print.

use std::path::PathBuf;

use aleph_sdk::{AlephClient, AuthenticatedClient, ClientConfig, EthAccount};
use aleph_types::NodeId;
use anyhow::{Context as _, Result, bail};

use tracing::warn;

use crate::{args::Common, output::Output};

/// What commands share.
pub(crate) struct Context {
    pub(crate) network: PathBuf,
    pub(crate) output: Output,
    key: Option<String>,
    key_file: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(common: Common) -> Self {
        let Common { json, network, key, key_file } = common;
        Self { network, output: Output::new(json), key, key_file }
    }

    pub(crate) fn config(&self) -> Result<ClientConfig> {
        if !self.network.exists() {
            bail!(
                "{} does not exist: start a network of your own with `aleph devnet up`, \
                 or name one with --network",
                self.network.display()
            );
        }
        Ok(ClientConfig::read(&self.network)?)
    }

    pub(crate) fn client(&self) -> Result<AlephClient> {
        let config = self.config()?;
        if config.node_key_sha256.is_none() {
            let url = &config.node_url;
            warn!("{url} is not authenticated: run `aleph node attest {url} … --pin` first");
        }
        Ok(AlephClient::new(config)?)
    }

    pub(crate) fn account_client(&self) -> Result<AuthenticatedClient> {
        let key = match (&self.key, &self.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(path)) => {
                std::fs::read_to_string(path).with_context(|| path.display().to_string())?
            }
            (None, None) => bail!(
                "this needs an account: set ALEPH_KEY_FILE to a file with its private key \
                 (or ALEPH_KEY to the key)"
            ),
        };
        Ok(self.client()?.with_account(EthAccount::from_private_key(&key)?))
    }

    /// The id of the network's node, or the one that was given.
    pub(crate) async fn node_id(&self, given: Option<NodeId>) -> Result<NodeId> {
        if let Some(id) = given {
            return Ok(id);
        }
        let client = self.client()?;
        let info = client.node().info().await?;
        info.node_id.with_context(|| {
            let url = client.node().url().to_owned();
            format!("{url} has no TPM and therefore no id: it cannot be staked on")
        })
    }
}
