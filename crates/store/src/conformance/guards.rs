//! Every guard, on attributes that hold, do not hold, or are not there.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Bench, attrs, not};
use crate::{
    engine::{Engine, Guard, Item, Key, Table, Transaction},
    rules::Rule,
};

async fn holds(bench: &Bench, key: &Key, guard: &Guard) -> bool {
    let mut tx = Transaction::new();
    tx.check(Table::Main, key.clone()).when(guard.clone()).or(Rule::Changed);
    match bench.engine.transact(tx).await {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.rule(), Some(Rule::Changed), "{guard:?}: {error}");
            false
        }
    }
}

pub async fn each_guard_holds_where_it_should(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    let item = json!({"text": "x", "empty": "", "zero": 0, "three": 3, "half": 0.5, "yes": true, "no": false, "list": [1, "a"], "object": {"a": 1}});
    bench.put(Table::Main, &key, item).await;
    let differs = |name: &str, value: Value| Guard::Differs(name.to_owned(), value);
    let at_most = |name: &str, value| Guard::AtMost(name.to_owned(), value);
    let at_least = |name: &str, value| Guard::AtLeast(name.to_owned(), value);
    let cases = [
        (Guard::Present, true),
        (Guard::Absent, false),
        (Guard::equals("text", "x"), true),
        (Guard::equals("text", "X"), false),
        (Guard::equals("empty", ""), true),
        (Guard::equals("three", 3), true),
        (Guard::equals("three", "3"), false),
        (Guard::equals("half", 0.5), true),
        (Guard::equals("yes", true), true),
        (Guard::equals("no", true), false),
        (Guard::equals("list", json!([1, "a"])), true),
        (Guard::equals("list", json!(["a", 1])), false),
        (Guard::equals("object", json!({"a": 1})), true),
        (Guard::equals("missing", "x"), false),
        (differs("text", json!("y")), true),
        (differs("text", json!("x")), false),
        (differs("three", json!(3)), false),
        (differs("three", json!("3")), true),
        (differs("missing", json!("x")), true),
        (not("missing"), true),
        (not("text"), false),
        (not("empty"), false),
        (not("no"), false),
        (Guard::below_attr("zero", "three"), true),
        (Guard::below_attr("three", "three"), false),
        (Guard::below_attr("three", "zero"), false),
        (Guard::below_attr("missing", "three"), true),
        (Guard::below_attr("missing", "zero"), false),
        (Guard::below_attr("three", "missing"), true),
        (Guard::below_attr("missing", "missing too"), true),
        (at_most("three", 3), true),
        (at_most("three", 2), false),
        (at_most("half", 0), false),
        (at_most("missing", 0), true),
        (at_most("missing", -1), false),
        (at_least("three", 3), true),
        (at_least("three", 4), false),
        (at_least("half", 0), true),
        (at_least("missing", 0), true),
        (at_least("missing", 1), false),
        (Guard::equals("text", "y").or(Guard::equals("three", 3)), true),
        (Guard::equals("text", "y").or(Guard::equals("three", 4)), false),
        (Guard::equals("text", "x").and(Guard::equals("three", 3)), true),
        (Guard::equals("text", "x").and(Guard::equals("three", 4)), false),
        (Guard::Present.and(not("missing").or(Guard::equals("missing", 1))), true),
        (Guard::Absent.or(Guard::equals("text", "y").or(not("text"))), false),
    ];
    for (guard, expected) in cases {
        assert_eq!(holds(&bench, &key, &guard).await, expected, "{guard:?}");
    }
}

pub async fn a_guard_on_a_missing_item_knows_what_missing_means(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("none");
    let cases = [
        (Guard::Present, false),
        (Guard::Absent, true),
        (Guard::equals("a", 1), false),
        (Guard::Differs("a".to_owned(), json!(1)), true),
        (not("a"), true),
        (Guard::below_attr("a", "b"), true),
        (Guard::AtMost("a".to_owned(), 0), true),
        (Guard::AtMost("a".to_owned(), -1), false),
        (Guard::AtLeast("a".to_owned(), 0), true),
        (Guard::AtLeast("a".to_owned(), 1), false),
        (Guard::Absent.or(Guard::equals("a", 1)), true),
        (Guard::Present.and(not("a")), false),
    ];
    for (guard, expected) in cases {
        assert_eq!(holds(&bench, &key, &guard).await, expected, "{guard:?}");
    }
}

pub async fn guards_protect_every_kind_of_change(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("a");
    let before = json!({"state": "closed", "count": 1});
    bench.put(Table::Email, &key, before.clone()).await;
    let open = || Guard::equals("state", "open");
    let mut changes = [Transaction::new(), Transaction::new(), Transaction::new(), Transaction::new()];
    changes[0].put(Table::Email, Item { key: key.clone(), attrs: attrs(json!({})) }).when(open()).or(Rule::CampaignMoved);
    changes[1].update(Table::Email, key.clone()).set("state", "sent").add("count", 1).when(open()).or(Rule::CampaignMoved);
    changes[2].delete(Table::Email, key.clone()).when(open()).or(Rule::CampaignMoved);
    changes[3].check(Table::Email, key.clone()).when(open()).or(Rule::CampaignMoved);
    for change in changes {
        // Alone, and beside an operation without a guard.
        let mut pair = change.clone();
        pair.add(Table::Main, bench.key("other"), "count", 1);
        assert_eq!(bench.reasons(change).await, [Some(Rule::CampaignMoved)]);
        assert_eq!(bench.reasons(pair).await, [Some(Rule::CampaignMoved), None]);
        assert_eq!(bench.read(Table::Email, &key).await, before);
        assert_eq!(bench.read(Table::Main, &bench.key("other")).await, Value::Null);
    }
}
