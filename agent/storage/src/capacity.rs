use std::path::Path;

use rustix::fs::statvfs;

use crate::StorageError;

/// How much the data disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// The file system's size.
    pub total_bytes: u64,
    /// What an unprivileged writer could still write.
    pub available_bytes: u64,
    /// What blobs leave free for everything else.
    pub floor_bytes: u64,
}

impl Capacity {
    /// What blobs may still take.
    pub fn usable_bytes(&self) -> u64 {
        self.available_bytes.saturating_sub(self.floor_bytes)
    }

    pub(crate) fn of(path: &Path, floor_bytes: u64) -> Result<Self, StorageError> {
        let stat = statvfs(path)
            .map_err(|error| StorageError::file("read the free space of", path)(error.into()))?;
        Ok(Self {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            floor_bytes,
        })
    }

    pub(crate) fn full(&self) -> StorageError {
        StorageError::Full { available_bytes: self.available_bytes, floor_bytes: self.floor_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_kept_from_blobs() {
        let capacity = Capacity { total_bytes: 100, available_bytes: 30, floor_bytes: 20 };
        assert_eq!(capacity.usable_bytes(), 10);
        assert_eq!(Capacity { available_bytes: 5, ..capacity }.usable_bytes(), 0);
    }

    #[test]
    fn a_real_file_system_reports_itself() {
        let folder = tempfile::tempdir().unwrap();
        let capacity = Capacity::of(folder.path(), 0).unwrap();
        assert!(capacity.total_bytes >= capacity.available_bytes);
        Capacity::of(&folder.path().join("missing"), 0).unwrap_err();
    }
}
