use aleph_types::{
    Address, Digest,
    message::{ENVELOPE_BYTES_MAX, Envelope, ITEM_CONTENT_BYTES_MAX, ItemType, MessageType},
    signature::Signature,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::MessageError;

/// Reads an envelope: sizes first, then its form. Neither hash nor signature is checked yet.
pub fn parse_envelope(bytes: &[u8]) -> Result<Envelope, MessageError> {
    check_size("envelope", bytes.len(), ENVELOPE_BYTES_MAX)?;
    let received: Received = serde_json::from_slice(bytes).map_err(MessageError::Envelope)?;
    let envelope = received.into_envelope();

    let content = envelope.item_content.as_deref().unwrap_or_default();
    check_size("item_content", content.len(), ITEM_CONTENT_BYTES_MAX)?;
    check_size("signature", envelope.signature.len(), SIGNATURE_BYTES_MAX)?;
    check_size("sender", envelope.sender.len(), SENDER_BYTES_MAX)?;
    check_size("item_hash", envelope.item_hash.len(), ITEM_HASH_BYTES_MAX)?;
    let channel = envelope.channel.as_deref().unwrap_or_default();
    if channel.chars().count() > CHANNEL_CHARS_MAX {
        let detail = format!("longer than {CHANNEL_CHARS_MAX} characters");
        return Err(MessageError::Field { field: "channel", detail });
    }
    // The existing network keeps content in a database whose text has no NUL.
    if content.contains(r"\u0000") {
        let detail = r"holds the escape \u0000".to_owned();
        return Err(MessageError::Field { field: "item_content", detail });
    }
    // Signed are lines: a line break inside a value would let one signature fit two envelopes.
    for (field, value) in [("sender", &envelope.sender), ("item_hash", &envelope.item_hash)] {
        if value.contains('\n') {
            return Err(MessageError::Field { field, detail: "holds a line break".to_owned() });
        }
    }
    Ok(envelope)
}

/// The SHA-256 of an inline message's content, which must be what its item hash says.
pub fn verify_item_hash(envelope: &Envelope) -> Result<Digest, MessageError> {
    let (ItemType::Inline, Some(content)) = (envelope.item_type, &envelope.item_content) else {
        return Err(MessageError::NotInline);
    };
    let found = Digest(Sha256::digest(content.as_bytes()).into());
    // Compared as text: the network knows one notation only, 64 digits in lower case.
    if envelope.item_hash != found.to_string() {
        return Err(MessageError::ItemHash { stated: envelope.item_hash.clone(), found });
    }
    Ok(found)
}

/// The account that signed, which must be the sender.
pub fn verify_signature(envelope: &Envelope) -> Result<Address, MessageError> {
    if !EVM_CHAINS.contains(&envelope.chain.as_str()) {
        return Err(MessageError::Chain(envelope.chain.chars().take(CHAIN_CHARS_SHOWN).collect()));
    }
    let sender: Address = envelope
        .sender
        .parse()
        .map_err(|error| MessageError::Field { field: "sender", detail: format!("{error}") })?;
    let signature: Signature = envelope.signature.parse().map_err(MessageError::Signature)?;
    let signer =
        signature.signer_of(envelope.signed_text().as_bytes()).map_err(MessageError::Signature)?;
    if signer != sender {
        return Err(MessageError::Signer { sender, signer });
    }
    Ok(sender)
}

/// An envelope as old clients may send it: without saying where the content is.
#[derive(Deserialize)]
struct Received {
    sender: String,
    chain: String,
    signature: String,
    #[serde(rename = "type")]
    message_type: MessageType,
    item_content: Option<String>,
    item_type: Option<ItemType>,
    item_hash: String,
    time: f64,
    channel: Option<String>,
}

impl Received {
    fn into_envelope(self) -> Envelope {
        let item_type = self.item_type.unwrap_or_else(|| {
            let is_cid = ["Qm", "bafy"].iter().any(|start| self.item_hash.starts_with(start));
            match (&self.item_content, is_cid) {
                (Some(_), _) => ItemType::Inline,
                (None, true) => ItemType::Ipfs,
                (None, false) => ItemType::Storage,
            }
        });
        Envelope {
            sender: self.sender,
            chain: self.chain,
            signature: self.signature,
            message_type: self.message_type,
            item_content: self.item_content,
            item_type,
            item_hash: self.item_hash,
            time: self.time,
            channel: self.channel,
        }
    }
}

fn check_size(
    what: &'static str,
    size_bytes: usize,
    size_bytes_max: usize,
) -> Result<(), MessageError> {
    if size_bytes > size_bytes_max {
        return Err(MessageError::TooLarge { what, size_bytes, size_bytes_max });
    }
    Ok(())
}

/// Chains whose accounts sign as Ethereum's do, by their names in the protocol.
const EVM_CHAINS: [&str; 23] = [
    "ARB",
    "BASE",
    "BLAST",
    "BOB",
    "BSC",
    "CYBER",
    "ETH",
    "ETHERLINK",
    "FRAX",
    "HYPE",
    "INK",
    "LENS",
    "LINEA",
    "LISK",
    "METIS",
    "MODE",
    "NEO",
    "OP",
    "POL",
    "SONIC",
    "UNICHAIN",
    "WLD",
    "ZORA",
];

/// Of the network itself.
const CHANNEL_CHARS_MAX: usize = 128;
/// The longest known signature, Cosmos's JSON form, has about 300 bytes.
const SIGNATURE_BYTES_MAX: usize = 4096;
/// The longest known account names have about 70 bytes.
const SENDER_BYTES_MAX: usize = 256;
/// A CID in text, the longest form, has 59 bytes.
const ITEM_HASH_BYTES_MAX: usize = 128;
/// An error says no more of a chain's name.
const CHAIN_CHARS_SHOWN: usize = 32;
