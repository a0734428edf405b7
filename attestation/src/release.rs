//! What the builder of an image says about it: sizes, hashes and the PCR values it must give.
//!
//! The manifest is the verifier's only idea of "our system": a node is accepted when its quote
//! shows the PCRs that the manifest names. [`ReleaseManifest::pcr_events`] is there for words
//! only: it lets the verifier name the event behind a PCR that differs, and
//! [`ReleaseManifest::from_json`] makes sure that the events do give the values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;
use crate::predict::replay;

/// The only manifest format that exists.
pub const RELEASE_FORMAT: u32 = 1;

/// The largest manifest that is read.
pub const RELEASE_SIZE_BYTES_MAX: usize = 4 << 20;

/// The PCRs whose values every manifest has: what firmware started, what the kernel was given, and
/// what the image holds. Without one of them, something that was swapped would go unseen.
pub const PCRS_PREDICTED: [u8; 3] = [4, 9, 11];

/// A release of the system, as published beside its image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseManifest {
    /// [`RELEASE_FORMAT`].
    pub format: u32,
    /// The product, `aleph-node`.
    pub name: String,
    /// The version of the release.
    pub version: String,
    /// Who the image is for.
    pub profile: Profile,
    /// The time that all files of the image carry, in seconds since 1970.
    pub source_date_epoch: u64,
    /// The unified kernel image that firmware starts.
    pub uki: Artifact,
    /// The disk image that holds it.
    pub disk: Artifact,
    /// The kernel's release string, as `uname -r` prints it.
    pub kernel_version: String,
    /// The command line that is measured as section `.cmdline`.
    pub cmdline: String,
    /// Predicted values of the SHA-256 bank; [`PCRS_PREDICTED`] must be there.
    pub pcrs: BTreeMap<u8, Digest>,
    /// The measurements behind `pcrs`, in the order in which they are extended.
    #[serde(default)]
    pub pcr_events: Vec<PcrEvent>,
    /// Every executable in the image.
    pub executables: Vec<Artifact>,
    /// The bill of materials.
    pub sbom: Document,
}

/// Who an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// For providers.
    Release,
    /// For tests: a console on the second serial port.
    Debug,
}

/// A file with its size and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The file's name beside the manifest, or its path in the image.
    pub path: String,
    /// Its length.
    pub size_bytes: u64,
    /// Its hash.
    pub sha256: Digest,
}

/// A file with its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The file's name beside the manifest.
    pub path: String,
    /// Its hash.
    pub sha256: Digest,
}

/// One predicted measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcrEvent {
    /// The PCR it is extended into.
    pub pcr: u8,
    /// What is measured, in words that fit a sentence: `section .cmdline`.
    pub name: String,
    /// The digest that is extended.
    pub digest: Digest,
}

impl ReleaseManifest {
    /// Reads a manifest and checks that it can be verified against.
    ///
    /// # Errors
    /// When the bytes are no manifest of this format, when one of [`PCRS_PREDICTED`] is missing, or
    /// when the events listed for a PCR do not give its value.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > RELEASE_SIZE_BYTES_MAX {
            return Err(Error::ReleaseSize {
                size_bytes: bytes.len(),
                size_bytes_max: RELEASE_SIZE_BYTES_MAX,
            });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(Error::ReleaseSyntax)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest as it is published: indented JSON with a final newline.
    ///
    /// # Errors
    /// When the manifest does not pass the checks of [`Self::from_json`].
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut bytes = serde_json::to_vec_pretty(self).map_err(Error::ReleaseSyntax)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The predicted events of one PCR, in order.
    pub fn events_of(&self, pcr: u8) -> impl Iterator<Item = &PcrEvent> {
        self.pcr_events.iter().filter(move |event| event.pcr == pcr)
    }

    fn check(&self) -> Result<(), Error> {
        if self.format != RELEASE_FORMAT {
            return Err(Error::ReleaseFormat { found: self.format, known: RELEASE_FORMAT });
        }
        for pcr in PCRS_PREDICTED {
            if !self.pcrs.contains_key(&pcr) {
                return Err(Error::ReleasePcrMissing { pcr });
            }
        }
        for event in &self.pcr_events {
            let replayed = replay(self.events_of(event.pcr).map(|event| &event.digest));
            if self.pcrs.get(&event.pcr) != Some(&replayed) {
                return Err(Error::ReleaseEvents { pcr: event.pcr });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;
    use crate::predict::{Prediction, Section, predict_pcr4, predict_pcr9, predict_pcr11};

    fn manifest() -> ReleaseManifest {
        let file =
            Artifact { path: "aleph-node.efi".to_owned(), size_bytes: 3, sha256: sha256(b"uki") };
        let predictions = [
            predict_pcr4(&[("aleph-node.efi", sha256(b"uki authenticode"))]),
            predict_pcr9("quiet", sha256(b"initrd")),
            predict_pcr11(&[Section::of(".cmdline", b"quiet")]).unwrap(),
        ];
        let (pcrs, pcr_events) = Prediction::into_manifest(predictions);
        ReleaseManifest {
            format: RELEASE_FORMAT,
            name: "aleph-node".to_owned(),
            version: "0.1.0".to_owned(),
            profile: Profile::Release,
            source_date_epoch: 0,
            uki: file.clone(),
            disk: file.clone(),
            kernel_version: "6.12".to_owned(),
            cmdline: "quiet".to_owned(),
            pcrs,
            pcr_events,
            executables: vec![file],
            sbom: Document { path: "sbom.spdx.json".to_owned(), sha256: sha256(b"sbom") },
        }
    }

    #[test]
    fn json_keeps_everything() {
        let json = manifest().to_json().unwrap();
        assert_eq!(ReleaseManifest::from_json(&json).unwrap(), manifest());
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["profile"], "release");
        assert!(value["pcrs"]["11"].is_string());
    }

    #[test]
    fn events_that_do_not_give_the_value_are_refused() {
        let mut manifest = manifest();
        manifest.pcr_events.pop();
        assert!(matches!(manifest.to_json(), Err(Error::ReleaseEvents { pcr: 11 })));
    }

    #[test]
    fn a_missing_pcr_an_unknown_format_and_unknown_fields_are_refused() {
        for pcr in PCRS_PREDICTED {
            let mut missing = manifest();
            missing.pcrs.remove(&pcr);
            missing.pcr_events.retain(|event| event.pcr != pcr);
            let error = missing.to_json().unwrap_err();
            assert!(matches!(error, Error::ReleasePcrMissing { pcr: told } if told == pcr));
        }
        let mut newer = manifest();
        newer.format = 2;
        assert!(matches!(newer.to_json(), Err(Error::ReleaseFormat { found: 2, known: 1 })));
        let mut value = serde_json::to_value(manifest()).unwrap();
        value["more"] = 1.into();
        let bytes = serde_json::to_vec(&value).unwrap();
        assert!(matches!(ReleaseManifest::from_json(&bytes), Err(Error::ReleaseSyntax(_))));
    }
}
