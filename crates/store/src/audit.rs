//! The audit trail as items. A deed is noted in the transaction that does it, in a partition of what is new; from there it is moved to its place in the chain.

use std::sync::Arc;

use emcrm_model::{AuditEntry, ChainedEntry};
use serde::{Deserialize, Serialize};

use crate::engine::{Attrs, Engine, EngineError, Guard, Item, Key, Query, Table, Transaction};
use crate::keys::{self, AUDIT_SHARDS};
use crate::repository::{from_item, read_many, to_untyped};
use crate::rules::Rule;

/// Where the chain ends, or where what is kept of it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPoint {
    pub seq: u64,
    pub mac: String,
}

#[derive(Clone)]
pub struct Audit {
    engine: Arc<dyn Engine>,
}

impl Audit {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// Notes a deed in the transaction that does it.
    pub fn note(&self, tx: &mut Transaction, entry: &AuditEntry) {
        let key = Key::new(keys::audit_new_part(keys::shard_of(&entry.object) % AUDIT_SHARDS), entry.id.clone());
        tx.put(Table::Main, to_untyped(key, entry));
    }

    /// Up to `limit` entries of each shard that are not in the chain yet, with the keys they have now.
    pub async fn new_entries(&self, limit: u32) -> Result<Vec<(Key, AuditEntry)>, EngineError> {
        let mut entries = Vec::new();
        for shard in 0..AUDIT_SHARDS {
            let rows = self.engine.query(Query::table(Table::Main, keys::audit_new_part(shard)).limit(limit)).await?;
            for item in rows.items {
                entries.push((item.key.clone(), from_item(item)?));
            }
        }
        Ok(entries)
    }

    pub async fn head(&self) -> Result<ChainPoint, EngineError> {
        self.point(keys::audit_head()).await
    }

    /// The last entry that was forgotten; what follows is kept.
    pub async fn anchor(&self) -> Result<ChainPoint, EngineError> {
        self.point(keys::audit_anchor()).await
    }

    async fn point(&self, key: Key) -> Result<ChainPoint, EngineError> {
        Ok(self.engine.get(Table::Main, &key).await?.map(from_item).transpose()?.unwrap_or_default())
    }

    /// Moves entries to the end of the chain. Refused as a whole when somebody else did so meanwhile.
    pub fn chain(&self, tx: &mut Transaction, before: &ChainPoint, moved: &[(Key, ChainedEntry)], after: &ChainPoint) {
        move_point(tx, keys::audit_head(), before, after);
        for (old, chained) in moved {
            tx.delete(Table::Main, old.clone()).when(Guard::Present).or(Rule::Changed);
            tx.put(Table::Main, to_untyped(keys::audit_entry(chained.seq), chained)).when(Guard::Absent).or(Rule::Changed);
            for object in chained.entry.objects() {
                tx.put(Table::Main, Item { key: keys::audit_of(object, chained.seq), attrs: Attrs::new() });
            }
        }
    }

    /// Forgets the oldest entries up to `after`.
    pub fn forget(&self, tx: &mut Transaction, before: &ChainPoint, entries: &[ChainedEntry], after: &ChainPoint) {
        move_point(tx, keys::audit_anchor(), before, after);
        for chained in entries {
            tx.delete(Table::Main, keys::audit_entry(chained.seq));
            for object in chained.entry.objects() {
                tx.delete(Table::Main, keys::audit_of(object, chained.seq));
            }
        }
    }

    /// Entries by their places, none where there is nothing.
    pub async fn entries(&self, seqs: impl Iterator<Item = u64>) -> Result<Vec<Option<ChainedEntry>>, EngineError> {
        let wanted: Vec<Key> = seqs.map(keys::audit_entry).collect();
        read_many(self.engine.as_ref(), Table::Main, &wanted).await
    }

    /// Places of what was done to one object, newest first, below `before`.
    pub async fn places_of(&self, object: &str, before: u64, limit: u32) -> Result<Vec<u64>, EngineError> {
        let below = format!("{:015}", before.saturating_sub(1));
        let query = Query::table(Table::Main, keys::audit_of_part(object)).between("0", below).backward().limit(limit);
        Ok(self.engine.query(query).await?.items.into_iter().filter_map(|item| item.key.sk.parse().ok()).collect())
    }
}

fn move_point(tx: &mut Transaction, key: Key, before: &ChainPoint, after: &ChainPoint) {
    let unmoved = if before.seq == 0 { Guard::Absent } else { Guard::equals("seq", before.seq) };
    tx.put(Table::Main, to_untyped(key, after)).when(unmoved).or(Rule::Changed);
}
