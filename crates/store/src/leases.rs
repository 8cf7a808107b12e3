//! Who may work on a shard of a queue.

use std::sync::Arc;

use crate::engine::{Engine, EngineError, Guard, Table, TransactError, Transaction};
use crate::keys;
use crate::rules::Rule;
use crate::tasks::Queue;

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
