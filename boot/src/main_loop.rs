//! What PID 1 does for the rest of the machine's life: one thread, one `poll`, nothing that waits.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};

use crate::{
    agent::Agent,
    buttons::PowerButtons,
    console::say,
    debug::{self, Command, DebugConsole},
    loader::ModuleLoader,
    network::{self, Network},
    shutdown::Goal,
    supervisor::{AGENT, Backoff, Decision, Ending},
    uevent::Uevents,
    watchdog::Watchdog,
};

/// The agent is started at the latest after this, network or not.
const NETWORK_DEADLINE: Duration = Duration::from_secs(15);

/// When there is an IPv6 address first, this long is waited for an IPv4 address, too.
const IPV4_GRACE: Duration = Duration::from_secs(3);

/// How long the agent may take to stop its guests and itself.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// The hardware watchdog's shortest timeout is 10 s.
const PET_INTERVAL: Duration = Duration::from_secs(4);

/// Prints the status block.
type Announcement = Box<dyn FnOnce(&Network)>;

/// What the boot leaves to the main loop.
pub(crate) struct MainLoop {
    /// The network's handle.
    pub network: Network,
    /// Drivers for devices that appear later.
    pub loader: Option<ModuleLoader>,
    /// The hardware watchdog, if there is one.
    pub watchdog: Option<Watchdog>,
    /// The debug console, if the command line opens it.
    pub debug_console: Option<DebugConsole>,
    /// Where the agent's output goes.
    pub agent_output: OwnedFd,
    /// Called once, when the agent is first started.
    pub on_boot_finished: Box<dyn FnOnce(&Network)>,
}

/// Why the agent is not running, or that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AgentState {
    WaitingForNetwork { until: Duration },
    Running(Agent),
    Restarting { at: Duration },
    Left,
}

struct Running {
    began: Instant,
    signals: SignalFd,
    uevents: Option<Uevents>,
    buttons: PowerButtons,
    network: Network,
    loader: Option<ModuleLoader>,
    watchdog: Option<Watchdog>,
    debug_console: Option<DebugConsole>,
    agent_output: OwnedFd,
    on_boot_finished: Option<Announcement>,
    agent: AgentState,
    backoff: Backoff,
    /// Set once the machine is to go down, with the time when patience ends.
    goal: Option<(Goal, Duration)>,
    next_pet: Duration,
}

