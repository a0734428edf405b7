//! Every rule of a manifest, each with a message that breaks it alone.

use aleph_message::{Manifest, MessageError, verify_signature};
use aleph_types::{
    Address, Digest, JobId, JobStatus, Resources,
    job::{Job, JobTerms},
    message::{ENVELOPE_BYTES_MAX, Envelope, ITEM_CONTENT_BYTES_MAX, ItemType, MessageType},
    signature::{address_of, personal_digest},
};
use k256::ecdsa::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const ROOTFS: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

#[test]
fn a_good_message_says_what_to_run() {
    let manifest = Manifest::read(&sign(&content()).bytes()).unwrap();
    assert_eq!(manifest.sender, account());
    assert_eq!(manifest.rootfs.to_string(), ROOTFS);
    assert_eq!(manifest.resources, Resources { vcpus: 1, memory_mib: 256, disk_mib: 1024 });

    let job = job_for(&manifest);
    assert_eq!(manifest.job_spec(&job).unwrap().id, JobId(7));
    let other = Job { manifest: Digest([0; 32]), ..job.clone() };
    assert!(matches!(manifest.job_spec(&other), Err(MessageError::OtherManifest { .. })));
    let cheaper = Job { resources: Resources::default(), ..job };
    assert!(matches!(manifest.job_spec(&cheaper), Err(MessageError::ResourcesDiffer { .. })));
}

#[test]
fn the_worked_example_of_the_protocol_verifies() {
    let content = r#"{"address":"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A","time":1700000000.0,"content":{"Hello":"World"},"type":"test"}"#;
    let mut envelope = sign(&json!({}));
    envelope.0.message_type = MessageType::Post;
    envelope.0.item_content = Some(content.to_owned());
    envelope.0.item_hash = sha256(content);
    envelope.0.signature = "0x1b96e43e89005ad734d6da54764ab7fc0f485e40c63ff46a9419f49f2fd102da\
                            7245bfe997a4816c0f0a7b7ed4adfb1a8442c96caf21d6d6f73ac2397495606d1c"
        .to_owned();
    assert_eq!(verify_signature(&envelope.0).unwrap(), account());
    let error = Manifest::read(&envelope.bytes()).unwrap_err();
    assert!(matches!(error, MessageError::NotInstance("POST")), "{error}");
}

#[test]
fn each_broken_rule_is_named() {
    let cases: [(&str, Value, &str); 14] = [
        ("/resources/vcpus", json!(0), "resources.vcpus"),
        ("/resources/vcpus", json!(257), "resources.vcpus"),
        ("/resources/memory", json!(0), "resources.memory"),
        ("/resources/memory", json!((1 << 20) + 1), "resources.memory"),
        ("/rootfs/size_mib", json!(0), "rootfs.size_mib"),
        ("/rootfs/size_mib", json!(u64::MAX), "rootfs.size_mib"),
        ("/rootfs/persistence", json!("store"), "root disk"),
        ("/rootfs/parent/ref", json!("55".repeat(32)), "rootfs.parent.ref"),
        ("/address", json!("0x0000000000000000000000000000000000000000"), "signed for"),
        ("/volumes", json!([{"mount": "/x"}]), "volumes"),
        ("/authorized_keys", json!(["ssh-ed25519 AAAA"]), "authorized_keys"),
        ("/variables", json!({"A": "b"}), "variables"),
        ("/requirements", json!({"gpu": []}), "requirements"),
        ("/environment/trusted_execution", json!({"mode": "sev"}), "confidential"),
    ];
    for (pointer, value, named) in cases {
        let mut content = content();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        content.pointer_mut(parent).unwrap()[key] = value;
        let error = Manifest::read(&sign(&content).bytes()).unwrap_err();
        assert!(error.to_string().contains(named), "{pointer}: {error}");
    }
}

#[test]
fn unknown_keys_are_refused_by_name_at_every_level() {
    for parent in ["", "/environment", "/resources", "/rootfs", "/rootfs/parent"] {
        let mut content = content();
        content.pointer_mut(parent).unwrap()["colour"] = json!("blue");
        let error = Manifest::read(&sign(&content).bytes()).unwrap_err();
        let MessageError::Content(source) = error else { panic!("{parent}: {error}") };
        assert!(source.to_string().contains("colour"), "{source}");
    }
}

