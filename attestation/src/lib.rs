//! TPM 2.0 evidence: produced by a node (feature `tpm`), verified anywhere.
//!
//! A verifier fetches a node's [`evidence::IdentityDocument`], makes an [`evidence::Challenge`]
//! for it, gets [`evidence::Evidence`] back, and asks [`verify::verify`] for a
//! [`verdict::Verdict`] against a [`release::ReleaseManifest`] and trusted [`roots::Roots`]. The
//! node's half is [`tpm`]. What the PCRs of an image will be, [`predict`] tells its builder. What a
//! contract is shown instead, which reads no event log, is in [`chain`].
//!
//! It runs no task and owns no channel.
//!
//! Invariants: verification does no I/O and reads neither a clock nor a random source; every byte
//! that comes from a node is size-checked before it is decoded and refused when anything follows
//! it; one quote covers the verifier's nonce and secret, the TLS channel and every byte of the
//! evidence; an event's type is believed only where [`eventlog::rules`] leaves it no choice; a
//! refusal names its check and, where a PCR differs from the release, the event behind it.
//!
//! It does not talk over a network, decide which roots or releases to trust, keep state between
//! two attestations, or seal anything to PCRs.
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod bytes;
pub mod certificate;
pub mod chain;
pub mod credential;
pub mod digest;
pub mod error;
pub mod eventlog;
pub mod evidence;
pub mod fuzz;
pub mod predict;
pub mod release;
pub mod roots;
pub mod structures;
mod text;
#[cfg(feature = "tpm")]
pub mod tpm;
pub mod verdict;
pub mod verify;

pub use aleph_types::{Digest, NodeId};
pub use chain::{ChainQuote, RegistryChallenge};
pub use error::Error;
pub use evidence::{Challenge, Evidence, IdentityDocument, QuoteRequest, Transcript};
pub use release::ReleaseManifest;
pub use roots::Roots;
#[cfg(feature = "tpm")]
pub use tpm::Tpm;
pub use verdict::Verdict;
pub use verify::{verify, verify_encoded};
