//! Black-box tests of the real image: the walk through everything a node does for a customer, and
//! what the cases in `cases/` share.
//!
//! Machines and chains come from `aleph-devnet`; what a person would type is typed, by running the
//! real `aleph` command line and reading its JSON. A step is done only when evidence of it was
//! seen: on the chain, in a machine's console, in a verdict.
//!
//! It runs no task and owns no channel.

#![forbid(unsafe_code)]

mod cli;
mod walkthrough;

pub use cli::Cli;
pub use walkthrough::{Paths, Step, Walkthrough};
