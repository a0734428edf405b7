//! An attacker who can sign whatever quote he likes: his attestation key is a program's.
//!
//! Everything else about him is genuine, down to the endorsement certificate. What a verifier
//! refuses of him, it refuses for the reason under test and not because a hash is wrong. (A real
//! verifier never comes so far with him: his TPM opens no credential for a key it does not hold.)

use aleph_attestation::digest::Digest;
use aleph_attestation::evidence::{
    Evidence, EvidenceBody, PCRS_QUOTED, PcrValue, Transcript, extra_data, pcr_digest,
};
use aleph_attestation::structures::AkPublic;
use aleph_attestation::verdict::Verdict;
use aleph_attestation::verify::verify;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use crate::boot::{Boot, Log};
use crate::golden::{Golden, golden};

/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign.
pub(crate) const HONEST_ATTRIBUTES: u32 = 0x0005_0472;

pub(crate) struct Forger {
    pub(crate) golden: Golden,
    key: SigningKey,
}

/// The fields of a quote, as bytes or numbers so that each can be wrong.
pub(crate) struct QuoteFields {
    pub(crate) magic: u32,
    pub(crate) kind: u16,
    pub(crate) signer: Vec<u8>,
    pub(crate) extra_data: Vec<u8>,
    pub(crate) banks: Vec<(u16, Vec<u8>)>,
    pub(crate) pcr_digest: Vec<u8>,
    pub(crate) trailing: Vec<u8>,
}

impl Forger {
    pub(crate) fn new() -> Self {
        Self { golden: golden(), key: SigningKey::from_slice(&[7; 32]).unwrap() }
    }

    /// What the attacker's machine says after booting `log`.
    pub(crate) fn body(&self, log: &Log) -> EvidenceBody {
        let mut body = self.golden.transcript.evidence.body.clone();
        body.identity.ak_public = self.ak_public(HONEST_ATTRIBUTES);
        body.pcrs =
            PCRS_QUOTED.into_iter().map(|pcr| PcrValue { pcr, value: log.replay(pcr) }).collect();
        body.event_log = log.to_bytes();
        body
    }

    pub(crate) fn ak_public(&self, attributes: u32) -> Vec<u8> {
        let point = self.key.verifying_key().to_encoded_point(false);
        let mut public = vec![0x00, 0x23, 0x00, 0x0b];
        public.extend_from_slice(&attributes.to_be_bytes());
        // No policy, no symmetric algorithm, ECDSA with SHA-256, P-256, no key derivation.
        public.extend_from_slice(&[0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10]);
        push_tpm2b(&mut public, point.x().unwrap());
        push_tpm2b(&mut public, point.y().unwrap());
        public
    }

    /// Signs a quote over `body`, changed by `edit`.
    pub(crate) fn transcript_with(
        &self,
        body: EvidenceBody,
        edit: impl FnOnce(&mut QuoteFields),
    ) -> Transcript {
        let question = &self.golden.transcript;
        let bound = extra_data(&question.nonce, &question.secret, &question.tls_spki_sha256, &body)
            .unwrap();
        let mut fields = QuoteFields::honest(&body, bound);
        edit(&mut fields);
        let quote = fields.to_bytes();
        let signature: Signature = self.key.sign(&quote);
        let (r, s) = signature.split_bytes();
        let mut bytes = vec![0x00, 0x18, 0x00, 0x0b];
        push_tpm2b(&mut bytes, &r);
        push_tpm2b(&mut bytes, &s);
        Transcript {
            identity_sha256: body.identity.sha256().unwrap(),
            evidence: Evidence { body, quote, signature: bytes },
            ..question.clone()
        }
    }

    pub(crate) fn transcript(&self, body: EvidenceBody) -> Transcript {
        self.transcript_with(body, |_| {})
    }

    pub(crate) fn verify(&self, transcript: &Transcript) -> Verdict {
        verify(transcript, &Boot::default().release(), &self.golden.roots, None)
    }
}

impl QuoteFields {
    fn honest(body: &EvidenceBody, extra_data: Digest) -> Self {
        let signer = AkPublic::parse(&body.identity.ak_public)
            .map(|ak| ak.name.qualified_in_endorsement_hierarchy().as_bytes().to_vec());
        Self {
            magic: 0xff54_4347,
            kind: 0x8018,
            signer: signer.unwrap_or_default(),
            extra_data: extra_data.0.to_vec(),
            banks: vec![(0x000b, PCRS_QUOTED.to_vec())],
            pcr_digest: pcr_digest(&body.pcrs).0.to_vec(),
            trailing: Vec::new(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut quote = self.magic.to_be_bytes().to_vec();
        quote.extend_from_slice(&self.kind.to_be_bytes());
        push_tpm2b(&mut quote, &self.signer);
        push_tpm2b(&mut quote, &self.extra_data);
        // Clock, resets, restarts, safe, firmware version.
        quote.extend_from_slice(&[0; 8 + 4 + 4]);
        quote.push(1);
        quote.extend_from_slice(&[0; 8]);
        quote.extend_from_slice(&u32::try_from(self.banks.len()).unwrap().to_be_bytes());
        for (algorithm, pcrs) in &self.banks {
            let mut bits = [0_u8; 3];
            for pcr in pcrs {
                bits[usize::from(pcr / 8)] |= 1 << (pcr % 8);
            }
            quote.extend_from_slice(&algorithm.to_be_bytes());
            quote.push(3);
            quote.extend_from_slice(&bits);
        }
        push_tpm2b(&mut quote, &self.pcr_digest);
        quote.extend_from_slice(&self.trailing);
        quote
    }
}

fn push_tpm2b(bytes: &mut Vec<u8>, content: &[u8]) {
    bytes.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(content);
}
