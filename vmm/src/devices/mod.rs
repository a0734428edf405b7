//! The devices. Each folder has the same files: `mod.rs` is the device as the bus sees it, `tests`
//! stand at its end, and what decodes guest bytes has a file of its own.

pub(crate) mod bus;
pub mod limit;
pub mod pci;
pub mod power;
pub(crate) mod serial;
pub mod virtio;

/// A message-signalled interrupt: a write of `data` to `address`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MsiMessage {
    /// Where it is written: names the processors.
    pub address: u64,
    /// What is written: names the vector.
    pub data: u32,
}
