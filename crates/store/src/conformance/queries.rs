//! `get_many`, and queries of a partition of the table: order, ranges, pages.

use std::{collections::HashMap, sync::Arc};

use serde_json::json;

use super::{Bench, attrs, keys};
use crate::engine::{Engine, EngineError, Item, Key, OPS_MAX, QUERY_MAX, Query, Range, Table, Transaction};

/// Puts rows into one partition.
async fn fill(bench: &Bench, partition: &str, sks: &[&str]) {
    for chunk in sks.chunks(OPS_MAX) {
        let mut tx = Transaction::new();
        for sk in chunk {
            tx.put(Table::Main, Item { key: bench.row(partition, sk), attrs: attrs(json!({"sk": sk})) });
        }
        bench.engine.transact(tx).await.unwrap();
    }
}

async fn sort_keys(bench: &Bench, query: Query) -> Vec<String> {
    keys(&bench.rows(query).await).into_iter().map(|key| key.sk).collect()
}

pub async fn get_many_answers_in_the_order_of_the_keys(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    fill(&bench, "p", &["a", "b", "c"]).await;
    let wanted = ["c", "missing", "a", "c", "b"].map(|sk| bench.row("p", sk));
    let found = bench.engine.get_many(Table::Main, &wanted).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|item| item.map(|item| (item.key, item.attrs))).collect();
    let item = |sk: &str| Some((bench.row("p", sk), attrs(json!({"sk": sk}))));
    assert_eq!(found, [item("c"), None, item("a"), item("c"), item("b")]);
}

pub async fn a_query_sees_its_partition_only(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    fill(&bench, "p", &["a", "b"]).await;
    fill(&bench, "p2", &["c"]).await;
    fill(&bench, "o", &["d"]).await;
    bench.put(Table::Email, &bench.row("p", "e"), json!({})).await;
    assert_eq!(sort_keys(&bench, Query::table(Table::Main, bench.own("p"))).await, ["a", "b"]);
    assert_eq!(sort_keys(&bench, Query::table(Table::Email, bench.own("p"))).await, ["e"]);
    assert!(sort_keys(&bench, Query::table(Table::Main, bench.own("q"))).await.is_empty());
}

/// In order: ASCII before two, three and four bytes; U+FFFF before U+1F600, though UTF-16 would turn them round.
const ORDERED: [&str; 12] = ["#", "0", "10", "9", "Z", "a", "a\u{7f}", "aé", "é", "\u{d7ff}", "\u{ffff}", "\u{1F600}"];

pub async fn rows_come_in_the_order_of_utf8_bytes(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let mut mixed = ORDERED;
    mixed.reverse();
    mixed.swap(2, 7);
    fill(&bench, "p", &mixed).await;
    let query = Query::table(Table::Main, bench.own("p"));
    assert_eq!(sort_keys(&bench, query.clone()).await, ORDERED);
    mixed = ORDERED;
    mixed.reverse();
    assert_eq!(sort_keys(&bench, query.backward()).await, mixed);
}

pub async fn a_prefix_selects_exactly_what_starts_with_it(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let max = char::MAX.to_string();
    let (max_a, max_max) = (format!("{max}a"), format!("{max}{max}"));
    let mut all = vec!["a", "a#", "a#1", "a#\u{10FFFF}", "a$", "a%", "a_", "ab", "A", "é", "éa", "ê", "\u{d7ff}", "\u{d7ff}z", "\u{e000}"];
    all.extend([max.as_str(), &max_a, &max_max]);
    all.sort_unstable();
    fill(&bench, "p", &all).await;
    let query = Query::table(Table::Main, bench.own("p"));
    for prefix in ["", "a", "a#", "a#1", "a%", "a_", "A", "b", "é", "\u{d7ff}", &max, &max_max] {
        let expected: Vec<_> = all.iter().copied().filter(|sk| sk.starts_with(prefix)).collect();
        assert_eq!(sort_keys(&bench, query.clone().prefix(prefix)).await, expected, "{prefix:?}");
        let mut backward = sort_keys(&bench, query.clone().prefix(prefix).backward()).await;
        backward.reverse();
        assert_eq!(backward, expected, "{prefix:?} backward");
    }
}

pub async fn between_includes_both_ends(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    fill(&bench, "p", &["a", "b", "b1", "c", "d"]).await;
    let between = |low: &str, high: &str| Query::table(Table::Main, bench.own("p")).between(low, high);
    assert_eq!(sort_keys(&bench, between("b", "c")).await, ["b", "b1", "c"]);
    assert_eq!(sort_keys(&bench, between("b", "c").backward()).await, ["c", "b1", "b"]);
    assert_eq!(sort_keys(&bench, between("b", "b")).await, ["b"]);
    assert_eq!(sort_keys(&bench, between("b2", "bz")).await, [""; 0]);
    assert_eq!(sort_keys(&bench, between("c", "b")).await, [""; 0]);
    assert_eq!(sort_keys(&bench, between("b2", "zz")).await, ["c", "d"]);
}

