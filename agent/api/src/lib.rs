//! The node's HTTP interface: one listener, HTTP/1.1 over TLS, JSON in and out.
//!
//! [`Identity`] is the listener's TLS key, made anew at every start; the hash of its public half
//! goes into the node's attestation, which is how a client knows with whom it speaks. [`Server`]
//! accepts connections and answers from a [`Node`], the one port of this crate, which the agent
//! implements.
//!
//! Tasks: the accept loop ([`Server::serve`]) and one task for each connection, all of which end
//! before `serve` returns. Channels: none; a log that is followed is read again every
//! [`FOLLOW_INTERVAL`], so that a slow reader holds no queue.
//!
//! Invariants:
//! - every resource that a client can take has a limit: connections, requests at once, uploads,
//!   followed logs, bytes of a body, and the time of a handshake, of headers, of an answer and of
//!   a stalled read or write; an upload has a least rate;
//! - no client alone takes every connection: a client is an IPv4 address or a /64 of IPv6, loopback
//!   included, so that behind a proxy the limit for one client has to be as high as that for all;
//! - a request over a limit is answered at once (503 with `Retry-After`), never queued; health
//!   and metrics are answered even then;
//! - an upload is read no faster than it is stored;
//! - every error is a problem document (RFC 9457) that says what to do next.
//!
//! What it does not do: it keeps no state of the node, checks no message, knows no database and
//! no TPM, and has no secret but its own key.

#![forbid(unsafe_code)]

mod clients;
mod error;
mod identity;
mod metrics;
mod port;
mod problem;
mod routes;
mod server;
mod stall;

pub use error::ApiError;
pub use identity::Identity;
pub use metrics::Metrics;
pub use port::{BlobFile, BlobReader, LogChunk, Node, Refusal, RefusalKind};
pub use routes::{FOLLOW_INTERVAL, LOG_CHUNK_BYTES_MAX};
pub use server::{Limits, Server};
