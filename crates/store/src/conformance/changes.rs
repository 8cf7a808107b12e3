//! Put, update, delete, check; all or nothing; what a refusal says.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Bench, attrs, keys};
use crate::{
    engine::{Engine, Guard, Item, Query, Table, Transaction},
    rules::Rule,
};

pub async fn a_put_replaces_the_whole_item(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    bench.put(Table::Main, &key, json!({"one": 1, "two": 2})).await;
    bench.put(Table::Main, &key, json!({"two": "other"})).await;
    assert_eq!(bench.read(Table::Main, &key).await, json!({"two": "other"}));
}

pub async fn an_update_sets_removes_and_adds_and_keeps_the_rest(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    bench.put(Table::Email, &key, json!({"kept": "yes", "changed": "old", "gone": true, "count": 5})).await;
    let mut tx = Transaction::new();
    tx.update(Table::Email, key.clone()).set("changed", "new").set("made", 1).remove("gone").remove("never there").add("count", -7);
    bench.engine.transact(tx).await.unwrap();
    assert_eq!(bench.read(Table::Email, &key).await, json!({"kept": "yes", "changed": "new", "made": 1, "count": -2}));
}

pub async fn an_update_makes_the_item_that_is_not_there(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let (made, refused) = (bench.key("made"), bench.key("refused"));
    let mut tx = Transaction::new();
    tx.update(Table::Main, made.clone()).set("name", "Ada").add("count", 3);
    bench.engine.transact(tx).await.unwrap();
    assert_eq!(bench.read(Table::Main, &made).await, json!({"name": "Ada", "count": 3}));

    let mut tx = Transaction::new();
    tx.update(Table::Main, refused.clone()).set("name", "Ada").when(Guard::Present).or(Rule::UserUnknown);
    assert_eq!(bench.reasons(tx).await, [Some(Rule::UserUnknown)]);
    assert_eq!(bench.read(Table::Main, &refused).await, Value::Null);
}

pub async fn an_add_to_a_missing_attribute_starts_at_zero(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    bench.put(Table::Main, &key, json!({"other": "x"})).await;
    for by in [4, -1] {
        let mut tx = Transaction::new();
        tx.add(Table::Main, key.clone(), "count", by);
        bench.engine.transact(tx).await.unwrap();
    }
    assert_eq!(bench.read(Table::Main, &key).await, json!({"other": "x", "count": 3}));
}

pub async fn an_add_to_something_that_is_not_a_number_breaks_a_limit(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let (key, other) = (bench.key("a"), bench.key("b"));
    bench.put(Table::Main, &key, json!({"count": "three"})).await;
    let mut tx = Transaction::new();
    tx.put(Table::Main, Item { key: other.clone(), attrs: attrs(json!({})) });
    tx.add(Table::Main, key.clone(), "count", 1);
    bench.breaks_a_limit(tx).await;
    assert_eq!(bench.read(Table::Main, &key).await, json!({"count": "three"}));
    assert_eq!(bench.read(Table::Main, &other).await, Value::Null);
}

pub async fn a_delete_removes_the_item_and_may_find_nothing(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    bench.put(Table::Main, &key, json!({"x": 1})).await;
    bench.delete(Table::Main, &key).await;
    assert_eq!(bench.read(Table::Main, &key).await, Value::Null);
    bench.delete(Table::Main, &key).await;
    assert_eq!(bench.read(Table::Main, &key).await, Value::Null);
}

pub async fn a_check_changes_nothing(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let (there, missing) = (bench.key("there"), bench.key("missing"));
    bench.put(Table::Main, &there, json!({"x": 1})).await;
    let mut tx = Transaction::new();
    tx.check(Table::Main, there.clone()).when(Guard::Present).or(Rule::UserUnknown);
    tx.check(Table::Main, missing.clone()).when(Guard::Absent).or(Rule::IdTaken);
    bench.engine.transact(tx).await.unwrap();
    assert_eq!(bench.read(Table::Main, &there).await, json!({"x": 1}));
    assert_eq!(bench.read(Table::Main, &missing).await, Value::Null);
}

pub async fn the_same_key_in_both_tables_is_two_items(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    let mut tx = Transaction::new();
    tx.put(Table::Main, Item { key: key.clone(), attrs: attrs(json!({"in": "main"})) });
    tx.put(Table::Email, Item { key: key.clone(), attrs: attrs(json!({"in": "email"})) });
    bench.engine.transact(tx).await.unwrap();
    assert_eq!(bench.read(Table::Main, &key).await, json!({"in": "main"}));
    assert_eq!(bench.read(Table::Email, &key).await, json!({"in": "email"}));
    bench.delete(Table::Main, &key).await;
    assert_eq!(bench.read(Table::Email, &key).await, json!({"in": "email"}));
}

