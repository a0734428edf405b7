//! How the process ends, in numbers that PID 1 understands.

use std::process::ExitCode;

/// Why the agent ends, as far as it matters for whether to start it again.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was asked to.
    Stopped,
    /// Its configuration is wrong: starting it again cannot help.
    Config(anyhow::Error),
    /// Something that it needs is not usable: starting it again cannot help.
    Unavailable(anyhow::Error),
    /// A part of it failed: starting it again may help.
    Failed(anyhow::Error),
}

impl Ended {
    /// EX_CONFIG and EX_UNAVAILABLE of sysexits, 1 for whatever may pass.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Stopped => 0,
            Self::Failed(_) => 1,
            Self::Unavailable(_) => 69,
            Self::Config(_) => 78,
        })
    }
}
