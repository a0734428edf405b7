//! Having a node prove what it is and what it booted.

use std::time::{SystemTime, UNIX_EPOCH};

use aleph_attestation::{
    Digest,
    evidence::{Challenge, Evidence, IdentityDocument, Transcript},
    release::ReleaseManifest,
    roots::Roots,
    verdict::Verdict,
    verify::verify,
};
use aleph_types::wire::{self, Wire};
use rand::rngs::OsRng;
use reqwest::Method;

use crate::{NodeClient, SdkError};

/// The outcome of an attestation.
#[derive(Debug, Clone)]
pub struct Attested {
    /// The evidence with what this side knew; it can be saved and verified again offline.
    pub transcript: Transcript,
    /// What the evidence shows.
    pub verdict: Verdict,
}

/// Challenges a node, and verifies its evidence against a release.
///
/// The evidence is bound to the key that the node showed on this client's connection: once it is
/// accepted, pin that key ([`NodeClient::pinned`]) to keep talking to the same machine.
pub async fn attest(
    node: &NodeClient,
    release: &ReleaseManifest,
    roots: &Roots,
) -> Result<Attested, SdkError> {
    let answer = node.bytes(Method::GET, "/v1/attestation/identity", Vec::new()).await?;
    let identity: IdentityDocument = decode("identity", &answer)?;
    let challenge = Challenge::new(&identity, &mut OsRng)
        .map_err(|error| SdkError::Attestation(error.to_string()))?;
    let request = wire::encode(challenge.request())
        .map_err(|source| SdkError::Wire { what: "challenge", source })?;
    let answer = node.bytes(Method::POST, "/v1/attestation/quote", request).await?;
    let evidence: Evidence = decode("evidence", &answer)?;
    let key = node.key_sha256().ok_or_else(|| node.protocol("no TLS key was shown".into()))?;
    let transcript = challenge.into_transcript(Digest(key), evidence);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs());
    let verdict = verify(&transcript, release, roots, now_s);
    Ok(Attested { transcript, verdict })
}

fn decode<T: Wire>(what: &'static str, bytes: &[u8]) -> Result<T, SdkError> {
    wire::decode(bytes).map_err(|source| SdkError::Wire { what, source })
}
