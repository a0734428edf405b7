//! Proof for the contracts, against the statements that the contracts' own tests are run with: what
//! is refused on the chain is refused here, so that no node pays to learn it.

use std::collections::BTreeMap;
use std::path::Path;

use aleph_attestation::chain::{ChainClaim, ChainQuote, RegistryChallenge, release_digest};
use aleph_attestation::digest::{Digest, sha256, sha256_parts};
use aleph_attestation::{Error, NodeId};
use aleph_types::Address;
use p256::EncodedPoint;
use p256::ecdsa::VerifyingKey;
use serde::Deserialize;

use crate::boot::Boot;

/// contracts/test/fixtures/tpm-quotes.json: made by swtpm and tpm2-tools.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fixture {
    chain_id: u64,
    registry: Address,
    node_id: NodeId,
    other_node_id: NodeId,
    challenge: Digest,
    next_challenge: Digest,
    extra_data: Digest,
    key: Key,
    foreign_key: Key,
    pcr_digest: Digest,
    other_pcr_digest: Digest,
    statements: BTreeMap<String, Statement>,
}

#[derive(Deserialize)]
struct Key {
    x: Digest,
    y: Digest,
}

#[derive(Deserialize)]
struct Statement {
    quote: String,
    r: Digest,
    s: Digest,
}

impl Fixture {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../contracts/test/fixtures/tpm-quotes.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn challenge(&self) -> RegistryChallenge {
        RegistryChallenge {
            chain_id: self.chain_id,
            registry: self.registry,
            node_id: self.node_id,
            challenge: self.challenge.0,
        }
    }

    fn next_challenge(&self) -> RegistryChallenge {
        RegistryChallenge { challenge: self.next_challenge.0, ..self.challenge() }
    }

    fn statement(&self, name: &str) -> ChainQuote {
        let statement = &self.statements[name];
        let quote = hex::decode(statement.quote.strip_prefix("0x").unwrap()).unwrap();
        ChainQuote { quote, r: statement.r.0, s: statement.s.0 }
    }

    /// Why a statement is refused as an answer to the challenge.
    fn refusal(&self, name: &str) -> String {
        let error = self.statement(name).check(&self.challenge(), &self.key.verifying());
        error.expect_err(name).to_string()
    }
}

impl Key {
    fn verifying(&self) -> VerifyingKey {
        let point =
            EncodedPoint::from_affine_coordinates(&self.x.0.into(), &self.y.0.into(), false);
        VerifyingKey::from_encoded_point(&point).unwrap()
    }
}

#[test]
fn what_is_signed_is_what_the_contract_wants_signed() {
    let fixture = Fixture::read();
    assert_eq!(fixture.challenge().extra_data(), fixture.extra_data);
    let word = |value: u64| [&[0; 24][..], &value.to_be_bytes()].concat();
    let by_hand = sha256_parts(&[
        b"aleph/attest/chain/v1",
        &word(fixture.chain_id),
        fixture.registry.as_bytes(),
        fixture.node_id.as_bytes(),
        &fixture.challenge.0,
    ]);
    assert_eq!(by_hand, fixture.extra_data);
}

#[test]
fn real_answers_are_accepted() {
    let fixture = Fixture::read();
    let key = fixture.key.verifying();
    let claim = ChainClaim {
        extra_data: fixture.extra_data,
        pcr_digest: fixture.pcr_digest,
        reset_count: 1,
    };
    let good = fixture.statement("good");
    assert_eq!(good.check(&fixture.challenge(), &key).unwrap(), claim);
    let next = fixture.statement("next");
    let claim = ChainClaim { extra_data: fixture.next_challenge().extra_data(), ..claim };
    assert_eq!(next.check(&fixture.next_challenge(), &key).unwrap(), claim);
    let after = fixture.statement("afterReset");
    let claim = ChainClaim { reset_count: 2, ..claim };
    assert_eq!(after.check(&fixture.next_challenge(), &key).unwrap(), claim);
    // Another release is a good answer too; whether it is approved, the chain knows.
    let other = fixture.statement("otherRelease").check(&fixture.challenge(), &key).unwrap();
    assert_eq!(other.pcr_digest, fixture.other_pcr_digest);
    let foreign = fixture.statement("foreignKey");
    assert!(foreign.check(&fixture.challenge(), &fixture.foreign_key.verifying()).is_ok());
}

