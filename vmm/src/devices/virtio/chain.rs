//! Descriptor chains: from what a guest has written into a queue to checked buffers.

use std::ops::Deref;

use virtio_queue::DescriptorChain;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Address, GuestAddress, GuestMemoryBackend};

use crate::Error;
use crate::memory::GuestMemory;

/// A piece of guest memory. It was inside the guest's memory when it was made, and guest memory
/// does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Guest address.
    pub address: GuestAddress,
    /// Length, never zero.
    pub size_bytes: u32,
}

/// The buffers of one chain: first those for the device to read, then those for it to write.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// For the device to read.
    pub readable: Vec<Segment>,
    /// For the device to write.
    pub writable: Vec<Segment>,
}

impl Buffers {
    /// Follows a chain to its end. Refuses what is broken, longer than `segments_max`, out of
    /// order, or not in guest memory.
    pub fn collect<M>(
        memory: &GuestMemory,
        mut chain: DescriptorChain<M>,
        segments_max: usize,
    ) -> Result<Buffers, Error>
    where
        M: Deref<Target = GuestMemory>,
    {
        let mut buffers = Buffers::default();
        let mut count = 0;
        let mut ended = false;
        for descriptor in chain.by_ref() {
            count += 1;
            if count > segments_max {
                return Err(Error::Guest("a descriptor chain is too long"));
            }
            buffers.push(memory, &descriptor)?;
            ended = !descriptor.has_next();
        }
        // The iterator stops at loops and bad indices just as at the end.
        if !ended {
            return Err(Error::Guest("a descriptor chain is broken or loops"));
        }
        Ok(buffers)
    }

    fn push(&mut self, memory: &GuestMemory, descriptor: &Descriptor) -> Result<(), Error> {
        let segment = Segment { address: descriptor.addr(), size_bytes: descriptor.len() };
        if segment.size_bytes == 0 {
            return Ok(());
        }
        let inside = segment.address.checked_add(u64::from(segment.size_bytes)).is_some()
            && GuestMemoryBackend::check_range(
                memory,
                segment.address,
                segment.size_bytes as usize,
            );
        if !inside {
            return Err(Error::Guest("a descriptor points outside the guest's memory"));
        }
        match (descriptor.is_write_only(), self.writable.is_empty()) {
            (true, _) => self.writable.push(segment),
            (false, true) => self.readable.push(segment),
            (false, false) => {
                return Err(Error::Guest("a readable descriptor follows a writable one"));
            }
        }
        Ok(())
    }
}

/// Takes `size_bytes` from the front of `segments`; nothing if there is less.
pub fn take_front(segments: &mut Vec<Segment>, size_bytes: u32) -> Option<Vec<Segment>> {
    let mut wanted = size_bytes;
    let mut taken = Vec::new();
    for (index, segment) in segments.iter().copied().enumerate() {
        if segment.size_bytes <= wanted {
            wanted -= segment.size_bytes;
            taken.push(segment);
            if wanted == 0 {
                segments.drain(..=index);
                return Some(taken);
            }
        } else {
            taken.push(Segment { size_bytes: wanted, ..segment });
            let rest = Segment {
                address: segment.address.unchecked_add(u64::from(wanted)),
                size_bytes: segment.size_bytes - wanted,
            };
            segments.drain(..index);
            segments[0] = rest;
            return Some(taken);
        }
    }
    None
}

/// Sum of the segments' lengths.
#[must_use]
pub fn total_size_bytes(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.size_bytes)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(address: u64, size_bytes: u32) -> Segment {
        Segment { address: GuestAddress(address), size_bytes }
    }

    #[test]
    fn the_front_is_taken_across_segments() {
        let mut segments = vec![segment(0, 10), segment(100, 10), segment(200, 10)];
        assert_eq!(take_front(&mut segments, 16).unwrap(), [segment(0, 10), segment(100, 6)]);
        assert_eq!(segments, [segment(106, 4), segment(200, 10)]);
        assert_eq!(take_front(&mut segments, 4).unwrap(), [segment(106, 4)]);
        assert_eq!(take_front(&mut segments, 11), None);
        assert_eq!(segments, [segment(200, 10)], "nothing is taken if there is not enough");
    }

    proptest! {
        #[test]
        fn taking_keeps_every_byte(
            sizes in proptest::collection::vec(1u32..100, 1..20),
            wanted in 1u32..500,
        ) {
            let mut segments: Vec<_> =
                sizes.iter().enumerate().map(|(i, size)| segment(i as u64 * 1000, *size)).collect();
            let total = total_size_bytes(&segments);
            match take_front(&mut segments, wanted) {
                Some(taken) => {
                    prop_assert_eq!(total_size_bytes(&taken), u64::from(wanted));
                    prop_assert_eq!(total_size_bytes(&segments), total - u64::from(wanted));
                    prop_assert!(segments.iter().chain(&taken).all(|s| s.size_bytes > 0));
                }
                None => prop_assert!(total < u64::from(wanted)),
            }
        }
    }
}
