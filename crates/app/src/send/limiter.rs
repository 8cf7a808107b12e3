//! Messages per second, spread evenly.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Hands out moments. Without a rate it never waits.
pub(crate) struct Limiter {
    interval: Option<Duration>,
    next: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(crate) fn new(per_second: Option<u32>) -> Self {
        let interval = per_second.filter(|rate| *rate > 0).map(|rate| Duration::from_secs(1) / rate);
        Self { interval, next: Mutex::new(None) }
    }

    pub(crate) fn has_limits(&self) -> bool {
        self.interval.is_some()
    }

    /// How many messages may be taken at once: a quarter of a second's worth.
    pub(crate) fn batch(&self, most: usize) -> usize {
        match self.interval {
            Some(interval) => most.min((Duration::from_millis(250).as_nanos() / interval.as_nanos().max(1)) as usize).max(1),
            None => most,
        }
    }

    /// When the next `n` messages may go; they are taken.
    pub(crate) fn take(&self, n: usize) -> Option<Instant> {
        self.take_at(Instant::now(), n)
    }

    fn take_at(&self, now: Instant, n: usize) -> Option<Instant> {
        let interval = self.interval?;
        let mut next = self.next.lock();
        // Time that nobody used is not saved up.
        let start = next.map_or(now, |next| next.max(now));
        *next = Some(start + interval * n as u32);
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_second_are_a_tenth_of_a_second_apart() {
        let limiter = Limiter::new(Some(10));
        let begin = Instant::now();
        assert_eq!(limiter.take_at(begin, 1).unwrap() - begin, Duration::ZERO);
        assert_eq!(limiter.take_at(begin, 2).unwrap() - begin, Duration::from_millis(100));
        assert_eq!(limiter.take_at(begin, 1).unwrap() - begin, Duration::from_millis(300));
        assert_eq!(limiter.batch(50), 2);
        assert_eq!(Limiter::new(None).batch(50), 50);
    }

    #[test]
    fn unused_time_is_not_saved_up() {
        let limiter = Limiter::new(Some(10));
        let begin = Instant::now();
        limiter.take_at(begin, 1);
        let later = begin + Duration::from_mins(1);
        assert_eq!(limiter.take_at(later, 5).unwrap(), later);
        assert_eq!(limiter.take_at(later, 1).unwrap() - later, Duration::from_millis(500));
    }
}
