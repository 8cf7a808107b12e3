//! The storage, measured.

use std::sync::Arc;

use async_trait::async_trait;
use emcrm_store::{CacheUse, Engine, EngineError, IndexName, Item, Key, Pool, Query, Rows, Table, TransactError, Transaction};
use metrics::{Histogram, counter, histogram};

use super::called;

pub struct Measured {
    inner: Arc<dyn Engine>,
    get: Histogram,
    get_many: Histogram,
    query: Histogram,
    scan: Histogram,
    transact: Histogram,
}

impl Measured {
    pub fn new(inner: Arc<dyn Engine>) -> Self {
        let engine = inner.name();
        let of = |operation: &'static str| histogram!("emcrm_storage_operation_duration_seconds", "engine" => engine, "operation" => operation);
        Self { get: of("get"), get_many: of("get_many"), query: of("query"), scan: of("scan"), transact: of("transact"), inner }
    }

    fn failed(&self, operation: &'static str, error: &EngineError) {
        let kind = match error {
            EngineError::Limit(_) => "limit",
            EngineError::Unavailable(_) => "unavailable",
            EngineError::Unknown(_) => "unknown",
            EngineError::Full => "full",
            EngineError::Corrupt(_) => "corrupt",
        };
        counter!("emcrm_storage_errors_total", "engine" => self.inner.name(), "operation" => operation, "kind" => kind).increment(1);
    }

    fn part(&self) -> (&'static str, &'static str) {
        ("storage", self.inner.name())
    }

    fn seen<T>(&self, operation: &'static str, answer: Result<T, EngineError>) -> Result<T, EngineError> {
        answer.inspect_err(|error| self.failed(operation, error))
    }
}

#[async_trait]
impl Engine for Measured {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.seen("get", called(self.part(), "get", &self.get, self.inner.get(table, key)).await)
    }
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.seen("get_many", called(self.part(), "get_many", &self.get_many, self.inner.get_many(table, keys)).await)
    }
    async fn get_many_json(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<String>>, EngineError> {
        self.seen("get_many", called(self.part(), "get_many", &self.get_many, self.inner.get_many_json(table, keys)).await)
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.seen("query", called(self.part(), "query", &self.query, self.inner.query(query)).await)
    }
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.seen("scan", called(self.part(), "scan", &self.scan, self.inner.scan(table, after, limit)).await)
    }
    async fn transact(&self, transaction: Transaction) -> Result<(), TransactError> {
        let answer = called(self.part(), "transact", &self.transact, self.inner.transact(transaction)).await;
        match &answer {
            Ok(()) => {}
            Err(TransactError::Engine(error)) => self.failed("transact", error),
            // Somebody was quicker, or a rule says no. There are as many rules as the program has.
            Err(refused) => {
                let rule = refused.rule().map_or_else(|| "none".to_owned(), |rule| format!("{rule:?}"));
                counter!("emcrm_storage_refusals_total", "engine" => self.inner.name(), "rule" => rule).increment(1);
            }
        }
        answer
    }
    fn is_ordered(&self, table: Table, index: IndexName) -> bool {
        self.inner.is_ordered(table, index)
    }
    fn pools(&self) -> Vec<Pool> {
        self.inner.pools()
    }
    fn cache(&self) -> Option<CacheUse> {
        self.inner.cache()
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.seen("health", self.inner.health().await)
    }
    fn name(&self) -> &'static str {
        self.inner.name()
    }
}
