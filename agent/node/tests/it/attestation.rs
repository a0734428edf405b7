//! A TPM's proof on the chain: a quote that our own library made is taken by the registry, and
//! refused when it is stale, replayed, about another node, of an unapproved release, or changed in
//! any byte.

use aleph_attestation::{
    Digest, Tpm,
    chain::{ChainQuote, RegistryChallenge},
    digest::{ZERO, extend, sha256, sha256_parts},
    structures::AkPublic,
};
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use sha3::Digest as _;

use crate::network::{self, ADMIN, CUSTOMER, Chain, OPERATOR, OWNER};

/// The deploy script's `challengeValidity`.
const CHALLENGE_VALIDITY_S: u64 = 3600;
const ATTEST: &str = "attest(bytes32,bytes,bytes32,bytes32)";

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_takes_a_real_quote_and_refuses_every_other() {
    let (Some(mut swtpm), Some(chain)) = (network::Tpm::start(), Chain::start()) else { return };
    let tpm = boot(&swtpm, b"kernel");
    let node = Node::enrol_and_register(&chain, &tpm);
    node.chain.send(ADMIN, &[node.registry, APPROVE, &hex_of(&measured(b"kernel").0), "1"]);

    // Nothing answers a challenge that was not requested.
    let early = tpm.quote_for_chain(&node.challenge([0; 32])).unwrap();
    assert_eq!(node.refusal(&early).await, "NoChallenge(bytes32)");

    let challenge = node.challenge(node.request());
    let good = tpm.quote_for_chain(&challenge).unwrap();
    every_change_is_refused(&node, &good, &challenge).await;
    other_answers_are_refused(&node, &tpm, &challenge).await;

    // Taken, whoever sends it, and once.
    node.attest(&good).await.unwrap();
    node.send(&good);
    assert!(node.is_attested());
    assert_eq!(node.refusal(&good).await, "NoChallenge(bytes32)");
    let challenge = node.challenge(node.request());
    assert_eq!(node.refusal(&good).await, "WrongExtraData(bytes32,bytes32)");

    // Stale when the challenge is.
    let late = tpm.quote_for_chain(&challenge).unwrap();
    node.attest(&late).await.unwrap();
    chain.rpc("evm_increaseTime", json!([CHALLENGE_VALIDITY_S + 1])).await.unwrap();
    chain.rpc("evm_mine", json!([])).await.unwrap();
    assert_eq!(node.refusal(&late).await, "ChallengeExpired(bytes32,uint64)");

    // A machine that runs something else says so itself.
    tpm.extend(11, &sha256(b"something that nobody approved")).unwrap();
    let challenge = node.challenge(node.request());
    let other = tpm.quote_for_chain(&challenge).unwrap();
    assert_eq!(node.refusal(&other).await, "ReleaseNotApproved(bytes32)");

    // The next boot is another count of resets, and the same key.
    drop(tpm);
    swtpm.restart();
    let again = boot(&swtpm, b"kernel").quote_for_chain(&challenge).unwrap();
    node.send(&again);
    assert!(node.is_attested());

    // A node whose owner revoked its key is attested no longer.
    chain.send(OWNER, &[node.registry, "revokeKey(bytes32)", &node.id]);
    assert!(!node.is_attested());
}

