//! What every index promises, as tests: one function a rule. An index runs them all with [`index_conformance!`](crate::index_conformance).
//!
//! | file | rules about |
//! |---|---|
//! | `exact` | values, folding, ranges, facets |
//! | `text` | free text |
//! | `pages` | orders, positions, limits |
//! | `writes` | writing, deleting, flushing, rebuilding |
//! | `model` | everything at once: random documents and questions against a plain list |

// These are tests, though they are compiled into the library: a fault has to stop them where it shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
// A rule reads best when an order is written as a request takes it.
#![allow(clippy::unnecessary_wraps)]

pub mod exact;
pub mod model;
pub mod pages;
pub mod text;
pub mod writes;

use std::any::Any;
use std::sync::Arc;

use crate::{Condition, Conditions, Doc, DocChange, Field, Index, Kind, SearchPage, SearchRequest, Sort};

/// A new, empty index, and what has to live as long as it does.
pub type Fixture = (Arc<dyn Index>, Box<dyn Any + Send>);

/// Makes a test of every rule. Takes the name of an `async fn() -> Fixture`.
#[macro_export]
macro_rules! index_conformance {
    ($make:path) => {
        $crate::index_conformance! { @rules $make;
            exact: a_part_of_a_value_is_not_the_value, values_are_compared_folded, any_of_several_values_matches, no_value_matches_nothing,
                   an_empty_value_is_a_value, a_field_may_have_several_values, ranges_include_both_ends_and_may_be_open, conditions_all_hold,
                   a_field_of_the_wrong_type_is_refused, facets_count_folded_values_among_the_matches, facets_of_many_values_keep_the_most_frequent,
                   one_match_of_each_value_is_found_among_the_living;
            text: every_word_occurs_and_the_last_one_begins_a_word, accents_and_case_do_not_matter, an_address_is_found_by_its_parts,
                  scripts_without_spaces_are_found, text_without_words_finds_everything, hostile_text_is_only_text,
                  text_and_conditions_hold_together;
            pages: without_a_sort_rows_are_in_order_of_id, ties_are_in_order_of_id_in_both_directions, what_has_no_value_comes_last_in_both_directions,
                   of_several_values_the_first_in_the_order_counts, extreme_numbers_keep_their_place, positions_lead_through_all_rows_once,
                   a_position_stays_meaningful_when_rows_come_and_go, a_position_survives_the_wire, a_walk_sees_every_match_once,
                   digests_tell_what_a_document_was_made_from,
                   numbered_pages_end_at_the_window, limits_are_kept, a_position_of_another_order_is_refused;
            writes: a_flush_makes_everything_before_it_visible, writing_the_same_twice_is_harmless, a_later_document_replaces_an_earlier_one,
                    a_deleted_document_is_gone_and_can_come_back, kinds_do_not_mix, flushes_at_once_all_see_their_writes, what_cannot_be_a_document_is_refused,
                    an_index_is_complete_when_it_is_said_to_be, a_rebuild_shows_nothing_until_it_is_swapped_in, what_is_applied_during_a_rebuild_is_in_both,
                    a_rebuild_does_not_bring_back_older_states, an_abandoned_rebuild_changes_nothing, only_one_rebuild_at_a_time,
                    searches_are_answered_all_through_a_swap, digests_tell_what_each_document_was_made_from;
            model: random_questions_have_the_answers_of_a_plain_list, a_user_filter_selects_the_users_it_matches;
        }
    };
    (@rules $make:path; $($group:ident: $($rule:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                let (index, _kept) = $make().await;
                $crate::conformance::$group::$rule(index).await;
            }
        )+)+
    };
}

type Dyn = Arc<dyn Index>;

/// A document in the making.
fn user(id: &str) -> Doc {
    Doc {
        kind: Kind::User,
        id: id.to_owned(),
        exact: Vec::new(),
        numbers: vec![(Field::AttendedCount, 0), (Field::HostedCount, 0), (Field::CreatedAt, 0)],
        text: Vec::new(),
    }
}

fn event(id: &str) -> Doc {
    Doc {
        kind: Kind::Event,
        id: id.to_owned(),
        exact: Vec::new(),
        numbers: vec![(Field::StartAt, 0), (Field::EndAt, 0), (Field::CreatedAt, 0)],
        text: Vec::new(),
    }
}

impl Doc {
    fn with(mut self, field: Field, value: &str) -> Self {
        self.exact.push((field, value.to_owned()));
        self
    }

    fn number(mut self, field: Field, value: i64) -> Self {
        self.numbers.retain(|(have, _)| *have != field);
        self.numbers.push((field, value));
        self
    }

    fn text(mut self, text: &str) -> Self {
        self.text.push(text.to_owned());
        self
    }
}

async fn put(index: &Dyn, docs: impl IntoIterator<Item = Doc>) {
    index.apply(docs.into_iter().map(DocChange::Upsert).collect()).await.expect("documents are taken");
    index.flush().await.expect("a flush succeeds");
}

async fn delete(index: &Dyn, kind: Kind, ids: &[&str]) {
    index.apply(ids.iter().map(|id| DocChange::Delete(kind, (*id).to_owned())).collect()).await.expect("deletions are taken");
    index.flush().await.expect("a flush succeeds");
}

fn any_of(field: Field, values: &[&str]) -> Conditions {
    Conditions { all: vec![Condition::AnyOf(field, values.iter().map(|value| (*value).to_owned()).collect())], text: None }
}

fn between(field: Field, min: Option<i64>, max: Option<i64>) -> Conditions {
    Conditions { all: vec![Condition::Between(field, min, max)], text: None }
}

fn looking_for(text: &str) -> Conditions {
    Conditions { all: Vec::new(), text: Some(text.to_owned()) }
}

fn ascending(field: Field) -> Option<Sort> {
    Some(Sort { field, descending: false })
}

fn descending(field: Field) -> Option<Sort> {
    Some(Sort { field, descending: true })
}

fn request(kind: Kind, conditions: Conditions, sort: Option<Sort>) -> SearchRequest {
    SearchRequest { kind, conditions, sort, offset: 0, limit: 100, after: None }
}

async fn page(index: &Dyn, request: SearchRequest) -> SearchPage {
    index.search(request).await.expect("the search is answered")
}

/// The users that match, by id; and that the three ways of asking agree.
async fn found(index: &Dyn, conditions: Conditions) -> Vec<String> {
    let walked = index.walk(Kind::User, conditions.clone(), None, 10_000).await.expect("the walk is answered");
    let page = page(index, request(Kind::User, conditions.clone(), None)).await;
    let count = index.count(Kind::User, conditions).await.expect("the count is answered");
    assert_eq!(page.total, count, "the total of a search is the count");
    assert_eq!(walked.len() as u64, count, "a walk sees as many as are counted");
    assert_eq!(page.ids[..], walked[..walked.len().min(100)], "a search without a sort has the order of a walk");
    walked
}
