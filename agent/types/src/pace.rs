//! A least rate for what somebody sends.

use std::time::Duration;

/// How long a sender is still waited for. Waiting uses the time up and bytes bring it back, but never
/// more than there was: who was fast once may not hold a place for hours with what it gained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    bytes_per_s_min: u32,
    patience_max: Duration,
    patience: Duration,
}

impl Pace {
    /// At least so many bytes a second, and so much time to be behind.
    pub fn new(bytes_per_s_min: u32, patience_max: Duration) -> Self {
        Self { bytes_per_s_min, patience_max, patience: patience_max }
    }

    /// The least rate.
    pub fn bytes_per_s_min(&self) -> u32 {
        self.bytes_per_s_min
    }

    /// How long the next piece may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// So many bytes came, after this time.
    pub fn note(&mut self, waited: Duration, size_bytes: usize) {
        let microseconds = (size_bytes as u64).saturating_mul(1_000_000);
        let earned = microseconds.checked_div(self.bytes_per_s_min.into()).unwrap_or(u64::MAX);
        let left = self.patience.saturating_sub(waited);
        self.patience = left.saturating_add(Duration::from_micros(earned)).min(self.patience_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_byte_now_and_then_is_not_enough() {
        let mut pace = Pace::new(1000, PATIENCE);
        pace.note(Duration::from_secs(29), 1);
        assert_eq!(pace.patience(), Duration::from_millis(1001));
        pace.note(Duration::from_secs(1), 1);
        assert_eq!(pace.patience(), Duration::from_millis(2));
    }

    #[test]
    fn a_steady_sender_is_never_too_slow_and_a_fast_one_saves_nothing() {
        let mut pace = Pace::new(1000, PATIENCE);
        for _ in 0..1000 {
            pace.note(Duration::from_secs(20), 20_000);
            assert_eq!(pace.patience(), PATIENCE);
        }
        pace.note(Duration::ZERO, usize::MAX);
        assert_eq!(pace.patience(), PATIENCE);
    }

    #[test]
    fn without_a_rate_only_silence_counts() {
        let mut pace = Pace::new(0, PATIENCE);
        pace.note(Duration::from_secs(29), 1);
        assert_eq!(pace.patience(), PATIENCE);
    }
}
