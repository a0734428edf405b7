//! The GPT: reading it, and growing the last partition to the end of the disk.
//!
//! A flashed image is smaller than the disk. The first boot moves the backup table to the disk's
//! end and lets the data partition take the space between. The new backup is on the disk before
//! the primary changes, so that a power cut leaves one valid table where firmware looks for it.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::{fd::AsRawFd, unix::fs::FileExt, unix::fs::FileTypeExt},
    path::Path,
};

use gpt::{GptConfig, GptDisk, disk::LogicalBlockSize};

use crate::error::{Context, Error, Result};

/// Both ends of a disk that hold GPT structures are inside this much.
const EDGE_BYTES: u64 = 1024 * 1024;

/// Partitions end on a multiple of this, as every partitioning tool has it.
const ALIGNMENT_BYTES: u64 = 1024 * 1024;

const ESP_TYPE_GUID: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// What a disk's GPT says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionTable {
    /// In the table's order.
    pub partitions: Vec<Partition>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Counted from 1.
    pub number: u32,
    /// Unique GUID, lower case.
    pub guid: String,
    /// The name.
    pub name: String,
    /// Whether it has the type of an EFI system partition.
    pub is_esp: bool,
    /// First logical block.
    pub first_lba: u64,
    /// Last logical block, inclusive.
    pub last_lba: u64,
}

/// A partition that was made larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Growth {
    /// Its number.
    pub number: u32,
    /// Where it starts, in bytes.
    pub start_bytes: u64,
    /// Its new length in bytes.
    pub length_bytes: u64,
}

impl PartitionTable {
    /// Reads the table of a disk or of a disk image.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let disk =
            Edges::open(path, false)?.gpt(false).map_err(|reason| table_error(path, reason))?;
        let partitions = disk
            .partitions()
            .iter()
            .filter(|(_, partition)| partition.is_used())
            .map(|(&number, partition)| Partition {
                number,
                guid: partition.part_guid.to_string(),
                name: partition.name.clone(),
                is_esp: partition
                    .part_type_guid
                    .guid
                    .to_string()
                    .eq_ignore_ascii_case(ESP_TYPE_GUID),
                first_lba: partition.first_lba,
                last_lba: partition.last_lba,
            })
            .collect();
        Ok(Self { partitions })
    }
}

/// Grows a partition to the end of the disk. `None`: it already reaches it, or another partition
/// lies behind it.
pub(crate) fn grow(path: &Path, number: u32) -> Result<Option<Growth>> {
    let edges = Edges::open(path, true)?;
    let (size_bytes, sector) = (edges.size_bytes, edges.sector);
    let mut disk = edges.gpt(true).map_err(|reason| table_error(path, reason))?;
    let mut partitions = disk.partitions().clone();
    let Some(new_last) = new_last_lba(&partitions, number, size_bytes, sector.as_u64()) else {
        return Ok(None);
    };
    // The `gpt` crate writes used entries without gaps: it would renumber what comes after one.
    let numbers_have_gaps = partitions.keys().zip(1..).any(|(&have, want)| have != want);
    if numbers_have_gaps {
        return Err(table_error(path, "its partition numbers have gaps; sort them".to_owned()));
    }
    let Some(entry) = partitions.get_mut(&number) else { return Ok(None) };
    entry.last_lba = new_last;
    let growth = Growth {
        number,
        start_bytes: entry.first_lba * sector.as_u64(),
        length_bytes: (new_last - entry.first_lba + 1) * sector.as_u64(),
    };
    let failed = |error: gpt::GptError| table_error(path, error.to_string());
    disk.update_partitions(partitions).map_err(failed)?;
    let edges = disk.write().map_err(failed)?;
    edges.store().while_trying(|| format!("write the partition table of {}", path.display()))?;
    Ok(Some(growth))
}

