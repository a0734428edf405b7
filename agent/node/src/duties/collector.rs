//! Removes messages and blobs that nothing refers to.

use std::{collections::BTreeSet, time::Duration};

use aleph_storage::{Blobs, Collected, StorageError};
use aleph_types::{Cid, Digest};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::messages::Messages;

/// Looks now and then, until cancelled.
pub(crate) struct Collector {
    pub(crate) messages: Messages,
    pub(crate) blobs: Blobs,
    pub(crate) grace: Duration,
    /// The node's own documents.
    pub(crate) kept: BTreeSet<Cid>,
}

impl Collector {
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut pause = self.grace / 4;
        pause = pause.clamp(Duration::from_secs(15), Duration::from_secs(3600));
        while stop.run_until_cancelled(sleep(pause)).await.is_some() {
            match self.collect().await {
                Ok(Some(Collected { removed, removed_bytes, .. })) if removed > 0 => {
                    info!(removed, removed_bytes, "removed blobs that nothing refers to");
                }
                Ok(_) => {}
                // Nothing is lost by collecting later.
                Err(error) => warn!(%error, "could not look for what nothing refers to"),
            }
        }
        Ok(())
    }

    async fn collect(&self) -> Result<Option<Collected>, StorageError> {
        let Some(referenced) = self.messages.references().known() else { return Ok(None) };
        let (messages, blobs) = (self.messages.clone(), self.blobs.clone());
        let (grace, mut kept) = (self.grace, self.kept.clone());
        let work = move || {
            let is_referenced = |item_hash: Digest| referenced.contains(&item_hash);
            kept.extend(messages.collect(is_referenced, grace)?);
            blobs.collect(|cid| kept.contains(&cid), grace)
        };
        let collected = tokio::task::spawn_blocking(work).await;
        collected.map_err(StorageError::Cancelled)?.map(Some)
    }
}
