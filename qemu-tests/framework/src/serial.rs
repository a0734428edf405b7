//! The second serial port of an image with the debug profile: a console with fixed verbs.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a verb may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one read waits before the limit is looked at again.
const READ_TIMEOUT: Duration = Duration::from_millis(500);
/// No answer is longer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The debug console of a machine.
#[derive(Debug, Clone)]
pub struct DebugConsole {
    socket: PathBuf,
}

impl DebugConsole {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Has the machine's PID 1 carry out one line, and gives the lines of its answer.
    pub fn run(&self, line: &str) -> Result<Vec<String>> {
        let mut stream = UnixStream::connect(&self.socket).context("the debug console is gone")?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        // An empty line first: what the port held before is answered and left behind.
        stream.write_all(format!("{line}\n").as_bytes())?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => bail!("the debug console closed"),
                Ok(count) => answer.extend_from_slice(&piece[..count]),
                Err(error) if is_time_out(&error) => {}
                Err(error) => return Err(error).context("debug console"),
            }
            if let Some(lines) = complete(&answer, line)? {
                return Ok(lines);
            }
            if Instant::now() >= deadline || answer.len() > ANSWER_BYTES_MAX {
                let text = String::from_utf8_lossy(&answer);
                bail!("no end of the debug console's answer to {line:?}: {text:?}");
            }
        }
    }
}

fn is_time_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// The lines of a complete answer: it ends with `ok`, or with `error: …`, which becomes an error.
fn complete(answer: &[u8], asked: &str) -> Result<Option<Vec<String>>> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        let Some(line) = line.strip_suffix('\n') else { break };
        let line = line.trim_end_matches('\r');
        if line == "ok" {
            return Ok(Some(lines));
        }
        if let Some(reason) = line.strip_prefix("error: ") {
            bail!("the debug console refused {asked:?}: {reason}");
        }
        lines.push(line.to_owned());
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_last_line() {
        assert_eq!(complete(b"1 0 100 init\r\n", "ps").unwrap(), None);
        assert_eq!(complete(b"1 0 100 init\r\nok", "ps").unwrap(), None);
        let lines = complete(b"1 0 100 init\r\nok\r\n", "ps").unwrap().unwrap();
        assert_eq!(lines, ["1 0 100 init"]);
        complete(b"error: no such process\n", "kill 7").unwrap_err();
    }
}
