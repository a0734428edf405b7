use aleph_types::{Cid, Digest, wire, wire::Wire};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::{BlobInfo, BlobState};
use crate::{Batch, Scan, StorageError, Store, store::Rows};

/// What the index knows of a blob. The key is the SHA-256 in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) size_bytes: u64,
    pub(super) stored_at_s: u64,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Ready,
    Unreferenced { since_s: u64 },
    Corrupt,
}

impl Row {
    pub(super) fn info(self, cid: Cid) -> BlobInfo {
        let Self { size_bytes, stored_at_s, state } = self;
        let state = match state {
            State::Ready | State::Unreferenced { .. } => BlobState::Ready,
            State::Corrupt => BlobState::Corrupt,
        };
        BlobInfo { cid, size_bytes, stored_at_s, state }
    }
}

impl Wire for Row {
    const MAGIC: u8 = 0xb1;
    const VERSION: u8 = 1;
    const SIZE_BYTES_MAX: usize = 64;
}

/// The table of blobs, whose only writer is this module.
#[derive(Debug)]
pub(super) struct Index {
    store: Store,
}

impl Index {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    pub(super) fn get(&self, cid: Cid) -> Result<Option<Row>, StorageError> {
        let row = self.store.get_in(BLOBS, cid.digest().as_bytes())?;
        Ok(row.map(|bytes| decode(cid, &bytes)))
    }

    pub(super) fn page(
        &self,
        after: Option<Cid>,
        rows_max: usize,
    ) -> Result<Vec<(Cid, Row)>, StorageError> {
        let scan = Scan::all().rows_max(rows_max);
        let scan = match after {
            Some(cid) => scan.after(*cid.digest().as_bytes()),
            None => scan,
        };
        let rows = self.store.scan_in(BLOBS, &scan)?.into_iter();
        // Keys are written by this module alone, always from a digest.
        let rows = rows.filter_map(|(key, value)| {
            let digest: [u8; 32] = key.try_into().ok()?;
            let cid = Cid::from_digest(Digest(digest));
            Some((cid, decode(cid, &value)))
        });
        Ok(rows.collect())
    }

    pub(super) fn put(&self, rows: &[(Cid, Row)]) -> Result<(), StorageError> {
        let mut batch = Batch::new();
        for (cid, row) in rows {
            let value =
                wire::encode(row).map_err(|source| StorageError::Row { cid: *cid, source })?;
            batch.put_in(BLOBS, cid.digest().as_bytes().to_vec(), value);
        }
        self.store.commit(&batch)
    }

    pub(super) fn delete(&self, cids: &[Cid]) -> Result<(), StorageError> {
        let mut batch = Batch::new();
        for cid in cids {
            batch.delete_in(BLOBS, cid.digest().as_bytes().to_vec());
        }
        self.store.commit(&batch)
    }
}

const BLOBS: Rows = Rows::new("blobs");

/// A row that cannot be read is that of a damaged blob: one bad row must not hide the others.
fn decode(cid: Cid, bytes: &[u8]) -> Row {
    wire::decode(bytes).unwrap_or_else(|error| {
        error!(%cid, %error, "a blob's index row is unreadable");
        Row { size_bytes: 0, stored_at_s: 0, state: State::Corrupt }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreOptions;

    #[test]
    fn one_unreadable_row_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let (good, bad) = (Cid::of(b"good"), Cid::of(b"bad"));
        let index = Index::new(store.clone());
        let row = Row { size_bytes: 4, stored_at_s: 9, state: State::Unreferenced { since_s: 1 } };
        index.put(&[(good, row), (bad, row)]).unwrap();
        let mut batch = Batch::new();
        batch.put_in(BLOBS, bad.digest().as_bytes().to_vec(), vec![0xff; 9]);
        store.commit(&batch).unwrap();

        assert_eq!(index.get(good).unwrap(), Some(row));
        assert_eq!(index.get(bad).unwrap().unwrap().state, State::Corrupt);
        assert_eq!(index.page(None, 10).unwrap().len(), 2);
    }
}
