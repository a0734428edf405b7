//! The executor with real processes, sockets, disks and status pages. Only the guests are
//! missing: in place of the monitor runs `standin::monitor`, which speaks its protocol.

mod adoption;
mod aftermath;
mod bench;
mod lifecycle;
mod refusals;
mod standin;
