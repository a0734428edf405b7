//! The TPM 2.0 structures in evidence, parsed strictly from the bytes that the TPM made.
//!
//! Only what this protocol allows is known: an RSA-2048 storage key (EK), an ECDSA P-256 signing
//! key (AK), a quote, an ECDSA signature. Anything else is refused while it is parsed.

use p256::ecdsa::{Signature, VerifyingKey};

use rsa::pkcs8::EncodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPublicKey};

use aleph_types::NodeId;

use crate::bytes::Reader;
use crate::digest::{Digest, sha256, sha256_parts};
use crate::error::Error;

const ALG_RSA: u16 = 0x0001;
const ALG_AES: u16 = 0x0006;
const ALG_SHA256: u16 = 0x000b;
const ALG_NULL: u16 = 0x0010;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECC: u16 = 0x0023;
const ALG_CFB: u16 = 0x0043;
const CURVE_P256: u16 = 0x0003;

const RH_ENDORSEMENT: u32 = 0x4000_000b;
const GENERATED_VALUE: u32 = 0xff54_4347;
const ST_ATTEST_QUOTE: u16 = 0x8018;

/// The exponent that a TPM means by 0.
const RSA_EXPONENT_DEFAULT: u32 = 65_537;
const RSA_2048_BYTES: usize = 256;

/// The largest public area: attributes, policy and a 2,048-bit modulus take about 320 bytes.
pub const PUBLIC_SIZE_BYTES_MAX: usize = 512;
/// The largest quote: a selection of one bank and 64 bytes of data take about 150 bytes.
pub const ATTEST_SIZE_BYTES_MAX: usize = 512;
/// The largest ECDSA P-256 signature: two algorithms and two 32-byte numbers take 72 bytes.
pub const SIGNATURE_SIZE_BYTES_MAX: usize = 128;

/// An object's name: the algorithm identifier of SHA-256, then the hash of the public area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; 34]);

impl Name {
    /// The name as the TPM writes it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn from_digest(digest: &Digest) -> Self {
        let mut name = [0; 34];
        for (to, from) in name.iter_mut().zip(ALG_SHA256.to_be_bytes().iter().chain(&digest.0)) {
            *to = *from;
        }
        Self(name)
    }

    /// The qualified name of an object of this name that is a primary of the endorsement
    /// hierarchy.
    pub fn qualified_in_endorsement_hierarchy(&self) -> Self {
        Self::from_digest(&sha256_parts(&[&RH_ENDORSEMENT.to_be_bytes(), &self.0]))
    }
}

/// Attributes of a TPM object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ObjectAttributes(u32);

impl ObjectAttributes {
    const NAMES: [(u32, &'static str); 6] = [
        (1 << 1, "fixedTPM"),
        (1 << 4, "fixedParent"),
        (1 << 5, "sensitiveDataOrigin"),
        (1 << 16, "restricted"),
        (1 << 17, "decrypt"),
        (1 << 18, "sign"),
    ];

    /// Whether the attribute of this name (`fixedTPM` and so on) is set.
    pub fn has(self, name: &str) -> bool {
        Self::NAMES.iter().any(|(mask, known)| *known == name && self.0 & mask != 0)
    }
}

impl std::fmt::Debug for ObjectAttributes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:#010x}", self.0)
    }
}

/// An endorsement key: RSA-2048, made to decrypt credentials under AES-128-CFB and SHA-256.
#[derive(Clone, Debug)]
pub struct EkPublic {
    /// Its attributes.
    pub attributes: ObjectAttributes,
    /// The key.
    pub key: RsaPublicKey,
}

