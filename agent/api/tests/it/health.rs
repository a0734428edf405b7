use std::sync::atomic::Ordering;

use aleph_types::api::{NodeInfo, Readiness};
use sha2::{Digest as _, Sha256};

use crate::client::{Harness, problem};

#[tokio::test]
async fn health_says_what_is_missing() {
    let api = Harness::start().await;
    assert_eq!(api.get("/livez").send().await.unwrap().text().await.unwrap(), "ok\n");

    let response = api.get("/readyz").send().await.unwrap();
    assert_eq!(response.status(), 503);
    let response = api.get("/readyz?verbose").send().await.unwrap();
    assert_eq!(response.status(), 503);
    let readiness: Readiness = response.json().await.unwrap();
    assert!(!readiness.ready && readiness.conditions[0].name == "test");

    api.node.ready.store(true, Ordering::SeqCst);
    let response = api.get("/readyz").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.text().await.unwrap().as_str()),
        (200, "ready\n")
    );
    api.stop().await;
}

#[tokio::test]
async fn the_key_that_is_quoted_is_the_one_that_serves() {
    let api = Harness::start().await;
    let response = api.get("/v1/node").send().await.unwrap();
    let info = response.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    let certificate = info.peer_certificate().unwrap();
    // The key's encoding stands in the certificate as it is hashed: 91 bytes for P-256.
    let found = certificate
        .windows(91)
        .any(|window| Sha256::digest(window).as_slice() == api.spki_sha256.as_bytes());
    assert!(found);
    let node: NodeInfo = response.json().await.unwrap();
    assert_eq!(node.chain.chain_id, 42161);
    api.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let api = Harness::start().await;
    for _ in 0..3 {
        api.get("/v1/instances/7").send().await.unwrap();
    }
    api.get("/hostile/path").send().await.unwrap();
    let text = api.get("/metrics").send().await.unwrap().text().await.unwrap();
    let counted =
        "aleph_api_requests_total{route=\"/v1/instances/{job}\",method=\"GET\",status=\"200\"} 3";
    assert!(text.contains(counted), "{text}");
    assert!(text.contains("route=\"unknown\"") && !text.contains("hostile"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    api.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Harness::start().await;
    let unknown = problem(api.get("/v2").send().await.unwrap(), 404).await;
    assert_eq!(unknown.kind, "/problems/unknown-path");
    let response = api.client.delete(api.url("/v1/node")).send().await.unwrap();
    assert_eq!(problem(response, 405).await.kind, "/problems/unknown-method");
    let response = api.get("/v1/attestation/identity").send().await.unwrap();
    assert!(response.headers().contains_key("retry-after"));
    let missing = problem(response, 503).await;
    assert_eq!(missing.next.as_deref(), Some("enable the TPM"));
    api.stop().await;
}
