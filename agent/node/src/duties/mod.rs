//! What the agent does by itself, as long as it runs.

pub(crate) mod collector;
pub(crate) mod coordinator;
pub(crate) mod jobs;
pub(crate) mod registration;
pub(crate) mod reports;
pub(crate) mod watch;
