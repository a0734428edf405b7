use std::ops::RangeInclusive;

use aleph_types::{
    Address, Cid, Digest, JobSpec, Resources,
    job::Job,
    message::{Envelope, InstanceContent, MessageType, Persistence},
};

use crate::{MessageError, parse_envelope, verify_item_hash, verify_signature};

/// No machine has more virtual processors.
pub const VCPUS_MAX: u32 = 256;
/// No machine has more memory: 1 TiB.
pub const MEMORY_MIB_MAX: u64 = 1 << 20;
/// No first disk is larger: 2048 GB, the network's own bound.
pub const DISK_MIB_MAX: u64 = 1_953_125;

/// A signed INSTANCE message that keeps every rule: what a job runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The message's name, which jobs on the chain refer to.
    pub item_hash: Digest,
    /// Who signed it.
    pub sender: Address,
    /// The image that the first disk begins as a copy of.
    pub rootfs: Cid,
    /// What the machine occupies.
    pub resources: Resources,
    /// All of the content.
    pub content: InstanceContent,
}

impl Manifest {
    /// Reads the bytes of an envelope and checks every rule.
    pub fn read(bytes: &[u8]) -> Result<Self, MessageError> {
        Self::from_envelope(&parse_envelope(bytes)?)
    }

    /// Checks every rule of an envelope that was parsed already.
    pub fn from_envelope(envelope: &Envelope) -> Result<Self, MessageError> {
        if envelope.message_type != MessageType::Instance {
            return Err(MessageError::NotInstance(envelope.message_type.as_str()));
        }
        // Cheap before costly: a hash takes microseconds, a signature a third of a millisecond.
        let item_hash = verify_item_hash(envelope)?;
        let content = parse_content(envelope)?;
        let rootfs = content
            .rootfs
            .parent
            .cid()
            .ok_or_else(|| MessageError::Rootfs(shown(&content.rootfs.parent.reference)))?;
        let resources = check_resources(&content)?;
        check_offered(&content)?;
        let sender = verify_signature(envelope)?;
        check_permission(sender, &content)?;
        Ok(Self { item_hash, sender, rootfs, resources, content })
    }

    /// What a node has to run for a job that names this manifest.
    pub fn job_spec(&self, job: &Job) -> Result<JobSpec, MessageError> {
        if job.manifest != self.item_hash {
            return Err(MessageError::OtherManifest {
                wanted: job.manifest,
                found: self.item_hash,
            });
        }
        if job.customer != self.sender {
            return Err(MessageError::OtherCustomer {
                customer: job.customer,
                sender: self.sender,
            });
        }
        if job.resources != self.resources {
            return Err(MessageError::ResourcesDiffer {
                job: job.resources,
                manifest: self.resources,
            });
        }
        Ok(JobSpec {
            id: job.id,
            manifest: self.item_hash,
            rootfs: self.rootfs,
            resources: self.resources,
        })
    }
}

fn parse_content(envelope: &Envelope) -> Result<InstanceContent, MessageError> {
    let text = envelope.item_content.as_deref().ok_or(MessageError::NotInline)?;
    serde_json::from_str(text).map_err(MessageError::Content)
}

fn check_resources(content: &InstanceContent) -> Result<Resources, MessageError> {
    let resources = Resources {
        vcpus: content.resources.vcpus,
        memory_mib: content.resources.memory,
        disk_mib: content.rootfs.size_mib,
    };
    check_bounds("resources.vcpus", resources.vcpus.into(), 1..=VCPUS_MAX.into())?;
    check_bounds("resources.memory", resources.memory_mib, 1..=MEMORY_MIB_MAX)?;
    check_bounds("rootfs.size_mib", resources.disk_mib, 1..=DISK_MIB_MAX)?;
    Ok(resources)
}

fn check_bounds(
    name: &'static str,
    value: u64,
    allowed: RangeInclusive<u64>,
) -> Result<(), MessageError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(MessageError::OutOfBounds { name, value, min: *allowed.start(), max: *allowed.end() })
}

/// What the network knows and this node does not do is refused by name, never left out silently.
fn check_offered(content: &InstanceContent) -> Result<(), MessageError> {
    let asked = [
        (!content.volumes.is_empty(), "a further volume (volumes)"),
        (content.requirements.is_some(), "a choice of the host (requirements)"),
        (content.environment.trusted_execution.is_some(), "confidential computing"),
        (some_of(&content.resources.published_ports), "a published port"),
        (some_of(&content.authorized_keys), "putting in SSH keys (authorized_keys)"),
        (content.variables.as_ref().is_some_and(|all| !all.is_empty()), "setting variables"),
        (content.rootfs.persistence != Persistence::Host, "a root disk kept by the network"),
        (content.replaces.is_some(), "replacing an earlier instance"),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(MessageError::NotOffered(what)),
        None => Ok(()),
    }
}

fn some_of<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn check_permission(sender: Address, content: &InstanceContent) -> Result<(), MessageError> {
    if content.address.parse() == Ok(sender) {
        return Ok(());
    }
    Err(MessageError::Permission { sender, address: shown(&content.address) })
}

/// Enough of a hostile text to recognise it.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
