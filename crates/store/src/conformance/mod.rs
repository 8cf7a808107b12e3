//! The one suite that every engine passes: each function proves one promise of [`crate::engine`], and [`engine_conformance!`](crate::engine_conformance)
//! makes a test of each. Keys carry a prefix of their own, so that engines may share tables that last.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a suite of tests")]

mod changes;
mod guards;
mod indexes;
mod limits;
mod queries;
mod races;
mod values;

use std::{sync::Arc, time::Duration};

use serde_json::Value;

pub use self::{changes::*, guards::*, indexes::*, limits::*, queries::*, races::*, values::*};
use crate::{
    engine::{Attrs, Engine, EngineError, Guard, IndexName, Item, Key, Query, Rows, Table, TransactError, Transaction},
    rules::Rule,
};

/// `engine_conformance!(name, make)` makes a module `name` with one test for each rule. `make` is an async function without arguments; it
/// gives a new `Arc<dyn Engine>`, and with it whatever must live as long (or `()`).
#[macro_export]
macro_rules! engine_conformance {
    ($name:ident, $make:path) => {
        $crate::engine_conformance! { @rules $name, $make:
            // changes
            a_put_replaces_the_whole_item
            an_update_sets_removes_and_adds_and_keeps_the_rest
            an_update_makes_the_item_that_is_not_there
            an_add_to_a_missing_attribute_starts_at_zero
            an_add_to_something_that_is_not_a_number_breaks_a_limit
            a_delete_removes_the_item_and_may_find_nothing
            a_check_changes_nothing
            the_same_key_in_both_tables_is_two_items
            all_operations_happen_or_none
            a_refusal_has_one_reason_for_each_operation
            the_first_broken_guard_names_the_rule
            what_was_answered_is_read_by_all_reads_of_the_table
            // guards
            each_guard_holds_where_it_should
            a_guard_on_a_missing_item_knows_what_missing_means
            guards_protect_every_kind_of_change
            // limits
            a_hundred_operations_pass_and_one_more_does_not
            a_transaction_has_at_most_four_megabytes
            an_item_has_at_most_four_hundred_kilobytes
            an_update_cannot_outgrow_an_item
            keys_have_limits_and_are_never_empty
            no_two_operations_touch_one_item
            an_attribute_is_changed_in_one_way_only
            a_null_attribute_is_refused
            an_empty_transaction_is_refused
            a_query_has_limits
            get_many_has_limits
            // queries
            get_many_answers_in_the_order_of_the_keys
            a_query_sees_its_partition_only
            rows_come_in_the_order_of_utf8_bytes
            a_prefix_selects_exactly_what_starts_with_it
            between_includes_both_ends
            a_range_bounds_every_page
            pages_join_without_gap_or_repeat
            next_is_there_only_when_more_rows_are
            a_cursor_whose_row_is_gone_goes_on_behind_it
            rows_that_come_while_paging_are_seen_at_most_once
            a_scan_sees_every_item_once
            a_scan_has_limits
            // indexes
            each_index_lists_its_rows_in_order
            an_index_follows_changes_and_deletions
            a_range_limits_the_range_attribute_of_an_index
            pages_of_each_index_join_without_gap_or_repeat
            an_index_cursor_whose_row_is_gone_goes_on_behind_it
            rows_that_come_while_paging_an_index_are_seen_at_most_once
            // values
            every_kind_of_value_comes_back_as_it_was
            integers_stay_exact
            // races
            sixteen_writers_lose_no_addition
            one_of_many_claims_wins
            a_limit_is_never_passed_by_concurrent_additions
            transactions_that_touch_the_same_items_stay_whole
            the_engine_is_healthy
        }
    };
    (@rules $name:ident, $make:path: $($rule:ident)+) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $rule() {
                    let (engine, _kept) = $make().await;
                    $crate::conformance::$rule(engine).await;
                }
            )+
        }
    };
}

/// An engine, and a prefix for all keys and index values of one test.
#[derive(Clone)]
struct Bench {
    engine: Arc<dyn Engine>,
    prefix: String,
}

