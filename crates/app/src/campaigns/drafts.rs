//! What can still be edited: drafts, and campaigns that wait for their moment.

use emcrm_model::{Campaign, CampaignDraft, CampaignId, CampaignState, FieldErrors, Recipients, Rev, Role, Schedule};
use emcrm_store::{Campaigns, CountKind, Guard, Queue, Rule, Table, Task, Transaction, keys};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::campaigns::campaign_of;
use crate::cascade::Outcome;
use crate::freeze::moved;
use crate::render::Recipe;
use crate::users::unexpected;
use crate::{App, AppError, Call};

/// Furthest moment that something can be scheduled for.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24 * 366 * 2);

impl App {
    /// A campaign that waits for somebody to send or schedule it.
    pub async fn campaign_draft(&self, call: &Call, draft: CampaignDraft, schedule: Option<Schedule>) -> Result<Campaign, AppError> {
        call.require(Role::Sender)?;
        if let Some(campaign) = self.replayed(call).await? {
            return Ok(campaign);
        }
        self.prepare(&Recipe::of_draft(&draft)).await?;
        let mut campaign = self.campaign_new(draft, CampaignState::Draft);
        let mut tx = Transaction::new();
        if let Some(schedule) = schedule {
            self.schedule_set(&mut campaign, schedule)?;
            self.schedule_task(&mut tx, &campaign);
        }
        self.campaign_insert(&mut tx, call, &campaign, campaign.status.as_str());
        let deed = Deed::new("campaign.drafted", keys::campaign_part(&campaign.id));
        self.commit(call, deed, tx, campaign).await?.map_err(unexpected)
    }

    /// Another content and audience; only before the audience is frozen. A schedule stays.
    pub async fn campaign_edit(&self, call: &Call, id: &CampaignId, draft: CampaignDraft) -> Result<Campaign, AppError> {
        self.prepare(&Recipe::of_draft(&draft)).await?;
        self.campaign_rewrite(call, id, "edited", |campaign| {
            let CampaignDraft { audience, filter, subject, body, body_format, rate, kind, event_id, tracking } = draft.clone();
            Ok(Campaign { audience, filter, subject, body, body_format, rate, kind, event_id, tracking, ..campaign })
        })
        .await
    }

    /// Sends it by itself when the moment has come. A second schedule replaces the first.
    pub async fn campaign_schedule(&self, call: &Call, id: &CampaignId, schedule: Schedule) -> Result<Campaign, AppError> {
        self.campaign_rewrite(call, id, "scheduled", |mut campaign| {
            self.schedule_set(&mut campaign, schedule.clone())?;
            Ok(campaign)
        })
        .await
    }

    /// A draft again.
    pub async fn campaign_unschedule(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        self.campaign_rewrite(call, id, "unscheduled", |campaign| match campaign.status {
            CampaignState::Scheduled => Ok(Campaign { status: CampaignState::Draft, scheduled_at: None, timezone: None, late_after_minutes: None, ..campaign }),
            now => Err(AppError::CampaignState { now, wanted: "unscheduled" }),
        })
        .await
    }

    /// Chooses the audience now and begins. Answers once it is frozen, or after two seconds.
    pub async fn campaign_send(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        let draft = self.campaign_get(call, id).await?;
        if draft.status.is_editable() {
            self.prepare(&Recipe::of(&draft)).await?;
            self.somebody_matches(&Recipients::from(&draft)).await?;
        }
        let campaign = self.campaign_rewrite(call, id, "sent", |campaign| Ok(Campaign { status: CampaignState::Pending, ..campaign })).await?;
        self.campaign_frozen(campaign.id).await
    }

    /// The same for somebody who was told how many people match: refused where that is not true any more.
    pub async fn campaign_send_to(&self, call: &Call, id: &CampaignId, matching: u64) -> Result<Campaign, AppError> {
        call.require(Role::Sender)?;
        let campaign = self.campaign_get(call, id).await?;
        if campaign.status.is_editable() {
            let now = self.reach(call, &Recipients::from(&campaign)).await?.total;
            if now != matching {
                return Err(AppError::AudienceChanged { was: matching, now });
            }
        }
        self.campaign_send(call, id).await
    }

