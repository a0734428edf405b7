//! What is answered where.

use std::{sync::Arc, time::Instant};

use aleph_types::message::ENVELOPE_BYTES_MAX;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, MatchedPath, Request, State, rejection},
    http::Method,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use prometheus_client::registry::Registry;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Limits, Metrics, Node, Refusal, RefusalKind,
    metrics::{RequestLabels, RouteLabels},
    problem,
};

mod attestation;
mod blobs;
mod instances;
mod messages;
mod status;

pub use instances::{FOLLOW_INTERVAL, LOG_CHUNK_BYTES_MAX};

/// What every handler can reach.
pub(crate) struct Shared<N> {
    node: Arc<N>,
    registry: Arc<Registry>,
    metrics: Metrics,
    limits: Limits,
    requests: Semaphore,
    uploads: Arc<Semaphore>,
    follows: Arc<Semaphore>,
    stop: CancellationToken,
}

pub(crate) fn router<N: Node>(
    node: Arc<N>,
    registry: Arc<Registry>,
    metrics: Metrics,
    limits: Limits,
    stop: CancellationToken,
) -> Router {
    let shared = Arc::new(Shared {
        node,
        registry,
        metrics,
        limits,
        requests: Semaphore::new(limits.requests_max),
        uploads: Arc::new(Semaphore::new(limits.uploads_max)),
        follows: Arc::new(Semaphore::new(limits.follows_max)),
        stop,
    });
    // Answered under any load: these say that there is load.
    let health = Router::new()
        .route("/livez", get(status::livez))
        .route("/readyz", get(status::readyz::<N>))
        .route("/metrics", get(status::metrics::<N>));
    // Has limits of its own: bytes and stalls, not the time to an answer.
    let uploads =
        Router::new().route("/v1/blobs", put(blobs::upload::<N>).post(blobs::upload::<N>));
    let answered = Router::new()
        .route("/v1/node", get(status::node::<N>))
        .route("/v1/attestation/identity", get(attestation::identity::<N>))
        .route("/v1/attestation/quote", post(attestation::quote::<N>))
        .route("/v1/blobs/{cid}", get(blobs::download::<N>))
        .route("/v1/messages", post(messages::submit::<N>))
        .route("/v1/messages/{item_hash}", get(messages::show::<N>))
        .route("/v1/instances", get(instances::list::<N>))
        .route("/v1/instances/{job}", get(instances::show::<N>))
        .route("/v1/instances/{job}/logs", get(instances::logs::<N>))
        .layer(DefaultBodyLimit::max(ENVELOPE_BYTES_MAX))
        .layer(middleware::from_fn_with_state(shared.clone(), admit::<N>));
    health
        .merge(uploads)
        .merge(answered)
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::unknown_method)
        .layer(middleware::from_fn_with_state(shared.clone(), observe::<N>))
        .with_state(shared)
}

/// Refuses at once what is too much, and gives up what takes too long.
async fn admit<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_place) = shared.requests.try_acquire() else {
        return shared.shed("requests");
    };
    match timeout(shared.limits.answer_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => problem::late(),
    }
}

/// Counts and times every answer.
async fn observe<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => "unknown".to_owned(),
    };
    let method = match *request.method() {
        Method::GET | Method::HEAD | Method::POST | Method::PUT => request.method().to_string(),
        _ => "other".to_owned(),
    };
    let response = next.run(request).await;

    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    tracing::debug!(route, method, status, elapsed_ms = elapsed.as_millis() as u64, "answered");
    let timed = RouteLabels { route: route.clone() };
    let seconds = shared.metrics.api_request_seconds.get_or_create_owned(&timed);
    seconds.observe(elapsed.as_secs_f64());
    let counted = RequestLabels { route, method, status };
    shared.metrics.api_requests.get_or_create_owned(&counted).inc();
    response
}

impl<N> Shared<N> {
    /// The answer to what is one too many.
    fn shed(&self, what: &str) -> Response {
        self.metrics.api_requests_shed.inc();
        let detail = format!("the greatest number of {what} is under way");
        Refusal::new(RefusalKind::Busy, detail).into_response()
    }
}

/// A body that must arrive whole, within the size and the time allowed.
struct WholeBody(Bytes);

impl<N: Node> FromRequest<Arc<Shared<N>>> for WholeBody {
    type Rejection = Response;

    async fn from_request(
        request: Request,
        shared: &Arc<Shared<N>>,
    ) -> Result<Self, Self::Rejection> {
        let body = Bytes::from_request(request, shared);
        match timeout(shared.limits.stall_timeout, body).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(rejection::BytesRejection::FailedToBufferBody(
                rejection::FailedToBufferBody::LengthLimitError(_),
            ))) => {
                let detail = "the request's body is larger than this path takes";
                Err(Refusal::new(RefusalKind::TooLarge, detail).into_response())
            }
            Ok(Err(error)) => {
                Err(Refusal::new(RefusalKind::Invalid, error.body_text()).into_response())
            }
            Err(_) => Err(problem::body_late()),
        }
    }
}

/// A name in a path or header.
fn parse<T>(text: &str) -> Result<T, Refusal>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| Refusal::new(RefusalKind::Invalid, error.to_string()))
}
