//! The monitor's side: the page mapped, every field an atomic.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags};

use super::{
    CONSOLE_RING_SIZE_BYTES, Counter, Counters, HEADER_SIZE_BYTES, PAGE_SIZE_BYTES,
    REASON_SIZE_BYTES_MAX, State, layout,
};
use crate::Error;
use crate::control::Exit;

/// Writes a status page. Shared by all threads of the monitor.
#[derive(Debug)]
pub struct Writer {
    page: NonNull<u8>,
    /// Keeps two threads from interleaving console output; the position itself is in the page.
    console: Mutex<()>,
}

// SAFETY: the page is process-wide memory that lives as long as the value and is only touched
// through atomics.
unsafe impl Send for Writer {}
// SAFETY: as above; shared use is what the atomics are for.
unsafe impl Sync for Writer {}

impl Writer {
    /// Maps the page in `file` and starts it: state [`State::Starting`], everything else zero.
    pub fn new(file: &File) -> Result<Writer, Error> {
        let size_bytes =
            file.metadata().map_err(Error::io("read the status page's metadata"))?.len();
        if size_bytes != PAGE_SIZE_BYTES as u64 {
            return Err(Error::StatusPage("the file has not the size of a status page"));
        }
        // SAFETY: a new mapping at an address of the kernel's choice; nothing existing changes.
        let page = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                PAGE_SIZE_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file.as_fd(),
                0,
            )
        }
        .map_err(Error::io("map the status page"))?;
        let page = NonNull::new(page.cast()).ok_or(Error::StatusPage("mapped at address zero"))?;
        let writer = Writer { page, console: Mutex::new(()) };
        for offset in (0..HEADER_SIZE_BYTES).step_by(size_of::<u64>()) {
            writer.u64_at(offset).store(0, Ordering::Relaxed);
        }
        writer.u32_at(layout::VERSION_OFFSET).store(layout::VERSION.to_le(), Ordering::Relaxed);
        // The magic last: a page that has it is whole.
        writer
            .u64_at(layout::MAGIC_OFFSET)
            .store(u64::from_ne_bytes(layout::MAGIC), Ordering::Release);
        Ok(writer)
    }

    /// The guest starts to run.
    pub fn set_running(&self) {
        self.set_state(State::Running);
    }

    /// The machine has ended. The last word wins.
    pub fn set_stopped(&self, exit: Exit, reason: &str) {
        let reason = &reason.as_bytes()[..reason.len().min(REASON_SIZE_BYTES_MAX)];
        for (index, &byte) in reason.iter().enumerate() {
            self.u8_at(layout::REASON_OFFSET + index).store(byte, Ordering::Relaxed);
        }
        let size_bytes = reason.len() as u32;
        self.u32_at(layout::REASON_SIZE_OFFSET).store(size_bytes.to_le(), Ordering::Relaxed);
        let code = exit.code() as u32;
        self.u32_at(layout::EXIT_CODE_OFFSET).store(code.to_le(), Ordering::Relaxed);
        self.set_state(State::Stopped);
    }

    /// What was set last.
    #[must_use]
    pub fn state(&self) -> State {
        match u32::from_le(self.u32_at(layout::STATE_OFFSET).load(Ordering::Acquire)) {
            state if state == State::Starting as u32 => State::Starting,
            state if state == State::Running as u32 => State::Running,
            _ => State::Stopped,
        }
    }

    /// Adds to a counter.
    pub fn count(&self, counter: Counter, amount: u64) {
        self.counter(counter).fetch_add(amount, Ordering::Relaxed);
    }

    /// The values now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters(Counter::ALL.map(|counter| self.counter(counter).load(Ordering::Relaxed)))
    }

    /// Appends to the console ring.
    pub fn append_console(&self, bytes: &[u8]) {
        let _guard = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        let total = self.u64_at(layout::CONSOLE_TOTAL_OFFSET);
        let mut position = u64::from_le(total.load(Ordering::Relaxed));
        for &byte in bytes {
            let slot = (position % CONSOLE_RING_SIZE_BYTES as u64) as usize;
            self.u8_at(HEADER_SIZE_BYTES + slot).store(byte, Ordering::Relaxed);
            position = position.wrapping_add(1);
            // After each byte: a reader may rely on at most one slot being ahead of the total.
            total.store(position.to_le(), Ordering::Release);
        }
    }

    /// Bytes appended to the console since the start.
    #[must_use]
    pub fn console_bytes(&self) -> u64 {
        u64::from_le(self.u64_at(layout::CONSOLE_TOTAL_OFFSET).load(Ordering::Relaxed))
    }

    fn set_state(&self, state: State) {
        self.u32_at(layout::STATE_OFFSET).store((state as u32).to_le(), Ordering::Release);
    }

    /// Counters are kept in native order, which is little-endian on every supported processor.
    fn counter(&self, counter: Counter) -> &AtomicU64 {
        const { assert!(cfg!(target_endian = "little")) };
        self.u64_at(layout::COUNTERS_OFFSET + counter as usize * size_of::<u64>())
    }

    fn u8_at(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: `field` checks bounds and alignment; zero-initialised file pages are valid
        // atomics, and every access in this process is atomic.
        unsafe { AtomicU8::from_ptr(self.field::<u8>(offset)) }
    }

    fn u32_at(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as in `u8_at`.
        unsafe { AtomicU32::from_ptr(self.field::<u32>(offset)) }
    }

    fn u64_at(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: as in `u8_at`.
        unsafe { AtomicU64::from_ptr(self.field::<u64>(offset)) }
    }

    /// A field that lies in the page and is aligned, or the monitor has a bug and must end.
    fn field<T>(&self, offset: usize) -> *mut T {
        assert!(
            offset + size_of::<T>() <= PAGE_SIZE_BYTES && offset.is_multiple_of(align_of::<T>())
        );
        // SAFETY: the offset was just checked to lie within the mapping.
        unsafe { self.page.as_ptr().add(offset).cast() }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SAFETY: this is our mapping, and no reference into it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.page.as_ptr().cast(), PAGE_SIZE_BYTES) };
    }
}
