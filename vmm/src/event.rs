//! Event descriptors, in the type that KVM's bindings want.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use vmm_sys_util::eventfd::EventFd;

use crate::Error;

/// A new event that never blocks.
pub(crate) fn new() -> Result<EventFd, Error> {
    EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)
        .map_err(Error::io("create an event descriptor"))
}

/// The event's descriptor, to wait on.
pub(crate) fn borrow(event: &EventFd) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open as long as `event`, which the result borrows.
    unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }
}
