//! Random transactions, on the engine and on a map: the same answers, the same items.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    engine::{Attrs, Change, Engine, Guard, IndexName, Key, Op, Query, Table, TransactError, Transaction},
    rules::Rule,
    sqlite::SqliteEngine,
};

type Map = BTreeMap<(Table, Key), Attrs>;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const ATTRS: [&str; 4] = ["type", "email", "count", "max"];
const RULES: [Rule; 3] = [Rule::Changed, Rule::EventFull, Rule::IdTaken];

/// What the guards mean, written down a second time.
fn holds(guard: &Guard, item: Option<&Attrs>) -> bool {
    let empty = Attrs::new();
    let attrs = item.unwrap_or(&empty);
    let integer = |name: &str| attrs.get(name).and_then(Value::as_i64);
    match guard {
        Guard::Present => item.is_some(),
        Guard::Absent => item.is_none(),
        Guard::Equals(name, value) => attrs.get(name) == Some(value),
        Guard::Differs(name, value) => attrs.get(name) != Some(value),
        Guard::Missing(name) => !attrs.contains_key(name),
        Guard::BelowAttr { count, limit } => match integer(limit) {
            None => true,
            Some(limit) => integer(count).unwrap_or(0) < limit,
        },
        Guard::AtMost(name, value) => integer(name).unwrap_or(0) <= *value,
        Guard::AtLeast(name, value) => integer(name).unwrap_or(0) >= *value,
        Guard::Any(guards) => guards.iter().any(|guard| holds(guard, item)),
        Guard::All(guards) => guards.iter().all(|guard| holds(guard, item)),
    }
}

fn apply(map: &mut Map, transaction: &Transaction) -> Result<(), Vec<Option<Rule>>> {
    let reason = |op: &Op| {
        let item = map.get(&(op.table, op.key.clone()));
        op.guards.iter().find(|(guard, _)| !holds(guard, item)).map(|(_, rule)| *rule)
    };
    let reasons: Vec<_> = transaction.ops.iter().map(reason).collect();
    if reasons.iter().any(Option::is_some) {
        return Err(reasons);
    }
    for op in &transaction.ops {
        let place = (op.table, op.key.clone());
        match &op.change {
            Change::Check => {}
            Change::Put(attrs) => drop(map.insert(place, attrs.clone())),
            Change::Delete => drop(map.remove(&place)),
            Change::Update { set, remove, add } => {
                let item = map.entry(place).or_default();
                item.retain(|name, _| !remove.contains(name));
                item.extend(set.clone());
                for (name, by) in add {
                    let sum = item.get(name).and_then(Value::as_i64).unwrap_or(0) + by;
                    item.insert(name.clone(), sum.into());
                }
            }
        }
    }
    Ok(())
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::Main), Just(Table::Email)]
}

/// Texts for the first two attributes, integers for the others, so that every addition is to a number.
fn attr() -> impl Strategy<Value = (String, Value)> {
    (0..ATTRS.len(), -2_i64..4).prop_map(|(name, number)| {
        let value = if name < 2 { json!(format!("value {number}")) } else { json!(number) };
        (ATTRS[name].to_owned(), value)
    })
}

fn attrs() -> impl Strategy<Value = Attrs> {
    prop::collection::vec(attr(), 0..4).prop_map(|attrs| attrs.into_iter().collect())
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(ATTRS.as_slice()).prop_map(str::to_owned)
}

fn guard() -> impl Strategy<Value = Guard> {
    let leaf = prop_oneof![
        Just(Guard::Present),
        Just(Guard::Absent),
        attr().prop_map(|(name, value)| Guard::Equals(name, value)),
        attr().prop_map(|(name, value)| Guard::Differs(name, value)),
        name().prop_map(Guard::Missing),
        Just(Guard::below_attr("count", "max")),
        (-2_i64..4).prop_map(|value| Guard::AtMost("count".to_owned(), value)),
        (-2_i64..4).prop_map(|value| Guard::AtLeast("count".to_owned(), value)),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 1..3).prop_map(Guard::Any), prop::collection::vec(inner, 1..3).prop_map(Guard::All)]
    })
}

fn change() -> impl Strategy<Value = Change> {
    let update = (attrs(), prop::collection::vec(name(), 0..3), prop::option::of((2..4_usize, -3_i64..4))).prop_map(|(set, mut remove, add)| {
        let add: Vec<_> = add.map(|(name, by)| (ATTRS[name].to_owned(), by)).into_iter().filter(|(name, _)| !set.contains_key(name)).collect();
        remove.sort();
        remove.dedup();
        remove.retain(|name| !set.contains_key(name) && add.iter().all(|(added, _)| added != name));
        Change::Update { set, remove, add }
    });
    prop_oneof![2 => attrs().prop_map(Change::Put), 3 => update, 1 => Just(Change::Delete), 1 => Just(Change::Check)]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let place = (table(), prop::sample::select(KEYS.as_slice()), prop::sample::select(KEYS.as_slice()));
    let guards = prop::collection::vec((guard(), prop::sample::select(RULES.as_slice())), 0..2);
    prop::collection::vec((place, change(), guards), 1..4).prop_map(|ops| {
        // No two operations on one item: the last one stays.
        let ops: BTreeMap<_, _> = ops.into_iter().map(|((table, pk, sk), change, guards)| ((table, Key::new(pk, sk)), (change, guards))).collect();
        Transaction { ops: ops.into_iter().map(|((table, key), (change, guards))| Op { table, key, change, guards }).collect() }
    })
}

async fn compare(engine: &SqliteEngine, map: &Map) -> Result<(), TestCaseError> {
    for table in [Table::Main, Table::Email] {
        for pk in KEYS {
            let found = engine.query(Query::table(table, pk)).await.unwrap().items;
            let found: Vec<_> = found.into_iter().map(|item| (item.key, item.attrs)).collect();
            let expected = map.iter().filter(|((of, key), _)| *of == table && key.pk == pk);
            let expected: Vec<_> = expected.map(|((_, key), attrs)| (key.clone(), attrs.clone())).collect();
            prop_assert_eq!(found, expected);
        }
        for (index, attr) in [(IndexName::Type, "type"), (IndexName::Email, "email")] {
            for number in -2..4 {
                let value = format!("value {number}");
                let found = engine.query(Query::index(table, index, value.clone())).await.unwrap().items;
                let found: Vec<_> = found.into_iter().map(|item| item.key).collect();
                let expected = map.iter().filter(|((of, _), attrs)| *of == table && attrs.get(attr) == Some(&json!(value)));
                let expected: Vec<_> = expected.map(|((_, key), _)| key.clone()).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_transactions_do_what_they_would_do_to_a_map(transactions in prop::collection::vec(transaction(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let engine = SqliteEngine::memory();
            let mut map = Map::new();
            for transaction in transactions {
                let expected = apply(&mut map, &transaction).map_err(TransactError::Refused);
                let touched: Vec<_> = transaction.ops.iter().map(|op| (op.table, op.key.clone())).collect();
                prop_assert_eq!(engine.transact(transaction).await, expected);
                // From the database, and from memory, where it stays until the next change.
                for (table, key) in touched.iter().chain(&touched) {
                    let found = engine.get(*table, key).await.unwrap().map(|item| item.attrs);
                    prop_assert_eq!(found.as_ref(), map.get(&(*table, key.clone())));
                }
            }
            compare(&engine, &map).await?;
            prop_assert_eq!(engine.integrity_check().await, Ok(()));
            Ok(())
        })?;
    }
}
