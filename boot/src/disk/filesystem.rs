//! XFS on the data partition: is there one, make one, let it fill its partition.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::Path,
    process::{Command, Stdio},
};

use crate::error::{Context, Error, Result};

/// The only program that PID 1 runs besides the agent.
pub(crate) const MKFS: &str = "/usr/sbin/mkfs.xfs";

/// Every known file system, RAID and encryption header starts inside this much.
const PROBE_BYTES: usize = 1024 * 1024;

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Zeros: never used.
    Blank,
    /// An XFS.
    Xfs,
    /// An XFS that was being made when the power went: nothing of anybody's is on it.
    UnfinishedXfs,
    /// Something else, which must not be overwritten.
    Foreign(&'static str),
}

/// Looks at the start of a partition.
pub(crate) fn probe(device: &Path) -> Result<Content> {
    let mut start = vec![0; PROBE_BYTES];
    File::open(device)
        .and_then(|file| file.read_exact_at(&mut start, 0))
        .while_trying(|| format!("read {}", device.display()))?;
    Ok(classify(&start))
}

fn classify(start: &[u8]) -> Content {
    /// Offset of `sb_inprogress` in the XFS superblock, which `mkfs.xfs` clears at its very end.
    const XFS_IN_PROGRESS: usize = 126;
    const KNOWN: [(usize, &[u8], &str); 7] = [
        (0, b"LUKS\xba\xbe", "a LUKS volume"),
        (3, b"NTFS    ", "an NTFS"),
        (82, b"FAT32   ", "a FAT file system"),
        (512, b"LABELONE", "an LVM volume"),
        (1080, b"\x53\xef", "an ext2, ext3 or ext4"),
        (4086, b"SWAPSPACE2", "swap space"),
        (65600, b"_BHRfS_M", "a Btrfs"),
    ];
    let has = |offset: usize, magic: &[u8]| {
        start.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    if has(0, b"XFSB") {
        let in_progress = start.get(XFS_IN_PROGRESS).is_some_and(|&flag| flag != 0);
        return if in_progress { Content::UnfinishedXfs } else { Content::Xfs };
    }
    if let Some((_, _, name)) = KNOWN.iter().find(|(offset, magic, _)| has(*offset, magic)) {
        return Content::Foreign(name);
    }
    if has(0, &[0; 512]) && has(512, b"XAGF") {
        return Content::Foreign("an XFS without its superblock (xfs_repair may restore it)");
    }
    if start.iter().all(|&byte| byte == 0) {
        Content::Blank
    } else {
        Content::Foreign("data of an unknown kind")
    }
}

/// Makes an XFS. The caller has looked at what was there.
pub(crate) fn make(device: &Path) -> Result<()> {
    let output = Command::new(MKFS)
        .args(["-q", "-f", "-K", "-L", "aleph-data", "-m", "crc=1,reflink=1"])
        .arg(device)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .while_trying(|| format!("start {MKFS}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last_lines: Vec<&str> = text.lines().rev().take(3).collect();
    let output_end = last_lines.into_iter().rev().collect::<Vec<_>>().join("; ");
    Err(Error::Program { program: MKFS, status: output.status.to_string(), output: output_end })
}

/// Lets a mounted XFS fill its device; says how many bytes it gained.
pub(crate) fn grow(mount_point: &Path, device_bytes: u64) -> Result<u64> {
    let directory =
        File::open(mount_point).while_trying(|| format!("open {}", mount_point.display()))?;
    let mut geometry = XfsGeometry::default();
    // SAFETY: XFS_IOC_FSGEOMETRY_V1 fills in the structure, whose layout is the kernel's.
    unsafe { xfs_geometry(directory.as_raw_fd(), &raw mut geometry) }
        .while_trying(|| format!("ask for the geometry of {}", mount_point.display()))?;
    let block_bytes = u64::from(geometry.block_size);
    let blocks = device_bytes
        .checked_div(block_bytes)
        .ok_or(io::Error::from(io::ErrorKind::InvalidData))
        .while_trying(|| format!("use the geometry of {}", mount_point.display()))?;
    if !worth_growing(geometry.data_blocks, blocks) {
        return Ok(0);
    }
    let request = XfsGrow { new_blocks: blocks, inode_percent_max: geometry.inode_percent_max };
    // SAFETY: `request` has the layout of `struct xfs_growfs_data` and outlives the call.
    unsafe { xfs_grow(directory.as_raw_fd(), &raw const request) }
        .while_trying(|| format!("grow the XFS at {}", mount_point.display()))?;
    Ok((blocks - geometry.data_blocks) * block_bytes)
}

/// XFS refuses to add an allocation group below its minimum of 64 blocks.
fn worth_growing(have_blocks: u64, blocks: u64) -> bool {
    const GROUP_BLOCKS_MIN: u64 = 64;
    blocks >= have_blocks.saturating_add(GROUP_BLOCKS_MIN)
}

nix::ioctl_read!(xfs_geometry, b'X', 100, XfsGeometry);
nix::ioctl_write_ptr!(xfs_grow, b'X', 110, XfsGrow);

/// `struct xfs_fsop_geom_v1` of xfs_fs.h.
#[repr(C)]
#[derive(Default)]
struct XfsGeometry {
    block_size: u32,
    realtime_extent_size: u32,
    group_blocks: u32,
    group_count: u32,
    log_blocks: u32,
    sector_size: u32,
    inode_size: u32,
    inode_percent_max: u32,
    data_blocks: u64,
    realtime_blocks: u64,
    realtime_extents: u64,
    log_start: u64,
    uuid: [u8; 16],
    stripe_unit: u32,
    stripe_width: u32,
    version: i32,
    flags: u32,
    log_sector_size: u32,
    realtime_sector_size: u32,
    directory_block_size: u32,
}

/// `struct xfs_growfs_data` of xfs_fs.h.
#[repr(C)]
struct XfsGrow {
    new_blocks: u64,
    inode_percent_max: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(offset: usize, bytes: &[u8]) -> Vec<u8> {
        let mut start = vec![0; PROBE_BYTES];
        start[offset..offset + bytes.len()].copy_from_slice(bytes);
        start
    }

    #[test]
    fn only_zeros_and_unfinished_xfs_may_be_formatted() {
        assert_eq!(classify(&vec![0; PROBE_BYTES]), Content::Blank);
        assert_eq!(classify(&with(0, b"XFSB")), Content::Xfs);
        let mut unfinished = with(0, b"XFSB");
        unfinished[126] = 1;
        assert_eq!(classify(&unfinished), Content::UnfinishedXfs);
        assert!(matches!(classify(&with(512, b"XAGF")), Content::Foreign(_)));
        assert_eq!(classify(&with(1080, b"\x53\xef")), Content::Foreign("an ext2, ext3 or ext4"));
        assert_eq!(classify(&with(0, b"LUKS\xba\xbe\x00\x02")), Content::Foreign("a LUKS volume"));
        assert_eq!(classify(&with(65600, b"_BHRfS_M")), Content::Foreign("a Btrfs"));
        let unknown = Content::Foreign("data of an unknown kind");
        assert_eq!(classify(&with(PROBE_BYTES - 1, b"x")), unknown);
    }

    #[test]
    fn a_few_blocks_are_not_worth_growing() {
        assert!(!worth_growing(1000, 999));
        assert!(!worth_growing(1000, 1063));
        assert!(worth_growing(1000, 1064));
    }

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<XfsGeometry>(), 112);
        assert_eq!(size_of::<XfsGrow>(), 16);
    }
}
