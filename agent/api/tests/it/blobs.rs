use aleph_api::Limits;
use aleph_types::{Cid, api::BlobInfo};
use futures_util::stream;

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
