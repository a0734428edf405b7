//! Logs of real firmware: one of our own boots, and recorded logs of other machines. The latter
//! are not part of the project; without them the tests say so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use aleph_attestation::Digest;
use aleph_attestation::eventlog::{Algorithm, EventKind, EventLog, difference, rules};
use aleph_attestation::predict::{Section, predict_pcr4, predict_pcr9, predict_pcr11};

use crate::boot::Boot;

fn logs() -> BTreeMap<String, Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/eventlogs");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        println!("skipped: there are no recorded logs in {}", dir.display());
        return BTreeMap::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .map(|path: PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

/// OVMF, systemd-stub 252 and Debian's 6.12 kernel in QEMU, with what the kernel then read from
/// the TPM. Firmware tried an empty boot option first.
#[test]
fn a_real_boot_is_as_predicted() {
    let bytes = include_bytes!("../../testdata/ovmf-uki.log");
    let digest = |text: &str| text.parse::<Digest>().unwrap();
    let log = EventLog::parse(bytes).unwrap();
    assert_eq!(rules::check(&log), []);
    assert_eq!(log.secure_boot(), Some(false));
    let read = [
        (0, "0831538094ae7d222de8318131a584d588af4be751a16aa2346e8606daf85cc0"),
        (2, "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969"),
        (4, "2e573ae90469dbd3aab6ca3231e32fadf47d111374b304fadc9a5c8b0f152f47"),
        (7, "65caf8dd1e0ea7a6347b635d2b379c93b9a1351edc2afc3ecda700e534eb3068"),
        (9, "4d8f78c9d2eb90f35f97ac77e53a338d1e9b587dda717fe1bc881d2f2a1ff4fc"),
        (11, "3a7dc54f88825dad15c358237b4a3de147de8901a0e8605092e71add3b99fb02"),
        (12, "0000000000000000000000000000000000000000000000000000000000000000"),
    ];
    for (pcr, value) in read {
        assert_eq!(log.replay(pcr), Some(digest(value)), "PCR {pcr}");
    }

    let cmdline = "console=ttyS0 quiet panic=1";
    let initrd = digest("c0021c72ae826560827c16ca12a3c42326e46d7e228e087e16957b8642b0aee8");
    let linux = digest("90846a1289d0f21edd8f1226f6f0f6e8e5e72c8bf1ded444e1e38eeb7dc09f4a");
    let sections = [
        Section { name: ".linux", sha256: linux },
        Section::of(".osrel", b"ID=aleph-node\n"),
        Section::of(".cmdline", cmdline.as_bytes()),
        Section { name: ".initrd", sha256: initrd },
    ];
    assert_eq!(Some(predict_pcr11(&sections).unwrap().value), log.replay(11));
    assert_eq!(Some(predict_pcr9(cmdline, initrd).value), log.replay(9));

    let images: Vec<Digest> = log
        .extended_into(4)
        .filter(|event| event.kind == EventKind::EFI_BOOT_SERVICES_APPLICATION)
        .filter_map(|event| event.sha256())
        .collect();
    let mut release = Boot::default().release();
    release.pcr_events = predict_pcr4(&[("image", images[0]), ("kernel", images[1])]).events;
    assert_eq!(difference::failed_attempts_before(&log, &release), Some(1));
}

#[test]
fn every_recorded_log_is_read_to_its_end() {
    for (name, bytes) in logs() {
        let log = EventLog::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!log.events.is_empty(), "{name}");
        println!(
            "{name}: {} events, secure boot {:?}, firmware {:?}",
            log.events.len(),
            log.secure_boot(),
            log.firmware_version()
        );
        for problem in rules::check(&log) {
            println!("    {problem}");
        }
        for len in 1..bytes.len() {
            // A cut between two events is a shorter log; elsewhere it is an error.
            if let Ok(cut) = EventLog::parse(&bytes[..len]) {
                assert!(cut.events.len() < log.events.len(), "{name} cut to {len}");
            }
        }
    }
}

#[test]
fn the_oddities_are_known() {
    let logs = logs();
    let Some(short) = logs.get("short_no_action_eventlog") else { return };
    let short = EventLog::parse(short).unwrap();
    assert_eq!(short.events.len(), 1);
    assert_eq!(short.startup_locality(), Some(3));
    assert_eq!(short.replay_sha1(0).unwrap()[19], 3);
    assert_eq!(short.replay(0).unwrap().0[31], 3);

    let agile = EventLog::parse(&logs["crypto_agile_eventlog"]).unwrap();
    assert!(agile.events.iter().all(|event| event.digest(Algorithm::SHA256).is_some()));
    assert!(agile.events.iter().all(|event| event.digest(Algorithm::SHA1).is_none()));

    let no_exit = EventLog::parse(&logs["ebs_event_missing_eventlog"]).unwrap();
    let exits = no_exit.extended_into(5).filter(|event| {
        event.kind == EventKind::EFI_ACTION && event.data.starts_with(b"Exit Boot Services")
    });
    assert_eq!(exits.count(), 0);

    let authority = EventLog::parse(&logs["sb_cert_eventlog"]).unwrap();
    assert_eq!(authority.secure_boot(), Some(true));
    let labels: Vec<String> = authority
        .extended_into(7)
        .filter(|event| event.kind == EventKind::EFI_VARIABLE_AUTHORITY)
        .map(|event| event.label())
        .collect();
    assert_eq!(labels.first().map(String::as_str), Some("db"), "{labels:?}");
}

#[test]
fn replay_agrees_with_tpm2_eventlog() {
    if Command::new("tpm2_eventlog").arg("--version").output().is_err() {
        println!("skipped: tpm2_eventlog is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for (name, bytes) in logs() {
        let path = dir.path().join(&name);
        std::fs::write(&path, &bytes).unwrap();
        let output = Command::new("tpm2_eventlog").arg(&path).output().unwrap();
        if !output.status.success() {
            println!("{name}: tpm2_eventlog cannot read it, we can");
            continue;
        }
        let log = EventLog::parse(&bytes).unwrap();
        for (bank, pcr, value) in replayed_values(&String::from_utf8_lossy(&output.stdout)) {
            let ours = match bank.as_str() {
                "sha1" => log.replay_sha1(pcr).map(hex::encode),
                "sha256" => log.replay(pcr).map(|value| value.to_string()),
                _ => continue,
            };
            assert_eq!(ours.as_deref(), Some(value.as_str()), "{name}, {bank} PCR {pcr}");
            compared += 1;
        }
    }
    println!("{compared} PCR values compared");
}

/// Lines `  0  : 0x12…` under `  sha256:` under `pcrs:`.
fn replayed_values(yaml: &str) -> Vec<(String, u8, String)> {
    let mut bank = String::new();
    let mut values = Vec::new();
    for line in yaml.lines().skip_while(|line| *line != "pcrs:").skip(1) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match (key.parse(), value.strip_prefix("0x")) {
            (Ok(pcr), Some(value)) => values.push((bank.clone(), pcr, value.to_lowercase())),
            _ => bank = key.to_owned(),
        }
    }
    values
}
