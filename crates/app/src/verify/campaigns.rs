//! Campaigns: total, counts against the ledger, rows that should be settled, addresses that were mailed twice.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use emcrm_model::{Campaign, CampaignState, Delivery, DeliveryState, EmailAddress};
use emcrm_store::{Campaigns, CountKind, EngineError, Guard, Item, Queue, Rule, Suppressions, Table, Templates, from_item, keys, rows_count, unchanged};
use serde_json::json;

use super::tasks::Waiting;
use super::walk::Rows;
use super::{Check, FindingKind, NoteKind, RECOUNTS, Repair, has_address, number, text};
use crate::AppError;

/// Ledger rows that are looked at together.
const BATCH: usize = 1_000;

/// Rows of a ledger by state.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    states: [i64; DeliveryState::ALL.len()],
    rows: i64,
}

impl Tally {
    fn count(&mut self, state: DeliveryState) {
        self.rows += 1;
        if let Some(n) = DeliveryState::ALL.iter().position(|other| *other == state).and_then(|at| self.states.get_mut(at)) {
            *n += 1;
        }
    }
    fn get(&self, state: DeliveryState) -> i64 {
        DeliveryState::ALL.iter().position(|other| *other == state).and_then(|at| self.states.get(at)).copied().unwrap_or(0)
    }
    /// Attributes of the campaign as they should be.
    fn attrs(&self) -> impl Iterator<Item = (&'static str, i64)> {
        DeliveryState::ALL.into_iter().map(|state| (state.count_attr(), self.get(state))).chain([("totalRecipients", self.rows)])
    }
    /// Attributes that differ, with what they are.
    fn differences(&self, item: &Item) -> Vec<(&'static str, i64, i64)> {
        self.attrs().map(|(attr, right)| (attr, number(item, attr), right)).filter(|(_, stored, right)| stored != right).collect()
    }
}

