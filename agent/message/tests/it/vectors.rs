//! Signed messages of the existing network, with what an independent check says of each.
//!
//! They belong to others and are read where they lie; without them the test says so and passes.

use std::path::Path;

use aleph_message::{MessageError, parse_envelope, verify_item_hash, verify_signature};
use aleph_types::message::{Envelope, InstanceContent, MessageType};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Vector {
    message: Value,
    signature_check: String,
    item_hash_check: String,
    source: String,
}

#[test]
fn signatures_and_hashes_are_judged_as_stated() {
    let Some(vectors) = load() else { return };
    let (mut valid, mut bad, mut matching) = (0, 0, 0);
    for vector in vectors.iter().filter(|v| v.message["chain"] == "ETH") {
        let envelope = envelope_of(vector);
        let signed = envelope.as_ref().is_ok_and(|envelope| verify_signature(envelope).is_ok());
        match vector.signature_check.as_str() {
            "valid" => valid += usize::from(signed),
            "bad" => bad += 1,
            other => panic!("{}: unknown check {other:?}", vector.source),
        }
        let text = || format!("{}: {:?}", vector.source, vector.message);
        assert_eq!(signed, vector.signature_check == "valid", "{}", text());

        let Ok(envelope) = envelope else { continue };
        let hashed = verify_item_hash(&envelope).is_ok();
        assert_eq!(hashed, vector.item_hash_check == "match", "{}", text());
        matching += usize::from(hashed);
    }
    // A file that was emptied or read wrongly must not pass as success.
    assert!(valid >= 40 && bad >= 15 && matching >= 30, "{valid} {bad} {matching}");
}

#[test]
fn instances_of_the_network_are_read_and_others_refused() {
    let Some(vectors) = load() else { return };
    let mut instances = 0;
    for vector in vectors.iter().filter(|v| v.message["type"] == "INSTANCE") {
        let envelope = envelope_of(vector).unwrap();
        assert_eq!(envelope.message_type, MessageType::Instance);
        let content = envelope.item_content.as_deref().unwrap();
        let content: Result<InstanceContent, _> = serde_json::from_str(content);
        // The one unsigned example carries a key that the protocol never had.
        assert_eq!(content.is_ok(), vector.signature_check == "valid", "{}", vector.source);
        instances += 1;
    }
    assert_eq!(instances, 3);
}

/// The envelope in the form in which it travels. The network's own answers write the time as text
/// and databases the item type in capitals; neither is signed.
fn envelope_of(vector: &Vector) -> Result<Envelope, MessageError> {
    let mut message = vector.message.clone();
    if message["time"].is_string() {
        message["time"] = 0.0.into();
    }
    if let Some(item_type) = message["item_type"].as_str() {
        message["item_type"] = item_type.to_lowercase().into();
    }
    parse_envelope(message.to_string().as_bytes())
}

fn load() -> Option<Vec<Vector>> {
    let relative = "../../../shared/vectors/signed-messages.jsonl";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}
