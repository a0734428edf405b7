//! Signed messages: each is checked before it is kept, and kept byte for byte.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aleph_chain::ChainView;
use aleph_message::{Manifest, MessageError};
use aleph_storage::{Batch, Scan, StorageError, Store, Table};
use aleph_types::{Cid, Digest};
use bytes::Bytes;
use tokio::{sync::watch, task::spawn_blocking};
use tracing::warn;

/// The messages of this node. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    store: Store,
    references: References,
    arrivals: Arc<watch::Sender<u64>>,
    /// Held while a message is kept: counted first, then written.
    keeping: Arc<Mutex<()>>,
    unreferenced_max: usize,
}

/// Which messages jobs refer to.
#[derive(Debug, Clone)]
pub(crate) struct References {
    /// Without a chain there are no jobs.
    pub(crate) view: Option<watch::Receiver<Arc<ChainView>>>,
    /// Without an id, the chain does not tell which jobs are this node's.
    pub(crate) has_node_id: bool,
}

impl References {
    /// The item hashes; nothing as long as the chain was not looked at.
    pub(crate) fn known(&self) -> Option<BTreeSet<Digest>> {
        let Some(view) = &self.view else { return Some(BTreeSet::new()) };
        let view = view.borrow();
        let is_known = view.head.is_some() && self.has_node_id;
        is_known.then(|| view.jobs.values().map(|job| job.manifest).collect())
    }
}

