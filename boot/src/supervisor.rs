//! Keeps the agent running: when to start it again, and when not to.

use std::time::Duration;

/// Time since the machine's start.
pub(crate) type Now = Duration;

/// The agent's program.
pub(crate) const AGENT: &str = "/usr/bin/aleph-node";

const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A run that lasted this long was healthy: the next failure is a new one.
const HEALTHY_AFTER: Duration = Duration::from_secs(5 * 60);

/// The agent's exit codes that mean something to us (sysexits.h).
const EXIT_UNAVAILABLE: i32 = 69;
const EXIT_CONFIG: i32 = 78;

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It could not even be started.
    NotStarted,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Start it again at that time.
    RestartAt(Now),
    /// It would end the same way again: the machine stays up, the operator must act.
    Leave(&'static str),
}

/// The restart policy: 1 s, doubled up to 60 s, back to 1 s after five healthy minutes.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    started_at: Now,
    restart_count: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: BACKOFF_MIN, started_at: Duration::ZERO, restart_count: 0 }
    }
}

impl Backoff {
    /// The agent was started.
    pub(crate) fn on_start(&mut self, now: Now) {
        self.started_at = now;
    }

    /// How often it was started again.
    pub(crate) fn restart_count(&self) -> u32 {
        self.restart_count
    }

    /// The agent ended without having been asked to.
    pub(crate) fn on_end(&mut self, now: Now, ending: Ending) -> Decision {
        match ending {
            Ending::Exit(EXIT_CONFIG) => {
                return Decision::Leave(
                    "its configuration is wrong (see its message above): correct the seed and \
                     restart the machine",
                );
            }
            Ending::Exit(EXIT_UNAVAILABLE) => {
                return Decision::Leave(
                    "something that it cannot do without is missing (see its message above): \
                     correct that and restart the machine",
                );
            }
            Ending::Exit(_) | Ending::Signal(_) | Ending::NotStarted => {}
        }
        if now.saturating_sub(self.started_at) >= HEALTHY_AFTER {
            self.next = BACKOFF_MIN;
        }
        let pause = self.next;
        self.next = (pause * 2).min(BACKOFF_MAX);
        self.restart_count = self.restart_count.saturating_add(1);
        Decision::RestartAt(now + pause)
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(code) => write!(formatter, "ended with code {code}"),
            Self::Signal(signal) => write!(formatter, "was killed by signal {signal}"),
            Self::NotStarted => formatter.write_str("could not be started"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Now {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let mut now = s(10);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            backoff.on_start(now);
            let Decision::RestartAt(at) = backoff.on_end(now, Ending::Exit(1)) else { panic!() };
            pauses.push((at - now).as_secs());
            now = at;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.restart_count(), 8);
    }

    #[test]
    fn five_healthy_minutes_make_it_new() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.on_end(s(1), Ending::Signal(9));
        }
        backoff.on_start(s(100));
        assert_eq!(backoff.on_end(s(399), Ending::Signal(9)), Decision::RestartAt(s(399 + 32)));
        backoff.on_start(s(500));
        assert_eq!(backoff.on_end(s(800), Ending::Signal(9)), Decision::RestartAt(s(801)));
    }

    #[test]
    fn what_would_not_change_is_left() {
        let mut backoff = Backoff::default();
        for code in [69, 78] {
            assert!(matches!(backoff.on_end(s(1), Ending::Exit(code)), Decision::Leave(_)));
        }
        for ending in [Ending::Exit(0), Ending::Exit(101), Ending::Signal(11), Ending::NotStarted] {
            assert!(matches!(backoff.on_end(s(1), ending), Decision::RestartAt(_)));
        }
    }
}