impl EkPublic {
    /// Parses a TPMT_PUBLIC.
    ///
    /// # Errors
    /// When it is malformed or another kind of key.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = public_reader("endorsement key", bytes)?;
        if reader.u16_be()? != ALG_RSA {
            return Err(reader.malformed("it is not an RSA key"));
        }
        let attributes = name_algorithm_and_attributes(&mut reader)?;
        if (reader.u16_be()?, reader.u16_be()?, reader.u16_be()?) != (ALG_AES, 128, ALG_CFB) {
            return Err(reader.malformed("its symmetric algorithm is not AES-128-CFB"));
        }
        if reader.u16_be()? != ALG_NULL {
            return Err(reader.malformed("it has a scheme of its own"));
        }
        if reader.u16_be()? != 2048 {
            return Err(reader.malformed("it has not 2048 bits"));
        }
        let exponent = match reader.u32_be()? {
            0 => RSA_EXPONENT_DEFAULT,
            exponent => exponent,
        };
        let modulus = reader.tpm2b(RSA_2048_BYTES)?;
        if modulus.len() != RSA_2048_BYTES || modulus.first().is_none_or(|byte| *byte < 0x80) {
            return Err(reader.malformed("its modulus has not 2048 bits"));
        }
        let key = RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from(exponent))
            .map_err(|_| reader.malformed("it is no valid RSA key"))?;
        reader.finish()?;
        Ok(Self { attributes, key })
    }

    /// The identifier of the node that owns this key: the SHA-256 of its SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When the key has no DER encoding, which a parsed key has.
    pub fn node_id(&self) -> Result<NodeId, Error> {
        let der = self.key.to_public_key_der().map_err(|_| Error::Malformed {
            what: "endorsement key",
            offset: 0,
            problem: "it cannot be encoded",
        })?;
        Ok(NodeId(sha256(der.as_bytes()).0))
    }

    /// Whether `other` is the same key, whatever form it was found in.
    pub fn is_key(&self, other: &RsaPublicKey) -> bool {
        self.key.n() == other.n() && self.key.e() == other.e()
    }
}

/// An attestation key: ECDSA over P-256 with SHA-256.
#[derive(Clone, Debug)]
pub struct AkPublic {
    /// Its attributes.
    pub attributes: ObjectAttributes,
    /// Its name.
    pub name: Name,
    /// The key.
    pub key: VerifyingKey,
}

impl AkPublic {
    /// Parses a TPMT_PUBLIC.
    ///
    /// # Errors
    /// When it is malformed or another kind of key.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = public_reader("attestation key", bytes)?;
        if reader.u16_be()? != ALG_ECC {
            return Err(reader.malformed("it is not an elliptic-curve key"));
        }
        let attributes = name_algorithm_and_attributes(&mut reader)?;
        if reader.u16_be()? != ALG_NULL {
            return Err(reader.malformed("it has a symmetric algorithm, so it is no signing key"));
        }
        if (reader.u16_be()?, reader.u16_be()?) != (ALG_ECDSA, ALG_SHA256) {
            return Err(reader.malformed("its scheme is not ECDSA with SHA-256"));
        }
        if reader.u16_be()? != CURVE_P256 {
            return Err(reader.malformed("its curve is not P-256"));
        }
        if reader.u16_be()? != ALG_NULL {
            return Err(reader.malformed("it has a key derivation scheme"));
        }
        let x = coordinate(reader.tpm2b(32)?);
        let y = coordinate(reader.tpm2b(32)?);
        let point = p256::EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
        let key = VerifyingKey::from_encoded_point(&point)
            .map_err(|_| reader.malformed("its point is not on the curve"))?;
        reader.finish()?;
        Ok(Self { attributes, name: Name::from_digest(&sha256(bytes)), key })
    }

    /// The coordinates of the key's point, as the contracts keep them.
    pub fn coordinates(&self) -> ([u8; 32], [u8; 32]) {
        let point = self.key.to_encoded_point(false);
        let part = |bytes: Option<&p256::FieldBytes>| bytes.map_or([0; 32], |x| (*x).into());
        (part(point.x()), part(point.y()))
    }
}

/// A quote: the TPM's statement about its PCRs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The qualified name of the key that signed.
    pub qualified_signer: Vec<u8>,
    /// What the caller gave to be signed along.
    pub extra_data: Vec<u8>,
    /// When it was made.
    pub clock: Clock,
    /// The TPM vendor's firmware version.
    pub firmware_version: u64,
    /// The PCRs of each bank.
    pub selection: Vec<Bank>,
    /// The hash over the PCR values.
    pub pcr_digest: Vec<u8>,
}

/// The TPM's clock at the time of the quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Clock {
    /// Milliseconds that the TPM has been powered.
    pub clock_ms: u64,
    /// How often it was reset.
    pub reset_count: u32,
    /// How often it was suspended since the last reset.
    pub restart_count: u32,
    /// Whether the clock has surely never gone back; false after each power cut.
    pub safe: bool,
}

/// The PCRs selected in one bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    /// The bank's hash algorithm.
    pub algorithm: u16,
    /// The selected PCRs, ascending.
    pub pcrs: Vec<u8>,
}