/// Tells the kernel about a grown partition; the disk's other partitions may be in use.
pub(crate) fn tell_kernel(disk: &Path, growth: Growth) -> Result<()> {
    let file = File::open(disk).while_trying(|| format!("open {}", disk.display()))?;
    let mut partition = BlkpgPartition {
        start: growth.start_bytes.cast_signed(),
        length: growth.length_bytes.cast_signed(),
        number: growth.number.cast_signed(),
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let argument = BlkpgArgument {
        operation: BLKPG_RESIZE_PARTITION,
        flags: 0,
        data_length: size_of::<BlkpgPartition>() as i32,
        data: &raw mut partition,
    };
    // SAFETY: `argument` has the layout of `struct blkpg_ioctl_arg`, its pointer is valid for the
    // length that it states, and both outlive the call.
    unsafe { blkpg(file.as_raw_fd(), &raw const argument) }
        .while_trying(|| format!("resize partition {} of {}", growth.number, disk.display()))?;
    Ok(())
}

/// The last block that the partition could have, if that is more than it has now.
fn new_last_lba(
    partitions: &BTreeMap<u32, gpt::partition::Partition>,
    number: u32,
    size_bytes: u64,
    sector_bytes: u64,
) -> Option<u64> {
    /// 128 entries of 128 bytes.
    const ENTRIES_BYTES: u64 = 128 * 128;
    let entry = partitions.get(&number)?;
    let is_last = partitions.values().all(|other| other.last_lba <= entry.last_lba);
    let backup_lbas = 1 + ENTRIES_BYTES.div_ceil(sector_bytes);
    let usable_lbas = (size_bytes / sector_bytes).checked_sub(backup_lbas)?;
    let alignment_lbas = ALIGNMENT_BYTES / sector_bytes;
    let new_last = (usable_lbas / alignment_lbas * alignment_lbas).checked_sub(1)?;
    (is_last && new_last > entry.last_lba).then_some(new_last)
}

fn table_error(path: &Path, reason: String) -> Error {
    Error::PartitionTable { disk: path.display().to_string(), reason }
}

/// A disk's first and last mebibyte in memory. The `gpt` crate works on them; what it changed is
/// then written in an order that survives a power cut.
#[derive(Debug)]
struct Edges {
    file: File,
    size_bytes: u64,
    sector: LogicalBlockSize,
    head: Vec<u8>,
    tail: Vec<u8>,
    position: u64,
}

impl Edges {
    fn open(path: &Path, writable: bool) -> Result<Self> {
        let open = || -> io::Result<Self> {
            let mut file = OpenOptions::new().read(true).write(writable).open(path)?;
            let size_bytes = file.seek(SeekFrom::End(0))?;
            if size_bytes < 2 * EDGE_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "smaller than 2 MiB"));
            }
            let sector = sector_size(&file)?;
            let mut head = vec![0; EDGE_BYTES as usize];
            file.read_exact_at(&mut head, 0)?;
            let mut tail = vec![0; EDGE_BYTES as usize];
            file.read_exact_at(&mut tail, size_bytes - EDGE_BYTES)?;
            Ok(Self { file, size_bytes, sector, head, tail, position: 0 })
        };
        open().while_trying(|| format!("read {}", path.display()))
    }

    fn gpt(self, writable: bool) -> Result<GptDisk<Self>, String> {
        GptConfig::new()
            .writable(writable)
            .logical_block_size(self.sector)
            .open_from_device(self)
            .map_err(|error| error.to_string())
    }

    fn store(&self) -> io::Result<()> {
        self.file.write_all_at(&self.tail, self.size_bytes - EDGE_BYTES)?;
        self.file.sync_all()?;
        self.file.write_all_at(&self.head, 0)?;
        self.file.sync_all()
    }

    /// The bytes in memory from the current position on.
    fn window(&mut self) -> io::Result<&mut [u8]> {
        let tail_start = self.size_bytes - EDGE_BYTES;
        if self.position < EDGE_BYTES {
            Ok(&mut self.head[self.position as usize..])
        } else if (tail_start..=self.size_bytes).contains(&self.position) {
            Ok(&mut self.tail[(self.position - tail_start) as usize..])
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a GPT structure in the disk's middle"))
        }
    }
}

