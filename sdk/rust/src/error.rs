//! What can go wrong between a client and its network.

use std::path::PathBuf;

use aleph_types::{Cid, JobId, NodeId, api::Problem, wire::WireError};

/// Why a call failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SdkError {
    /// The configuration cannot be used.
    #[error("configuration: {0}")]
    Config(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The private key is none.
    #[error("not a private key; expected 64 hexadecimal digits")]
    PrivateKey,
    /// The node cannot be reached.
    #[error("{url}: no answer; check the address, and that the node is up: {cause}")]
    Unreachable {
        /// The node's address.
        url: String,
        /// The chain of causes in words.
        cause: String,
    },
    /// The node showed another key than the one it was attested with.
    #[error(
        "{url}: shows another TLS key than the attested one; it was restarted or replaced: \
         run `aleph node attest {url}` again before trusting it"
    )]
    KeyChanged {
        /// The node's address.
        url: String,
    },
    /// Another node answers than the one that was trusted.
    #[error(
        "{url}: is node {shown}, not {wanted}, which was trusted: find out why; if it was replaced \
         on purpose, name the new one by `aleph node attest {url} --pin --node-id {shown}`"
    )]
    OtherNode {
        /// The node's address.
        url: String,
        /// The node that was trusted.
        wanted: NodeId,
        /// The node that answers.
        shown: NodeId,
    },
    /// The node refused.
    #[error("{}: {}{}", .0.title, .0.detail, next_of(.0))]
    Problem(Box<Problem>),
    /// The node answered something that the protocol does not know.
    #[error("{url}: unexpected answer: {what}; the node may speak another version")]
    Protocol {
        /// What was asked.
        url: String,
        /// What came.
        what: String,
    },
    /// Evidence or another binary value cannot be read.
    #[error("malformed {what}")]
    Wire {
        /// The kind of value.
        what: &'static str,
        /// Why.
        #[source]
        source: WireError,
    },
    /// The node's evidence cannot be used to ask it for more.
    #[error("attestation: {0}")]
    Attestation(String),
    /// The blob that came back is not the one that was asked for.
    #[error("the blob received is {received}, not {wanted}; ask another node")]
    WrongBlob {
        /// What was asked for.
        wanted: Cid,
        /// What came.
        received: Cid,
    },
    /// The blob is larger than was asked for.
    #[error("the blob has more than {size_bytes_max} bytes; ask for a larger limit")]
    BlobTooLarge {
        /// The limit.
        size_bytes_max: u64,
    },
    /// The blob comes too slowly to be waited for.
    #[error(
        "{url}: sends a blob more slowly than {bytes_per_s_min} bytes a second; ask another node"
    )]
    TooSlow {
        /// The node's address.
        url: String,
        /// The least rate.
        bytes_per_s_min: u32,
    },
    /// The chain cannot be reached or refused.
    #[error("chain: {0}")]
    Chain(String),
    /// There is no such job.
    #[error("job {0} does not exist")]
    NoSuchJob(JobId),
    /// A stated request makes no sense.
    #[error("{0}")]
    Invalid(String),
}

fn next_of(problem: &Problem) -> String {
    problem.next.as_ref().map(|next| format!(" — {next}")).unwrap_or_default()
}
