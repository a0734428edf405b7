use std::{collections::BTreeMap, error::Error, fs::File, future::Future};

use aleph_types::{Cid, JobId, JobSpec};

/// What ought to run here: the machines of all jobs that this node has, and no others.
///
/// A machine that is left out is stopped and everything of it is deleted, its disk included; only
/// how it ended and its console are kept for a while.
pub type DesiredVms = BTreeMap<JobId, DesiredVm>;

/// One machine that this node ought to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredVm {
    /// What it is.
    pub spec: JobSpec,
    /// Whether it runs. One that does not keeps its disk, its status and its console.
    pub power: Power,
}

/// Whether a machine is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It is to run, until it ends by itself.
    On,
    /// It is not to run.
    Off,
}

/// Where images come from.
pub trait Images: Send + Sync + 'static {
    /// Opens an image for reading. The caller relies on its bytes having been compared with
    /// its name.
    fn open(&self, cid: Cid) -> impl Future<Output = Result<File, ImageError>> + Send;
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Trying again does not help: it is unknown, or damaged.
    #[error(transparent)]
    Unusable(Box<dyn Error + Send + Sync>),
    /// Trying again may help.
    #[error(transparent)]
    Unavailable(Box<dyn Error + Send + Sync>),
}

/// Who wants to know what becomes of machines.
pub trait Reports: Send + Sync + 'static {
    /// Takes note of what became of a machine.
    ///
    /// The last report on each machine is repeated now and then, and after a restart of the
    /// agent: what has been noted before must do nothing. So a report that could not be noted
    /// needs no answer.
    fn report(&self, job: JobId, event: VmEvent) -> impl Future<Output = ()> + Send;
}

/// What became of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmEvent {
    /// Its processors run.
    Started,
    /// It ended as wished, by its guest or by whoever desired so.
    Stopped {
        /// How, in words.
        exit: String,
    },
    /// It could not be started, or ended too often; it is not tried again.
    Failed {
        /// Why, in words.
        reason: String,
    },
}
