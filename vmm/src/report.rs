//! What a person should read, on standard error.

use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};

/// Most lines of one process. A guest can cause some of them at will, and must not fill a disk.
const LINES_MAX: u32 = 200;

static LINES: AtomicU32 = AtomicU32::new(0);

/// Writes one line, unless there were too many already.
pub(crate) fn report(text: impl Display) {
    let line = LINES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lines| {
        (lines <= LINES_MAX).then_some(lines + 1)
    });
    match line {
        Ok(line) if line < LINES_MAX => eprintln!("aleph-vmm: {text}"),
        Ok(_) => eprintln!("aleph-vmm: this and all later reports are left out"),
        Err(_) => {}
    }
}
