use std::io;

use crate::control::Exit;

/// What can go wrong in the monitor or when talking to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A control message or configuration is over its size limit.
    #[error("{what} has {size_bytes} bytes, at most {size_bytes_max} are allowed")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The size found.
        size_bytes: usize,
        /// The limit.
        size_bytes_max: usize,
    },
    /// The first byte of a control message is not the version spoken here.
    #[error(
        "control protocol version {found:?} is not {}: use the agent and the monitor of one release",
        crate::control::VERSION
    )]
    Version {
        /// The version byte, or nothing if the message was empty.
        found: Option<u8>,
    },
    /// The bytes are not a message of the expected kind.
    #[error("malformed control message")]
    Encoding(#[source] postcard::Error),
    /// Bytes follow a whole message.
    #[error("{size_bytes} bytes follow the control message")]
    TrailingBytes {
        /// How many.
        size_bytes: usize,
    },
    /// The other side of the control socket closed it or answered with something else.
    #[error("the monitor closed the control connection without an answer")]
    ConnectionClosed,
    /// A machine configuration breaks a rule.
    #[error("machine configuration: {0}")]
    Config(String),
    /// A status page cannot be what it claims to be.
    #[error("status page: {0}")]
    StatusPage(&'static str),
    /// The kernel cannot be booted.
    #[error("the kernel {0}")]
    Kernel(String),
    /// A disk's image cannot be used.
    #[error("the image of {name} cannot be used")]
    Disk {
        /// The disk, as its thread is called.
        name: String,
        /// What is wrong with it.
        #[source]
        reason: io::Error,
    },
    /// The monitor cannot confine itself, and does not run without that.
    #[error("cannot confine itself: {0}")]
    Confinement(String),
    /// This machine cannot run guests.
    #[error("no usable KVM: {0}; load kvm-amd or kvm-intel and check that virtualisation is on")]
    NoKvm(String),
    /// A call to KVM failed.
    #[error("KVM cannot {action}")]
    Kvm {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Guest memory cannot be laid out.
    #[error("guest memory: {0}")]
    Memory(&'static str),
    /// The guest drives a device against its specification.
    #[error("the guest breaks the rules of virtio: {0}")]
    Guest(&'static str),
    /// A system call failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The exit code of a monitor that cannot go on because of this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Error::TooLarge { .. }
            | Error::Version { .. }
            | Error::Encoding(_)
            | Error::TrailingBytes { .. }
            | Error::Config(_) => Exit::BadConfig,
            Error::Kernel(_) | Error::Disk { .. } => Exit::BadImage,
            Error::NoKvm(_) => Exit::NoKvm,
            Error::ConnectionClosed
            | Error::StatusPage(_)
            | Error::Confinement(_)
            | Error::Kvm { .. }
            | Error::Memory(_)
            | Error::Guest(_)
            | Error::Io { .. } => Exit::Internal,
        }
    }

    /// As [`Error::io`], for calls to KVM.
    #[cfg(feature = "monitor")]
    pub(crate) fn kvm<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::Kvm { action, source: source.into() }
    }

    /// Adds what was tried to the error of a system call: `.map_err(Error::io("read the file"))`.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::Io { action, source: source.into() }
    }
}
