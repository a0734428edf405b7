use std::{collections::BTreeMap, fmt};

use aleph_types::{JobId, JobSpec};

/// All machines, as everyone may see them.
pub type VmViews = BTreeMap<JobId, VmView>;

/// A machine as its supervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmView {
    /// What it is.
    pub spec: JobSpec,
    /// What it does.
    pub state: VmState,
    /// How often in a row it failed, or could not be started.
    pub failures: u32,
    /// The process of its monitor, if there is one.
    pub pid: Option<u32>,
}

/// What a machine does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmState {
    /// Its image is fetched and its disk made, or it waits to be tried again.
    Preparing {
        /// What is waited for, in words.
        detail: String,
    },
    /// Its monitor was started.
    Starting,
    /// Its processors run.
    Running,
    /// It was asked to end.
    Stopping,
    /// It ended as wished.
    Stopped {
        /// How, in words.
        exit: String,
    },
    /// It ended otherwise, and is not tried again.
    Failed {
        /// Why, in words.
        reason: String,
    },
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preparing { detail } => write!(f, "preparing: {detail}"),
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::Stopping => f.write_str("stopping"),
            Self::Stopped { exit } => write!(f, "stopped: {exit}"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
}
