//! A raw image, and the movement of bytes between it and guest memory.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;

use vm_memory::{GuestMemoryBackend, VolatileSlice};

use super::request::SECTOR_SIZE_BYTES;
use crate::devices::virtio::chain::Segment;
use crate::memory::GuestMemory;

/// Length of the identifier a guest can ask for.
pub(super) const ID_SIZE_BYTES: usize = 20;
/// Most pieces of one vectored system call (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// An open image.
#[derive(Debug)]
pub(super) struct Image {
    file: File,
    size_bytes: u64,
    read_only: bool,
    id: [u8; ID_SIZE_BYTES],
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    ToGuest,
    FromGuest,
}

impl Image {
    /// Takes a file or block device of whole sectors.
    pub(super) fn new(mut file: File, read_only: bool, serial: &str) -> io::Result<Image> {
        let size_bytes = file.seek(SeekFrom::End(0))?;
        if size_bytes == 0 || size_bytes % SECTOR_SIZE_BYTES != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("its size of {size_bytes} bytes is not a positive multiple of 512"),
            ));
        }
        let mut id = [0; ID_SIZE_BYTES];
        for (to, from) in id.iter_mut().zip(serial.bytes()) {
            *to = from;
        }
        Ok(Image { file, size_bytes, read_only, id })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn read_only(&self) -> bool {
        self.read_only
    }

    pub(super) fn id(&self) -> &[u8; ID_SIZE_BYTES] {
        &self.id
    }

    /// Reads from `offset` into all of `segments`.
    pub(super) fn read(
        &self,
        memory: &GuestMemory,
        segments: &[Segment],
        offset: u64,
    ) -> io::Result<()> {
        self.transfer(Direction::ToGuest, memory, segments, offset)
    }

    /// Writes all of `segments` to `offset`.
    pub(super) fn write(
        &self,
        memory: &GuestMemory,
        segments: &[Segment],
        offset: u64,
    ) -> io::Result<()> {
        self.transfer(Direction::FromGuest, memory, segments, offset)
    }

    /// Makes everything written durable.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn transfer(
        &self,
        direction: Direction,
        memory: &GuestMemory,
        segments: &[Segment],
        mut offset: u64,
    ) -> io::Result<()> {
        let mut pieces = pieces(memory, segments)?;
        let mut first = 0;
        while first < pieces.len() {
            let end = pieces.len().min(first + PIECES_MAX);
            let moved = self.call(direction, &pieces[first..end], offset)?;
            offset += moved as u64;
            first += advance(&mut pieces[first..], moved);
        }
        Ok(())
    }

    /// One system call, which may move less than asked for but never nothing.
    fn call(
        &self,
        direction: Direction,
        pieces: &[VolatileSlice<'_>],
        offset: u64,
    ) -> io::Result<usize> {
        let guards: Vec<_> = pieces.iter().map(VolatileSlice::ptr_guard_mut).collect();
        let vectors: Vec<_> = guards
            .iter()
            .map(|guard| libc::iovec { iov_base: guard.as_ptr().cast(), iov_len: guard.len() })
            .collect();
        let (fd, count) = (self.file.as_raw_fd(), vectors.len() as libc::c_int);
        let offset = libc::off_t::try_from(offset)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        loop {
            // SAFETY: each vector is a piece of guest memory, which stays mapped while `guards`
            // lives and of which Rust holds no reference; the kernel reads or writes only there.
            let moved = unsafe {
                match direction {
                    Direction::ToGuest => libc::preadv(fd, vectors.as_ptr(), count, offset),
                    Direction::FromGuest => libc::pwritev(fd, vectors.as_ptr(), count, offset),
                }
            };
            match moved {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                1.. => return Ok(moved as usize),
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
    }
}

fn pieces<'a>(memory: &'a GuestMemory, segments: &[Segment]) -> io::Result<Vec<VolatileSlice<'a>>> {
    let mut pieces = Vec::with_capacity(segments.len());
    for segment in segments {
        for piece in
            GuestMemoryBackend::get_slices(memory, segment.address, segment.size_bytes as usize)
        {
            pieces.push(piece.map_err(io::Error::other)?);
        }
    }
    Ok(pieces)
}

/// Drops the first `moved` bytes; returns how many pieces are done.
fn advance(pieces: &mut [VolatileSlice<'_>], mut moved: usize) -> usize {
    let mut done = 0;
    for piece in pieces {
        if moved < piece.len() {
            if let Ok(rest) = piece.offset(moved) {
                *piece = rest;
            }
            break;
        }
        moved -= piece.len();
        done += 1;
    }
    done
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use vm_memory::{Bytes, GuestAddress};

    use super::*;

    #[test]
    fn bytes_move_both_ways_in_the_order_of_the_segments() {
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 0x4000)]).unwrap();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 1024], 0).unwrap();
        let image = Image::new(file.try_clone().unwrap(), false, "serial").unwrap();
        let segment = |address, size_bytes| Segment { address: GuestAddress(address), size_bytes };

        memory.write_slice(&[1; 100], GuestAddress(0x1000)).unwrap();
        memory.write_slice(&[2; 412], GuestAddress(0x2000)).unwrap();
        image.write(&memory, &[segment(0x1000, 100), segment(0x2000, 412)], 512).unwrap();
        let mut disk = [0; 1024];
        file.read_exact_at(&mut disk, 0).unwrap();
        assert!(disk[..512].iter().all(|byte| *byte == 7));
        assert!(disk[512..612].iter().all(|byte| *byte == 1));
        assert!(disk[612..].iter().all(|byte| *byte == 2));

        image.read(&memory, &[segment(0x3000, 600), segment(0x3800, 424)], 0).unwrap();
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0x3000 + 599)).unwrap(), 1);
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0x3800 + 423)).unwrap(), 2);
        let beyond = image.read(&memory, &[segment(0, 512)], 1024);
        assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(image.read(&memory, &[segment(0x3f00, 512)], 0).is_err(), "outside of memory");
        assert_eq!(&image.id()[..7], b"serial\0");
    }

    #[test]
    fn partial_transfers_go_on_where_they_stopped() {
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
        let segments =
            [10, 20, 30].map(|size_bytes| Segment { address: GuestAddress(0x100), size_bytes });
        for moved in 0..=60 {
            let mut pieces = pieces(&memory, &segments).unwrap();
            let done = advance(&mut pieces, moved);
            let rest: usize = pieces[done..].iter().map(VolatileSlice::len).sum();
            assert_eq!(rest, 60 - moved);
        }
    }
}
