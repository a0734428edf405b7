//! Holds a device's thread to its rate limit.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::Error;
use crate::control::RateLimit;
use crate::devices::limit::RateLimiter;

const SECOND_NS: u64 = 1_000_000_000;

/// A limit that can be changed while the device runs. Clones share its buckets.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedLimit(Arc<Mutex<Option<RateLimiter>>>);

impl SharedLimit {
    /// Full buckets, or none where nothing is limited.
    pub(crate) fn new(limit: RateLimit) -> SharedLimit {
        let shared = SharedLimit::default();
        shared.set(limit);
        shared
    }

    /// From now on this limit holds; what is owed stays owed.
    pub(crate) fn set(&self, limit: RateLimit) {
        let now_ns = now_ns();
        let mut limiter = self.lock();
        match &mut *limiter {
            Some(limiter) => limiter.set(limit, now_ns),
            None if limit == RateLimit::default() => {}
            None => *limiter = Some(RateLimiter::new(limit, now_ns)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<RateLimiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A limit with the timer that wakes the device's thread when it may go on.
pub(crate) struct Throttle {
    limit: SharedLimit,
    timer: OwnedFd,
}

impl Throttle {
    /// A throttle for one thread.
    pub(crate) fn new(limit: SharedLimit) -> Result<Throttle, Error> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)
            .map_err(Error::io("create a timer"))?;
        Ok(Throttle { limit, timer })
    }

    /// Whether one more request may be served; if not, the timer is set.
    pub(crate) fn may_go_on(&self) -> Result<bool, Error> {
        let wait_ns = match &mut *self.limit.lock() {
            Some(limiter) => limiter.wait_ns(now_ns()),
            None => None,
        };
        let Some(wait_ns) = wait_ns else {
            return Ok(true);
        };
        // A timer set to nothing would be off; and a limit that was lifted meanwhile is seen soon.
        let wait_ns = wait_ns.clamp(1, WAIT_NS_MAX);
        let at = Timespec {
            tv_sec: (wait_ns / SECOND_NS) as i64,
            tv_nsec: (wait_ns % SECOND_NS) as i64,
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)
            .map_err(Error::io("set a timer"))?;
        Ok(false)
    }

    /// One request of so many bytes was served.
    pub(crate) fn served(&self, size_bytes: u64) {
        if let Some(limiter) = &mut *self.limit.lock() {
            limiter.take(size_bytes);
        }
    }
}

/// How long a thread sleeps before it looks at its limit again.
const WAIT_NS_MAX: u64 = SECOND_NS;

impl AsFd for Throttle {
    /// New edges when waiting is over.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

fn now_ns() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec as u64 * SECOND_NS + tv_nsec as u64
}
