//! The data volume at `/data`.

use std::{
    fs,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, mount};

use super::{Disk, filesystem, filesystem::Content, partition_node, partition_table};
use crate::{
    console::say,
    error::{Context, Error, Result},
};

/// Where the data is mounted.
pub(crate) const DATA_DIR: &str = "/data";

const DATA_FLAGS: MountFlags =
    MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// What stands between a partition and its file system. Encryption is another implementation:
/// it opens the partition with the sealed key and gives the mapped device.
pub(crate) trait Volume {
    /// Makes the block device that the file system is on, given the partition's.
    fn open(&self, partition: &Path) -> Result<PathBuf>;
}

/// The partition itself.
pub(crate) struct PlainVolume;

impl Volume for PlainVolume {
    fn open(&self, partition: &Path) -> Result<PathBuf> {
        Ok(partition.to_owned())
    }
}

/// How `/data` came to be, for the console's status block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataState {
    /// On a disk.
    Disk {
        /// The block device.
        device: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// In memory: nothing survives a restart.
    Memory,
}

/// Mounts `/data` from the boot disk, or from memory when that cannot be.
pub(crate) fn mount_data(disk: Result<&Disk, String>, volume: &impl Volume) -> DataState {
    let mounted =
        disk.and_then(|disk| mount_from_disk(disk, volume).map_err(|error| error.to_string()));
    mounted.unwrap_or_else(|reason| {
        say!("{reason}");
        say!("DEGRADED: {DATA_DIR} is in memory, nothing on it survives a restart");
        if let Err(error) =
            mount("tmpfs", DATA_DIR, "tmpfs", DATA_FLAGS, Some(c"mode=0700,size=50%"))
        {
            say!("mount {DATA_DIR} in memory: {error}");
        }
        DataState::Memory
    })
}

fn mount_from_disk(disk: &Disk, volume: &impl Volume) -> Result<DataState> {
    let partition = disk.data()?;
    let node = partition_node(&disk.name, partition.number)?;
    match partition_table::grow(&disk.path(), partition.number) {
        Ok(Some(growth)) => {
            say!(
                "data partition grown to {} MiB, the end of {}",
                growth.length_bytes >> 20,
                disk.name
            );
            if let Err(error) = partition_table::tell_kernel(&disk.path(), growth) {
                say!("{error}; the data partition keeps its size until the next start");
            }
        }
        Ok(None) => {}
        // A small partition is better than none.
        Err(error) => say!("{error}; the data partition keeps its size"),
    }
    let device = volume.open(&node)?;
    match filesystem::probe(&device)? {
        Content::Xfs => {}
        Content::Blank => format(&device, "is blank")?,
        Content::UnfinishedXfs => format(&device, "holds an unfinished XFS")?,
        Content::Foreign(what) => {
            return Err(Error::DataPartition {
                reason: format!(
                    "{} holds {what}, which is not touched; erase its first MiB to let it be \
                     formatted",
                    device.display()
                ),
            });
        }
    }
    mount(&device, DATA_DIR, "xfs", DATA_FLAGS, None)
        .while_trying(|| format!("mount {} at {DATA_DIR}", device.display()))?;
    let size_bytes = size_bytes(&device)?;
    match filesystem::grow(Path::new(DATA_DIR), size_bytes) {
        Ok(0) => {}
        Ok(gained_bytes) => say!("data file system grown by {} MiB", gained_bytes >> 20),
        Err(error) => say!("{error}; the data file system keeps its size"),
    }
    Ok(DataState::Disk { device, size_bytes })
}

fn format(device: &Path, why: &str) -> Result<()> {
    say!("{} {why}: making an XFS", device.display());
    filesystem::make(device)
}

fn size_bytes(device: &Path) -> Result<u64> {
    fs::File::open(device)
        .and_then(|mut file| file.seek(SeekFrom::End(0)))
        .while_trying(|| format!("measure {}", device.display()))
}
