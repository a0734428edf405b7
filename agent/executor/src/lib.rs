//! The node's virtual machines: what is desired is compared with what runs, and made so.
//!
//! Tasks: [`Reconciler::run`], which the node runs as a critical task, and under it one task per
//! machine. Disks, processes and sockets are dealt with on tokio's blocking threads.
//!
//! Channels: in, `watch<Option<DesiredVms>>` from whoever reads the chain (`None`: not known yet)
//! and a `watch` for the host's power-off; between reconciler and each machine a `watch` of its
//! goal; out, `watch<VmViews>` for everyone, and calls of the port [`Reports`].
//!
//! Invariants:
//! - a machine's life does not depend on the agent's: dropping everything here leaves monitors
//!   running, and the next executor adopts them (record, process start time, control socket);
//! - there is at most one monitor per job: a process that uses a job's status page and is not
//!   its known monitor is killed before another is started;
//! - nothing is removed before it is known what is desired;
//! - a machine that fails is tried again a limited number of times, with growing pauses, over
//!   restarts of agent and host; then it has failed for good and is reported so;
//! - a machine that others leave no room has not failed: it waits for them, though not for ever;
//! - machines never reserve more than the capacity that the node gave them;
//! - a disk is under its name only when it is whole, and is then never made anew;
//! - how a machine ended and the end of its console are kept when it is removed, of the last
//!   [`ENDED_MAX`] machines for [`ENDED_FOR`], over restarts of agent and host.
//!
//! What it does not do: it does not decide what runs, store images or talk to the chain, and it
//! does not run guests: that is the monitor, a process of its own. Networks come later; what is
//! left of them is already cleared away.

#![forbid(unsafe_code)]

mod archive;
mod capacity;
mod cgroup;
mod disk;
mod error;
mod executor;
mod leftovers;
mod monitor;
mod options;
mod ports;
mod process;
mod record;
mod supervisor;
mod taps;
mod view;

pub use aleph_vmm::status::Console;
pub use archive::{ENDED_FOR, ENDED_MAX};
pub use capacity::{Capacity, HostReserve, occupied};
pub use error::ExecutorError;
pub use executor::{Executor, Reconciler};
pub use options::{ExecutorOptions, RestartPolicy};
pub use ports::{DesiredVm, DesiredVms, ImageError, Images, Power, Reports, VmEvent};
pub use view::{VmState, VmView, VmViews};