#[test]
fn hash_and_signature_bind_every_byte() {
    let good = sign(&content());

    let mut other = good.clone();
    other.0.item_content.as_mut().unwrap().push(' ');
    assert!(matches!(Manifest::from_envelope(&other.0), Err(MessageError::ItemHash { .. })));

    let mut other = good.clone();
    other.0.item_hash = other.0.item_hash.to_uppercase();
    assert!(matches!(Manifest::from_envelope(&other.0), Err(MessageError::ItemHash { .. })));

    let mut other = good.clone();
    other.0.chain = "BASE".to_owned();
    assert!(matches!(Manifest::from_envelope(&other.0), Err(MessageError::Signer { .. })));

    let mut other = good.clone();
    other.0.chain = "SOL".to_owned();
    assert!(matches!(Manifest::from_envelope(&other.0), Err(MessageError::Chain(_))));

    let mut other = good.clone();
    other.0.signature.truncate(100);
    assert!(matches!(Manifest::from_envelope(&other.0), Err(MessageError::Signature(_))));

    let mut other = good.clone();
    other.0.item_type = ItemType::Storage;
    assert!(matches!(Manifest::from_envelope(&other.0), Err(MessageError::NotInline)));
}

#[test]
fn sizes_are_checked_first() {
    let error = Manifest::read(&vec![b' '; ENVELOPE_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(error, MessageError::TooLarge { what: "envelope", .. }), "{error}");

    let mut long = sign(&content());
    long.0.item_content = Some("x".repeat(ITEM_CONTENT_BYTES_MAX + 1));
    let error = Manifest::read(&long.bytes()).unwrap_err();
    assert!(matches!(error, MessageError::TooLarge { what: "item_content", .. }), "{error}");

    let mut long = sign(&content());
    long.0.channel = Some("x".repeat(129));
    let error = Manifest::read(&long.bytes()).unwrap_err();
    assert!(matches!(error, MessageError::Field { field: "channel", .. }), "{error}");
}

#[test]
fn control_characters_do_not_get_in() {
    let mut content = content();
    content["metadata"] = json!({"name": "a\0b"});
    let error = Manifest::read(&sign(&content).bytes()).unwrap_err();
    assert!(matches!(error, MessageError::Field { field: "item_content", .. }), "{error}");

    let mut envelope = sign(&self::content());
    envelope.0.item_hash.push('\n');
    let error = Manifest::read(&envelope.bytes()).unwrap_err();
    assert!(matches!(error, MessageError::Field { field: "item_hash", .. }), "{error}");
}

proptest! {
    #[test]
    fn hostile_bytes_are_an_error_not_a_panic(bytes: Vec<u8>) {
        prop_assert!(Manifest::read(&bytes).is_err());
    }

    #[test]
    fn one_changed_byte_is_never_the_same_manifest(at in 0usize..10_000, to: u8) {
        let good = sign(&content()).bytes();
        let mut bytes = good.clone();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        if let Ok(manifest) = Manifest::read(&bytes) {
            // Only what is not signed may change: white space, time, channel.
            prop_assert_eq!(manifest, Manifest::read(&good).unwrap());
        }
    }
}

fn content() -> Value {
    json!({
        "address": account().to_string(),
        "time": 1_700_000_000.5,
        "allow_amend": false,
        "environment": {"internet": true, "aleph_api": true},
        "resources": {"vcpus": 1, "memory": 256, "seconds": 30},
        "rootfs": {
            "parent": {"ref": ROOTFS, "use_latest": false},
            "persistence": "host",
            "size_mib": 1024,
        },
        "volumes": [],
    })
}

fn job_for(manifest: &Manifest) -> Job {
    Job {
        id: JobId(7),
        customer: account(),
        manifest: manifest.item_hash,
        node: None,
        status: JobStatus::Assigned,
        resources: manifest.resources,
        terms: JobTerms::default(),
        created_at_s: 1,
        last_heartbeat_s: 0,
        accrued_s: 0,
        reason: String::new(),
    }
}

#[derive(Clone)]
struct Signed(Envelope);

impl Signed {
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap()
    }
}

fn sign(content: &Value) -> Signed {
    let content = content.to_string();
    let mut envelope = Envelope {
        sender: account().to_string(),
        chain: "ETH".to_owned(),
        signature: String::new(),
        message_type: MessageType::Instance,
        item_hash: sha256(&content),
        item_content: Some(content),
        item_type: ItemType::Inline,
        time: 1_700_000_001.0,
        channel: None,
    };
    let digest = personal_digest(envelope.signed_text().as_bytes());
    let (signature, recovery) = key().sign_prehash_recoverable(&digest).unwrap();
    let mut bytes = signature.to_vec();
    bytes.push(27 + recovery.to_byte());
    envelope.signature = format!("0x{}", hex::encode(bytes));
    Signed(envelope)
}

fn account() -> Address {
    address_of(key().verifying_key())
}

fn key() -> SigningKey {
    SigningKey::from_slice(&[0x11; 32]).unwrap()
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
