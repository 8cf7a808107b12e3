//! Mail servers of recipients, each for itself: how many mails one domain gets at once and in a second, and how long it is left alone after it said "later".
//! Known to the process, not to a campaign: two campaigns are one sender to a domain. Moments here are those of [`emcrm_model::Clock::elapsed`]: a clock that is
//! set must not hold up every domain.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use emcrm_model::{Delivery, EmailAddress};
use parking_lot::Mutex;

/// Longest pause after a domain's refusals.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// How often whoever has to wait for a domain looks again. What the domain may have had meanwhile it gets then at once, so that looking does not slow it down.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Domains that are remembered. More than that have no limits worth keeping; the oldest knowledge is thrown away together.
const REMEMBERED: usize = 50_000;

/// What the settings allow each domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DomainLimits {
    /// Mails that are being handed over at once; none: no limit of its own.
    pub connections: Option<u32>,
    /// Mails per second; none: no limit of its own.
    pub rate: Option<u32>,
}

/// Whether a mail to a domain may go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Now,
    /// In a moment: others of this domain are in hand, or its second is used up.
    Soon,
    /// Not for so long: the domain asked to be left alone.
    Later(Duration),
}

#[derive(Debug, Default)]
struct Domain {
    in_hand: u32,
    /// When the next mail may go, by the rate.
    next: Duration,
    /// Refusals that meant the whole domain, without a success between them.
    refusals: u32,
    not_before: Duration,
}

pub(crate) struct Domains {
    limits: DomainLimits,
    /// First pause.
    pause: Duration,
    known: Mutex<HashMap<String, Domain>>,
}

/// The domain of an address, normalised.
pub(super) fn domain_of(address: Option<&EmailAddress>) -> &str {
    address.and_then(|address| address.normalised().rsplit_once('@')).map_or("", |(_, domain)| domain)
}

impl Domains {
    pub(crate) fn new(limits: DomainLimits, pause: Duration) -> Self {
        Self { limits, pause, known: Mutex::default() }
    }

    /// Whether each domain has limits.
    pub(super) fn has_limits(&self) -> bool {
        self.limits != DomainLimits::default()
    }

    /// Takes a place for one mail, if there is one.
    pub(super) fn take(&self, domain: &str, now: Duration) -> May {
        let gap = self.gap();
        let mut known = self.known.lock();
        let Some(state) = known.get_mut(domain) else {
            if self.has_limits() {
                forget(&mut known, now);
                known.insert(domain.to_owned(), Domain { in_hand: 1, next: now + gap, ..Domain::default() });
            }
            return May::Now;
        };
        let wait = state.not_before.saturating_sub(now);
        if !wait.is_zero() {
            return May::Later(wait);
        }
        if self.limits.connections.is_some_and(|most| state.in_hand >= most) || (self.limits.rate.is_some() && state.next > now) {
            return May::Soon;
        }
        state.in_hand += 1;
        state.next = state.next.max(now.saturating_sub(LOOK_AGAIN)) + gap;
        May::Now
    }

    fn gap(&self) -> Duration {
        self.limits.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1))
    }

    /// The mail is no longer in hand, whatever became of it.
    fn give_back(&self, domain: &str) {
        if let Some(state) = self.known.lock().get_mut(domain) {
            state.in_hand = state.in_hand.saturating_sub(1);
        }
    }

    pub(super) fn accepted(&self, domain: &str) {
        if let Some(state) = self.known.lock().get_mut(domain) {
            (state.refusals, state.not_before) = (0, Duration::ZERO);
        }
    }

    /// The domain said "later" and meant all of its mail.
    pub(super) fn put_off(&self, domain: &str, now: Duration) {
        let mut known = self.known.lock();
        forget(&mut known, now);
        let state = known.entry(domain.to_owned()).or_default();
        // Answers of mails that were in hand together are one refusal.
        if state.not_before <= now {
            state.not_before = now + (self.pause * (1_u32 << state.refusals.min(12))).min(PAUSE_MAX);
            state.refusals += 1;
        }
    }
}

fn forget(known: &mut HashMap<String, Domain>, now: Duration) {
    if known.len() >= REMEMBERED {
        known.retain(|_, state| state.in_hand > 0 || state.not_before > now);
    }
}

/// The place of a mail that is in hand, or soon will be. Whatever ends the run, it is free again.
pub(super) struct Place {
    domains: Arc<Domains>,
    domain: String,
}

impl Place {
    /// Of a mail that [`Domains::take`] let go.
    pub(super) fn of(domains: &Arc<Domains>, mail: &Delivery) -> Self {
        Self { domains: domains.clone(), domain: domain_of(mail.email.as_ref()).to_owned() }
    }
    /// How long the domain asked to be left alone, since it was taken.
    pub(super) fn rests(&self, now: Duration) -> Option<Duration> {
        let known = self.domains.known.lock();
        known.get(&self.domain).map(|state| state.not_before.saturating_sub(now)).filter(|wait| !wait.is_zero())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.domains.give_back(&self.domain);
    }
}

