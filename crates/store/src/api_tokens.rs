//! API tokens as items: one row each, in one partition, because a list of them is short.

use std::sync::Arc;

use emcrm_model::ApiToken;
use serde_json::Value;

use crate::engine::{Engine, EngineError, Guard, Item, Query, Table, Transaction};
use crate::keys;
use crate::repository::{from_item, to_untyped};
use crate::rules::Rule;

/// Most tokens that there can be.
pub const TOKENS_MAX: u32 = 1_000;

const HASH: &str = "hash";

#[derive(Clone)]
pub struct ApiTokens {
    engine: Arc<dyn Engine>,
}

impl ApiTokens {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// A token with the digest of its secret.
    pub async fn get(&self, id: &str) -> Result<Option<(ApiToken, String)>, EngineError> {
        let Some(item) = self.engine.get(Table::Main, &keys::api_token(id)).await? else { return Ok(None) };
        let hash = item.attrs.get(HASH).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some((from_item(item)?, hash)))
    }

    /// All of them, also those that were revoked or have expired; ids are in the order of time.
    pub async fn list(&self) -> Result<Vec<ApiToken>, EngineError> {
        let rows = self.engine.query(Query::table(Table::Main, keys::API_TOKENS).limit(TOKENS_MAX)).await?;
        rows.items.into_iter().map(from_item).collect()
    }

    pub fn put(&self, tx: &mut Transaction, token: &ApiToken, hash: &str) {
        let Item { key, mut attrs } = to_untyped(keys::api_token(&token.id), token);
        attrs.insert(HASH.to_owned(), hash.into());
        tx.put(Table::Main, Item { key, attrs }).when(Guard::Absent).or(Rule::IdTaken);
    }

    /// Refused from now on. Its row stays, for those who ask later what it was.
    pub fn revoke(&self, tx: &mut Transaction, id: &str, at: &str) {
        let good = Guard::Present.and(Guard::Missing("revokedAt".to_owned()));
        tx.update(Table::Main, keys::api_token(id)).set("revokedAt", at).remove(HASH).when(good).or(Rule::Changed);
    }

    pub fn used(&self, tx: &mut Transaction, id: &str, at: &str) {
        tx.update(Table::Main, keys::api_token(id)).set("lastUsedAt", at).when(Guard::Present).or(Rule::Changed);
    }
}
