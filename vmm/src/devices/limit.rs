//! Rate limits: token buckets over nanoseconds.
//!
//! Pure arithmetic: the caller says what time it is. A bucket fills at its rate up to its burst;
//! work takes tokens out and may take the last ones and more, which later work waits for. So one
//! request larger than the burst passes, only not often.

use crate::control::RateLimit;

const NANOSECONDS: u128 = 1_000_000_000;

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBucket {
    rate_per_s: u64,
    burst: u64,
    /// Tokens times a thousand million, so that no fraction is lost; negative while in debt.
    level: i128,
    filled_at_ns: u64,
}

impl TokenBucket {
    /// A full bucket. A rate of zero never limits; a burst of zero is one token.
    #[must_use]
    pub fn new(rate_per_s: u64, burst: u64, now_ns: u64) -> TokenBucket {
        let burst = burst.max(1);
        TokenBucket { rate_per_s, burst, level: scaled(burst), filled_at_ns: now_ns }
    }

    /// How long until work may go on, in nanoseconds; nothing if it may now.
    #[must_use]
    pub fn wait_ns(&mut self, now_ns: u64) -> Option<u64> {
        self.fill(now_ns);
        if self.rate_per_s == 0 || self.level > 0 {
            return None;
        }
        // The first moment with more than nothing in the bucket.
        let missing = self.level.unsigned_abs() + 1;
        let wait = missing.div_ceil(u128::from(self.rate_per_s));
        Some(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// Takes tokens for work that is done.
    pub fn take(&mut self, tokens: u64) {
        if self.rate_per_s != 0 {
            self.level = self.level.saturating_sub(scaled(tokens));
        }
    }

    /// Changes rate and burst; what is in the bucket, or owed, stays as far as it fits.
    pub fn set(&mut self, rate_per_s: u64, burst: u64, now_ns: u64) {
        self.fill(now_ns);
        self.rate_per_s = rate_per_s;
        self.burst = burst.max(1);
        self.level = self.level.min(scaled(self.burst));
    }

    /// A clock that goes backwards fills nothing.
    fn fill(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.filled_at_ns);
        self.filled_at_ns = self.filled_at_ns.max(now_ns);
        let gain = i128::from(elapsed_ns).saturating_mul(i128::from(self.rate_per_s));
        self.level = self.level.saturating_add(gain).min(scaled(self.burst));
    }
}

fn scaled(tokens: u64) -> i128 {
    i128::from(tokens) * NANOSECONDS as i128
}

/// The two buckets of one device, or of several that share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimiter {
    bytes: TokenBucket,
    operations: TokenBucket,
}

impl RateLimiter {
    /// Full buckets.
    #[must_use]
    pub fn new(limit: RateLimit, now_ns: u64) -> RateLimiter {
        RateLimiter {
            bytes: TokenBucket::new(limit.bytes_per_s, limit.bytes_burst, now_ns),
            operations: TokenBucket::new(limit.operations_per_s, limit.operations_burst, now_ns),
        }
    }

    /// How long until work may go on; nothing if it may now.
    #[must_use]
    pub fn wait_ns(&mut self, now_ns: u64) -> Option<u64> {
        self.bytes.wait_ns(now_ns).max(self.operations.wait_ns(now_ns))
    }

    /// One operation of so many bytes was done.
    pub fn take(&mut self, bytes: u64) {
        self.bytes.take(bytes);
        self.operations.take(1);
    }

    /// Changes the limits of a running device.
    pub fn set(&mut self, limit: RateLimit, now_ns: u64) {
        self.bytes.set(limit.bytes_per_s, limit.bytes_burst, now_ns);
        self.operations.set(limit.operations_per_s, limit.operations_burst, now_ns);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut bucket = TokenBucket::new(10, 5, 0);
        for _ in 0..5 {
            assert_eq!(bucket.wait_ns(0), None);
            bucket.take(1);
        }
        let wait_ns = bucket.wait_ns(0).unwrap();
        assert_eq!(wait_ns, 1, "the first fraction of a token lets one more through");
        bucket.take(1);
        let wait_ns = bucket.wait_ns(1).unwrap();
        assert!((SECOND_NS / 10 - 2..=SECOND_NS / 10).contains(&wait_ns), "{wait_ns}");
        assert_eq!(bucket.wait_ns(1 + wait_ns), None);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let mut bucket = TokenBucket::new(0, 0, 0);
        bucket.take(u64::MAX);
        assert_eq!(bucket.wait_ns(0), None);
    }

    #[test]
    fn extremes_neither_overflow_nor_wait_for_ever_less_than_owed() {
        let mut bucket = TokenBucket::new(u64::MAX, u64::MAX, 0);
        assert_eq!(bucket.wait_ns(u64::MAX), None);
        let mut bucket = TokenBucket::new(1, 1, 0);
        bucket.take(u64::MAX);
        bucket.take(u64::MAX);
        assert_eq!(bucket.wait_ns(0), Some(u64::MAX));
    }

    #[test]
    fn new_limits_keep_the_debt() {
        let mut limiter = RateLimiter::new(
            RateLimit { bytes_per_s: 100, bytes_burst: 100, ..RateLimit::default() },
            0,
        );
        limiter.take(1100);
        assert_eq!(limiter.wait_ns(0).unwrap().div_ceil(SECOND_NS), 11);
        let faster = RateLimit { bytes_per_s: 1000, bytes_burst: 100, ..RateLimit::default() };
        limiter.set(faster, 0);
        assert_eq!(limiter.wait_ns(0).unwrap().div_ceil(SECOND_NS), 2);
        limiter.set(RateLimit::default(), 0);
        assert_eq!(limiter.wait_ns(0), None);
    }

    proptest! {
        /// Whatever is asked for when: over any time, no more passes than the burst, the rate, and
        /// the one request that may overdraw.
        #[test]
        fn no_schedule_beats_the_rate(
            rate in 1u64..1_000_000,
            burst in 1u64..10_000,
            requests in proptest::collection::vec((0u64..50_000_000, 1u64..5_000), 1..200),
        ) {
            let mut bucket = TokenBucket::new(rate, burst, 0);
            let (mut now_ns, mut passed, mut largest) = (0, 0u128, 0);
            for (pause_ns, tokens) in requests {
                now_ns += pause_ns;
                if let Some(wait_ns) = bucket.wait_ns(now_ns) {
                    prop_assert!(bucket.clone().wait_ns(now_ns + wait_ns).is_none());
                    prop_assert!(wait_ns == 1
                        || bucket.clone().wait_ns(now_ns + wait_ns - 1).is_some());
                    continue;
                }
                bucket.take(tokens);
                passed += u128::from(tokens);
                largest = largest.max(tokens);
                let allowed = u128::from(burst)
                    + u128::from(now_ns) * u128::from(rate) / NANOSECONDS
                    + u128::from(largest) + 1;
                prop_assert!(passed <= allowed, "{passed} > {allowed}");
            }
        }
    }
}
