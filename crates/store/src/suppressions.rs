//! The suppression list as items.

use std::sync::Arc;

use emcrm_model::{EmailAddress, Suppression};

use crate::engine::{Engine, EngineError, GET_MANY_MAX, Guard, IndexName, Item, Key, Query, Table, Transaction};
use crate::keys;
use crate::repository::{from_item, to_item};
use crate::rules::Rule;

#[derive(Clone)]
pub struct Suppressions {
    engine: Arc<dyn Engine>,
}

impl Suppressions {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// What stands against mailing these addresses, in their order: the entry of the address, or that of its hash. Where both stand, because somebody who
    /// was erased complained and the address was there again, it is the one in clear with the graver reason of the two.
    pub async fn of(&self, addresses: &[EmailAddress]) -> Result<Vec<Option<Suppression>>, EngineError> {
        let mut out = Vec::with_capacity(addresses.len());
        for chunk in addresses.chunks(GET_MANY_MAX / 2) {
            let keys: Vec<Key> = chunk.iter().map(keys::suppression).chain(chunk.iter().map(keys::suppression_hash)).collect();
            let mut clear = self.engine.get_many(Table::Email, &keys).await?;
            let hashed = clear.split_off(chunk.len());
            for (clear, hashed) in clear.into_iter().zip(hashed) {
                out.push(graver(clear.map(read).transpose()?, hashed.map(read).transpose()?));
            }
        }
        Ok(out)
    }

    pub async fn get(&self, address: &EmailAddress) -> Result<Option<Suppression>, EngineError> {
        let (clear, hashed) = self.both(address).await?;
        Ok(graver(clear, hashed))
    }

    /// The entry in clear and that of the hash.
    pub async fn both(&self, address: &EmailAddress) -> Result<(Option<Suppression>, Option<Suppression>), EngineError> {
        let found = self.engine.get_many(Table::Email, &[keys::suppression(address), keys::suppression_hash(address)]).await?;
        let mut found = found.into_iter().map(|item| item.map(read).transpose());
        let mut next = || found.next().transpose().map(Option::flatten);
        Ok((next()?, next()?))
    }

    /// The entry of a hash; see [`keys::address_hash`].
    pub async fn by_hash(&self, hash: &str) -> Result<Option<Suppression>, EngineError> {
        self.engine.get(Table::Email, &keys::suppression_of_hash(hash)).await?.map(read).transpose()
    }

    /// All entries, in the order of their keys.
    pub fn list() -> Query {
        Query::index(Table::Email, IndexName::Type, keys::TYPE_SUPPRESSION)
    }

    pub fn read(item: Item) -> Result<Suppression, EngineError> {
        read(item)
    }

    /// A new entry.
    pub fn put(&self, tx: &mut Transaction, address: &EmailAddress, entry: &Suppression) {
        tx.put(Table::Email, to_item(keys::suppression(address), keys::TYPE_SUPPRESSION, entry)).when(Guard::Absent).or(Rule::Changed);
    }

    /// Writes the entry over this one, if it is still there for the same reason.
    pub fn replace(&self, tx: &mut Transaction, address: &EmailAddress, old: &Suppression, entry: &Suppression) {
        tx.put(Table::Email, to_item(keys::suppression(address), keys::TYPE_SUPPRESSION, entry)).when(still(old)).or(Rule::Changed);
    }

    /// Takes this entry in clear away, if it is still there for the same reason.
    pub fn delete(&self, tx: &mut Transaction, address: &EmailAddress, old: &Suppression) {
        tx.delete(Table::Email, keys::suppression(address)).when(still(old)).or(Rule::Changed);
    }

    /// Takes this entry of the hash away, if it is still there for the same reason.
    pub fn delete_hash(&self, tx: &mut Transaction, hash: &str, old: &Suppression) {
        tx.delete(Table::Email, keys::suppression_of_hash(hash)).when(still(old)).or(Rule::Changed);
    }

    /// A new entry of a hash, without the address and the note: for somebody who is erased.
    pub fn put_hash(&self, tx: &mut Transaction, hash: &str, entry: &Suppression) {
        tx.put(Table::Email, hashed_item(hash, entry)).when(Guard::Absent).or(Rule::Changed);
    }

    /// Writes the entry over this one of the hash, if it is still there for the same reason.
    pub fn replace_hash(&self, tx: &mut Transaction, hash: &str, old: &Suppression, entry: &Suppression) {
        tx.put(Table::Email, hashed_item(hash, entry)).when(still(old)).or(Rule::Changed);
    }
}

/// A graver reason that came meanwhile must not be lost. Entries of an earlier service may hold none.
fn still(old: &Suppression) -> Guard {
    let attr = "reason".to_owned();
    Guard::Present.and(Guard::equals(&attr, old.reason.as_str()).or(Guard::Missing(attr)))
}

fn hashed_item(hash: &str, entry: &Suppression) -> Item {
    let entry = Suppression { email: None, note: None, ..entry.clone() };
    to_item(keys::suppression_of_hash(hash), keys::TYPE_SUPPRESSION, &entry)
}

fn graver(clear: Option<Suppression>, hashed: Option<Suppression>) -> Option<Suppression> {
    match (clear, hashed) {
        (Some(clear), Some(hashed)) if hashed.reason.weight() > clear.reason.weight() => Some(Suppression { email: clear.email, email_hash: None, ..hashed }),
        (clear, hashed) => clear.or(hashed),
    }
}

/// Entries of an earlier service may hold nothing but the key.
fn read(mut item: Item) -> Result<Suppression, EngineError> {
    let hash = item.key.pk.strip_prefix(keys::SUPPRESSION_HASH_PREFIX).map(str::to_owned);
    let address = item.key.pk.strip_prefix(keys::SUPPRESSION_PREFIX).filter(|_| hash.is_none()).map(str::to_owned);
    if let Some(address) = address {
        item.attrs.entry("email").or_insert_with(|| address.into());
    }
    Ok(Suppression { email_hash: hash, ..from_item::<Suppression>(item)? })
}
