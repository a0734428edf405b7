//! Boots machines, chains and whole local networks.
//!
//! The same code serves the black-box cases of `qemu-tests`, `make run` and `aleph devnet`, so
//! that what the tests drive is what users get. Everything is a real part: anvil with our
//! contracts, QEMU with OVMF firmware, swtpm with an endorsement certificate of a local CA.
//!
//! It runs no task and owns no channel: what it starts are processes. A process belongs to the
//! value that started it and ends with it, unless it is detached on purpose (`aleph devnet up`).
//! The kernel ends it with the thread that started it, so that none is left by a test that is
//! killed: start it on a thread that lives as long as it must.
//! Every wait has a time limit on this side; a machine that hangs cannot hang its test.
//!
//! It reaches into a machine by its public interface, its serial ports and QEMU's monitor only.

#![forbid(unsafe_code)]

mod chain;
mod layout;
mod machine;
mod network;
mod process;
mod qmp;
mod serial;
mod tpm;

pub use chain::{Chain, ChainOptions, DEV_ACCOUNTS, DevAccount};
pub use layout::Layout;
pub use machine::{Machine, MachineOptions, Tpm};
pub use network::{LocalNetwork, NetworkOptions, NetworkState};
pub use process::{Detached, wait_until};
pub use serial::DebugConsole;
pub use tpm::{TpmAuthority, TpmState};
