//! Signed messages: each is checked before it is kept, and kept byte for byte.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aleph_message::{Manifest, MessageError};
use aleph_storage::{Batch, Scan, StorageError, Store, Table};
use aleph_types::{Cid, Digest};
use bytes::Bytes;
use tokio::sync::watch;

/// The messages of this node. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    store: Store,
    arrivals: Arc<watch::Sender<u64>>,
}

/// Why a message is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutMessageError {
    /// It breaks a rule.
    #[error(transparent)]
    Rule(MessageError),
    /// It could not be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Messages {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, arrivals: Arc::new(watch::Sender::new(0)) }
    }

    /// Changes whenever a message was kept.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Checks a message and keeps it; durable when this returns. A message that is here already
    /// counts as new, so that it is not collected too early.
    pub(crate) async fn put(&self, envelope: Bytes) -> Result<Digest, PutMessageError> {
        let item_hash = self
            .store
            .run(move |store| {
                let item_hash = match Manifest::read(&envelope) {
                    Ok(manifest) => manifest.item_hash,
                    Err(error) => return Ok(Err(PutMessageError::Rule(error))),
                };
                let mut batch = Batch::new();
                let row = [&now_s().to_be_bytes()[..], &envelope].concat();
                batch.put(Table::Messages, *item_hash.as_bytes(), row);
                store.commit(&batch)?;
                Ok(Ok(item_hash))
            })
            .await??;
        self.arrivals.send_modify(|count| *count = count.wrapping_add(1));
        Ok(item_hash)
    }

    /// A message's envelope, as it was received.
    pub(crate) async fn get(&self, item_hash: Digest) -> Result<Option<Bytes>, StorageError> {
        self.store.run(move |store| envelope(store, item_hash)).await
    }

    /// What a message asks for.
    pub(crate) async fn manifest(
        &self,
        item_hash: Digest,
    ) -> Result<Option<Manifest>, StorageError> {
        self.store
            .run(move |store| {
                let envelope = envelope(store, item_hash)?;
                // It was checked before it was kept. After an update the rules may be stricter:
                // then it is as if it had never come.
                Ok(envelope.and_then(|envelope| Manifest::read(&envelope).ok()))
            })
            .await
    }

    /// Forgets what nobody refers to and what was last received before the grace period, and
    /// gives back the images that the messages that stay ask for. Blocks.
    pub(crate) fn collect(
        &self,
        is_referenced: impl Fn(Digest) -> bool,
        grace: Duration,
    ) -> Result<BTreeSet<Cid>, StorageError> {
        let oldest_s = now_s().saturating_sub(grace.as_secs());
        let mut kept = BTreeSet::new();
        let mut scan = Scan::all().rows_max(PAGE_ROWS);
        loop {
            let page = self.store.scan(Table::Messages, &scan)?;
            let Some((last, _)) = page.last() else { return Ok(kept) };
            scan = Scan::all().rows_max(PAGE_ROWS).after(last.clone());
            let mut batch = Batch::new();
            for (key, row) in page {
                let item_hash = <[u8; 32]>::try_from(&key[..]).ok().map(Digest);
                let received = split(&row);
                let stays = item_hash.is_some_and(&is_referenced)
                    || received.is_some_and(|(received_s, _)| received_s >= oldest_s);
                match received.filter(|_| stays) {
                    Some((_, envelope)) => {
                        kept.extend(Manifest::read(envelope).ok().map(|manifest| manifest.rootfs));
                    }
                    None => batch.delete(Table::Messages, key),
                }
            }
            self.store.commit(&batch)?;
        }
    }
}

fn envelope(store: &Store, item_hash: Digest) -> Result<Option<Bytes>, StorageError> {
    let row = store.get(Table::Messages, item_hash.as_bytes())?;
    Ok(row.and_then(|row| split(&row).map(|(_, envelope)| Bytes::copy_from_slice(envelope))))
}

/// A row: the time at which the message was received, and its envelope.
fn split(row: &[u8]) -> Option<(u64, &[u8])> {
    let (received_s, envelope) = row.split_first_chunk()?;
    Some((u64::from_be_bytes(*received_s), envelope))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Rows held in memory at once: at half a megabyte each, 16 MiB.
const PAGE_ROWS: usize = 32;
