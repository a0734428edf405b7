use std::{net::Ipv4Addr, sync::atomic::Ordering, time::Duration};

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
async fn who_asks_for_nothing_is_hung_up_on() {
    let limits = Limits { header_timeout: Duration::from_millis(200), ..Limits::default() };
    let api = Harness::with(limits).await;
    let mut answer = Vec::new();
    let mut silent = api.connect().await;
    timeout(Duration::from_secs(10), silent.read_to_end(&mut answer)).await.unwrap().ok();

    // One who was answered, and then says nothing.
    let mut idle = api.connect().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: aleph-node\r\n\r\n").await.unwrap();
    timeout(Duration::from_secs(10), idle.read_to_end(&mut answer)).await.unwrap().ok();
    assert!(answer.starts_with(b"HTTP/1.1 200"));

    // One whose headers never end.
    let (mut reader, mut writer) = tokio::io::split(api.connect().await);
    let dribbling = tokio::spawn(async move {
        writer.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
        while writer.write_all(b"a: b\r\n").await.is_ok() {
            writer.flush().await.ok();
            sleep(Duration::from_millis(100)).await;
        }
    });
    timeout(Duration::from_secs(10), reader.read_to_end(&mut answer)).await.unwrap().ok();
    dribbling.abort();
    api.stop().await;
}

#[tokio::test]
async fn an_upload_that_crawls_is_given_up_and_a_steady_one_is_not() {
    let limits = Limits {
        stall_timeout: Duration::from_secs(1),
        upload_bytes_per_s_min: 1000,
        ..Limits::default()
    };
    let api = Harness::with(limits).await;
    // Four times for each: there are no more places for uploads.
    for _ in 0..4 {
        let crawl = futures_util::stream::unfold((), |()| async {
            sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        });
        let request = api.post("/v1/blobs").body(reqwest::Body::wrap_stream(crawl));
        let refused = problem(request.send().await.unwrap(), 422).await;
        assert!(refused.detail.contains("more slowly than 1000"), "{refused:?}");
    }
    let steady = futures_util::stream::unfold(0, |count| async move {
        sleep(Duration::from_millis(100)).await;
        (count < 20).then(|| (Ok::<_, std::io::Error>("x".repeat(2000)), count + 1))
    });
    let request = api.post("/v1/blobs").body(reqwest::Body::wrap_stream(steady));
    assert_eq!(request.send().await.unwrap().status(), 200);
    api.stop().await;
}

#[tokio::test]
async fn one_client_cannot_take_every_place() {
    let limits = Limits { connections_max: 8, connections_per_client_max: 2, ..Limits::default() };
    let api = Harness::with(limits).await;
    let holders = [api.connect().await, api.connect().await];
    for _ in 0..20 {
        let mut refused = TcpStream::connect(api.address).await.unwrap();
        let mut byte = [0];
        let read = timeout(Duration::from_secs(5), refused.read(&mut byte)).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)));
    }
    let other = api.client_at(Ipv4Addr::new(127, 0, 0, 2).into());
    assert_eq!(other.get(api.url("/livez")).send().await.unwrap().status(), 200);
    drop(holders);
    // Its places are free as soon as the server has seen the ends.
    while api.get("/livez").send().await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(api.metric("aleph_api_connections_refused_total").await >= 20);
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
