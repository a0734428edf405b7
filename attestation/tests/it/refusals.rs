//! Every reason to say no, each alone.

use aleph_attestation::digest::sha256;
use aleph_attestation::eventlog::EventKind;
use aleph_attestation::evidence::PcrValue;
use aleph_attestation::release::Profile;
use aleph_attestation::verdict::{CheckName, Outcome, Verdict};
use aleph_attestation::verify::verify;
use sha1::Digest as _;

use crate::boot::{Boot, Log, variable};
use crate::forger::{Forger, HONEST_ATTRIBUTES};

/// The verdict refuses, by exactly these checks, and the first one's words have `words` in them.
#[track_caller]
fn assert_refused(verdict: &Verdict, checks: &[CheckName], words: &str) {
    let failures: Vec<CheckName> = verdict.failures().map(|check| check.name).collect();
    assert!(!verdict.accepted, "{verdict}");
    assert_eq!(failures, checks, "{verdict}");
    let first = verdict.failures().next().unwrap();
    assert!(first.detail.contains(words), "{verdict}");
}

fn verdict_on(boot: &Boot) -> Verdict {
    let forger = Forger::new();
    forger.verify(&forger.transcript(forger.body(&boot.log())))
}

#[test]
fn without_a_reason_the_forger_is_accepted() {
    let verdict = verdict_on(&Boot::default());
    assert!(verdict.accepted, "{verdict}");
}

#[test]
fn a_debug_release_is_accepted_with_a_note() {
    let forger = Forger::new();
    let mut release = Boot::default().release();
    release.profile = Profile::Debug;
    let transcript = &forger.golden.transcript;
    let verdict = verify(transcript, &release, &forger.golden.roots, None);
    assert!(verdict.accepted, "{verdict}");
    assert_eq!(verdict.outcome(CheckName::Profile), Some(Outcome::Note));
    assert!(verdict.to_string().contains("(debug profile)"));
}

#[test]
fn answers_to_another_question() {
    let forger = Forger::new();
    let honest = forger.transcript(forger.body(&Boot::default().log()));

    let mut old_nonce = honest.clone();
    old_nonce.nonce = [0; 32];
    assert_refused(&forger.verify(&old_nonce), &[CheckName::Freshness], "another nonce");

    let mut other_tls_key = honest.clone();
    other_tls_key.tls_spki_sha256 = sha256(b"other");
    assert_refused(&forger.verify(&other_tls_key), &[CheckName::Channel], "someone stands between");

    // The claims can be made to fit, but the TPM signed others.
    let mut claimed = old_nonce.clone();
    claimed.evidence.body.nonce = claimed.nonce;
    assert_refused(&forger.verify(&claimed), &[CheckName::Binding], "not over this evidence");
    let mut claimed = other_tls_key.clone();
    claimed.evidence.body.tls_spki_sha256 = claimed.tls_spki_sha256;
    assert_refused(&forger.verify(&claimed), &[CheckName::Binding], "not over this evidence");

    let mut other_secret = honest.clone();
    other_secret.secret = [0; 32];
    assert_refused(&forger.verify(&other_secret), &[CheckName::Binding], "open the credential");

    let mut other_node = honest;
    other_node.identity_sha256 = forger.golden.transcript.identity_sha256;
    assert_refused(&forger.verify(&other_node), &[CheckName::Identity], "another node");
}