impl Bank {
    /// PCRs of the SHA-256 bank.
    pub fn sha256(pcrs: &[u8]) -> Self {
        Self { algorithm: ALG_SHA256, pcrs: pcrs.to_vec() }
    }
}

impl Quote {
    /// Parses a TPMS_ATTEST.
    ///
    /// # Errors
    /// When it is malformed, not made by a TPM, or no quote.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("quote", bytes);
        if bytes.len() > ATTEST_SIZE_BYTES_MAX {
            return Err(reader.malformed("it is longer than any quote"));
        }
        if reader.u32_be()? != GENERATED_VALUE {
            return Err(reader.malformed("it does not begin with the mark of a TPM's statement"));
        }
        if reader.u16_be()? != ST_ATTEST_QUOTE {
            return Err(reader.malformed("it is another statement than a quote"));
        }
        let qualified_signer = reader.tpm2b(68)?.to_vec();
        let extra_data = reader.tpm2b(66)?.to_vec();
        let clock = Clock {
            clock_ms: reader.u64_be()?,
            reset_count: reader.u32_be()?,
            restart_count: reader.u32_be()?,
            safe: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(reader.malformed("a yes/no field is neither")),
            },
        };
        let firmware_version = reader.u64_be()?;
        let selection = selection(&mut reader)?;
        let pcr_digest = reader.tpm2b(64)?.to_vec();
        reader.finish()?;
        Ok(Self { qualified_signer, extra_data, clock, firmware_version, selection, pcr_digest })
    }
}

/// Parses a TPMT_SIGNATURE that must be ECDSA with SHA-256.
///
/// # Errors
/// When it is malformed or another kind of signature.
pub fn parse_signature(bytes: &[u8]) -> Result<Signature, Error> {
    let mut reader = Reader::new("signature", bytes);
    if bytes.len() > SIGNATURE_SIZE_BYTES_MAX {
        return Err(reader.malformed("it is longer than an ECDSA P-256 signature"));
    }
    if (reader.u16_be()?, reader.u16_be()?) != (ALG_ECDSA, ALG_SHA256) {
        return Err(reader.malformed("it is not ECDSA with SHA-256"));
    }
    let r = coordinate(reader.tpm2b(32)?);
    let s = coordinate(reader.tpm2b(32)?);
    let signature =
        Signature::from_scalars(r, s).map_err(|_| reader.malformed("a number is out of range"))?;
    reader.finish()?;
    Ok(signature)
}

fn public_reader<'a>(what: &'static str, bytes: &'a [u8]) -> Result<Reader<'a>, Error> {
    let reader = Reader::new(what, bytes);
    if bytes.len() > PUBLIC_SIZE_BYTES_MAX {
        return Err(reader.malformed("it is longer than any such key"));
    }
    Ok(reader)
}

fn name_algorithm_and_attributes(reader: &mut Reader<'_>) -> Result<ObjectAttributes, Error> {
    if reader.u16_be()? != ALG_SHA256 {
        return Err(reader.malformed("its name algorithm is not SHA-256"));
    }
    let attributes = ObjectAttributes(reader.u32_be()?);
    reader.tpm2b(32)?;
    Ok(attributes)
}

fn selection(reader: &mut Reader<'_>) -> Result<Vec<Bank>, Error> {
    const BANKS_MAX: u32 = 8;
    let count = reader.u32_be()?;
    if count > BANKS_MAX {
        return Err(reader.malformed("it selects too many banks"));
    }
    let mut banks = Vec::new();
    for _ in 0..count {
        let algorithm = reader.u16_be()?;
        let len = usize::from(reader.u8()?);
        if len > 4 {
            return Err(reader.malformed("a PCR selection is longer than 4 bytes"));
        }
        let bits = reader.take(len)?.to_vec();
        let selected = |pcr: &u8| {
            let byte = bits.get(usize::from(pcr / 8)).copied().unwrap_or(0);
            byte & (1_u8 << (pcr % 8)) != 0
        };
        banks.push(Bank { algorithm, pcrs: (0..32).filter(selected).collect() });
    }
    Ok(banks)
}

/// A number of at most 32 bytes, padded: TPMs may leave leading zeros out.
fn coordinate(bytes: &[u8]) -> [u8; 32] {
    let mut padded = [0; 32];
    for (to, from) in padded.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    padded
}
