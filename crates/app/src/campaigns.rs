//! Campaigns: create, look at, steer. What they do by themselves is in `freeze` and `send`.

use std::time::Duration;

use emcrm_mail::Mailbox;
use emcrm_model::{
    Campaign, CampaignDraft, CampaignId, CampaignState, Delivery, DeliveryCounts, DeliveryState, EmailAddress, FieldErrors, Page, PageRequest, Position, Rev,
    Role, User, UserFilter, UserId,
};
use emcrm_search::{Kind, conditions_of};
use emcrm_store::{Campaigns, CountKind, Queue, Rule, Task, Transaction, rows_count};
use serde_json::json;

use crate::app::{ATTEMPTS, back_off};
use crate::render::Content;
use crate::users::unexpected;
use crate::{App, AppError, Call};

/// What a campaign would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// People who would be mailed.
    pub total: u64,
    /// The first of them.
    pub recipients: Vec<User>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub warnings: Vec<String>,
}

/// How long `campaign_create` waits for the audience.
const FREEZE_WAIT: Duration = Duration::from_secs(2);
/// How long a count waits for changes that are not searchable yet.
const SETTLE_WAIT: Duration = Duration::from_secs(1);
/// Recipients shown in a preview.
const PREVIEW_RECIPIENTS: u32 = 10;
/// Rows of a ledger that are looked at for one filtered page.
const LEDGER_SCAN_MAX: usize = 300_000;

impl App {
    /// Answers once the audience is frozen, or after two seconds.
    pub async fn campaign_create(&self, call: &Call, draft: CampaignDraft) -> Result<Campaign, AppError> {
        call.require(Role::Sender)?;
        if let Some(campaign) = self.replayed::<Campaign>(call).await? {
            return self.campaign_get(call, &campaign.id).await;
        }
        if self.audience_count(&draft.filter).await? == Some(0) {
            return Err(AppError::NoUsersMatch);
        }
        let CampaignDraft { filter, subject, body, body_format, rate } = draft;
        let campaign = Campaign {
            id: self.ids.ordered().into(),
            filter,
            subject,
            body,
            body_format,
            rate,
            status: CampaignState::Pending,
            total_recipients: 0,
            scheduled_at: None,
            created_at: self.stamp(),
            started_at: None,
            finished_at: None,
            frozen_up_to: None,
            frozen_at: None,
            reason: None,
            counts: DeliveryCounts::default(),
            rev: Rev(1),
        };
        let id = campaign.id.clone();
        let mut tx = Transaction::new();
        self.store.campaigns.put(&mut tx, &campaign);
        self.store.counts.add(&mut tx, CountKind::Campaigns, id.as_str(), 1);
        self.store.tasks.put(&mut tx, Queue::Mail, id.as_str(), "freeze", json!({ "campaign": id.as_str() }), self.now_ms());
        match self.commit(call, tx, campaign).await? {
            Ok(campaign) => self.campaign_frozen(campaign.id).await,
            Err(rule) => Err(unexpected(rule)),
        }
    }

