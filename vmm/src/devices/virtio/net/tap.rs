//! A tap: the host's end of the cable. Each read or write is one frame behind a header.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::HEADER_SIZE_BYTES;
use crate::Error;

/// Offloads that the host may leave to the guest (`linux/if_tun.h`).
const TUN_F_CSUM: libc::c_uint = 0x01;
const TUN_F_TSO4: libc::c_uint = 0x02;
const TUN_F_TSO6: libc::c_uint = 0x04;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
const TUNSETVNETHDRSZ: libc::Ioctl = 0x4004_54d8;

/// What the guest's driver takes over from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offloads {
    pub(super) checksum: bool,
    pub(super) tso4: bool,
    pub(super) tso6: bool,
}

/// A network device of the host, attached by whoever opened it.
#[derive(Debug)]
pub(super) struct Tap {
    file: File,
}

impl Tap {
    /// Takes a tap that was opened with `IFF_TAP | IFF_NO_PI | IFF_VNET_HDR`.
    pub(super) fn new(file: File) -> Result<Tap, Error> {
        let size = HEADER_SIZE_BYTES as libc::c_int;
        // SAFETY: the kernel reads one integer, which outlives the call.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETVNETHDRSZ, &raw const size) };
        check(result).map_err(Error::io("prepare a tap"))?;
        let tap = Tap { file };
        rustix::io::ioctl_fionbio(&tap.file, true).map_err(Error::io("prepare a tap"))?;
        Ok(tap)
    }

    /// Any descriptor that moves whole packets, for tests without the right to make taps.
    #[cfg(test)]
    pub(super) fn from_packets(file: File) -> Tap {
        rustix::io::ioctl_fionbio(&file, true).unwrap();
        Tap { file }
    }

    /// Tells the host what the guest's driver understands.
    pub(super) fn set_offloads(&self, offloads: Offloads) -> io::Result<()> {
        let Offloads { checksum, tso4, tso6 } = offloads;
        let mut flags = 0;
        // Segmentation needs checksums: without them the kernel refuses it.
        if checksum {
            flags |= TUN_F_CSUM;
            flags |= if tso4 { TUN_F_TSO4 } else { 0 };
            flags |= if tso6 { TUN_F_TSO6 } else { 0 };
        }
        // SAFETY: the argument is a number, no pointer.
        check(unsafe {
            libc::ioctl(self.file.as_raw_fd(), TUNSETOFFLOAD, libc::c_ulong::from(flags))
        })
    }

    /// Receives one frame into the pieces; nothing if there is none.
    ///
    /// # Safety
    ///
    /// The pieces are valid for writes and no Rust reference points into them.
    pub(super) unsafe fn receive(&self, pieces: &[libc::iovec]) -> io::Result<Option<usize>> {
        retry(|| {
            // SAFETY: the caller's promise; the count is that of the slice.
            unsafe { libc::readv(self.file.as_raw_fd(), pieces.as_ptr(), pieces.len() as i32) }
        })
    }

    /// Sends one frame from the pieces; nothing if the host takes none now.
    ///
    /// # Safety
    ///
    /// The pieces are valid for reads.
    pub(super) unsafe fn send(&self, pieces: &[libc::iovec]) -> io::Result<Option<usize>> {
        retry(|| {
            // SAFETY: the caller's promise; the count is that of the slice.
            unsafe { libc::writev(self.file.as_raw_fd(), pieces.as_ptr(), pieces.len() as i32) }
        })
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn retry(mut call: impl FnMut() -> isize) -> io::Result<Option<usize>> {
    loop {
        let moved = call();
        if moved >= 0 {
            return Ok(Some(moved as usize));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(None),
            _ => return Err(error),
        }
    }
}
