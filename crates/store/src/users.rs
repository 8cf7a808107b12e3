//! Users as items.

use std::sync::Arc;

use emcrm_model::{EmailAddress, User, UserId};
use serde_json::Value;

use crate::engine::{Engine, EngineError, GET_MANY_MAX, Guard, IndexName, Item, Key, Query, Table, Transaction};
use crate::keys;
use crate::repository::{read_many, to_item};
use crate::rules::Rule;

#[derive(Clone)]
pub struct Users {
    engine: Arc<dyn Engine>,
}

impl Users {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    pub async fn get(&self, id: &UserId) -> Result<Option<User>, EngineError> {
        let found = read_many(self.engine.as_ref(), Table::Main, &[keys::user(id)]).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// As stored: what guards are built from.
    pub async fn item(&self, id: &UserId) -> Result<Option<Item>, EngineError> {
        self.engine.get(Table::Main, &keys::user(id)).await
    }

    /// In the order of `ids`; any number of them.
    pub async fn get_many(&self, ids: &[UserId]) -> Result<Vec<Option<User>>, EngineError> {
        let keys: Vec<Key> = ids.iter().map(keys::user).collect();
        read_many(self.engine.as_ref(), Table::Main, &keys).await
    }

    /// Whom the address belongs to.
    pub async fn by_email(&self, address: &EmailAddress) -> Result<Option<User>, EngineError> {
        let Some(claim) = self.engine.get(Table::Main, &keys::email_claim(address)).await? else { return Ok(None) };
        let Some(id) = claim.attrs.get("user_id").and_then(Value::as_str) else { return Ok(None) };
        self.get(&UserId::from(id.to_owned())).await
    }

    /// Whom these addresses belong to, in their order, any number of them; none where nobody has claimed one.
    pub async fn holders(&self, addresses: &[EmailAddress]) -> Result<Vec<Option<UserId>>, EngineError> {
        let mut holders = Vec::with_capacity(addresses.len());
        for chunk in addresses.chunks(GET_MANY_MAX) {
            let keys: Vec<Key> = chunk.iter().map(keys::email_claim).collect();
            let claims = self.engine.get_many(Table::Main, &keys).await?;
            holders.extend(claims.into_iter().map(|claim| claim?.attrs.get("user_id")?.as_str().map(|id| UserId::from(id.to_owned()))));
        }
        Ok(holders)
    }

    /// All users in the order of their ids.
    pub fn list() -> Query {
        Query::index(Table::Main, IndexName::Type, keys::TYPE_USER)
    }

    pub fn put(&self, tx: &mut Transaction, user: &User) {
        tx.put(Table::Main, to_item(keys::user(&user.id), keys::TYPE_USER, user)).when(Guard::Absent).or(Rule::IdTaken);
    }

    pub fn claim_email(&self, tx: &mut Transaction, address: &EmailAddress, id: &UserId) {
        let attrs = [("user_id".to_owned(), Value::from(id.as_str()))].into_iter().collect();
        tx.put(Table::Main, Item { key: keys::email_claim(address), attrs }).when(Guard::Absent).or(Rule::EmailTaken);
    }

    /// The claim is given up. It is not an error if somebody repaired it away.
    pub fn release_email(&self, tx: &mut Transaction, address: &EmailAddress, id: &UserId) {
        let ours = Guard::equals("user_id", id.as_str()).or(Guard::Absent);
        tx.delete(Table::Main, keys::email_claim(address)).when(ours).or(Rule::Changed);
    }

    /// Adds to a counter of the user, who must exist.
    pub fn count(&self, tx: &mut Transaction, id: &UserId, attr: &str, by: i64, missing: Rule) {
        tx.update(Table::Main, keys::user(id)).add(attr, by).add("rev", 1).when(Guard::Present).or(missing);
    }
}

/// The guard that an attribute is as it was read.
pub fn unchanged(item: &Item, attr: &str) -> Guard {
    match item.attrs.get(attr) {
        Some(value) => Guard::Equals(attr.to_owned(), value.clone()),
        None => Guard::Missing(attr.to_owned()),
    }
}
