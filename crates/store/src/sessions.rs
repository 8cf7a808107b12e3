//! Sessions of staff as items. The browser holds a random id; what is stored is its digest, so that whoever reads the storage cannot become somebody.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Attrs, EXPIRES, Engine, EngineError, Guard, Item, Query, Table, Transaction};
use crate::keys;
use crate::repository::{from_item, to_untyped};
use crate::rules::Rule;

/// Sessions of one person that are ended at once.
const SESSIONS_MAX: u32 = 50;

/// Somebody who is signed in, in one browser. Times in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Who, as the issuer calls them.
    pub subject: String,
    /// The same for people to read.
    pub label: String,
    pub groups: Vec<String>,
    pub created: i64,
    /// Last use, to the minute.
    pub seen: i64,
    /// After this it is over, however much it is used.
    pub expires_at: i64,
    /// When the issuer should be asked anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_at: Option<i64>,
    /// Somebody asks the issuer, until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshing_until: Option<i64>,
    /// Tokens of the issuer, encrypted.
    pub sealed: String,
}

#[derive(Clone)]
pub struct Sessions {
    engine: Arc<dyn Engine>,
}

impl Sessions {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    pub async fn get(&self, digest: &str) -> Result<Option<Session>, EngineError> {
        self.engine.get(Table::Main, &keys::session(digest)).await?.map(from_item).transpose()
    }

    pub fn put(&self, tx: &mut Transaction, digest: &str, session: &Session) {
        tx.put(Table::Main, to_untyped(keys::session(digest), session)).when(Guard::Absent).or(Rule::IdTaken);
        let attrs: Attrs = [(EXPIRES.to_owned(), Value::from(session.expires_at))].into_iter().collect();
        tx.put(Table::Main, Item { key: keys::session_of(&session.subject, digest), attrs });
    }

    pub fn used(&self, tx: &mut Transaction, digest: &str, now: i64) {
        tx.update(Table::Main, keys::session(digest)).set("seen", now).when(Guard::Present).or(Rule::Changed);
    }

    /// One caller at a time asks the issuer, with tokens that nobody has used since they were read: a refresh token can be used once.
    pub fn refresh_begin(&self, tx: &mut Transaction, digest: &str, sealed: &str, now: i64, until: i64) {
        let free = Guard::equals("sealed", sealed).and(Guard::Missing("refreshingUntil".to_owned()).or(Guard::AtMost("refreshingUntil".to_owned(), now)));
        tx.update(Table::Main, keys::session(digest)).set("refreshingUntil", until).when(free).or(Rule::LeaseHeld);
    }

    /// What the issuer said to whoever asked with the tokens `used`. Where others are kept by now, somebody has asked since, and that counts.
    pub fn refresh_end(&self, tx: &mut Transaction, digest: &str, used: &str, session: &Session) {
        tx.update(Table::Main, keys::session(digest))
            .set("label", session.label.as_str())
            .set("groups", session.groups.clone())
            .set_or_remove("refreshAt", session.refresh_at)
            .set("sealed", session.sealed.as_str())
            .remove("refreshingUntil")
            .when(Guard::equals("sealed", used))
            .or(Rule::Changed);
    }

    /// The issuer refuses the tokens `used`: the session is over, if they are still those that it has.
    pub fn refuse(&self, tx: &mut Transaction, subject: &str, digest: &str, used: &str) {
        tx.delete(Table::Main, keys::session(digest)).when(Guard::equals("sealed", used)).or(Rule::Changed);
        tx.delete(Table::Main, keys::session_of(subject, digest));
    }

    pub fn delete(&self, tx: &mut Transaction, subject: &str, digest: &str) {
        tx.delete(Table::Main, keys::session(digest));
        tx.delete(Table::Main, keys::session_of(subject, digest));
    }

    /// Digests of the sessions of one person.
    pub async fn of(&self, subject: &str) -> Result<Vec<String>, EngineError> {
        let rows = self.engine.query(Query::table(Table::Main, keys::sessions_part(subject)).limit(SESSIONS_MAX)).await?;
        Ok(rows.items.into_iter().map(|item| item.key.sk).collect())
    }
}
