//! Rules of the message protocol: which bytes are a signed message, and which message may say
//! what a job runs.
//!
//! A job on the chain names its manifest by a hash. The manifest is a signed INSTANCE message of
//! the Aleph network; [`Manifest::read`] takes its bytes and gives back what they ask for, or the
//! first rule that they break. The steps are public too, for messages of other kinds:
//! [`parse_envelope`], [`verify_item_hash`], [`verify_signature`].
//!
//! It runs no task and owns no channel; every function is pure.
//!
//! Invariants: bytes are measured before they are decoded; the item hash is taken over the
//! content exactly as received, never over a re-serialised one; content with a key that is not
//! understood is refused, for what it asks for would silently not happen; the same bytes give the
//! same answer on every node.
//!
//! What it does not do: look up accounts' permissions, balances or other messages, fetch content
//! that is not in the envelope, or check signatures of chains other than the EVM's.

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

mod envelope;
mod error;
mod manifest;

pub use envelope::{parse_envelope, verify_item_hash, verify_signature};
pub use error::MessageError;
pub use manifest::{DISK_MIB_MAX, MEMORY_MIB_MAX, Manifest, VCPUS_MAX};