pub async fn all_operations_happen_or_none(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let [made, changed, deleted, guarded] = ["made", "changed", "deleted", "guarded"].map(|name| bench.key(name));
    bench.put(Table::Main, &changed, json!({"count": 1})).await;
    bench.put(Table::Email, &deleted, json!({"x": 1})).await;
    bench.put(Table::Main, &guarded, json!({"state": "closed"})).await;
    let transaction = |state: &str| {
        let mut tx = Transaction::new();
        tx.put(Table::Main, Item { key: made.clone(), attrs: attrs(json!({"x": 1})) });
        tx.add(Table::Main, changed.clone(), "count", 1);
        tx.delete(Table::Email, deleted.clone());
        tx.check(Table::Main, guarded.clone()).when(Guard::equals("state", state)).or(Rule::Changed);
        tx
    };
    assert_eq!(bench.reasons(transaction("open")).await, [None, None, None, Some(Rule::Changed)]);
    assert_eq!(bench.read(Table::Main, &made).await, Value::Null);
    assert_eq!(bench.read(Table::Main, &changed).await, json!({"count": 1}));
    assert_eq!(bench.read(Table::Email, &deleted).await, json!({"x": 1}));

    bench.engine.transact(transaction("closed")).await.unwrap();
    assert_eq!(bench.read(Table::Main, &made).await, json!({"x": 1}));
    assert_eq!(bench.read(Table::Main, &changed).await, json!({"count": 2}));
    assert_eq!(bench.read(Table::Email, &deleted).await, Value::Null);
}

pub async fn a_refusal_has_one_reason_for_each_operation(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    bench.put(Table::Main, &bench.key("full"), json!({"count": 2, "max": 2})).await;
    let mut tx = Transaction::new();
    tx.check(Table::Main, bench.key("none")).when(Guard::Absent).or(Rule::IdTaken);
    tx.add(Table::Main, bench.key("full"), "count", 1).when(Guard::below_attr("count", "max")).or(Rule::EventFull);
    tx.put(Table::Main, Item { key: bench.key("free"), attrs: attrs(json!({})) });
    tx.delete(Table::Email, bench.key("unknown")).when(Guard::Present).or(Rule::CampaignUnknown);
    assert_eq!(bench.reasons(tx).await, [None, Some(Rule::EventFull), None, Some(Rule::CampaignUnknown)]);

    let mut single = Transaction::new();
    single.delete(Table::Main, bench.key("unknown")).when(Guard::Present).or(Rule::UserUnknown);
    assert_eq!(bench.reasons(single).await, [Some(Rule::UserUnknown)]);
}

pub async fn the_first_broken_guard_names_the_rule(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("event");
    let register = || {
        let mut tx = Transaction::new();
        tx.add(Table::Main, key.clone(), "count", 1)
            .when(Guard::Present)
            .or(Rule::EventUnknown)
            .when(Guard::equals("rev", 1))
            .or(Rule::StaleRev)
            .when(Guard::below_attr("count", "max"))
            .or(Rule::EventFull);
        tx
    };
    assert_eq!(bench.reasons(register()).await, [Some(Rule::EventUnknown)]);
    bench.put(Table::Main, &key, json!({"count": 1, "max": 1, "rev": 2})).await;
    assert_eq!(bench.reasons(register()).await, [Some(Rule::StaleRev)]);
    bench.put(Table::Main, &key, json!({"count": 1, "max": 1, "rev": 1})).await;
    assert_eq!(bench.reasons(register()).await, [Some(Rule::EventFull)]);
    bench.put(Table::Main, &key, json!({"count": 0, "max": 1, "rev": 1})).await;
    bench.engine.transact(register()).await.unwrap();
}

pub async fn what_was_answered_is_read_by_all_reads_of_the_table(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let tasks = (0..16).map(|task| {
        let bench = bench.clone();
        tokio::spawn(async move {
            for round in 0..5 {
                let key = bench.row(&format!("partition {task}"), &format!("row {round}"));
                bench.put(Table::Main, &key, json!({"round": round})).await;
                assert_eq!(bench.read(Table::Main, &key).await, json!({"round": round}));
                let many = bench.engine.get_many(Table::Main, std::slice::from_ref(&key)).await.unwrap();
                let json = bench.engine.get_many_json(Table::Main, std::slice::from_ref(&key)).await.unwrap();
                let json = json.into_iter().next().unwrap().map(|json| serde_json::from_str::<crate::Attrs>(&json).unwrap());
                assert_eq!(json, many.first().cloned().unwrap().map(|item| item.attrs), "as JSON text");
                assert!(many[0].is_some());
                let rows = bench.rows(Query::table(Table::Main, key.pk.clone())).await;
                assert_eq!(rows.items.len(), round + 1);
                assert_eq!(keys(&rows).last(), Some(&key));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}
