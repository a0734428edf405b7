//! What can go wrong in PID 1, and what to do about it.

use std::io;

use thiserror::Error;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure that PID 1 reports. Only [`Error::Root`] ends the boot: all others degrade.
#[derive(Debug, Error)]
pub enum Error {
    /// The seed configuration's `[machine]` table is wrong.
    #[error("configuration: {reason}")]
    Config {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The seed file is there but cannot be used.
    #[error("the configuration at {place} is larger than {size_bytes_max} bytes; shorten it")]
    SeedTooLarge {
        /// Where it was found.
        place: String,
        /// The limit.
        size_bytes_max: u64,
    },
    /// The image builder's module table is wrong: the image is broken.
    #[error("module table: {reason}; the image is broken, build it anew")]
    ModuleTable {
        /// What is wrong.
        reason: String,
    },
    /// A system call failed.
    #[error("{action}: {source}")]
    System {
        /// What was tried, in words.
        action: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The root file system cannot be mounted: there is nothing to start.
    #[error("the root image cannot be mounted: {reason}; flash a good image")]
    Root {
        /// What the kernel said to each way that was tried.
        reason: String,
    },
    /// The partition table cannot be read or written.
    #[error("partition table of {disk}: {reason}")]
    PartitionTable {
        /// The device.
        disk: String,
        /// What is wrong and what would help.
        reason: String,
    },
    /// There is no data partition to use, or more than one.
    #[error("data partition: {reason}")]
    DataPartition {
        /// What was found and what would help.
        reason: String,
    },
    /// A helper program failed.
    #[error("{program} failed ({status}): {output}")]
    Program {
        /// Its path.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The kernel refused a network setting.
    #[error("network: {action}: {source}")]
    Network {
        /// What was tried.
        action: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// Adds what was tried to the kernel's bare error number.
pub trait Context<T> {
    /// `action` reads like "mount /data".
    fn while_trying(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn while_trying(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::System { action: action(), source: source.into() })
    }
}
