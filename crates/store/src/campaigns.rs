//! Campaigns and their ledger as items.

use std::sync::Arc;

use emcrm_model::{Campaign, CampaignId, CampaignState, Delivery, DeliveryState, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Attrs, Engine, EngineError, GET_MANY_MAX, Guard, IndexName, Item, Query, Table, Transaction};
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
        let key = keys::campaign(id);
        let keys = [key.clone(), keys::campaign_body(&key)];
        for _ in 0..READS {
            let mut items = self.engine.get_many(Table::Email, &keys).await?.into_iter();
            let (Some(Some(campaign)), body) = (items.next(), items.next().flatten()) else { return Ok(None) };
            if let Some(campaign) = whole(campaign, body) {
                return from_item(campaign).map(Some);
            }
        }
        Err(EngineError::Corrupt(format!("{}: its body is missing, or another one", key.pk)))
    }

    /// Campaigns of a list, with their bodies.
    pub async fn read_campaigns(&self, items: Vec<Item>) -> Result<Vec<Campaign>, EngineError> {
        let mut campaigns = Vec::with_capacity(items.len());
        for chunk in items.chunks(GET_MANY_MAX) {
            let keys: Vec<_> = chunk.iter().map(|item| keys::campaign_body(&item.key)).collect();
            for (item, body) in chunk.iter().zip(self.engine.get_many(Table::Email, &keys).await?) {
                let read = match whole(item.clone(), body) {
                    Some(item) => from_item(item).map(Some),
                    // The list is a moment behind somebody who edits: what stands by now.
                    None => match from_item::<Campaign>(item.clone()) {
                        Ok(campaign) => self.get(&campaign.id).await,
                        Err(error) => Err(error),
                    },
                };
                match read {
                    Ok(campaign) => campaigns.extend(campaign),
                    Err(EngineError::Corrupt(why)) => tracing::error!(why, "a campaign cannot be read and is left out of its list"),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(campaigns)
    }

    /// All campaigns, newest first. Their bodies are apart: see [`Campaigns::read_campaigns`].
    pub fn list() -> Query {
        Query::index(Table::Email, IndexName::Type, keys::TYPE_CAMPAIGN).backward()
    }

    /// A campaign as its own item has it: without its body.
    pub fn read_without_body(item: Item) -> Result<Campaign, EngineError> {
        from_item(item)
    }

    pub fn put(&self, tx: &mut Transaction, campaign: &Campaign) {
        Self::write(tx, campaign, Guard::Absent, Rule::IdTaken);
    }

    /// Writes the whole campaign anew where `guard` holds.
    pub fn replace(&self, tx: &mut Transaction, campaign: &Campaign, guard: Guard) {
        Self::write(tx, campaign, guard, Rule::CampaignMoved);
    }

    /// Removes a campaign that nobody was mailed by; its log is for the caller.
    pub fn delete(&self, tx: &mut Transaction, id: &CampaignId, guard: Guard) {
        let key = keys::campaign(id);
        tx.delete(Table::Email, keys::campaign_body(&key));
        tx.delete(Table::Email, key).when(guard).or(Rule::CampaignMoved);
    }

    /// The body, up to 100 KB, has an item of its own: each batch of a send writes the campaign's counts, and an engine charges for the whole item.
    fn write(tx: &mut Transaction, campaign: &Campaign, guard: Guard, rule: Rule) {
        let mut item = to_item(keys::campaign(&campaign.id), keys::TYPE_CAMPAIGN, campaign);
        item.attrs.remove(BODY);
        item.attrs.insert(BODY_DIGEST.to_owned(), keys::sha256(&campaign.body).into());
        let key = keys::campaign_body(&item.key);
        tx.put(Table::Email, item).when(guard).or(rule);
        let attrs = Attrs::from_iter([(BODY.to_owned(), Value::from(campaign.body.as_str()))]);
        tx.put(Table::Email, Item { key, attrs });
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

    pub fn read_delivery(item: Item) -> Result<Delivery, EngineError> {
        from_item(item)
    }
}

/// Reads until the campaign and its body belong together: they are read one by one, and somebody may edit between.
const READS: usize = 5;
const BODY: &str = "body";
const BODY_DIGEST: &str = "bodyDigest";

/// The campaign's item with its body in it. None when the two do not belong together. Earlier versions kept the body where it is read here.
fn whole(mut campaign: Item, body: Option<Item>) -> Option<Item> {
    let Some(wanted) = campaign.attrs.remove(BODY_DIGEST) else { return Some(campaign) };
    let body = body?.attrs.remove(BODY)?;
    if keys::sha256(body.as_str()?) != wanted {
        return None;
    }
    campaign.attrs.insert(BODY.to_owned(), body);
    Some(campaign)
}