impl Check<'_> {
    pub(super) async fn campaigns(&mut self) -> Result<(), AppError> {
        let engine = self.app.store.engine.clone();
        let before = self.sum(CountKind::Campaigns).await?;
        let mut rows = Rows::new(engine.as_ref(), Campaigns::list());
        while let Some(item) = rows.next().await? {
            self.report.counted.campaigns += 1;
            (self.progress)("campaigns", self.report.counted.campaigns);
            let place = item.key.pk.clone();
            match from_item::<Campaign>(item.clone()) {
                Ok(campaign) => self.campaign(&campaign, item).await?,
                Err(error) => self.found(FindingKind::Unreadable, place, error.to_string(), Repair::NotPossible),
            }
        }
        self.total(FindingKind::CampaignTotal, CountKind::Campaigns, before, self.report.counted.campaigns).await
    }

    /// Totals of the suppression list and of the templates. Entries of an earlier service have no type: they are honoured, and not counted.
    pub(super) async fn mail_lists(&mut self) -> Result<(), AppError> {
        for (kind, list) in [(CountKind::Suppressions, Suppressions::list()), (CountKind::Templates, Templates::list())] {
            let before = self.sum(kind).await?;
            let recount = rows_count(self.app.store.engine.as_ref(), list).await?;
            self.total(FindingKind::MailListTotal, kind, before, recount).await?;
        }
        Ok(())
    }

    async fn campaign(&mut self, campaign: &Campaign, mut item: Item) -> Result<(), AppError> {
        let place = keys::campaign(&campaign.id).pk;
        match self.app.store.campaigns.get(&campaign.id).await {
            Err(EngineError::Corrupt(why)) => self.found(FindingKind::Unreadable, place.clone(), why, Repair::NotPossible),
            other => drop(other?),
        }
        let tally = self.ledger(campaign).await?;
        self.report.counted.deliveries += tally.rows as u64;
        if tally.get(DeliveryState::Unknown) > 0 {
            let detail = "the answer to these mails was lost; they may have arrived, and are only sent again when a person says so";
            self.note(NoteKind::UnknownDeliveries, tally.get(DeliveryState::Unknown) as u64, place.clone(), detail);
        }
        if tally.get(DeliveryState::Sending) > 0 {
            let detail = "in hand; if no server is running, they become unknown when the next one starts";
            self.note(NoteKind::SendingDeliveries, tally.get(DeliveryState::Sending) as u64, place.clone(), detail);
        }
        let mut tally = Some(tally);
        for _ in 0..RECOUNTS {
            let recount = match tally.take() {
                Some(tally) => tally,
                None => self.tally(campaign).await?,
            };
            let Some(again) = self.app.store.engine.get(Table::Email, &keys::campaign(&campaign.id)).await? else { return Ok(()) };
            if number(&item, "rev") != number(&again, "rev") {
                item = again;
                continue;
            }
            self.campaign_counts(campaign, &again, &recount).await?;
            return self.campaign_ended(campaign, &again, &recount).await;
        }
        self.note(NoteKind::ChangedMeanwhile, 1, place, "the campaign is being sent, so its counts were not compared");
        Ok(())
    }

    async fn campaign_counts(&mut self, campaign: &Campaign, item: &Item, recount: &Tally) -> Result<(), AppError> {
        let differences = recount.differences(item);
        if differences.is_empty() {
            return Ok(());
        }
        let detail: Vec<String> = differences.iter().map(|(attr, stored, right)| format!("{attr} is {stored}, the ledger has {right}")).collect();
        let repair = self
            .mend(|tx| {
                let mut op = self.app.store.campaigns.update_any(tx, &campaign.id).when(unchanged(item, "rev")).or(Rule::Changed);
                for (attr, _, right) in &differences {
                    op = op.set(attr, *right);
                }
            })
            .await?;
        self.found(FindingKind::DeliveryCounts, item.key.pk.clone(), detail.join("; "), repair);
        Ok(())
    }

    /// A campaign that has ended has no rows that wait; one that has not has a task.
    async fn campaign_ended(&mut self, campaign: &Campaign, item: &Item, recount: &Tally) -> Result<(), AppError> {
        let id = &campaign.id;
        let Some(state) = from_item::<Campaign>(item.clone()).ok().map(|campaign| campaign.status) else { return Ok(()) };
        let open = recount.get(DeliveryState::Pending) + recount.get(DeliveryState::Sending);
        let carried_on = match state {
            CampaignState::Scheduled => Some("schedule"),
            CampaignState::Pending | CampaignState::Freezing => Some("freeze"),
            CampaignState::Sending => Some("send"),
            CampaignState::Cancelled if open > 0 => Some("cancel"),
            CampaignState::Sent | CampaignState::Error if open > 0 => None,
            CampaignState::Draft | CampaignState::Paused | CampaignState::Sent | CampaignState::Error | CampaignState::Cancelled => {
                return Ok(());
            }
        };
        if self.waiting.campaigns.contains(id.as_str()) || Waiting::read(self.app).await?.campaigns.contains(id.as_str()) {
            return Ok(());
        }
        // The task may have ended between the two reads, and the campaign with it.
        if self.app.store.campaigns.get(id).await?.is_none_or(|now| now.status != state) {
            return Ok(());
        }
        let (kind, detail) = match state {
            CampaignState::Scheduled | CampaignState::Pending | CampaignState::Freezing | CampaignState::Sending => {
                (FindingKind::CampaignStuck, format!("the campaign is {state}, and no task carries it on"))
            }
            _ => (FindingKind::DeliveryUnsettled, format!("the campaign is {state}, and {open} rows of its ledger are pending or sending")),
        };
        let repair = match carried_on {
            Some(task) => {
                let now = self.app.now_ms();
                self.mend(|tx| self.app.store.tasks.put(tx, Queue::Mail, id.as_str(), task, json!({ "campaign": id.as_str() }), now)).await?
            }
            // Whether they should still be sent is for a person to say.
            None => Repair::NotPossible,
        };
        self.found(kind, item.key.pk.clone(), detail, repair);
        Ok(())
    }

    async fn tally(&self, campaign: &Campaign) -> Result<Tally, AppError> {
        let mut tally = Tally::default();
        let mut rows = Rows::new(self.app.store.engine.as_ref(), Campaigns::deliveries(&campaign.id));
        while let Some(item) = rows.next().await? {
            if let Some(state) = text(&item, "status").and_then(DeliveryState::parse) {
                tally.count(state);
            }
        }
        Ok(tally)
    }

    /// Counts the ledger, and looks at each row.
    async fn ledger(&mut self, campaign: &Campaign) -> Result<Tally, AppError> {
        let engine = self.app.store.engine.clone();
        let mut tally = Tally::default();
        // Eight bytes for each mail. Two addresses share a hash with a chance of one in thirty million at a million mails.
        let mut mailed: HashSet<u64> = HashSet::new();
        let mut rows = Rows::new(engine.as_ref(), Campaigns::deliveries(&campaign.id));
        loop {
            let items = rows.take(BATCH).await?;
            if items.is_empty() {
                return Ok(tally);
            }
            let mut deliveries = Vec::with_capacity(items.len());
            for item in items {
                let place = format!("{}/{}", item.key.pk, item.key.sk);
                match Campaigns::read_delivery(item) {
                    Ok(delivery) => deliveries.push(delivery),
                    Err(error) => self.found(FindingKind::Unreadable, place, error.to_string(), Repair::NotPossible),
                }
            }
            for delivery in &deliveries {
                tally.count(delivery.status);
                // A row that was skipped, for instance because its user moved on, mailed nobody.
                let out = matches!(
                    delivery.status,
                    DeliveryState::Sending | DeliveryState::Sent | DeliveryState::Unknown | DeliveryState::Bounced | DeliveryState::Complained
                );
                if let Some(address) = delivery.email.as_ref().filter(|address| out && !mailed.insert(hash(address.normalised()))) {
                    let row = keys::delivery(&campaign.id, &delivery.user_id);
                    let detail = format!("another row of this ledger was sent to {address}, too");
                    self.found(FindingKind::AddressMailedTwice, format!("{}/{}", row.pk, row.sk), detail, Repair::NotPossible);
                }
            }
            (self.progress)("deliveries", self.report.counted.deliveries + tally.rows as u64);
            self.claims_left(&deliveries).await?;
        }
    }

    /// Claims on addresses of the ledger that nobody has any more.
    async fn claims_left(&mut self, deliveries: &[Delivery]) -> Result<(), AppError> {
        let users = self.fetch(Table::Main, deliveries.iter().map(|delivery| keys::user(&delivery.user_id)).collect()).await?;
        let moved: Vec<&EmailAddress> = deliveries
            .iter()
            .filter_map(|delivery| {
                let address = delivery.email.as_ref()?;
                users.get(&keys::user(&delivery.user_id)).is_none_or(|user| !has_address(user, address)).then_some(address)
            })
            .collect();
        let claims = self.fetch(Table::Main, moved.iter().map(|address| keys::email_claim(address)).collect()).await?;
        for address in moved {
            let Some(claim) = claims.get(&keys::email_claim(address)) else { continue };
            let holder = text(claim, "user_id").unwrap_or_default();
            let user = self.app.store.users.item(&holder.to_owned().into()).await?;
            if user.is_some_and(|user| has_address(&user, address)) {
                continue;
            }
            // Deleted or changed between the two reads?
            if self.app.store.engine.get(Table::Main, &claim.key).await?.as_ref() != Some(claim) {
                continue;
            }
            let repair = self
                .mend(|tx| {
                    tx.check(Table::Main, keys::user(&holder.to_owned().into()))
                        .when(Guard::Differs("email".to_owned(), address.as_str().into()))
                        .or(Rule::Changed);
                    tx.delete(Table::Main, claim.key.clone()).when(unchanged(claim, "user_id")).or(Rule::Changed);
                })
                .await?;
            self.found(
                FindingKind::EmailClaimLeft,
                claim.key.pk.clone(),
                format!("the address {address} is claimed for user#{holder}, who does not have it"),
                repair,
            );
        }
        Ok(())
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
