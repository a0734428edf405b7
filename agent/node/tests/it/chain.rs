//! A node with a TPM and a chain: it registers, proves itself, and answers for its jobs.

use std::time::{Duration, Instant};

use aleph_attestation::evidence::{Challenge, Evidence, IdentityDocument};
use aleph_types::{Cid, wire};
use serde_json::Value;

use crate::{
    harness::{Agent, PATIENCE, Place},
    network::{ADMIN, CUSTOMER, Chain, OWNER, Tpm, message},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_registers_activates_and_answers_for_its_jobs() {
    let (Some(mut tpm), Some(chain)) = (Tpm::start(), Chain::start()) else { return };
    let place = Place::new(&format!(
        "[node]\nowner = \"{OWNER}\"\nregion = \"test\"\ncoordinator = true\n\
         [jobs]\nmanifest_wait_s = 2\nplacement_wait_s = 2\n{}{}",
        chain.config(),
        tpm.config(),
    ));
    let agent = place.start();
    agent.wait_for_condition("chain", true).await;
    agent.wait_for_condition("tpm", true).await;
    let node = agent.json("/v1/node").await;
    let operator = node["operator"].as_str().unwrap();
    let node_id = format!("0x{}", node["node_id"].as_str().unwrap());
    quote_is_signed(&agent).await;

    // Gas lets it register, the owner's stake lets it be active.
    chain.send(ADMIN, &[operator, "--value", "1ether"]);
    wait_for(&agent, "/v1/node", |node| node["chain"]["registration"] == "inactive").await;
    stake(&chain, &node_id);
    let role = "0x".to_owned() + &hex::encode(keccak("SCHEDULER_ROLE"));
    let jobs = chain.contract("jobManager");
    chain.send(ADMIN, &[jobs, "grantRole(bytes32,address)", &role, operator]);
    wait_for(&agent, "/v1/node", |node| node["chain"]["registration"] == "active").await;

    // The first job's message never comes; the second job fits nowhere.
    let (item_hash, _) = message(Cid::of(b"image"), 256);
    create_job(&chain, &item_hash, "1,256,64");
    create_job(&chain, &item_hash, "4000,256,64");
    let reason = wait_for_failure(&agent, &chain, 1).await;
    assert!(reason.contains("was not uploaded to the node within 2 s"), "{reason}");
    let reason = wait_for_failure(&agent, &chain, 2).await;
    assert!(reason.contains("needs 4000 vCPU"), "{reason}");

    // The third job's message is there, and contradicts it.
    let (item_hash, envelope) = message(Cid::of(b"image"), 128);
    let posted = agent.post("/v1/messages").body(envelope).send().await.unwrap();
    posted.error_for_status().unwrap();
    create_job(&chain, &item_hash, "1,256,64");
    let reason = wait_for_failure(&agent, &chain, 3).await;
    assert!(reason.contains("its manifest asks for 1 vCPU, 128 MiB"), "{reason}");

    // The fourth job has everything, and a node that lacks the monitor.
    let image = agent.post("/v1/blobs").body("an image").send().await.unwrap();
    image.error_for_status().unwrap();
    let (item_hash, envelope) = message(Cid::of(b"an image"), 256);
    let posted = agent.post("/v1/messages").body(envelope).send().await.unwrap();
    posted.error_for_status().unwrap();
    create_job(&chain, &item_hash, "1,256,64");
    wait_for(&agent, "/v1/instances", |all| all[0]["job"] == 4 && all[0]["rootfs"].is_string())
        .await;
    let reason = wait_for_failure(&agent, &chain, 4).await;
    assert!(reason.contains("/nowhere/") && reason.contains("3 times in a row"), "{reason}");

    // A sudden end does not end the heartbeats.
    agent.kill();
    tpm.restart();
    let agent = place.start();
    wait_for(&agent, "/v1/node", |node| node["chain"]["registration"] == "active").await;
    let heartbeat = last_heartbeat(&chain, &node_id);
    let deadline = Instant::now() + PATIENCE;
    while last_heartbeat(&chain, &node_id) == heartbeat {
        assert!(Instant::now() < deadline, "no heartbeat: {}", agent.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    agent.stop();
}

/// The node's evidence opens for who asked, and names the key of this very connection.
async fn quote_is_signed(agent: &Agent) {
    let identity = agent.get("/v1/attestation/identity").send().await.unwrap();
    let identity: IdentityDocument = wire::decode(&identity.bytes().await.unwrap()).unwrap();
    let node = agent.json("/v1/node").await;
    assert_eq!(node["node_id"], identity.node_id.to_string());
    let challenge = Challenge::new(&identity, &mut rand::rngs::OsRng).unwrap();
    let request = wire::encode(challenge.request()).unwrap();
    let answer = agent.post("/v1/attestation/quote").body(request.clone()).send().await.unwrap();
    let evidence: Evidence = wire::decode(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(evidence.body.nonce, challenge.request().nonce);
    assert_eq!(evidence.body.identity, identity);

    let other = agent.post("/v1/attestation/quote").body(request[..9].to_vec());
    assert_eq!(other.send().await.unwrap().status(), 422);
}

fn stake(chain: &Chain, node_id: &str) {
    let (token, staking) = (chain.contract("aleph"), chain.contract("stakingManager"));
    let amount = "20000000000000000000000";
    chain.send(ADMIN, &[token, "transfer(address,uint256)", OWNER, amount]);
    chain.send(OWNER, &[token, "approve(address,uint256)", staking, amount]);
    chain.send(OWNER, &[staking, "stake(bytes32,uint256)", node_id, amount]);
}

fn create_job(chain: &Chain, item_hash: &str, resources: &str) {
    let jobs = chain.contract("jobManager");
    let signature =
        "createJob((bytes32,(uint32,uint64,uint64,bytes32,uint8),address,uint128,uint64))";
    // Free, and without a wish for attestation.
    let (word, address) = ("0".repeat(64), "0".repeat(40));
    let request = format!("(0x{item_hash},({resources},0x{word},0),0x{address},0,0)");
    chain.send(CUSTOMER, &[jobs, signature, &request]);
}

/// Waits until a job has failed, and gives the reason that the chain holds.
async fn wait_for_failure(agent: &Agent, chain: &Chain, job: u64) -> String {
    let deadline = Instant::now() + PATIENCE;
    let signature = "getJob(uint256)((address,uint8,uint64,bool,bytes32,bytes32,address,uint64,\
                     uint128,uint64,uint64,uint64,uint64,uint64,uint64,address,\
                     (uint32,uint64,uint64,bytes32,uint8),string))";
    loop {
        let record = chain.call(&[chain.contract("jobManager"), signature, &job.to_string()]);
        if let Some((_, reason)) = record.split_once('"').filter(|(_, reason)| reason.len() > 3) {
            return reason.to_owned();
        }
        assert!(Instant::now() < deadline, "job {job}: {record}\n{}", agent.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn last_heartbeat(chain: &Chain, node_id: &str) -> String {
    // Of the node's record only the changes from one call to the next matter.
    chain.call(&[chain.contract("nodeRegistry"), "getNode(bytes32)", node_id])
}

async fn wait_for(agent: &Agent, path: &str, is_there: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = agent.json(path).await;
        if is_there(&answer) {
            return;
        }
        assert!(Instant::now() < deadline, "{answer}\n{}", agent.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn keccak(text: &str) -> [u8; 32] {
    use sha3::Digest as _;
    sha3::Keccak256::digest(text).into()
}
