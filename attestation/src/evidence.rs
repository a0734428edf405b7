//! What travels between a node and its verifier, and what is saved of it.
//!
//! The quote's extra data covers the verifier's nonce and secret, the channel, and every byte of
//! the [`EvidenceBody`]. The body repeats the nonce and the channel's key as the node saw them: not
//! as proof, but so that a refusal can say which of them is another one.

use aleph_types::NodeId;
use aleph_types::wire::{self, Wire};
use rsa::rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};

use crate::credential::make_credential;
use crate::digest::{Digest, sha256, sha256_parts};
use crate::error::Error;
use crate::structures::{AkPublic, EkPublic};

/// The PCRs of the SHA-256 bank that every quote covers, no more and no less.
pub const PCRS_QUOTED: [u8; 7] = [0, 2, 4, 7, 9, 11, 12];

/// The attributes that make a key's signature over a quote believable, as (name, value wanted).
pub const AK_ATTRIBUTES: [(&str, bool); 6] = [
    ("fixedTPM", true),
    ("fixedParent", true),
    ("sensitiveDataOrigin", true),
    ("restricted", true),
    ("sign", true),
    ("decrypt", false),
];

/// Begins every hash that an attestation key signs.
const DOMAIN: &[u8] = b"aleph-node attestation v1\0";

/// Who a node is: the keys of its TPM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityDocument {
    /// The SHA-256 of the endorsement key's SubjectPublicKeyInfo.
    pub node_id: NodeId,
    /// The endorsement key's certificate as the TPM keeps it.
    pub ek_certificate: Vec<u8>,
    /// Certificates of its issuers, where the TPM keeps them.
    pub ek_intermediates: Vec<Vec<u8>>,
    /// The endorsement key's TPMT_PUBLIC.
    pub ek_public: Vec<u8>,
    /// The attestation key's TPMT_PUBLIC.
    pub ak_public: Vec<u8>,
}

/// What a verifier asks a node to prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteRequest {
    /// Fresh random bytes.
    pub nonce: [u8; 32],
    /// The credential that holds the secret: a TPMS_ID_OBJECT.
    pub credential_blob: Vec<u8>,
    /// The credential's seed under the endorsement key.
    pub encrypted_secret: Vec<u8>,
}

/// Everything that the quote covers by its extra data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceBody {
    /// The nonce that the node answers.
    pub nonce: [u8; 32],
    /// The SHA-256 of the SubjectPublicKeyInfo that the node's TLS server shows.
    pub tls_spki_sha256: Digest,
    /// Who the node is.
    pub identity: IdentityDocument,
    /// The values of [`PCRS_QUOTED`], in that order.
    pub pcrs: Vec<PcrValue>,
    /// The firmware's event log, empty when the system has none.
    pub event_log: Vec<u8>,
}

/// One PCR of the SHA-256 bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcrValue {
    /// Its number.
    pub pcr: u8,
    /// Its value.
    pub value: Digest,
}

/// A node's answer to a [`QuoteRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the node says.
    pub body: EvidenceBody,
    /// What its TPM says: a TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// The attestation key's TPMT_SIGNATURE over it.
    pub signature: Vec<u8>,
}

/// Evidence with everything that its verifier knew, so that it can be verified again offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// The nonce that the verifier sent.
    pub nonce: [u8; 32],
    /// The secret that it put into the credential.
    pub secret: [u8; 32],
    /// The key that the TLS server showed on the verifier's own connection.
    pub tls_spki_sha256: Digest,
    /// The identity that the credential was made for. Without it, a node could have the credential
    /// opened by its own TPM and then speak in the name of another's.
    pub identity_sha256: Digest,
    /// The answer.
    pub evidence: Evidence,
}

impl Wire for IdentityDocument {
    const MAGIC: u8 = 0xa1;
    const VERSION: u8 = 1;
    const SIZE_BYTES_MAX: usize = 48 << 10;
}

impl Wire for QuoteRequest {
    const MAGIC: u8 = 0xa2;
    const VERSION: u8 = 1;
    const SIZE_BYTES_MAX: usize = 1 << 10;
}

impl Wire for EvidenceBody {
    const MAGIC: u8 = 0xa3;
    const VERSION: u8 = 1;
    const SIZE_BYTES_MAX: usize = 1 << 20;
}

impl Wire for Evidence {
    const MAGIC: u8 = 0xa4;
    const VERSION: u8 = 1;
    const SIZE_BYTES_MAX: usize = 1 << 20;
}

impl Wire for Transcript {
    const MAGIC: u8 = 0xa5;
    const VERSION: u8 = 1;
    const SIZE_BYTES_MAX: usize = (1 << 20) + (1 << 10);
}

impl IdentityDocument {
    /// The hash by which a [`Transcript`] remembers whom it challenged.
    ///
    /// # Errors
    /// When the document is too large for the wire.
    pub fn sha256(&self) -> Result<Digest, Error> {
        Ok(sha256(&wire::encode(self)?))
    }
}

/// A verifier's side of one attestation: use it once.
pub struct Challenge {
    request: QuoteRequest,
    secret: [u8; 32],
    identity_sha256: Digest,
}

impl Challenge {
    /// Challenges the node that showed `identity`.
    ///
    /// # Errors
    /// When the identity's keys are not those of a TPM that can answer.
    pub fn new(identity: &IdentityDocument, rng: &mut impl CryptoRngCore) -> Result<Self, Error> {
        let ek = EkPublic::parse(&identity.ek_public)?;
        let ak = AkPublic::parse(&identity.ak_public)?;
        let (mut nonce, mut secret) = ([0; 32], [0; 32]);
        rng.fill_bytes(&mut nonce);
        rng.fill_bytes(&mut secret);
        let credential = make_credential(&ek, &ak.name, &secret, rng)?;
        let request = QuoteRequest {
            nonce,
            credential_blob: credential.blob,
            encrypted_secret: credential.encrypted_secret,
        };
        Ok(Self { request, secret, identity_sha256: identity.sha256()? })
    }

    /// What to send to the node.
    pub fn request(&self) -> &QuoteRequest {
        &self.request
    }

    /// Joins the answer with what this side knows. `tls_spki_sha256` is the hash of the key that
    /// the server showed on this side's connection.
    pub fn into_transcript(self, tls_spki_sha256: Digest, evidence: Evidence) -> Transcript {
        Transcript {
            nonce: self.request.nonce,
            secret: self.secret,
            tls_spki_sha256,
            identity_sha256: self.identity_sha256,
            evidence,
        }
    }
}

/// The extra data of the quote over `body`.
///
/// # Errors
/// When the body is too large for the wire.
pub fn extra_data(
    nonce: &[u8; 32],
    secret: &[u8; 32],
    tls_spki_sha256: &Digest,
    body: &EvidenceBody,
) -> Result<Digest, Error> {
    let body_sha256 = sha256(&wire::encode(body)?);
    Ok(sha256_parts(&[DOMAIN, nonce, secret, &tls_spki_sha256.0, &body_sha256.0]))
}

/// The digest that a quote over these values shows.
pub fn pcr_digest(pcrs: &[PcrValue]) -> Digest {
    let values: Vec<&[u8]> = pcrs.iter().map(|pcr| pcr.value.0.as_slice()).collect();
    sha256_parts(&values)
}
