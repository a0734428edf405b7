use std::{
    collections::HashMap,
    fs::File,
    io,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering},
};

use aleph_types::Cid;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tracing::error;

use super::{
    Inner,
    files::{self, Identity},
    index::{Row, State},
};
use crate::StorageError;

/// A blob's file, and whether it is known to be in the state in which its bytes were compared.
pub(super) enum Opened {
    Verified(File),
    Unverified(File, Identity),
}

impl Inner {
    pub(super) fn open(&self, cid: Cid) -> Result<Opened, StorageError> {
        let row = self.index.get(cid)?.ok_or(StorageError::NotFound { cid })?;
        if row.state == State::Corrupt {
            return Err(StorageError::BlobCorrupt { cid });
        }
        let file = match self.files.open_file(cid) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.set_aside(cid, None)?);
            }
            outcome => outcome.map_err(StorageError::file("open", &self.files.path(cid)))?,
        };
        let path = self.files.path(cid);
        let identity = Identity::of(&file).map_err(StorageError::file("look at", &path))?;
        Ok(match self.verified().get(&cid) == Some(&identity) {
            true => Opened::Verified(file),
            false => Opened::Unverified(file, identity),
        })
    }

    pub(super) fn open_verified(&self, cid: Cid) -> Result<File, StorageError> {
        let (file, identity) = match self.open(cid)? {
            Opened::Verified(file) => return Ok(file),
            Opened::Unverified(file, identity) => (file, identity),
        };
        let path = self.files.path(cid);
        self.verifications.fetch_add(1, Ordering::Relaxed);
        let found = files::hash(&file, identity.size_bytes())
            .map_err(StorageError::file("read all of", &path))?;
        let after = Identity::of(&file).map_err(StorageError::file("look at", &path))?;
        if found != cid || after != identity {
            return Err(self.set_aside(cid, Some(identity))?);
        }
        self.verified().insert(cid, identity);
        Ok(file)
    }

    /// Marks a blob whose file is lost or damaged. Says so to the caller, unless an upload has
    /// replaced the file in the meantime: then the caller may simply try again.
    fn set_aside(&self, cid: Cid, damaged: Option<Identity>) -> Result<StorageError, StorageError> {
        let _changing = self.changing();
        let present = self.files.open_file(cid).and_then(|file| Identity::of(&file)).ok();
        let Some(row) = self.index.get(cid)? else { return Ok(StorageError::NotFound { cid }) };
        if present == damaged {
            error!(%cid, lost = damaged.is_none(), "a blob is damaged and set aside");
            self.files.quarantine(cid)?;
            self.index.put(&[(cid, Row { state: State::Corrupt, ..row })])?;
            self.verified().remove(&cid);
        }
        Ok(StorageError::BlobCorrupt { cid })
    }
}

/// Whose turn it is to have its bytes compared with its name, which takes a processor and the disk
/// for minutes when a blob is large. Whoever waits holds no thread.
#[derive(Debug)]
pub(super) struct Turns {
    places: Arc<Semaphore>,
    /// The blobs that somebody has the turn for, or waits for.
    blobs: Mutex<HashMap<Cid, Weak<AsyncMutex<()>>>>,
}

/// The right to compare one blob's bytes, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _blob: OwnedMutexGuard<()>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// So many turns at once.
    pub(super) fn new(turns_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(turns_max)), blobs: Mutex::default() }
    }

    /// Waits until nobody else has the turn for this blob, and then for a place: those who wait for
    /// the same blob keep nobody from another one.
    pub(super) async fn wait(&self, cid: Cid) -> Turn {
        let blob = self.lock_of(cid).lock_owned().await;
        // It is never closed, which is the only failure.
        let place = self.places.clone().acquire_owned().await.ok();
        Turn { _blob: blob, _place: place }
    }

    fn lock_of(&self, cid: Cid) -> Arc<AsyncMutex<()>> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = blobs.get(&cid).and_then(Weak::upgrade) {
            return lock;
        }
        blobs.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        blobs.insert(cid, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn one_has_the_turn_for_a_blob_and_few_have_one_at_all() {
        let turns = Turns::new(2);
        let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| Cid::of(bytes));
        let first = turns.wait(a).await;
        let same = turns.wait(a);
        let mut same = std::pin::pin!(same);
        timeout(SHORT, &mut same).await.unwrap_err();
        // Who waits for the first blob has no place: there is one for a second blob, and no more.
        let second = turns.wait(b).await;
        timeout(SHORT, turns.wait(c)).await.unwrap_err();
        drop(second);
        let third = turns.wait(c).await;
        drop(first);
        let same = same.await;
        drop((same, third));
        turns.wait(b).await;
        assert_eq!(turns.blobs.lock().unwrap().len(), 1);
    }
}
