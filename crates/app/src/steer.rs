//! What follows when a person cancels a campaign or has deliveries sent again, as tasks.

use emcrm_model::{CampaignId, CampaignState, DeliveryState};
use emcrm_store::{Queue, Task, Transaction};
use serde_json::json;

use crate::campaigns::campaign_of;
use crate::cascade::Outcome;
use crate::freeze::payload_texts;
use crate::{App, AppError};

/// How long a run may still be handing over mails that it had claimed, in milliseconds: longer than a transport's patience.
const IN_HAND_MS: i64 = 120_000;
/// When rows that could not move are looked at again, in milliseconds.
const LATER_MS: i64 = 1_000;

impl App {
    /// Rows that wait become `cancelled`. Rows in hand are recorded by their run; those that nobody records in time become `unknown`.
    pub(crate) async fn cancel(&self, task: &Task) -> Result<Outcome, AppError> {
        let Some(id) = campaign_of(task) else { return Ok(Outcome::Done) };
        let sending = self.ledger_move(&id, &[DeliveryState::Pending], DeliveryState::Cancelled, Some("the campaign was cancelled")).await?.sending;
        if sending == 0 {
            return Ok(Outcome::Done);
        }
        if task.payload.get("waited").is_none() {
            return Ok(Outcome::Again { due: self.now_ms() + IN_HAND_MS, payload: json!({ "campaign": id.as_str(), "waited": true }) });
        }
        let reason = "the worker stopped while the mail was being handed over; it may have been sent or not";
        self.ledger_move(&id, &[DeliveryState::Sending], DeliveryState::Unknown, Some(reason)).await?;
        Ok(Outcome::Done)
    }

    /// Rows in the chosen states wait again, then the sending goes on. Whatever somebody does to the campaign meanwhile, the rows that were promised to wait do so,
    /// unless it is cancelled.
    pub(crate) async fn retry(&self, task: &Task) -> Result<Outcome, AppError> {
        let Some(id) = campaign_of(task) else { return Ok(Outcome::Done) };
        let states: Vec<DeliveryState> = payload_texts(&task.payload, "states").iter().filter_map(|state| DeliveryState::parse(state)).collect();
        let left = self.ledger_move(&id, &states, DeliveryState::Pending, None).await?;
        if left.refused > 0 && self.still_to_retry(&id).await? {
            return Ok(Outcome::Again { due: self.now_ms() + LATER_MS, payload: task.payload.clone() });
        }
        let mut tx = Transaction::new();
        self.store.tasks.put(&mut tx, Queue::Mail, id.as_str(), "send", json!({ "campaign": id.as_str() }), self.now_ms());
        self.store.tasks.done(&mut tx, task);
        // Refused means that the task was done before; either way it is done now.
        crate::freeze::moved(self.transact(tx).await)?;
        Ok(Outcome::Done)
    }

    /// Whether rows may still wait again. A run that knew nothing of the retry may have ended the campaign before they did: it goes on.
    async fn still_to_retry(&self, id: &CampaignId) -> Result<bool, AppError> {
        const ENDED: [CampaignState; 2] = [CampaignState::Sent, CampaignState::Error];
        let Some(campaign) = self.store.campaigns.get(id).await? else { return Ok(false) };
        if ENDED.contains(&campaign.status) {
            let mut tx = Transaction::new();
            let op = self.store.campaigns.update_in(&mut tx, id, &ENDED).set("status", CampaignState::Sending.as_str());
            op.remove("finishedAt").remove("reason");
            // Refused means that somebody else has moved it: it is looked at again.
            crate::freeze::moved(self.transact(tx).await)?;
            return Ok(true);
        }
        Ok(matches!(campaign.status, CampaignState::Sending | CampaignState::Paused))
    }
}