/// One bit of every byte, several bytes at once, bytes more or less: the registry refuses, and so
/// does our library; and the two agree, each time, on whether the form is at fault.
async fn every_change_is_refused(
    node: &Node<'_>,
    good: &ChainQuote,
    challenge: &RegistryChallenge,
) {
    node.attest(good).await.unwrap();
    let mut changed: Vec<(String, ChainQuote)> = Vec::new();
    for index in 0..good.quote.len() {
        let mut quote = good.clone();
        quote.quote[index] ^= 1 << (index % 8);
        changed.push((format!("byte {index} of the quote"), quote));
    }
    for index in 0..32 {
        let mut quote = good.clone();
        quote.r[index] ^= 1 << (index % 8);
        changed.push((format!("byte {index} of r"), quote));
        let mut quote = good.clone();
        quote.s[index] ^= 1 << (index % 8);
        changed.push((format!("byte {index} of s"), quote));
    }
    for len in [0, 1, 64, 144, 146, 177, 512] {
        let mut quote = good.clone();
        quote.quote.resize(len, 0);
        changed.push((format!("a length of {len}"), quote));
    }
    let mut random = rand::rngs::StdRng::seed_from_u64(0xa1ef);
    for _ in 0..500 {
        let mut quote = good.clone();
        for _ in 0..random.gen_range(1..4) {
            let index = random.gen_range(0..quote.quote.len());
            quote.quote[index] = random.r#gen();
        }
        if quote != *good {
            changed.push((hex_of(&quote.quote), quote));
        }
    }
    for (change, quote) in changed {
        let refusal = node.refusal(&quote).await;
        let is_malformed = REFUSALS_OF_FORM.contains(&refusal.as_str());
        let is_untrue = REFUSALS_OF_CONTENT.contains(&refusal.as_str());
        assert!(is_malformed || is_untrue, "{change}: {refusal}");
        assert_eq!(quote.read().is_err(), is_malformed, "{change}: {refusal}");
        assert!(quote.check(challenge, &node.key.key).is_err(), "{change}");
    }
}

/// The same TPM, honestly asked for something else; and another TPM, asked for just this.
async fn other_answers_are_refused(node: &Node<'_>, tpm: &Tpm, challenge: &RegistryChallenge) {
    let others = [
        RegistryChallenge { node_id: sha256(b"another node").0.into(), ..*challenge },
        RegistryChallenge { chain_id: 1, ..*challenge },
        RegistryChallenge { registry: [0x11; 20].into(), ..*challenge },
        RegistryChallenge { challenge: [0x22; 32], ..*challenge },
    ];
    for other in others {
        let quote = tpm.quote_for_chain(&other).unwrap();
        assert_eq!(node.refusal(&quote).await, "WrongExtraData(bytes32,bytes32)", "{other:?}");
    }

    let swtpm = network::Tpm::start().unwrap();
    let foreign = boot(&swtpm, b"kernel").quote_for_chain(challenge).unwrap();
    assert_eq!(node.refusal(&foreign).await, "InvalidQuoteSignature(bytes32)");
}

const APPROVE: &str = "approveRelease(bytes32,uint64)";

const REFUSALS_OF_FORM: [&str; 7] = [
    "WrongQuoteSize(uint256)",
    "NotGeneratedByTpm(bytes4)",
    "NotAQuote(bytes2)",
    "WrongFieldSize(uint256,uint256)",
    "WrongNameAlgorithm(bytes2)",
    "NeitherYesNorNo(uint8)",
    "WrongPcrSelection(bytes10)",
];
/// What it says, or its signature.
const REFUSALS_OF_CONTENT: [&str; 3] = [
    "WrongExtraData(bytes32,bytes32)",
    "ReleaseNotApproved(bytes32)",
    "InvalidQuoteSignature(bytes32)",
];
const OTHER_REFUSALS: [&str; 4] = [
    "NoChallenge(bytes32)",
    "ChallengeExpired(bytes32,uint64)",
    "ResetCountWentBack(uint32,uint32)",
    "ReleaseTooOld(uint64,uint64)",
];

/// A machine that measured `kernel` where an image's parts are measured.
fn boot(swtpm: &network::Tpm, kernel: &[u8]) -> Tpm {
    let tpm = Tpm::open(&swtpm.tcti()).unwrap();
    for pcr in [4, 9, 11] {
        tpm.extend(pcr, &sha256(kernel)).unwrap();
    }
    tpm
}

/// The digest that its quotes show.
fn measured(kernel: &[u8]) -> Digest {
    let value = extend(&ZERO, &sha256(kernel));
    sha256_parts(&[&value.0, &value.0, &value.0, &ZERO.0])
}

/// A node as the chain knows it.
struct Node<'a> {
    chain: &'a Chain,
    registry: &'a str,
    id: String,
    key: AkPublic,
}

