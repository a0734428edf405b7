use std::{sync::Arc, time::Duration};

use aleph_types::{JobId, api::InstanceInfo};
use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

use super::{Shared, parse};
use crate::{LogChunk, Node, Refusal, RefusalKind};

/// How often a followed log is looked at for more.
pub const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// No piece of a log is longer: what the monitor keeps of a console.
pub const LOG_CHUNK_BYTES_MAX: usize = 1 << 20;

pub(super) async fn list<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
) -> Result<Json<Vec<InstanceInfo>>, Refusal> {
    shared.node.instances().await.map(Json)
}

pub(super) async fn show<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    Path(job): Path<String>,
) -> Result<Json<InstanceInfo>, Refusal> {
    shared.node.instance(parse(&job)?).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    follow: Option<String>,
}

/// What a machine's console printed. With `follow`, the answer goes on until the machine ends.
pub(super) async fn logs<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    Path(job): Path<String>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let job: JobId = parse(&job)?;
    let Query(query) = query.map_err(|error| {
        Refusal::new(RefusalKind::Invalid, error.body_text())
            .next("the query knows offset=BYTES and follow=true")
    })?;
    let follow = match query.follow.as_deref() {
        None | Some("false" | "0") => false,
        Some("" | "true" | "1") => true,
        Some(_) => {
            return Err(Refusal::new(RefusalKind::Invalid, "follow is neither true nor false"));
        }
    };
    let first = shared.node.log(job, query.offset).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::HeaderName::from_static(OFFSET_HEADER), first.offset.to_string()),
    ];
    if !follow {
        return Ok((headers, first.bytes).into_response());
    }
    let Ok(place) = shared.follows.clone().try_acquire_owned() else {
        return Ok(shared.shed("followed logs"));
    };
    shared.metrics.api_logs_followed.inc();
    let follower = Follower { shared, job, next: Some(first), _place: place };
    Ok((headers, Body::from_stream(follower.into_stream())).into_response())
}

/// Reads a log as fast as its client takes it.
struct Follower<N: Node> {
    shared: Arc<Shared<N>>,
    job: JobId,
    /// Read and not yet sent; nothing once the log has ended.
    next: Option<LogChunk>,
    _place: OwnedSemaphorePermit,
}

impl<N: Node> Follower<N> {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
        stream::unfold(self, |mut follower| async move {
            let bytes = follower.wait_for_more().await?;
            Some((Ok(bytes), follower))
        })
    }

    /// The next bytes; nothing when the machine has ended or is gone, or the server stops.
    async fn wait_for_more(&mut self) -> Option<Bytes> {
        loop {
            let LogChunk { offset, bytes, ended } = self.next.take()?;
            let next_offset = offset + bytes.len() as u64;
            // Even an ended log may have more than one piece left.
            if !(ended && bytes.is_empty()) {
                if bytes.is_empty() {
                    self.shared.stop.run_until_cancelled(sleep(FOLLOW_INTERVAL)).await?;
                }
                self.next = self.shared.node.log(self.job, next_offset).await.ok();
            }
            if !bytes.is_empty() {
                return Some(bytes.into());
            }
        }
    }
}

impl<N: Node> Drop for Follower<N> {
    fn drop(&mut self) {
        self.shared.metrics.api_logs_followed.dec();
    }
}

/// How many bytes were printed before the first of the answer.
const OFFSET_HEADER: &str = "x-aleph-offset";
