//! Campaigns: write, schedule, look at, steer. What they do by themselves is in `freeze` and `send`.
//!
//! | file | holds |
//! |---|---|
//! | `drafts` | what can be edited: drafts and scheduled campaigns |
//! | `steer` | pause, resume, cancel, retry |
//! | `recipients` | whom a campaign is for |
//! | `preflight` | what sending would do, and test mails |
//! | `pace` | how long it may take |
//! | `ledger` | who is mailed, and what became of it |
//! | `progress` | how far it is, and how fast it goes |

mod drafts;
mod ledger;
mod pace;
mod preflight;
mod progress;
pub(crate) mod recipients;
mod steer;

use std::time::Duration;

use emcrm_model::{Campaign, CampaignDraft, CampaignId, CampaignState, DeliveryCounts, EmailAddress, Page, PageRequest, Recipients, Rev, Role, User};
use emcrm_store::{Campaigns, CountKind, LogEntry, Queue, Task, Transaction, keys};
use serde_json::json;

pub use pace::Pace;
pub use preflight::{LeftOut, Preflight, Preview, Sample, Unmailed};
pub use progress::{Progress, Seen};
pub use recipients::Reach;

use crate::audit::Deed;
use crate::render::Recipe;
use crate::users::unexpected;
use crate::{App, AppError, Call};

impl App {
    /// Answers once the audience is frozen, or after `freeze_wait`.
    pub async fn campaign_create(&self, call: &Call, draft: CampaignDraft) -> Result<Campaign, AppError> {
        call.require(Role::Sender)?;
        if let Some(campaign) = self.replayed::<Campaign>(call).await? {
            return self.campaign_get(call, &campaign.id).await;
        }
        self.prepare(&Recipe::of_draft(&draft)).await?;
        self.somebody_matches(&Recipients::from(&draft)).await?;
        let campaign = self.campaign_new(draft, CampaignState::Pending);
        let mut tx = Transaction::new();
        self.campaign_insert(&mut tx, call, &campaign, "created");
        self.freeze_later(&mut tx, &campaign.id);
        match self.commit(call, Deed::new("campaign.created", keys::campaign_part(&campaign.id)), tx, campaign).await? {
            Ok(campaign) => self.campaign_frozen(campaign.id).await,
            Err(rule) => Err(unexpected(rule)),
        }
    }

    fn campaign_new(&self, draft: CampaignDraft, status: CampaignState) -> Campaign {
        let CampaignDraft { audience, filter, subject, body, body_format, rate, kind, event_id, tracking } = draft;
        Campaign {
            id: self.ids.ordered().into(),
            audience,
            filter,
            subject,
            body,
            body_format,
            rate,
            kind,
            event_id,
            tracking,
            status,
            total_recipients: 0,
            scheduled_at: None,
            timezone: None,
            late_after_minutes: None,
            created_at: self.stamp(),
            started_at: None,
            resumed_at: None,
            mailed_before: None,
            finished_at: None,
            frozen_up_to: None,
            frozen_at: None,
            reason: None,
            counts: DeliveryCounts::default(),
            rev: Rev(1),
        }
    }

    fn campaign_insert(&self, tx: &mut Transaction, call: &Call, campaign: &Campaign, what: &str) {
        self.store.campaigns.put(tx, campaign);
        self.store.counts.add(tx, CountKind::Campaigns, campaign.id.as_str(), 1);
        self.campaign_note(tx, call, &campaign.id, what, None);
    }

    pub(crate) fn freeze_later(&self, tx: &mut Transaction, id: &CampaignId) {
        self.store.tasks.put(tx, Queue::Mail, id.as_str(), "freeze", json!({ "campaign": id.as_str() }), self.now_ms());
    }

    /// A line in the campaign's log, in the transaction that does it.
    pub(crate) fn campaign_note(&self, tx: &mut Transaction, call: &Call, id: &CampaignId, what: &str, detail: Option<String>) {
        let entry = LogEntry { id: self.ids.ordered().to_string(), at: self.stamp(), who: call.actor.label().to_owned(), what: what.to_owned(), detail };
        self.store.campaigns.log(tx, id, &entry);
    }

    pub(crate) async fn campaign_frozen(&self, id: CampaignId) -> Result<Campaign, AppError> {
        let deadline = tokio::time::Instant::now() + self.settings.freeze_wait;
        let mut wait = Duration::from_millis(5);
        loop {
            let campaign = self.store.campaigns.get(&id).await?.ok_or(AppError::CampaignUnknown)?;
            let frozen = !matches!(campaign.status, CampaignState::Pending | CampaignState::Freezing);
            if frozen || tokio::time::Instant::now() >= deadline {
                return Ok(campaign);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(50));
        }
    }

    pub async fn campaign_get(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        call.require(Role::Viewer)?;
        self.store.campaigns.get(id).await?.ok_or(AppError::CampaignUnknown)
    }

    /// Newest first. `NothingThere` when there is none at all.
    pub async fn campaign_list(&self, call: &Call, page: PageRequest) -> Result<Page<Campaign>, AppError> {
        call.require(Role::Viewer)?;
        let total = self.store.counts.total(CountKind::Campaigns).await?;
        if total == 0 {
            return Err(AppError::NothingThere("No email requests found"));
        }
        let Page { items, total, page, size, next } = self.page("campaigns", Campaigns::list(), &page, total, Ok).await?;
        Ok(Page { items: self.store.campaigns.read_campaigns(items).await?, total, page, size, next })
    }

    /// The same without their bodies, and empty where there are none: for whoever looks through many.
    pub async fn campaign_heads(&self, call: &Call, page: PageRequest) -> Result<Page<Campaign>, AppError> {
        call.require(Role::Viewer)?;
        let total = self.store.counts.total(CountKind::Campaigns).await?;
        self.page("campaigns", Campaigns::list(), &page, total, Campaigns::read_without_body).await
    }

    /// Who did what to it, oldest first; the first thousand lines.
    pub async fn campaign_log(&self, call: &Call, id: &CampaignId) -> Result<Vec<LogEntry>, AppError> {
        self.campaign_get(call, id).await?;
        let rows = self.store.engine.query(Campaigns::log_of(id).limit(1_000)).await?;
        Ok(rows.items.into_iter().map(Campaigns::read_log).collect::<Result<_, _>>()?)
    }
}

/// The campaign that a task is about.
pub(crate) fn campaign_of(task: &Task) -> Option<CampaignId> {
    task.payload.get("campaign").and_then(serde_json::Value::as_str).map(|id| CampaignId::from(id.to_owned()))
}

/// A user is mailed at the address that was frozen, and only while it is still theirs.
pub(crate) fn same_address(user: &User, frozen: Option<&EmailAddress>) -> bool {
    frozen.is_some_and(|frozen| frozen.normalised() == user.email.normalised())
}
