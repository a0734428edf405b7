//! What follows from the number of bytes alone.

use std::{num::NonZeroU64, ops::Range};

use crate::{LEAF_BYTES, SIZE_BYTES_MAX};

const LEAF_BYTES_U64: u64 = LEAF_BYTES as u64;

/// How many bytes there are, and thereby how the tree over them looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    size_bytes: NonZeroU64,
}

/// There is no tree over so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no tree over {size_bytes} bytes; there must be 1 to {SIZE_BYTES_MAX}")]
pub struct SizeError {
    /// How many bytes there were.
    pub size_bytes: u64,
}

/// Where the neighbour stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbour {
    Left,
    Right,
}

impl Shape {
    /// The shape of the tree over so many bytes.
    pub fn new(size_bytes: u64) -> Result<Self, SizeError> {
        let error = SizeError { size_bytes };
        let size_bytes = NonZeroU64::new(size_bytes).ok_or(error)?;
        if size_bytes.get() > SIZE_BYTES_MAX {
            return Err(error);
        }
        Ok(Self { size_bytes })
    }

    /// How many bytes there are.
    pub fn size_bytes(self) -> u64 {
        self.size_bytes.get()
    }

    /// How many leaves there are.
    pub fn leaf_count(self) -> NonZeroU64 {
        // Of at least one byte there is at least one leaf.
        NonZeroU64::new(self.size_bytes().div_ceil(LEAF_BYTES_U64)).unwrap_or(NonZeroU64::MIN)
    }

    /// The bytes of the leaf with this index; empty past the last one.
    pub fn leaf_range(self, index: u64) -> Range<u64> {
        let start = index.saturating_mul(LEAF_BYTES_U64).min(self.size_bytes());
        start..start.saturating_add(LEAF_BYTES_U64).min(self.size_bytes())
    }

    /// On which side the neighbours stand, on the way up from the leaf with this index.
    pub(crate) fn path(self, index: u64) -> impl Iterator<Item = Neighbour> {
        let last = self.leaf_count().get().saturating_sub(1);
        (0..u64::BITS)
            .map(move |height| (index >> height, last >> height))
            .map_while(|(index, last)| (last != 0).then_some(side(index, last)))
            .flatten()
    }
}

/// `None` for a node that has no neighbour on its level and moves up as it is.
fn side(index: u64, last: u64) -> Option<Neighbour> {
    match (index & 1, index == last) {
        (1, _) => Some(Neighbour::Left),
        (_, false) => Some(Neighbour::Right),
        (_, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_bounds() {
        assert_eq!(Shape::new(0), Err(SizeError { size_bytes: 0 }));
        assert!(Shape::new(SIZE_BYTES_MAX).is_ok());
        assert!(Shape::new(SIZE_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn leaves_cover_every_byte_once() {
        for size_bytes in [1, 511, 512, 513, 1024, 5000] {
            let shape = Shape::new(size_bytes).unwrap();
            let mut end = 0;
            for index in 0..shape.leaf_count().get() {
                let range = shape.leaf_range(index);
                assert_eq!(range.start, end);
                assert!(!range.is_empty());
                end = range.end;
            }
            assert_eq!(end, size_bytes);
            assert!(shape.leaf_range(shape.leaf_count().get()).is_empty());
        }
    }

    #[test]
    fn the_last_of_five_leaves_has_one_neighbour() {
        use Neighbour::{Left, Right};
        let shape = Shape::new(4 * 512 + 1).unwrap();
        assert_eq!(shape.path(4).collect::<Vec<_>>(), [Left]);
        assert_eq!(shape.path(3).collect::<Vec<_>>(), [Left, Left, Right]);
        assert_eq!(Shape::new(9).unwrap().path(0).count(), 0);
    }
}
