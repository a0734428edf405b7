//! The end of the machine: whoever reaches it first says why.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;

use vmm_sys_util::eventfd::EventFd;

use crate::control::Exit;
use crate::{Error, event};

/// Set once, by any thread; the main thread waits for it.
pub(crate) struct End {
    why: OnceLock<(Exit, String)>,
    event: EventFd,
}

impl End {
    /// An end not reached yet.
    pub(crate) fn new() -> Result<End, Error> {
        Ok(End { why: OnceLock::new(), event: event::new()? })
    }

    /// Ends the machine. Only the first reason counts.
    pub(crate) fn reach(&self, exit: Exit, reason: String) {
        let _ = self.why.set((exit, reason));
        let _ = self.event.write(1);
    }

    /// Why the machine has ended, if it has.
    pub(crate) fn why(&self) -> Option<&(Exit, String)> {
        self.why.get()
    }
}

impl AsFd for End {
    /// Readable once the end is reached.
    fn as_fd(&self) -> BorrowedFd<'_> {
        event::borrow(&self.event)
    }
}
