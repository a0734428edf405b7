//! The whole way with a real TPM implementation: swtpm.

use std::path::Path;

use aleph_attestation::Error;
use aleph_attestation::chain::{RegistryChallenge, release_digest};
use aleph_attestation::credential::make_credential;
use aleph_attestation::digest::{Digest, sha256};
use aleph_attestation::evidence::{Challenge, QuoteRequest, Transcript};
use aleph_attestation::structures::{AkPublic, EkPublic};
use aleph_attestation::tpm::Tpm;
use aleph_attestation::verdict::{CheckName, Outcome, Verdict};
use aleph_attestation::verify::{verify, verify_encoded};
use aleph_types::wire;
use rand::rngs::OsRng;

use crate::boot::Boot;
use crate::golden::{golden_dir, write_golden};
use crate::swtpm::Swtpm;

fn tls_key() -> Digest {
    sha256(b"the server's TLS key")
}

/// Boots a machine: the log goes to a file, its events into the PCRs.
fn boot(swtpm: &Swtpm, boot: &Boot) -> Tpm {
    let log = boot.log();
    let path = swtpm.dir().join("binary_bios_measurements");
    std::fs::write(&path, log.to_bytes()).unwrap();
    let tpm = Tpm::open(&swtpm.tcti()).unwrap().with_event_log(path);
    for event in &log.events {
        tpm.extend(event.pcr.try_into().unwrap(), &event.sha256).unwrap();
    }
    tpm
}

fn attest(tpm: &Tpm) -> Transcript {
    let challenge = Challenge::new(tpm.identity(), &mut OsRng).unwrap();
    let evidence = tpm.quote(challenge.request(), tls_key()).unwrap();
    challenge.into_transcript(tls_key(), evidence)
}

#[test]
fn a_booted_release_is_accepted_and_its_saved_evidence_gives_the_same_verdict() {
    let swtpm = Swtpm::start();
    let tpm = boot(&swtpm, &Boot::default());
    let transcript = attest(&tpm);
    let (release, roots) = (Boot::default().release(), swtpm.roots());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();

    let verdict = verify(&transcript, &release, &roots, Some(now));
    assert!(verdict.accepted, "{verdict}");
    assert!(verdict.virtual_tpm);
    assert_eq!(verdict.outcome(CheckName::VirtualTpm), Some(Outcome::Note));
    let node = verdict.node.clone().unwrap();
    assert_eq!(node.node_id, tpm.identity().node_id);
    assert_eq!(node.secure_boot, Some(false));
    assert_eq!(node.firmware.as_deref(), Some("edk2-stable202402"));

    let saved = wire::encode(&transcript).unwrap();
    assert_eq!(verify_encoded(&saved, &release, &roots, Some(now)), verdict);
    let json = serde_json::to_string(&verdict).unwrap();
    assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);

    // The same credential and quote again, for whoever asks differently.
    let mut old = attest(&tpm);
    old.evidence = transcript.evidence.clone();
    assert_refused(&verify(&old, &release, &roots, None), CheckName::Freshness, "another nonce");
    let mut relayed = transcript.clone();
    relayed.tls_spki_sha256 = sha256(b"the TLS key of someone between");
    assert_refused(&verify(&relayed, &release, &roots, None), CheckName::Channel, "between");
    let other_authority = Swtpm::start();
    assert_refused(
        &verify(&transcript, &release, &other_authority.roots(), None),
        CheckName::EkCertificate,
        "by another of that name",
    );
    let verdict = verify(&transcript, &release, &roots, Some(0));
    assert_refused(&verdict, CheckName::EkCertificate, "not valid yet");
}

#[test]
fn a_challenge_of_the_registry_is_answered_in_the_form_that_the_contract_takes() {
    let swtpm = Swtpm::start();
    let tpm = boot(&swtpm, &Boot::default());
    let key = AkPublic::parse(&tpm.identity().ak_public).unwrap().key;
    // Often enough that a TPM's s was the higher one in between.
    for count in 0..16 {
        let challenge = RegistryChallenge {
            chain_id: 42161,
            registry: [0xa1; 20].into(),
            node_id: tpm.identity().node_id,
            challenge: [count; 32],
        };
        let quote = tpm.quote_for_chain(&challenge).unwrap();
        let claim = quote.check(&challenge, &key).unwrap();
        assert_eq!(claim.pcr_digest, release_digest(&Boot::default().release()).unwrap());
        let other = RegistryChallenge { challenge: [0xff; 32], ..challenge };
        assert!(quote.check(&other, &key).is_err());
    }
}

#[test]
fn a_changed_command_line_is_refused_by_its_name() {
    let swtpm = Swtpm::start();
    let changed = Boot { cmdline: "console=ttyS0,115200 quieT".to_owned(), ..Boot::default() };
    let transcript = attest(&boot(&swtpm, &changed));
    let verdict = verify(&transcript, &Boot::default().release(), &swtpm.roots(), None);
    assert_refused(&verdict, CheckName::Pcr11, "section .cmdline differs from the release");
}

#[test]
fn a_credential_for_another_tpm_is_not_opened() {
    let (one, other) = (Swtpm::start(), Swtpm::start());
    let one = Tpm::open(&one.tcti()).unwrap();
    let other = Tpm::open(&other.tcti()).unwrap();
    let challenge = Challenge::new(other.identity(), &mut OsRng).unwrap();
    let error = one.quote(challenge.request(), tls_key()).unwrap_err();
    assert!(matches!(error, Error::TpmCredential), "{error}");
    // The failure left nothing behind: the next request is served.
    for _ in 0..5 {
        attest(&one);
    }
}

