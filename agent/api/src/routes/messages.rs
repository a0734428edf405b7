use std::sync::Arc;

use aleph_types::api::MessageReceipt;
use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::IntoResponse,
};

use super::{Shared, WholeBody, parse};
use crate::{Node, Refusal};

pub(super) async fn submit<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    WholeBody(envelope): WholeBody,
) -> Result<Json<MessageReceipt>, Refusal> {
    shared.node.put_message(envelope).await.map(Json)
}

pub(super) async fn show<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    Path(item_hash): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let envelope = shared.node.message(parse(&item_hash)?).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], envelope))
}