#[test]
fn quotes_that_are_none() {
    let forger = Forger::new();
    let body = forger.body(&Boot::default().log());
    let quoted = |edit: &dyn Fn(&mut crate::forger::QuoteFields)| {
        forger.verify(&forger.transcript_with(body.clone(), |fields| edit(fields)))
    };
    let verdict = quoted(&|fields| fields.magic = 0xff54_4348);
    assert_refused(&verdict, &[CheckName::Quote], "mark of a TPM's statement");
    let verdict = quoted(&|fields| fields.kind = 0x8017);
    assert_refused(&verdict, &[CheckName::Quote], "another statement");
    let verdict = quoted(&|fields| fields.trailing = vec![0]);
    assert_refused(&verdict, &[CheckName::Quote], "bytes follow its end");
    let verdict = quoted(&|fields| fields.extra_data = Vec::new());
    assert_refused(&verdict, &[CheckName::Binding], "not over this evidence");
    let verdict = quoted(&|fields| fields.signer[5] ^= 1);
    assert_refused(&verdict, &[CheckName::QualifiedSigner], "names another key");

    let mut unsigned = forger.transcript(body.clone());
    let other = forger.transcript_with(body.clone(), |fields| fields.kind = 0x8017);
    unsigned.evidence.signature = other.evidence.signature;
    assert_refused(&forger.verify(&unsigned), &[CheckName::Signature], "did not sign");
    unsigned.evidence.signature.push(0);
    assert_refused(&forger.verify(&unsigned), &[CheckName::Signature], "bytes follow its end");
}

#[test]
fn pcrs_that_were_not_asked_for() {
    let forger = Forger::new();
    let honest = forger.body(&Boot::default().log());

    let mut stray = honest.clone();
    stray.pcrs.push(PcrValue { pcr: 8, value: sha256(b"whatever") });
    let transcript = forger.transcript_with(stray, |fields| {
        fields.pcr_digest = aleph_attestation::evidence::pcr_digest(&honest.pcrs).0.to_vec();
    });
    assert_refused(
        &forger.verify(&transcript),
        &[CheckName::PcrSelection, CheckName::PcrDigest],
        "PCR 8 is listed, which the quote does not cover",
    );

    let selections: [Vec<(u16, Vec<u8>)>; 5] = [
        vec![(0x000b, vec![0, 2, 4, 7, 9, 12])],
        vec![(0x000b, vec![0, 1, 2, 4, 7, 9, 11, 12])],
        vec![(0x0004, vec![0, 2, 4, 7, 9, 11, 12])],
        vec![(0x000b, vec![0, 2, 4, 7, 9, 11, 12]), (0x0004, vec![0])],
        vec![],
    ];
    for banks in selections {
        let transcript = forger.transcript_with(honest.clone(), |fields| fields.banks = banks);
        let verdict = forger.verify(&transcript);
        assert_refused(&verdict, &[CheckName::PcrSelection], "other PCRs or another bank");
    }

    let mut reordered = honest.clone();
    reordered.pcrs.swap(0, 1);
    let verdict = forger.verify(&forger.transcript(reordered));
    assert_refused(&verdict, &[CheckName::PcrSelection], "in order");

    let mut other_values = honest;
    let transcript = forger.transcript_with(
        {
            other_values.pcrs[3].value = sha256(b"nicer");
            other_values.clone()
        },
        |fields| fields.pcr_digest = vec![0; 32],
    );
    assert_refused(&forger.verify(&transcript), &[CheckName::PcrDigest], "not those");
}

#[test]
fn attestation_keys_that_prove_nothing() {
    let forger = Forger::new();
    let cases = [
        (HONEST_ATTRIBUTES & !(1 << 1), "not fixedTPM"),
        (HONEST_ATTRIBUTES & !(1 << 4), "not fixedParent"),
        (HONEST_ATTRIBUTES & !(1 << 5), "not sensitiveDataOrigin"),
        (HONEST_ATTRIBUTES & !(1 << 16), "not restricted"),
        (HONEST_ATTRIBUTES & !(1 << 18), "not sign"),
        (HONEST_ATTRIBUTES | 1 << 17, "is decrypt"),
    ];
    for (attributes, words) in cases {
        let mut body = forger.body(&Boot::default().log());
        body.identity.ak_public = forger.ak_public(attributes);
        let verdict = forger.verify(&forger.transcript(body));
        assert_refused(&verdict, &[CheckName::AkAttributes], words);
    }
    // Offsets into the public area: type, name algorithm, scheme, its hash, curve.
    for (offset, words) in [
        (1, "elliptic-curve"),
        (3, "name algorithm"),
        (13, "scheme"),
        (15, "scheme"),
        (17, "P-256"),
    ] {
        let mut body = forger.body(&Boot::default().log());
        body.identity.ak_public[offset] ^= 0x40;
        let verdict = forger.verify(&forger.transcript(body));
        assert_refused(&verdict, &[CheckName::AkAttributes], words);
    }
}

