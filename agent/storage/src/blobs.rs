mod files;
mod index;
mod verify;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use aleph_types::{Cid, CidHasher};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    task::spawn_blocking,
};
use tracing::{error, info, warn};

use self::{
    files::{Files, Identity, Part},
    index::{Index, Row, State},
    verify::{Opened, Turns},
};
use crate::{Capacity, StorageError, Store};

/// The blobs of this node. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

/// What all blobs share.
#[derive(Debug, Clone)]
pub struct BlobOptions {
    /// Bytes of the disk that blobs leave free, for the database, logs and running instances.
    pub floor_bytes: u64,
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self { floor_bytes: 256 << 20 }
    }
}

/// What one upload must keep to.
#[derive(Debug, Clone, Copy)]
pub struct BlobLimits {
    /// The greatest size.
    pub size_bytes_max: u64,
    /// The name the bytes must turn out to have.
    pub expected: Option<Cid>,
}

/// What is known of a blob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub cid: Cid,
    /// Its size.
    pub size_bytes: u64,
    /// Seconds of Unix time at which it was stored last.
    pub stored_at_s: u64,
    /// Whether it can be read.
    pub state: BlobState,
}

/// Whether a blob can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// It can.
    Ready,
    /// Its file was damaged or lost; a new upload replaces it.
    Corrupt,
}

/// What a garbage collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that were unreferenced for longer than the grace period, and are gone.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Blobs that are unreferenced and wait for the end of the grace period.
    pub waiting: u64,
}

impl Blobs {
    /// Opens the blobs of a folder, makes it where there is none, and clears away what an
    /// interrupted process left: unfinished uploads, and files whose row was never written.
    pub fn open(root: &Path, store: Store, options: BlobOptions) -> Result<Self, StorageError> {
        let files = Files::open(root)?;
        let inner = Inner {
            files,
            index: Index::new(store),
            options,
            verified: Mutex::default(),
            turns: Turns::new(VERIFICATIONS_MAX),
            verifications: AtomicU64::new(0),
            changing: Mutex::default(),
        };
        inner.recover()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Begins to store a blob whose bytes come piece by piece. Blocks on the disk.
    pub fn upload(&self, limits: BlobLimits) -> Result<Upload, StorageError> {
        self.inner.check_space(0)?;
        let part = self.inner.files.create_part()?;
        Ok(Upload { blobs: self.clone(), limits, part, hasher: CidHasher::new(), size_bytes: 0 })
    }

    /// Stores the bytes of a stream. When this returns, they are durable.
    ///
    /// No thread waits for a slow sender, and dropping the future leaves nothing behind.
    pub async fn put(
        &self,
        mut body: impl AsyncRead + Unpin + Send,
        limits: BlobLimits,
    ) -> Result<BlobInfo, StorageError> {
        let mut upload = self.blocking(move |blobs| blobs.upload(limits)).await?;
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        loop {
            let mut room = (&mut body).take((PIECE_BYTES - piece.len()) as u64);
            let count = room.read_buf(&mut piece).await.map_err(StorageError::Body)?;
            if piece.len() == PIECE_BYTES || count == 0 {
                (upload, piece) = self
                    .blocking(move |_| {
                        upload.write(&piece)?;
                        piece.clear();
                        Ok((upload, piece))
                    })
                    .await?;
            }
            if count == 0 {
                return self.blocking(move |_| upload.finish()).await;
            }
        }
    }

    /// Opens a blob for reading, after all its bytes were compared with its name. They are
    /// compared once for each state of the file, however many ask for it, which takes long when the
    /// blob is large; few blobs are compared at a time.
    ///
    /// Dropping the future does not stop what has begun: whoever asks next finds it done.
    pub async fn open_verified(&self, cid: Cid) -> Result<File, StorageError> {
        match self.blocking(move |blobs| blobs.inner.open(cid)).await? {
            Opened::Verified(file) => Ok(file),
            Opened::Unverified(..) => {
                let turn = self.inner.turns.wait(cid).await;
                self.blocking(move |blobs| {
                    let _turn = turn;
                    blobs.inner.open_verified(cid)
                })
                .await
            }
        }
    }

    /// How often the bytes of a blob were compared with its name since the start.
    pub fn verifications(&self) -> u64 {
        self.inner.verifications.load(Ordering::Relaxed)
    }

    /// What is known of a blob, if it was ever stored here and not removed.
    pub fn info(&self, cid: Cid) -> Result<Option<BlobInfo>, StorageError> {
        Ok(self.inner.index.get(cid)?.map(|row| row.info(cid)))
    }

    /// A page of blobs in the order of their names, after the given one.
    pub fn list(
        &self,
        after: Option<Cid>,
        blobs_max: usize,
    ) -> Result<Vec<BlobInfo>, StorageError> {
        let page = self.inner.index.page(after, blobs_max)?;
        Ok(page.into_iter().map(|(cid, row)| row.info(cid)).collect())
    }

    /// Removes a blob; says whether there was one. Who has it open goes on reading.
    pub fn remove(&self, cid: Cid) -> Result<bool, StorageError> {
        let _changing = self.inner.changing();
        let found = self.inner.index.get(cid)?.is_some();
        if found {
            self.inner.remove(&[cid])?;
        }
        Ok(found)
    }

    /// Removes what nobody has referenced for the grace period, counted from the first
    /// collection that found it so: a blob that lost its last reference, or has no reference
    /// yet, gets the whole period whatever its age.
    pub fn collect(
        &self,
        is_referenced: impl Fn(Cid) -> bool,
        grace: Duration,
    ) -> Result<Collected, StorageError> {
        self.inner.collect(is_referenced, grace, now_s())
    }

    /// How much the blobs' disk holds.
    pub fn capacity(&self) -> Result<Capacity, StorageError> {
        self.inner.capacity()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let blobs = self.clone();
        spawn_blocking(move || work(&blobs)).await.map_err(StorageError::Cancelled)?
    }
}

/// A blob on its way in. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    blobs: Blobs,
    limits: BlobLimits,
    part: Part,
    hasher: CidHasher,
    size_bytes: u64,
}

