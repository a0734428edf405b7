//! Proofs that bytes are stored.
//!
//! A node commits on the chain to the root of a tree of hashes over the bytes that it stores, and
//! anyone may then challenge it to show some of their leaves. This crate cuts bytes into leaves and
//! builds the tree as they pass by ([`Builder`]), keeps the part of it that a proof needs
//! ([`Outline`]), says which leaves a challenge asks for ([`Challenge`]), and makes and checks the
//! answer ([`prove`], [`verify`]). It does what the contracts' library `StorageProof` does, to the
//! byte; `contracts/test/fixtures/storage-proofs.json` holds both to it.
//!
//! # The tree
//!
//! Bytes are cut into leaves of [`LEAF_BYTES`]; the last one may be shorter. With SHA-256:
//!
//! ```text
//! leaf     SHA-256(0x00 ‖ bytes)
//! node     SHA-256(0x01 ‖ left ‖ right)
//! ```
//!
//! A node without a right neighbour moves up one level as it is. The first byte keeps leaves and
//! nodes apart.
//!
//! # The proof
//!
//! For each position of the challenge: the leaf's bytes, then the neighbours on the way up. How
//! long each part is follows from the size of the bytes and the position, so that a proof has no
//! lengths in it, and there is one proof only.
//!
//! # Invariants
//!
//! It runs no task and owns no channel; it does no I/O and reads no clock and no random source:
//! whoever asks for a proof says how bytes are read. It never panics, whatever the bytes. A proof
//! that [`prove`] returns is one that [`verify`] accepts: bytes that changed since the tree was
//! built are an error. It does not know where bytes and outlines are kept, nor how the chain is
//! spoken to.

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

mod challenge;
mod hash;
mod outline;
mod proof;
mod shape;

pub use challenge::Challenge;
pub use outline::{Builder, Outline, OutlineError};
pub use proof::{ProveError, VerifyError, prove, verify};
pub use shape::{Shape, SizeError};

/// A leaf's bytes; docs/adr/0009 says why so many.
pub const LEAF_BYTES: usize = 512;

/// The most leaves that one proof shows.
pub const POSITIONS_MAX: u8 = 20;

/// The most bytes under one root, 1 PiB.
pub const SIZE_BYTES_MAX: u64 = 1 << 50;

/// The leaves under one hash of an [`Outline`]: 4 MiB of bytes, read again for a leaf among them.
pub const SUBTREE_LEAVES: usize = 1 << SUBTREE_LEVELS;

/// How far above the leaves an [`Outline`] lies.
const SUBTREE_LEVELS: u32 = 13;
