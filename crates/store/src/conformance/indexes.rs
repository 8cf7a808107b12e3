//! Queries on the named indexes. An index may lag, so what it shows is waited for.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use super::{Bench, attrs, has_order, keys};
use crate::engine::{Engine, IndexName, Item, Key, Query, Table, Transaction};

const ALL: [(Table, IndexName); 7] = [
    (Table::Main, IndexName::Type),
    (Table::Main, IndexName::Sk),
    (Table::Main, IndexName::Email),
    (Table::Main, IndexName::Slug),
    (Table::Email, IndexName::Type),
    (Table::Email, IndexName::User),
    (Table::Email, IndexName::Email),
];

/// A row that `partition` of the index lists.
fn member(bench: &Bench, index: IndexName, partition: &str, pk: &str) -> Item {
    let (sk, attr) = match index {
        IndexName::Sk | IndexName::User => (bench.own(partition), None),
        IndexName::Type => (bench.own(pk), Some("type")),
        IndexName::Email => (bench.own(pk), Some("email")),
        IndexName::Slug => (bench.own(pk), Some("slug")),
    };
    let mut attrs = attrs(json!({"pk": pk}));
    attrs.extend(attr.map(|name| (name.to_owned(), Value::from(bench.own(partition)))));
    Item { key: Key::new(bench.own(pk), sk), attrs }
}

async fn put_all(bench: &Bench, table: Table, items: &[Item]) {
    let mut tx = Transaction::new();
    for item in items {
        tx.put(table, item.clone());
    }
    bench.engine.transact(tx).await.unwrap();
}

/// The order of rows that the index says nothing about is the engine's own, as long as it stays: there it is read first.
async fn in_order(bench: &Bench, query: &Query, rows: Vec<Item>) -> Vec<Item> {
    bench.index_shows(query.clone(), &rows).await;
    if has_order(query) { rows } else { bench.rows(query.clone()).await.items }
}

fn turned(items: &[Item]) -> Vec<Item> {
    items.iter().rev().cloned().collect()
}

pub async fn each_index_lists_its_rows_in_order(engine: Arc<dyn Engine>) {
    for (table, index) in ALL {
        let bench = Bench::new(engine.clone());
        let rows = ["1", "10", "2", "Z", "a", "é", "\u{1F600}"].map(|pk| member(&bench, index, "here", pk));
        let mut mixed = rows.clone();
        mixed.reverse();
        mixed.swap(1, 4);
        put_all(&bench, table, &mixed).await;
        put_all(&bench, table, &[member(&bench, index, "there", "other")]).await;
        // No attribute, and one that is not text: in no index.
        bench.put(table, &bench.key("none"), json!({"x": 1})).await;
        bench.put(table, &bench.key("empty"), json!({})).await;
        let query = Query::index(table, index, bench.own("here"));
        bench.index_shows(query.clone(), &rows).await;
        bench.index_shows(query.backward(), &turned(&rows)).await;
    }
}

pub async fn an_index_follows_changes_and_deletions(engine: Arc<dyn Engine>) {
    for (table, index) in ALL {
        let bench = Bench::new(engine.clone());
        let query = |partition: &str| Query::index(table, index, bench.own(partition));
        let rows = ["1", "2", "3"].map(|pk| member(&bench, index, "here", pk));
        put_all(&bench, table, &rows).await;
        bench.index_shows(query("here"), &rows).await;

        bench.delete(table, &rows[0].key).await;
        bench.index_shows(query("here"), &rows[1..]).await;

        let mut tx = Transaction::new();
        tx.update(table, rows[1].key.clone()).set("more", 1);
        bench.engine.transact(tx).await.unwrap();
        let mut changed = rows[1].clone();
        changed.attrs.insert("more".to_owned(), json!(1));
        bench.index_shows(query("here"), &[changed.clone(), rows[2].clone()]).await;

        let attr = match index {
            IndexName::Type => "type",
            IndexName::Email => "email",
            IndexName::Slug => "slug",
            IndexName::Sk | IndexName::User => continue,
        };
        let mut tx = Transaction::new();
        tx.update(table, rows[1].key.clone()).set(attr, bench.own("there"));
        tx.update(table, rows[2].key.clone()).remove(attr);
        bench.engine.transact(tx).await.unwrap();
        changed.attrs.insert(attr.to_owned(), bench.own("there").into());
        bench.index_shows(query("there"), &[changed]).await;
        bench.index_shows(query("here"), &[]).await;
    }
}

