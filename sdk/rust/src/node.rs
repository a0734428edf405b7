//! A node's HTTP interface, from the client's side.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aleph_types::{
    Cid, CidHasher, Digest, JobId,
    api::{BlobInfo, InstanceInfo, MessageReceipt, NodeInfo, Problem, Readiness},
    message::Envelope,
    pace::Pace,
    text::in_words,
};
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};
use tokio_util::io::ReaderStream;

use crate::{
    SdkError,
    tls::{self, SeenKey},
};

/// A connection to a node is given up when it takes longer to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// An answer in JSON or evidence is given up when it takes longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// No answer that is held in memory is longer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A node's HTTP interface.
#[derive(Debug, Clone)]
pub struct NodeClient {
    url: String,
    http: reqwest::Client,
    key: SeenKey,
}

/// What a download may take of this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadLimits {
    /// The greatest size.
    pub size_bytes_max: u64,
    /// The least rate; only the time counts in which the node is waited for.
    pub bytes_per_s_min: u32,
    /// How far the blob may be behind that rate.
    pub patience: Duration,
}

impl DownloadLimits {
    /// At most so many bytes, as slowly as a node takes an upload.
    pub fn of_size(size_bytes_max: u64) -> Self {
        Self { size_bytes_max, bytes_per_s_min: 16 << 10, patience: Duration::from_secs(30) }
    }
}

/// A piece of a machine's console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// The bytes, as the machine wrote them.
    pub bytes: Bytes,
    /// Where the next piece begins.
    pub next_offset: u64,
}

impl NodeClient {
    /// A node whose key is not known yet: the first key it shows is the one it must keep showing.
    pub fn new(url: &str) -> Result<Self, SdkError> {
        Self::with_pin(url, None)
    }

    /// A node that must show the key with this SHA-256, as an accepted attestation told it.
    pub fn pinned(url: &str, key_sha256: [u8; 32]) -> Result<Self, SdkError> {
        Self::with_pin(url, Some(key_sha256))
    }

    fn with_pin(url: &str, pin: Option<[u8; 32]>) -> Result<Self, SdkError> {
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("https://") {
            return Err(SdkError::Config(format!("{url:?} is no https:// address of a node")));
        }
        let key = SeenKey::default();
        let tls = tls::client_config(pin, Arc::clone(&key))
            .map_err(|error| SdkError::Config(error.to_string()))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| SdkError::Config(in_words(&error)))?;
        Ok(Self { url, http, key })
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The SHA-256 of the key that the node showed, once it showed one.
    pub fn key_sha256(&self) -> Option<[u8; 32]> {
        self.key.get().copied()
    }

    /// What the node says of itself.
    pub async fn info(&self) -> Result<NodeInfo, SdkError> {
        self.json(self.request(Method::GET, "/v1/node").timeout(ANSWER_TIMEOUT)).await
    }

    /// Whether the node is ready, and each of the conditions.
    pub async fn readiness(&self) -> Result<Readiness, SdkError> {
        let request = self.request(Method::GET, "/readyz?verbose").timeout(ANSWER_TIMEOUT);
        // A node that is not ready says so with status 503 and the same body.
        let response = request.send().await.map_err(|error| self.transport(error))?;
        let body = self.body(response).await?;
        serde_json::from_slice(&body).map_err(|error| self.protocol(error.to_string()))
    }

    /// The node's metrics in Prometheus' text form.
    pub async fn metrics(&self) -> Result<String, SdkError> {
        let response =
            self.send(self.request(Method::GET, "/metrics").timeout(ANSWER_TIMEOUT)).await?;
        let body = self.body(response).await?;
        String::from_utf8(body).map_err(|_| self.protocol("metrics are not UTF-8".into()))
    }

    /// The machines of the node.
    pub async fn instances(&self) -> Result<Vec<InstanceInfo>, SdkError> {
        self.json(self.request(Method::GET, "/v1/instances").timeout(ANSWER_TIMEOUT)).await
    }

    /// One machine of the node.
    pub async fn instance(&self, job: JobId) -> Result<InstanceInfo, SdkError> {
        let path = format!("/v1/instances/{job}");
        self.json(self.request(Method::GET, &path).timeout(ANSWER_TIMEOUT)).await
    }

    /// What a machine wrote to its console, from an offset on.
    pub async fn logs(&self, job: JobId, offset: u64) -> Result<LogChunk, SdkError> {
        let path = format!("/v1/instances/{job}/logs?offset={offset}");
        let request = self.request(Method::GET, &path).timeout(ANSWER_TIMEOUT);
        let response = self.send(request).await?;
        let first = response
            .headers()
            .get("x-aleph-offset")
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
            .unwrap_or(offset);
        let bytes = Bytes::from(self.body(response).await?);
        Ok(LogChunk { next_offset: first.saturating_add(bytes.len() as u64), bytes })
    }

    /// Hands a signed message to the node.
    pub async fn submit(&self, envelope: &Envelope) -> Result<MessageReceipt, SdkError> {
        let request = self.request(Method::POST, "/v1/messages").timeout(ANSWER_TIMEOUT);
        self.json(request.json(envelope)).await
    }

    /// A message that the node knows.
    pub async fn message(&self, item_hash: Digest) -> Result<Envelope, SdkError> {
        let path = format!("/v1/messages/{item_hash}");
        self.json(self.request(Method::GET, &path).timeout(ANSWER_TIMEOUT)).await
    }

