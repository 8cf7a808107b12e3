//! How far a campaign is, how fast it goes, and when it will be done.

use emcrm_model::{Campaign, CampaignState, DeliveryState};
use jiff::Timestamp;

/// Shortest stretch of time that a rate is measured over, in milliseconds.
pub(super) const SHORTEST_MS: i64 = 1_000;
/// After so long a measurement begins anew, so that the rate is that of now and not of the whole morning.
const LONGEST_MS: i64 = 20_000;

/// What somebody who watches a campaign saw before: it measures the rate without anything being kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Mails that had been handled then.
    pub handled: u64,
}

/// Figures of a campaign at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub total: u64,
    /// Recipients who need nothing more: sent, refused, left out, …
    pub handled: u64,
    /// Waiting for their turn, or being handed over.
    pub left: u64,
    /// Mails a second, where it can be told.
    pub rate: Option<f64>,
    /// The rate is the average since the campaign began or went on last, not that of the last seconds.
    pub average: bool,
    /// Until the end, at this rate.
    pub seconds_left: Option<u64>,
    /// Since the audience was frozen, until the end or now.
    pub seconds: Option<u64>,
    /// What to compare the next look with.
    pub seen: Seen,
}

impl Progress {
    pub fn of(campaign: &Campaign, now: Timestamp, before: Option<Seen>) -> Self {
        let count = |state| campaign.counts.get(state).max(0) as u64;
        let left = count(DeliveryState::Pending) + count(DeliveryState::Sending);
        let total = campaign.total_recipients;
        let handled = total.saturating_sub(left);
        let now_ms = now.as_millisecond();
        let instant = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_millisecond);
        let begun = instant(&campaign.started_at);
        let until = instant(&campaign.finished_at).unwrap_or(now_ms);
        // A look from the future, or one that saw more than there is, is not ours.
        let before = before.filter(|seen| seen.at <= now_ms && seen.handled <= handled);
        let over = |from: i64, to: i64, mails: u64| (to - from >= SHORTEST_MS).then(|| mails as f64 * 1_000.0 / (to - from) as f64);
        let recent = before.filter(|_| campaign.status == CampaignState::Sending).and_then(|seen| over(seen.at, now_ms, handled - seen.handled));
        let mailed =
            total - left.min(total) - [DeliveryState::Suppressed, DeliveryState::Skipped, DeliveryState::Cancelled].map(count).iter().sum::<u64>().min(handled);
        // A pause is no time in which mails could go, and what went before a retry says nothing of it.
        let resumed = instant(&campaign.resumed_at).map(|at| (at, campaign.mailed_before.unwrap_or(0)));
        let average = resumed.or(begun.map(|begun| (begun, 0))).and_then(|(from, before)| over(from, until, mailed.saturating_sub(before)));
        let rate = recent.or(average);
        let seconds_left = rate.filter(|rate| *rate > 0.0 && campaign.status == CampaignState::Sending).map(|rate| (left as f64 / rate).ceil() as u64);
        let seen = before.filter(|seen| now_ms - seen.at < LONGEST_MS).unwrap_or(Seen { at: now_ms, handled });
        Self { total, handled, left, rate, average: recent.is_none(), seconds_left, seconds: begun.map(|begun| (until - begun).max(0) as u64 / 1_000), seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn campaign(status: &str, pending: u64, sent: u64, skipped: u64) -> Campaign {
        let total = pending + sent + skipped;
        serde_json::from_value(json!({"email_id": "c", "subject": "s", "body": "b", "status": status, "totalRecipients": total,
            "pendingCount": pending, "sentCount": sent, "skippedCount": skipped, "startedAt": "2026-01-02T03:00:00.000000Z"}))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        "2026-01-02T03:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second)
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_tells_when_it_is_done() {
        let now = at(100);
        let seen = Seen { at: now.as_millisecond() - 4_000, handled: 60 };
        let progress = Progress::of(&campaign("sending", 100, 80, 20), now, Some(seen));
        assert_eq!((progress.total, progress.handled, progress.left), (200, 100, 100));
        assert_eq!((progress.rate, progress.average, progress.seconds_left), (Some(10.0), false, Some(10)));
        assert_eq!(progress.seen, seen, "the measurement goes on");
        let old = Seen { at: now.as_millisecond() - 30_000, handled: 0 };
        assert_eq!(Progress::of(&campaign("sending", 100, 80, 20), now, Some(old)).seen, Seen { at: now.as_millisecond(), handled: 100 });
    }

    #[test]
    fn without_an_earlier_look_it_is_the_average_of_what_was_mailed() {
        let progress = Progress::of(&campaign("sending", 100, 80, 20), at(40), None);
        assert_eq!((progress.rate, progress.average, progress.seconds_left, progress.seconds), (Some(2.0), true, Some(50), Some(40)));
        for made_up in [Seen { at: i64::MAX, handled: 0 }, Seen { at: 0, handled: 9_999 }] {
            assert_eq!(Progress::of(&campaign("sending", 100, 80, 20), at(40), Some(made_up)), Progress { seen: progress.seen, ..progress.clone() });
        }
    }

    #[test]
    fn after_a_pause_or_a_retry_it_is_the_average_since_then() {
        let resumed = Campaign { resumed_at: Some(at(3_600).to_string()), mailed_before: Some(60), ..campaign("sending", 100, 80, 20) };
        let progress = Progress::of(&resumed, at(3_610), None);
        assert_eq!((progress.rate, progress.average, progress.seconds_left, progress.seconds), (Some(2.0), true, Some(50), Some(3_610)));
    }

    #[test]
    fn what_stands_still_has_no_end_in_sight() {
        assert_eq!(Progress::of(&campaign("paused", 100, 80, 0), at(40), None).seconds_left, None);
        assert_eq!(Progress::of(&campaign("sending", 100, 0, 0), at(40), None).seconds_left, None);
        assert_eq!(Progress::of(&campaign("sending", 100, 0, 0), at(0), None).rate, None);
    }
}
