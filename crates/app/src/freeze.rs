//! The audience: matches of the index or an event's list, each checked against the storage, written to the ledger in chunks. From then on it never changes.

use std::time::Duration;

use emcrm_model::{Campaign, CampaignState, Delivery, DeliveryState, EmailAddress, Recipients, UserId};
use emcrm_search::WALK_MAX;
use emcrm_store::{CountKind, EngineError, Guard, Queue, Rule, Task, TransactError, Transaction};
use emcrm_trace::{Instrument as _, Span};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::campaigns::campaign_of;
use crate::cascade::Outcome;
use crate::{App, AppError, Call, spans};

/// Ledger rows written in one transaction; one operation is the campaign's.
const CHUNK: usize = 99;
/// How long a freeze waits for changes on their way into the index before it tries again later.
const SETTLE_WAIT: Duration = Duration::from_secs(30);
const LATER_MS: i64 = 1_000;

impl App {
    pub(crate) async fn freeze(&self, task: &Task, stop: &CancellationToken) -> Result<Outcome, AppError> {
        let Some(id) = campaign_of(task) else { return Ok(Outcome::Done) };
        let again = Outcome::Again { due: self.now_ms() + LATER_MS, payload: task.payload.clone() };
        let Some(mut campaign) = self.store.campaigns.get(&id).await? else { return Ok(Outcome::Done) };
        if campaign.status == CampaignState::Pending {
            let mut tx = Transaction::new();
            self.store.campaigns.update_in(&mut tx, &id, &[CampaignState::Pending]).set("status", CampaignState::Freezing.as_str());
            if !moved(self.transact(tx).await)? {
                return Ok(again);
            }
            campaign.status = CampaignState::Freezing;
        }
        if campaign.status != CampaignState::Freezing {
            return Ok(Outcome::Done);
        }
        let of = Recipients::from(&campaign);
        let stored = self.store.counts.total(CountKind::Users).await?;
        let settled = self.candidates_settled(&of, SETTLE_WAIT).await?;
        if !settled && !of.audience.is_of_event() {
            return Ok(again);
        }
        // A list that never agrees with the event's counter is a fault for `verify`, and would keep the mail back for ever.
        let doubt = if settled { self.people_lacking(&of, stored).await? } else { Some("the event counts more people than its list shows".to_owned()) };
        let (span, mut walks, mut pages) = (Span::current(), 0, 0);
        loop {
            walks += 1;
            let walk = self.candidates_walk(&of, campaign.frozen_up_to.clone(), WALK_MAX);
            let ids = walk.instrument(spans::walk(&span, walks)).await?;
            if ids.is_empty() {
                break;
            }
            for chunk in ids.chunks(CHUNK) {
                if stop.is_cancelled() {
                    return Ok(Outcome::Again { due: self.now_ms(), payload: task.payload.clone() });
                }
                pages += 1;
                if !self.freeze_chunk(&mut campaign, &of, chunk).instrument(spans::page(&span, pages, chunk.len())).await? {
                    // Somebody cancelled the campaign, or another worker went on with it: look again.
                    return Ok(again);
                }
            }
        }
        let now = self.stamp();
        let mut tx = Transaction::new();
        self.store
            .campaigns
            .update_in(&mut tx, &id, &[CampaignState::Freezing])
            .set("status", CampaignState::Sending.as_str())
            .set("frozenAt", now.as_str())
            .set("startedAt", now.as_str());
        self.store.tasks.put(&mut tx, Queue::Mail, id.as_str(), "send", json!({ "campaign": id.as_str() }), self.now_ms());
        self.campaign_note(&mut tx, &Call::system(), &id, "frozen", doubt);
        Ok(if moved(self.transact(tx).await)? { Outcome::Done } else { again })
    }

    /// Writes one chunk and the checkpoint in one transaction; false when the campaign has moved on.
    async fn freeze_chunk(&self, campaign: &mut Campaign, of: &Recipients, ids: &[String]) -> Result<bool, AppError> {
        let ids: Vec<UserId> = ids.iter().map(|id| UserId::from(id.clone())).collect();
        let Some(last) = ids.last().map(ToString::to_string) else { return Ok(true) };
        let users = self.recipients_among(of, &ids).await?;
        let addresses: Vec<EmailAddress> = users.iter().map(|user| user.email.clone()).collect();
        let suppressed = async { Ok::<_, AppError>(self.store.suppressions.of(&addresses).await?) };
        let (suppressed, shared) = tokio::try_join!(suppressed, self.share_anothers_address(&users))?;
        let now = self.stamp();
        let mut tx = Transaction::new();
        let mut counted = [0_i64; 3];
        const STATES: [DeliveryState; 3] = [DeliveryState::Pending, DeliveryState::Suppressed, DeliveryState::Skipped];
        let total = users.len() as i64;
        for (user, (suppressed, shares)) in users.into_iter().zip(suppressed.into_iter().zip(shared)) {
            let stopped = suppressed.filter(|entry| entry.reason.stops(campaign.kind));
            let (which, error) = if let Some(entry) = stopped {
                (1, Some(entry.reason.words()))
            } else if !user.email.is_deliverable() {
                (2, Some("the address is not one that mail can be sent to"))
            } else if shares {
                (2, Some("another person has this address"))
            } else {
                (0, None)
            };
            if let Some(count) = counted.get_mut(which) {
                *count += 1;
            }
            let delivery = Delivery {
                campaign_id: campaign.id.clone(),
                user_id: user.id,
                status: STATES.get(which).copied().unwrap_or_default(),
                created_at: now.clone(),
                email: Some(user.email),
                email_hash: None,
                attempts: 0,
                error: error.map(str::to_owned),
                sent_at: None,
                worker: None,
                retry_at: None,
            };
            self.store.campaigns.put_delivery(&mut tx, &delivery);
        }
        let checkpoint = match &campaign.frozen_up_to {
            Some(up_to) => Guard::equals("frozenUpTo", up_to.as_str()),
            None => Guard::Missing("frozenUpTo".to_owned()),
        };
        let mut op = self
            .store
            .campaigns
            .update_in(&mut tx, &campaign.id, &[CampaignState::Freezing])
            .when(checkpoint)
            .or(Rule::CampaignMoved)
            .set("frozenUpTo", last.as_str())
            .add("totalRecipients", total);
        for (state, count) in STATES.into_iter().zip(counted) {
            if count > 0 {
                op = op.add(state.count_attr(), count);
            }
        }
        let _ = op;
        if !moved(self.transact(tx).await)? {
            return Ok(false);
        }
        campaign.frozen_up_to = Some(last);
        Ok(true)
    }
}

/// Whether a step of a campaign happened; false when a guard refused.
pub(crate) fn moved(result: Result<(), TransactError>) -> Result<bool, EngineError> {
    match result {
        Ok(()) => Ok(true),
        Err(TransactError::Refused(_)) => Ok(false),
        Err(TransactError::Engine(error)) => Err(error),
    }
}

/// A text in a task's payload.
pub(crate) fn payload_texts(payload: &Value, name: &str) -> Vec<String> {
    payload.get(name).and_then(Value::as_array).map(|texts| texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
}
