//! The chain's part of the node against a real chain: anvil with the real contracts.

mod harness;
mod outbox;
mod watcher;