pub async fn a_range_limits_the_range_attribute_of_an_index(engine: Arc<dyn Engine>) {
    for (table, index) in [
        (Table::Main, IndexName::Type),
        (Table::Main, IndexName::Sk),
        (Table::Email, IndexName::Type),
        (Table::Email, IndexName::User),
        (Table::Email, IndexName::Email),
    ] {
        let bench = Bench::new(engine.clone());
        let rows = ["event#1", "user#1", "user#2", "user#3", "v"].map(|pk| member(&bench, index, "here", pk));
        put_all(&bench, table, &rows).await;
        let query = Query::index(table, index, bench.own("here"));
        bench.index_shows(query.clone(), &rows).await;
        let users = query.clone().prefix(bench.own("user#"));
        bench.index_shows(users.clone(), &rows[1..4]).await;
        bench.index_shows(users.clone().backward(), &turned(&rows[1..4])).await;
        bench.index_shows(query.between(bench.own("user#1"), bench.own("user#2")), &rows[1..3]).await;
        let users = users.limit(1);
        let expected: Vec<_> = rows[1..4].iter().map(|item| item.key.clone()).collect();
        assert_eq!(bench.pages(users.clone()).await, expected);
        let mut back = bench.pages(users.clone().backward()).await;
        back.reverse();
        assert_eq!(back, expected);
        assert_eq!(bench.pages(users.clone().after(Some(rows[0].key.clone()))).await, expected);
        assert!(bench.pages(users.after(Some(rows[4].key.clone()))).await.is_empty());
    }
}

pub async fn pages_of_each_index_join_without_gap_or_repeat(engine: Arc<dyn Engine>) {
    for (table, index) in ALL {
        let bench = Bench::new(engine.clone());
        let rows: Vec<_> = (0..23).map(|number| member(&bench, index, "here", &format!("{number:02}"))).collect();
        put_all(&bench, table, &rows).await;
        let query = Query::index(table, index, bench.own("here"));
        let rows = in_order(&bench, &query, rows).await;
        let expected: Vec<_> = rows.iter().map(|item| item.key.clone()).collect();
        for limit in [1, 5, 23, 24] {
            assert_eq!(bench.pages(query.clone().limit(limit)).await, expected, "{index:?} limit {limit}");
            let mut back = bench.pages(query.clone().limit(limit).backward()).await;
            back.reverse();
            assert_eq!(back, expected, "{index:?} limit {limit} backward");
        }
    }
    // Many rows of one PK: pages join by PK and SK.
    let bench = Bench::new(engine);
    let same = |number: u32| Item { key: bench.row("user", &format!("event#{number:02}")), attrs: attrs(json!({"type": bench.own("attendance")})) };
    let rows: Vec<_> = (0..9).map(same).collect();
    put_all(&bench, Table::Main, &rows).await;
    let query = Query::index(Table::Main, IndexName::Type, bench.own("attendance"));
    let mut keys = Vec::new();
    for _ in 0..3_000 {
        keys = bench.pages(query.clone().limit(2)).await;
        if keys.len() == rows.len() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // The order of rows with the same range attribute is the engine's own; only a repeat or a gap is a fault.
    keys.sort();
    assert_eq!(keys, rows.iter().map(|item| item.key.clone()).collect::<Vec<_>>());
}

pub async fn an_index_cursor_whose_row_is_gone_goes_on_behind_it(engine: Arc<dyn Engine>) {
    for (table, index) in ALL {
        let bench = Bench::new(engine.clone());
        let rows = ["1", "2", "3", "4"].map(|pk| member(&bench, index, "here", pk));
        put_all(&bench, table, &rows).await;
        let query = Query::index(table, index, bench.own("here"));
        let rows = in_order(&bench, &query, rows.to_vec()).await;
        let after = bench.rows(query.clone().limit(2)).await.next;
        assert_eq!(after.as_ref(), Some(&rows[1].key));
        bench.delete(table, &rows[1].key).await;
        bench.index_shows(query.clone(), &[rows[0].clone(), rows[2].clone(), rows[3].clone()]).await;
        bench.index_shows(query.clone().after(after.clone()), &rows[2..]).await;
        bench.index_shows(query.backward().after(after), &rows[..1]).await;
    }
}

pub async fn rows_that_come_while_paging_an_index_are_seen_at_most_once(engine: Arc<dyn Engine>) {
    for (table, index) in ALL {
        let bench = Bench::new(engine.clone());
        let rows: Vec<_> = (0..12).map(|number| member(&bench, index, "here", &format!("{number:02}"))).collect();
        put_all(&bench, table, &rows).await;
        let mut query = Query::index(table, index, bench.own("here"));
        bench.index_shows(query.clone(), &rows).await;
        query.limit = 3;
        let mut seen: HashMap<Key, usize> = HashMap::new();
        for page in 0.. {
            let found = bench.rows(query.clone()).await;
            for key in keys(&found) {
                *seen.entry(key).or_default() += 1;
            }
            let Some(next) = found.next else { break };
            if page < 3 {
                let around = [format!("!{page}"), format!("{page:02}+"), format!("99-{page}")];
                put_all(&bench, table, &around.map(|pk| member(&bench, index, "here", &pk))).await;
            }
            query.after = Some(next);
        }
        assert!(seen.values().all(|times| *times == 1), "{index:?}: {seen:?}");
        assert!(rows.iter().all(|item| seen.contains_key(&item.key)), "{index:?}: {seen:?}");
    }
}
