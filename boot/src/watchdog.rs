//! The hardware watchdog: when the main loop stands still, the hardware resets the machine.
//!
//! Only the main loop pets it. Before that it is armed with a longer timeout, so that a boot that
//! hangs (not panics) ends too, and with A/B updates counts as a failed try.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::fd::AsRawFd,
};

use crate::{config::WatchdogConfig, console::say};

/// A boot may take this long before the main loop runs.
const BOOT_TIMEOUT_S: i32 = 300;

/// Killing, syncing and unmounting are bounded by far less, unless a disk is stuck.
const END_TIMEOUT_S: i32 = 120;

/// An armed watchdog. Closing it without [`Watchdog::disarm`] leaves it running, on purpose.
pub(crate) struct Watchdog {
    device: File,
}

impl Watchdog {
    /// Arms the watchdog for the rest of the boot; `None` when there is none.
    pub(crate) fn arm_for_boot() -> Option<Self> {
        let device = OpenOptions::new().write(true).open("/dev/watchdog").ok()?;
        let watchdog = Self { device };
        if let Err(error) = watchdog.set_timeout(BOOT_TIMEOUT_S) {
            say!("watchdog: timeout of {BOOT_TIMEOUT_S} s refused: {error}");
        }
        Some(watchdog)
    }

    /// Changes to the configured timeout, or disarms when that is configured.
    pub(crate) fn enter_main_loop(self, config: &WatchdogConfig) -> Option<Self> {
        if !config.enabled {
            self.disarm();
            return None;
        }
        if let Err(error) = self.set_timeout(config.timeout_s.cast_signed()) {
            say!("watchdog: timeout of {} s refused: {error}", config.timeout_s);
        }
        Some(self)
    }

    /// Says that the main loop is alive.
    pub(crate) fn pet(&mut self) {
        // Any byte but the closing one; a failing write shows itself by the reset.
        let _ = self.device.write_all(b".");
    }

    /// Nobody pets any more: going down ends within this time, or the hardware ends it. The
    /// device stays open for that, the kernel stops it as its last act.
    pub(crate) fn guard_the_end(mut self) {
        let _ = self.set_timeout(END_TIMEOUT_S);
        self.pet();
        std::mem::forget(self);
    }

    /// Stops the hardware, if its driver allows that.
    fn disarm(mut self) {
        let _ = self.device.write_all(b"V");
    }

    fn set_timeout(&self, timeout_s: i32) -> io::Result<()> {
        let mut seconds: libc::c_int = timeout_s;
        // SAFETY: WDIOC_SETTIMEOUT reads and writes one int through the pointer.
        unsafe { set_timeout(self.device.as_raw_fd(), &raw mut seconds) }?;
        Ok(())
    }
}

nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