/// Why a message is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutMessageError {
    /// It breaks a rule.
    #[error(transparent)]
    Rule(MessageError),
    /// There are too many, and none may be forgotten.
    #[error(
        "too many messages are here already, and the chain has not told which of them it needs"
    )]
    TooMany,
    /// It could not be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Messages {
    pub(crate) fn new(store: Store, references: References) -> Self {
        Self {
            store,
            references,
            arrivals: Arc::new(watch::Sender::new(0)),
            keeping: Arc::default(),
            unreferenced_max: UNREFERENCED_MAX,
        }
    }

    /// What is asked about the jobs that refer to messages.
    pub(crate) fn references(&self) -> &References {
        &self.references
    }

    /// Changes whenever a message was kept.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Checks a message and keeps it; durable when this returns. A message that is here already
    /// counts as new, so that it is not collected too early.
    pub(crate) async fn put(&self, envelope: Bytes) -> Result<Digest, PutMessageError> {
        let messages = self.clone();
        let keep = move || {
            let manifest = Manifest::read(&envelope).map_err(PutMessageError::Rule)?;
            messages.keep(manifest.item_hash, now_s(), &envelope)?;
            Ok::<_, PutMessageError>(manifest.item_hash)
        };
        let item_hash = spawn_blocking(keep).await.map_err(StorageError::Cancelled)??;
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

    /// Keeps a message that was checked. Anybody may send any number of them: beyond those that jobs
    /// refer to, only so many are kept, and the oldest are forgotten first. Blocks.
    fn keep(
        &self,
        item_hash: Digest,
        received_s: u64,
        envelope: &[u8],
    ) -> Result<(), PutMessageError> {
        let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Batch::new();
        let count = usize::try_from(self.store.count(Table::Messages)?).unwrap_or(usize::MAX);
        if count >= self.unreferenced_max {
            let referenced = self.references.known().ok_or(PutMessageError::TooMany)?;
            if count - referenced.len().min(count) >= self.unreferenced_max {
                self.forget_oldest(&referenced, &mut batch)?;
            }
        }
        let row = [&received_s.to_be_bytes()[..], envelope].concat();
        batch.put(Table::Messages, *item_hash.as_bytes(), row);
        Ok(self.store.commit(&batch)?)
    }

    /// Removes a tenth more than it must: it reads every message.
    fn forget_oldest(
        &self,
        referenced: &BTreeSet<Digest>,
        batch: &mut Batch,
    ) -> Result<(), StorageError> {
        let mut unreferenced = Vec::new();
        let mut scan = Scan::all().rows_max(PAGE_ROWS);
        loop {
            let page = self.store.scan(Table::Messages, &scan)?;
            let Some((last, _)) = page.last() else { break };
            scan = Scan::all().rows_max(PAGE_ROWS).after(last.clone());
            for (key, row) in page {
                let item_hash = <[u8; 32]>::try_from(&key[..]).ok().map(Digest);
                if !item_hash.is_some_and(|item_hash| referenced.contains(&item_hash)) {
                    unreferenced.push((split(&row).map(|(received_s, _)| received_s), key));
                }
            }
        }
        unreferenced.sort();
        let stay = self.unreferenced_max - self.unreferenced_max.div_ceil(10);
        let forgotten = unreferenced.len().saturating_sub(stay);
        warn!(forgotten, "forgets the oldest of too many messages that no job refers to");
        for (_, key) in unreferenced.into_iter().take(forgotten) {
            batch.delete(Table::Messages, key);
        }
        Ok(())
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
/// Messages that no job refers to: those of customers who are about to create their jobs, and those
/// of whoever wants to fill the disk. Real ones have one or two KiB.
const UNREFERENCED_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use aleph_chain::ChainHead;
    use aleph_storage::StoreOptions;
    use aleph_types::{
        Address, JobId, JobStatus, NodeId, Resources,
        job::{Job, JobTerms},
    };
    use tempfile::TempDir;

    use super::*;

    fn messages(view: Option<ChainView>) -> (Messages, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let view = view.map(|view| watch::channel(Arc::new(view)).1);
        let references = References { view, has_node_id: true };
        (Messages { unreferenced_max: 10, ..Messages::new(store, references) }, folder)
    }

    fn hash(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn kept(messages: &Messages) -> Vec<u8> {
        let rows = messages.store.scan(Table::Messages, &Scan::all()).unwrap();
        rows.into_iter().map(|(key, _)| key[0]).collect()
    }

    /// A chain with one job, which refers to this message.
    fn view_with_job(number: u8) -> ChainView {
        let hash_of_block = serde_json::from_str(&format!("\"0x{}\"", "00".repeat(32))).unwrap();
        let mut view = ChainView::unread(NodeId([1; 32]));
        view.head = Some(ChainHead {
            number: 1,
            hash: hash_of_block,
            parent_hash: hash_of_block,
            timestamp_s: 1,
        });
        let job = Job {
            id: JobId(1),
            customer: Address([3; 20]),
            manifest: hash(number),
            node: None,
            status: JobStatus::Created,
            resources: Resources::default(),
            terms: JobTerms::default(),
            created_at_s: 0,
            last_heartbeat_s: 0,
            accrued_s: 0,
            reason: String::new(),
        };
        view.jobs.insert(job.id, job);
        view
    }

    #[test]
    fn of_too_many_messages_the_oldest_that_no_job_refers_to_are_forgotten() {
        let (messages, _folder) = messages(Some(view_with_job(200)));
        // The one that a job refers to is the oldest of all; the others come newest first.
        messages.keep(hash(200), 1, b"").unwrap();
        for number in 0..10 {
            messages.keep(hash(number), 100 - u64::from(number), b"").unwrap();
        }
        assert_eq!(kept(&messages).len(), 11);
        messages.keep(hash(50), 1000, b"").unwrap();
        // A tenth of ten went: the oldest one.
        assert_eq!(kept(&messages), [0, 1, 2, 3, 4, 5, 6, 7, 8, 50, 200]);
        for number in 100..150 {
            messages.keep(hash(number), 2000 + u64::from(number), b"").unwrap();
        }
        let kept = kept(&messages);
        assert!(kept.len() <= 11 && kept.ends_with(&[148, 149, 200]), "{kept:?}");
    }

    #[test]
    fn without_a_chain_no_job_refers_to_anything() {
        let (messages, _folder) = messages(None);
        for number in 0..100 {
            messages.keep(hash(number), number.into(), b"").unwrap();
        }
        assert!(kept(&messages).len() <= 10);
    }

    #[test]
    fn nothing_is_forgotten_before_the_chain_was_looked_at() {
        let (messages, _folder) = messages(Some(ChainView::unread(NodeId([1; 32]))));
        for number in 0..10 {
            messages.keep(hash(number), number.into(), b"").unwrap();
        }
        let error = messages.keep(hash(10), 10, b"").unwrap_err();
        assert!(matches!(error, PutMessageError::TooMany), "{error}");
        assert_eq!(kept(&messages).len(), 10);
    }
}
