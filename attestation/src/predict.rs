//! PCR values computed from the bytes of an image, before any machine has booted it.
//!
//! The rules are those of systemd-stub 252 started by firmware itself, without Secure Boot:
//! PCR 4 sees the boot attempt and each image that is started, PCR 9 what the kernel's own EFI
//! stub loads, PCR 11 the sections of the unified kernel image.

use std::collections::BTreeMap;

use crate::digest::{self, Digest, sha256, sha256_parts};
use crate::error::Error;
use crate::release::PcrEvent;

/// What firmware measures when it begins with a boot option.
pub(crate) const BOOT_ATTEMPT: &[u8] = b"Calling EFI Application from Boot Option";

/// What firmware measures when a boot option turned out not to boot.
pub(crate) const BOOT_ATTEMPT_FAILED: &[u8] = b"Returning from EFI Application from Boot Option";

/// What firmware measures when it hands over to the operating system's side.
pub(crate) const SEPARATOR: &[u8] = &[0; 4];

/// The sections that the stub measures, in its order, whatever their order in the file.
pub const MEASURED_SECTIONS: [&str; 7] =
    [".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey"];

/// A PCR's value with the events that give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The PCR.
    pub pcr: u8,
    /// Its value in the SHA-256 bank.
    pub value: Digest,
    /// The events, in order.
    pub events: Vec<PcrEvent>,
}

/// A section of the unified kernel image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Its name, with the dot.
    pub name: &'a str,
    /// The hash of its content: `VirtualSize` bytes, without the padding to the file alignment.
    pub sha256: Digest,
}

impl<'a> Section<'a> {
    /// A section with this content.
    pub fn of(name: &'a str, bytes: &[u8]) -> Self {
        Self { name, sha256: sha256(bytes) }
    }
}

impl Prediction {
    /// The manifest's `pcrs` and `pcr_events`.
    pub fn into_manifest(
        predictions: impl IntoIterator<Item = Self>,
    ) -> (BTreeMap<u8, Digest>, Vec<PcrEvent>) {
        let mut values = BTreeMap::new();
        let mut events = Vec::new();
        for prediction in predictions {
            values.insert(prediction.pcr, prediction.value);
            events.extend(prediction.events);
        }
        (values, events)
    }

    fn new(pcr: u8, events: Vec<(String, Digest)>) -> Self {
        let value = replay(events.iter().map(|(_, digest)| digest));
        let events = events.into_iter().map(|(name, digest)| PcrEvent { pcr, name, digest });
        Self { pcr, value, events: events.collect() }
    }
}

/// PCR 4 when firmware starts `images` in this order: each a name for people and the SHA-256
/// Authenticode hash. For our image that is the unified kernel image, then the kernel in it.
pub fn predict_pcr4(images: &[(&str, Digest)]) -> Prediction {
    let mut events = vec![
        ("the boot attempt".to_owned(), sha256(BOOT_ATTEMPT)),
        ("the separator".to_owned(), sha256(SEPARATOR)),
    ];
    events.extend(images.iter().map(|(name, hash)| (format!("image {name}"), *hash)));
    Prediction::new(4, events)
}

/// PCR 9 when the kernel's EFI stub gets this command line and this initial file system.
///
/// It holds only for an image without `.pcrsig`, whose content the stub would append.
pub fn predict_pcr9(cmdline: &str, initrd_sha256: Digest) -> Prediction {
    let utf16: Vec<u8> =
        cmdline.encode_utf16().chain([0]).flat_map(|unit| unit.to_le_bytes()).collect();
    Prediction::new(
        9,
        vec![
            ("the kernel's command line".to_owned(), sha256(&utf16)),
            ("the initial file system".to_owned(), initrd_sha256),
        ],
    )
}

/// PCR 11 of a unified kernel image with these sections, in any order. Sections that the stub
/// does not measure (`.uname`, `.sbat`, `.pcrsig`, `.text` and the like) may be among them.
///
/// # Errors
/// When a measured section is there twice.
pub fn predict_pcr11(sections: &[Section<'_>]) -> Result<Prediction, Error> {
    let mut events = Vec::new();
    for name in MEASURED_SECTIONS {
        let mut found = sections.iter().filter(|section| section.name == name);
        let Some(section) = found.next() else { continue };
        if found.next().is_some() {
            return Err(Error::SectionTwice { section: name });
        }
        let with_nul = sha256_parts(&[name.as_bytes(), &[0]]);
        events.push((format!("the name of section {name}"), with_nul));
        events.push((format!("section {name}"), section.sha256));
    }
    Ok(Prediction::new(11, events))
}

/// The value of a PCR that starts at zero, after these events.
pub fn replay<'a>(events: impl IntoIterator<Item = &'a Digest>) -> Digest {
    events.into_iter().fold(digest::ZERO, |value, event| digest::extend(&value, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_measured_in_the_stubs_order() {
        let linux = Section::of(".linux", b"kernel");
        let cmdline = Section::of(".cmdline", b"quiet");
        let sbat = Section::of(".sbat", b"sbat");
        let prediction = predict_pcr11(&[cmdline, sbat, linux]).unwrap();
        let names: Vec<_> = prediction.events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "the name of section .linux",
                "section .linux",
                "the name of section .cmdline",
                "section .cmdline"
            ]
        );
        let steps = [b".linux\0".as_slice(), b"kernel", b".cmdline\0", b"quiet"].map(sha256);
        assert_eq!(prediction.value, replay(&steps));
        assert!(predict_pcr11(&[linux, linux]).is_err());
    }

    #[test]
    fn boot_applications_follow_the_separator() {
        let image = sha256(b"authenticode");
        let prediction = predict_pcr4(&[("aleph-node.efi", image)]);
        let separator: Digest =
            "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119".parse().unwrap();
        let attempt: Digest =
            "3d6772b4f84ed47595d72a2c4c5ffd15f5bb72c7507fe26f2aaee2c69d5633ba".parse().unwrap();
        assert_eq!(prediction.value, replay(&[attempt, separator, image]));
    }

    #[test]
    fn the_kernel_measures_its_command_line_as_utf16() {
        let initrd = sha256(b"initrd");
        let prediction = predict_pcr9("a", initrd);
        assert_eq!(prediction.value, replay(&[sha256(b"a\0\0\0"), initrd]));
    }
}
