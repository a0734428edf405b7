//! Where a boot differs from a release, in words.

use super::{Event, EventLog};
use crate::digest::{sha256, short};
use crate::predict::{BOOT_ATTEMPT, BOOT_ATTEMPT_FAILED, SEPARATOR};
use crate::release::{PcrEvent, ReleaseManifest};

/// How many boot options failed before the release was booted, if it was and nothing else: PCR 4
/// then holds the release's events and those of the attempts. None when PCR 4 holds anything more.
///
/// An empty drive before ours in the boot order is no reason to refuse a machine. An attempt that
/// started an image is: its event stays, and is not the release's.
pub fn failed_attempts_before(log: &EventLog<'_>, release: &ReleaseManifest) -> Option<usize> {
    let (measured, failed_attempts) = boot_events(4, log);
    let measured = measured.iter().map(|event| event.sha256());
    let wanted = release.events_of(4).map(|event| Some(event.digest));
    (failed_attempts > 0 && measured.eq(wanted)).then_some(failed_attempts)
}

/// Says what in `pcr` is not as the release has it. The log must replay to the value that differs.
pub fn explain(pcr: u8, log: &EventLog<'_>, release: &ReleaseManifest) -> String {
    let wanted: Vec<&PcrEvent> = release.events_of(pcr).collect();
    let (measured, _) = boot_events(pcr, log);
    if wanted.is_empty() {
        return format!(
            "PCR {pcr}: the value is not the release's, and the manifest does not list its events"
        );
    }
    let same = wanted
        .iter()
        .zip(&measured)
        .take_while(|(wanted, event)| event.sha256() == Some(wanted.digest))
        .count();
    match (wanted.get(same), measured.get(same)) {
        (Some(wanted), Some(event)) => differing(pcr, wanted, event),
        (Some(wanted), None) => format!("PCR {pcr}: {} was never measured", wanted.name),
        (None, Some(event)) => {
            format!("PCR {pcr}: {event} was measured, which the release does not have")
        }
        (None, None) => {
            format!("PCR {pcr}: the manifest's value is not that of the events it lists")
        }
    }
}

/// The events of a PCR without those of boot attempts that started nothing, and their number.
///
/// Only attempts before the first image count. After it, the same events would mean that our image
/// began, returned, and that firmware then started something else.
fn boot_events<'l, 'a>(pcr: u8, log: &'l EventLog<'a>) -> (Vec<&'l Event<'a>>, usize) {
    let before_images = [BOOT_ATTEMPT, SEPARATOR].map(|text| Some(sha256(text)));
    let (again, failed) = (Some(sha256(BOOT_ATTEMPT)), Some(sha256(BOOT_ATTEMPT_FAILED)));
    let mut events: Vec<&Event<'_>> = Vec::new();
    let mut failed_attempts: usize = 0;
    for event in log.extended_into(pcr) {
        let follows_failure = events.split_last().is_some_and(|(last, earlier)| {
            last.sha256() == failed && earlier.iter().map(|event| event.sha256()).eq(before_images)
        });
        if pcr == 4 && follows_failure && event.sha256() == again {
            events.pop();
            failed_attempts = failed_attempts.saturating_add(1);
        } else {
            events.push(event);
        }
    }
    (events, failed_attempts)
}

fn differing(pcr: u8, wanted: &PcrEvent, event: &Event<'_>) -> String {
    let found = event.sha256().map_or_else(|| "nothing".to_owned(), |digest| short(&digest));
    let label = event.label();
    let is_other_section =
        pcr == 11 && wanted.name.split(' ').next_back().is_some_and(|name| name != label);
    if is_other_section {
        return format!("PCR {pcr}: {event} was measured where the release has {}", wanted.name);
    }
    format!(
        "PCR {pcr}: {} differs from the release ({event} measured {found}, the release has {})",
        wanted.name,
        short(&wanted.digest)
    )
}
