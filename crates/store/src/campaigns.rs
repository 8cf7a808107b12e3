//! Campaigns and their ledger as items.

use std::sync::Arc;

use emcrm_model::{Campaign, CampaignId, CampaignState, Delivery, DeliveryState, UserId};
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, EngineError, Guard, IndexName, Item, Query, Table, Transaction};
use crate::keys;
use crate::repository::{from_item, to_item, to_untyped};
use crate::rules::Rule;

/// One line of a campaign's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Orders entries of one moment.
    pub id: String,
    /// UTC, microseconds.
    pub at: String,
    /// Name of the actor.
    pub who: String,
    /// What was done, in one word: `created`, `paused`, …
    pub what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone)]
pub struct Campaigns {
    engine: Arc<dyn Engine>,
}

impl Campaigns {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    pub async fn get(&self, id: &CampaignId) -> Result<Option<Campaign>, EngineError> {
        self.engine.get(Table::Email, &keys::campaign(id)).await?.map(from_item).transpose()
    }

    /// All campaigns, newest first.
    pub fn list() -> Query {
        Query::index(Table::Email, IndexName::Type, keys::TYPE_CAMPAIGN).backward()
    }

    pub fn put(&self, tx: &mut Transaction, campaign: &Campaign) {
        tx.put(Table::Email, to_item(keys::campaign(&campaign.id), keys::TYPE_CAMPAIGN, campaign)).when(Guard::Absent).or(Rule::IdTaken);
    }

    /// Writes the whole campaign anew where `guard` holds.
    pub fn replace(&self, tx: &mut Transaction, campaign: &Campaign, guard: Guard) {
        tx.put(Table::Email, to_item(keys::campaign(&campaign.id), keys::TYPE_CAMPAIGN, campaign)).when(guard).or(Rule::CampaignMoved);
    }

    /// An update of the campaign that holds only while it is in one of these states.
    pub fn update_in<'a>(&self, tx: &'a mut Transaction, id: &CampaignId, states: &[CampaignState]) -> crate::engine::OpBuilder<'a> {
        let any = Guard::Any(states.iter().map(|state| Guard::equals("status", state.as_str())).collect());
        tx.update(Table::Email, keys::campaign(id)).add("rev", 1).when(Guard::Present).or(Rule::CampaignUnknown).when(any).or(Rule::CampaignMoved)
    }

    /// An update of the campaign in whatever state it is.
    pub fn update_any<'a>(&self, tx: &'a mut Transaction, id: &CampaignId) -> crate::engine::OpBuilder<'a> {
        tx.update(Table::Email, keys::campaign(id)).add("rev", 1).when(Guard::Present).or(Rule::CampaignUnknown)
    }

    pub async fn delivery(&self, campaign: &CampaignId, user: &UserId) -> Result<Option<Delivery>, EngineError> {
        self.engine.get(Table::Email, &keys::delivery(campaign, user)).await?.map(from_item).transpose()
    }

    /// The ledger of a campaign in the order of user ids; strongly consistent.
    pub fn deliveries(campaign: &CampaignId) -> Query {
        Query::table(Table::Email, keys::delivery_part(campaign))
    }

    /// A user's mails, newest first, by an index.
    pub fn deliveries_of_user(user: &UserId) -> Query {
        Query::index(Table::Email, IndexName::User, keys::user_part(user)).prefix(keys::DELIVERY_PREFIX).backward()
    }

    pub fn put_delivery(&self, tx: &mut Transaction, delivery: &Delivery) {
        let key = keys::delivery(&delivery.campaign_id, &delivery.user_id);
        tx.put(Table::Email, to_item(key, keys::TYPE_DELIVERY, delivery)).when(Guard::Absent).or(Rule::CampaignMoved);
    }

    /// A change of one delivery from one state to another.
    pub fn delivery_step<'a>(
        &self,
        tx: &'a mut Transaction,
        campaign: &CampaignId,
        user: &UserId,
        from: DeliveryState,
        to: DeliveryState,
    ) -> crate::engine::OpBuilder<'a> {
        tx.update(Table::Email, keys::delivery(campaign, user)).set("status", to.as_str()).when(Guard::equals("status", from.as_str())).or(Rule::CampaignMoved)
    }

    /// Notes who did what, and why, in the transaction that does it.
    pub fn log(&self, tx: &mut Transaction, id: &CampaignId, entry: &LogEntry) {
        let key = keys::campaign_log(id, &entry.at, &entry.id);
        tx.put(Table::Email, to_untyped(key, entry));
    }

    /// The log of a campaign, oldest first.
    pub fn log_of(id: &CampaignId) -> Query {
        Query::table(Table::Email, keys::campaign_log_part(id))
    }

    pub fn read_log(item: Item) -> Result<LogEntry, EngineError> {
        from_item(item)
    }

    pub fn read_campaign(item: Item) -> Result<Campaign, EngineError> {
        from_item(item)
    }

    pub fn read_delivery(item: Item) -> Result<Delivery, EngineError> {
        from_item(item)
    }
}
