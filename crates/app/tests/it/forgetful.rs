//! Claim-before-send, switched off: an engine that forgets claims. It is a part of tests only, here and in the storms of the server, which share this file.

use std::sync::Arc;

use async_trait::async_trait;
use emcrm_store::{Change, Engine, EngineError, Guard, Item, Key, Op, Query, Rows, Table, TransactError, Transaction, keys};

/// Claims are answered as if they stood, and are not written: what sending before claiming would be.
pub struct Forgetful(pub Arc<dyn Engine>);

#[async_trait]
impl Engine for Forgetful {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.0.get(table, key).await
    }
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.0.get_many(table, keys).await
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.0.query(query).await
    }
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.0.scan(table, after, limit).await
    }
    async fn transact(&self, mut tx: Transaction) -> Result<(), TransactError> {
        let status = |op: &Op| match &op.change {
            Change::Update { set, .. } if op.key.pk.starts_with(keys::DELIVERY_PREFIX) => set.get("status").cloned(),
            _ => None,
        };
        tx.ops.retain(|op| status(op).is_none_or(|to| to != "sending"));
        for op in tx.ops.iter_mut().filter(|op| status(op).is_some()) {
            op.guards.retain(|(guard, _)| !matches!(guard, Guard::Equals(name, _) if name == "worker"));
            for (guard, _) in &mut op.guards {
                if *guard == Guard::equals("status", "sending") {
                    *guard = Guard::equals("status", "pending");
                }
            }
        }
        if tx.ops.is_empty() { Ok(()) } else { self.0.transact(tx).await }
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.0.health().await
    }
    fn name(&self) -> &'static str {
        "forgetful"
    }
}
