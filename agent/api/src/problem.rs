//! Errors as clients see them.

use aleph_types::api::Problem;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{Refusal, RefusalKind};

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Kind { name, title, status, next } = kind(self.kind);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(detail = self.detail, "a request failed");
        }
        let retry = matches!(self.kind, RefusalKind::Busy | RefusalKind::Unavailable);
        let next = self.next.unwrap_or_else(|| next.to_owned());
        let mut response = respond(status, name, title, self.detail, next);
        if retry {
            let seconds = HeaderValue::from(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// No route has this path.
pub(crate) async fn unknown_path() -> Response {
    respond(
        StatusCode::NOT_FOUND,
        "unknown-path",
        "No such path",
        "the interface has no such path".to_owned(),
        "check the path; the interface's begin with /v1, /livez, /readyz or /metrics".to_owned(),
    )
}

/// The route does not know this method.
pub(crate) async fn unknown_method() -> Response {
    respond(
        StatusCode::METHOD_NOT_ALLOWED,
        "unknown-method",
        "Method not allowed",
        "the path does not know this method".to_owned(),
        "use one of the methods in the Allow header".to_owned(),
    )
}

/// No answer was ready in time.
pub(crate) fn late() -> Response {
    respond(
        StatusCode::GATEWAY_TIMEOUT,
        "timeout",
        "Took too long",
        "the node did not have the answer in time".to_owned(),
        "try again; if it happens again, look at the node's load".to_owned(),
    )
}

/// The body did not come in time.
pub(crate) fn body_late() -> Response {
    respond(
        StatusCode::REQUEST_TIMEOUT,
        "body-timeout",
        "The body stopped coming",
        "no byte of the request's body came for too long".to_owned(),
        "send the request again".to_owned(),
    )
}

fn respond(status: StatusCode, name: &str, title: &str, detail: String, next: String) -> Response {
    let problem = Problem {
        kind: format!("/problems/{name}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        next: Some(next),
    };
    let mut response = (status, axum::Json(problem)).into_response();
    let content_type = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

struct Kind {
    name: &'static str,
    title: &'static str,
    status: StatusCode,
    next: &'static str,
}

fn kind(kind: RefusalKind) -> Kind {
    let (name, title, status, next) = match kind {
        RefusalKind::Busy => (
            "busy",
            "Too busy",
            StatusCode::SERVICE_UNAVAILABLE,
            "try again after the seconds in the Retry-After header",
        ),
        RefusalKind::Conflict => (
            "conflict",
            "Contradiction",
            StatusCode::CONFLICT,
            "compare what was sent with what was announced and send it again",
        ),
        RefusalKind::Internal => (
            "internal",
            "The node failed",
            StatusCode::INTERNAL_SERVER_ERROR,
            "try again; if it happens again, read the node's log",
        ),
        RefusalKind::Invalid => (
            "invalid",
            "Not valid",
            StatusCode::UNPROCESSABLE_ENTITY,
            "correct the request and send it again",
        ),
        RefusalKind::NotFound => (
            "not-found",
            "Not found",
            StatusCode::NOT_FOUND,
            "check the name; it may belong to another node",
        ),
        RefusalKind::StorageFull => (
            "storage-full",
            "The disk is full",
            StatusCode::INSUFFICIENT_STORAGE,
            "remove blobs or instances, or use another node",
        ),
        RefusalKind::TooLarge => {
            ("too-large", "Too large", StatusCode::PAYLOAD_TOO_LARGE, "send something smaller")
        }
        RefusalKind::Unavailable => (
            "unavailable",
            "Not available on this node",
            StatusCode::SERVICE_UNAVAILABLE,
            "ask /readyz?verbose what is missing",
        ),
    };
    Kind { name, title, status, next }
}

/// A shed request has a good chance after this many seconds, and a herd is spread by then.
const RETRY_AFTER_S: u32 = 2;