impl<'a> Node<'a> {
    /// The administrator is the one verifier of a development chain.
    fn enrol_and_register(chain: &'a Chain, tpm: &Tpm) -> Self {
        let registry = chain.contract("nodeRegistry");
        let identity = tpm.identity();
        let id = hex_of(identity.node_id.as_bytes());
        let key = AkPublic::parse(&identity.ak_public).unwrap();
        let (x, y) = key.coordinates();
        let point = format!("({},{})", hex_of(&x), hex_of(&y));

        let enrol = "enrolKey(bytes32,address,(bytes32,bytes32))";
        chain.send(ADMIN, &[registry, enrol, &id, OPERATOR, &point]);
        let register = "registerNode(bytes32,address,uint8,(bytes32,bytes32),string,string)";
        chain.send(OPERATOR, &[registry, register, &id, OWNER, "0", &point, "bafk", "test"]);
        Self { chain, registry, id, key }
    }

    fn challenge(&self, challenge: [u8; 32]) -> RegistryChallenge {
        RegistryChallenge {
            chain_id: 42161,
            registry: self.registry.parse().unwrap(),
            node_id: self.id.parse().unwrap(),
            challenge,
        }
    }

    /// Requests a challenge, which replaces the one before.
    fn request(&self) -> [u8; 32] {
        self.chain.send(OPERATOR, &[self.registry, "requestChallenge(bytes32)", &self.id]);
        let signature = "getChallenge(bytes32)(bytes32,uint64)";
        let answer = self.chain.call(&[self.registry, signature, &self.id]);
        let value: Digest = answer.lines().next().unwrap().trim().parse().unwrap();
        value.0
    }

    /// Sends the answer in a transaction of someone else's.
    fn send(&self, quote: &ChainQuote) {
        let (bytes, r, s) = (hex_of(&quote.quote), hex_of(&quote.r), hex_of(&quote.s));
        self.chain.send(CUSTOMER, &[self.registry, ATTEST, &self.id, &bytes, &r, &s]);
    }

    /// Tries the answer without sending it.
    async fn attest(&self, quote: &ChainQuote) -> Result<Value, Value> {
        let call = json!({"from": CUSTOMER, "to": self.registry, "data": self.calldata(quote)});
        self.chain.rpc("eth_call", json!([call, "latest"])).await
    }

    /// The name of the error by which the registry refuses the answer.
    async fn refusal(&self, quote: &ChainQuote) -> String {
        let error = self.attest(quote).await.expect_err("the registry took it");
        let data = error["data"].as_str().unwrap_or_else(|| panic!("{error}"));
        let known = [&REFUSALS_OF_FORM[..], &REFUSALS_OF_CONTENT, &OTHER_REFUSALS].concat();
        let named = known.into_iter().find(|name| data.starts_with(&hex_of(&selector(name))));
        named.unwrap_or_else(|| panic!("an unknown refusal: {error}")).to_owned()
    }

    fn is_attested(&self) -> bool {
        let signature = "isAttested(bytes32,uint64)(bool)";
        self.chain.call(&[self.registry, signature, &self.id, "600"]).trim() == "true"
    }

    /// The call, encoded by hand: `cast` would be a process for each of a few hundred calls.
    fn calldata(&self, quote: &ChainQuote) -> String {
        let number = |value: usize| {
            let mut word = [0; 32];
            word[24..].copy_from_slice(&u64::try_from(value).unwrap().to_be_bytes());
            word
        };
        let mut data = selector(ATTEST).to_vec();
        data.extend(hex::decode(self.id.trim_start_matches("0x")).unwrap());
        // The quote follows the four words of the head.
        data.extend(number(4 * 32));
        data.extend(quote.r);
        data.extend(quote.s);
        data.extend(number(quote.quote.len()));
        data.extend(&quote.quote);
        data.resize(4 + 32 * (5 + quote.quote.len().div_ceil(32)), 0);
        hex_of(&data)
    }
}

fn selector(signature: &str) -> [u8; 4] {
    let hash = sha3::Keccak256::digest(signature);
    [hash[0], hash[1], hash[2], hash[3]]
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