    /// Uploads a file; it is read twice, since its name is sent ahead of its bytes.
    pub async fn upload_file(&self, path: &Path) -> Result<BlobInfo, SdkError> {
        let failed = |source| SdkError::File { path: path.to_owned(), source };
        let (cid, size_bytes) = name_file(path).await.map_err(failed)?;
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let body = Body::wrap_stream(ReaderStream::with_capacity(file.take(size_bytes), 1 << 16));
        let request = self
            .request(Method::PUT, "/v1/blobs")
            .header("x-aleph-cid", cid.to_string())
            .header("content-length", size_bytes)
            .body(body);
        let info: BlobInfo = self.json(request).await?;
        if info.cid != cid {
            return Err(SdkError::WrongBlob { wanted: cid, received: info.cid });
        }
        Ok(info)
    }

    /// Downloads a blob into a file, which is complete and verified or does not exist.
    pub async fn download(
        &self,
        cid: Cid,
        path: &Path,
        limits: DownloadLimits,
    ) -> Result<u64, SdkError> {
        let failed = |source| SdkError::File { path: path.to_owned(), source };
        let request = self.request(Method::GET, &format!("/v1/blobs/{cid}"));
        let Ok(response) = timeout(ANSWER_TIMEOUT, self.send(request)).await else {
            let cause = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
            return Err(SdkError::Unreachable { url: self.url.clone(), cause });
        };
        let response = response?;
        let partial = partial(path);
        let file = tokio::fs::File::create(&partial).await.map_err(failed)?;
        let outcome = match self.receive(response, file, path, limits).await {
            Ok((received, _)) if received != cid => {
                Err(SdkError::WrongBlob { wanted: cid, received })
            }
            Ok((_, size_bytes)) => {
                let named = tokio::fs::rename(&partial, path).await;
                named.map(|()| size_bytes).map_err(failed)
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // What went wrong before matters more than what is left of it.
            let _ = tokio::fs::remove_file(&partial).await;
        }
        outcome
    }

    /// The name and size of what came; all of it is on the disk.
    async fn receive(
        &self,
        response: Response,
        mut file: tokio::fs::File,
        path: &Path,
        limits: DownloadLimits,
    ) -> Result<(Cid, u64), SdkError> {
        let failed = |source| SdkError::File { path: path.to_owned(), source };
        let DownloadLimits { size_bytes_max, bytes_per_s_min, patience } = limits;
        let too_large = SdkError::BlobTooLarge { size_bytes_max };
        if response.content_length().is_some_and(|announced| announced > size_bytes_max) {
            return Err(too_large);
        }
        let mut pace = Pace::new(bytes_per_s_min, patience);
        let mut hasher = CidHasher::new();
        let mut size_bytes = 0_u64;
        let mut pieces = response.bytes_stream();
        loop {
            let asked = Instant::now();
            let piece = match timeout(pace.patience(), pieces.next()).await {
                Ok(Some(piece)) => piece.map_err(|error| self.transport(error))?,
                Ok(None) => break,
                Err(_) => {
                    return Err(SdkError::TooSlow { url: self.url.clone(), bytes_per_s_min });
                }
            };
            pace.note(asked.elapsed(), piece.len());
            size_bytes = size_bytes.saturating_add(piece.len() as u64);
            if size_bytes > size_bytes_max {
                return Err(too_large);
            }
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.sync_all().await.map_err(failed)?;
        Ok((hasher.finish(), size_bytes))
    }

    /// The body of an answer to a request with these bytes; for what is not JSON.
    pub(crate) async fn bytes(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, SdkError> {
        let request = self
            .request(method, path)
            .header("content-type", "application/octet-stream")
            .timeout(ANSWER_TIMEOUT)
            .body(body);
        let response = self.send(request).await?;
        self.body(response).await
    }

    pub(crate) fn protocol(&self, what: String) -> SdkError {
        SdkError::Protocol { url: self.url.clone(), what }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, SdkError> {
        let response = self.send(request).await?;
        let body = self.body(response).await?;
        serde_json::from_slice(&body).map_err(|error| self.protocol(error.to_string()))
    }

    /// Sends a request; an answer that is not a success becomes the error it tells.
    async fn send(&self, request: RequestBuilder) -> Result<Response, SdkError> {
        let response = request.send().await.map_err(|error| self.transport(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response).await?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(SdkError::Problem(Box::new(problem))),
            Err(_) => Err(self.protocol(describe(status, &body))),
        }
    }

    async fn body(&self, response: Response) -> Result<Vec<u8>, SdkError> {
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.transport(error))?;
            if body.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
                return Err(self.protocol(format!("more than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn transport(&self, error: reqwest::Error) -> SdkError {
        let cause = in_words(&error);
        if cause.contains(tls::KEY_CHANGED) {
            return SdkError::KeyChanged { url: self.url.clone() };
        }
        SdkError::Unreachable { url: self.url.clone(), cause }
    }
}

fn describe(status: StatusCode, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    format!("status {status}: {text}")
}

/// The name that a file has until it is complete; no other file's.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// The name and size of a file's bytes.
async fn name_file(path: &Path) -> std::io::Result<(Cid, u64)> {
    let path = path.to_owned();
    let naming = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(path)?;
        let mut hasher = CidHasher::new();
        let mut buffer = vec![0; 1 << 20];
        let mut size_bytes = 0_u64;
        loop {
            let count = std::io::Read::read(&mut file, &mut buffer)?;
            if count == 0 {
                return Ok((hasher.finish(), size_bytes));
            }
            hasher.update(&buffer[..count]);
            size_bytes += count as u64;
        }
    });
    naming.await.map_err(std::io::Error::other)?
}
