//! Answers of writes that carried an `Idempotency-Key`, kept for a day.

use std::sync::Arc;

use serde_json::Value;

use crate::engine::{Attrs, EXPIRES, Engine, EngineError, Guard, Item, Table, Transaction};
use crate::keys;
use crate::rules::Rule;

/// How long an answer is kept, in seconds.
pub const KEPT_SECONDS: i64 = 24 * 60 * 60;

#[derive(Clone)]
pub struct IdempotencyRows {
    engine: Arc<dyn Engine>,
}

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    pub fingerprint: String,
    pub answer: Value,
}

impl IdempotencyRows {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// `now` in seconds since 1970; what is older than a day is forgotten.
    pub async fn get(&self, actor: &str, key: &str, now: i64) -> Result<Option<Remembered>, EngineError> {
        let Some(item) = self.engine.get(Table::Main, &keys::idempotency(actor, key)).await? else { return Ok(None) };
        if item.attrs.get(EXPIRES).and_then(Value::as_i64).is_none_or(|expires| expires <= now) {
            return Ok(None);
        }
        let text = |name: &str| item.attrs.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let answer = serde_json::from_str(&text("answer")).map_err(|error| EngineError::Corrupt(format!("an idempotency row: {error}")))?;
        Ok(Some(Remembered { fingerprint: text("fingerprint"), answer }))
    }

    /// Remembers the answer in the change that it is the answer to. Call this first, so that a repeat is told by its key.
    pub fn put(&self, tx: &mut Transaction, actor: &str, key: &str, remembered: &Remembered, now: i64) {
        let attrs: Attrs = [
            ("fingerprint".to_owned(), Value::from(remembered.fingerprint.as_str())),
            ("answer".to_owned(), Value::from(remembered.answer.to_string())),
            (EXPIRES.to_owned(), Value::from(now + KEPT_SECONDS)),
        ]
        .into_iter()
        .collect();
        let free = Guard::Absent.or(Guard::AtMost(EXPIRES.to_owned(), now));
        tx.put(Table::Main, Item { key: keys::idempotency(actor, key), attrs }).when(free).or(Rule::KeyUsed);
    }
}
