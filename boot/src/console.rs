//! The consoles: every line that PID 1 or the agent prints goes to all of them.
//!
//! `/dev/console` is only the last `console=` of the command line, but a server has a screen *and*
//! a serial line. A console that does not drain (Scroll Lock, a dead serial concentrator) loses
//! lines; it never stops PID 1.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};

static CONSOLES: Mutex<Vec<Console>> = Mutex::new(Vec::new());

/// How long one write may wait for a slow console: a full 4 KiB serial buffer drains in 360 ms.
const WRITE_DEADLINE: Duration = Duration::from_millis(500);

/// How long a console that missed its deadline is left alone.
const STUCK_PAUSE: Duration = Duration::from_secs(5);

struct Console {
    file: File,
    stuck_since: Option<Instant>,
}

/// Opens every console that the kernel itself prints to. Needs `/dev` and `/sys`.
pub(crate) fn open_all() {
    *CONSOLES.lock().unwrap_or_else(PoisonError::into_inner) = open_active();
}

/// Prints although another thread, or this one, may be in the middle of printing.
pub(crate) fn emergency(text: &str) {
    for console in &mut open_active() {
        console.write_all(format!("\r\naleph-init: {text}\r\n").as_bytes());
    }
}

fn open_active() -> Vec<Console> {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let mut names: Vec<&str> = active.split_whitespace().collect();
    if names.is_empty() {
        names.push("console");
    }
    let open = |name: &str| {
        OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
            .open(format!("/dev/{name}"))
            .ok()
    };
    let opened = names.into_iter().filter_map(open);
    opened.map(|file| Console { file, stuck_since: None }).collect()
}

/// Prints one line of PID 1's own.
pub(crate) fn line(text: &str) {
    let mut bytes = Vec::with_capacity(text.len() + 16);
    for part in text.lines() {
        bytes.extend_from_slice(b"aleph-init: ");
        bytes.extend_from_slice(part.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    write_all(&bytes);
}

/// Prints bytes as they are.
pub(crate) fn write_all(bytes: &[u8]) {
    let mut consoles = CONSOLES.lock().unwrap_or_else(PoisonError::into_inner);
    if consoles.is_empty() {
        // Before `open_all`, or in a test: the kernel gave init its console as standard error.
        let _ = std::io::stderr().write_all(bytes);
    }
    for console in consoles.iter_mut() {
        console.write_all(bytes);
    }
}

/// Copies what a child prints to the consoles, on a thread of its own: a slow console must not
/// hold up the main loop. Returns the end that children get as standard output.
pub(crate) fn forwarder() -> std::io::Result<OwnedFd> {
    let (reader, writer) = std::io::pipe()?;
    std::thread::Builder::new().name("console".to_owned()).spawn(move || {
        let mut reader = std::io::BufReader::new(reader);
        let mut line = Vec::new();
        while let Ok(1..) = read_line_bounded(&mut reader, &mut line) {
            if line.ends_with(b"\n") {
                line.pop();
            }
            line.extend_from_slice(b"\r\n");
            write_all(&line);
            line.clear();
        }
    })?;
    Ok(writer.into())
}

/// A line that never ends is printed in pieces.
fn read_line_bounded(
    reader: &mut impl std::io::BufRead,
    line: &mut Vec<u8>,
) -> std::io::Result<usize> {
    const LINE_BYTES_MAX: u64 = 16 * 1024;
    std::io::BufRead::read_until(&mut std::io::Read::take(reader, LINE_BYTES_MAX), b'\n', line)
}

impl Console {
    fn write_all(&mut self, bytes: &[u8]) {
        if self.stuck_since.is_some_and(|since| since.elapsed() < STUCK_PAUSE) {
            return;
        }
        let written = write_before(&mut self.file, bytes, Instant::now() + WRITE_DEADLINE);
        self.stuck_since = (!written).then(Instant::now);
    }
}

/// Writes to a descriptor that does not block; says whether everything went out in time.
pub(crate) fn write_before(file: &mut File, mut bytes: &[u8], deadline: Instant) -> bool {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() || !wait_writable(file, left) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}

fn wait_writable(file: &File, timeout: Duration) -> bool {
    let Ok(timeout) = Timespec::try_from(timeout) else { return false };
    let mut fds = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::OUT)];
    matches!(poll(&mut fds, Some(&timeout)), Ok(1..))
}

/// Prints a formatted line: `say!("{} modules", count)`.
macro_rules! say {
    ($($argument:tt)*) => { $crate::console::line(&format!($($argument)*)) };
}
pub(crate) use say;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_line_comes_in_pieces() {
        let bytes = vec![b'x'; 40_000];
        let mut reader = std::io::BufReader::new(bytes.as_slice());
        let mut line = Vec::new();
        assert_eq!(read_line_bounded(&mut reader, &mut line).unwrap(), 16 * 1024);
    }

    #[test]
    fn a_console_that_does_not_drain_is_given_up_for_a_while() {
        let (_reader, writer) = std::io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        let file = File::from(OwnedFd::from(writer));
        let mut console = Console { file, stuck_since: None };
        let started = Instant::now();
        console.write_all(&vec![b'x'; 1 << 20]);
        assert!(console.stuck_since.is_some());
        let first = started.elapsed();
        console.write_all(b"dropped at once");
        assert!(first >= WRITE_DEADLINE && started.elapsed() < first + WRITE_DEADLINE);
    }
}
