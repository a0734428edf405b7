//! Builds the appliance image, its release manifest, and what customers' machines start from.
//!
//! The product is one unified kernel image: systemd's EFI stub, Debian's signed kernel, a command
//! line, and an initramfs that holds PID 1 and an EROFS file system with everything else. Around
//! it come the disk that a provider writes, the manifest by which a verifier knows the machine
//! (hashes, sizes, predicted PCRs, every executable), and the bill of materials.
//!
//! The crate runs no tasks and owns no channels: it is a pipeline of steps, each from files to
//! files, in the order of [`appliance::build`].
//!
//! Invariants:
//! - The same inputs give the same bytes. Times, identifiers, owners and orders are fixed; nothing
//!   of the build machine but the versions of its Debian packages reaches the image.
//! - Nothing is mounted and no loop device is used.
//! - The image holds no executable that the manifest does not list, and no shell.
//! - Heavy inputs live in the [`Cache`], in folders named by the hash of what they are made from.
//!
//! It does not compile our programs, sign anything, or know how PCRs are extended: predictions
//! are [`aleph_attestation::predict`]'s, applied to the sections that [`uki`] finds.
#![forbid(unsafe_code)]

pub mod appliance;
mod cache;
mod cpio;
mod disk;
mod elf;
mod error;
pub mod guest_kernel;
mod hash;
pub mod kernel;
mod modules;
pub mod rootfs;
mod sbom;
mod tool;
mod tree;
pub mod uki;

pub use cache::Cache;
pub use error::{Error, Result};

/// Where the crate's description files are.
const CRATE_DIR: &str = env!("CARGO_MANIFEST_DIR");
