//! One entry for each decoder of bytes that come from a stranger. The property tests and the fuzz
//! targets run the same functions: none may panic, whatever the bytes are.

use crate::certificate::{Certificate, split_chain, verify_ek_path};
use crate::eventlog::{EventLog, rules};
use crate::release::ReleaseManifest;
use crate::roots::Roots;
use crate::structures::{AkPublic, EkPublic, Quote, parse_signature};
use crate::verify::{decode_transcript, verify};

/// An event log: parsed, checked by every rule, replayed in both banks, printed.
pub fn event_log(bytes: &[u8]) {
    let Ok(log) = EventLog::parse(bytes) else { return };
    let texts: Vec<String> = log.events.iter().map(ToString::to_string).collect();
    let problems = rules::check(&log);
    let values: Vec<_> = (0..24).map(|pcr| (log.replay(pcr), log.replay_sha1(pcr))).collect();
    std::hint::black_box((texts, problems, values, log.secure_boot(), log.firmware_version()));
}

/// The TPM's structures: a quote, both kinds of public area, a signature.
pub fn tpm_structures(bytes: &[u8]) {
    std::hint::black_box((
        Quote::parse(bytes).is_ok(),
        EkPublic::parse(bytes).and_then(|ek| ek.node_id()).is_ok(),
        AkPublic::parse(bytes).map(|ak| ak.coordinates()).is_ok(),
        parse_signature(bytes).is_ok(),
    ));
}

/// A certificate as a TPM keeps it, also as its own issuer.
pub fn certificate(bytes: &[u8]) {
    let chain: Vec<Certificate> =
        split_chain(bytes).iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    let Ok(certificate) = Certificate::from_nv(bytes) else { return };
    let path = verify_ek_path(&certificate, &chain, &Roots::new(), Some(0));
    std::hint::black_box((path.is_ok(), certificate.tpm_model(), certificate.rsa_key().is_some()));
}

/// A file of roots.
pub fn roots(bytes: &[u8]) {
    std::hint::black_box(Roots::new().add_pem(bytes).is_ok());
}

/// A release manifest.
pub fn release_manifest(bytes: &[u8]) {
    std::hint::black_box(ReleaseManifest::from_json(bytes).is_ok());
}

/// A transcript, verified against `release` and `roots`; returns whether it was accepted.
pub fn transcript(bytes: &[u8], release: &ReleaseManifest, roots: &Roots) -> bool {
    decode_transcript(bytes)
        .is_ok_and(|transcript| verify(&transcript, release, roots, None).accepted)
}
