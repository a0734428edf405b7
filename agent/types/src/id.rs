//! Identifiers of fixed length, written as hexadecimal or decimal text.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha3::{Digest as _, Keccak256};

/// A text that is no identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct ParseIdError {
    text: String,
    wanted: &'static str,
}

impl ParseIdError {
    fn new(text: &str, wanted: &'static str) -> Self {
        // What cannot be an identifier is cut, so that an error never carries a hostile megabyte.
        Self { text: text.chars().take(80).collect(), wanted }
    }
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The identifier's bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let mut bytes = [0; $len];
                hex::decode_to_slice(digits, &mut bytes)
                    .map_err(|_| ParseIdError::new(text, $wanted))?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    <[u8]>::serialize(&self.0, serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
                } else {
                    let bytes = <&[u8]>::deserialize(deserializer)?;
                    bytes.try_into().map(Self).map_err(|_| {
                        de::Error::invalid_length(bytes.len(), &concat!($len, " bytes"))
                    })
                }
            }
        }
    };
}

bytes_id! {
    /// A node: the SHA-256 of the DER encoding of its TPM's endorsement public key.
    ///
    /// It follows from the machine and cannot be chosen.
    NodeId, 32, "a node id (64 hexadecimal digits)"
}

bytes_id! {
    /// A SHA-256 digest.
    Digest, 32, "a SHA-256 digest (64 hexadecimal digits)"
}

bytes_id! {
    /// An Ethereum account. Written with the mixed-case checksum of EIP-55, read in any case.
    Address, 20, "an Ethereum address (0x and 40 hexadecimal digits)"
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let hash = hex::encode(Keccak256::digest(digits.as_bytes()));
        f.write_str("0x")?;
        digits.chars().zip(hash.chars()).try_for_each(|(digit, nibble)| {
            let upper = nibble >= '8';
            write!(f, "{}", if upper { digit.to_ascii_uppercase() } else { digit })
        })
    }
}

/// A job's number in JobManager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.parse().map(Self).map_err(|_| ParseIdError::new(text, "a job number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_with_the_eip_55_checksum() {
        // Examples of EIP-55 itself.
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        ] {
            let address: Address = text.to_lowercase().parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn identifiers_of_another_length_are_refused() {
        assert!("0x00".parse::<Address>().is_err());
        assert!("00".repeat(33).parse::<NodeId>().is_err());
        let error = "z".repeat(1_000_000).parse::<Digest>().unwrap_err();
        assert!(error.to_string().len() < 200);
    }

    #[test]
    fn json_is_text() {
        let id = NodeId([7; 32]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<NodeId>(&json).unwrap(), id);
    }
}
