use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::{FallocateFlags, fallocate, ioctl_ficlone, statvfs};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::ExecutorError;

/// Makes a machine's disk: a copy of the image, grown to the disk's size. A disk that is there
/// already is whole and holds the customer's data: it is left as it is. Blocks, for long where
/// the file system cannot share blocks.
pub(crate) fn prepare(
    path: &Path,
    image: &File,
    disk_mib: u64,
    cancelled: &CancellationToken,
) -> Result<(), ExecutorError> {
    let failed = |doing| ExecutorError::file(doing, path);
    if path.exists() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(ExecutorError::file("create", folder))?;
    // Under its name only when whole: a copy that was interrupted is begun anew, and takes no room
    // until then.
    let part = path.with_extension("part");
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("begin")(error));
        }
        _ => {}
    }
    let image_bytes = image.metadata().map_err(failed("measure the image of"))?.len();
    let disk_bytes = disk_mib.saturating_mul(MIB);
    if image_bytes > disk_bytes {
        return Err(ExecutorError::DiskTooSmall { image_mib: image_bytes.div_ceil(MIB), disk_mib });
    }
    let available_mib = available_mib(folder)?;
    if available_mib < disk_mib {
        return Err(ExecutorError::DiskFull { available_mib, disk_mib });
    }
    let made = make(&part, image, image_bytes, disk_bytes, cancelled);
    let made = made.and_then(|()| {
        fs::rename(&part, path)?;
        File::open(folder)?.sync_all()
    });
    made.map_err(|error| {
        // What is left of it takes room that another disk may need. If it cannot be removed now, it
        // is before the next try.
        let _ = fs::remove_file(&part);
        match error.kind() {
            _ if cancelled.is_cancelled() => ExecutorError::Cancelled,
            // Others may have taken the room since it was measured.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ExecutorError::DiskFull { available_mib, disk_mib }
            }
            _ => failed("make")(error),
        }
    })
}

fn available_mib(folder: &Path) -> Result<u64, ExecutorError> {
    let stat = statvfs(folder)
        .map_err(|error| ExecutorError::file("measure the disk of", folder)(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) / MIB)
}

/// Fills a new file with the image, and grows it to the disk's size.
fn make(
    part: &Path,
    image: &File,
    image_bytes: u64,
    disk_bytes: u64,
    cancelled: &CancellationToken,
) -> io::Result<()> {
    let disk = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part)?;
    if let Err(error) = ioctl_ficlone(&disk, image) {
        debug!(%error, "the file system does not share blocks: copying the image");
        copy(image, &disk, image_bytes, cancelled)?;
    }
    disk.set_len(disk_bytes)?;
    // What a customer was promised is taken now: later uploads find the disk that much fuller,
    // instead of a guest finding no room for what it writes.
    fallocate(&disk, FallocateFlags::empty(), 0, disk_bytes)?;
    disk.sync_all()
}

const MIB: u64 = 1 << 20;
const PIECE_BYTES: usize = 1 << 20;
/// Zeros of this size and place are left out of a copy.
const HOLE_BYTES: usize = 64 << 10;

/// Copies that many bytes into an empty file; zeros become holes. Blocks.
pub(crate) fn copy(
    from: &File,
    to: &File,
    size_bytes: u64,
    cancelled: &CancellationToken,
) -> io::Result<()> {
    to.set_len(size_bytes)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < size_bytes {
        if cancelled.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = size_bytes.saturating_sub(offset).min(PIECE_BYTES as u64) as usize;
        let piece = &mut piece[..count];
        from.read_exact_at(piece, offset)?;
        for (index, part) in piece.chunks(HOLE_BYTES).enumerate() {
            if part.iter().any(|byte| *byte != 0) {
                to.write_all_at(part, offset + (index * HOLE_BYTES) as u64)?;
            }
        }
        offset += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn image(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    #[test]
    fn a_disk_is_its_image_and_then_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7/root.img");
        let mut bytes = vec![0; 3 * PIECE_BYTES / 2 + 5];
        bytes[70_000] = 1;
        *bytes.last_mut().unwrap() = 2;
        prepare(&path, &image(&bytes), 4, &CancellationToken::new()).unwrap();
        let disk = fs::read(&path).unwrap();
        assert_eq!(disk.len(), 4 << 20);
        assert!(disk[..bytes.len()] == bytes);
        assert!(disk[bytes.len()..].iter().all(|byte| *byte == 0));
        assert!(!path.with_extension("part").exists());
    }

    #[test]
    fn a_copy_leaves_out_zeros_and_stops_when_told() {
        let (from, to) = (image(&[1; 100]), tempfile::tempfile().unwrap());
        from.set_len(8 << 20).unwrap();
        copy(&from, &to, 8 << 20, &CancellationToken::new()).unwrap();
        let metadata = to.metadata().unwrap();
        assert_eq!(metadata.len(), 8 << 20);
        assert!(metadata.blocks() * 512 <= 1 << 20, "{} blocks", metadata.blocks());

        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let error = copy(&from, &to, 8 << 20, &cancelled).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn a_disk_that_is_there_is_kept_and_a_half_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.img");
        fs::write(path.with_extension("part"), vec![9; 3 << 20]).unwrap();
        prepare(&path, &image(b"first"), 1, &CancellationToken::new()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
        prepare(&path, &image(b"second"), 1, &CancellationToken::new()).unwrap();
        assert!(fs::read(&path).unwrap().starts_with(b"first\0"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.img");
        let token = CancellationToken::new();
        let error = prepare(&path, &image(&vec![1; PIECE_BYTES + 1]), 1, &token).unwrap_err();
        assert!(matches!(error, ExecutorError::DiskTooSmall { image_mib: 2, disk_mib: 1 }));
        let error = prepare(&path, &image(b"x"), u64::MAX >> 21, &token).unwrap_err();
        assert!(matches!(error, ExecutorError::DiskFull { .. }), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn what_an_interrupted_copy_left_takes_no_room_from_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.img");
        let part = path.with_extension("part");
        fs::write(&part, vec![9; 1 << 20]).unwrap();
        let token = CancellationToken::new();
        prepare(&path, &image(b"x"), u64::MAX >> 21, &token).unwrap_err();
        assert!(!part.exists());
    }
}
