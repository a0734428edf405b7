//! What a customer asks for, and the signed message that says it.

use std::time::{SystemTime, UNIX_EPOCH};

use aleph_types::{
    Cid, Digest, Resources,
    message::{
        Envelope, InstanceContent, InstanceEnvironment, ItemType, MachineResources, MessageType,
        Persistence, RootfsVolume, VolumeParent,
    },
};
use sha2::{Digest as _, Sha256};

use crate::{EthAccount, SdkError};

/// A virtual machine that a customer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    /// The image that the first disk begins as a copy of.
    pub rootfs: Cid,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// Size of the first disk in MiB.
    pub disk_mb: u64,
    /// What an hour is worth to you, in the smallest unit of ALEPH; 0 for nothing.
    pub price_per_hour: u128,
    /// For how many hours the payment contract may take that price, before it is allowed more.
    pub funded_hours: u32,
    /// SSH public keys that may log in. Nodes refuse machines with keys, with a clear error, as
    /// long as they cannot hand them to the guest.
    pub ssh_keys: Vec<String>,
}

impl Default for InstanceSpec {
    fn default() -> Self {
        Self {
            rootfs: Cid::of(b""),
            vcpus: 1,
            memory_mb: 512,
            disk_mb: 1024,
            price_per_hour: 0,
            funded_hours: 24,
            ssh_keys: Vec::new(),
        }
    }
}

impl InstanceSpec {
    /// What the machine occupies.
    pub fn resources(&self) -> Resources {
        Resources { vcpus: self.vcpus, memory_mib: self.memory_mb, disk_mib: self.disk_mb }
    }
}

/// The signed INSTANCE message that says what to run; its item hash names the job's manifest.
pub fn instance_envelope(
    account: &EthAccount,
    spec: &InstanceSpec,
) -> Result<(Envelope, Digest), SdkError> {
    if spec.rootfs == Cid::of(b"") {
        return Err(SdkError::Invalid("an instance needs a root file system: set `rootfs`".into()));
    }
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| SdkError::Invalid("this machine's clock stands before 1970".into()))?
        .as_secs_f64();
    let sender = account.address().to_string();
    let content = content_of(spec, sender.clone(), time);
    let item_content = serde_json::to_string(&content)
        .map_err(|error| SdkError::Invalid(format!("instance: {error}")))?;
    let manifest = Digest(Sha256::digest(item_content.as_bytes()).into());
    let mut envelope = Envelope {
        sender,
        chain: "ETH".into(),
        signature: String::new(),
        message_type: MessageType::Instance,
        item_content: Some(item_content),
        item_type: ItemType::Inline,
        item_hash: manifest.to_string(),
        time,
        channel: None,
    };
    envelope.signature = account.sign_text(&envelope.signed_text())?;
    Ok((envelope, manifest))
}

fn content_of(spec: &InstanceSpec, address: String, time: f64) -> InstanceContent {
    InstanceContent {
        address,
        time,
        allow_amend: false,
        metadata: None,
        authorized_keys: (!spec.ssh_keys.is_empty()).then(|| spec.ssh_keys.clone()),
        variables: None,
        environment: InstanceEnvironment {
            internet: true,
            aleph_api: false,
            hypervisor: None,
            trusted_execution: None,
            reproducible: None,
            shared_cache: None,
        },
        resources: MachineResources {
            vcpus: spec.vcpus,
            memory: spec.memory_mb,
            seconds: 1,
            published_ports: None,
        },
        payment: None,
        requirements: None,
        volumes: Vec::new(),
        replaces: None,
        rootfs: RootfsVolume {
            parent: VolumeParent { reference: spec.rootfs.to_string(), use_latest: false },
            persistence: Persistence::Host,
            size_mib: spec.disk_mb,
            comment: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use aleph_types::signature::Signature;

    use super::*;

    #[test]
    fn the_message_is_signed_by_its_sender_over_its_own_hash() {
        let account = EthAccount::from_private_key(&"22".repeat(32)).unwrap();
        let spec = InstanceSpec { rootfs: Cid::of(b"image"), ..Default::default() };
        let (envelope, manifest) = instance_envelope(&account, &spec).unwrap();
        let content = envelope.item_content.as_deref().unwrap();
        assert_eq!(manifest.0[..], Sha256::digest(content)[..]);
        let signature: Signature = envelope.signature.parse().unwrap();
        let signer = signature.signer_of(envelope.signed_text().as_bytes()).unwrap();
        assert_eq!(signer, account.address());
    }

    #[test]
    fn an_instance_without_an_image_is_refused() {
        let account = EthAccount::from_private_key(&"22".repeat(32)).unwrap();
        instance_envelope(&account, &InstanceSpec::default()).unwrap_err();
    }
}
