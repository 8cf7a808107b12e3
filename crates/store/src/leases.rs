//! Who may work on a shard of a queue.

use std::sync::Arc;

use serde_json::Value;

use crate::engine::{EXPIRES, Engine, EngineError, Guard, Item, Query, Table, TransactError, Transaction};
use crate::keys;
use crate::rules::Rule;
use crate::tasks::Queue;

/// Seconds after which the row of a dead worker may vanish.
const FORGOTTEN_AFTER: i64 = 3_600;
/// Rows of workers that are read, dead ones included.
const WORKERS_MAX: u32 = 1_000;

fn unguarded(error: TransactError) -> EngineError {
    match error {
        TransactError::Engine(error) => error,
        TransactError::Refused(_) => EngineError::Corrupt("a write without guards was refused".to_owned()),
    }
}

#[derive(Clone)]
pub struct Leases {
    engine: Arc<dyn Engine>,
}

impl Leases {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// Takes or renews the lease until `until`; false when another worker holds it. Times in milliseconds since 1970.
    pub async fn take(&self, queue: Queue, shard: u32, worker: &str, now: i64, until: i64) -> Result<bool, EngineError> {
        let free = Guard::equals("worker", worker).or(Guard::AtMost("until".to_owned(), now));
        let mut tx = Transaction::new();
        tx.update(Table::Main, keys::lease(queue.as_str(), shard)).set("worker", worker).set("until", until).when(free).or(Rule::LeaseHeld);
        match self.engine.transact(tx).await {
            Ok(()) => Ok(true),
            Err(TransactError::Refused(_)) => Ok(false),
            Err(TransactError::Engine(error)) => Err(error),
        }
    }

    /// Those of the shards whose lease nobody holds now.
    pub async fn free(&self, queue: Queue, shards: &[u32], now: i64) -> Result<Vec<u32>, EngineError> {
        let wanted: Vec<_> = shards.iter().map(|shard| keys::lease(queue.as_str(), *shard)).collect();
        let found = self.engine.get_many(Table::Main, &wanted).await?;
        let is_free = |lease: &Option<Item>| lease.as_ref().and_then(|lease| lease.attrs.get("until")?.as_i64()).is_none_or(|until| until <= now);
        Ok(shards.iter().zip(found).filter(|(_, lease)| is_free(lease)).map(|(shard, _)| *shard).collect())
    }

    /// Says that a worker is alive until then, so that the others leave it its share.
    pub async fn announce(&self, worker: &str, until: i64) -> Result<(), EngineError> {
        let mut tx = Transaction::new();
        tx.update(Table::Main, keys::worker(worker)).set("until", until).set(EXPIRES, until / 1_000 + FORGOTTEN_AFTER);
        self.engine.transact(tx).await.map_err(unguarded)
    }

    /// A worker that ends says so: the others need not wait.
    pub async fn leave(&self, worker: &str) -> Result<(), EngineError> {
        let mut tx = Transaction::new();
        tx.delete(Table::Main, keys::worker(worker));
        self.engine.transact(tx).await.map_err(unguarded)
    }

    /// How many workers are alive.
    pub async fn alive(&self, now: i64) -> Result<usize, EngineError> {
        let rows = self.engine.query(Query::table(Table::Main, keys::WORKERS).limit(WORKERS_MAX)).await?;
        Ok(rows.items.iter().filter(|row| row.attrs.get("until").and_then(Value::as_i64).is_some_and(|until| until > now)).count())
    }

    /// Gives the lease back, if it is still ours.
    pub async fn give(&self, queue: Queue, shard: u32, worker: &str) -> Result<(), EngineError> {
        let mut tx = Transaction::new();
        tx.delete(Table::Main, keys::lease(queue.as_str(), shard)).when(Guard::equals("worker", worker)).or(Rule::LeaseHeld);
        match self.engine.transact(tx).await {
            Ok(()) | Err(TransactError::Refused(_)) => Ok(()),
            Err(TransactError::Engine(error)) => Err(error),
        }
    }
}