impl Upload {
    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        if size_bytes > self.limits.size_bytes_max {
            return Err(StorageError::TooLarge { size_bytes_max: self.limits.size_bytes_max });
        }
        self.blobs.inner.check_space(bytes.len() as u64)?;
        self.part.write(bytes).map_err(|error| self.blobs.inner.explain_full(error))?;
        self.hasher.update(bytes);
        self.size_bytes = size_bytes;
        Ok(())
    }

    /// Gives the bytes their name. When this returns, they are durable.
    pub fn finish(self) -> Result<BlobInfo, StorageError> {
        let Self { blobs, limits, part, hasher, size_bytes } = self;
        let cid = hasher.finish();
        if let Some(expected) = limits.expected.filter(|expected| *expected != cid) {
            return Err(StorageError::Mismatch { expected, found: cid });
        }
        part.sync().map_err(|error| blobs.inner.explain_full(error))?;
        blobs.inner.publish(cid, size_bytes, part)
    }
}

/// Bytes hashed and written at a time: a tenth of a second of an emulated processor's work.
const PIECE_BYTES: usize = 1 << 20;
/// Blobs whose bytes are compared at a time: each keeps a processor busy, and two keep a disk so.
const VERIFICATIONS_MAX: usize = 2;
/// Rows that one step of a collection or recovery reads.
const PAGE_ROWS: usize = 1024;

#[derive(Debug)]
struct Inner {
    files: Files,
    index: Index,
    options: BlobOptions,
    /// The state of each file at the time when its bytes were compared with its name.
    verified: Mutex<HashMap<Cid, Identity>>,
    turns: Turns,
    verifications: AtomicU64,
    /// Held while a file and its row change together.
    changing: Mutex<()>,
}

impl Inner {
    fn publish(&self, cid: Cid, size_bytes: u64, part: Part) -> Result<BlobInfo, StorageError> {
        let row = Row { size_bytes, stored_at_s: now_s(), state: State::Ready };
        let _changing = self.changing();
        // Even when there is such a file: nobody has looked at its bytes lately, ours are good.
        self.files.publish(part, cid)?;
        self.index.put(&[(cid, row)])?;
        Ok(row.info(cid))
    }

