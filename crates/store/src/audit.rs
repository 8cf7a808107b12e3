//! The audit trail as items. A deed is noted in the transaction that does it, in a partition of what is new; from there it is moved to its place in the chain.

use std::sync::Arc;

use emcrm_model::{ChainedEntry, NewEntry};
use serde::{Deserialize, Serialize};

use crate::engine::{Attrs, Engine, EngineError, Guard, Item, Key, Query, Table, Transaction};
use crate::keys::{self, AUDIT_SHARDS};
use crate::repository::{from_item, read_many, to_untyped};
use crate::rules::Rule;
use crate::users::unchanged;

/// Where the chain ends, or where what is kept of it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPoint {
    pub seq: u64,
    pub mac: String,
    /// Keyed digest over which point it is and both of these, in hexadecimal. Earlier versions wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// That sealing has begun: from here on nothing without a seal is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainMark {
    pub at: String,
    /// Keyed digest over the moment, in hexadecimal.
    pub seal: String,
}

/// What says where the chain is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainPoints {
    pub mark: Option<ChainMark>,
    /// The last entry that was forgotten; what follows is kept.
    pub anchor: ChainPoint,
    /// The last entry.
    pub head: ChainPoint,
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
    pub fn note(&self, tx: &mut Transaction, new: &NewEntry) {
        Self::note_in(tx, new);
    }

    /// The same where no storage is open.
    pub fn note_in(tx: &mut Transaction, new: &NewEntry) {
        let key = Key::new(keys::audit_new_part(keys::shard_of(&new.entry.object) % AUDIT_SHARDS), new.entry.id.clone());
        tx.put(Table::Main, to_untyped(key, new));
    }

    /// Up to `limit` items of each shard of what is not in the chain yet, as they are stored.
    pub async fn new_items(&self, limit: u32) -> Result<Vec<Item>, EngineError> {
        let mut items = Vec::new();
        for shard in 0..AUDIT_SHARDS {
            items.extend(self.new_items_of(shard, limit, None).await?);
        }
        Ok(items)
    }

    /// The same of one shard, from behind `after`.
    pub async fn new_items_of(&self, shard: u32, limit: u32, after: Option<Key>) -> Result<Vec<Item>, EngineError> {
        Ok(self.engine.query(Query::table(Table::Main, keys::audit_new_part(shard)).after(after).limit(limit)).await?.items)
    }

    /// Gives an entry its seal, where it has none.
    pub fn seal(&self, tx: &mut Transaction, key: Key, seal: &str) {
        let unsealed = Guard::Present.and(Guard::Missing("seal".to_owned()));
        tx.update(Table::Main, key).set("seal", seal).when(unsealed).or(Rule::Changed);
    }

    /// Lays an item aside that is no deed of this program, as it is.
    pub fn lay_aside(&self, tx: &mut Transaction, item: &Item) {
        // As it was judged: it may have got its seal since.
        let as_read = Guard::Present.and(unchanged(item, "seal"));
        tx.delete(Table::Main, item.key.clone()).when(as_read).or(Rule::Changed);
        tx.put(Table::Main, Item { key: keys::audit_bad(&item.key), attrs: item.attrs.clone() });
    }

    /// Up to `limit` items of each shard that were laid aside.
    pub async fn laid_aside(&self, limit: u32) -> Result<Vec<Key>, EngineError> {
        let mut aside = Vec::new();
        for shard in 0..AUDIT_SHARDS {
            let rows = self.engine.query(Query::table(Table::Main, keys::audit_bad_part(shard)).limit(limit)).await?;
            aside.extend(rows.items.into_iter().map(|item| item.key));
        }
        Ok(aside)
    }

    pub async fn points(&self) -> Result<ChainPoints, EngineError> {
        let items = self.engine.get_many(Table::Main, &[keys::audit_sealed(), keys::audit_anchor(), keys::audit_head()]).await?;
        let mut items = items.into_iter();
        let mut next = || items.next().flatten();
        let (mark, anchor, head) = (next(), next(), next());
        Ok(ChainPoints {
            mark: mark.map(from_item).transpose()?,
            anchor: anchor.map(from_item).transpose()?.unwrap_or_default(),
            head: head.map(from_item).transpose()?.unwrap_or_default(),
        })
    }

    /// Writes the mark anew.
    pub fn mark(&self, tx: &mut Transaction, mark: &ChainMark) {
        tx.put(Table::Main, to_untyped(keys::audit_sealed(), mark));
    }

    /// Begins sealing: the mark, and both points where they are, with their seals. Refused when somebody else did so meanwhile.
    pub fn begin(&self, tx: &mut Transaction, mark: &ChainMark, anchor: &ChainPoint, head: &ChainPoint) {
        tx.put(Table::Main, to_untyped(keys::audit_sealed(), mark)).when(Guard::Absent).or(Rule::Changed);
        move_point(tx, keys::audit_anchor(), anchor.seq, anchor);
        self.move_head(tx, head.seq, head);
    }

    /// Writes the end of the chain, which was at `before`.
    pub fn move_head(&self, tx: &mut Transaction, before: u64, after: &ChainPoint) {
        move_point(tx, keys::audit_head(), before, after);
    }

    /// An entry at its place.
    pub fn append(&self, tx: &mut Transaction, chained: &ChainedEntry) {
        tx.put(Table::Main, to_untyped(keys::audit_entry(chained.seq), chained)).when(Guard::Absent).or(Rule::Changed);
        for object in chained.entry.objects() {
            tx.put(Table::Main, Item { key: keys::audit_of(object, chained.seq), attrs: Attrs::new() });
        }
    }

    /// Moves entries to the end of the chain. Refused as a whole when somebody else did so meanwhile.
    pub fn chain(&self, tx: &mut Transaction, before: &ChainPoint, moved: &[(Key, ChainedEntry)], after: &ChainPoint) {
        self.move_head(tx, before.seq, after);
        for (old, chained) in moved {
            tx.delete(Table::Main, old.clone()).when(Guard::Present).or(Rule::Changed);
            self.append(tx, chained);
        }
    }

    /// Forgets the oldest entries up to `after`.
    pub fn forget(&self, tx: &mut Transaction, before: &ChainPoint, entries: &[ChainedEntry], after: &ChainPoint) {
        move_point(tx, keys::audit_anchor(), before.seq, after);
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

fn move_point(tx: &mut Transaction, key: Key, before: u64, after: &ChainPoint) {
    let there = Guard::equals("seq", before);
    let unmoved = if before == 0 { Guard::Absent.or(there) } else { there };
    tx.put(Table::Main, to_untyped(key, after)).when(unmoved).or(Rule::Changed);
}