pub async fn a_range_bounds_every_page(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    fill(&bench, "p", &["a0", "b1", "b2", "b3", "b4", "b5", "c6"]).await;
    let query = Query::table(Table::Main, bench.own("p")).limit(2);
    let expected = ["b1", "b2", "b3", "b4", "b5"].map(|sk| bench.row("p", sk));
    let mut turned = expected.clone();
    turned.reverse();
    for range in [Range::Prefix("b".to_owned()), Range::Between("b1".to_owned(), "b5".to_owned())] {
        let query = Query { range, ..query.clone() };
        assert_eq!(bench.pages(query.clone()).await, expected);
        assert_eq!(bench.pages(query.clone().backward()).await, turned);
        // A cursor outside of the range does not widen it.
        let after = |sk: &str| Some(bench.row("p", sk));
        assert_eq!(bench.pages(query.clone().after(after("a0"))).await, expected);
        assert!(bench.pages(query.clone().after(after("c6"))).await.is_empty());
        assert_eq!(bench.pages(query.clone().backward().after(after("c6"))).await, turned);
        assert!(bench.pages(query.clone().backward().after(after("a0"))).await.is_empty());
    }
}

pub async fn pages_join_without_gap_or_repeat(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let sks: Vec<_> = (0..250).map(|number| format!("row {number:03}")).collect();
    fill(&bench, "p", &sks.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let expected: Vec<_> = sks.iter().map(|sk| bench.row("p", sk)).collect();
    let turned: Vec<_> = expected.iter().rev().cloned().collect();
    for limit in [1, 7, 50, 125, 249, 250, 1000] {
        let query = Query::table(Table::Main, bench.own("p")).limit(limit);
        assert_eq!(bench.pages(query.clone()).await, expected, "limit {limit}");
        assert_eq!(bench.pages(query.backward()).await, turned, "limit {limit} backward");
    }
}

pub async fn next_is_there_only_when_more_rows_are(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    fill(&bench, "p", &["a", "b", "c"]).await;
    let query = Query::table(Table::Main, bench.own("p"));
    assert_eq!(bench.rows(query.clone().limit(2)).await.next, Some(bench.row("p", "b")));
    assert_eq!(bench.rows(query.clone().limit(3)).await.next, None);
    assert_eq!(bench.rows(query.clone().limit(4)).await.next, None);
    assert_eq!(bench.rows(query.clone().limit(1).after(Some(bench.row("p", "b")))).await.next, None);
    let last = bench.rows(query.limit(1).after(Some(bench.row("p", "c")))).await;
    assert!(last.items.is_empty() && last.next.is_none());
}

pub async fn a_cursor_whose_row_is_gone_goes_on_behind_it(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    fill(&bench, "p", &["a", "b", "c", "d"]).await;
    let query = Query::table(Table::Main, bench.own("p")).limit(2);
    let next = bench.rows(query.clone()).await.next;
    bench.delete(Table::Main, &bench.row("p", "b")).await;
    assert_eq!(sort_keys(&bench, query.clone().after(next.clone())).await, ["c", "d"]);
    assert_eq!(sort_keys(&bench, query.backward().after(next)).await, ["a"]);
}

pub async fn rows_that_come_while_paging_are_seen_at_most_once(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let sks: Vec<_> = (0..20).map(|number| format!("{number:02}")).collect();
    fill(&bench, "p", &sks.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut query = Query::table(Table::Main, bench.own("p")).limit(3);
    let mut seen: HashMap<Key, usize> = HashMap::new();
    for page in 0.. {
        let rows = bench.rows(query.clone()).await;
        for key in keys(&rows) {
            *seen.entry(key).or_default() += 1;
        }
        let Some(next) = rows.next else { break };
        // Before, at, and behind the place where the reader is; bounded, so that the reader comes to the end.
        if page < 6 {
            fill(&bench, "p", &[&format!("!{page}"), &format!("{}+", next.sk), &format!("99-{page}")]).await;
        }
        query.after = Some(next);
    }
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    assert!(sks.iter().all(|sk| seen.contains_key(&bench.row("p", sk))), "{seen:?}");
    assert!(seen.contains_key(&bench.row("p", "99-0")));
}

/// Whatever the size of a page, and whatever else the table holds.
pub async fn a_scan_sees_every_item_once(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    for table in [Table::Main, Table::Email] {
        let mut expected: Vec<Key> = (0..25).map(|number| bench.row(&format!("p{}", number % 4), &format!("{number:02}"))).collect();
        for key in &expected {
            bench.put(table, key, json!({"sk": key.sk})).await;
        }
        expected.sort();
        for limit in [7, 10_000] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let rows = bench.engine.scan(table, after, limit).await.unwrap();
                assert!(rows.items.len() <= limit as usize);
                assert!(rows.items.iter().filter(|item| item.key.pk.starts_with(&bench.prefix)).all(|item| item.attrs["sk"] == item.key.sk.as_str()));
                found.extend(rows.items.into_iter().map(|item| item.key).filter(|key| key.pk.starts_with(&bench.prefix)));
                after = rows.next;
                if after.is_none() {
                    break;
                }
            }
            found.sort();
            assert_eq!(found, expected, "{table:?} limit {limit}");
        }
    }
}

pub async fn a_scan_has_limits(engine: Arc<dyn Engine>) {
    for limit in [0, QUERY_MAX + 1] {
        assert!(matches!(engine.scan(Table::Main, None, limit).await, Err(EngineError::Limit(_))), "{limit}");
    }
}
