//! The agent: configuration, wiring and supervision of every duty of a node, in one process.
//!
//! [`run_command`] is the whole program; everything below it is wiring. This crate alone knows
//! all the others, and makes them meet through the ports that they declare:
//!
//! | port | is served by |
//! |---|---|
//! | `chain::Journal` | the database |
//! | `executor::Images` | the blobs |
//! | `executor::Reports` | the chain's outbox |
//! | `api::Node` | everything together |
//!
//! Tasks, each of them critical (when one ends unasked, the process ends and says which, and PID 1
//! starts it again): `api`, `chain-watcher`, `chain-outbox`, `chain-heartbeat`, `executor`,
//! `jobs` (chain + messages → what is to run), `registration`, `coordinator`, `collector`,
//! `watch` (readiness, metrics, heartbeats' content). The TPM has a thread of its own.
//!
//! Channels: `watch<Option<DesiredVms>>` from `jobs` to the executor, `watch<Option<Heartbeat>>`
//! from `watch` to the chain, a counter of arrived messages to `jobs`, and a queue of 16 quotes to
//! the TPM's thread. Whatever must not be lost is a row of the database instead.
//!
//! Invariants:
//! - the agent's end is not the machines' end: only a host that goes down takes them along;
//! - stopping goes in phases: not ready, no intake, drain, commit, exit;
//! - nothing is wished of the executor before the chain was read;
//! - what can pass is tried again with pauses; what cannot ends the process with a number that
//!   PID 1 does not restart (78 configuration, 69 something missing for good);
//! - secrets are in no log line.
//!
//! What it does not do: it holds no rule of the protocol, of placement or of evidence.

#![forbid(unsafe_code)]

mod adapters;
mod agent;
mod assembly;
mod cli;
pub mod config;
mod duties;
mod exit;
mod messages;
mod metadata;
mod metrics;
mod operator;
mod readiness;
mod run;
mod stop;
mod tasks;
mod telemetry;
mod tpm;

pub use cli::run_command;
