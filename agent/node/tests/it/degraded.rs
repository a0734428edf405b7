//! What works, and what is said, where something is missing.

use std::fs;

use aleph_types::{Cid, api::BlobInfo};

use crate::{
    harness::{Place, problem},
    network::message,
};

#[tokio::test]
async fn a_node_alone_serves_blobs_and_messages_and_says_what_it_lacks() {
    let place = Place::without_tpm("");
    let agent = place.start();
    let live = agent.get("/livez").send().await.unwrap();
    assert_eq!(live.text().await.unwrap(), "ok\n");
    assert_eq!(agent.get("/readyz").send().await.unwrap().status(), 503);
    agent.wait_for_condition("database", true).await;
    agent.wait_for_condition("api", true).await;
    let chain = agent.wait_for_condition("chain", false).await;
    assert!(chain.contains("[chain]"), "{chain}");
    let tpm = agent.wait_for_condition("tpm", false).await;
    assert!(tpm.contains("tpm.enabled"), "{tpm}");

    let node = agent.json("/v1/node").await;
    assert_eq!((&node["node_id"], &node["profile"]), (&().into(), &"host".into()));
    let identity = agent.get("/v1/attestation/identity").send().await.unwrap();
    let missing = problem(identity, 503).await;
    assert!(missing.detail.contains("no usable TPM"), "{missing:?}");

    let bytes = "image ".repeat(300_000);
    let stored = agent.post("/v1/blobs").body(bytes.clone()).send().await.unwrap();
    let stored: BlobInfo = stored.json().await.unwrap();
    assert_eq!(stored.cid, Cid::of(bytes.as_bytes()));
    let sent = agent.get(&format!("/v1/blobs/{}", stored.cid)).send().await.unwrap();
    assert!(sent.text().await.unwrap() == bytes);
    let absent = Cid::of(b"absent");
    let absent = agent.get(&format!("/v1/blobs/{absent}")).send().await.unwrap();
    assert!(problem(absent, 404).await.detail.contains("upload it first"));

    let (item_hash, envelope) = message(stored.cid, 256);
    let receipt = agent.post("/v1/messages").body(envelope.clone()).send().await.unwrap();
    let receipt: serde_json::Value = receipt.json().await.unwrap();
    assert_eq!(receipt["item_hash"], item_hash);
    let kept = agent.get(&format!("/v1/messages/{item_hash}")).send().await.unwrap();
    assert_eq!(kept.text().await.unwrap(), envelope);
    let forged = envelope.replace("256", "257");
    let refused = agent.post("/v1/messages").body(forged).send().await.unwrap();
    assert!(problem(refused, 422).await.detail.contains("item_hash"));

    assert_eq!(agent.json("/v1/instances").await, serde_json::json!([]));
    let unknown = agent.get("/v1/instances/1/logs").send().await.unwrap();
    assert!(problem(unknown, 404).await.detail.contains("job 1"));
    let metrics = agent.get("/metrics").send().await.unwrap().text().await.unwrap();
    for name in ["aleph_node_ready 0", "aleph_api_upload_bytes_total 1800000"] {
        assert!(metrics.contains(name), "no {name} in {metrics}");
    }
    let said = agent.stop();
    assert!(said.contains("\"signal\":\"SIGTERM\"") && said.contains("\"stopped\""), "{said}");
}

#[tokio::test]
async fn a_tpm_that_is_not_there_is_named_with_what_to_do() {
    let place = Place::new("[tpm]\ntcti = \"/dev/no-tpm-here\"\n");
    let agent = place.start();
    let tpm = agent.wait_for_condition("tpm", false).await;
    assert!(tpm.contains("/dev/no-tpm-here") && tpm.contains("firmware"), "{tpm}");
    agent.stop();
}

#[tokio::test]
async fn a_chain_that_does_not_answer_is_waited_for() {
    let place = Place::without_tpm(
        "[node]\nowner = \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"\n\
         [chain]\nrpc_url = \"http://127.0.0.1:9/SECRET\"\nchain_id = 42161\n\
         node_registry = \"0x1111111111111111111111111111111111111111\"\n\
         staking_manager = \"0x1111111111111111111111111111111111111111\"\n\
         job_manager = \"0x1111111111111111111111111111111111111111\"\n",
    );
    let agent = place.start();
    let mut chain = agent.wait_for_condition("chain", false).await;
    while !chain.starts_with("unreachable") {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        chain = agent.wait_for_condition("chain", false).await;
    }
    let node = agent.json("/v1/node").await;
    assert!(node["chain"]["problem"].as_str().unwrap().contains("unreachable"), "{node}");
    let said = agent.stop();
    assert!(!said.contains("SECRET"), "{said}");
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_node_stays_up() {
    // No disk has a pebibyte free.
    let place = Place::without_tpm("[storage]\nfree_mib_min = 1073741824\n");
    let agent = place.start();
    let disk = agent.wait_for_condition("disk", false).await;
    assert!(disk.contains("full") && disk.contains("remove"), "{disk}");
    let refused = agent.post("/v1/blobs").body("bytes").send().await.unwrap();
    assert_eq!(problem(refused, 507).await.kind, "/problems/storage-full");
    let (_, envelope) = message(Cid::of(b"image"), 256);
    let refused = agent.post("/v1/messages").body(envelope).send().await.unwrap();
    assert_eq!(problem(refused, 507).await.kind, "/problems/storage-full");
    agent.stop();
}

#[test]
fn what_a_restart_cannot_mend_ends_with_69() {
    let place = Place::without_tpm("");
    fs::create_dir_all(place.data().join("db")).unwrap();
    fs::write(place.data().join("db/node.redb"), "no database".repeat(1000)).unwrap();
    let (code, said) = place.run_to_end();
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("move it aside"), "{said}");

    let place = Place::without_tpm("");
    fs::write(place.data(), "a file where the folder should be").unwrap();
    let (code, said) = place.run_to_end();
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("check the data disk"), "{said}");
}
