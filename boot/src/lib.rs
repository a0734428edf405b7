//! PID 1 of the appliance: it brings the machine from the kernel to a running agent, keeps the
//! agent running, and takes the machine down in order.
//!
//! The binary is `/init` of the initramfs. It mounts the EROFS root that lies beside it, moves
//! there as the same process, loads drivers, finds the seed configuration and the data partition,
//! and enters the main loop. A library, so that the agent checks `[machine]` with the same types
//! ([`config`]) and the image builder writes what [`modules`] reads.
//!
//! Threads: the main loop (signals, children, the agent, buttons, the watchdog, the debug
//! console), `network` (links, DHCP, resolv.conf), `clock` (SNTP), `console` (copies the agent's
//! output). They share nothing but [`network::Network`]'s status. No asynchronous run time.
//!
//! Invariants: whatever is missing degrades with a message, only a missing root ends the boot ·
//! no data that is not ours is ever formatted · a disk is never guessed · only the main loop pets
//! the watchdog · a panic ends in a reboot, never in silence.
//!
//! It does not: run a shell, call other programs than the agent and `mkfs.xfs`, talk to the TPM,
//! or know anything about guests.

mod agent;
pub mod boot;
mod buttons;
mod clock;
pub mod config;
mod console;
mod debug;
mod disk;
pub mod error;
mod image;
mod loader;
mod main_loop;
pub mod modules;
mod mounts;
mod network;
mod root;
mod seed;
mod shutdown;
mod status;
mod supervisor;
mod uevent;
mod watchdog;
