//! Totals of lists, kept in shards so that many can count at once.

use std::sync::Arc;

use serde_json::Value;

use crate::engine::{Engine, EngineError, Table, Transaction};
use crate::keys::{SHARDS, count, shard_of};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CountKind {
    Users,
    Events,
    Campaigns,
    Suppressions,
    Templates,
}

impl CountKind {
    pub const ALL: [Self; 5] = [Self::Users, Self::Events, Self::Campaigns, Self::Suppressions, Self::Templates];
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Events => "events",
            Self::Campaigns => "campaigns",
            Self::Suppressions => "suppressions",
            Self::Templates => "templates",
        }
    }
}

#[derive(Clone)]
pub struct Counts {
    engine: Arc<dyn Engine>,
}

impl Counts {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// Counts in the change that needs it. `subject` chooses the shard.
    pub fn add(&self, tx: &mut Transaction, kind: CountKind, subject: &str, by: i64) {
        tx.add(Table::Main, count(kind.as_str(), shard_of(subject)), "n", by);
    }

    pub async fn total(&self, kind: CountKind) -> Result<u64, EngineError> {
        Ok(self.shards(kind).await?.into_iter().sum::<i64>().max(0) as u64)
    }

    pub async fn shards(&self, kind: CountKind) -> Result<Vec<i64>, EngineError> {
        let keys: Vec<_> = (0..SHARDS).map(|shard| count(kind.as_str(), shard)).collect();
        let items = self.engine.get_many(Table::Main, &keys).await?;
        Ok(items.into_iter().map(|item| item.and_then(|item| item.attrs.get("n").and_then(Value::as_i64)).unwrap_or(0)).collect())
    }
}