#[test]
fn endorsement_keys_of_others() {
    let forger = Forger::new();
    let honest = forger.body(&Boot::default().log());

    let mut chosen_id = honest.clone();
    chosen_id.identity.node_id.0[0] ^= 1;
    let verdict = forger.verify(&forger.transcript(chosen_id));
    assert_refused(&verdict, &[CheckName::NodeId], "not the hash");

    let mut other_key = honest.clone();
    let last = other_key.identity.ek_public.len() - 1;
    other_key.identity.ek_public[last] ^= 2;
    let verdict = forger.verify(&forger.transcript(other_key));
    assert_refused(&verdict, &[CheckName::NodeId, CheckName::EkKey], "not the hash");

    let mut none = honest.clone();
    none.identity.ek_certificate.clear();
    let verdict = forger.verify(&forger.transcript(none));
    assert_refused(&verdict, &[CheckName::EkCertificate], "no certificate");

    let mut garbled = honest;
    let last = garbled.identity.ek_certificate.len() - 1;
    garbled.identity.ek_certificate[last] ^= 1;
    let verdict = forger.verify(&forger.transcript(garbled));
    assert_refused(&verdict, &[CheckName::EkCertificate], "was not signed by");

    let transcript = &forger.golden.transcript;
    let no_roots = aleph_attestation::roots::Roots::new();
    let verdict = verify(transcript, &Boot::default().release(), &no_roots, None);
    assert_refused(&verdict, &[CheckName::EkCertificate], "not among the trusted roots");
    assert!(verdict.virtual_tpm);
}

#[test]
fn boots_of_something_else() {
    let changed = Boot { cmdline: "console=ttyS0,115200 quieT".to_owned(), ..Boot::default() };
    let verdict = verdict_on(&changed);
    assert_refused(
        &verdict,
        &[CheckName::Pcr9, CheckName::Pcr11],
        "PCR 9: the kernel's command line differs from the release",
    );
    assert!(verdict.to_string().contains("PCR 11: section .cmdline differs from the release"));

    let other_image = Boot { uki: sha256(b"another"), ..Boot::default() };
    let verdict = verdict_on(&other_image);
    let words = "PCR 4: image aleph-node.efi differs from the release";
    assert_refused(&verdict, &[CheckName::Pcr4], words);
    assert!(verdict.to_string().contains("\\EFI\\BOOT\\BOOTX64.EFI"));

    let splash = Boot { splash: Some(b"splash".to_vec()), ..Boot::default() };
    assert_refused(&verdict_on(&splash), &[CheckName::Pcr11], "the release does not have");
    let forger = Forger::new();
    let transcript = &forger.golden.transcript;
    let verdict = verify(transcript, &splash.release(), &forger.golden.roots, None);
    let words = "PCR 11: the name of section .splash was never measured";
    assert_refused(&verdict, &[CheckName::Pcr11], words);

    let addon = Boot { addon: Some(b"init=/bin/sh".to_vec()), ..Boot::default() };
    assert_refused(
        &verdict_on(&addon),
        &[CheckName::EventPhases, CheckName::Pcr12],
        "PCR 12: event",
    );
}