    /// A new draft with the same content and audience.
    pub async fn campaign_duplicate(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        call.require(Role::Sender)?;
        if let Some(campaign) = self.replayed(call).await? {
            return Ok(campaign);
        }
        let Campaign { audience, filter, subject, body, body_format, rate, kind, event_id, tracking, .. } = self.campaign_get(call, id).await?;
        let copy = self.campaign_new(CampaignDraft { audience, filter, subject, body, body_format, rate, kind, event_id, tracking }, CampaignState::Draft);
        let mut tx = Transaction::new();
        self.campaign_insert(&mut tx, call, &copy, "draft");
        self.campaign_note(&mut tx, call, &copy.id, "duplicated", Some(format!("from {id}")));
        let deed = Deed::new("campaign.duplicated", keys::campaign_part(&copy.id)).and(keys::campaign_part(id));
        self.commit(call, deed, tx, copy).await?.map_err(unexpected)
    }

    /// Only what was never sent can be deleted; a campaign that mailed somebody is a proof.
    pub async fn campaign_delete(&self, call: &Call, id: &CampaignId) -> Result<(), AppError> {
        call.require(Role::Sender)?;
        if self.replayed::<()>(call).await?.is_some() {
            return Ok(());
        }
        let campaign = self.campaign_get(call, id).await?;
        if !campaign.status.is_editable() {
            return Err(AppError::CampaignState { now: campaign.status, wanted: "deleted" });
        }
        let mut tx = Transaction::new();
        self.store.campaigns.delete(&mut tx, id, editable());
        self.store.counts.add(&mut tx, CountKind::Campaigns, id.as_str(), -1);
        match self.commit(call, Deed::new("campaign.deleted", keys::campaign_part(id)), tx, ()).await? {
            Ok(()) => self.campaign_log_delete(id).await,
            Err(Rule::CampaignMoved) => Err(AppError::Contended),
            Err(rule) => Err(unexpected(rule)),
        }
    }

    /// The log of what is gone. Lost lines harm nobody, so this may be interrupted.
    async fn campaign_log_delete(&self, id: &CampaignId) -> Result<(), AppError> {
        loop {
            let rows = self.store.engine.query(Campaigns::log_of(id).limit(50)).await?;
            if rows.items.is_empty() {
                return Ok(());
            }
            let mut tx = Transaction::new();
            for item in rows.items {
                tx.delete(Table::Email, item.key);
            }
            moved(self.transact(tx).await)?;
        }
    }

    fn schedule_set(&self, campaign: &mut Campaign, schedule: Schedule) -> Result<(), AppError> {
        let Schedule { at, timezone, late_after_minutes } = schedule;
        campaign.scheduled_at = Some(at);
        campaign.timezone = timezone;
        campaign.late_after_minutes = late_after_minutes;
        campaign.status = CampaignState::Scheduled;
        let (due, now) = (campaign.due(&self.settings.default_zone).unwrap_or(Timestamp::MIN), self.now());
        if due < now - SignedDuration::from_mins(1) {
            return Err(FieldErrors::one("scheduledAt", "value_error", format!("lies in the past: it is {now} now")).into());
        }
        if due.duration_since(now) > AHEAD_MAX {
            return Err(FieldErrors::one("scheduledAt", "value_error", "may be at most two years ahead").into());
        }
        Ok(())
    }

    fn schedule_task(&self, tx: &mut Transaction, campaign: &Campaign) {
        let Some(due) = campaign.due(&self.settings.default_zone).map(Timestamp::as_millisecond) else { return };
        // Workers of an earlier version want to see the moment.
        let payload = json!({ "campaign": campaign.id.as_str(), "due": due });
        self.store.tasks.put(tx, Queue::Mail, campaign.id.as_str(), "schedule", payload, due);
    }

