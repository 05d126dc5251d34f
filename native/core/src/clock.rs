//! The two clocks that a call is judged by.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// A moment: wall clock for expiry and record times, monotonic clock for the time since a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the Unix epoch.
    pub wall_ms: i64,
    /// Milliseconds since a fixed moment of this boot.
    pub mono_ms: u64,
}

impl Now {
    /// What the system's clocks say.
    ///
    /// On Linux the coarse ones, which lag by one scheduler tick (1 to 10 ms) and cost 5 ns each in place of 25.
    #[must_use]
    pub fn system() -> Now {
        system::now()
    }

    /// Whole Unix seconds, rounded down.
    #[must_use]
    pub fn wall_seconds(self) -> i64 {
        self.wall_ms.div_euclid(1_000)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::Now;
    use rustix::time::{ClockId, clock_gettime};

    pub(super) fn now() -> Now {
        let wall = clock_gettime(ClockId::RealtimeCoarse);
        let mono = clock_gettime(ClockId::MonotonicCoarse);
        Now {
            wall_ms: wall.tv_sec * 1_000 + wall.tv_nsec / 1_000_000,
            mono_ms: (mono.tv_sec * 1_000 + mono.tv_nsec / 1_000_000).unsigned_abs(),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Now;
    use std::sync::OnceLock;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    pub(super) fn now() -> Now {
        static START: OnceLock<Instant> = OnceLock::new();
        let wall_ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        let mono_ms = START.get_or_init(Instant::now).elapsed().as_millis();
        Now { wall_ms, mono_ms: u64::try_from(mono_ms).unwrap_or(u64::MAX) }
    }
}

/// A ring's clock: the system's, or a moment that the control plane sets and moves.
#[derive(Debug, Default)]
pub struct Clock {
    /// Read first, so that the system's clock costs no lock.
    is_fixed: AtomicBool,
    fixed: RwLock<Option<Now>>,
}

impl Clock {
    /// Stands still at `now` until set again; `None` is the system's clocks.
    pub fn set(&self, now: Option<Now>) {
        let mut fixed = self.fixed.write().unwrap_or_else(PoisonError::into_inner);
        *fixed = now;
        self.is_fixed.store(now.is_some(), Ordering::Release);
    }

    /// The moment it shows.
    #[must_use]
    pub fn now(&self) -> Now {
        if self.is_fixed.load(Ordering::Acquire) {
            let fixed = *self.fixed.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(now) = fixed {
                return now;
            }
        }
        Now::system()
    }
}
