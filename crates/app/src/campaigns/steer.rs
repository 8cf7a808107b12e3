//! What a person does to a campaign that has begun. Every step is one transaction with its line in the log.

use emcrm_model::{Campaign, CampaignId, CampaignState, DeliveryState, FieldErrors, Rev, Role};
use emcrm_store::{Queue, Rule, Transaction, keys};
use serde_json::{Value, json};

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::campaigns::pace::handed_over;
use crate::users::unexpected;
use crate::{App, AppError, Call};

/// From one state to another, and what goes with it.
struct Step<'a> {
    wanted: &'static str,
    from: &'a [CampaignState],
    to: CampaignState,
    /// Kind and payload of what follows.
    task: Option<(&'static str, Value)>,
    /// Rows in these states are going to wait again.
    again: &'a [DeliveryState],
}

impl App {
    /// No further mail is handed over; those in hand are recorded.
    pub async fn campaign_pause(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        let step = Step { wanted: "paused", from: &[CampaignState::Sending], to: CampaignState::Paused, task: None, again: &[] };
        self.campaign_step(call, id, step).await
    }

    /// Goes on where it stopped; one that was held before its audience was chosen chooses it now.
    pub async fn campaign_resume(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        let campaign = self.campaign_get(call, id).await?;
        let (kind, to) = if lacks_audience(&campaign) { ("freeze", CampaignState::Pending) } else { ("send", CampaignState::Sending) };
        let task = Some((kind, json!({ "campaign": id.as_str() })));
        self.campaign_step(call, id, Step { wanted: "resumed", from: &[CampaignState::Paused], to, task, again: &[] }).await
    }

    /// What has not been sent will not be.
    pub async fn campaign_cancel(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        let task = Some(("cancel", json!({ "campaign": id.as_str() })));
        let from = [CampaignState::Scheduled, CampaignState::Pending, CampaignState::Freezing, CampaignState::Sending, CampaignState::Paused];
        self.campaign_step(call, id, Step { wanted: "cancelled", from: &from, to: CampaignState::Cancelled, task, again: &[] }).await
    }

    /// Deliveries that were refused, or whose fate is unknown, are sent again. Only a person may say so. One that was held before its audience was chosen has
    /// none: it can be resumed.
    pub async fn campaign_retry(&self, call: &Call, id: &CampaignId, states: Vec<DeliveryState>) -> Result<Campaign, AppError> {
        if states.is_empty() || states.iter().any(|state| !matches!(state, DeliveryState::Error | DeliveryState::Unknown)) {
            return Err(FieldErrors::one("states", "enum", "must be a list of: error, unknown").into());
        }
        let names: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
        let task = Some(("retry", json!({ "campaign": id.as_str(), "states": names })));
        let from = [CampaignState::Sent, CampaignState::Error, CampaignState::Paused];
        self.campaign_step(call, id, Step { wanted: "retried", from: &from, to: CampaignState::Sending, task, again: &states }).await
    }

    async fn campaign_step(&self, call: &Call, id: &CampaignId, step: Step<'_>) -> Result<Campaign, AppError> {
        call.require(Role::Sender)?;
        if let Some(campaign) = self.replayed(call).await? {
            return Ok(campaign);
        }
        let Step { wanted, from, to, task, again } = step;
        let sends = to == CampaignState::Sending;
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let old = self.store.campaigns.get(id).await?.ok_or(AppError::CampaignUnknown)?;
            // Without an audience there is nobody to send to: it would end at once, with no mail, and for good.
            if !from.contains(&old.status) || (sends && lacks_audience(&old)) {
                return Err(AppError::CampaignState { now: old.status, wanted });
            }
            let mut tx = Transaction::new();
            let op = self.store.campaigns.update_in(&mut tx, id, from).set("status", to.as_str()).remove("reason");
            let finished_at = (to == CampaignState::Cancelled).then(|| self.stamp());
            let op = op.set_or_remove("finishedAt", finished_at.clone());
            let (mut resumed_at, mut mailed_before) = (old.resumed_at.clone(), old.mailed_before);
            if sends {
                let waits_again: i64 = again.iter().map(|state| old.counts.get(*state)).sum();
                let before = handed_over(&old).saturating_sub(waits_again.max(0) as u64);
                (resumed_at, mailed_before) = (Some(self.stamp()), Some(before));
                op.set_or_remove("resumedAt", resumed_at.clone()).set_or_remove("mailedBefore", mailed_before);
            }
            if let Some((kind, payload)) = &task {
                self.store.tasks.put(&mut tx, Queue::Mail, id.as_str(), kind, payload.clone(), self.now_ms());
            }
            self.campaign_note(&mut tx, call, id, wanted, None);
            let campaign = Campaign { status: to, reason: None, finished_at, resumed_at, mailed_before, rev: Rev(old.rev.0 + 1), ..old };
            let deed = Deed::new(format!("campaign.{wanted}"), keys::campaign_part(id));
            match self.commit(call, deed, tx, campaign).await? {
                Ok(campaign) => return Ok(campaign),
                Err(Rule::CampaignMoved) => {}
                Err(Rule::CampaignUnknown) => return Err(AppError::CampaignUnknown),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }
}

/// It was held before its audience was chosen.
fn lacks_audience(campaign: &Campaign) -> bool {
    campaign.status == CampaignState::Paused && campaign.frozen_at.is_none()
}