#[test]
fn boot_options_that_fail_before_the_release_count_only_when_they_start_something() {
    let empty_drives = Boot { failed_attempts: vec![None, None], ..Boot::default() };
    let verdict = verdict_on(&empty_drives);
    assert!(verdict.accepted, "{verdict}");
    assert!(verdict.to_string().contains("after 2 boot options failed"), "{verdict}");

    let intruder = Some(sha256(b"authenticode of an intruder"));
    let started = Boot { failed_attempts: vec![None, intruder], ..Boot::default() };
    let words = "image aleph-node.efi differs from the release (event 20";
    assert_refused(&verdict_on(&started), &[CheckName::Pcr4], words);

    // Our image began and returned, then firmware started the bare kernel: the same images, but
    // not the same boot.
    let mut log = Boot::default().log();
    let is_image = |event: &crate::boot::Logged| event.sha256 == Boot::default().uki;
    let index = log.events.iter().position(is_image).unwrap();
    let mut attempt = Log::new();
    attempt.event(4, EventKind::EFI_ACTION, b"Returning from EFI Application from Boot Option");
    attempt.event(4, EventKind::EFI_ACTION, b"Calling EFI Application from Boot Option");
    log.events.splice(index + 1..index + 1, attempt.events);
    assert_refused(&verdict_on_log(&log), &[CheckName::Pcr4], "image kernel differs");

    // Another action among them is not an attempt.
    let mut log = empty_drives.log();
    let after = |event: &crate::boot::Logged| event.data.starts_with(b"Returning");
    let index = log.events.iter().position(after).unwrap();
    log.events[index].data = b"Returning from somewhere else".to_vec();
    log.events[index].sha256 = sha256(b"Returning from somewhere else");
    log.events[index].sha1 = sha1::Sha1::digest(b"Returning from somewhere else").into();
    assert_refused(&verdict_on_log(&log), &[CheckName::Pcr4], "differs from the release");
}

#[test]
fn a_manifest_without_events_still_refuses() {
    let forger = Forger::new();
    let mut release = Boot { uki: sha256(b"another"), ..Boot::default() }.release();
    release.pcr_events.clear();
    let verdict = verify(&forger.golden.transcript, &release, &forger.golden.roots, None);
    assert_refused(&verdict, &[CheckName::Pcr4], "does not list its events");
    release.pcrs.clear();
    let verdict = verify(&forger.golden.transcript, &release, &forger.golden.roots, None);
    let all = [CheckName::Pcr4, CheckName::Pcr9, CheckName::Pcr11];
    assert_refused(&verdict, &all, "has no value for PCR 4");
}

fn verdict_on_log(log: &Log) -> Verdict {
    let forger = Forger::new();
    forger.verify(&forger.transcript(forger.body(log)))
}

#[test]
fn event_logs_that_do_not_fit() {
    let forger = Forger::new();
    let honest = forger.body(&Boot::default().log());

    let mut none = honest.clone();
    none.event_log.clear();
    let verdict = forger.verify(&forger.transcript(none));
    assert_refused(&verdict, &[CheckName::EventLog], "no event log");

    let mut cut = honest.clone();
    cut.event_log.pop();
    let verdict = forger.verify(&forger.transcript(cut));
    assert_refused(&verdict, &[CheckName::EventLog], "ends too early");

    let mut short = Boot::default().log();
    short.events.remove(1);
    let mut body = honest.clone();
    body.event_log = short.to_bytes();
    let verdict = forger.verify(&forger.transcript(body));
    assert_refused(&verdict, &[CheckName::EventReplay], "quoted value of PCR 0");
}

