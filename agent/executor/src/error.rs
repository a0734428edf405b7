use std::{
    io,
    path::{Path, PathBuf},
};

use aleph_types::{JobId, Resources};

use crate::{Capacity, ImageError};

/// Why the executor could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// A job asks for more than the node has.
    #[error(
        "the job asks for {wanted}; this node has {} vCPU, {} MiB memory (some of it for the \
         monitor) and {} MiB disk for machines in all: ask for less, or choose a larger node",
        capacity.vcpus, capacity.memory_mib, capacity.disk_mib
    )]
    TooLarge {
        /// What the job asks for.
        wanted: Resources,
        /// What the node has.
        capacity: Capacity,
    },
    /// A job asks for more than the other jobs leave.
    #[error(
        "the job asks for {wanted}; other jobs leave {} vCPU, {} MiB memory and {} MiB disk: \
         try again later, or choose another node",
        free.vcpus, free.memory_mib, free.disk_mib
    )]
    NoRoom {
        /// What the job asks for.
        wanted: Resources,
        /// What is left.
        free: Capacity,
    },
    /// A job asks for what no monitor can run.
    #[error("the job's machine cannot be built: correct its resources")]
    Machine(#[source] aleph_vmm::Error),
    /// The image cannot be had.
    #[error("the image cannot be used")]
    Image(#[source] ImageError),
    /// The image is larger than the disk that the job asks for.
    #[error("the image has {image_mib} MiB, the job's disk {disk_mib} MiB: ask for a larger disk")]
    DiskTooSmall {
        /// The image's size, rounded up.
        image_mib: u64,
        /// What the job asks for.
        disk_mib: u64,
    },
    /// The data disk has no room for another machine's disk.
    #[error(
        "the data disk has {available_mib} MiB left, the job's disk needs {disk_mib} MiB: \
         try again later, or choose another node"
    )]
    DiskFull {
        /// What is free.
        available_mib: u64,
        /// What the job asks for.
        disk_mib: u64,
    },
    /// The monitor could not be started.
    #[error("the monitor {} could not be started: check the node's image", program.display())]
    Spawn {
        /// The monitor's executable.
        program: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The monitor did not answer as it should.
    #[error("the monitor did not answer")]
    Monitor(#[source] aleph_vmm::Error),
    /// The monitor refused a request.
    #[error("the monitor refused: {0}")]
    Refused(String),
    /// There is no such machine here.
    #[error("there is no machine of job {job} on this node: look which node the job has")]
    UnknownJob {
        /// The job asked for.
        job: JobId,
    },
    /// The machine was not started, so it has said nothing.
    #[error("the machine of job {job} was not started: its state says what it waits for, or why")]
    NoConsole {
        /// The job asked for.
        job: JobId,
    },
    /// The system refused something.
    #[error("could not {doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// What had been begun is no longer wanted.
    #[error("given up, because it is no longer wanted")]
    Cancelled,
}

impl ExecutorError {
    /// For `map_err`: what was tried with which file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }

    /// Trying again helps as soon as another machine is gone.
    pub(crate) fn is_lack_of_room(&self) -> bool {
        matches!(self, Self::NoRoom { .. } | Self::DiskFull { .. })
    }

    /// Trying again cannot help.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::Machine(_)
                | Self::Image(ImageError::Unusable(_))
                | Self::DiskTooSmall { .. }
        )
    }
}
