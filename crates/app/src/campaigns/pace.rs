//! How long sending may take where nothing limits it: at the pace of the last campaign that went through without a stop.

use emcrm_model::{Campaign, CampaignId, CampaignState, DeliveryState};
use emcrm_store::{Campaigns, readable};
use jiff::Timestamp;

use super::progress::SHORTEST_MS;
use crate::{App, AppError};

/// Campaigns that are looked at, newest first.
const LOOKED_AT: u32 = 20;
/// Of those that may tell, how many logs are read, and how many lines of each.
const LOGS: usize = 3;
const LINES: u32 = 100;
/// What was handed over, whatever became of it.
const HANDED_OVER: [DeliveryState; 5] = [DeliveryState::Sent, DeliveryState::Error, DeliveryState::Unknown, DeliveryState::Bounced, DeliveryState::Complained];
/// Steps after which the time between begin and end says nothing.
const STOPS: [&str; 4] = ["paused", "held", "resumed", "retried"];

/// How many mails of a campaign were handed over.
pub(super) fn handed_over(campaign: &Campaign) -> u64 {
    HANDED_OVER.into_iter().map(|state| campaign.counts.get(state).max(0) as u64).sum()
}

/// How fast an earlier campaign went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    pub campaign: CampaignId,
    /// Mails that it handed over.
    pub mails: u64,
    pub milliseconds: u64,
}

impl Pace {
    /// None where it tells nothing: it did not go through, had a limit of its own, or was over before it could be measured.
    fn of(campaign: &Campaign) -> Option<Self> {
        if campaign.status != CampaignState::Sent || campaign.rate.is_some() {
            return None;
        }
        let instant = |text: &Option<String>| text.as_deref()?.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
        let milliseconds = instant(&campaign.finished_at)? - instant(&campaign.started_at)?;
        let mails = handed_over(campaign);
        (milliseconds >= SHORTEST_MS && mails > 0).then(|| Self { campaign: campaign.id.clone(), mails, milliseconds: milliseconds as u64 })
    }

    /// For so many mails; one at least.
    pub fn seconds_for(&self, mails: u64) -> u64 {
        mails.saturating_mul(self.milliseconds).div_ceil(self.mails.max(1)).div_ceil(1_000).max(1)
    }
}

impl App {
    /// A few reads, however many campaigns there are.
    pub(super) async fn pace(&self) -> Result<Option<Pace>, AppError> {
        let rows = self.store.engine.query(Campaigns::list().limit(LOOKED_AT)).await?;
        let campaigns = readable(rows.items, Campaigns::read_without_body)?;
        for pace in campaigns.iter().filter_map(Pace::of).take(LOGS) {
            let log = self.store.engine.query(Campaigns::log_of(&pace.campaign).limit(LINES)).await?;
            if !readable(log.items, Campaigns::read_log)?.iter().any(|entry| STOPS.contains(&entry.what.as_str())) {
                return Ok(Some(pace));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn campaign(more: &serde_json::Value) -> Campaign {
        let mut item = json!({"email_id": "c", "subject": "s", "status": "sent", "totalRecipients": 130, "sentCount": 118, "errorCount": 2, "skippedCount": 10,
            "startedAt": "2026-01-02T03:00:00.000000Z", "finishedAt": "2026-01-02T03:00:40.500000Z"});
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(item).unwrap()
    }

    #[test]
    fn what_was_handed_over_between_begin_and_end_is_the_pace() {
        let pace = Pace::of(&campaign(&json!({}))).unwrap();
        assert_eq!((pace.mails, pace.milliseconds), (120, 40_500));
        assert_eq!([0, 1, 120, 121, 1_200].map(|mails| pace.seconds_for(mails)), [1, 1, 41, 41, 405]);
    }

    #[test]
    fn what_was_limited_or_over_at_once_or_not_sent_tells_nothing() {
        for more in [
            json!({"rate": 3}),
            json!({"status": "sending"}),
            json!({"status": "cancelled"}),
            json!({"finishedAt": null}),
            json!({"finishedAt": "2026-01-02T03:00:00.900000Z"}),
            json!({"finishedAt": "2026-01-01T03:00:00.000000Z"}),
            json!({"sentCount": 0, "errorCount": 0}),
        ] {
            assert_eq!(Pace::of(&campaign(&more)), None, "{more}");
        }
    }
}