#[test]
fn the_identity_stays_over_restarts_and_nothing_stays_loaded() {
    let swtpm = Swtpm::start();
    let first = Tpm::open(&swtpm.tcti()).unwrap().identity().clone();
    assert_eq!(swtpm.tool("tpm2_getcap handles-transient"), "");
    assert_eq!(swtpm.tool("tpm2_getcap handles-loaded-session"), "");
    assert_eq!(Tpm::open(&swtpm.tcti()).unwrap().identity(), &first);
}

#[test]
fn a_machine_without_an_event_log_is_refused_with_that_reason() {
    let swtpm = Swtpm::start();
    let tpm = Tpm::open(&swtpm.tcti()).unwrap().with_event_log("/nonexistent");
    let verdict = verify(&attest(&tpm), &Boot::default().release(), &swtpm.roots(), None);
    assert_refused(&verdict, CheckName::EventLog, "no event log");
}

#[test]
fn a_missing_tpm_says_what_to_do() {
    let error = Tpm::open("/dev/no-such-tpm").err().unwrap();
    assert!(error.to_string().contains("switch the TPM"), "{error}");
    let error = Tpm::open("swtpm:host=127.0.0.1,port=1").err().unwrap();
    assert!(matches!(error, Error::TpmOpen { .. }), "{error}");
}

/// The header of the file that tpm2-tools keep a credential in: a magic number and a version.
const TOOLS_HEADER: [u8; 8] = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];

#[test]
fn our_name_and_credential_are_those_that_tpm2_tools_know() {
    let swtpm = Swtpm::start();
    swtpm.tool("tpm2_createek -c ek.ctx -G rsa -u ek.pub");
    swtpm.tool("tpm2_flushcontext -t");
    swtpm.tool("tpm2_createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -n ak.name");
    swtpm.tool("tpm2_flushcontext -t");
    let read = |name: &str| std::fs::read(swtpm.dir().join(name)).unwrap();
    let ek = EkPublic::parse(&read("ek.pub")[2..]).unwrap();
    let ak = AkPublic::parse(&read("ak.pub")[2..]).unwrap();
    assert_eq!(ak.name.as_bytes(), read("ak.name"));

    let secret = [0x5a; 32];
    let credential = make_credential(&ek, &ak.name, &secret, &mut OsRng).unwrap();
    let mut file = TOOLS_HEADER.to_vec();
    for part in [&credential.blob, &credential.encrypted_secret] {
        file.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
        file.extend_from_slice(part);
    }
    std::fs::write(swtpm.dir().join("ours"), file).unwrap();
    swtpm.tool("tpm2_startauthsession --policy-session -S session");
    swtpm.tool("tpm2_policysecret -S session -c e");
    swtpm.tool("tpm2_activatecredential -c ak.ctx -C ek.ctx -i ours -o opened -P session:session");
    assert_eq!(read("opened"), secret);
    swtpm.tool("tpm2_flushcontext session");
    swtpm.tool("tpm2_flushcontext -t");
}

#[test]
fn a_credential_of_tpm2_tools_is_opened_by_our_node() {
    let swtpm = Swtpm::start();
    let tpm = boot(&swtpm, &Boot::default());
    let identity = tpm.identity();
    let name = hex::encode(AkPublic::parse(&identity.ak_public).unwrap().name.as_bytes());
    let (nonce, secret) = ([1; 32], [2; 32]);
    std::fs::write(swtpm.dir().join("secret"), secret).unwrap();
    std::fs::write(swtpm.dir().join("ek.pub"), with_length(&identity.ek_public)).unwrap();
    swtpm.tool(&format!("tpm2_makecredential -T none -u ek.pub -s secret -n {name} -o theirs"));
    let file = std::fs::read(swtpm.dir().join("theirs")).unwrap();
    let rest = file.strip_prefix(&TOOLS_HEADER).unwrap();
    let (credential_blob, rest) = split_length(rest);
    let (encrypted_secret, rest) = split_length(rest);
    assert!(rest.is_empty());

    let request = QuoteRequest { nonce, credential_blob, encrypted_secret };
    let transcript = Transcript {
        nonce,
        secret,
        tls_spki_sha256: tls_key(),
        identity_sha256: identity.sha256().unwrap(),
        evidence: tpm.quote(&request, tls_key()).unwrap(),
    };
    let verdict = verify(&transcript, &Boot::default().release(), &swtpm.roots(), None);
    assert!(verdict.accepted, "{verdict}");
}

/// Writes the recorded evidence that the golden tests verify, when it is asked to:
/// `ALEPH_RECORD=1 cargo test -p aleph-attestation --features tpm record_golden_evidence`.
#[test]
fn record_golden_evidence() {
    if std::env::var_os("ALEPH_RECORD").is_none() {
        println!("skipped: writes testdata/ only when ALEPH_RECORD is set");
        return;
    }
    let swtpm = Swtpm::start();
    let transcript = attest(&boot(&swtpm, &Boot::default()));
    write_golden(Path::new(&golden_dir()), &transcript, &Boot::default(), &swtpm.roots_pem());
}

fn assert_refused(verdict: &Verdict, check: CheckName, words: &str) {
    assert!(!verdict.accepted, "{verdict}");
    let failures: Vec<_> = verdict.failures().collect();
    let found =
        failures.iter().any(|failure| failure.name == check && failure.detail.contains(words));
    assert!(found, "{verdict}");
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn split_length(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let len = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    (bytes[2..2 + len].to_vec(), &bytes[2 + len..])
}
