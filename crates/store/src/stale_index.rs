//! An engine whose indexes lag, as DynamoDB's may: index queries answer from the state before the last transactions, all other reads are
//! current. For tests that nothing which decides reads an index.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use emcrm_model::Clock;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::engine::{
    Attrs, Change, Direction, Engine, EngineError, GET_MANY_MAX, IndexName, Item, Key, Query, Range, Rows, Table, TransactError, Transaction, check_limits,
    check_query,
};

/// How far the indexes are behind.
#[derive(Clone)]
pub enum Lag {
    /// By the last so many transactions that changed something.
    Transactions(usize),
    /// By what was written in the last so long.
    Time(SignedDuration, Arc<dyn Clock>),
}

pub struct StaleIndexEngine {
    inner: Arc<dyn Engine>,
    lag: Lag,
    /// What the indexes do not show yet, oldest first.
    hidden: Mutex<VecDeque<Hidden>>,
    /// One transaction at a time, so that an image is the one before its transaction.
    writing: tokio::sync::Mutex<()>,
}

/// The items of one transaction as they were before it.
struct Hidden {
    at: Option<Timestamp>,
    before: Vec<(Table, Key, Option<Attrs>)>,
}

impl StaleIndexEngine {
    pub fn new(inner: Arc<dyn Engine>, lag: Lag) -> Self {
        Self { inner, lag, hidden: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Brings the indexes up to date with everything that was written until now.
    pub fn catch_up(&self) {
        self.hidden.lock().clear();
    }

    async fn images(&self, transaction: &Transaction) -> Result<Vec<(Table, Key, Option<Attrs>)>, EngineError> {
        let mut images = Vec::with_capacity(transaction.ops.len());
        for table in [Table::Main, Table::Email] {
            let changed = transaction.ops.iter().filter(|op| op.table == table && op.change != Change::Check);
            let keys: Vec<_> = changed.map(|op| op.key.clone()).collect();
            for keys in keys.chunks(GET_MANY_MAX) {
                let items = self.inner.get_many(table, keys).await?;
                images.extend(keys.iter().zip(items).map(|(key, item)| (table, key.clone(), item.map(|item| item.attrs))));
            }
        }
        Ok(images)
    }

    /// Shows what the lag allows, and gives the images of what is still hidden: for each item the oldest.
    fn overlay(&self, table: Table) -> BTreeMap<Key, Option<Attrs>> {
        let mut hidden = self.hidden.lock();
        match &self.lag {
            Lag::Transactions(count) => {
                let shown = hidden.len().saturating_sub(*count);
                hidden.drain(..shown);
            }
            Lag::Time(lag, clock) => {
                let now = clock.now();
                while hidden.front().is_some_and(|oldest| oldest.at.is_none_or(|at| now.duration_since(at) >= *lag)) {
                    hidden.pop_front();
                }
            }
        }
        let mut images = BTreeMap::new();
        for (_, key, before) in hidden.iter().flat_map(|hidden| &hidden.before).filter(|(of, ..)| *of == table) {
            images.entry(key.clone()).or_insert_with(|| before.clone());
        }
        images
    }

    /// The page as it was: current rows without the items that changed since, and these as they were before.
    async fn past(&self, query: Query, index: IndexName) -> Result<Rows, EngineError> {
        let overlay = self.overlay(query.table);
        let limit = query.limit as usize;
        let mut items = Vec::new();
        let mut page = query.clone();
        while items.len() <= limit {
            let rows = self.inner.query(page.clone()).await?;
            items.extend(rows.items.into_iter().filter(|item| !overlay.contains_key(&item.key)));
            page.after = rows.next;
            if page.after.is_none() {
                break;
            }
        }
        let before = overlay.into_iter().filter_map(|(key, attrs)| Some(Item { key, attrs: attrs? }));
        items.extend(before.filter(|item| lists(&query, index, item)));
        items.sort_by(|one, other| match query.direction {
            Direction::Forward => one.key.cmp(&other.key),
            Direction::Backward => other.key.cmp(&one.key),
        });
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|item| item.key.clone());
        Ok(Rows { items, next })
    }
}

/// Whether a query of an index, from its cursor on, lists the item.
fn lists(query: &Query, index: IndexName, item: &Item) -> bool {
    let attr = |name: &str| item.attrs.get(name).and_then(|value| value.as_str());
    let partition = match index {
        IndexName::Type => attr("type"),
        IndexName::Sk | IndexName::User => Some(item.key.sk.as_str()),
        IndexName::Email => attr("email"),
        IndexName::Slug => attr("slug"),
    };
    let within = match &query.range {
        Range::All => true,
        Range::Prefix(prefix) => item.key.pk.starts_with(prefix),
        Range::Between(low, high) => (low..=high).contains(&&item.key.pk),
    };
    let behind = query.after.as_ref().is_none_or(|after| match query.direction {
        Direction::Forward => item.key > *after,
        Direction::Backward => item.key < *after,
    });
    partition == Some(&query.partition) && within && behind
}

#[async_trait]
impl Engine for StaleIndexEngine {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.inner.get(table, key).await
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.inner.get_many(table, keys).await
    }

    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        check_query(&query)?;
        match query.index {
            None => self.inner.query(query).await,
            Some(index) => self.past(query, index).await,
        }
    }

    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.inner.scan(table, after, limit).await
    }

    fn is_ordered(&self, table: Table, index: IndexName) -> bool {
        self.inner.is_ordered(table, index)
    }

    async fn transact(&self, transaction: Transaction) -> Result<(), TransactError> {
        check_limits(&transaction)?;
        let _one = self.writing.lock().await;
        let before = self.images(&transaction).await?;
        // Hidden first: an index must not show for a moment what it hides afterwards.
        let at = match &self.lag {
            Lag::Transactions(_) => None,
            Lag::Time(_, clock) => Some(clock.now()),
        };
        if !before.is_empty() {
            self.hidden.lock().push_back(Hidden { at, before });
        }
        let answer = self.inner.transact(transaction).await;
        if let Err(TransactError::Refused(_) | TransactError::Engine(EngineError::Limit(_))) = &answer {
            // It changed nothing, so its images are the present.
            self.hidden.lock().pop_back();
        }
        answer
    }

    async fn health(&self) -> Result<(), EngineError> {
        self.inner.health().await
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

#[cfg(test)]
mod tests {
    use emcrm_model::{FixedClock, SystemClock};
    use serde_json::json;

    use super::*;
    use crate::sqlite::SqliteEngine;

    fn put(id: &str, kind: &str) -> Transaction {
        let mut tx = Transaction::new();
        let attrs = json!({"type": kind}).as_object().unwrap().clone();
        tx.put(Table::Main, Item { key: Key::single(id), attrs });
        tx
    }

    async fn listed(engine: &StaleIndexEngine, kind: &str) -> Vec<String> {
        let rows = engine.query(Query::index(Table::Main, IndexName::Type, kind)).await.unwrap();
        rows.items.into_iter().map(|item| item.key.pk).collect()
    }

    #[tokio::test]
    async fn an_index_query_shows_the_state_before_the_last_transactions() {
        let engine = StaleIndexEngine::new(Arc::new(SqliteEngine::memory()), Lag::Transactions(2));
        for id in ["a", "b", "c"] {
            engine.transact(put(id, "user")).await.unwrap();
        }
        assert_eq!(listed(&engine, "user").await, ["a"]);
        assert!(engine.get(Table::Main, &Key::single("c")).await.unwrap().is_some(), "base reads are current");

        let mut tx = Transaction::new();
        tx.delete(Table::Main, Key::single("a"));
        engine.transact(tx).await.unwrap();
        engine.transact(put("b", "event")).await.unwrap();
        assert_eq!(listed(&engine, "user").await, ["a", "b", "c"], "the deleted and the changed row are still listed");
        assert!(listed(&engine, "event").await.is_empty());

        engine.catch_up();
        assert_eq!(listed(&engine, "user").await, ["c"]);
        assert_eq!(listed(&engine, "event").await, ["b"]);
    }

    #[tokio::test]
    async fn a_refused_transaction_does_not_push_the_lag_on() {
        let engine = StaleIndexEngine::new(Arc::new(SqliteEngine::memory()), Lag::Transactions(1));
        engine.transact(put("a", "user")).await.unwrap();
        let mut refused = Transaction::new();
        refused.delete(Table::Main, Key::single("x")).when(crate::engine::Guard::Present).or(crate::rules::Rule::UserUnknown);
        assert!(engine.transact(refused).await.is_err());
        assert!(listed(&engine, "user").await.is_empty());
    }

    #[tokio::test]
    async fn an_index_shows_what_is_older_than_the_lag() {
        let clock = Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH));
        let lag = Lag::Time(SignedDuration::from_secs(5), clock.clone());
        let engine = StaleIndexEngine::new(Arc::new(SqliteEngine::memory()), lag);
        engine.transact(put("a", "user")).await.unwrap();
        clock.advance(SignedDuration::from_secs(3));
        engine.transact(put("b", "user")).await.unwrap();
        assert!(listed(&engine, "user").await.is_empty());
        clock.advance(SignedDuration::from_secs(2));
        assert_eq!(listed(&engine, "user").await, ["a"]);
        clock.advance(SignedDuration::from_secs(3));
        assert_eq!(listed(&engine, "user").await, ["a", "b"]);
    }

    #[expect(clippy::unused_async, reason = "other engines take time to make")]
    async fn lagging() -> (Arc<dyn Engine>, ()) {
        let lag = Lag::Time(SignedDuration::from_millis(60), Arc::new(SystemClock));
        (Arc::new(StaleIndexEngine::new(Arc::new(SqliteEngine::memory()), lag)), ())
    }

    crate::engine_conformance!(an_engine_with_indexes_that_lag, lagging);
}