    /// Writes an editable campaign anew, with what follows from its new state.
    async fn campaign_rewrite(
        &self,
        call: &Call,
        id: &CampaignId,
        what: &'static str,
        change: impl Fn(Campaign) -> Result<Campaign, AppError> + Send + Sync,
    ) -> Result<Campaign, AppError> {
        call.require(Role::Sender)?;
        if let Some(campaign) = self.replayed(call).await? {
            return Ok(campaign);
        }
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let old = self.store.campaigns.get(id).await?.ok_or(AppError::CampaignUnknown)?;
            if !old.status.is_editable() {
                return Err(AppError::CampaignState { now: old.status, wanted: what });
            }
            if call.if_match.is_some_and(|seen| seen != old.rev) {
                return Err(AppError::StaleRev);
            }
            let (seen, was) = (old.rev, old.scheduled_at.clone());
            let campaign = Campaign { rev: Rev(seen.0 + 1), ..change(old)? };
            let mut tx = Transaction::new();
            self.store.campaigns.replace(&mut tx, &campaign, editable().and(Guard::equals("rev", seen.0)));
            if campaign.status == CampaignState::Scheduled && (what == "scheduled" || was != campaign.scheduled_at) {
                self.schedule_task(&mut tx, &campaign);
            }
            if campaign.status == CampaignState::Pending {
                self.freeze_later(&mut tx, &campaign.id);
            }
            let detail = campaign.scheduled_at.as_ref().filter(|_| what == "scheduled").map(ToString::to_string);
            self.campaign_note(&mut tx, call, id, what, detail);
            let deed = Deed::new(format!("campaign.{what}"), keys::campaign_part(id));
            match self.commit(call, deed, tx, campaign).await? {
                Ok(campaign) => return Ok(campaign),
                Err(Rule::CampaignMoved) => {}
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    /// The moment of a scheduled campaign has come, or one that was its moment before: then it is waited for.
    pub(crate) async fn schedule_due(&self, task: &Task) -> Result<Outcome, AppError> {
        let Some(id) = campaign_of(task) else { return Ok(Outcome::Done) };
        let Some(campaign) = self.store.campaigns.get(&id).await? else { return Ok(Outcome::Done) };
        let due = campaign.due(&self.settings.default_zone);
        if campaign.status != CampaignState::Scheduled {
            return Ok(Outcome::Done);
        }
        let Some(due) = due else { return Ok(Outcome::Done) };
        let now = self.now();
        if due > now {
            // It was scheduled anew, the clock was put back, or the rules of its time zone are others now.
            return Ok(Outcome::Again { due: due.as_millisecond(), payload: task.payload.clone() });
        }
        let grace = campaign.late_after_minutes.unwrap_or(Campaign::LATE_AFTER_MINUTES);
        let mut tx = Transaction::new();
        let op = self.store.campaigns.update_in(&mut tx, &id, &[CampaignState::Scheduled]).when(Guard::equals("rev", campaign.rev.0)).or(Rule::CampaignMoved);
        if now.duration_since(due) > SignedDuration::from_mins(i64::from(grace)) {
            let reason = format!("it should have gone out at {due}, more than {grace} minutes ago; resume it to send it now, or cancel it");
            op.set("status", CampaignState::Paused.as_str()).set("reason", reason.as_str());
            self.campaign_note(&mut tx, &Call::system(), &id, "held", Some(reason));
        } else {
            op.set("status", CampaignState::Pending.as_str());
            self.freeze_later(&mut tx, &id);
            self.campaign_note(&mut tx, &Call::system(), &id, "due", None);
        }
        Ok(if moved(self.transact(tx).await)? { Outcome::Done } else { Outcome::Again { due: self.now_ms() + 200, payload: task.payload.clone() } })
    }
}

fn editable() -> Guard {
    Guard::Any([CampaignState::Draft, CampaignState::Scheduled].map(|state| Guard::equals("status", state.as_str())).to_vec())
}
