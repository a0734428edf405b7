//! The real program on this machine: no KVM, a TPM and a chain only where a test starts them.

mod attestation;
mod chain;
mod command_line;
mod degraded;
mod durability;
mod harness;
mod network;
