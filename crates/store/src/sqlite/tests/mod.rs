//! What only SQLite promises; the rest is proved by [`crate::conformance`].

mod cache;
mod conforms;
mod expiry;
mod faults;
mod lately;
mod model;
mod opening;
mod plans;
mod processes;
mod room;

use serde_json::Value;

use super::SqliteEngine;
use crate::engine::{Engine, Item, Key, Table, Transaction};

fn put(name: &str, value: Value) -> Transaction {
    let mut tx = Transaction::new();
    let Value::Object(attrs) = value else { panic!("not an object") };
    tx.put(Table::Main, Item { key: Key::single(name), attrs });
    tx
}

async fn read(engine: &SqliteEngine, name: &str) -> Option<Value> {
    engine.get(Table::Main, &Key::single(name)).await.unwrap().map(|item| Value::Object(item.attrs))
}
