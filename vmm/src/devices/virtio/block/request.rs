//! Block requests: from checked buffers to what is to be done.

use vm_memory::{Bytes, GuestAddress};

use crate::Error;
use crate::devices::virtio::chain::{Buffers, Segment, take_front, total_size_bytes};
use crate::memory::GuestMemory;

/// The unit of positions and lengths.
pub const SECTOR_SIZE_BYTES: u64 = 512;

const HEADER_SIZE_BYTES: u32 = 16;
const TYPE_IN: u32 = 0;
const TYPE_OUT: u32 = 1;
const TYPE_FLUSH: u32 = 4;
const TYPE_GET_ID: u32 = 8;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Read from this byte position on.
    Read {
        /// Position on the disk.
        offset_bytes: u64,
    },
    /// Write from this byte position on.
    Write {
        /// Position on the disk.
        offset_bytes: u64,
    },
    /// Make durable what was written.
    Flush,
    /// Tell the disk's serial number.
    GetId,
}

/// Why a request is answered with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense for this disk.
    Invalid,
    /// It is of a kind that was not offered.
    Unsupported,
}

/// A request whose answer has a place.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do, or why not.
    pub kind: Result<Kind, Refusal>,
    /// Data to read or to write.
    pub data: Vec<Segment>,
    /// Where the one byte of the answer goes.
    pub status: GuestAddress,
}

/// The disk, as far as requests are checked against it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Size of the disk.
    pub size_bytes: u64,
    /// Writes are refused.
    pub read_only: bool,
}

impl Request {
    /// Makes sense of a chain's buffers. An error means that there is no place for an answer: the
    /// driver is broken.
    pub fn parse(
        memory: &GuestMemory,
        mut buffers: Buffers,
        limits: Limits,
    ) -> Result<Request, Error> {
        let header = read_header(memory, &mut buffers.readable)?;
        let status = take_status(&mut buffers.writable)?;
        let [kind, _, sector_low, sector_high] = header;
        let sector = u64::from(sector_low) | (u64::from(sector_high) << 32);
        let Buffers { readable, writable } = buffers;
        let (kind, data) = match kind {
            TYPE_IN => {
                let kind = if readable.is_empty() {
                    limits.range(sector, &writable).map(|offset_bytes| Kind::Read { offset_bytes })
                } else {
                    Err(Refusal::Invalid)
                };
                (kind, writable)
            }
            TYPE_OUT => {
                let kind = if writable.is_empty() && !limits.read_only {
                    limits.range(sector, &readable).map(|offset_bytes| Kind::Write { offset_bytes })
                } else {
                    Err(Refusal::Invalid)
                };
                (kind, readable)
            }
            TYPE_FLUSH => (Ok(Kind::Flush), Vec::new()),
            TYPE_GET_ID => (Ok(Kind::GetId), writable),
            _ => (Err(Refusal::Unsupported), Vec::new()),
        };
        Ok(Request { kind, data, status })
    }
}

impl Limits {
    /// The position of a range that lies on the disk: whole sectors, at least one.
    fn range(&self, sector: u64, data: &[Segment]) -> Result<u64, Refusal> {
        let size_bytes = total_size_bytes(data);
        let offset_bytes = sector.checked_mul(SECTOR_SIZE_BYTES).ok_or(Refusal::Invalid)?;
        let end = offset_bytes.checked_add(size_bytes).ok_or(Refusal::Invalid)?;
        let whole = size_bytes > 0 && size_bytes.is_multiple_of(SECTOR_SIZE_BYTES);
        if whole && end <= self.size_bytes { Ok(offset_bytes) } else { Err(Refusal::Invalid) }
    }
}

/// Reads the header, however the driver has cut it into descriptors.
fn read_header(memory: &GuestMemory, readable: &mut Vec<Segment>) -> Result<[u32; 4], Error> {
    let pieces = take_front(readable, HEADER_SIZE_BYTES)
        .ok_or(Error::Guest("a block request has no header"))?;
    let mut bytes = [0; HEADER_SIZE_BYTES as usize];
    let mut rest = &mut bytes[..];
    for piece in pieces {
        let (now, later) = rest.split_at_mut(piece.size_bytes as usize);
        memory
            .read_slice(now, piece.address)
            .map_err(|_| Error::Guest("a block request's header is outside of memory"))?;
        rest = later;
    }
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    Ok(words)
}

