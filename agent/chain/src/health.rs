//! Whether the chain can be used, and the pauses between attempts when it cannot.

use std::{fmt, time::Duration};

use serde::Serialize;

/// Whether the chain can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ChainHealth {
    /// Not asked yet.
    Starting,
    /// It answers, and it is the chain that was configured.
    Healthy,
    /// It does not answer, or not with what was asked for, at least twice in a row.
    Unreachable {
        /// Seconds of Unix time of the first failure in a row.
        since_s: u64,
        /// How many attempts failed in a row.
        attempts: u32,
        /// What the newest attempt met.
        reason: String,
        /// What a person can do about it.
        next: &'static str,
    },
}

impl ChainHealth {
    /// Whether the chain can be used now.
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }
}

impl fmt::Display for ChainHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("not asked yet"),
            Self::Healthy => f.write_str("healthy"),
            Self::Unreachable { since_s, attempts, reason, next } => write!(
                f,
                "unreachable since {since_s} (Unix time, {attempts} attempts): {reason}; {next}"
            ),
        }
    }
}

/// Pauses between attempts: each twice the one before, up to a bound.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);

    pub(crate) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(Self::LONGEST);
        pause
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_start_over() {
        let mut backoff = Backoff::new();
        let pauses: Vec<u128> = (0..9).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.pause(), Backoff::FIRST);
    }
}
