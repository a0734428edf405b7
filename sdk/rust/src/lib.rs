//! Client of an aleph-node network: talks to nodes over attested TLS and to the chain.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use aleph_sdk::{AlephClient, ClientConfig, EthAccount, InstanceSpec};
//!
//! let config = ClientConfig::read("aleph.json".as_ref())?;
//! let client = AlephClient::new(config)?;
//! let auth = client.with_account(EthAccount::from_private_key(&std::env::var("ALEPH_KEY")?)?);
//! let rootfs = auth.upload_file("debian-12.img".as_ref()).await?;
//! let job = auth
//!     .create_instance(InstanceSpec { rootfs, vcpus: 1, memory_mb: 256, ..Default::default() })
//!     .await?;
//! println!("job {job}");
//! # Ok(())
//! # }
//! ```
//!
//! It runs no task of its own and owns no channel. A node's certificate is never trusted by its
//! name: either the caller pins the key that an accepted attestation was bound to
//! ([`NodeClient::pinned`]), or what is sent and received must be checked in itself, as blobs and
//! signed messages are.
//!
//! It does not keep keys: an account is handed in and dropped with the client.

#![forbid(unsafe_code)]

mod account;
mod attest;
mod chain;
mod client;
mod config;
mod error;
mod instance;
mod node;
mod tls;

pub use account::EthAccount;
pub use aleph_contracts::NodeStatus;
pub use alloy::primitives::U256;
pub use attest::{Attested, attest};
pub use chain::{ChainReader, NodeOnChain, format_amount, parse_amount};
pub use client::{AlephClient, AuthenticatedClient};
pub use config::ClientConfig;
pub use error::SdkError;
pub use instance::{InstanceSpec, instance_envelope};
pub use node::{DownloadLimits, LogChunk, NodeClient};
