//! What a person does to a campaign that has begun. Every step is one transaction with its line in the log.

use emcrm_model::{Campaign, CampaignId, CampaignState, DeliveryState, FieldErrors, Rev, Role};
use emcrm_store::{Queue, Rule, Transaction, keys};
use serde_json::json;

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::users::unexpected;
use crate::{App, AppError, Call};

impl App {
    /// No further mail is handed over; those in hand are recorded.
    pub async fn campaign_pause(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        self.campaign_step(call, id, "paused", &[CampaignState::Sending], CampaignState::Paused, None).await
    }

    /// Goes on where it stopped; one that was held before its audience was chosen chooses it now.
    pub async fn campaign_resume(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        let campaign = self.campaign_get(call, id).await?;
        if campaign.status == CampaignState::Paused && campaign.frozen_at.is_none() {
            let freeze = ("freeze", json!({ "campaign": id.as_str() }));
            return self.campaign_step(call, id, "resumed", &[CampaignState::Paused], CampaignState::Pending, Some(freeze)).await;
        }
        let send = ("send", json!({ "campaign": id.as_str() }));
        self.campaign_step(call, id, "resumed", &[CampaignState::Paused], CampaignState::Sending, Some(send)).await
    }

    /// What has not been sent will not be.
    pub async fn campaign_cancel(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        let cancel = ("cancel", json!({ "campaign": id.as_str() }));
        let from = [CampaignState::Scheduled, CampaignState::Pending, CampaignState::Freezing, CampaignState::Sending, CampaignState::Paused];
        self.campaign_step(call, id, "cancelled", &from, CampaignState::Cancelled, Some(cancel)).await
    }

    /// Deliveries that were refused, or whose fate is unknown, are sent again. Only a person may say so.
    pub async fn campaign_retry(&self, call: &Call, id: &CampaignId, states: Vec<DeliveryState>) -> Result<Campaign, AppError> {
        if states.is_empty() || states.iter().any(|state| !matches!(state, DeliveryState::Error | DeliveryState::Unknown)) {
            return Err(FieldErrors::one("states", "enum", "must be a list of: error, unknown").into());
        }
        let states: Vec<&str> = states.into_iter().map(DeliveryState::as_str).collect();
        let retry = ("retry", json!({ "campaign": id.as_str(), "states": states }));
        let from = [CampaignState::Sent, CampaignState::Error, CampaignState::Paused];
        self.campaign_step(call, id, "retried", &from, CampaignState::Sending, Some(retry)).await
    }

    async fn campaign_step(
        &self,
        call: &Call,
        id: &CampaignId,
        wanted: &'static str,
        from: &[CampaignState],
        to: CampaignState,
        task: Option<(&str, serde_json::Value)>,
    ) -> Result<Campaign, AppError> {
        call.require(Role::Sender)?;
        if let Some(campaign) = self.replayed(call).await? {
            return Ok(campaign);
        }
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let old = self.store.campaigns.get(id).await?.ok_or(AppError::CampaignUnknown)?;
            if !from.contains(&old.status) {
                return Err(AppError::CampaignState { now: old.status, wanted });
            }
            let mut tx = Transaction::new();
            let op = self.store.campaigns.update_in(&mut tx, id, from).set("status", to.as_str()).remove("reason");
            let finished_at = (to == CampaignState::Cancelled).then(|| self.stamp());
            op.set_or_remove("finishedAt", finished_at.clone());
            if let Some((kind, payload)) = &task {
                self.store.tasks.put(&mut tx, Queue::Mail, id.as_str(), kind, payload.clone(), self.now_ms());
            }
            self.campaign_note(&mut tx, call, id, wanted, None);
            let campaign = Campaign { status: to, reason: None, finished_at, rev: Rev(old.rev.0 + 1), ..old };
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
