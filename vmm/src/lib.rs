//! The KVM monitor: one process that runs one virtual machine.
//!
//! The process gets every file it may use as an inherited descriptor and never opens a path
//! (`/dev/kvm` apart). [`control`] is the protocol to start and command it, [`status`] the page in
//! which its console and its end can be read at any time, also after its death. Both are always
//! compiled; the machine itself is behind the feature `monitor`, so that the agent links the
//! protocol only.
//!
//! Threads: the main thread answers the control socket and decides the end; one thread per vCPU
//! runs the guest; one thread per device serves its queues. No asynchronous run time, no channel: the
//! threads share devices behind mutexes and wake each other with event descriptors.
//!
//! Invariants: nothing a guest writes (register, descriptor, table) makes the process panic, reach
//! memory outside the guest or wait for ever; a device that is driven against its specification
//! stops and says so; each way for the machine to end has its own exit code ([`control::Exit`]).
//!
//! Of [`devices`], the decoders of what guests write are public, for fuzzing; nobody else needs
//! them.
//!
//! Devices: disks, network cards on taps, random bytes, a serial console, a power button. Disks
//! and cards can be held to rate limits, which [`control::Request::SetLimit`] changes.
//!
//! Before the guest's first instruction the process gives up what it no longer needs: capabilities,
//! file systems, networks, and in each thread the system calls that are not in its table.
//!
//! What it does not do: snapshots, namespaces of its own, and any knowledge of jobs.

#![deny(unsafe_code)]

pub mod control;
mod error;
pub mod status;

#[cfg(feature = "monitor")]
mod arch;
#[cfg(feature = "monitor")]
mod confine;
#[cfg(feature = "monitor")]
pub mod devices;
#[cfg(feature = "monitor")]
mod end;
#[cfg(feature = "monitor")]
mod event;
#[cfg(feature = "monitor")]
pub mod machine;
#[cfg(feature = "monitor")]
pub mod memory;
#[cfg(feature = "monitor")]
mod report;
#[cfg(feature = "monitor")]
mod server;
#[cfg(feature = "monitor")]
mod vcpu;

pub use error::Error;
