use std::{sync::atomic::Ordering, time::Duration};

use aleph_api::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::client::{Harness, problem};

#[tokio::test]
async fn what_is_too_much_is_refused_at_once() {
    let api = Harness::with(Limits { requests_max: 2, ..Limits::default() }).await;
    api.node.slow.store(true, Ordering::SeqCst);
    let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(api.get("/v1/node").send())).collect();
    while api.metric("aleph_api_connections").await < 3 {
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_millis(200)).await;

    let response = api.get("/v1/instances").send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(problem(response, 503).await.kind, "/problems/busy");
    // Health and metrics are answered all the same.
    assert_eq!(api.get("/livez").send().await.unwrap().status(), 200);
    assert_eq!(api.metric("aleph_api_requests_shed_total").await, 1);
    for request in waiting {
        request.abort();
    }
    api.stop().await;
}

#[tokio::test]
async fn a_late_answer_is_given_up() {
    let limits = Limits { answer_timeout: Duration::from_millis(50), ..Limits::default() };
    let api = Harness::with(limits).await;
    api.node.slow.store(true, Ordering::SeqCst);
    let late = problem(api.get("/v1/node").send().await.unwrap(), 504).await;
    assert_eq!(late.kind, "/problems/timeout");
    api.stop().await;
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let limits = Limits { handshake_timeout: Duration::from_millis(100), ..Limits::default() };
    let api = Harness::with(limits).await;
    let mut silent = TcpStream::connect(api.address).await.unwrap();
    let mut byte = [0];
    let read = timeout(Duration::from_secs(10), silent.read(&mut byte)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));

    // Not TLS at all.
    let mut plain = TcpStream::connect(api.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), plain.read_to_end(&mut answer)).await.unwrap().ok();
    assert!(!answer.starts_with(b"HTTP"));
    assert_eq!(api.metric("aleph_api_handshake_failures_total").await, 2);
    api.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let limits = Limits { stall_timeout: Duration::from_millis(100), ..Limits::default() };
    let api = Harness::with(limits).await;
    for (path, status) in [("/v1/messages", 408), ("/v1/blobs", 422)] {
        let stuck = futures_util::stream::pending::<Result<&str, std::io::Error>>();
        let body = reqwest::Body::wrap_stream(stuck);
        problem(api.post(path).body(body).send().await.unwrap(), status).await;
    }
    api.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let api = Harness::with(Limits { connections_max: 1, ..Limits::default() }).await;
    let holder = TcpStream::connect(api.address).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let waiting = tokio::spawn(api.get("/livez").send());
    sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    drop(holder);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    api.stop().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_server_ends() {
    let limits = Limits { answer_timeout: Duration::from_millis(500), ..Limits::default() };
    let api = Harness::with(limits).await;
    api.node.slow.store(true, Ordering::SeqCst);
    let request = tokio::spawn(api.get("/v1/node").send());
    while api.metric("aleph_api_connections").await < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    let started = Instant::now();
    let address = api.address;
    api.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(request.await.unwrap().unwrap().status(), 504);
    assert!(TcpStream::connect(address).await.is_err());
}
