//! The one binary encoding between machines and over restarts: a magic byte, a version byte, and
//! the value in postcard form.
//!
//! postcard does not describe itself, so a version is never reused for another shape; enums only
//! grow at their end.

use serde::{Serialize, de::DeserializeOwned};

/// A value with a wire form.
pub trait Wire: Serialize + DeserializeOwned {
    /// Tells kinds of values apart; no two kinds share one.
    const MAGIC: u8;
    /// Grows with every change of the shape.
    const VERSION: u8;
    /// No encoded value is longer, both header bytes included.
    const SIZE_BYTES_MAX: usize;
}

/// Why bytes are not a value of the wanted kind, or a value has no wire form.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// More bytes than a value of this kind may have.
    #[error("{size_bytes} bytes, at most {size_bytes_max} are allowed")]
    TooLarge {
        /// What there was.
        size_bytes: usize,
        /// What is allowed.
        size_bytes_max: usize,
    },
    /// Fewer bytes than the header has.
    #[error("cut off before the end of its header")]
    Truncated,
    /// Another kind of value.
    #[error("starts with byte {found:#04x}, this kind starts with {wanted:#04x}")]
    Magic {
        /// The first byte.
        found: u8,
        /// The kind's byte.
        wanted: u8,
    },
    /// A version that this program does not speak.
    #[error("has version {found}, this program speaks version {wanted}: update the older side")]
    Version {
        /// The second byte.
        found: u8,
        /// The version spoken here.
        wanted: u8,
    },
    /// The body is not a value of this kind.
    #[error("malformed body")]
    Malformed(#[source] postcard::Error),
    /// A value is followed by something else.
    #[error("{0} bytes after the value's end")]
    Trailing(usize),
}

/// The wire form of a value.
pub fn encode<T: Wire>(value: &T) -> Result<Vec<u8>, WireError> {
    let header = vec![T::MAGIC, T::VERSION];
    let bytes = postcard::to_extend(value, header).map_err(WireError::Malformed)?;
    check_size::<T>(&bytes)?;
    Ok(bytes)
}

/// The value that these bytes are the wire form of.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, WireError> {
    check_size::<T>(bytes)?;
    let [magic, version, body @ ..] = bytes else { return Err(WireError::Truncated) };
    if *magic != T::MAGIC {
        return Err(WireError::Magic { found: *magic, wanted: T::MAGIC });
    }
    if *version != T::VERSION {
        return Err(WireError::Version { found: *version, wanted: T::VERSION });
    }
    let (value, rest) = postcard::take_from_bytes(body).map_err(WireError::Malformed)?;
    if !rest.is_empty() {
        return Err(WireError::Trailing(rest.len()));
    }
    Ok(value)
}

fn check_size<T: Wire>(bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len() > T::SIZE_BYTES_MAX {
        return Err(WireError::TooLarge {
            size_bytes: bytes.len(),
            size_bytes_max: T::SIZE_BYTES_MAX,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{Cid, NodeId};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        node: NodeId,
        blob: Cid,
        names: Vec<String>,
    }

    impl Wire for Sample {
        const MAGIC: u8 = 0x7f;
        const VERSION: u8 = 3;
        const SIZE_BYTES_MAX: usize = 100;
    }

    fn sample() -> Sample {
        Sample { node: NodeId([1; 32]), blob: Cid::of(b"x"), names: vec!["a".into()] }
    }

    #[test]
    fn a_value_survives_the_wire() {
        let bytes = encode(&sample()).unwrap();
        assert_eq!(bytes[..2], [0x7f, 3]);
        assert_eq!(decode::<Sample>(&bytes).unwrap(), sample());
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let mut bytes = encode(&sample()).unwrap();
        for len in 0..bytes.len() {
            decode::<Sample>(&bytes[..len]).unwrap_err();
        }
        bytes.push(0);
        assert!(matches!(decode::<Sample>(&bytes), Err(WireError::Trailing(1))));
    }

    #[test]
    fn headers_and_sizes_are_checked_first() {
        let mut bytes = encode(&sample()).unwrap();
        bytes[1] = 4;
        let error = decode::<Sample>(&bytes).unwrap_err();
        assert!(matches!(error, WireError::Version { found: 4, wanted: 3 }));
        bytes[0] = 0;
        assert!(matches!(decode::<Sample>(&bytes), Err(WireError::Magic { .. })));
        assert!(matches!(decode::<Sample>(&[0x7f; 101]), Err(WireError::TooLarge { .. })));
        let large = Sample { names: vec!["a".repeat(100)], ..sample() };
        assert!(matches!(encode(&large), Err(WireError::TooLarge { .. })));
    }
}
