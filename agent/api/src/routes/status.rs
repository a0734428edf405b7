use std::sync::Arc;

use aleph_types::api::NodeInfo;
use axum::{
    Json,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus_client::encoding::text;

use super::Shared;
use crate::{Node, Refusal, RefusalKind};

/// The process answers. Whether it can do its work is what `/readyz` says.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether the node can do its work; with `?verbose`, what is missing and what to do.
pub(super) async fn readyz<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    RawQuery(query): RawQuery,
) -> Response {
    let readiness = shared.node.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose = query.is_some_and(|query| query.split('&').any(|word| word == "verbose"));
    if verbose {
        return (status, Json(readiness)).into_response();
    }
    (status, if readiness.ready { "ready\n" } else { "not ready\n" }).into_response()
}

/// Every metric, in the OpenMetrics text format.
pub(super) async fn metrics<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
) -> Result<impl IntoResponse, Refusal> {
    let mut text = String::new();
    text::encode(&mut text, &shared.registry)
        .map_err(|error| Refusal::new(RefusalKind::Internal, error.to_string()))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text))
}

pub(super) async fn node<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
) -> Result<Json<NodeInfo>, Refusal> {
    shared.node.info().await.map(Json)
}
