use aleph_types::{api::MessageReceipt, message::ENVELOPE_BYTES_MAX};

use crate::client::{Harness, problem};

#[tokio::test]
async fn a_message_comes_back_byte_for_byte() {
    let api = Harness::start().await;
    let envelope = r#"{ "sender" : "0x" }"#;
    let receipt: MessageReceipt =
        api.post("/v1/messages").body(envelope).send().await.unwrap().json().await.unwrap();
    let response = api.get(&format!("/v1/messages/{}", receipt.item_hash)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.text().await.unwrap(), envelope);

    problem(api.get("/v1/messages/00").send().await.unwrap(), 422).await;
    let absent = format!("/v1/messages/{}", "00".repeat(32));
    problem(api.get(&absent).send().await.unwrap(), 404).await;
    api.stop().await;
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let api = Harness::start().await;
    let body = "x".repeat(ENVELOPE_BYTES_MAX + 1);
    problem(api.post("/v1/messages").body(body).send().await.unwrap(), 413).await;
    let body = "x".repeat(4097);
    problem(api.post("/v1/attestation/quote").body(body).send().await.unwrap(), 413).await;
    let answer = api.post("/v1/attestation/quote").body("bytes").send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), "bytes");
    api.stop().await;
}