    /// Rows go first: a file without a row is swept away at the next start, a row without a
    /// file would be reported as damage.
    fn remove(&self, cids: &[Cid]) -> Result<(), StorageError> {
        self.index.delete(cids)?;
        for cid in cids {
            self.verified().remove(cid);
            self.files.remove(*cid)?;
        }
        Ok(())
    }

    fn collect(
        &self,
        is_referenced: impl Fn(Cid) -> bool,
        grace: Duration,
        now_s: u64,
    ) -> Result<Collected, StorageError> {
        let mut collected = Collected::default();
        let mut after = None;
        loop {
            let _changing = self.changing();
            let page = self.index.page(after, PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let (mut changed, mut removed) = (Vec::new(), Vec::new());
            for (cid, row) in page {
                match row.state {
                    State::Unreferenced { .. } if is_referenced(cid) => {
                        changed.push((cid, Row { state: State::Ready, ..row }));
                    }
                    State::Unreferenced { since_s }
                        if now_s.saturating_sub(since_s) >= grace.as_secs() =>
                    {
                        collected.removed += 1;
                        collected.removed_bytes += row.size_bytes;
                        removed.push(cid);
                    }
                    State::Unreferenced { .. } => collected.waiting += 1,
                    State::Ready | State::Corrupt if is_referenced(cid) => {}
                    State::Ready => {
                        collected.waiting += 1;
                        let state = State::Unreferenced { since_s: now_s };
                        changed.push((cid, Row { state, ..row }));
                    }
                    // Its bytes are of no use to anybody, and its name to nobody any more.
                    State::Corrupt => removed.push(cid),
                }
            }
            self.index.put(&changed)?;
            self.remove(&removed)?;
        }
        if collected.removed > 0 {
            info!(removed = collected.removed, bytes = collected.removed_bytes, "blobs collected");
        }
        Ok(collected)
    }

    fn recover(&self) -> Result<(), StorageError> {
        let parts = self.files.sweep_parts()?;
        let mut strays = 0u64;
        self.files.for_each(|cid, path| {
            let is_known = match cid {
                Some(cid) => self.index.get(cid)?.is_some_and(|row| row.state != State::Corrupt),
                None => false,
            };
            if !is_known {
                strays += 1;
                fs::remove_file(path).map_err(StorageError::file("remove", path))?;
            }
            Ok(())
        })?;
        if parts + strays > 0 {
            warn!(parts, strays, "removed what an interrupted process left in the blob folder");
        }
        self.mark_lost()
    }

    /// A disk that was repaired, or written to by somebody else, may miss files.
    fn mark_lost(&self) -> Result<(), StorageError> {
        let mut after = None;
        loop {
            let page = self.index.page(after, PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            let lost = page.into_iter().filter(|(cid, row)| {
                row.state != State::Corrupt && !self.files.has(*cid, row.size_bytes)
            });
            let lost: Vec<_> =
                lost.map(|(cid, row)| (cid, Row { state: State::Corrupt, ..row })).collect();
            for (cid, _) in &lost {
                error!(%cid, "a blob's file is lost or has another size; upload the blob again");
                self.files.quarantine(*cid)?;
            }
            self.index.put(&lost)?;
        }
    }

    fn check_space(&self, wanted_bytes: u64) -> Result<(), StorageError> {
        let capacity = self.capacity()?;
        if capacity.usable_bytes() < wanted_bytes.max(1) {
            return Err(capacity.full());
        }
        Ok(())
    }

    fn capacity(&self) -> Result<Capacity, StorageError> {
        Capacity::of(self.files.root(), self.options.floor_bytes)
    }

    fn explain_full(&self, error: StorageError) -> StorageError {
        match (&error, self.capacity()) {
            (StorageError::File { source, .. }, Ok(capacity))
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                capacity.full()
            }
            _ => error,
        }
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<Cid, Identity>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::fs::PermissionsExt as _, path::PathBuf};

    use tempfile::TempDir;

    use super::*;
    use crate::{StoreOptions, Table};

    const LIMITS: BlobLimits = BlobLimits { size_bytes_max: 8 << 20, expected: None };

    struct Bench {
        folder: TempDir,
        store: Store,
        blobs: Blobs,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("db"), StoreOptions::default()).unwrap();
            let blobs = open(&folder, &store);
            Self { folder, store, blobs }
        }