/// Which signals PID 1 reads from a descriptor. They must be blocked before any thread starts.
pub(crate) fn handled_signals() -> SigSet {
    [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

impl MainLoop {
    /// Runs until the machine is to go down.
    pub(crate) fn run(self) -> io::Result<Goal> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let running = Running {
            began: Instant::now(),
            signals: SignalFd::with_flags(&handled_signals(), flags)?,
            uevents: Uevents::open().map_err(|error| say!("no hot-plug: {error}")).ok(),
            buttons: PowerButtons::open(),
            network: self.network,
            loader: self.loader,
            watchdog: self.watchdog,
            debug_console: self.debug_console,
            agent_output: self.agent_output,
            on_boot_finished: Some(self.on_boot_finished),
            agent: AgentState::WaitingForNetwork { until: NETWORK_DEADLINE },
            backoff: Backoff::default(),
            goal: None,
            next_pet: Duration::ZERO,
        };
        Ok(running.run())
    }
}

impl Running {
    fn run(mut self) -> Goal {
        loop {
            self.on_signals();
            self.reap();
            self.on_uevents();
            if self.buttons.pressed() {
                self.begin_shutdown(Goal::PowerOff, "the power button was pressed");
            }
            self.network.acknowledge();
            self.on_debug_console();
            let now = self.began.elapsed();
            self.pet(now);
            match self.goal {
                Some((goal, deadline)) => {
                    if !matches!(self.agent, AgentState::Running(_)) {
                        break self.leave(goal);
                    }
                    if now >= deadline {
                        say!("the agent did not stop in time");
                        break self.leave(goal);
                    }
                }
                None => self.supervise(now),
            }
            self.wait();
        }
    }

    fn leave(&mut self, goal: Goal) -> Goal {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.guard_the_end();
        }
        goal
    }

    fn supervise(&mut self, now: Duration) {
        let start = match self.agent {
            AgentState::WaitingForNetwork { until } => self.is_time_for_agent(now, until),
            AgentState::Restarting { at } => now >= at,
            AgentState::Running(_) | AgentState::Left => false,
        };
        if start {
            self.start_agent(now);
        }
    }

    fn is_time_for_agent(&mut self, now: Duration, until: Duration) -> bool {
        let status = self.network.status();
        if status.has_ipv4() {
            return true;
        }
        if now >= until {
            if !status.is_online() {
                say!("no network after {} s: starting without it", NETWORK_DEADLINE.as_secs());
            }
            return true;
        }
        if status.is_online() {
            let until = until.min(now + IPV4_GRACE);
            self.agent = AgentState::WaitingForNetwork { until };
        }
        false
    }

    fn start_agent(&mut self, now: Duration) {
        if let Some(announce) = self.on_boot_finished.take() {
            announce(&self.network);
        }
        self.backoff.on_start(now);
        match Agent::start(&self.agent_output) {
            Ok(agent) => {
                say!("agent started as process {}", agent.pid());
                self.agent = AgentState::Running(agent);
            }
            Err(error) => {
                say!("start {AGENT}: {error}");
                self.on_agent_end(now, Ending::NotStarted);
            }
        }
    }

    fn on_agent_end(&mut self, now: Duration, ending: Ending) {
        if self.goal.is_some() {
            say!("agent {ending}");
            self.agent = AgentState::Left;
            return;
        }
        self.agent = match self.backoff.on_end(now, ending) {
            Decision::RestartAt(at) => {
                say!(
                    "agent {ending}: restart {} in {} s",
                    self.backoff.restart_count(),
                    at.saturating_sub(now).as_secs()
                );
                AgentState::Restarting { at }
            }
            Decision::Leave(reason) => {
                say!("agent {ending} and is not restarted: {reason}");
                AgentState::Left
            }
        };
    }

    fn on_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let number = signal.ssi_signo.cast_signed();
            let from_kernel = signal.ssi_code == libc::SI_KERNEL;
            match number {
                // The kernel's own SIGINT is Ctrl-Alt-Del.
                libc::SIGINT if from_kernel => {
                    self.begin_shutdown(Goal::Reboot, "Ctrl-Alt-Del was pressed");
                }
                libc::SIGINT | libc::SIGTERM => {
                    self.begin_shutdown(Goal::PowerOff, "a process asked for it");
                }
                // Children are collected in every turn.
                _ => {}
            }
        }
    }

    fn reap(&mut self) {
        loop {
            let status = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::EINTR) => continue,
                Err(_) | Ok(WaitStatus::StillAlive) => return,
                Ok(status) => status,
            };
            let (pid, ending) = match status {
                WaitStatus::Exited(pid, code) => (pid, Ending::Exit(code)),
                WaitStatus::Signaled(pid, signal, _) => (pid, Ending::Signal(signal as i32)),
                _ => continue,
            };
            if matches!(self.agent, AgentState::Running(agent) if agent.pid() == pid) {
                self.on_agent_end(self.began.elapsed(), ending);
            }
        }
    }

    fn on_uevents(&mut self) {
        let added = self.uevents.as_ref().map(Uevents::drain).unwrap_or_default();
        for device in added {
            if let (Some(loader), Some(modalias)) = (&mut self.loader, &device.modalias) {
                loader.load_for([modalias.as_str()]);
            }
            if device.subsystem == "input"
                && let Some(name) = device.device_name.as_deref()
            {
                self.buttons.add(name.trim_start_matches("input/"));
            }
        }
    }

    fn begin_shutdown(&mut self, goal: Goal, why: &str) {
        if self.goal.is_some() {
            return;
        }
        say!("{goal}: {why}");
        self.goal = Some((goal, self.began.elapsed() + STOP_DEADLINE));
        if let AgentState::Running(agent) = self.agent
            && let Err(error) = agent.stop_for_shutdown()
        {
            say!("stop the agent: {error}");
        }
    }

    fn on_debug_console(&mut self) {
        let lines = self.debug_console.as_mut().map(DebugConsole::lines).unwrap_or_default();
        for line in lines {
            let answer = Command::parse(&line).and_then(|command| self.execute(command));
            if let Some(console) = &mut self.debug_console {
                console.answer(answer);
            }
        }
    }

    fn execute(&mut self, command: Command) -> Result<String, String> {
        let done = |result: io::Result<()>| {
            result.map(|()| String::new()).map_err(|error| error.to_string())
        };
        match command {
            Command::Ps => Ok(debug::list_processes()),
            Command::Mem => Ok(debug::show_memory()),
            Command::Ls(directory) => debug::list_directory(&directory),
            Command::Kill(pid) => {
                done(kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(io::Error::from))
            }
            Command::KillAgent => match self.agent {
                AgentState::Running(agent) => done(agent.kill()),
                _ => Err("the agent is not running".to_owned()),
            },
            Command::IfDown | Command::IfUp => network::set_links_up(command == Command::IfUp)
                .map(|()| String::new())
                .map_err(|error| error.to_string()),
            Command::PowerOff | Command::Reboot => {
                let goal = if command == Command::Reboot { Goal::Reboot } else { Goal::PowerOff };
                self.begin_shutdown(goal, "the debug console asked for it");
                Ok(String::new())
            }
        }
    }

    fn pet(&mut self, now: Duration) {
        if let Some(watchdog) = &mut self.watchdog
            && now >= self.next_pet
        {
            watchdog.pet();
            self.next_pet = now + PET_INTERVAL;
        }
    }

    fn wait(&mut self) {
        let now = self.began.elapsed();
        let mut deadline = now + PET_INTERVAL;
        match self.agent {
            AgentState::WaitingForNetwork { until } => deadline = deadline.min(until),
            AgentState::Restarting { at } => deadline = deadline.min(at),
            AgentState::Running(_) | AgentState::Left => {}
        }
        if let Some((_, patience)) = self.goal {
            deadline = deadline.min(patience);
        }
        // Rounded up, so that the deadline has passed when `poll` returns.
        let timeout = deadline.saturating_sub(now) + Duration::from_millis(1);
        let mut fds = vec![readable(self.signals.as_fd()), readable(self.network.wake_fd())];
        if let Some(uevents) = &self.uevents {
            // SAFETY: `uevents` is borrowed until after the call, so its descriptor stays open.
            fds.push(readable(unsafe { BorrowedFd::borrow_raw(uevents.as_raw_fd()) }));
        }
        fds.extend(self.debug_console.as_ref().map(|console| readable(console.fd())));
        fds.extend(self.buttons.fds().map(readable));
        let _ = poll(&mut fds, Timespec::try_from(timeout).ok().as_ref());
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}
