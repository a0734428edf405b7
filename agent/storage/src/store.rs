use std::{
    fs, io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTableMetadata, TableDefinition, TableError,
};
use tracing::{info, warn};

use crate::{Capacity, StorageError};

/// The database. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// How the database is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Memory for cached pages. The node's idle memory has a budget, and rows are few and small.
    pub cache_bytes: usize,
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// The tables; each has one writer, which also defines its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// What was read from the chain, and how far it was read.
    Chain,
    /// Signed messages by item hash.
    Messages,
    /// Facts about the node itself.
    Node,
    /// Transactions on their way to the chain.
    Outbox,
}

impl Table {
    /// Every table there is.
    pub const ALL: [Self; 4] = [Self::Chain, Self::Messages, Self::Node, Self::Outbox];

    fn rows(self) -> Rows {
        Rows::new(match self {
            Self::Chain => "chain",
            Self::Messages => "messages",
            Self::Node => "node",
            Self::Outbox => "outbox",
        })
    }
}

/// Changes that are made together or not at all, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// A batch that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a row.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.put_in(table.rows(), key.into(), value.into());
    }

    /// Removes a row, if it is there.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.delete_in(table.rows(), key.into());
    }

    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn put_in(&mut self, rows: Rows, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push(Change { rows, key, value: Some(value) });
    }

    pub(crate) fn delete_in(&mut self, rows: Rows, key: Vec<u8>) {
        self.changes.push(Change { rows, key, value: None });
    }
}

/// Which rows to read, in the order of their keys' bytes.
#[derive(Debug, Clone)]
pub struct Scan {
    prefix: Vec<u8>,
    after: Option<Vec<u8>>,
    rows_max: usize,
}

impl Scan {
    /// Rows that one scan returns unless told otherwise: a page, so that memory stays bounded.
    pub const ROWS_MAX: usize = 1024;

    /// All rows.
    pub fn all() -> Self {
        Self::prefix([])
    }

    /// The rows whose keys begin so.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into(), after: None, rows_max: Self::ROWS_MAX }
    }

    /// Goes on after this key: the last one of the page before.
    pub fn after(self, key: impl Into<Vec<u8>>) -> Self {
        Self { after: Some(key.into()), ..self }
    }

    /// Returns at most so many rows.
    pub fn rows_max(self, rows_max: usize) -> Self {
        Self { rows_max, ..self }
    }

    fn start(&self) -> Bound<&[u8]> {
        match &self.after {
            Some(after) if *after >= self.prefix => Bound::Excluded(after),
            _ => Bound::Included(&self.prefix),
        }
    }
}

