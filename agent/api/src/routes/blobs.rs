use std::{io, sync::Arc, time::Duration};

use aleph_types::{Cid, pace::Pace};
use axum::{
    Json,
    body::{Body, BodyDataStream},
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use tokio_util::io::{ReaderStream, StreamReader};

use super::{Shared, parse};
use crate::{Limits, Node, Refusal, RefusalKind};

/// Stores the body as a blob. It is read as fast as the disk takes it.
pub(super) async fn upload<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = Incoming(Some(body.into_data_stream()));
    let Ok(_place) = shared.uploads.try_acquire() else { return shared.shed("uploads") };
    match store(&shared, &headers, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn store<N: Node>(
    shared: &Shared<N>,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response, Refusal> {
    let expected = match headers.get(CID_HEADER) {
        Some(value) => Some(parse::<Cid>(&String::from_utf8_lossy(value.as_bytes()))?),
        None => None,
    };
    // What announces itself as too large is refused before its first byte.
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced: Option<u64> = announced.and_then(|value| value.parse().ok());
    let limit = shared.limits.blob_size_bytes_max;
    if announced.is_some_and(|size_bytes| size_bytes > limit) {
        let detail = format!("a blob has at most {limit} bytes");
        return Err(Refusal::new(RefusalKind::TooLarge, detail));
    }
    let Limits { upload_bytes_per_s_min, stall_timeout, .. } = shared.limits;
    let pace = Pace::new(upload_bytes_per_s_min, stall_timeout);
    let pieces = unless_slow(body, pace);
    let info = shared.node.put_blob(expected, Box::pin(StreamReader::new(pieces))).await?;
    shared.metrics.api_upload_bytes.inc_by(info.size_bytes);
    Ok(Json(info).into_response())
}

/// A body on its way in. What nobody has read of it when it is dropped is still taken for a while,
/// and thrown away: a connection that is closed on a client that sends takes the refusal along
/// which the client has not read yet.
struct Incoming(Option<BodyDataStream>);

impl Drop for Incoming {
    fn drop(&mut self) {
        if let (Some(mut body), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            // Ends with its connection, at the latest.
            runtime.spawn(timeout(LINGER_TIMEOUT, async move {
                while let Some(Ok(_)) = body.next().await {}
            }));
        }
    }
}

/// The pieces of a body, until it ends or falls too far behind.
fn unless_slow(body: Incoming, pace: Pace) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some((body, pace)), move |state| async move {
        let (mut body, mut pace) = state?;
        let asked = Instant::now();
        let pieces = body.0.as_mut()?;
        match timeout(pace.patience(), pieces.next()).await {
            Ok(Some(Ok(piece))) => {
                pace.note(asked.elapsed(), piece.len());
                Some((Ok(piece), Some((body, pace))))
            }
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => {
                let words =
                    format!("they came more slowly than {} a second", pace.bytes_per_s_min());
                Some((Err(io::Error::new(io::ErrorKind::TimedOut, words)), None))
            }
        }
    })
}

pub(super) async fn download<N: Node>(
    State(shared): State<Arc<Shared<N>>>,
    Path(cid): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let cid: Cid = parse(&cid)?;
    let blob = shared.node.open_blob(cid).await?;
    let sent_bytes = shared.metrics.api_download_bytes.clone();
    let file = tokio::fs::File::from_std(blob.file);
    let pieces = ReaderStream::with_capacity(file, PIECE_BYTES).inspect_ok(move |piece| {
        sent_bytes.inc_by(piece.len() as u64);
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, blob.size_bytes.to_string()),
        // A name is a hash: what it names never changes.
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::ETAG, format!("\"{cid}\"")),
    ];
    Ok((headers, Body::from_stream(pieces)))
}

/// The CID that the bytes must have.
const CID_HEADER: &str = "x-aleph-cid";
/// Large enough that a gigabyte is not read in a million turns.
const PIECE_BYTES: usize = 256 * 1024;
/// How long a client that was refused has to read why.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
