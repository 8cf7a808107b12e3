//! Every query seeks in its index, and a page costs the same however deep it lies.

use rusqlite::{Connection, StatementStatus, params_from_iter};

use crate::{
    engine::{Direction, IndexName, Key, Query, Range, Table},
    sqlite::{
        read::{after_prefix, select},
        schema,
    },
};

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection, 0).unwrap();
    connection
}

const INDEXES: [(Table, Option<IndexName>, &str); 9] = [
    (Table::Main, None, "PRIMARY KEY"),
    (Table::Main, Some(IndexName::Type), "INDEX main_type"),
    (Table::Main, Some(IndexName::Sk), "INDEX main_sk"),
    (Table::Main, Some(IndexName::Email), "INDEX main_email"),
    (Table::Main, Some(IndexName::Slug), "INDEX main_slug"),
    (Table::Email, None, "PRIMARY KEY"),
    (Table::Email, Some(IndexName::Type), "INDEX email_type"),
    (Table::Email, Some(IndexName::User), "INDEX email_user"),
    (Table::Email, Some(IndexName::Email), "INDEX email_email"),
];

#[test]
fn every_query_seeks_in_its_index_and_sorts_nothing() {
    let connection = database();
    let ranges = [Range::All, Range::Prefix("b".to_owned()), Range::Between("b".to_owned(), "d".to_owned())];
    let cursors = [None, Some(Key::new("a", "a")), Some(Key::new("c", "c"))];
    for (table, index, expected) in INDEXES {
        for range in &ranges {
            for after in &cursors {
                for direction in [Direction::Forward, Direction::Backward] {
                    let query = Query { table, index, partition: "p".to_owned(), range: range.clone(), direction, limit: 10, after: after.clone() };
                    let select = select(&query).unwrap();
                    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", select.sql)).unwrap();
                    let plan = statement.query_map(params_from_iter(&select.values), |row| row.get::<_, String>(3)).unwrap();
                    let plan: Vec<_> = plan.map(Result::unwrap).collect();
                    assert!(matches!(plan.as_slice(), [one] if one.starts_with("SEARCH") && one.contains(expected)), "{query:?}: {plan:?}");
                    // The cursor, or the range, is part of the seek, not a filter behind it.
                    let bounds = plan[0].matches(['<', '>']).count();
                    let least = usize::from(*range != Range::All || after.is_some());
                    assert!(bounds >= least, "{query:?}: {plan:?}");
                }
            }
        }
    }
}

/// Steps of SQLite's machine for one page.
fn steps(connection: &Connection, query: &Query) -> i32 {
    let select = select(query).unwrap();
    let mut statement = connection.prepare(&select.sql).unwrap();
    let mut rows = statement.query(params_from_iter(&select.values)).unwrap();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    statement.get_status(StatementStatus::VmStep)
}

#[test]
fn a_page_costs_the_same_however_deep_it_lies() {
    let mut connection = database();
    let open = connection.transaction().unwrap();
    for number in 0..5_000 {
        let (pk, sk) = (format!("user#{number:05}"), format!("event#{number:05}"));
        let insert = "INSERT INTO main_items (pk, sk, type, item) VALUES (?1, ?2, 'user', '{}')";
        open.execute(insert, [&pk, &pk]).unwrap();
        open.execute(insert, ["partition", sk.as_str()]).unwrap();
        open.execute(insert, [pk.as_str(), "event#1"]).unwrap();
    }
    open.commit().unwrap();
    let at = |number: u32| Some(Key::new(format!("user#{number:05}"), format!("event#{number:05}")));
    for query in [
        Query::table(Table::Main, "partition").prefix("event#"),
        Query::index(Table::Main, IndexName::Type, "user").prefix("user#"),
        Query::index(Table::Main, IndexName::Sk, "event#1"),
    ] {
        for query in [query.clone(), query.backward()] {
            let query = query.limit(20);
            let (near, deep) = (steps(&connection, &query.clone().after(at(100))), steps(&connection, &query.clone().after(at(4_900))));
            assert!(near.abs_diff(deep) < 20, "{near} steps and {deep} steps: {query:?}");
        }
    }
}

#[test]
fn the_text_after_a_prefix_is_the_first_that_does_not_start_with_it() {
    assert_eq!(after_prefix("a").as_deref(), Some("b"));
    assert_eq!(after_prefix("user#").as_deref(), Some("user$"));
    assert_eq!(after_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
    assert_eq!(after_prefix("a\u{10ffff}\u{10ffff}").as_deref(), Some("b"));
    assert_eq!(after_prefix("\u{10ffff}"), None);
}
