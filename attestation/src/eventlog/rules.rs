//! What an event log must look like before its types and texts are believed.
//!
//! A PCR covers the digests of events, not their types or data. Someone who writes the log can
//! therefore call an event something else. These rules leave no room for that in the PCRs that a
//! verdict reads events of (4, 7, 9, 11, 12): which types may be there, in which phase of the
//! boot, with data of which form, and whether the digest must be the hash of the data. In PCRs 0
//! and 2 the types of firmware blobs cannot be told apart; no verdict depends on them.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use super::{Event, EventKind, EventLog, Variable, image_device_path};
use crate::digest::ZERO;
use crate::text::printable;

/// The kind of rule that a log breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An event is where it must not be, or missing.
    Phase,
    /// An event's data is not what its type says.
    Data,
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The PCR it is about.
    pub pcr: u32,
    /// The kind of rule.
    pub rule: Rule,
    /// What is wrong, naming the event.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PCR {}: {}", self.pcr, self.text)
    }
}

/// The PCRs that firmware measures into, and ends with a separator.
const FIRMWARE_PCRS: RangeInclusive<u32> = 0..=7;

/// The Secure Boot variables that firmware measures into PCR 7, in this order; `dbx` may follow.
const SECURE_BOOT_VARIABLES: [&str; 4] = ["SecureBoot", "PK", "KEK", "db"];

/// The variable that says which devices are trusted; firmware that measures devices measures it.
const DEVICE_VARIABLE: &str = "devdb";

/// What firmware logs that measures no boot attempts.
const BOOT_ATTEMPTS_OMITTED: &[u8] = b"BOOT ATTEMPTS OMITTED";

/// Checks every rule and returns what is broken, in the order of the log.
pub fn check(log: &EventLog<'_>) -> Vec<Problem> {
    let mut checker =
        Checker { problems: Vec::new(), separated: BTreeSet::new(), extended_0: false };
    for event in &log.events {
        checker.event(event);
    }
    checker.end(log);
    checker.problems
}

struct Checker {
    problems: Vec<Problem>,
    /// The PCRs that have had their separator.
    separated: BTreeSet<u32>,
    extended_0: bool,
}

impl Checker {
    fn event(&mut self, event: &Event<'_>) {
        if !event.is_extended() {
            return self.no_action(event);
        }
        let os_present = self.separated.contains(&event.pcr);
        if event.kind == EventKind::SEPARATOR {
            self.separator(event);
        } else if !is_allowed(event, os_present) {
            let phase = match (FIRMWARE_PCRS.contains(&event.pcr), os_present) {
                (false, _) => "",
                (true, false) => " before the separator",
                (true, true) => " after the separator",
            };
            self.problem(event, Rule::Phase, format!("must not be there{phase}"));
        }
        if let Err(problem) = check_data(event) {
            self.problem(event, Rule::Data, problem.to_owned());
        }
        self.extended_0 |= event.pcr == 0;
    }

    fn no_action(&mut self, event: &Event<'_>) {
        if event.sha256().is_some_and(|digest| digest != ZERO) {
            self.problem(event, Rule::Data, "has a digest though it measures nothing".to_owned());
        }
        let Some(locality) = event.startup_locality() else { return };
        if event.pcr != 0 || self.extended_0 {
            self.problem(event, Rule::Phase, "names the start's locality too late".to_owned());
        }
        if ![0, 3, 4].contains(&locality) || event.data.len() != 17 {
            self.problem(event, Rule::Data, "names a locality that starts no TPM".to_owned());
        }
        // A second one must come too late.
        self.extended_0 = true;
    }

    fn separator(&mut self, event: &Event<'_>) {
        if !FIRMWARE_PCRS.contains(&event.pcr) {
            self.problem(event, Rule::Phase, "is a separator outside firmware's PCRs".to_owned());
        }
        if !self.separated.insert(event.pcr) {
            self.problem(event, Rule::Phase, "is a second separator".to_owned());
        }
    }

    fn end(&mut self, log: &EventLog<'_>) {
        for pcr in FIRMWARE_PCRS {
            if !self.separated.contains(&pcr) {
                let text = "its separator is missing".to_owned();
                self.problems.push(Problem { pcr, rule: Rule::Phase, text });
            }
        }
        let has_version = log.extended_into(0).any(|event| event.kind == EventKind::S_CRTM_VERSION);
        if !has_version {
            let text = "the firmware's version (EV_S_CRTM_VERSION) is missing".to_owned();
            self.problems.push(Problem { pcr: 0, rule: Rule::Phase, text });
        }
        self.secure_boot_variables(log);
    }

    fn secure_boot_variables(&mut self, log: &EventLog<'_>) {
        let measured: Vec<String> = log
            .extended_into(7)
            .filter(|event| event.kind == EventKind::EFI_VARIABLE_DRIVER_CONFIG)
            .filter_map(|event| Variable::parse(event.data).ok())
            .map(|variable| variable.name)
            .collect();
        let in_order = measured
            .iter()
            .zip(SECURE_BOOT_VARIABLES)
            .take_while(|(measured, wanted)| measured == wanted)
            .count();
        if let Some(missing) = SECURE_BOOT_VARIABLES.get(in_order) {
            let text = format!("the Secure Boot variable {missing} is missing or out of order");
            self.problems.push(Problem { pcr: 7, rule: Rule::Phase, text });
        }
        let twice = measured.iter().enumerate().find(|(index, name)| {
            measured.get(index.saturating_add(1)..).is_some_and(|rest| rest.contains(name))
        });
        if let Some((_, name)) = twice {
            let text = format!("the Secure Boot variable {} is there twice", printable(name));
            self.problems.push(Problem { pcr: 7, rule: Rule::Phase, text });
        }
    }

