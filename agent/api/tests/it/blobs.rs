use std::time::Duration;

use aleph_api::Limits;
use aleph_types::{Cid, api::BlobInfo};
use futures_util::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use crate::client::{Harness, problem};

#[tokio::test]
async fn a_blob_comes_back_as_it_was_sent() {
    let api = Harness::start().await;
    // Larger than every buffer on the way.
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let cid = Cid::of(&bytes);
    for request in [api.post("/v1/blobs"), api.client.put(api.url("/v1/blobs"))] {
        let request = request.header("x-aleph-cid", cid.to_string()).body(bytes.clone());
        let info: BlobInfo = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(info, BlobInfo { cid, size_bytes: 3_000_000 });
    }

    let response = api.get(&format!("/v1/blobs/{cid}")).send().await.unwrap();
    assert_eq!(response.content_length(), Some(3_000_000));
    assert!(response.bytes().await.unwrap() == bytes);
    let head = api.client.head(api.url(&format!("/v1/blobs/{cid}"))).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "3000000");
    assert_eq!(api.metric("aleph_api_upload_bytes_total").await, 6_000_000);
    api.stop().await;
}

#[tokio::test]
async fn a_stream_without_a_length_is_taken() {
    let api = Harness::start().await;
    let pieces = ["a", "b", "c"].map(Ok::<_, std::io::Error>);
    let body = reqwest::Body::wrap_stream(stream::iter(pieces));
    let response = api.post("/v1/blobs").body(body).send().await.unwrap();
    let info: BlobInfo = response.json().await.unwrap();
    assert_eq!(info.cid, Cid::of(b"abc"));
    api.stop().await;
}

#[tokio::test]
async fn wrong_names_are_named() {
    let api = Harness::start().await;
    let request = api.post("/v1/blobs").header("x-aleph-cid", Cid::of(b"other").to_string());
    let refused = problem(request.body("bytes").send().await.unwrap(), 409).await;
    assert!(refused.detail.contains(&Cid::of(b"bytes").to_string()), "{refused:?}");

    let request = api.post("/v1/blobs").header("x-aleph-cid", "nonsense");
    problem(request.body("bytes").send().await.unwrap(), 422).await;
    problem(api.get("/v1/blobs/nonsense").send().await.unwrap(), 422).await;
    let absent = format!("/v1/blobs/{}", Cid::of(b"absent"));
    problem(api.get(&absent).send().await.unwrap(), 404).await;
    api.stop().await;
}

#[tokio::test]
async fn an_announced_giant_is_refused_unread() {
    let limits = Limits { blob_size_bytes_max: 10, ..Limits::default() };
    let api = Harness::with(limits).await;
    let response = api.post("/v1/blobs").body("eleven byte").send().await.unwrap();
    let refused = problem(response, 413).await;
    assert!(refused.detail.contains("10 bytes"), "{refused:?}");
    api.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_whoever_is_still_sending_and_leaves_the_connection() {
    let limits = Limits { blob_size_bytes_max: 10, ..Limits::default() };
    let api = Harness::with(limits).await;
    let mut sender = api.connect().await;
    let head = "POST /v1/blobs HTTP/1.1\r\nhost: aleph-node\r\ncontent-length: 1000000\r\n\r\n";
    sender.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        // The refusal is there before the first piece; the connection has to be, too.
        sleep(Duration::from_millis(50)).await;
        sender.write_all(&[0; 100_000]).await.unwrap();
        sender.flush().await.unwrap();
    }
    let next = "GET /livez HTTP/1.1\r\nhost: aleph-node\r\nconnection: close\r\n\r\n";
    sender.write_all(next.as_bytes()).await.unwrap();
    let mut answers = String::new();
    sender.read_to_string(&mut answers).await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 413") && answers.contains("10 bytes"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200"), "{answers}");
    api.stop().await;
}
