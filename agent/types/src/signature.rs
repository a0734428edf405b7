//! Signatures of Ethereum accounts over texts (EIP-191 version 0x45, `personal_sign`).

use std::str::FromStr;

use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey};
use sha3::{Digest as _, Keccak256};

use crate::Address;

/// A signature from which its signer can be told: r, s and a recovery id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    ecdsa: EcdsaSignature,
    recovery: RecoveryId,
}

/// Why something is not the signature of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It has another form than 65 bytes in hexadecimal digits.
    #[error("not a signature; expected 0x and 130 hexadecimal digits (r, s, v)")]
    Malformed,
    /// The recovery byte is none of 0, 1, 27 and 28.
    #[error("recovery byte {0} is none of 0, 1, 27 and 28")]
    Recovery(u8),
    /// s lies in the upper half, so that a second signature of the same text could be made of it.
    #[error("s lies in the upper half of the order (EIP-2); sign again with low s")]
    HighS,
    /// No key could have made it.
    #[error("no key made this signature")]
    Impossible,
}

impl Signature {
    /// Reads r ‖ s ‖ v.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let (Some(rs), Some(&v), 65) = (bytes.get(..64), bytes.get(64), bytes.len()) else {
            return Err(SignatureError::Malformed);
        };
        let parity = match v {
            0 | 27 => false,
            1 | 28 => true,
            other => return Err(SignatureError::Recovery(other)),
        };
        let ecdsa = EcdsaSignature::from_slice(rs).map_err(|_| SignatureError::Impossible)?;
        if ecdsa.normalize_s().is_some() {
            return Err(SignatureError::HighS);
        }
        Ok(Self { ecdsa, recovery: RecoveryId::new(parity, false) })
    }

    /// The account that signed this text.
    pub fn signer_of(&self, text: &[u8]) -> Result<Address, SignatureError> {
        let digest = personal_digest(text);
        let key = VerifyingKey::recover_from_prehash(&digest, &self.ecdsa, self.recovery)
            .map_err(|_| SignatureError::Impossible)?;
        Ok(address_of(&key))
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 65];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| SignatureError::Malformed)?;
        Self::from_bytes(&bytes)
    }
}

/// What is signed in place of a text: Keccak-256 over EIP-191's prefix and the text.
pub fn personal_digest(text: &[u8]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    hasher.update(b"\x19Ethereum Signed Message:\n");
    hasher.update(text.len().to_string().as_bytes());
    hasher.update(text);
    hasher.finalize().into()
}

/// The account of a public key.
pub fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_encoded_point(false);
    let coordinates = point.as_bytes().get(1..).unwrap_or_default();
    let hash: [u8; 32] = Keccak256::digest(coordinates).into();
    let mut address = [0; 20];
    for (to, from) in address.iter_mut().zip(hash.iter().skip(12)) {
        *to = *from;
    }
    Address(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFER: &str = "ETH\n0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\nPOST\n\
                          549ecb881eab3f662088c8acaf16ab2d9df1ae4307155dfc62b324a5a018f160";
    const SIGNATURE: &str = "0x1b96e43e89005ad734d6da54764ab7fc0f485e40c63ff46a9419f49f2fd102da\
                             7245bfe997a4816c0f0a7b7ed4adfb1a8442c96caf21d6d6f73ac2397495606d1c";

    #[test]
    fn the_signer_of_a_known_signature() {
        let signature: Signature = SIGNATURE.parse().unwrap();
        let signer = signature.signer_of(BUFFER.as_bytes()).unwrap();
        assert_eq!(signer.to_string(), "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A");
        assert_ne!(signature.signer_of(b"another text"), Ok(signer));
    }

    #[test]
    fn malleable_and_malformed_signatures_are_refused() {
        let mut bytes = hex::decode(&SIGNATURE[2..]).unwrap();
        assert_eq!(Signature::from_bytes(&bytes[..64]), Err(SignatureError::Malformed));
        bytes[64] = 5;
        assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::Recovery(5)));
        // n - s is the other s that fits; it must not pass.
        let s = *EcdsaSignature::from_slice(&bytes[..64]).unwrap().s();
        bytes[32..64].copy_from_slice(&(-s).to_bytes());
        bytes[64] = 27;
        assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::HighS));
    }
}
