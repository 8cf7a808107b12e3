//! Every limit: what is at it passes, what is beyond breaks it and changes nothing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Bench, attrs};
use crate::engine::{Engine, EngineError, GET_MANY_MAX, IndexName, Item, Key, OPS_MAX, PK_BYTES_MAX, QUERY_MAX, Query, SK_BYTES_MAX, Table, Transaction};

fn text(kilobytes: usize) -> String {
    "x".repeat(kilobytes * 1024)
}

pub async fn a_hundred_operations_pass_and_one_more_does_not(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let mut tx = Transaction::new();
    for number in 0..OPS_MAX {
        tx.add(Table::Main, bench.key(&number.to_string()), "count", 1);
    }
    bench.engine.transact(tx.clone()).await.unwrap();
    tx.add(Table::Main, bench.key("one more"), "count", 1);
    bench.breaks_a_limit(tx).await;
    assert_eq!(bench.read(Table::Main, &bench.key("0")).await, json!({"count": 1}));
    assert_eq!(bench.read(Table::Main, &bench.key("99")).await, json!({"count": 1}));
}

pub async fn a_transaction_has_at_most_four_megabytes(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let mut tx = Transaction::new();
    for number in 0..10 {
        tx.put(Table::Main, Item { key: bench.key(&number.to_string()), attrs: attrs(json!({"text": text(390)})) });
    }
    let fits = tx.clone();
    tx.put(Table::Main, Item { key: bench.key("beyond"), attrs: attrs(json!({"text": text(390)})) });
    bench.breaks_a_limit(tx).await;
    assert_eq!(bench.read(Table::Main, &bench.key("0")).await, Value::Null);
    bench.engine.transact(fits).await.unwrap();
    assert_eq!(bench.read(Table::Main, &bench.key("9")).await, json!({"text": text(390)}));
}

pub async fn an_item_has_at_most_four_hundred_kilobytes(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    bench.put(Table::Main, &key, json!({"text": text(399)})).await;
    let mut put = Transaction::new();
    put.put(Table::Main, Item { key: key.clone(), attrs: attrs(json!({"text": text(401)})) });
    bench.breaks_a_limit(put).await;
    let mut update = Transaction::new();
    update.update(Table::Main, key.clone()).set("text", text(401));
    bench.breaks_a_limit(update).await;
    assert_eq!(bench.read(Table::Main, &key).await, json!({"text": text(399)}));
}

pub async fn an_update_cannot_outgrow_an_item(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let (key, other) = (bench.key("a"), bench.key("b"));
    bench.put(Table::Main, &key, json!({"one": text(300)})).await;
    let mut tx = Transaction::new();
    tx.add(Table::Main, other.clone(), "count", 1);
    tx.update(Table::Main, key.clone()).set("two", text(200));
    bench.breaks_a_limit(tx).await;
    assert_eq!(bench.read(Table::Main, &key).await, json!({"one": text(300)}));
    assert_eq!(bench.read(Table::Main, &other).await, Value::Null);
}

pub async fn keys_have_limits_and_are_never_empty(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let fill = |bytes: usize| format!("{:x<bytes$}", bench.prefix);
    let longest = Key::new(fill(PK_BYTES_MAX), fill(SK_BYTES_MAX));
    bench.put(Table::Main, &longest, json!({"x": 1})).await;
    assert_eq!(bench.read(Table::Main, &longest).await, json!({"x": 1}));
    // The limit counts bytes, not characters.
    let wide = format!("{}é", fill(SK_BYTES_MAX - 1));
    for wrong in [Key::new("", "sk"), Key::new("pk", ""), Key::new(fill(PK_BYTES_MAX + 1), "sk"), Key::new("pk", fill(SK_BYTES_MAX + 1)), Key::new("pk", wide)]
    {
        let mut tx = Transaction::new();
        tx.put(Table::Main, Item { key: wrong.clone(), attrs: attrs(json!({})) });
        bench.breaks_a_limit(tx).await;
        let mut tx = Transaction::new();
        tx.check(Table::Email, wrong.clone());
        bench.breaks_a_limit(tx).await;
        assert!(matches!(bench.engine.get(Table::Main, &wrong).await, Err(EngineError::Limit(_))));
        assert!(matches!(bench.engine.get_many(Table::Main, &[wrong]).await, Err(EngineError::Limit(_))));
    }
}

pub async fn no_two_operations_touch_one_item(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    let mut tx = Transaction::new();
    tx.add(Table::Main, key.clone(), "count", 1);
    tx.check(Table::Main, key.clone());
    bench.breaks_a_limit(tx).await;
    assert_eq!(bench.read(Table::Main, &key).await, Value::Null);
}

pub async fn an_attribute_is_changed_in_one_way_only(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    let mut changes = [Transaction::new(), Transaction::new(), Transaction::new()];
    changes[0].update(Table::Main, key.clone()).set("count", 1).add("count", 1);
    changes[1].update(Table::Main, key.clone()).set("count", 1).remove("count");
    changes[2].update(Table::Main, key.clone()).add("count", 1).add("count", 1);
    for change in changes {
        bench.breaks_a_limit(change).await;
    }
    assert_eq!(bench.read(Table::Main, &key).await, Value::Null);
}

pub async fn a_null_attribute_is_refused(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    let mut put = Transaction::new();
    put.put(Table::Main, Item { key: key.clone(), attrs: attrs(json!({"x": null})) });
    bench.breaks_a_limit(put).await;
    let mut update = Transaction::new();
    update.update(Table::Main, key.clone()).set("x", Value::Null);
    bench.breaks_a_limit(update).await;
    assert_eq!(bench.read(Table::Main, &key).await, Value::Null);
}

pub async fn an_empty_transaction_is_refused(engine: Arc<dyn Engine>) {
    Bench::new(engine).breaks_a_limit(Transaction::new()).await;
}

pub async fn a_query_has_limits(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let own = bench.own("none");
    for wrong in [
        Query::table(Table::Main, own.clone()).limit(0),
        Query::table(Table::Main, own.clone()).limit(QUERY_MAX + 1),
        Query::table(Table::Main, ""),
        Query::index(Table::Main, IndexName::User, own.clone()),
        Query::index(Table::Email, IndexName::Sk, own.clone()),
        Query::index(Table::Email, IndexName::Slug, own.clone()),
        Query::index(Table::Main, IndexName::Email, own.clone()).prefix("a"),
        Query::index(Table::Main, IndexName::Slug, own.clone()).between("a", "b"),
    ] {
        let answer = bench.engine.query(wrong.clone()).await;
        assert!(matches!(answer, Err(EngineError::Limit(_))), "{wrong:?}: {answer:?}");
    }
    let rows = bench.rows(Query::table(Table::Main, own).limit(QUERY_MAX)).await;
    assert!(rows.items.is_empty() && rows.next.is_none());
}

pub async fn get_many_has_limits(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let keys: Vec<_> = (0..=GET_MANY_MAX).map(|number| bench.key(&number.to_string())).collect();
    assert!(matches!(bench.engine.get_many(Table::Main, &keys).await, Err(EngineError::Limit(_))));
    assert_eq!(bench.engine.get_many(Table::Main, &keys[1..]).await, Ok(vec![None; GET_MANY_MAX]));
    assert_eq!(bench.engine.get_many(Table::Main, &[]).await, Ok(Vec::new()));
}
