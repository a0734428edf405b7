//! Storage as a whole, under the accidents that happen to machines.

mod crash;
mod full_disk;

use std::fs::File;

use aleph_storage::Blobs;
use aleph_types::Cid;

/// Opens a blob, for tests that block all the time.
fn open_verified(blobs: &Blobs, cid: Cid) -> anyhow::Result<File> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(blobs.open_verified(cid))?)
}