    fn problem(&mut self, event: &Event<'_>, rule: Rule, text: String) {
        let text = format!("{event} {text}");
        self.problems.push(Problem { pcr: event.pcr, rule, text });
    }
}

/// Whether an event of this type may be in its PCR in this phase. Separators are counted apart.
fn is_allowed(event: &Event<'_>, os_present: bool) -> bool {
    use EventKind as Kind;
    match (event.pcr, os_present) {
        (0, false) => [
            Kind::POST_CODE,
            Kind::POST_CODE2,
            Kind::S_CRTM_CONTENTS,
            Kind::S_CRTM_VERSION,
            Kind::NONHOST_CODE,
            Kind::NONHOST_INFO,
            Kind::EFI_ACTION,
            Kind::EFI_BOOT_SERVICES_DRIVER,
            Kind::EFI_RUNTIME_SERVICES_DRIVER,
            Kind::EFI_PLATFORM_FIRMWARE_BLOB,
            Kind::EFI_PLATFORM_FIRMWARE_BLOB2,
            Kind::EFI_HCRTM_EVENT,
            Kind::EFI_SPDM_FIRMWARE_BLOB,
        ]
        .contains(&event.kind),
        (2, _) => [
            Kind::POST_CODE,
            Kind::POST_CODE2,
            Kind::EFI_ACTION,
            Kind::EFI_BOOT_SERVICES_APPLICATION,
            Kind::EFI_BOOT_SERVICES_DRIVER,
            Kind::EFI_RUNTIME_SERVICES_DRIVER,
            Kind::EFI_PLATFORM_FIRMWARE_BLOB,
            Kind::EFI_PLATFORM_FIRMWARE_BLOB2,
            Kind::EFI_SPDM_FIRMWARE_BLOB,
        ]
        .contains(&event.kind),
        (4, false) => {
            [Kind::EFI_ACTION, Kind::EFI_BOOT_SERVICES_APPLICATION, Kind::OMIT_BOOT_DEVICE_EVENTS]
                .contains(&event.kind)
        }
        (4, true) => [Kind::EFI_ACTION, Kind::EFI_BOOT_SERVICES_APPLICATION].contains(&event.kind),
        (7, false) => [
            Kind::EFI_VARIABLE_DRIVER_CONFIG,
            Kind::EFI_VARIABLE_AUTHORITY,
            Kind::EFI_ACTION,
            Kind::EFI_SPDM_DEVICE_POLICY,
            Kind::EFI_SPDM_DEVICE_AUTHORITY,
        ]
        .contains(&event.kind),
        (7, true) => event.kind == Kind::EFI_VARIABLE_AUTHORITY,
        // The kernel's EFI stub: command line and initial file system.
        (9, _) => event.kind == Kind::EVENT_TAG,
        // The UKI's stub: its sections.
        (11, _) => event.kind == Kind::IPL,
        // Whatever the stub finds beside the UKI; we have nothing there.
        (12, _) | (0, true) => false,
        _ => true,
    }
}

/// Whether the data has the form of the event's type, and its hash is the digest where that is
/// the type's rule.
fn check_data(event: &Event<'_>) -> Result<(), &'static str> {
    use EventKind as Kind;
    let hashed = || match event.is_hash_of_data() {
        true => Ok(()),
        false => Err("has a digest that is not the hash of its data"),
    };
    match event.kind {
        Kind::SEPARATOR => match event.data {
            [0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff] => hashed(),
            _ => Err("is a separator that reports an error"),
        },
        Kind::EFI_ACTION => {
            if !event.data.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
                return Err("is an action without readable text");
            }
            hashed()
        }
        Kind::OMIT_BOOT_DEVICE_EVENTS if event.data != BOOT_ATTEMPTS_OMITTED => {
            Err("does not say that boot attempts are left out")
        }
        Kind::OMIT_BOOT_DEVICE_EVENTS | Kind::S_CRTM_VERSION | Kind::EFI_GPT_EVENT => hashed(),
        Kind::EFI_VARIABLE_DRIVER_CONFIG => {
            if [DEVICE_VARIABLE, ""].contains(&variable_name(event)?.as_str()) {
                return Err("names a variable that does not configure Secure Boot");
            }
            hashed()
        }
        Kind::EFI_SPDM_DEVICE_POLICY | Kind::EFI_SPDM_DEVICE_AUTHORITY => {
            if variable_name(event)? != DEVICE_VARIABLE {
                return Err("names a variable that is not about devices");
            }
            hashed()
        }
        Kind::EFI_VARIABLE_AUTHORITY => {
            let configuration = ["SecureBoot", "PK", "KEK", "dbx", DEVICE_VARIABLE, ""];
            if configuration.contains(&variable_name(event)?.as_str()) {
                return Err("names a variable that authorises no image");
            }
            hashed()
        }
        Kind::EFI_BOOT_SERVICES_APPLICATION
        | Kind::EFI_BOOT_SERVICES_DRIVER
        | Kind::EFI_RUNTIME_SERVICES_DRIVER => match image_device_path(event.data) {
            Ok(_) => Ok(()),
            Err(_) => Err("does not describe an image"),
        },
        _ => Ok(()),
    }
}

fn variable_name(event: &Event<'_>) -> Result<String, &'static str> {
    let variable = Variable::parse(event.data).map_err(|_| "does not describe a variable")?;
    Ok(variable.name)
}
