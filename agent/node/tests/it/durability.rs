//! What survives the end of the process, however it comes.

use std::{fs, time::Duration};

use aleph_types::Cid;

use crate::{
    harness::{Place, problem},
    network::message,
};

#[tokio::test]
async fn everything_acknowledged_survives_kill_9() {
    let place = Place::without_tpm("");
    let agent = place.start();
    let operator = agent.json("/v1/node").await["operator"].clone();
    let cid = Cid::of(b"image");
    agent.post("/v1/blobs").body("image").send().await.unwrap().error_for_status().unwrap();
    let (item_hash, envelope) = message(cid, 256);
    let posted = agent.post("/v1/messages").body(envelope.clone()).send().await.unwrap();
    posted.error_for_status().unwrap();
    agent.kill();

    let agent = place.start();
    assert_eq!(agent.json("/v1/node").await["operator"], operator);
    let blob = agent.get(&format!("/v1/blobs/{cid}")).send().await.unwrap();
    assert_eq!(blob.text().await.unwrap(), "image");
    let kept = agent.get(&format!("/v1/messages/{item_hash}")).send().await.unwrap();
    assert_eq!(kept.text().await.unwrap(), envelope);
    agent.stop();
}

#[tokio::test]
async fn an_upload_cut_off_leaves_nothing_behind() {
    let place = Place::without_tpm("");
    let agent = place.start();
    let (sender, body) = tokio::io::duplex(1024);
    let pieces = futures_util::stream::unfold(body, |mut body| async move {
        let mut piece = vec![0; 512];
        let count = tokio::io::AsyncReadExt::read(&mut body, &mut piece).await.ok()?;
        piece.truncate(count);
        Some((Ok::<_, std::io::Error>(piece), body))
    });
    let upload = agent.post("/v1/blobs").body(reqwest::Body::wrap_stream(pieces)).send();
    let upload = tokio::spawn(upload);
    let mut sender = sender;
    tokio::io::AsyncWriteExt::write_all(&mut sender, &[7; 4096]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    agent.kill();
    assert!(upload.await.unwrap().is_err());

    let agent = place.start();
    let absent = format!("/v1/blobs/{}", Cid::of(&[7; 4096]));
    problem(agent.get(&absent).send().await.unwrap(), 404).await;
    let files = walk(&place.data().join("blobs"));
    assert!(files.iter().all(|bytes| *bytes == 0), "{files:?}");
    agent.stop();
}

#[test]
fn a_second_agent_on_the_same_data_is_refused() {
    let place = Place::without_tpm("");
    let first = place.start();
    let (code, said) = place.run_to_end();
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("stop the other agent first"), "{said}");
    first.stop();
}

#[tokio::test]
async fn a_host_that_goes_down_is_noticed() {
    let place = Place::without_tpm("");
    let agent = place.start();
    fs::write(place.run().join("shutting-down"), "").unwrap();
    let said = agent.stop();
    assert!(said.contains("ending all machines"), "{said}");
}

#[tokio::test]
async fn a_request_under_way_does_not_hold_up_the_stop() {
    let place = Place::without_tpm("");
    let agent = place.start();
    // A connection that stays open, and one on which nothing is said.
    agent.get("/livez").send().await.unwrap();
    let address = agent.url.strip_prefix("https://").unwrap();
    let silent = tokio::net::TcpStream::connect(address).await.unwrap();
    agent.stop();
    drop(silent);
}

/// The sizes of all files in a folder.
fn walk(folder: &std::path::Path) -> Vec<u64> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            sizes.extend(walk(&entry.path()));
        } else {
            sizes.push(metadata.len());
        }
    }
    sizes
}
