//! The disk image that a provider writes to a machine: a GPT with the EFI system partition, which
//! holds the unified kernel image, and an empty partition for the node's data.

use std::fs::{self, File};
use std::path::Path;

use crate::Result;
use crate::error::IoContext;
use crate::hash::derived_uuid;
use crate::tool::Tool;

const SECTOR_BYTES: u64 = 512;
const MIB: u64 = 1 << 20;
/// Where partitions begin: the alignment of every disk in use.
const ALIGNMENT_BYTES: u64 = MIB;
/// Room for two of the largest images, and a configuration.
const ESP_BYTES: u64 = 192 * MIB;
/// A place holder: PID 1 grows the partition to the disk's end before it makes a file system.
const DATA_BYTES: u64 = 8 * MIB;

const ESP_LABEL: &str = "ALEPH-ESP";
/// The name by which PID 1 finds the partition.
const DATA_NAME: &str = "aleph-data";
const ESP_TYPE: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const LINUX_DATA_TYPE: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

/// FAT's own beginning of time, 1980-01-01.
const FAT_EPOCH: u64 = 315_532_800;

/// Writes the disk image. All identifiers come from the hash of what is on it.
pub(crate) fn write(uki: &Path, uki_sha256: &[u8; 32], epoch: u64, disk: &Path) -> Result<()> {
    if disk.exists() {
        fs::remove_file(disk).at("remove", disk)?;
    }
    let data_start = ALIGNMENT_BYTES + ESP_BYTES;
    // The last megabyte holds the second copy of the table.
    let size_bytes = data_start + DATA_BYTES + ALIGNMENT_BYTES;
    let file = File::create(disk).at("create", disk)?;
    file.set_len(size_bytes).at("enlarge", disk)?;
    drop(file);

    let guid = |purpose: &str| derived_uuid(purpose, uki_sha256);
    let range = |start: u64, length: u64| {
        format!("{}:{}", start / SECTOR_BYTES, (start + length) / SECTOR_BYTES - 1)
    };
    Tool::new("sgdisk", "gdisk")
        .arg(format!("--disk-guid={}", guid("disk")))
        .arg(format!("--new=1:{}", range(ALIGNMENT_BYTES, ESP_BYTES)))
        .arg(format!("--typecode=1:{ESP_TYPE}"))
        .arg(format!("--change-name=1:{ESP_LABEL}"))
        .arg(format!("--partition-guid=1:{}", guid("esp")))
        .arg(format!("--new=2:{}", range(data_start, DATA_BYTES)))
        .arg(format!("--typecode=2:{LINUX_DATA_TYPE}"))
        .arg(format!("--change-name=2:{DATA_NAME}"))
        .arg(format!("--partition-guid=2:{}", guid("data")))
        .arg(disk)
        .run()?;
    fill_esp(uki, &guid("volume")[..8], epoch, disk)
}

fn fill_esp(uki: &Path, volume_id: &str, epoch: u64, disk: &Path) -> Result<()> {
    Tool::new("mkfs.vfat", "dosfstools")
        .args(["--invariant", "-F", "32", "-s", "4", "-n", ESP_LABEL, "-i", volume_id])
        .arg(format!("--offset={}", ALIGNMENT_BYTES / SECTOR_BYTES))
        .arg(disk)
        .arg((ESP_BYTES / 1024).to_string())
        .run()?;
    // mtools finds the partition at this offset in the file, and takes all times from this.
    let image = format!("{}@@{ALIGNMENT_BYTES}", disk.display());
    let time = epoch.max(FAT_EPOCH).to_string();
    let mtool = |program: &str| {
        Tool::new(program, "mtools")
            .env("SOURCE_DATE_EPOCH", &time)
            .env("MTOOLS_SKIP_CHECK", "1")
            .args(["-i", &image])
    };
    mtool("mmd").args(["::/EFI", "::/EFI/BOOT"]).run()?;
    mtool("mcopy").arg(uki).arg("::/EFI/BOOT/BOOTX64.EFI").run()?;
    Ok(())
}
