//! The test console on the second serial port: a fixed set of verbs, no shell.
//!
//! It exists only when the kernel command line says `aleph.debug=1`, and the command line is
//! measured: a machine that offers it cannot pass for one that does not.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Read,
    os::{fd::AsFd, fd::BorrowedFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::console::write_before;

const DEVICE: &str = "/dev/ttyS1";
const LINE_BYTES_MAX: usize = 512;
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// One verb with its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Lists processes.
    Ps,
    /// Kills the agent.
    KillAgent,
    /// Kills a process.
    Kill(i32),
    /// Shows the memory.
    Mem,
    /// Lists a directory.
    Ls(PathBuf),
    /// Powers off in order.
    PowerOff,
    /// Reboots in order.
    Reboot,
    /// Takes the physical links down.
    IfDown,
    /// Brings them up again.
    IfUp,
}

const USAGE: &str =
    "known are: ps, kill-agent, kill PID, mem, ls DIR, poweroff, reboot, ifdown, ifup";

impl Command {
    /// Reads one line.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["ps"] => Ok(Self::Ps),
            ["kill-agent"] => Ok(Self::KillAgent),
            ["kill", pid] => match pid.parse::<i32>() {
                // 0 and below mean groups, 1 is this process.
                Ok(pid @ 2..) => Ok(Self::Kill(pid)),
                _ => Err(format!("{pid:?} is not the number of a process that may be killed")),
            },
            ["mem"] => Ok(Self::Mem),
            ["ls", directory] if directory.starts_with('/') => Ok(Self::Ls(directory.into())),
            ["ls", directory] => Err(format!("{directory:?} is not an absolute path")),
            ["poweroff"] => Ok(Self::PowerOff),
            ["reboot"] => Ok(Self::Reboot),
            ["ifdown"] => Ok(Self::IfDown),
            ["ifup"] => Ok(Self::IfUp),
            _ => Err(format!("{line:?} is not understood; {USAGE}")),
        }
    }
}

/// The serial line.
pub(crate) struct DebugConsole {
    device: File,
    pending: Vec<u8>,
}

impl DebugConsole {
    /// Opens it, if the command line allows it and the port exists.
    pub(crate) fn open(kernel_command_line: &str) -> Option<Self> {
        if !is_allowed(kernel_command_line) {
            return None;
        }
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
            .open(DEVICE)
            .ok()?;
        let mut settings = tcgetattr(&device).ok()?;
        settings.make_raw();
        settings.set_speed(115_200).ok()?;
        tcsetattr(&device, OptionalActions::Now, &settings).ok()?;
        Some(Self { device, pending: Vec::new() })
    }

    /// Readable when something was typed.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    /// The complete lines that have come in.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let mut buffer = [0; LINE_BYTES_MAX];
        let mut lines = Vec::new();
        while let Ok(length @ 1..) = self.device.read(&mut buffer) {
            self.pending.extend_from_slice(&buffer[..length]);
            lines.extend(take_lines(&mut self.pending));
        }
        lines
    }

    /// Sends an answer, and the line that ends it.
    pub(crate) fn answer(&mut self, result: Result<String, String>) {
        let mut text = match result {
            Ok(mut body) => {
                body.push_str("ok\n");
                body
            }
            Err(reason) => format!("error: {reason}\n"),
        };
        text = text.replace('\n', "\r\n");
        write_before(&mut self.device, text.as_bytes(), Instant::now() + ANSWER_DEADLINE);
    }
}

fn is_allowed(kernel_command_line: &str) -> bool {
    kernel_command_line.split_whitespace().any(|word| word == "aleph.debug=1")
}

/// Either line ending ends a line; what is too long is thrown away.
fn take_lines(pending: &mut Vec<u8>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(end) = pending.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let line: Vec<u8> = pending.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line[..end]).trim().to_owned();
        if !line.is_empty() {
            lines.push(line);
        }
    }
    if pending.len() > LINE_BYTES_MAX {
        pending.clear();
    }
    lines
}

