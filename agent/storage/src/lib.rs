//! The node's durable state: tables of byte rows, and blobs named by their content.
//!
//! [`Store`] keeps the rows (redb, one file), [`Blobs`] the blobs (one file each, with a row per
//! blob). Both handles are cheap to clone and shared by everyone in the process.
//!
//! Tasks: none of its own. Calls block on the disk; asynchronous callers go through
//! [`Store::run`], and through the `async` functions of [`Blobs`], which use tokio's blocking
//! threads.
//!
//! Channels: none.
//!
//! Invariants:
//! - what a call has acknowledged survives `kill -9` and power loss: rows are committed with an
//!   fsync, a blob's bytes are on the disk before its name, and its name before its row;
//! - a blob without a row does not exist, whatever lies in the folder;
//! - nobody reads a blob whose bytes this process has not compared with its name, which is done
//!   once for all who ask, and for few blobs at a time;
//! - a table has one writer; a batch is applied as a whole or not at all;
//! - blobs never take the last of the disk, so that rows can always be written.
//!
//! What it does not do: it does not know what the rows mean, fetch blobs from other nodes, or
//! decide which blobs are referenced. Nobody else in the agent knows redb.

#![forbid(unsafe_code)]

mod blobs;
mod capacity;
mod error;
mod store;

pub use blobs::{BlobInfo, BlobLimits, BlobOptions, BlobState, Blobs, Collected, Upload};
pub use capacity::Capacity;
pub use error::StorageError;
pub use store::{Batch, Row, Scan, Store, StoreOptions, Table};
