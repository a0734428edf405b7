//! What this crate needs of the agent, in its own words.

use std::{fs::File, pin::Pin};

use aleph_types::{
    Cid, Digest, JobId,
    api::{BlobInfo, InstanceInfo, MessageReceipt, NodeInfo, Readiness},
};
use bytes::Bytes;
use tokio::io::AsyncRead;

/// The bytes of an upload. Reading gives back-pressure to the sender.
pub type BlobReader = Pin<Box<dyn AsyncRead + Send>>;

/// The node behind the interface. Everything answers from what is known; what takes long is
/// given up by the caller after [`Limits::answer_timeout`](crate::Limits).
pub trait Node: Send + Sync + 'static {
    /// Which conditions of readiness hold.
    fn readiness(&self) -> Readiness;

    /// What the node says of itself.
    fn info(&self) -> impl Future<Output = Result<NodeInfo, Refusal>> + Send;

    /// The identity document of the node's TPM, in wire form.
    fn attestation_identity(&self) -> impl Future<Output = Result<Bytes, Refusal>> + Send;

    /// Evidence for a quote request, both in wire form.
    fn quote(&self, request: Bytes) -> impl Future<Output = Result<Bytes, Refusal>> + Send;

    /// Stores a blob, durable when this returns.
    fn put_blob(
        &self,
        expected: Option<Cid>,
        body: BlobReader,
    ) -> impl Future<Output = Result<BlobInfo, Refusal>> + Send;

    /// Opens a blob whose bytes were compared with its name.
    fn open_blob(&self, cid: Cid) -> impl Future<Output = Result<BlobFile, Refusal>> + Send;

    /// Checks and keeps a message, durable when this returns.
    fn put_message(
        &self,
        envelope: Bytes,
    ) -> impl Future<Output = Result<MessageReceipt, Refusal>> + Send;

    /// A message's envelope, byte for byte as received.
    fn message(&self, item_hash: Digest) -> impl Future<Output = Result<Bytes, Refusal>> + Send;

    /// Every machine of this node: those of its jobs, then those that have ended and are still
    /// remembered.
    fn instances(&self) -> impl Future<Output = Result<Vec<InstanceInfo>, Refusal>> + Send;

    /// One machine of this node.
    fn instance(&self, job: JobId) -> impl Future<Output = Result<InstanceInfo, Refusal>> + Send;

    /// What a machine's console printed from this offset on, as far as it is kept, at most
    /// [`LOG_CHUNK_BYTES_MAX`](crate::LOG_CHUNK_BYTES_MAX) bytes.
    fn log(
        &self,
        job: JobId,
        offset: u64,
    ) -> impl Future<Output = Result<LogChunk, Refusal>> + Send;
}

/// A blob that is ready to be read.
#[derive(Debug)]
pub struct BlobFile {
    /// At its first byte.
    pub file: File,
    /// How many bytes it has.
    pub size_bytes: u64,
}

/// A piece of a machine's console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// How many bytes were printed before the first of these; more than asked for where older
    /// ones are no longer kept.
    pub offset: u64,
    /// What was printed.
    pub bytes: Vec<u8>,
    /// Nothing follows, for the machine has ended.
    pub ended: bool,
}

/// Why the node does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind, which decides the status.
    pub kind: RefusalKind,
    /// What happened.
    pub detail: String,
    /// What to do next, where the kind does not say it already.
    pub next: Option<String>,
}

impl Refusal {
    /// A refusal with this detail.
    pub fn new(kind: RefusalKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), next: None }
    }

    /// Adds what to do next.
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// Too much is under way; the same request will pass later.
    Busy,
    /// What was sent contradicts itself or what was announced.
    Conflict,
    /// The node failed.
    Internal,
    /// What was sent breaks a rule.
    Invalid,
    /// There is no such thing here.
    NotFound,
    /// The data disk is full.
    StorageFull,
    /// What was sent is larger than allowed.
    TooLarge,
    /// Something that the request needs is missing on this node.
    Unavailable,
}