#[test]
fn real_statements_that_are_no_answers_are_refused() {
    let fixture = Fixture::read();
    for name in ["next", "otherNode", "otherChain", "otherRegistry", "otherProtocol", "afterReset"]
    {
        assert!(fixture.refusal(name).contains("it answers something else"), "{name}");
    }
    for name in ["otherPcrs", "otherBank"] {
        assert!(fixture.refusal(name).contains("it is over other PCRs"), "{name}");
    }
    for name in ["twoBanks", "shortExtraData", "time"] {
        assert!(fixture.refusal(name).contains("its length"), "{name}");
    }
    assert!(fixture.refusal("certification").contains("another statement than a quote"));
    assert!(fixture.refusal("foreignKey").contains("not signed by the node's attestation key"));

    let foreign = RegistryChallenge { node_id: fixture.other_node_id, ..fixture.challenge() };
    let answer = fixture.statement("otherNode");
    assert!(answer.check(&foreign, &fixture.key.verifying()).is_ok());
}

#[test]
fn an_answer_with_any_byte_changed_is_refused() {
    let fixture = Fixture::read();
    let (challenge, key) = (fixture.challenge(), fixture.key.verifying());
    let mut answer = fixture.statement("good");
    for index in 0..answer.quote.len() {
        for flip in [1 << (index % 8), 0xff] {
            answer.quote[index] ^= flip;
            assert!(answer.check(&challenge, &key).is_err(), "byte {index} of the quote");
            answer.quote[index] ^= flip;
        }
    }
    for index in 0..32 {
        answer.r[index] ^= 1;
        assert!(answer.check(&challenge, &key).is_err(), "byte {index} of r");
        answer.r[index] ^= 1;
        answer.s[index] ^= 1;
        assert!(answer.check(&challenge, &key).is_err(), "byte {index} of s");
        answer.s[index] ^= 1;
    }
    for len in (0..answer.quote.len()).chain([146, 200]) {
        let mut cut = answer.clone();
        cut.quote.resize(len, 0);
        assert!(cut.check(&challenge, &key).is_err(), "{len} bytes");
    }
    assert!(answer.check(&challenge, &key).is_ok(), "the bytes were restored");
}

#[test]
fn the_lower_s_is_sent_and_the_higher_one_refused() {
    let fixture = Fixture::read();
    let (challenge, key) = (fixture.challenge(), fixture.key.verifying());
    let low = fixture.statement("good");
    let high = ChainQuote { s: negated(low.s), ..low.clone() };
    let refusal = high.check(&challenge, &key).unwrap_err();
    assert!(refusal.to_string().contains("the higher one"), "{refusal}");

    // As the TPM may have written either of them.
    for s in [low.s, high.s] {
        let from_tpm = ChainQuote::from_tpm(low.quote.clone(), &tpmt_signature(&low.r, &s));
        assert_eq!(from_tpm.unwrap(), low);
    }
    let garbage = ChainQuote::from_tpm(low.quote, &[0; 72]);
    assert!(matches!(garbage, Err(Error::Malformed { what: "signature", .. })));
}

#[test]
fn a_release_has_the_digest_that_its_machines_show() {
    let mut release = Boot::default().release();
    let [four, nine, eleven] = [4, 9, 11].map(|pcr| release.pcrs[&pcr].0);
    let wanted = sha256(&[four, nine, eleven, [0; 32]].concat());
    assert_eq!(release_digest(&release).unwrap(), wanted);

    release.pcrs.insert(12, sha256(b"something"));
    assert_ne!(release_digest(&release).unwrap(), wanted);
    release.pcrs.remove(&9);
    let error = release_digest(&release).unwrap_err();
    assert!(matches!(error, Error::ReleasePcrMissing { pcr: 9 }), "{error}");
}

/// The order of P-256 less `s`.
fn negated(s: [u8; 32]) -> [u8; 32] {
    let s = p256::NonZeroScalar::try_from(s.as_slice()).unwrap();
    (-*s).to_bytes().into()
}

fn tpmt_signature(r: &[u8; 32], s: &[u8; 32]) -> Vec<u8> {
    [&[0x00, 0x18, 0x00, 0x0b, 0x00, 0x20][..], r, &[0x00, 0x20], s].concat()
}
