//! Messages of the network: what a signed message looks like, and what an INSTANCE message says.
//!
//! The shapes are those of the existing network, so that its clients' messages are understood:
//! the envelope has nine fields; what is signed is chain, sender, type and item hash, one to a
//! line; the item hash of an inline message is the SHA-256 of its content, byte for byte as sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Cid;

/// No inline content is longer.
pub const ITEM_CONTENT_BYTES_MAX: usize = 200_000;
/// No envelope is longer in JSON: its content may need escapes.
pub const ENVELOPE_BYTES_MAX: usize = 512 * 1024;

/// A signed message as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The account that signed, in its chain's notation.
    pub sender: String,
    /// The chain whose rules the signature follows.
    pub chain: String,
    /// The signature over [`Envelope::signed_text`].
    pub signature: String,
    /// What kind of message it is.
    #[serde(rename = "type")]
    pub message_type: MessageType,
    /// The content, if it travels with the envelope.
    #[serde(default)]
    pub item_content: Option<String>,
    /// Where the content is.
    pub item_type: ItemType,
    /// The message's name: the hash of its content.
    pub item_hash: String,
    /// Seconds of Unix time at which the sender says that it was made.
    pub time: f64,
    /// A free label.
    #[serde(default)]
    pub channel: Option<String>,
}

impl Envelope {
    /// The text that the sender signs.
    pub fn signed_text(&self) -> String {
        let Self { chain, sender, message_type, item_hash, .. } = self;
        format!("{chain}\n{sender}\n{}\n{item_hash}", message_type.as_str())
    }
}

/// The kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum MessageType {
    Aggregate,
    Forget,
    Instance,
    Post,
    Program,
    Store,
}

impl MessageType {
    /// The kind's name as it is signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aggregate => "AGGREGATE",
            Self::Forget => "FORGET",
            Self::Instance => "INSTANCE",
            Self::Post => "POST",
            Self::Program => "PROGRAM",
            Self::Store => "STORE",
        }
    }
}

/// Where a message's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemType {
    /// In the envelope.
    Inline,
    /// In the network's storage, under its SHA-256.
    Storage,
    /// In IPFS, under its CID.
    Ipfs,
}

/// The content of an INSTANCE message: a virtual machine that lives until it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceContent {
    /// The account for which the message speaks.
    pub address: String,
    /// Seconds of Unix time.
    pub time: f64,
    /// Whether later messages may change it.
    pub allow_amend: bool,
    /// Free scalars for people and tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, serde_json::Value>>,
    /// SSH public keys that may log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorized_keys: Option<Vec<String>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<BTreeMap<String, String>>,
    /// What the machine is given by its host.
    pub environment: InstanceEnvironment,
    /// What it occupies.
    pub resources: MachineResources,
    /// How it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<serde_json::Value>,
    /// What the host must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<serde_json::Value>,
    /// Further disks.
    #[serde(default)]
    pub volumes: Vec<serde_json::Value>,
    /// The message that this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The first disk.
    pub rootfs: RootfsVolume,
}

/// What an instance is given by its host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceEnvironment {
    /// Whether it may reach the internet.
    #[serde(default)]
    pub internet: bool,
    /// Whether it may reach the network's own interface.
    #[serde(default)]
    pub aleph_api: bool,
    /// The monitor that runs it; ours where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypervisor: Option<String>,
    /// Confidential computing, not offered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_execution: Option<serde_json::Value>,
    /// Carried by older messages, without meaning for instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproducible: Option<bool>,
    /// Carried by older messages, without meaning for instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_cache: Option<bool>,
}

/// What a machine occupies, in a message's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineResources {
    /// Virtual processors, 1 to 256.
    pub vcpus: u32,
    /// Memory in MiB, at most 1 TiB.
    pub memory: u64,
    /// Time-out in seconds for what answers requests; without meaning for instances.
    #[serde(default = "default_seconds")]
    pub seconds: u32,
    /// Ports of the machine that the host makes reachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_ports: Option<Vec<serde_json::Value>>,
}

const fn default_seconds() -> u32 {
    1
}

/// The first disk of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootfsVolume {
    /// The image that it begins as a copy of.
    pub parent: VolumeParent,
    /// Who keeps it: the host alone, or the network.
    pub persistence: Persistence,
    /// Its size in MiB.
    pub size_mib: u64,
    /// Carried by some messages; the first disk has no name and no mount point of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The image that a disk begins as a copy of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeParent {
    /// The image's CID, or in older messages the item hash of a STORE message.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether a newer version of the image is wanted where there is one.
    #[serde(default = "default_true")]
    pub use_latest: bool,
}

const fn default_true() -> bool {
    true
}

impl VolumeParent {
    /// The image's CID, if it is named by one.
    pub fn cid(&self) -> Option<Cid> {
        self.reference.parse().ok()
    }
}

/// Who keeps a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Persistence {
    /// The host alone.
    Host,
    /// The network's storage.
    Store,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_reads_as_sent() {
        let json = r#"{"sender":"0x19E7","chain":"ETH","signature":"0x","type":"INSTANCE",
            "item_content":"{}","item_type":"inline","item_hash":"44","time":1.5,"channel":null}"#;
        let envelope: Envelope = serde_json::from_str(json).unwrap();
        assert_eq!(envelope.signed_text(), "ETH\n0x19E7\nINSTANCE\n44");
    }

    #[test]
    fn unknown_content_is_refused() {
        let json = r#"{"parent":{"ref":"x","use_latest":true},"persistence":"host","size_mib":1,
            "colour":"blue"}"#;
        let error = serde_json::from_str::<RootfsVolume>(json).unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
    }
}