/// Whether a temporary refusal means the recipient's whole domain (RFC 3463: 4.3 mail system, 4.4 network, 4.7 policy; RFC 5321: 421) and not one mailbox.
pub(super) fn means_the_domain(reply: &str) -> bool {
    let mut words = reply.split([' ', '-']);
    let code = words.next().unwrap_or_default();
    let enhanced = words.next().unwrap_or_default();
    code == "421" || ["4.3.", "4.4.", "4.7."].iter().any(|class| enhanced.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_domain_gets_no_more_at_once_and_in_a_second_than_it_may() {
        let domains = Domains::new(DomainLimits { connections: Some(2), rate: None }, SECOND);
        assert_eq!([(); 3].map(|()| domains.take("a.example", ms(0))), [May::Now, May::Now, May::Soon]);
        assert_eq!(domains.take("b.example", ms(0)), May::Now, "others do not wait for it");
        domains.give_back("a.example");
        assert_eq!(domains.take("a.example", ms(0)), May::Now);
        let domains = Domains::new(DomainLimits { connections: None, rate: Some(2) }, SECOND);
        assert_eq!([0, 499, 500, 501].map(|now| domains.take("a.example", ms(now))), [May::Now, May::Soon, May::Now, May::Soon]);
    }

    #[test]
    fn places_are_free_again_whatever_ends_a_run() {
        let domains = Arc::new(Domains::new(DomainLimits { connections: Some(3), rate: None }, SECOND));
        let mail = serde_json::json!({"email_id": "c", "user_id": "ann", "status": "pending", "createdAt": "", "email": "ann@a.example"});
        let mail: Delivery = serde_json::from_value(mail).unwrap();
        assert_eq!([(); 4].map(|()| domains.take("a.example", ms(0))), [May::Now, May::Now, May::Now, May::Soon]);
        let [one, two, three] = [(); 3].map(|()| Place::of(&domains, &mail));
        drop((two, three));
        assert_eq!([(); 3].map(|()| domains.take("a.example", ms(0))), [May::Now, May::Now, May::Soon]);
        drop(one);
        assert_eq!([(); 2].map(|()| domains.take("a.example", ms(0))), [May::Now, May::Soon]);
    }

    #[test]
    fn a_domain_that_says_later_is_left_alone_for_longer_and_longer() {
        let domains = Domains::new(DomainLimits::default(), SECOND);
        assert_eq!(domains.take("a.example", ms(0)), May::Now);
        domains.put_off("a.example", ms(0));
        domains.put_off("a.example", ms(10));
        assert_eq!(domains.take("a.example", ms(999)), May::Later(ms(1)));
        assert_eq!(domains.take("a.example", ms(1_000)), May::Now);
        domains.put_off("a.example", ms(1_000));
        assert_eq!(domains.take("a.example", ms(2_999)), May::Later(ms(1)));
        let mail = serde_json::json!({"email_id": "c", "user_id": "ann", "status": "pending", "createdAt": "", "email": "ann@a.example"});
        let domains = Arc::new(domains);
        let place = Place::of(&domains, &serde_json::from_value(mail).unwrap());
        assert_eq!([ms(2_999), ms(3_000)].map(|now| place.rests(now)), [Some(ms(1)), None], "also those who had a place before");
        domains.accepted("a.example");
        assert_eq!(domains.take("a.example", ms(2_999)), May::Now);
        for n in 0..100 {
            domains.put_off("a.example", PAUSE_MAX * n * 2);
        }
        assert_eq!(domains.take("a.example", PAUSE_MAX * 99 * 2), May::Later(PAUSE_MAX));
    }

    #[test]
    fn any_rate_is_kept_and_reached_however_seldom_somebody_looks() {
        for rate in [1, 3, 100, 501, 600, 999, 1_001, 2_000] {
            for every in [1, 7, 20] {
                let domains = Domains::new(DomainLimits { connections: None, rate: Some(rate) }, SECOND);
                let mut taken = 0_u32;
                for now in (0..2_000).step_by(every) {
                    while domains.take("a.example", ms(now)) == May::Now {
                        taken += 1;
                    }
                }
                let (least, most) = (rate * 2 * 95 / 100 - 1, rate * 2 + rate / 50 + 1);
                assert!((least..=most).contains(&taken), "{taken} mails in two seconds at {rate} a second, looked at each {every} ms");
            }
        }
    }

    #[test]
    fn replies_about_one_mailbox_say_nothing_about_the_domain() {
        for (reply, expected) in [
            ("450 4.2.1 later", false),
            ("452 4.2.2 mailbox full", false),
            ("451 4.7.1 greylisted", true),
            ("421 4.7.0 too many connections", true),
            ("421 closing", true),
            ("451 4.3.2 system not accepting mail", true),
            ("450 try later", false),
            ("", false),
        ] {
            assert_eq!(means_the_domain(reply), expected, "{reply}");
        }
    }
}