#[test]
fn an_event_under_another_name_is_refused_even_when_its_quote_is_renewed() {
    let honest = Boot::default().log();
    let mut unseen = Vec::new();
    for index in 0..honest.events.len() {
        for (kind, _) in EventKind::KNOWN {
            let mut log = honest.clone();
            let event = &mut log.events[index];
            let (pcr, true_kind) = (event.pcr, event.kind);
            // Called an event without action, it is no longer extended and the value differs.
            if *kind == true_kind || [1, 3, 5, 6].contains(&pcr) {
                continue;
            }
            event.kind = *kind;
            let forger = Forger::new();
            let mut body = forger.body(&honest);
            body.event_log = log.to_bytes();
            let verdict = forger.verify(&forger.transcript(body));
            if verdict.accepted {
                unseen.push((pcr, true_kind, *kind));
                continue;
            }
            let by_rule = verdict.failures().any(|check| {
                [CheckName::EventPhases, CheckName::EventData].contains(&check.name)
                    && check.detail.contains(&format!("PCR {pcr}"))
            });
            assert!(by_rule, "{true_kind} as {kind} in PCR {pcr}: {verdict}");
        }
    }
    // Firmware blobs have no form of their own; no check reads their types.
    assert!(!unseen.is_empty());
    let firmware = [EventKind::EFI_PLATFORM_FIRMWARE_BLOB, EventKind::EFI_BOOT_SERVICES_DRIVER];
    for (pcr, true_kind, kind) in unseen {
        assert!([0, 2].contains(&pcr) && firmware.contains(&true_kind), "{true_kind} as {kind}");
    }
}

#[test]
fn events_whose_data_was_changed() {
    let cases: [(EventKind, &[u8], &str); 3] = [
        (EventKind::EFI_ACTION, b"Calling something else", "not the hash of its data"),
        (EventKind::SEPARATOR, &[1, 0, 0, 0], "reports an error"),
        (EventKind::EFI_BOOT_SERVICES_APPLICATION, b"image", "does not describe an image"),
    ];
    for (kind, data, words) in cases {
        let mut log = Boot::default().log();
        let event = log.events.iter_mut().find(|event| event.pcr == 4 && event.kind == kind);
        event.unwrap().data = data.to_vec();
        assert_refused(&verdict_on_log(&log), &[CheckName::EventData], words);
    }
    let mut log = Boot::default().log();
    let variable_event = log.events.iter_mut().find(|event| event.pcr == 7).unwrap();
    variable_event.data = variable("SecureBoot", &[1]);
    assert_refused(&verdict_on_log(&log), &[CheckName::EventData], "not the hash of its data");
}

#[test]
fn events_in_the_wrong_place() {
    // A second separator, a missing one, and events that come after it.
    let mut log = Boot::default().log();
    log.event(2, EventKind::SEPARATOR, &[0; 4]);
    assert_refused(&verdict_on_log(&log), &[CheckName::EventPhases], "second separator");

    let mut log = Boot::default().log();
    log.events.retain(|event| event.pcr != 0 || event.kind != EventKind::SEPARATOR);
    assert_refused(&verdict_on_log(&log), &[CheckName::EventPhases], "PCR 0: its separator");

    let mut log = Boot::default().log();
    log.event(7, EventKind::EFI_VARIABLE_DRIVER_CONFIG, &variable("dbr", &[]));
    assert_refused(&verdict_on_log(&log), &[CheckName::EventPhases], "after the separator");

    let mut log = Boot::default().log();
    log.events.retain(|event| event.data != variable("KEK", &[]));
    assert_refused(&verdict_on_log(&log), &[CheckName::EventPhases], "variable KEK is missing");

    let mut log = Boot::default().log();
    let index = log.events.iter().position(|event| event.data == variable("dbx", &[])).unwrap();
    log.events.insert(index, log.events[index].clone());
    assert_refused(&verdict_on_log(&log), &[CheckName::EventPhases], "dbx is there twice");
}

#[test]
fn problems_outside_the_quoted_pcrs_are_notes() {
    let mut log = Boot::default().log();
    log.event(5, EventKind::SEPARATOR, &[0; 4]);
    let verdict = verdict_on_log(&log);
    assert!(verdict.accepted, "{verdict}");
    assert!(verdict.to_string().contains("outside the quoted PCRs: PCR 5"));
}