/// `pid ppid rss_kib comm` of every process.
pub(crate) fn list_processes() -> String {
    let mut processes: Vec<Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|entry| parse_stat(&fs::read_to_string(entry.path().join("stat")).ok()?))
        // Kernel threads tell nothing here.
        .filter(|process| process.pid != 2 && process.parent != 2)
        .collect();
    processes.sort_by_key(|process| process.pid);
    let mut text = String::new();
    for process in processes {
        let _ = writeln!(
            text,
            "{} {} {} {}",
            process.pid, process.parent, process.rss_kib, process.name
        );
    }
    text
}

#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    rss_kib: u64,
    name: String,
}

/// `/proc/PID/stat`; a name may hold spaces and brackets, so it ends at the last one.
fn parse_stat(stat: &str) -> Option<Process> {
    const PAGE_KIB: u64 = 4;
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Process {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        rss_kib: fields.get(21)?.parse::<u64>().ok()?.checked_mul(PAGE_KIB)?,
        name: name.to_owned(),
    })
}

/// The lines of `/proc/meminfo` that tell who has the memory.
pub(crate) fn show_memory() -> String {
    const KEYS: [&str; 7] =
        ["MemTotal", "MemFree", "MemAvailable", "Cached", "Shmem", "Slab", "Mlocked"];
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let wanted = |line: &&str| line.split_once(':').is_some_and(|(key, _)| KEYS.contains(&key));
    text.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
}

/// `kind size name` of every entry, by name.
pub(crate) fn list_directory(directory: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)?.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let kind = if metadata.is_dir() {
            'd'
        } else if metadata.is_file() {
            'f'
        } else if metadata.is_symlink() {
            'l'
        } else {
            'o'
        };
        lines.push((entry.file_name(), kind, metadata.len()));
    }
    lines.sort();
    Ok(lines
        .into_iter()
        .map(|(name, kind, size)| format!("{kind} {size} {}\n", name.to_string_lossy()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verbs_are_understood() {
        for (line, expected) in [
            ("ps", Command::Ps),
            ("  kill-agent ", Command::KillAgent),
            ("kill 42", Command::Kill(42)),
            ("mem", Command::Mem),
            ("ls /data", Command::Ls("/data".into())),
            ("poweroff", Command::PowerOff),
            ("reboot", Command::Reboot),
            ("ifdown", Command::IfDown),
            ("ifup", Command::IfUp),
        ] {
            assert_eq!(Command::parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn everything_else_is_an_error() {
        for line in
            ["", "sh", "ps aux", "kill", "kill 1", "kill -1", "kill 0", "kill x", "ls", "ls data"]
        {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn only_the_exact_word_opens_it() {
        assert!(is_allowed("quiet aleph.debug=1 panic=10\n"));
        for line in ["", "aleph.debug=0", "aleph.debug=11", "xaleph.debug=1", "aleph.debug"] {
            assert!(!is_allowed(line), "{line}");
        }
    }

    #[test]
    fn lines_end_either_way_and_are_bounded() {
        let mut pending = b"ps\r\nmem\rls /".to_vec();
        assert_eq!(take_lines(&mut pending), ["ps", "mem"]);
        assert_eq!(pending, b"ls /");
        pending.extend(vec![b'x'; LINE_BYTES_MAX]);
        assert!(take_lines(&mut pending).is_empty());
        assert!(pending.is_empty());
    }

    #[test]
    fn a_process_with_an_odd_name_is_listed() {
        let numbers: Vec<String> = (5..=52).map(|number| number.to_string()).collect();
        let stat = format!("77 (a) (b c) S 1 {}", numbers.join(" "));
        let process = parse_stat(&stat).unwrap();
        let expected = Process { pid: 77, parent: 1, rss_kib: 24 * 4, name: "a) (b c".to_owned() };
        assert_eq!(process, expected);
        assert_eq!(parse_stat("77 (a"), None);
        let own = std::process::id().to_string();
        assert!(list_processes().lines().any(|line| line.starts_with(&format!("{own} "))));
    }

    #[test]
    fn a_directory_is_listed_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("b"), b"123").unwrap();
        fs::create_dir(directory.path().join("a")).unwrap();
        let listing = list_directory(directory.path()).unwrap();
        let lines: Vec<&str> = listing.lines().collect();
        assert!(lines[0].starts_with("d ") && lines[0].ends_with(" a"));
        assert_eq!(lines[1], "f 3 b");
        assert!(list_directory(Path::new("/nonexistent")).is_err());
    }
}