    async fn campaign_frozen(&self, id: CampaignId) -> Result<Campaign, AppError> {
        let deadline = tokio::time::Instant::now() + FREEZE_WAIT;
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

    /// How many people match; none when changes are still on their way into the index, so that nobody can say.
    async fn audience_count(&self, filter: &UserFilter) -> Result<Option<u64>, AppError> {
        let settled = self.index_settled(SETTLE_WAIT).await?;
        let count = self.index.count(Kind::User, conditions_of(filter)).await?;
        Ok(if settled || count > 0 { Some(count) } else { None })
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
        self.page("campaigns", Campaigns::list(), &page, total, Campaigns::read_campaign).await
    }

    /// The ledger, in the order of user ids. `NothingThere` when it is empty.
    pub async fn deliveries_of_campaign(
        &self,
        call: &Call,
        id: &CampaignId,
        page: PageRequest,
        state: Option<DeliveryState>,
    ) -> Result<Page<Delivery>, AppError> {
        call.require(Role::Viewer)?;
        let nothing = AppError::NothingThere("No emails found for this request");
        let Some(campaign) = self.store.campaigns.get(id).await? else { return Err(nothing) };
        let list = format!("deliveries/{id}");
        match state {
            None if campaign.total_recipients == 0 => Err(nothing),
            None => self.page(&list, Campaigns::deliveries(id), &page, campaign.total_recipients, Campaigns::read_delivery).await,
            Some(state) => {
                let total = campaign.counts.get(state).max(0) as u64;
                if total == 0 {
                    return Err(nothing);
                }
                self.deliveries_in(&format!("{list}/{}", state.as_str()), id, &page, state, total).await
            }
        }
    }

    async fn deliveries_in(&self, list: &str, id: &CampaignId, page: &PageRequest, state: DeliveryState, total: u64) -> Result<Page<Delivery>, AppError> {
        let (mut after, mut skip, number) = match &page.position {
            Position::Cursor(cursor) => (Some(self.open_position(list, cursor)?), 0, 1),
            Position::Number(number) if number.saturating_mul(page.size) > PageRequest::DEEPEST => return Err(AppError::TooDeep),
            Position::Number(number) => (None, (number.saturating_sub(1) * page.size) as usize, *number),
        };
        let mut items = Vec::new();
        let mut looked = 0;
        loop {
            let rows = self.store.engine.query(Campaigns::deliveries(id).limit(1_000).after(after.take())).await?;
            looked += rows.items.len();
            for item in rows.items {
                let key = item.key.clone();
                let delivery = Campaigns::read_delivery(item)?;
                if delivery.status != state {
                    continue;
                }
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                items.push(delivery);
                if items.len() == page.size as usize {
                    let next = Some(self.seal_position(list, key));
                    return Ok(Page { items, total, page: number, size: page.size, next });
                }
            }
            match rows.next {
                Some(next) if looked >= LEDGER_SCAN_MAX => {
                    let next = Some(self.seal_position(list, next));
                    return Ok(Page { items, total, page: number, size: page.size, next });
                }
                Some(next) => after = Some(next),
                None => return Ok(Page { items, total, page: number, size: page.size, next: None }),
            }
        }
    }

    /// A person's mails, newest first. `NothingThere` when there is none.
    pub async fn deliveries_of_user(&self, call: &Call, user: &UserId, page: PageRequest) -> Result<Page<Delivery>, AppError> {
        call.require(Role::Viewer)?;
        let query = Campaigns::deliveries_of_user(user);
        let total = rows_count(self.store.engine.as_ref(), query.clone()).await?;
        if total == 0 {
            return Err(AppError::NothingThere("No emails found for this user"));
        }
        self.page(&format!("deliveries-of/{user}"), query, &page, total, Campaigns::read_delivery).await
    }

    /// What sending would do. Nothing is stored and nothing is sent.
    pub async fn campaign_preview(&self, call: &Call, draft: CampaignDraft) -> Result<Preview, AppError> {
        call.require(Role::Viewer)?;
        let total = self.audience_count(&draft.filter).await?.unwrap_or(0);
        let ids = self.index.walk(Kind::User, conditions_of(&draft.filter), None, PREVIEW_RECIPIENTS).await?;
        let ids: Vec<UserId> = ids.into_iter().map(UserId::from).collect();
        let recipients: Vec<User> = self.store.users.get_many(&ids).await?.into_iter().flatten().filter(|user| draft.filter.matches(user)).collect();
        let content = Content::render(&draft.subject, &draft.body, draft.body_format);
        let mut warnings = content.warnings();
        if total == 0 {
            warnings.push("Nobody matches the filter.".to_owned());
        }
        let Content { subject, text, html } = content;
        Ok(Preview { total, recipients, subject, text, html, warnings })
    }

    /// One mail to one address, marked as a test, in no ledger. Answers the mail server's words.
    pub async fn campaign_test(&self, call: &Call, draft: CampaignDraft, to: EmailAddress) -> Result<String, AppError> {
        call.require(Role::Sender)?;
        let content = Content::render(&format!("[Test] {}", draft.subject), &draft.body, draft.body_format);
        let domain = self.settings.mail_from.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        let message_id = format!("test-{}@{domain}", self.ids.random().simple());
        let mail =
            self.mail(&content, Mailbox { name: None, address: to.as_str().to_owned() }, message_id, vec![("X-EMCRM-Test".to_owned(), "yes".to_owned())])?;
        let mut connection = self.transport.connect().await?;
        let receipt = connection.send(&mail).await;
        connection.close().await;
        Ok(receipt?.reply)
    }

    /// No further mail is handed over; those in hand are recorded.
    pub async fn campaign_pause(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        self.campaign_step(call, id, "paused", &[CampaignState::Sending], CampaignState::Paused, None).await
    }

    pub async fn campaign_resume(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        let send = ("send", json!({ "campaign": id.as_str() }));
        self.campaign_step(call, id, "resumed", &[CampaignState::Paused], CampaignState::Sending, Some(send)).await
    }

    /// What has not been sent will not be.
    pub async fn campaign_cancel(&self, call: &Call, id: &CampaignId) -> Result<Campaign, AppError> {
        let cancel = ("cancel", json!({ "campaign": id.as_str() }));
        let from = [CampaignState::Pending, CampaignState::Freezing, CampaignState::Sending, CampaignState::Paused];
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
            let campaign = Campaign { status: to, reason: None, finished_at, rev: Rev(old.rev.0 + 1), ..old };
            match self.commit(call, tx, campaign).await? {
                Ok(campaign) => return Ok(campaign),
                Err(Rule::CampaignMoved) => {}
                Err(Rule::CampaignUnknown) => return Err(AppError::CampaignUnknown),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
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
