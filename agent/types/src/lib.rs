//! Identifiers, amounts, messages and wire formats that every part of aleph-node agrees on.
//!
//! It runs no task and owns no channel.
//!
//! Invariants: a value of a type of this crate is valid (what comes from outside is parsed, not
//! checked later); nothing here does I/O, reads a clock or a random source; every encoded value
//! has a version and a greatest size, both checked before anything is decoded.
//!
//! It does not know how values are stored, sent or signed with a private key.

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

pub mod api;
pub mod cid;
pub mod id;
pub mod job;
pub mod message;
pub mod pace;
pub mod signature;
pub mod text;
pub mod wire;

pub use cid::{Cid, CidHasher};
pub use id::{Address, Digest, JobId, NodeId, ParseIdError};
pub use job::{JobSpec, JobStatus, Resources};
