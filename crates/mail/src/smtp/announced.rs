//! Envelopes that go out behind the message before, and when they do not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use emcrm_model::{Clock as _, SystemClock};
use jiff::Timestamp;

use crate::transport::{Envelope, Handover};

/// How long a server may be kept waiting for a message whose envelope it has: far less than the minutes that it has to wait (RFC 5321 4.5.3.2).
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long nothing is announced to a server that did not answer to what was: it may be one that drops what comes behind a message.
const REST: Duration = Duration::from_mins(10);

/// An envelope that was sent, whose answers are not read.
#[derive(Debug)]
pub(crate) struct Announced {
    envelope: Envelope,
    /// When the server could begin to wait, by both clocks: one does not count the time in which the machine was suspended, the other one may be set.
    since: (Instant, Timestamp),
}

impl Announced {
    pub(crate) fn now(envelope: Envelope) -> Self {
        Self { envelope, since: (Instant::now(), SystemClock.now()) }
    }

    /// The message before it is answered only now: until then the server had other things to do than to wait.
    pub(crate) fn waits_from_now(&mut self) {
        self.since = (Instant::now(), SystemClock.now());
    }

    /// Whether the mail goes in it. The server was not told of 8-bit text.
    pub(crate) fn serves(&self, handover: &Handover) -> bool {
        self.envelope.is_of(handover) && handover.message.is_ascii()
    }

    /// Whether the server may have had enough of waiting.
    pub(crate) fn is_old(&self) -> bool {
        let by_clock = SystemClock.now().duration_since(self.since.1);
        self.since.0.elapsed().max(by_clock.unsigned_abs()) >= WAIT_MAX
    }
}

/// Whether anything is announced to a server. All connections to it know.
pub(crate) struct Announcing {
    began: Instant,
    /// Milliseconds after the beginning.
    resumes: AtomicU64,
}

impl Announcing {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), resumes: AtomicU64::new(0) }
    }

    pub(crate) fn may(&self) -> bool {
        self.elapsed_ms() >= self.resumes.load(Ordering::Relaxed)
    }

    /// An announcement was in vain, and the next one might be.
    pub(crate) fn rest(&self) {
        self.resumes.store(self.elapsed_ms() + REST.as_millis() as u64, Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_for_another_mail_does_not_serve() {
        let mail = Handover { from: "a@example.org".to_owned(), to: "b@example.org".to_owned(), message: b"x\r\n".to_vec() };
        let announced = Announced::now(Envelope { from: mail.from.clone(), to: mail.to.clone() });
        assert!(announced.serves(&mail));
        assert!(!announced.serves(&Handover { to: "c@example.org".to_owned(), ..mail.clone() }));
        assert!(!announced.serves(&Handover { from: "c@example.org".to_owned(), ..mail.clone() }));
        assert!(!announced.serves(&Handover { message: "ü\r\n".into(), ..mail.clone() }));
    }

    #[test]
    fn what_was_announced_long_ago_is_old_by_either_clock_until_it_begins_anew() {
        let mut announced = Announced::now(Envelope { from: String::new(), to: "b@example.org".to_owned() });
        assert!(!announced.is_old());
        announced.since.0 = Instant::now().checked_sub(WAIT_MAX).unwrap();
        assert!(announced.is_old());
        announced.waits_from_now();
        announced.since.1 = SystemClock.now() - WAIT_MAX;
        assert!(announced.is_old(), "the machine was suspended");
        announced.waits_from_now();
        assert!(!announced.is_old());
    }

    #[test]
    fn after_an_announcement_in_vain_there_is_none_for_a_while() {
        let mut announcing = Announcing::new();
        assert!(announcing.may());
        announcing.rest();
        assert!(!announcing.may());
        announcing.began = announcing.began.checked_sub(REST).unwrap();
        assert!(announcing.may());
    }
}