impl Bench {
    fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, prefix: format!("t{:016x}-", rand::random::<u64>()) }
    }

    /// A name that no other test has.
    fn own(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn key(&self, name: &str) -> Key {
        Key::single(self.own(name))
    }

    /// A row of a partition: only the partition's name is made unique.
    fn row(&self, partition: &str, sk: &str) -> Key {
        Key::new(self.own(partition), sk)
    }

    async fn put(&self, table: Table, key: &Key, value: Value) {
        let mut tx = Transaction::new();
        tx.put(table, Item { key: key.clone(), attrs: attrs(value) });
        self.engine.transact(tx).await.unwrap();
    }

    async fn delete(&self, table: Table, key: &Key) {
        let mut tx = Transaction::new();
        tx.delete(table, key.clone());
        self.engine.transact(tx).await.unwrap();
    }

    /// The attributes, null when there is no item.
    async fn read(&self, table: Table, key: &Key) -> Value {
        let item = self.engine.get(table, key).await.unwrap();
        item.map_or(Value::Null, |item| {
            assert_eq!(&item.key, key);
            Value::Object(item.attrs)
        })
    }

    async fn reasons(&self, transaction: Transaction) -> Vec<Option<Rule>> {
        match self.engine.transact(transaction).await {
            Err(TransactError::Refused(reasons)) => reasons,
            other => panic!("expected a refusal, not {other:?}"),
        }
    }

    async fn breaks_a_limit(&self, transaction: Transaction) {
        let answer = self.engine.transact(transaction).await;
        assert!(matches!(answer, Err(TransactError::Engine(EngineError::Limit(_)))), "{answer:?}");
    }

    async fn rows(&self, query: Query) -> Rows {
        self.engine.query(query).await.unwrap()
    }

    /// All pages of a query, by its own limit. Each page is full but the last.
    async fn pages(&self, mut query: Query) -> Vec<Key> {
        let mut keys = Vec::new();
        loop {
            let rows = self.rows(query.clone()).await;
            keys.extend(rows.items.iter().map(|item| item.key.clone()));
            assert!(rows.items.len() <= query.limit as usize);
            let Some(next) = rows.next else { return keys };
            assert_eq!(Some(&next), keys.last(), "the cursor is the last row's key");
            query.after = Some(next);
        }
    }

    /// Waits until an index query, which may lag, shows what is expected; fails after a minute.
    async fn index_shows(&self, query: Query, expected: &[Item]) {
        let mut found = Vec::new();
        let mut expected = expected.to_vec();
        if !has_order(&query) {
            expected.sort_by(|a, b| a.key.cmp(&b.key));
        }
        for _ in 0..3_000 {
            found = self.rows(query.clone()).await.items;
            if !has_order(&query) {
                found.sort_by(|a, b| a.key.cmp(&b.key));
            }
            if found == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(found, expected, "the index does not catch up: {query:?}");
    }
}

fn attrs(value: Value) -> Attrs {
    match value {
        Value::Object(attrs) => attrs,
        other => panic!("not an object: {other}"),
    }
}

/// Whether the index says in which order its rows come.
fn has_order(query: &Query) -> bool {
    !matches!((query.table, query.index), (Table::Main, Some(IndexName::Email | IndexName::Slug)))
}

fn keys(rows: &Rows) -> Vec<Key> {
    rows.items.iter().map(|item| item.key.clone()).collect()
}

fn not(guard: &str) -> Guard {
    Guard::Missing(guard.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_rule_is_left_out_of_the_macro() {
        let list = include_str!("mod.rs").split("(@rules").next().unwrap();
        let sources = [
            include_str!("changes.rs"),
            include_str!("guards.rs"),
            include_str!("indexes.rs"),
            include_str!("limits.rs"),
            include_str!("queries.rs"),
            include_str!("races.rs"),
            include_str!("values.rs"),
        ];
        for source in sources {
            for rule in source.split("pub async fn ").skip(1).filter_map(|rest| rest.split('(').next()) {
                assert!(list.lines().any(|line| line.trim() == rule), "{rule} is not in engine_conformance!");
            }
        }
    }
}
