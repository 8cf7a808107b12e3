//! What writes cost, and that a guard names its rule in both kinds of writes.

use emcrm_store::engine::{Engine, Guard, Item, Key, Table, TransactError, Transaction};
use emcrm_store::{Attrs, Rule};
use emcrm_store_dynamodb::DynamoEngine;
use serde_json::json;

use super::settings;

fn item(key: &str) -> Item {
    Item { key: Key::single(key), attrs: Attrs::from_iter([("n".to_owned(), json!(1))]) }
}

#[tokio::test]
async fn one_operation_is_a_plain_write_and_several_are_a_transaction() {
    let settings = settings();
    DynamoEngine::create_tables(&settings).await.unwrap();
    let engine = DynamoEngine::open(settings.clone()).await.unwrap();
    // Opening has read the layout.
    let opened = engine.meter().0["GetItem"];
    let mut one = Transaction::new();
    one.put(Table::Main, item("a")).when(Guard::Absent).or(Rule::IdTaken);
    engine.transact(one.clone()).await.unwrap();
    // The second of two guards of one operation is told by its own rule.
    let mut again = Transaction::new();
    again.update(Table::Main, Key::single("a")).set("x", 1).when(Guard::Present).or(Rule::UserUnknown).when(Guard::equals("n", 2)).or(Rule::Changed);
    assert_eq!(engine.transact(again).await, Err(TransactError::Refused(vec![Some(Rule::Changed)])));
    let mut two = Transaction::new();
    two.put(Table::Main, item("b"));
    two.put(Table::Main, item("c"));
    engine.transact(two).await.unwrap();
    engine.get(Table::Main, &Key::single("a")).await.unwrap();

    let meter = engine.meter().0;
    let calls = |name: &str| meter.get(name).map(|metered| metered.calls);
    assert_eq!((calls("PutItem"), calls("UpdateItem"), calls("TransactWriteItems"), calls("GetItem")), (Some(1), Some(1), Some(1), Some(opened.calls + 1)));
    // A transaction costs twice (AWS, "Read/write capacity"): once to prepare, once to commit.
    assert!((meter["TransactWriteItems"].units - 8.0).abs() < 0.01 || (meter["TransactWriteItems"].units - 4.0).abs() < 0.01, "{meter:?}");
    assert!((meter["GetItem"].units - opened.units - 1.0).abs() < 0.01, "{meter:?}");
    DynamoEngine::drop_tables(&settings).await.unwrap();
}
