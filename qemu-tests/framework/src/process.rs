//! Processes that are started here, and waiting with a limit.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long a process may take to end when asked.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// As long as its starter at the most: the kernel ends it with the thread that started it, even
    /// where that is killed and no destructor runs.
    OfStarter,
    /// Until somebody ends it.
    OfItsOwn,
}

/// A process of ours, which ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Option<Child>,
}

/// A process that outlives its starter, told apart from a later one with the same number by the
/// time at which it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    pid: i32,
    start_ticks: u64,
}

impl Lifetime {
    /// A command that runs a program for so long.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Result<Command> {
        let program = program.as_ref();
        if self == Self::OfItsOwn {
            return Ok(Command::new(program));
        }
        // Looked for here: that it is missing is told to whoever starts it, not to a log.
        let folders = env::var_os("PATH").unwrap_or_default();
        // An absolute path replaces the folder that it is joined to.
        if !env::split_paths(&folders).any(|folder| folder.join(program).is_file()) {
            bail!("{} is missing: run `make setup`", program.display());
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        Ok(command)
    }
}

impl Process {
    /// Starts a process in a group of its own (Ctrl-C in a terminal is its starter's to handle),
    /// its output in a file.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = fs::File::create(log).with_context(|| log.display().to_string())?;
        let errors = output.try_clone()?;
        let child = std::os::unix::process::CommandExt::process_group(command, 0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {name} ({:?})", command.get_program()))?;
        Ok(Self { name, child: Some(child) })
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its exit code, if it has ended; -1 for an end by a signal.
    pub(crate) fn exit_code(&mut self) -> Result<Option<i32>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        Ok(child.try_wait()?.map(|status| status.code().unwrap_or(-1)))
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<i32> {
        let name = self.name;
        wait_until(&format!("the end of {name}"), limit, || self.exit_code())
    }

    /// Ends it: asks first, then does not ask.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = kill(pid_of(child.id()), Signal::SIGTERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Ends it at once, as a power cut or `kill -9` would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lets it go on without its starter.
    pub(crate) fn detach(mut self) -> Result<Detached> {
        let child = self.child.take().context("the process has ended")?;
        let pid = i32::try_from(child.id())?;
        let start_ticks = start_ticks(pid).context("the process has ended")?;
        Ok(Detached { pid, start_ticks })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Detached {
    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Ends it: asks first, then does not ask.
    pub fn stop(&self) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if !self.is_alive() {
                return;
            }
            let _ = kill(Pid::from_raw(self.pid), signal);
            let deadline = Instant::now() + STOP_TIMEOUT;
            while self.is_alive() && Instant::now() < deadline {
                thread::sleep(POLL);
            }
        }
    }
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// When a process started, in clock ticks since boot; nothing for one that is gone or a zombie.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have blanks and parentheses of its own.
    let after_name = stat.rsplit_once(") ")?.1;
    let mut fields = after_name.split(' ');
    let state = fields.next()?;
    if state == "Z" {
        return None;
    }
    // starttime is field 22, the 19th after the state (field 3).
    fields.nth(18)?.parse().ok()
}

/// Waits until `look` finds something, looking ten times a second.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what} did not come within {} s", limit.as_secs());
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set for the process of a test that is to be killed: the folder of what it starts.
    const STARTER: &str = "ALEPH_TEST_STARTER";
    const LIMIT: Duration = Duration::from_secs(30);

    fn sleep(lifetime: Lifetime, log: &Path) -> Process {
        let mut command = lifetime.command("sleep").unwrap();
        Process::start("sleep", command.arg("60"), log).unwrap()
    }

    #[test]
    fn a_process_ends_with_its_starter_unless_it_has_a_life_of_its_own() {
        if let Some(folder) = env::var_os(STARTER) {
            return start_and_be_killed(Path::new(&folder));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut starter = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("process::tests::a_process_ends_with_its_starter_unless_it_has_a_life_of_its_own")
            .env(STARTER, folder.path())
            .spawn()
            .unwrap();
        let started = folder.path().join("started.json");
        let started: [Detached; 2] = wait_until("its processes", LIMIT, || {
            Ok(fs::read(&started).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()))
        })
        .unwrap();
        assert!(started.iter().all(Detached::is_alive));
        // As a test runner does whose patience is at its end: no destructor runs.
        starter.kill().unwrap();
        starter.wait().unwrap();
        let [tied, free] = started;
        let ended = wait_until("its end", LIMIT, || Ok((!tied.is_alive()).then_some(())));
        let outlived = free.is_alive();
        tied.stop();
        free.stop();
        ended.unwrap();
        assert!(outlived);
    }

    fn start_and_be_killed(folder: &Path) {
        let tied = sleep(Lifetime::OfStarter, &folder.join("tied.log"));
        let free = sleep(Lifetime::OfItsOwn, &folder.join("free.log"));
        let comm = format!("/proc/{}/comm", tied.pid().unwrap());
        let runs = || Ok((fs::read_to_string(&comm)? == "sleep\n").then_some(()));
        wait_until("the program", LIMIT, runs).unwrap();
        let started = [tied.detach().unwrap(), free.detach().unwrap()];
        let new = folder.join("new");
        fs::write(&new, serde_json::to_vec(&started).unwrap()).unwrap();
        fs::rename(new, folder.join("started.json")).unwrap();
        thread::sleep(2 * LIMIT);
    }

    #[test]
    fn a_missing_program_is_told_by_its_name() {
        let error = Lifetime::OfStarter.command("no-such-program").unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }

    #[test]
    fn a_detached_process_is_told_from_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let process = sleep(Lifetime::OfItsOwn, &log);
        let detached = process.detach().unwrap();
        assert!(detached.is_alive());
        let other = Detached { start_ticks: detached.start_ticks + 1, ..detached.clone() };
        assert!(!other.is_alive());
        detached.stop();
        assert!(!detached.is_alive());
    }

    #[test]
    fn waiting_ends() {
        let limit = Duration::from_millis(10);
        let error = wait_until::<()>("a miracle", limit, || Ok(None)).unwrap_err();
        assert!(error.to_string().contains("a miracle"));
    }
}
