//! Buffers that the driver has posted for frames to come.

#![allow(unsafe_code)]

use std::collections::VecDeque;

use vm_memory::GuestMemoryBackend;

use crate::Error;
use crate::devices::virtio::chain::Segment;
use crate::memory::GuestMemory;

/// A chain of the receive queue, waiting.
struct Chain {
    head: u16,
    pieces: usize,
    size_bytes: u32,
}

/// Posted chains in order, and their pieces as the kernel wants them.
#[derive(Default)]
pub(super) struct Posted {
    chains: VecDeque<Chain>,
    pieces: VecDeque<libc::iovec>,
    size_bytes: u64,
}

// SAFETY: the pieces point into guest memory, which is mapped as long as the process lives and
// belongs to no thread.
unsafe impl Send for Posted {}

/// What of a frame went into one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) head: u16,
    pub(super) size_bytes: u32,
}

impl Posted {
    /// Adds a chain of writable segments.
    pub(super) fn push(
        &mut self,
        memory: &GuestMemory,
        head: u16,
        segments: &[Segment],
    ) -> Result<(), Error> {
        let mut size_bytes: u32 = 0;
        for segment in segments {
            self.pieces.push_back(piece(memory, *segment)?);
            size_bytes = size_bytes.saturating_add(segment.size_bytes);
        }
        self.chains.push_back(Chain { head, pieces: segments.len(), size_bytes });
        self.size_bytes += u64::from(size_bytes);
        Ok(())
    }

    /// Room in all chains.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The pieces for the next frame: those of the first chain, or of as many as there are for a
    /// frame that may span several.
    pub(super) fn pieces(&mut self, merged: bool) -> &[libc::iovec] {
        let count = match self.chains.front() {
            Some(chain) if !merged => chain.pieces,
            _ => self.pieces.len(),
        };
        let pieces = self.pieces.make_contiguous();
        &pieces[..count.min(PIECES_MAX)]
    }

    /// Takes out the chains that a frame of `size_bytes` filled, in order.
    pub(super) fn fill(&mut self, size_bytes: usize, filled: &mut Vec<Filled>) {
        filled.clear();
        let mut rest = size_bytes as u64;
        while let Some(chain) = self.chains.pop_front() {
            self.pieces.drain(..chain.pieces);
            self.size_bytes -= u64::from(chain.size_bytes);
            let now = rest.min(u64::from(chain.size_bytes));
            filled.push(Filled { head: chain.head, size_bytes: now as u32 });
            rest -= now;
            if rest == 0 {
                break;
            }
        }
    }
}

/// Most pieces of one vectored system call (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// Where a segment lies in this process.
pub(super) fn piece(memory: &GuestMemory, segment: Segment) -> Result<libc::iovec, Error> {
    let slice = GuestMemoryBackend::get_slice(memory, segment.address, segment.size_bytes as usize)
        .map_err(|_| Error::Guest("a network buffer lies outside of memory"))?;
    Ok(libc::iovec { iov_base: slice.ptr_guard_mut().as_ptr().cast(), iov_len: slice.len() })
}

#[cfg(test)]
mod tests {
    use vm_memory::GuestAddress;

    use super::*;

    #[test]
    fn frames_fill_chains_in_order() {
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 0x10_0000)]).unwrap();
        let segment = |address, size_bytes| Segment { address: GuestAddress(address), size_bytes };
        let mut posted = Posted::default();
        posted.push(&memory, 7, &[segment(0, 100), segment(0x1000, 50)]).unwrap();
        posted.push(&memory, 8, &[segment(0x2000, 100)]).unwrap();
        posted.push(&memory, 9, &[segment(0x3000, 100)]).unwrap();
        assert_eq!(posted.size_bytes(), 350);
        assert_eq!(posted.pieces(false).len(), 2);
        assert_eq!(posted.pieces(true).len(), 4);

        let mut filled = Vec::new();
        posted.fill(200, &mut filled);
        let expected = [Filled { head: 7, size_bytes: 150 }, Filled { head: 8, size_bytes: 50 }];
        assert_eq!(filled, expected);
        assert_eq!((posted.size_bytes(), posted.pieces(true).len()), (100, 1));
        posted.fill(100, &mut filled);
        assert_eq!(posted.size_bytes(), 0);
        assert!(posted.push(&memory, 1, &[segment(0x10_0000, 1)]).is_err());
    }
}