impl Store {
    /// Opens the database of a folder, and makes it where there is none.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(StorageError::file("create", folder))?;
        let path = folder.join("node.redb");
        let database = open(&path, &options)?;
        let store = Self { inner: Arc::new(Inner { path, options, database: database.into() }) };
        store.check_format()?;
        Ok(store)
    }

    /// The value of a row.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.get_in(table.rows(), key)
    }

    /// One page of rows, as they were at one moment.
    pub fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StorageError> {
        self.scan_in(table.rows(), scan)
    }

    /// How many rows a table has; known without reading them.
    pub fn count(&self, table: Table) -> Result<u64, StorageError> {
        self.inner.with_database("count rows", |database| {
            let transaction = database.begin_read()?;
            match transaction.open_table(table.rows().definition()) {
                Ok(table) => Ok(table.len()?),
                Err(TableError::TableDoesNotExist(_)) => Ok(0),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Makes the batch's changes durable. They are when this returns.
    pub fn commit(&self, batch: &Batch) -> Result<(), StorageError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.inner.with_database("write a batch", |database| {
            let transaction = database.begin_write()?;
            for Change { rows, key, value } in &batch.changes {
                let mut table = transaction.open_table(rows.definition())?;
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                    None => table.remove(key.as_slice())?,
                };
            }
            Ok(transaction.commit()?)
        })
    }

    /// Does blocking work with the database on a thread that may block.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(StorageError::Cancelled)?
    }

    pub(crate) fn get_in(&self, rows: Rows, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.with_database("read a row", |database| {
            let transaction = database.begin_read()?;
            match transaction.open_table(rows.definition()) {
                Ok(table) => Ok(table.get_owned(key)?.map(|value| value.value().to_vec())),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    pub(crate) fn scan_in(&self, rows: Rows, scan: &Scan) -> Result<Vec<Row>, StorageError> {
        self.inner.with_database("read rows", |database| {
            let transaction = database.begin_read()?;
            let table = match transaction.open_table(rows.definition()) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let mut found = Vec::new();
            for row in table.range_owned::<&[u8]>((scan.start(), Bound::Unbounded))? {
                let (key, value) = row?;
                if found.len() == scan.rows_max || !key.value().starts_with(&scan.prefix) {
                    break;
                }
                found.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(found)
        })
    }

    fn check_format(&self) -> Result<(), StorageError> {
        match self.get_in(META, FORMAT_KEY)? {
            Some(format) if format == [FORMAT] => Ok(()),
            Some(format) => Err(StorageError::DatabaseFormat {
                path: self.inner.path.clone(),
                found: format!("{format:?}"),
                supported: format!("{:?}", [FORMAT]),
            }),
            None => {
                let mut batch = Batch::new();
                batch.put_in(META, FORMAT_KEY.to_vec(), vec![FORMAT]);
                self.commit(&batch)
            }
        }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20 }
    }
}

/// A table's name in the file. All tables map bytes to bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows(&'static str);

impl Rows {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self(name)
    }

    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.0)
    }
}

/// The shape of our rows as a whole; grows when a release can no longer read the old ones.
const FORMAT: u8 = 1;
const FORMAT_KEY: &[u8] = b"format";
const META: Rows = Rows::new("meta");

#[derive(Debug, Clone)]
struct Change {
    rows: Rows,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

struct Inner {
    path: PathBuf,
    options: StoreOptions,
    /// Absent after a failure that made it unusable, until the next call opens it again.
    database: RwLock<Option<Database>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Inner {
    /// After one failed disk access redb refuses all work until the file is opened again. That
    /// refusal comes before anything is done, so the same work may be tried once more.
    fn with_database<T>(
        &self,
        doing: &'static str,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StorageError> {
        match self.attempt(&work)? {
            Err(redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
                warn!(path = %self.path.display(), "the database failed before: opening it again");
                self.close();
                self.attempt(&work)?
            }
            outcome => outcome,
        }
        .map_err(|error| self.explain(doing, error))
    }

    fn attempt<T>(
        &self,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<Result<T, redb::Error>, StorageError> {
        self.ensure_open()?;
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = guard.as_ref() else { return Ok(Err(redb::Error::DatabaseClosed)) };
        // redb's own checks of what it reads panic in builds with debug assertions: a damaged
        // page must not take down a thread that holds other work.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(database)));
        drop(guard);
        outcome.map_err(|_| {
            self.close();
            self.corrupt("a page breaks the file's own rules".to_owned())
        })
    }

    fn ensure_open(&self) -> Result<(), StorageError> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            *database = open(&self.path, &self.options)?;
            info!(path = %self.path.display(), "the database is open again");
        }
        Ok(())
    }

    fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn explain(&self, doing: &'static str, error: redb::Error) -> StorageError {
        match error {
            redb::Error::Corrupted(detail) => self.corrupt(detail),
            redb::Error::Io(source) if source.kind() == io::ErrorKind::StorageFull => {
                full(&self.path, source)
            }
            source => StorageError::Database { doing, source: Box::new(source) },
        }
    }

    fn corrupt(&self, detail: String) -> StorageError {
        StorageError::DatabaseCorrupt { path: self.path.clone(), detail }
    }
}

fn open(path: &Path, options: &StoreOptions) -> Result<Option<Database>, StorageError> {
    let corrupt = |detail| StorageError::DatabaseCorrupt { path: path.to_owned(), detail };
    let opened =
        catch_unwind(|| Database::builder().set_cache_size(options.cache_bytes).create(path))
            .map_err(|_| corrupt("a page breaks the file's own rules".to_owned()))?;
    opened.map(Some).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StorageError::InUse { path: path.to_owned() },
        DatabaseError::UpgradeRequired(found) => StorageError::DatabaseFormat {
            path: path.to_owned(),
            found: format!("redb {found}"),
            supported: "redb 3".to_owned(),
        },
        DatabaseError::Storage(redb::StorageError::Corrupted(detail)) => corrupt(detail),
        DatabaseError::Storage(redb::StorageError::Io(source)) => match source.kind() {
            // What redb says of a file that is shorter than its header tells.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                corrupt(source.to_string())
            }
            io::ErrorKind::StorageFull => full(path, source),
            _ => StorageError::file("open the database", path)(source),
        },
        error => StorageError::Database { doing: "be opened", source: Box::new(error.into()) },
    })
}