impl Read for Edges {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let window = self.window()?;
        let count = window.len().min(buffer.len());
        buffer[..count].copy_from_slice(&window[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Edges {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let window = self.window()?;
        let count = window.len().min(buffer.len());
        window[..count].copy_from_slice(&buffer[..count]);
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Edges {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size_bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

fn sector_size(file: &File) -> io::Result<LogicalBlockSize> {
    if !file.metadata()?.file_type().is_block_device() {
        return Ok(LogicalBlockSize::Lb512);
    }
    let mut bytes: libc::c_int = 0;
    // SAFETY: BLKSSZGET stores one int through the pointer.
    unsafe { blksszget(file.as_raw_fd(), &raw mut bytes) }?;
    match bytes {
        512 => Ok(LogicalBlockSize::Lb512),
        4096 => Ok(LogicalBlockSize::Lb4096),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, format!("{bytes}-byte sectors"))),
    }
}

const BLKPG_RESIZE_PARTITION: i32 = 3;

nix::ioctl_read_bad!(blksszget, 0x1268, libc::c_int);
nix::ioctl_write_ptr_bad!(blkpg, 0x1269, BlkpgArgument);

/// `struct blkpg_partition` of linux/blkpg.h.
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: i32,
    device_name: [u8; 64],
    volume_name: [u8; 64],
}

/// `struct blkpg_ioctl_arg` of linux/blkpg.h.
#[repr(C)]
struct BlkpgArgument {
    operation: i32,
    flags: i32,
    data_length: i32,
    data: *mut BlkpgPartition,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::NamedTempFile;

    const MIB: u64 = 1024 * 1024;

    /// An image with an ESP at 1 MiB and a data partition of 8 MiB behind it.
    fn image(size_bytes: u64) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(size_bytes).unwrap();
        let device = file.reopen().unwrap();
        let mut disk = GptConfig::new().writable(true).create_from_device(device, None).unwrap();
        let aligned = Some(2048);
        disk.add_partition("ALEPH-ESP", 4 * MIB, gpt::partition_types::EFI, 0, aligned).unwrap();
        disk.add_partition("aleph-data", 8 * MIB, gpt::partition_types::LINUX_FS, 0, aligned)
            .unwrap();
        disk.write().unwrap();
        file
    }

    #[test]
    fn the_table_is_read() {
        let image = image(16 * MIB);
        let table = PartitionTable::read(image.path()).unwrap();
        let names: Vec<_> = table.partitions.iter().map(|p| (p.number, p.name.as_str())).collect();
        assert_eq!(names, [(1, "ALEPH-ESP"), (2, "aleph-data")]);
        assert!(table.partitions[0].is_esp && !table.partitions[1].is_esp);
    }

    #[test]
    fn a_larger_disk_is_taken_up_to_its_end_once() {
        let image = image(16 * MIB);
        let before = PartitionTable::read(image.path()).unwrap();
        image.as_file().set_len(100 * MIB).unwrap();
        let growth = grow(image.path(), 2).unwrap().unwrap();
        let start_bytes = before.partitions[1].first_lba * 512;
        // The last mebibyte holds the backup table.
        assert_eq!(growth.start_bytes + growth.length_bytes, 99 * MIB);
        assert_eq!(growth, Growth { number: 2, start_bytes, length_bytes: 99 * MIB - start_bytes });

        let strict = GptConfig::new().only_valid_headers(true).open(image.path()).unwrap();
        assert_eq!(strict.backup_header().unwrap().current_lba, 100 * MIB / 512 - 1);
        assert_eq!(strict.primary_header().unwrap().backup_lba, 100 * MIB / 512 - 1);
        let after = PartitionTable::read(image.path()).unwrap();
        assert_eq!(after.partitions[0], before.partitions[0]);
        assert_eq!(after.partitions[1].guid, before.partitions[1].guid);
        assert_eq!(grow(image.path(), 2).unwrap(), None);
    }

    #[test]
    fn a_partition_with_another_behind_it_stays() {
        let image = image(16 * MIB);
        image.as_file().set_len(100 * MIB).unwrap();
        assert_eq!(grow(image.path(), 1).unwrap(), None);
    }

    #[test]
    fn either_half_of_the_write_leaves_a_valid_table() {
        let image = image(16 * MIB);
        image.as_file().set_len(64 * MIB).unwrap();
        let mut old = vec![0; MIB as usize];
        image.as_file().read_exact_at(&mut old, 0).unwrap();
        grow(image.path(), 2).unwrap().unwrap();
        // Power cut after the backup: the primary is still the old one, and is grown again.
        image.as_file().write_all_at(&old, 0).unwrap();
        assert_eq!(PartitionTable::read(image.path()).unwrap().partitions.len(), 2);
        assert!(grow(image.path(), 2).unwrap().is_some());
        // Power cut in the middle of the primary: the backup at the end takes over.
        image.as_file().write_all_at(&[0xff; 512], 512).unwrap();
        let table = PartitionTable::read(image.path()).unwrap();
        assert_eq!((table.partitions[1].last_lba + 1) * 512, 63 * MIB);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let file = NamedTempFile::new().unwrap();
        assert!(PartitionTable::read(file.path()).is_err());
        file.as_file().set_len(4 * MIB).unwrap();
        assert!(PartitionTable::read(file.path()).is_err());
        file.as_file().write_all_at(&[0xa5; 4096], 0).unwrap();
        assert!(PartitionTable::read(file.path()).is_err());
    }

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<BlkpgPartition>(), 152);
        assert_eq!(size_of::<BlkpgArgument>(), 24);
    }
}