/// The answer's place is the last byte the device may write.
fn take_status(writable: &mut Vec<Segment>) -> Result<GuestAddress, Error> {
    let last = writable.last_mut().ok_or(Error::Guest("a block request has no status byte"))?;
    let address = GuestAddress(last.address.0 + u64::from(last.size_bytes) - 1);
    last.size_bytes -= 1;
    if last.size_bytes == 0 {
        writable.pop();
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { size_bytes: 64 * 512, read_only: false };

    fn memory() -> GuestMemory {
        GuestMemory::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap()
    }

    fn segment(address: u64, size_bytes: u32) -> Segment {
        Segment { address: GuestAddress(address), size_bytes }
    }

    fn header(memory: &GuestMemory, kind: u32, sector: u64) {
        memory.write_obj(kind, GuestAddress(0x100)).unwrap();
        memory.write_obj(sector, GuestAddress(0x108)).unwrap();
    }

    fn parse(kind: u32, sector: u64, readable: &[Segment], writable: &[Segment]) -> Request {
        let memory = memory();
        header(&memory, kind, sector);
        let mut buffers = Buffers { readable: vec![segment(0x100, 16)], writable: writable.into() };
        buffers.readable.extend(readable);
        buffers.writable.push(segment(0x200, 1));
        Request::parse(&memory, buffers, LIMITS).unwrap()
    }

    #[test]
    fn good_requests_are_understood() {
        let read = parse(TYPE_IN, 3, &[], &[segment(0x1000, 1024)]);
        assert_eq!(read.kind, Ok(Kind::Read { offset_bytes: 1536 }));
        assert_eq!(read.data, [segment(0x1000, 1024)]);
        assert_eq!(read.status, GuestAddress(0x200));
        let write = parse(TYPE_OUT, 63, &[segment(0x1000, 512)], &[]);
        assert_eq!(write.kind, Ok(Kind::Write { offset_bytes: 63 * 512 }));
        assert_eq!(parse(TYPE_FLUSH, 0, &[], &[]).kind, Ok(Kind::Flush));
        assert_eq!(parse(TYPE_GET_ID, 0, &[], &[segment(0, 20)]).kind, Ok(Kind::GetId));
    }

    #[test]
    fn requests_that_do_not_fit_the_disk_are_refused() {
        let data = [segment(0x1000, 512)];
        for (kind, sector, readable, writable) in [
            (TYPE_IN, 64, &[][..], &data[..]),
            (TYPE_IN, u64::MAX, &[], &data),
            (TYPE_IN, u64::MAX / 512, &[], &data),
            (TYPE_IN, 0, &[], &[segment(0x1000, 513)]),
            (TYPE_IN, 0, &[], &[]),
            (TYPE_IN, 0, &data, &data),
            (TYPE_OUT, 0, &data, &data),
            (TYPE_OUT, 64, &data, &[]),
        ] {
            let request = parse(kind, sector, readable, writable);
            assert_eq!(request.kind, Err(Refusal::Invalid), "{kind} {sector}");
        }
        for kind in [2, 11, 13, u32::MAX] {
            assert_eq!(parse(kind, 0, &[], &[]).kind, Err(Refusal::Unsupported));
        }
    }

    #[test]
    fn a_read_only_disk_refuses_writes() {
        let memory = memory();
        header(&memory, TYPE_OUT, 0);
        let buffers = Buffers {
            readable: vec![segment(0x100, 16), segment(0x1000, 512)],
            writable: vec![segment(0x200, 1)],
        };
        let limits = Limits { read_only: true, ..LIMITS };
        let request = Request::parse(&memory, buffers, limits).unwrap();
        assert_eq!(request.kind, Err(Refusal::Invalid));
    }

    #[test]
    fn requests_without_header_or_status_are_errors() {
        let memory = memory();
        let short = Buffers { readable: vec![segment(0, 15)], writable: vec![segment(0, 1)] };
        assert!(matches!(Request::parse(&memory, short, LIMITS), Err(Error::Guest(_))));
        let mute = Buffers { readable: vec![segment(0, 16)], writable: Vec::new() };
        assert!(matches!(Request::parse(&memory, mute, LIMITS), Err(Error::Guest(_))));
    }

    proptest! {
        #[test]
        fn the_cut_of_the_descriptors_does_not_matter(
            cuts in proptest::collection::btree_set(1u32..528, 0..10),
            sector in 0u64..64,
        ) {
            let memory = memory();
            header(&memory, TYPE_OUT, sector);
            let mut edges: Vec<_> = [0].into_iter().chain(cuts).chain([528]).collect();
            edges.dedup();
            let readable: Vec<_> = edges
                .windows(2)
                .map(|edge| segment(0x100 + u64::from(edge[0]), edge[1] - edge[0]))
                .collect();
            let buffers = Buffers { readable, writable: vec![segment(0x800, 1)] };
            let request = Request::parse(&memory, buffers, LIMITS).unwrap();
            prop_assert_eq!(request.kind, Ok(Kind::Write { offset_bytes: sector * 512 }));
            prop_assert_eq!(request.data[0].address, GuestAddress(0x110));
            prop_assert_eq!(total_size_bytes(&request.data), 512);
        }
    }
}
