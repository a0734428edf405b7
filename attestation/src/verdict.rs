//! A verifier's answer: every check by its name, with what it found.

use std::fmt;

use aleph_types::{Digest, NodeId};
use serde::{Deserialize, Serialize};

use crate::release::Profile;
use crate::structures::Clock;

/// Whether a node is believed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether every check passed.
    pub accepted: bool,
    /// The checks in the order in which they were made. After evidence that is not what was asked
    /// for, or not what was signed, no further check is made: its content means nothing.
    pub checks: Vec<Check>,
    /// Who the evidence is about, once it could be read.
    pub node: Option<NodeFacts>,
    /// Whether the TPM is a program: it proves as much as whoever runs it wants.
    pub virtual_tpm: bool,
    /// What the node was measured against.
    pub release: ReleaseFacts,
}

/// What evidence says about its node. Believe it when the verdict accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The hash of its endorsement key.
    pub node_id: NodeId,
    /// Its attestation key's coordinates, as registered on chain.
    pub attestation_key: AttestationKey,
    /// The hash of the TLS key that the quote is bound to.
    pub tls_spki_sha256: Digest,
    /// The TPM's clock at the time of the quote.
    pub clock: Clock,
    /// Whether Secure Boot was on, where the event log tells.
    pub secure_boot: Option<bool>,
    /// The firmware's version, where the event log tells.
    pub firmware: Option<String>,
}

/// A point on P-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationKey {
    /// Its x coordinate.
    pub x: Digest,
    /// Its y coordinate.
    pub y: Digest,
}

/// The release that a node was measured against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFacts {
    /// The product.
    pub name: String,
    /// The version.
    pub version: String,
    /// Who the image is for.
    pub profile: Profile,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, in words.
    pub detail: String,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it must be.
    Pass,
    /// Not as it must be: the node is refused.
    Fail,
    /// Worth knowing; it refuses nothing.
    Note,
}

macro_rules! check_names {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The checks, by names that stay.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum CheckName {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl fmt::Display for CheckName {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

check_names! {
    /// The bytes are evidence of a known version and of a sane size.
    Encoding = "encoding",
    /// The answer is about the identity that was challenged.
    Identity = "identity",
    /// The answer is to this verifier's nonce.
    Freshness = "freshness",
    /// The answer was made for this TLS connection's key.
    Channel = "channel",
    /// The quote is a TPM's, and one of a known form.
    Quote = "quote",
    /// The quote covers the nonce, the credential's secret, the channel and every byte of the body.
    Binding = "binding",
    /// The endorsement and attestation keys are of the kind and have the attributes they must.
    AkAttributes = "ak-attributes",
    /// The attestation key signed the quote.
    Signature = "signature",
    /// The quote names the attestation key as a primary key of the endorsement hierarchy.
    QualifiedSigner = "qualified-signer",
    /// The endorsement key's certificate leads to a trusted root.
    EkCertificate = "ek-certificate",
    /// The certificate is that of the endorsement key.
    EkKey = "ek-key",
    /// The node's identifier is the hash of its endorsement key.
    NodeId = "node-id",
    /// The TPM is one that vouches for itself only.
    VirtualTpm = "virtual-tpm",
    /// The quote is over exactly the PCRs that must be in it, and the values are of those.
    PcrSelection = "pcr-selection",
    /// The values are those that were quoted.
    PcrDigest = "pcr-digest",
    /// The event log can be read.
    EventLog = "event-log",
    /// Its events are where they must be.
    EventPhases = "event-phases",
    /// Its events' data is what their types say.
    EventData = "event-data",
    /// Its events give the values.
    EventReplay = "event-replay",
    /// Firmware started the release's image.
    Pcr4 = "pcr-4",
    /// The kernel loaded what the release has.
    Pcr9 = "pcr-9",
    /// The image is the release's.
    Pcr11 = "pcr-11",
    /// Nothing from beside the image was loaded.
    Pcr12 = "pcr-12",
    /// What firmware says about itself.
    Firmware = "firmware",
    /// Who the release is for.
    Profile = "profile",
}

impl Verdict {
    /// The checks that refuse the node.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Fail)
    }

    /// How a check came out, if it was made.
    pub fn outcome(&self, name: CheckName) -> Option<Outcome> {
        self.checks.iter().find(|check| check.name == name).map(|check| check.outcome)
    }
}

/// One line for each check, then the verdict.
impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let outcome = match check.outcome {
                Outcome::Pass => "pass",
                Outcome::Fail => "FAIL",
                Outcome::Note => "note",
            };
            writeln!(formatter, "{outcome}  {:<17} {}", check.name, check.detail)?;
        }
        let ReleaseFacts { name, version, profile } = &self.release;
        let profile = if *profile == Profile::Debug { " (debug profile)" } else { "" };
        if !self.accepted {
            return write!(formatter, "REFUSED: this is not shown to be {name} {version}{profile}");
        }
        let tpm = if self.virtual_tpm { ", on the word of a virtual TPM" } else { "" };
        write!(formatter, "ACCEPTED: this machine runs {name} {version}{profile}{tpm}")
    }
}
