//! What all repositories share: items to model types and back, and walking a list.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::engine::{Attrs, Engine, EngineError, GET_MANY_MAX, Item, Key, Query, Rows, Table};

/// The stored shape of a value, with its `type`.
pub(crate) fn to_item<T: Serialize>(key: Key, item_type: &str, value: &T) -> Item {
    let mut item = to_untyped(key, value);
    item.attrs.insert("type".to_owned(), item_type.into());
    item
}

/// The stored shape of a value that no list by type shows.
pub(crate) fn to_untyped<T: Serialize>(key: Key, value: &T) -> Item {
    let attrs = match serde_json::to_value(value) {
        Ok(Value::Object(attrs)) => attrs,
        _ => Attrs::new(),
    };
    Item { key, attrs }
}

/// Reads a stored value.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, EngineError> {
    let Item { key, attrs } = item;
    serde_json::from_value(Value::Object(attrs)).map_err(|error| EngineError::Corrupt(format!("{} / {}: {error}", key.pk, key.sk)))
}

/// The rows of a list that can be read. One that cannot must not hide the others; the log names it, and `emcrm verify` does.
pub fn readable<T>(items: Vec<Item>, read: impl Fn(Item) -> Result<T, EngineError>) -> Result<Vec<T>, EngineError> {
    let mut rows = Vec::with_capacity(items.len());
    for item in items {
        match read(item) {
            Ok(row) => rows.push(row),
            Err(EngineError::Corrupt(why)) => tracing::error!(why, "a stored row cannot be read and is left out of its list"),
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// Reads values by their keys, in the order of the keys, any number of them.
pub(crate) async fn read_many<T: DeserializeOwned>(engine: &dyn Engine, table: Table, keys: &[Key]) -> Result<Vec<Option<T>>, EngineError> {
    let mut values = Vec::with_capacity(keys.len());
    for chunk in keys.chunks(GET_MANY_MAX) {
        for (key, json) in chunk.iter().zip(engine.get_many_json(table, chunk).await?) {
            let value = json.map(|json| serde_json::from_str(&json)).transpose();
            values.push(value.map_err(|error| EngineError::Corrupt(format!("{} / {}: {error}", key.pk, key.sk)))?);
        }
    }
    Ok(values)
}

pub(crate) fn from_items<T: DeserializeOwned>(items: Vec<Item>) -> Result<Vec<T>, EngineError> {
    items.into_iter().map(from_item).collect()
}

const STEP: u32 = 1_000;

/// Rows `skip..skip + limit` of a query. Reads and drops the skipped ones, so the cost grows with `skip`; the contract bounds it.
pub async fn rows_at(engine: &dyn Engine, query: Query, skip: u32, limit: u32) -> Result<Rows, EngineError> {
    let mut after = query.after.clone();
    let mut left = skip;
    while left > 0 {
        let rows = engine.query(query.clone().after(after).limit(left.min(STEP))).await?;
        left -= rows.items.len() as u32;
        match rows.next {
            Some(next) => after = Some(next),
            None => return Ok(Rows::default()),
        }
    }
    engine.query(query.after(after).limit(limit)).await
}

/// Number of rows of a query, by reading them. For small lists only.
pub async fn rows_count(engine: &dyn Engine, query: Query) -> Result<u64, EngineError> {
    let mut after = None;
    let mut count = 0;
    loop {
        let rows = engine.query(query.clone().after(after).limit(STEP)).await?;
        count += rows.items.len() as u64;
        match rows.next {
            Some(next) => after = Some(next),
            None => return Ok(count),
        }
    }
}
