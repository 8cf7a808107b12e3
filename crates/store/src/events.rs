//! Events as items.

use std::sync::Arc;

use emcrm_model::{Event, EventId, Slug, UserId};
use serde_json::Value;

use crate::engine::{Attrs, Engine, EngineError, Guard, IndexName, Item, Key, Query, Table, Transaction};
use crate::keys;
use crate::repository::{read_many, to_item};
use crate::rules::Rule;

#[derive(Clone)]
pub struct Events {
    engine: Arc<dyn Engine>,
}

impl Events {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    pub async fn get(&self, id: &EventId) -> Result<Option<Event>, EngineError> {
        let found = read_many(self.engine.as_ref(), Table::Main, &[keys::event(id)]).await?;
        Ok(found.into_iter().next().flatten())
    }

    pub async fn item(&self, id: &EventId) -> Result<Option<Item>, EngineError> {
        self.engine.get(Table::Main, &keys::event(id)).await
    }

    pub async fn get_many(&self, ids: &[EventId]) -> Result<Vec<Option<Event>>, EngineError> {
        let keys: Vec<Key> = ids.iter().map(keys::event).collect();
        read_many(self.engine.as_ref(), Table::Main, &keys).await
    }

    /// Which event the slug belongs to.
    pub async fn by_slug(&self, slug: &Slug) -> Result<Option<Event>, EngineError> {
        let Some(claim) = self.engine.get(Table::Main, &keys::slug_claim(slug)).await? else { return Ok(None) };
        let Some(id) = claim.attrs.get("event_id").and_then(Value::as_str) else { return Ok(None) };
        self.get(&EventId::from(id.to_owned())).await
    }

    /// All events in the order of their ids, which is the order in which they were made.
    pub fn list() -> Query {
        Query::index(Table::Main, IndexName::Type, keys::TYPE_EVENT)
    }

    pub fn put(&self, tx: &mut Transaction, event: &Event) {
        tx.put(Table::Main, to_item(keys::event(&event.id), keys::TYPE_EVENT, event)).when(Guard::Absent).or(Rule::IdTaken);
    }

    pub fn claim_slug(&self, tx: &mut Transaction, slug: &Slug, id: &EventId) {
        let attrs = [("event_id".to_owned(), Value::from(id.as_str()))].into_iter().collect();
        tx.put(Table::Main, Item { key: keys::slug_claim(slug), attrs }).when(Guard::Absent).or(Rule::SlugTaken);
    }

    pub fn release_slug(&self, tx: &mut Transaction, slug: &Slug, id: &EventId) {
        let ours = Guard::equals("event_id", id.as_str()).or(Guard::Absent);
        tx.delete(Table::Main, keys::slug_claim(slug)).when(ours).or(Rule::Changed);
    }

    /// The user owns or hosts the event from now on: the row that says so, and the user's counter.
    pub fn host_add(&self, tx: &mut Transaction, user: &UserId, event: &EventId) {
        tx.update(Table::Main, keys::user(user)).add("hostedCount", 1).add("rev", 1).when(Guard::Present).or(Rule::HostUnknown);
        tx.put(Table::Main, Item { key: keys::hosting(user, event), attrs: Attrs::new() });
    }

    /// The user, who exists, no longer owns or hosts the event.
    pub fn host_remove(&self, tx: &mut Transaction, user: &UserId, event: &EventId) {
        tx.update(Table::Main, keys::user(user)).add("hostedCount", -1).add("rev", 1).when(Guard::Present).or(Rule::Changed);
        self.host_forget(tx, user, event);
    }

    /// Only the row; for a user who is gone.
    pub fn host_forget(&self, tx: &mut Transaction, user: &UserId, event: &EventId) {
        tx.delete(Table::Main, keys::hosting(user, event));
    }

    /// Events that the user owns or hosts: strongly consistent, in the order of ids.
    pub fn hosted_by(user: &UserId) -> Query {
        Query::table(Table::Main, keys::hosting_part(user)).prefix(keys::EVENT_PREFIX)
    }
}

/// Id in the sort key of an attendance or of a hosting row.
pub fn event_of(key: &Key) -> Option<EventId> {
    key.sk.strip_prefix(keys::EVENT_PREFIX).map(|id| EventId::from(id.to_owned()))
}
