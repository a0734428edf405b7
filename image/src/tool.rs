//! Programs of the build machine, run with a fixed environment and clear errors.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Error, Result};

/// How much of a failed program's output an error shows.
const OUTPUT_LINES_MAX: usize = 20;

/// One run of a program. Locale and time zone are fixed: both leak into files.
pub(crate) struct Tool {
    package: &'static str,
    command: Command,
}

impl Tool {
    /// `program`, which the Debian package `package` has.
    pub(crate) fn new(program: impl AsRef<OsStr>, package: &'static str) -> Self {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").stdin(Stdio::null());
        Self { package, command }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it to its end and returns what it printed to its standard output.
    pub(crate) fn run(mut self) -> Result<Vec<u8>> {
        let output = self.command.output().map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::ToolMissing {
                program: self.command.get_program().to_string_lossy().into_owned(),
                package: self.package,
            },
            _ => Error::Io { action: "run", path: self.command.get_program().into(), source },
        })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = printed.lines().collect();
        let shown = lines.len().saturating_sub(OUTPUT_LINES_MAX);
        Err(Error::ToolFailed {
            command: command_line(&self.command),
            status: output.status,
            output: lines.get(shown..).unwrap_or_default().join("\n"),
        })
    }

    /// Like `run`, for programs that print text.
    pub(crate) fn run_text(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.run()?).into_owned())
    }
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = Tool::new("no-such-program-here", "some-package").run().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("apt-get install some-package"), "{text}");
    }

    #[test]
    fn a_failure_shows_the_command_and_the_end_of_its_output() {
        let script = "for i in $(seq 100); do echo line-$i; done; exit 3";
        let error = Tool::new("sh", "dash").args(["-c", script]).run().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.contains("line-100") && !text.contains("line-80\n"), "{text}");
    }
}
