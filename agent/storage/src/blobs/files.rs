use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use aleph_types::{Cid, CidHasher, Digest};

use super::PIECE_BYTES;
use crate::StorageError;

/// The blob folder: `ab/<cid>` for blobs, by the first byte of the hash; `parts/` for uploads on
/// their way, in the same file system so that renaming is atomic; `corrupt/` for what was set
/// aside.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    next_part: AtomicU64,
}

impl Files {
    pub(super) fn open(root: &Path) -> Result<Self, StorageError> {
        for folder in [root.to_owned(), root.join(PARTS), root.join(CORRUPT)] {
            fs::create_dir_all(&folder).map_err(StorageError::file("create", &folder))?;
        }
        Ok(Self { root: root.to_owned(), next_part: AtomicU64::new(0) })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, cid: Cid) -> PathBuf {
        self.shard(cid).join(cid.to_string())
    }

    pub(super) fn open_file(&self, cid: Cid) -> io::Result<File> {
        File::open(self.path(cid))
    }

    pub(super) fn has(&self, cid: Cid, size_bytes: u64) -> bool {
        fs::symlink_metadata(self.path(cid))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == size_bytes)
    }

    pub(super) fn create_part(&self) -> Result<Part, StorageError> {
        let number = self.next_part.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(PARTS).join(number.to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&path)
            .map_err(StorageError::file("create", &path))?;
        Ok(Part { path, file })
    }

    /// Gives a finished upload its name, durably.
    pub(super) fn publish(&self, part: Part, cid: Cid) -> Result<(), StorageError> {
        let shard = self.shard(cid);
        if !shard.exists() {
            fs::create_dir_all(&shard).map_err(StorageError::file("create", &shard))?;
            sync_folder(&self.root)?;
        }
        fs::rename(&part.path, self.path(cid)).map_err(StorageError::file("name", &part.path))?;
        sync_folder(&shard)
    }

    /// Moves a damaged file aside, for whoever looks into the disk's health. One copy is kept.
    pub(super) fn quarantine(&self, cid: Cid) -> Result<(), StorageError> {
        let path = self.path(cid);
        let aside = self.root.join(CORRUPT).join(cid.to_string());
        ignore_missing(fs::rename(&path, &aside))
            .map_err(StorageError::file("set aside", &path))?;
        sync_folder(&self.shard(cid))
    }

    pub(super) fn remove(&self, cid: Cid) -> Result<(), StorageError> {
        for path in [self.path(cid), self.root.join(CORRUPT).join(cid.to_string())] {
            ignore_missing(fs::remove_file(&path)).map_err(StorageError::file("remove", &path))?;
        }
        Ok(())
    }

    /// Removes unfinished uploads; says how many there were.
    pub(super) fn sweep_parts(&self) -> Result<u64, StorageError> {
        let mut count = 0;
        for path in entries(&self.root.join(PARTS))? {
            fs::remove_file(&path).map_err(StorageError::file("remove", &path))?;
            count += 1;
        }
        Ok(count)
    }

    /// Visits every file that lies where blobs lie, with the name it claims, if it is one.
    pub(super) fn for_each(
        &self,
        mut visit: impl FnMut(Option<Cid>, &Path) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for shard in entries(&self.root)? {
            if shard.ends_with(PARTS) || shard.ends_with(CORRUPT) || !shard.is_dir() {
                continue;
            }
            for path in entries(&shard)? {
                let name = path.file_name().and_then(|name| name.to_str());
                let cid = name.and_then(|name| name.parse().ok());
                visit(cid.filter(|cid| self.path(*cid) == path), &path)?;
            }
        }
        Ok(())
    }

    fn shard(&self, cid: Cid) -> PathBuf {
        let Digest([first, ..]) = cid.digest();
        self.root.join(format!("{first:02x}"))
    }
}

/// A file that has no name yet. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all(bytes).map_err(StorageError::file("write to", &self.path))
    }

    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_all().map_err(StorageError::file("sync", &self.path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename there is nothing left under this name; otherwise the sweep at the next
        // start removes what cannot be removed now.
        let _ = fs::remove_file(&self.path);
    }
}

/// Tells whether a file may have changed since it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: (i64, i64),
}

impl Identity {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

/// The name of a file's bytes. Reads by position: the handle's own stays at the start.
pub(super) fn hash(file: &File, size_bytes: u64) -> io::Result<Cid> {
    let mut hasher = CidHasher::new();
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(size_bytes).unwrap_or(PIECE_BYTES))];
    let mut offset = 0;
    while offset < size_bytes {
        let count = match file.read_at(&mut piece, offset) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..count]);
        offset += count as u64;
    }
    Ok(hasher.finish())
}

const PARTS: &str = "parts";
const CORRUPT: &str = "corrupt";

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let list =
        || -> io::Result<Vec<_>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    list().map_err(StorageError::file("list", folder))
}

fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(StorageError::file("sync", folder))
}

fn ignore_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