fn full(path: &Path, source: io::Error) -> StorageError {
    match Capacity::of(path, 0) {
        Ok(capacity) => capacity.full(),
        Err(_) => StorageError::file("write to", path)(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Result<Store, StorageError> {
        Store::open(folder, StoreOptions::default())
    }

    fn put(store: &Store, table: Table, key: &[u8], value: &[u8]) {
        let mut batch = Batch::new();
        batch.put(table, key, value);
        store.commit(&batch).unwrap();
    }

    #[test]
    fn rows_live_on_in_their_table_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        {
            let store = open(folder.path()).unwrap();
            for (number, table) in Table::ALL.into_iter().enumerate() {
                put(&store, table, b"key", &[number as u8]);
            }
        }
        let store = open(folder.path()).unwrap();
        for (number, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(store.get(table, b"key").unwrap(), Some(vec![number as u8]));
            assert_eq!(store.get(table, b"other").unwrap(), None);
        }
    }

    #[test]
    fn a_batch_is_applied_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let mut batch = Batch::new();
        batch.put(Table::Messages, b"a", b"1");
        batch.delete(Table::Messages, b"a");
        batch.put(Table::Messages, b"b", b"1");
        batch.put(Table::Messages, b"b", b"2");
        store.commit(&batch).unwrap();
        assert_eq!(store.get(Table::Messages, b"a").unwrap(), None);
        assert_eq!(store.get(Table::Messages, b"b").unwrap(), Some(b"2".to_vec()));
    }

    #[test]
    fn rows_are_counted_by_table() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        assert_eq!(store.count(Table::Messages).unwrap(), 0);
        put(&store, Table::Messages, b"a", b"1");
        put(&store, Table::Messages, b"b", b"1");
        put(&store, Table::Messages, b"b", b"2");
        assert_eq!(store.count(Table::Messages).unwrap(), 2);
        assert_eq!(store.count(Table::Chain).unwrap(), 0);
    }

    #[test]
    fn pages_of_a_scan_cover_the_prefix_exactly_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let mut batch = Batch::new();
        for number in 0..10u8 {
            batch.put(Table::Chain, [b'x', number], [number]);
        }
        batch.put(Table::Chain, b"w", b"before");
        batch.put(Table::Chain, b"y", b"after");
        store.commit(&batch).unwrap();

        let mut values = Vec::new();
        let mut scan = Scan::prefix(b"x").rows_max(3);
        loop {
            let page = store.scan(Table::Chain, &scan).unwrap();
            let Some((last, _)) = page.last() else { break };
            assert!(page.len() <= 3);
            scan = scan.after(last.clone());
            values.extend(page.into_iter().map(|(_, value)| value[0]));
        }
        assert_eq!(values, (0..10).collect::<Vec<_>>());
        assert_eq!(store.scan(Table::Chain, &Scan::all()).unwrap().len(), 12);
        // A key before the prefix does not widen the scan.
        let scan = Scan::prefix(b"x").after(b"a");
        assert_eq!(store.scan(Table::Chain, &scan).unwrap().len(), 10);
        assert_eq!(store.scan(Table::Outbox, &Scan::all()).unwrap(), []);
    }

    #[test]
    fn a_second_opener_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        assert!(matches!(open(folder.path()), Err(StorageError::InUse { .. })));
        drop(store);
        open(folder.path()).unwrap();
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_left_alone() {
        for content in [b"not a database".repeat(1000), b"redb".to_vec(), vec![0; 8192]] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("node.redb");
            fs::write(&path, &content).unwrap();
            let error = open(folder.path()).unwrap_err();
            assert!(matches!(error, StorageError::DatabaseCorrupt { .. }), "{error:?}");
            assert!(error.to_string().contains("move it aside"));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_newer_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let mut batch = Batch::new();
        batch.put_in(META, FORMAT_KEY.to_vec(), vec![FORMAT + 1]);
        store.commit(&batch).unwrap();
        drop(store);
        assert!(matches!(open(folder.path()), Err(StorageError::DatabaseFormat { .. })));
    }

    #[test]
    fn damage_anywhere_is_an_error_or_harmless_but_never_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        put(&store, Table::Messages, b"key", &[7; 3000]);
        drop(store);
        let path = folder.path().join("node.redb");
        let sound = fs::read(&path).unwrap();

        let mut refused = 0;
        for page in 0..sound.len().min(64 << 10) / 4096 {
            let mut damaged = sound.clone();
            damaged[page * 4096..][..4096].iter_mut().for_each(|byte| *byte = !*byte);
            fs::write(&path, &damaged).unwrap();
            match open(folder.path()).and_then(|store| store.get(Table::Messages, b"key")) {
                Ok(value) => assert!(value.is_none_or(|value| value == [7; 3000])),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0, "no page mattered");
    }

    #[test]
    fn a_closed_database_opens_again_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        put(&store, Table::Node, b"key", b"value");
        store.inner.close();
        assert_eq!(store.get(Table::Node, b"key").unwrap(), Some(b"value".to_vec()));
    }

    #[tokio::test]
    async fn asynchronous_callers_do_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        put(&store, Table::Node, b"key", b"value");
        let value = store.run(|store| store.get(Table::Node, b"key")).await.unwrap();
        assert_eq!(value, Some(b"value".to_vec()));
    }
}
