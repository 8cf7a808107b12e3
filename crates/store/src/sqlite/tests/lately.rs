//! Rows that were changed lately are known to the writer as they are stored, however they were changed since; and changes that decide who is mailed are counted.

use serde_json::{Value, json};

use super::{expiry::forget, faults::room};
use crate::{
    engine::{EXPIRES, Engine, EngineError, Guard, Item, Key, OpBuilder, Table, TransactError, Transaction},
    keys,
    rules::Rule,
    sqlite::SqliteEngine,
};

fn change(tx: &mut Transaction) -> OpBuilder<'_> {
    tx.add(Table::Email, Key::single("row"), "n", 1)
}

async fn counted(engine: &SqliteEngine) {
    let mut tx = Transaction::new();
    change(&mut tx);
    engine.transact(tx).await.unwrap();
}

fn put(table: Table, name: &str, value: Value) -> Transaction {
    let mut tx = Transaction::new();
    let Value::Object(attrs) = value else { panic!("not an object") };
    tx.put(table, Item { key: Key::single(name), attrs });
    tx
}

async fn stored(engine: &SqliteEngine) -> Option<Value> {
    engine.get(Table::Email, &Key::single("row")).await.unwrap().map(|item| Value::Object(item.attrs))
}

#[tokio::test]
async fn what_a_commit_changed_that_failed_is_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(folder.path()).unwrap();
    counted(&engine).await;
    counted(&engine).await;
    room(&engine, 4).await;
    // The row is written before it turns out that there is no room.
    let mut tx = Transaction::new();
    change(&mut tx);
    tx.ops.extend(put(Table::Email, "large", json!({ "text": "x".repeat(100_000) })).ops);
    assert_eq!(engine.transact(tx).await, Err(EngineError::Full.into()));
    let mut tx = Transaction::new();
    change(&mut tx);
    engine.transact(tx).await.unwrap();
    assert_eq!(stored(&engine).await, Some(json!({ "n": 3 })));
}

#[tokio::test]
async fn a_row_is_as_it_was_left_by_whatever_changed_it_last() {
    let engine = SqliteEngine::memory();
    counted(&engine).await;
    counted(&engine).await;
    engine.transact(put(Table::Email, "row", json!({ "n": 10 }))).await.unwrap();
    counted(&engine).await;
    assert_eq!(stored(&engine).await, Some(json!({ "n": 11 })));
    let mut tx = Transaction::new();
    change(&mut tx).when(Guard::AtMost("n".to_owned(), 5)).or(Rule::Changed);
    assert_eq!(engine.transact(tx).await, Err(TransactError::Refused(vec![Some(Rule::Changed)])));
    counted(&engine).await;
    assert_eq!(stored(&engine).await, Some(json!({ "n": 12 })), "a refusal changes nothing");
    let mut tx = Transaction::new();
    tx.delete(Table::Email, Key::single("row"));
    engine.transact(tx).await.unwrap();
    counted(&engine).await;
    assert_eq!(stored(&engine).await, Some(json!({ "n": 1 })), "it was deleted");
    let mut tx = Transaction::new();
    change(&mut tx).set(EXPIRES, 1);
    engine.transact(tx).await.unwrap();
    counted(&engine).await;
    assert_eq!(forget(&engine, 10).await, 1);
    counted(&engine).await;
    assert_eq!(stored(&engine).await, Some(json!({ "n": 1 })), "it had expired");
}

#[tokio::test]
async fn the_version_of_people_grows_with_what_decides_who_is_mailed_and_not_with_mails() {
    let engine = SqliteEngine::memory();
    let version = || engine.people_version().unwrap();
    let address = "ann@example.org".to_owned().into();
    for (tx, grows) in [
        (put(Table::Main, "user", json!({ "a": 1 })), true),
        (put(Table::Email, "row", json!({ "n": 1 })), false),
        (put(Table::Email, &keys::suppression(&address).pk, json!({ "a": 1 })), true),
        (put(Table::Email, &keys::suppression_hash(&address).pk, json!({ "a": 1 })), true),
    ] {
        let before = version();
        engine.transact(tx.clone()).await.unwrap();
        assert_eq!(version() > before, grows, "{tx:?}");
    }
    let before = version();
    let mut tx = Transaction::new();
    tx.delete(Table::Email, keys::suppression(&address));
    engine.transact(tx).await.unwrap();
    assert!(version() > before);
}
