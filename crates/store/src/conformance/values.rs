//! What is stored comes back as it was.

use std::sync::Arc;

use serde_json::json;

use super::{Bench, attrs};
use crate::engine::{Engine, Item, Query, Table, Transaction};

pub async fn every_kind_of_value_comes_back_as_it_was(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.row("päрт\u{1F600}", "sört 'key' \"%_\\ \t");
    let value = json!({
        "text": "plain", "empty": "", "space": "  both ends  ", "lines": "one\r\ntwo\tthree", "quotes": "'\"\\`%_;--",
        "emoji": "👩‍👩‍👧‍👦🏳️‍🌈", "scripts": "ÄÖß Ελληνικά 日本語 עברית", "zero character": "a\u{0}b", "last": "\u{10FFFF}",
        "zero": 0, "negative": -42, "fraction": 0.1, "third": 0.333_333_333_333_333_3, "small": 1.5e-7, "large": 1.25e20, "negative fraction": -2.75,
        "yes": true, "no": false,
        "list": [], "mixed": [1, "two", false, [3], {"four": 4}],
        "object": {}, "nested": {"a": {"b": {"c": ["d", 0.5, ""]}}},
        "with.dot": 1, "with space": 2, "#name": 3, ":value": 4, "size": 5, "type of": "reserved words"
    });
    // 1.25e20 is whole; what counts it may come back as an integer or as a double.
    let mut expected = attrs(value.clone());
    let large = expected.remove("large").and_then(|value| value.as_f64());
    bench.put(Table::Email, &key, value).await;
    let item = bench.engine.get(Table::Email, &key).await.unwrap().unwrap();
    let queried = bench.rows(Query::table(Table::Email, key.pk.clone())).await.items;
    assert_eq!(queried, std::slice::from_ref(&item));
    assert_eq!(item.key, key);
    let mut found = item.attrs;
    assert_eq!(found.remove("large").and_then(|value| value.as_f64()), large);
    assert_eq!(found, expected);

    // The same by an update.
    let updated = bench.row("updated", "1");
    let mut tx = Transaction::new();
    let mut op = tx.update(Table::Email, updated.clone());
    for (name, value) in &expected {
        op = op.set(name, value.clone());
    }
    let _ = op;
    bench.engine.transact(tx).await.unwrap();
    assert_eq!(bench.engine.get(Table::Email, &updated).await, Ok(Some(Item { key: updated, attrs: expected })));
}

pub async fn integers_stay_exact(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    let edge = 1_i64 << 53;
    let before = json!({"high": edge, "low": -edge, "odd": edge - 1, "added": edge - 1});
    bench.put(Table::Main, &key, before).await;
    let mut tx = Transaction::new();
    tx.add(Table::Main, key.clone(), "added", 1);
    bench.engine.transact(tx).await.unwrap();
    let found = bench.read(Table::Main, &key).await;
    assert_eq!(found, json!({"high": edge, "low": -edge, "odd": edge - 1, "added": edge}));
    assert!(found["high"].is_i64() && found["low"].is_i64());
}
