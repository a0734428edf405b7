//! The status page: what a machine says of itself, readable at any time and after its death.
//!
//! A file of [`PAGE_SIZE_BYTES`] bytes, made by the agent ([`create`]) and mapped by the monitor
//! ([`Writer`]): a header of 4 KiB (state, exit, counters, length of the console's output) and a
//! ring with the last MiB of that output. The [`Reader`] only reads the file; it needs nothing of
//! the monitor, and believes nothing of it: a monitor that was broken into can write anything here.

mod reader;
mod writer;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::control::Exit;

pub use reader::{Console, Reader, parse_header};
pub use writer::Writer;

/// Size of the header in front of the console ring.
pub const HEADER_SIZE_BYTES: usize = 4096;
/// How much of the console's output is kept.
pub const CONSOLE_RING_SIZE_BYTES: usize = 1 << 20;
/// Size of a whole status page.
pub const PAGE_SIZE_BYTES: usize = HEADER_SIZE_BYTES + CONSOLE_RING_SIZE_BYTES;
/// Longest reason of an exit; longer ones are cut.
pub const REASON_SIZE_BYTES_MAX: usize = 512;

/// Layout of the header. All numbers are little-endian.
mod layout {
    pub(super) const MAGIC: [u8; 8] = *b"ALEPHVM\0";
    pub(super) const VERSION: u32 = 1;
    pub(super) const MAGIC_OFFSET: usize = 0;
    pub(super) const VERSION_OFFSET: usize = 8;
    pub(super) const STATE_OFFSET: usize = 12;
    pub(super) const EXIT_CODE_OFFSET: usize = 16;
    pub(super) const REASON_SIZE_OFFSET: usize = 20;
    pub(super) const CONSOLE_TOTAL_OFFSET: usize = 24;
    pub(super) const COUNTERS_OFFSET: usize = 64;
    pub(super) const REASON_OFFSET: usize = 1024;

    // The fields do not overlap.
    const _: () = {
        assert!(CONSOLE_TOTAL_OFFSET + 8 <= COUNTERS_OFFSET);
        assert!(COUNTERS_OFFSET + size_of::<super::Counters>() <= REASON_OFFSET);
        assert!(REASON_OFFSET + super::REASON_SIZE_BYTES_MAX <= super::HEADER_SIZE_BYTES);
    };
}

/// What a machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The monitor builds the machine; the guest has not run yet.
    Starting = 0,
    /// The guest runs.
    Running = 1,
    /// The machine has ended, [`Snapshot::exit`] says how.
    Stopped = 2,
}

/// Everything in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What the machine does. A monitor that was killed leaves the last state standing: ask the
    /// kernel whether the process lives.
    pub state: State,
    /// How it ended, once stopped.
    pub exit: Option<ExitReport>,
    /// What the monitor has counted.
    pub counters: Counters,
    /// Bytes the guest has written to its console since the start.
    pub console_bytes: u64,
}

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReport {
    /// The kind of end, the same as the process's exit code.
    pub exit: Exit,
    /// What happened, in words for a person.
    pub reason: String,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What a monitor counts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[$doc])* $variant,)* }

        impl Counter {
            /// Every counter, in the order of the page.
            pub const ALL: [Counter; [$($name),*].len()] = [$(Counter::$variant),*];

            /// Name for metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }
        }
    };
}

counters! {
    /// The guest wrote to a port that user space handles.
    ExitPortWrite => "exit_port_write",
    /// The guest read from such a port.
    ExitPortRead => "exit_port_read",
    /// The guest wrote to device memory that user space handles.
    ExitMmioWrite => "exit_mmio_write",
    /// The guest read such memory.
    ExitMmioRead => "exit_mmio_read",
    /// Any other return of KVM to user space.
    ExitOther => "exit_other",
    /// Block requests that read.
    BlockRead => "block_read",
    /// Block requests that wrote.
    BlockWrite => "block_write",
    /// Block requests that flushed.
    BlockFlush => "block_flush",
    /// Block requests that failed or were refused.
    BlockError => "block_error",
    /// Bytes that block requests read.
    BlockReadBytes => "block_read_bytes",
    /// Bytes that block requests wrote.
    BlockWriteBytes => "block_write_bytes",
    /// Random bytes given.
    EntropyBytes => "entropy_bytes",
    /// Frames the guest received.
    NetReceived => "net_received",
    /// Bytes of those frames.
    NetReceivedBytes => "net_received_bytes",
    /// Frames the guest sent.
    NetSent => "net_sent",
    /// Bytes of those frames.
    NetSentBytes => "net_sent_bytes",
    /// Frames of the guest that the host's network refused.
    NetRefused => "net_refused",
    /// Interrupts sent to the guest.
    Interrupt => "interrupt",
    /// Devices stopped because the guest drove them against their specification.
    DeviceStopped => "device_stopped",
}

/// The values of all counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    /// The value of one counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Names and values, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Counter::ALL.into_iter().map(|counter| (counter.name(), self.get(counter)))
    }
}

/// Makes the file of a status page at `path`, which must not exist. Only the owner may open it.
pub fn create(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("create the status page"))?;
    file.set_len(PAGE_SIZE_BYTES as u64).map_err(Error::io("size the status page"))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_names_are_unique() {
        let mut names: Vec<_> = Counters::default().iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::ALL.len());
    }
}
