//! Time and ids come from outside, so that tests can set both.

use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    /// What has passed since some moment in the life of this process. It never goes back and never jumps, whatever is done to the machine's clock: for waits
    /// that nobody else needs to know of.
    fn elapsed(&self) -> Duration;
}

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn elapsed(&self) -> Duration {
        BEGUN.elapsed()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct FixedClock(Mutex<Moment>);

#[derive(Debug, Clone, Copy)]
struct Moment {
    now: Timestamp,
    elapsed: Duration,
}

impl FixedClock {
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Moment { now, elapsed: Duration::ZERO }))
    }
    /// So much time passes. Less than none puts the clock back, as [`FixedClock::jump`] does.
    pub fn advance(&self, by: SignedDuration) {
        self.change(by, Duration::try_from(by).unwrap_or_default());
    }
    /// Somebody sets the clock: it shows another time, and none has passed.
    pub fn jump(&self, by: SignedDuration) {
        self.change(by, Duration::ZERO);
    }
    fn change(&self, by: SignedDuration, passed: Duration) {
        let mut moment = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Moment { now, elapsed } = *moment;
        *moment = Moment { now: now.saturating_add(by).unwrap_or(now), elapsed: elapsed.saturating_add(passed) };
    }
    fn moment(&self) -> Moment {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.moment().now
    }
    fn elapsed(&self) -> Duration {
        self.moment().elapsed
    }
}

/// Where new ids come from.
pub trait IdSource: Send + Sync + 'static {
    /// UUIDv4: no order.
    fn random(&self) -> Uuid;
    /// UUIDv7: ordered by time, also within one millisecond.
    fn ordered(&self) -> Uuid;
}

/// Ids from the machine's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes random ids")]
    fn random(&self) -> Uuid {
        Uuid::new_v4()
    }
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ordered ids")]
    fn ordered(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Ids from a seed: the same seed gives the same ids in the same order.
#[derive(Debug)]
pub struct SeededIds(Mutex<(StdRng, u64)>);

impl SeededIds {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new((StdRng::seed_from_u64(seed), 0)))
    }
}

impl IdSource for SeededIds {
    fn random(&self) -> Uuid {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut bytes = [0; 16];
        state.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
    fn ordered(&self) -> Uuid {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut bytes = [0; 10];
        state.0.fill_bytes(&mut bytes);
        state.1 += 1;
        uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000 + state.1, &bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_a_clock_that_is_set_lets_none_pass() {
        let clock = FixedClock::new(Timestamp::UNIX_EPOCH);
        let seen = || (clock.now().as_second(), clock.elapsed().as_secs());
        clock.advance(SignedDuration::from_secs(90));
        assert_eq!(seen(), (90, 90));
        clock.jump(SignedDuration::from_secs(100));
        assert_eq!(seen(), (190, 90));
        clock.jump(SignedDuration::from_secs(-200));
        clock.advance(SignedDuration::from_secs(-1));
        assert_eq!(seen(), (-11, 90), "it never goes back");
        let before = SystemClock.elapsed();
        assert!(SystemClock.elapsed() >= before);
    }
}
