//! Proof for the contracts: a quote that answers a challenge of the registry on chain.
//!
//! A contract reads no event log. It knows a release by one digest, over the PCRs that nothing but
//! the image decides, and it takes quotes of one length, read by offset. The rules here are those
//! of `contracts/src/libraries/TpmQuote.sol` and `NodeRegistry.attest`, so that a node sees before
//! it pays for a transaction whether its proof would be taken; both are tested with the statements
//! of `contracts/test/fixtures/tpm-quotes.json`.

use aleph_types::{Address, NodeId};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

use crate::digest::{Digest, ZERO, sha256_parts};
use crate::error::Error;
use crate::release::ReleaseManifest;
use crate::structures::{Bank, Quote, parse_signature};

/// The PCRs of the SHA-256 bank that the quote covers, no more and no less.
pub const PCRS_ON_CHAIN: [u8; 4] = [4, 9, 11, 12];
/// The length of every quote that the contract takes.
pub const QUOTE_SIZE_BYTES: usize = 145;

/// Begins what the attestation key signs, apart from every other protocol it signs for.
const DOMAIN: &[u8] = b"aleph/attest/chain/v1";
/// SHA-256's identifier, then the hash: the name of a key like ours.
const SIGNER_NAME_PREFIX: [u8; 2] = [0x00, 0x0b];
const SIGNER_NAME_SIZE_BYTES: usize = 34;

/// A challenge, with everything that an answer to it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryChallenge {
    /// The chain's identifier.
    pub chain_id: u64,
    /// The registry contract.
    pub registry: Address,
    /// The node that was challenged.
    pub node_id: NodeId,
    /// The challenge itself.
    pub challenge: [u8; 32],
}

impl RegistryChallenge {
    /// What the TPM signs along.
    pub fn extra_data(&self) -> Digest {
        // Numbers are 32 bytes on the chain.
        const PADDING: [u8; 24] = [0; 24];
        sha256_parts(&[
            DOMAIN,
            &PADDING,
            &self.chain_id.to_be_bytes(),
            &self.registry.0,
            &self.node_id.0,
            &self.challenge,
        ])
    }
}

/// What the contract's `attest` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainQuote {
    /// A TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// The signature's first number.
    pub r: [u8; 32],
    /// The signature's second number: the lower of the two that are valid.
    pub s: [u8; 32],
}

/// What a quote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainClaim {
    /// What the TPM signed along: see [`RegistryChallenge::extra_data`].
    pub extra_data: Digest,
    /// Which release runs: see [`release_digest`].
    pub pcr_digest: Digest,
    /// How often the TPM was reset; the contract lets it only rise.
    pub reset_count: u32,
}

impl ChainQuote {
    /// Takes what a TPM gave: a TPMS_ATTEST and a TPMT_SIGNATURE.
    ///
    /// A TPM's `s` is the higher of the two valid ones half of the time, which the contract refuses.
    ///
    /// # Errors
    /// When the signature is not ECDSA P-256 with SHA-256.
    pub fn from_tpm(quote: Vec<u8>, signature: &[u8]) -> Result<Self, Error> {
        let signature = parse_signature(signature)?;
        let signature = signature.normalize_s().unwrap_or(signature);
        let (r, s) = signature.split_bytes();
        Ok(Self { quote, r: r.into(), s: s.into() })
    }

    /// Reads what the quote says, true or not.
    ///
    /// # Errors
    /// When it has not exactly the form that the contract takes.
    pub fn read(&self) -> Result<ChainClaim, Error> {
        if self.quote.len() != QUOTE_SIZE_BYTES {
            return Err(refused("its length is not that of a quote over one bank of 24 PCRs"));
        }
        let quote = Quote::parse(&self.quote)?;
        if quote.qualified_signer.len() != SIGNER_NAME_SIZE_BYTES
            || !quote.qualified_signer.starts_with(&SIGNER_NAME_PREFIX)
        {
            return Err(refused("its signer is not named by SHA-256"));
        }
        if quote.selection != [Bank::sha256(&PCRS_ON_CHAIN)] {
            return Err(refused("it is over other PCRs than 4, 9, 11 and 12, or another bank"));
        }
        let digest = |bytes: Vec<u8>| {
            let bytes = <[u8; 32]>::try_from(bytes);
            bytes.map(Digest).map_err(|_| refused("a digest in it is not SHA-256"))
        };
        Ok(ChainClaim {
            extra_data: digest(quote.extra_data)?,
            pcr_digest: digest(quote.pcr_digest)?,
            reset_count: quote.clock.reset_count,
        })
    }

    /// Checks all that the contract checks, but the release and what it remembers.
    ///
    /// # Errors
    /// When the contract would refuse it as an answer of the node with this key.
    pub fn check(
        &self,
        challenge: &RegistryChallenge,
        key: &VerifyingKey,
    ) -> Result<ChainClaim, Error> {
        let claim = self.read()?;
        if claim.extra_data != challenge.extra_data() {
            return Err(refused("it answers something else"));
        }
        let signature = Signature::from_scalars(self.r, self.s)
            .map_err(|_| refused("its signature is out of range"))?;
        if signature.normalize_s().is_some() {
            return Err(refused("its signature's s is the higher one"));
        }
        key.verify(&self.quote, &signature)
            .map_err(|_| refused("it was not signed by the node's attestation key"))?;
        Ok(claim)
    }
}

/// The digest by which governance approves a release: what a quote of a machine that runs it shows.
///
/// # Errors
/// When the manifest does not say what PCR 9 will be.
pub fn release_digest(release: &ReleaseManifest) -> Result<Digest, Error> {
    let mut values = Vec::with_capacity(PCRS_ON_CHAIN.len());
    for pcr in PCRS_ON_CHAIN {
        let predicted = release.pcrs.get(&pcr).copied();
        // Nothing is measured into PCR 12 as long as nothing is added to the command line.
        let value = if pcr == 12 { predicted.or(Some(ZERO)) } else { predicted };
        values.push(value.ok_or(Error::ReleasePcrMissing { pcr })?);
    }
    let parts: Vec<&[u8]> = values.iter().map(|value| value.0.as_slice()).collect();
    Ok(sha256_parts(&parts))
}

fn refused(problem: &'static str) -> Error {
    Error::ChainQuote { problem }
}
