use std::sync::Arc;

use axum::{extract::State, http::header, response::IntoResponse};

use super::{Shared, WholeBody};
use crate::{Node, Refusal, RefusalKind};

pub(super) async fn identity<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
) -> Result<impl IntoResponse, Refusal> {
    let document = shared.node.attestation_identity().await?;
    Ok(([(header::CONTENT_TYPE, WIRE)], document))
}

pub(super) async fn quote<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    WholeBody(request): WholeBody,
) -> Result<impl IntoResponse, Refusal> {
    if request.len() > QUOTE_REQUEST_BYTES_MAX {
        let detail = format!("a quote request has at most {QUOTE_REQUEST_BYTES_MAX} bytes");
        return Err(Refusal::new(RefusalKind::TooLarge, detail));
    }
    let evidence = shared.node.quote(request).await?;
    Ok(([(header::CONTENT_TYPE, WIRE)], evidence))
}

/// Evidence travels in the binary form that is hashed, not as JSON.
const WIRE: &str = "application/octet-stream";
/// A nonce and a credential have less than one.
const QUOTE_REQUEST_BYTES_MAX: usize = 4096;
