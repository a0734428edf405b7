//! Evidence from its making to its refusal.

mod boot;
mod certificates;
mod chain;
#[cfg(feature = "tpm")]
mod end_to_end;
mod event_logs;
mod forger;
mod golden;
mod properties;
mod refusals;
#[cfg(feature = "tpm")]
mod swtpm;