        fn reopen(mut self) -> Self {
            self.blobs = open(&self.folder, &self.store);
            self
        }

        fn put(&self, bytes: &[u8]) -> Cid {
            put(&self.blobs, bytes, LIMITS).unwrap().cid
        }

        fn path(&self, cid: Cid) -> PathBuf {
            self.blobs.inner.files.path(cid)
        }

        /// Files in the blob folder, whatever they are.
        fn files(&self) -> usize {
            let mut count = 0;
            for folder in fs::read_dir(self.folder.path().join("blobs")).unwrap() {
                count += fs::read_dir(folder.unwrap().path()).unwrap().count();
            }
            count
        }
    }

    fn open(folder: &TempDir, store: &Store) -> Blobs {
        let options = BlobOptions { floor_bytes: 0 };
        Blobs::open(&folder.path().join("blobs"), store.clone(), options).unwrap()
    }

    fn put(blobs: &Blobs, bytes: &[u8], limits: BlobLimits) -> Result<BlobInfo, StorageError> {
        let mut upload = blobs.upload(limits)?;
        for piece in bytes.chunks(1000) {
            upload.write(piece)?;
        }
        upload.finish()
    }

    fn read(mut file: File) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Changes a byte, as a failing disk does.
    fn damage(path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_blob_is_read_as_it_was_written_also_after_reopening() {
        for bytes in [vec![], b"hello".to_vec(), vec![7; 3 * PIECE_BYTES + 1]] {
            let bench = Bench::new();
            let cid = bench.put(&bytes);
            assert_eq!(cid, Cid::of(&bytes));
            let bench = bench.reopen();
            let info = bench.blobs.info(cid).unwrap().unwrap();
            assert_eq!((info.size_bytes, info.state), (bytes.len() as u64, BlobState::Ready));
            assert!(read(bench.blobs.inner.open_verified(cid).unwrap()) == bytes);
            assert_eq!(bench.files(), 1);
        }
    }

    #[test]
    fn the_handed_out_file_cannot_be_written() {
        let bench = Bench::new();
        let file = bench.blobs.inner.open_verified(bench.put(b"hello")).unwrap();
        io::Write::write(&mut &file, b"x").unwrap_err();
    }

    #[test]
    fn a_refused_upload_leaves_nothing() {
        let bench = Bench::new();
        let limits = BlobLimits { size_bytes_max: 4, expected: None };
        let error = put(&bench.blobs, b"hello", limits).unwrap_err();
        assert!(matches!(error, StorageError::TooLarge { size_bytes_max: 4 }));

        let limits = BlobLimits { expected: Some(Cid::of(b"other")), ..LIMITS };
        let error = put(&bench.blobs, b"hello", limits).unwrap_err();
        assert!(
            matches!(error, StorageError::Mismatch { found, .. } if found == Cid::of(b"hello"))
        );

        let mut upload = bench.blobs.upload(LIMITS).unwrap();
        upload.write(b"half").unwrap();
        drop(upload);

        assert_eq!(bench.files(), 0);
        assert_eq!(bench.blobs.info(Cid::of(b"hello")).unwrap(), None);
        let limits = BlobLimits { size_bytes_max: 5, expected: Some(Cid::of(b"hello")) };
        put(&bench.blobs, b"hello", limits).unwrap();
    }

    #[test]
    fn the_floor_stops_an_upload() {
        let bench = Bench::new();
        let options = BlobOptions { floor_bytes: u64::MAX };
        let folder = bench.folder.path().join("floor");
        let blobs = Blobs::open(&folder, bench.store.clone(), options).unwrap();
        let error = put(&blobs, b"hello", LIMITS).unwrap_err();
        assert!(matches!(error, StorageError::Full { floor_bytes: u64::MAX, .. }));
        assert_eq!(blobs.capacity().unwrap().usable_bytes(), 0);
    }

    #[test]
    fn a_damaged_blob_is_set_aside_and_replaced_by_a_new_upload() {
        let bench = Bench::new();
        let cid = bench.put(b"hello");
        bench.blobs.inner.open_verified(cid).unwrap();
        damage(&bench.path(cid));
        for _ in 0..2 {
            let error = bench.blobs.inner.open_verified(cid).unwrap_err();
            assert!(matches!(error, StorageError::BlobCorrupt { cid: bad } if bad == cid));
        }
        assert!(!bench.path(cid).exists());
        let bench = bench.reopen();
        assert_eq!(bench.blobs.info(cid).unwrap().unwrap().state, BlobState::Corrupt);

        bench.put(b"hello");
        assert_eq!(read(bench.blobs.inner.open_verified(cid).unwrap()), b"hello");
    }

    #[test]
    fn an_upload_repairs_a_damaged_blob_that_nobody_has_read() {
        let bench = Bench::new();
        let cid = bench.put(b"hello");
        damage(&bench.path(cid));
        bench.put(b"hello");
        assert_eq!(read(bench.blobs.inner.open_verified(cid).unwrap()), b"hello");
    }

    #[test]
    fn a_lost_or_cut_file_is_known_at_the_next_start_or_read() {
        let bench = Bench::new();
        let (lost, cut) = (bench.put(b"lost"), bench.put(b"cut"));
        fs::remove_file(bench.path(lost)).unwrap();
        let error = bench.blobs.inner.open_verified(lost).unwrap_err();
        assert!(matches!(error, StorageError::BlobCorrupt { .. }));

        fs::remove_file(bench.path(cut)).unwrap();
        fs::write(bench.path(cut), b"c").unwrap();
        let bench = bench.reopen();
        assert_eq!(bench.blobs.info(cut).unwrap().unwrap().state, BlobState::Corrupt);
    }

    #[test]
    fn what_an_interrupted_process_left_is_swept_away() {
        let bench = Bench::new();
        let cid = bench.put(b"kept");
        let stray = bench.path(Cid::of(b"no row"));
        fs::create_dir_all(stray.parent().unwrap()).unwrap();
        fs::write(&stray, b"no row").unwrap();
        fs::write(bench.folder.path().join("blobs/parts/0"), b"half").unwrap();
        let bench = bench.reopen();
        assert_eq!(bench.files(), 1);
        assert_eq!(read(bench.blobs.inner.open_verified(cid).unwrap()), b"kept");
        // Names of parts start over, and are free again.
        bench.put(b"next");
    }

    #[test]
    fn unknown_blobs_are_not_found() {
        let bench = Bench::new();
        let cid = Cid::of(b"unknown");
        assert!(matches!(bench.blobs.inner.open_verified(cid), Err(StorageError::NotFound { .. })));
        assert_eq!(bench.blobs.info(cid).unwrap(), None);
        assert!(!bench.blobs.remove(cid).unwrap());
    }

    #[test]
    fn pages_of_a_list_cover_all_blobs() {
        let bench = Bench::new();
        let mut cids: Vec<_> = (0..7u8).map(|number| bench.put(&[number])).collect();
        cids.sort();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = bench.blobs.list(after, 3).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.cid);
            found.extend(page.iter().map(|info| info.cid));
        }
        assert_eq!(found, cids);
    }

    #[test]
    fn removal_takes_row_and_file_but_not_an_open_handle() {
        let bench = Bench::new();
        let cid = bench.put(b"hello");
        let file = bench.blobs.inner.open_verified(cid).unwrap();
        assert!(bench.blobs.remove(cid).unwrap());
        assert_eq!(bench.files(), 0);
        assert_eq!(bench.blobs.info(cid).unwrap(), None);
        assert_eq!(read(file), b"hello");
    }

    #[test]
    fn collection_waits_for_the_grace_period_after_the_last_reference() {
        let bench = Bench::new();
        let (kept, freed) = (bench.put(b"kept"), bench.put(b"freed"));
        let collect = |now_s, referenced: &[Cid]| {
            let is_referenced = |cid| referenced.contains(&cid);
            bench.blobs.inner.collect(is_referenced, Duration::from_secs(60), now_s).unwrap()
        };
        let waiting = Collected { waiting: 1, ..Collected::default() };
        assert_eq!(collect(1000, &[kept, freed]), Collected::default());
        assert_eq!(collect(2000, &[kept]), waiting);
        assert_eq!(collect(2059, &[kept]), waiting);
        // A reference in between starts the period anew, and so does a new upload.
        assert_eq!(collect(2060, &[kept, freed]), Collected::default());
        assert_eq!(collect(3000, &[kept]), waiting);
        bench.put(b"freed");
        assert_eq!(collect(3060, &[kept]), waiting);
        // A clock that was set back removes nothing.
        assert_eq!(collect(10, &[kept]), waiting);
        let removed = Collected { removed: 1, removed_bytes: 5, waiting: 0 };
        assert_eq!(collect(3120, &[kept]), removed);
        assert!(matches!(
            bench.blobs.inner.open_verified(freed),
            Err(StorageError::NotFound { .. })
        ));
        assert_eq!(read(bench.blobs.inner.open_verified(kept).unwrap()), b"kept");
        assert_eq!(bench.files(), 1);
    }

    #[test]
    fn callers_tables_are_apart_from_the_index() {
        let bench = Bench::new();
        bench.put(b"hello");
        for table in Table::ALL {
            assert_eq!(bench.store.scan(table, &crate::Scan::all()).unwrap(), []);
        }
    }

    #[tokio::test]
    async fn a_stream_is_stored_whatever_its_pieces() {
        let bench = Bench::new();
        for size_bytes in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES + 5] {
            let bytes: Vec<u8> = (0..size_bytes).map(|index| (index / 255) as u8).collect();
            let info = bench.blobs.put(bytes.as_slice(), LIMITS).await.unwrap();
            assert_eq!((info.cid, info.size_bytes), (Cid::of(&bytes), size_bytes as u64));
            let file = bench.blobs.open_verified(info.cid).await.unwrap();
            assert!(read(file) == bytes);
        }
    }

    #[tokio::test]
    async fn the_bytes_of_a_blob_are_compared_once_for_all_who_ask_for_it() {
        let bench = Bench::new();
        let cid = bench.put(&vec![7; 4 * PIECE_BYTES]);
        let turn = bench.blobs.inner.turns.wait(cid).await;
        let open = |blobs: Blobs| async move { blobs.open_verified(cid).await.map(drop) };
        let readers: Vec<_> = (0..64).map(|_| tokio::spawn(open(bench.blobs.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(bench.blobs.verifications(), 0, "somebody did not wait for the turn");
        drop(turn);
        for reader in readers {
            reader.await.unwrap().unwrap();
        }
        assert_eq!(bench.blobs.verifications(), 1);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_work_to_those_who_stay() {
        let bench = Bench::new();
        let cid = bench.put(&vec![7; 8 * PIECE_BYTES]);
        let has_begun = async {
            while bench.blobs.verifications() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = bench.blobs.open_verified(cid) => {}
            () = has_begun => {}
        }
        bench.blobs.open_verified(cid).await.unwrap();
        assert_eq!(bench.blobs.verifications(), 1);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_or_stalls_leaves_nothing() {
        let bench = Bench::new();
        let broken = broken_reader(vec![7; PIECE_BYTES + 1]);
        let error = bench.blobs.put(broken, LIMITS).await.unwrap_err();
        assert!(matches!(error, StorageError::Body(_)), "{error:?}");

        let (mut sender, receiver) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut sender, b"half").await.unwrap();
        let put = bench.blobs.put(receiver, LIMITS);
        tokio::time::timeout(Duration::from_millis(50), put).await.unwrap_err();
        assert_eq!(bench.files(), 0);
    }

    /// Gives its bytes, and then an error.
    fn broken_reader(bytes: Vec<u8>) -> impl AsyncRead + Unpin + Send {
        struct Broken(io::Cursor<Vec<u8>>);
        impl AsyncRead for Broken {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                let count = io::Read::read(&mut self.0, buffer.initialize_unfilled())?;
                buffer.advance(count);
                std::task::Poll::Ready(match count {
                    0 => Err(io::ErrorKind::ConnectionReset.into()),
                    _ => Ok(()),
                })
            }
        }
        Broken(io::Cursor::new(bytes))
    }
}
