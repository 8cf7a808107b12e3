use super::super::SqliteEngine;
use crate::engine::*;
use crate::rules::Rule;
use serde_json::json;
#[tokio::test]
async fn first_steps() {
    let dir = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(dir.path()).unwrap();
    let mut tx = Transaction::new();
    let key = Key::single("a");
    tx.put(Table::Main, Item { key: key.clone(), attrs: json!({"type":"t","n":1}).as_object().unwrap().clone() }).when(Guard::Absent).or(Rule::IdTaken);
    engine.transact(tx.clone()).await.unwrap();
    assert_eq!(engine.transact(tx).await, Err(TransactError::Refused(vec![Some(Rule::IdTaken)])));
    let got = engine.get(Table::Main, &key).await.unwrap().unwrap();
    assert_eq!(got.attrs["n"], json!(1));
    let rows = engine.query(Query::index(Table::Main, IndexName::Type, "t")).await.unwrap();
    assert_eq!(rows.items, vec![got]);
    engine.health().await.unwrap();
    engine.integrity_check().await.unwrap();
    drop(engine);
    let engine = SqliteEngine::open(dir.path()).unwrap();
    assert!(engine.get(Table::Main, &key).await.unwrap().is_some());
}
