use std::{
    io,
    path::{Path, PathBuf},
};

use aleph_types::{Cid, wire::WireError};

/// Why storage could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The database file belongs to another process.
    #[error("{} is open in another process: stop the other agent first", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The database file cannot be read as one.
    #[error(
        "{} is damaged or no database ({detail}): move it aside and restart; the node fetches \
         its state from the chain again",
        path.display()
    )]
    DatabaseCorrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The database was written by a newer or a much older program.
    #[error(
        "{} has format {found}, this program reads {supported}: start the release that wrote it",
        path.display()
    )]
    DatabaseFormat {
        /// The database file.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The format this program reads and writes.
        supported: String,
    },
    /// A transaction failed. It was applied as a whole or not at all, and may be repeated.
    #[error("the database could not {doing}: look at the disk's health, then try again")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// redb's words.
        #[source]
        source: Box<redb::Error>,
    },
    /// A blob's row has no wire form.
    #[error("the index row of blob {cid} cannot be written: report this as a bug")]
    Row {
        /// Whose row it is.
        cid: Cid,
        /// What is wrong with it.
        #[source]
        source: WireError,
    },
    /// The disk has reached the floor that blobs leave free, or is full.
    #[error(
        "the data disk is full: {available_bytes} bytes are free and {floor_bytes} stay reserved; \
         remove blobs or instances, or add disk"
    )]
    Full {
        /// What is free.
        available_bytes: u64,
        /// What blobs leave free.
        floor_bytes: u64,
    },
    /// A blob is larger than its uploader may store.
    #[error("the blob is larger than {size_bytes_max} bytes: split it, or ask for a larger limit")]
    TooLarge {
        /// The greatest size allowed.
        size_bytes_max: u64,
    },
    /// The bytes that came are not those that were announced.
    #[error("the bytes are those of {found}, not of {expected}: send them again")]
    Mismatch {
        /// What was announced.
        expected: Cid,
        /// What came.
        found: Cid,
    },
    /// There is no such blob.
    #[error("blob {cid} is not stored here: upload it first")]
    NotFound {
        /// The blob asked for.
        cid: Cid,
    },
    /// The blob was stored here and is damaged; its file was moved aside.
    #[error("blob {cid} was damaged on this node's disk and is set aside: upload it again")]
    BlobCorrupt {
        /// The damaged blob.
        cid: Cid,
    },
    /// The sender of a blob stopped in the middle.
    #[error("the blob's bytes stopped coming: send it again")]
    Body(#[source] io::Error),
    /// The file system refused something.
    #[error("could not {doing} {}: look at the disk's health", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The run time is shutting down, or the work panicked.
    #[error("storage work was cut off: the agent is stopping")]
    Cancelled(#[source] tokio::task::JoinError),
}

impl StorageError {
    /// For `map_err`: what was tried with which file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}
