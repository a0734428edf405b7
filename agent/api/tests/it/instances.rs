use std::time::Duration;

use aleph_api::Limits;
use aleph_types::api::InstanceInfo;

use crate::{
    client::{Harness, problem},
    node::JOB,
};

#[tokio::test]
async fn machines_are_listed_and_shown() {
    let api = Harness::start().await;
    let all: Vec<InstanceInfo> =
        api.get("/v1/instances").send().await.unwrap().json().await.unwrap();
    let one: InstanceInfo = api.get("/v1/instances/7").send().await.unwrap().json().await.unwrap();
    assert_eq!(all, std::slice::from_ref(&one));
    assert_eq!(one.job, JOB);
    problem(api.get("/v1/instances/8").send().await.unwrap(), 404).await;
    problem(api.get("/v1/instances/seven").send().await.unwrap(), 422).await;
    api.stop().await;
}

#[tokio::test]
async fn a_log_is_read_from_an_offset() {
    let api = Harness::start().await;
    api.node.print("login: ");
    let response = api.get("/v1/instances/7/logs?offset=3").send().await.unwrap();
    assert_eq!(response.headers()["x-aleph-offset"], "3");
    assert_eq!(response.text().await.unwrap(), "in: ");
    problem(api.get("/v1/instances/7/logs?ofset=3").send().await.unwrap(), 422).await;
    problem(api.get("/v1/instances/7/logs?follow=maybe").send().await.unwrap(), 422).await;
    problem(api.get("/v1/instances/8/logs").send().await.unwrap(), 404).await;
    api.stop().await;
}

#[tokio::test]
async fn a_followed_log_goes_on_until_the_machine_ends() {
    let api = Harness::start().await;
    api.node.print("one ");
    let mut response = api.get("/v1/instances/7/logs?follow=true").send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one ");
    api.node.print("two ");
    assert_eq!(response.chunk().await.unwrap().unwrap(), "two ");
    assert_eq!(api.metric("aleph_api_logs_followed").await, 1);
    api.node.print("three");
    api.node.end();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "three");
    assert_eq!(response.chunk().await.unwrap(), None);
    assert_eq!(api.metric("aleph_api_logs_followed").await, 0);
    api.stop().await;
}

#[tokio::test]
async fn a_long_log_is_sent_whole() {
    let api = Harness::start().await;
    let text = "0123456789abcdef".repeat(200_000);
    api.node.print(&text);
    api.node.end();
    let response = api.get("/v1/instances/7/logs?follow=true").send().await.unwrap();
    assert!(response.text().await.unwrap() == text);
    api.stop().await;
}

#[tokio::test]
async fn followers_have_a_limit_and_end_with_the_server() {
    let api = Harness::with(Limits { follows_max: 1, ..Limits::default() }).await;
    api.node.print("x");
    let mut first = api.get("/v1/instances/7/logs?follow").send().await.unwrap();
    assert_eq!(first.chunk().await.unwrap().unwrap(), "x");
    let second = api.get("/v1/instances/7/logs?follow").send().await.unwrap();
    problem(second, 503).await;
    let started = std::time::Instant::now();
    api.stop().await;
    assert_eq!(first.chunk().await.unwrap(), None);
    assert!(started.elapsed() < Duration::from_secs(4));
}
