//! A disk that is really full.

use std::{fs, path::Path};

use aleph_storage::{
    Batch, BlobLimits, BlobOptions, BlobState, Blobs, StorageError, Store, StoreOptions, Table,
};
use anyhow::{Result, bail};
use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::geteuid,
};

const LIMITS: BlobLimits = BlobLimits { size_bytes_max: u64::MAX, expected: None };
const DISK_BYTES: u64 = 16 << 20;

/// A file system of its own in memory, gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, and the reason on the output, where this process may not mount.
    fn mount() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            println!("skipped: mounting a small file system needs root");
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let size = std::ffi::CString::new(format!("size={DISK_BYTES}"))?;
        match mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), &*size) {
            Ok(()) => Ok(Some(Self(folder))),
            Err(rustix::io::Errno::PERM) => {
                println!("skipped: this root user may not mount");
                Ok(None)
            }
            Err(error) => bail!("mount failed: {error}"),
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(self.path(), UnmountFlags::DETACH).expect("what was mounted can be unmounted");
    }
}

#[test]
fn uploads_stop_at_the_floor_and_rows_go_on() -> Result<()> {
    let Some(disk) = Disk::mount()? else { return Ok(()) };
    let store = Store::open(&disk.path().join("db"), StoreOptions::default())?;
    let options = BlobOptions { floor_bytes: 8 << 20 };
    let blobs = Blobs::open(&disk.path().join("blobs"), store.clone(), options)?;

    let error = fill(&blobs).unwrap_err();
    assert!(matches!(error, StorageError::Full { floor_bytes: 8_388_608, .. }), "{error:?}");
    assert!(blobs.capacity()?.available_bytes > 7 << 20, "the half upload is still there");
    commit(&store, 100)?;
    Ok(())
}

#[test]
fn a_disk_filled_by_somebody_else_is_reported_and_recovered_from() -> Result<()> {
    let Some(disk) = Disk::mount()? else { return Ok(()) };
    let store = Store::open(&disk.path().join("db"), StoreOptions::default())?;
    let options = BlobOptions { floor_bytes: 0 };
    let blobs = Blobs::open(&disk.path().join("blobs"), store.clone(), options)?;
    let mut upload = blobs.upload(LIMITS)?;
    upload.write(b"kept")?;
    let kept = upload.finish()?.cid;
    commit(&store, 1)?;

    let hog = disk.path().join("hog");
    fs::write(&hog, vec![1; DISK_BYTES as usize]).unwrap_err();
    let error = fill(&blobs).unwrap_err();
    assert!(matches!(error, StorageError::Full { .. }), "{error:?}");
    let error = (2..2000).try_for_each(|number| commit(&store, number)).unwrap_err();
    assert!(matches!(error, StorageError::Full { .. }), "{error:?}");

    // With space again, the same handles go on, and nothing acknowledged is lost.
    fs::remove_file(&hog)?;
    commit(&store, 2)?;
    assert!(store.get(Table::Messages, &1u64.to_be_bytes())?.is_some());
    crate::open_verified(&blobs, kept)?;
    assert_eq!(blobs.info(kept)?.map(|info| info.state), Some(BlobState::Ready));
    Ok(())
}

fn fill(blobs: &Blobs) -> Result<(), StorageError> {
    let mut upload = blobs.upload(LIMITS)?;
    for _ in 0..DISK_BYTES / 65536 {
        upload.write(&[2; 65536])?;
    }
    upload.finish().map(drop)
}

fn commit(store: &Store, number: u64) -> Result<(), StorageError> {
    let mut batch = Batch::new();
    batch.put(Table::Messages, number.to_be_bytes(), vec![3; 10_000]);
    store.commit(&batch)
}
