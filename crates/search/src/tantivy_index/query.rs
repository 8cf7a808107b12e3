//! Conditions as a tantivy query.

use std::collections::BTreeSet;
use std::ops::Bound;

use emcrm_model::fold;
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, InvertedIndexRangeQuery, Occur, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::{Field as Column, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::fault;
use super::fields::Columns;
use crate::words::{is_short, words};
use crate::{Condition, Conditions, SearchError};

/// `None` when everything matches.
pub fn query_of(columns: &Columns, searcher: &Searcher, conditions: &Conditions) -> Result<Option<Box<dyn Query>>, SearchError> {
    let mut all: Vec<Box<dyn Query>> = Vec::new();
    for condition in &conditions.all {
        match condition {
            Condition::AnyOf(field, values) => {
                let column = columns.of(*field)?;
                all.push(any_of(column, values));
            }
            Condition::Between(field, min, max) => {
                let column = columns.of(*field)?;
                all.extend(between(column, *min, *max));
            }
        }
    }
    if let Some(text) = &conditions.text {
        all.extend(text_query(columns, searcher, text)?);
    }
    Ok(match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Box::new(BooleanQuery::new(all.into_iter().map(|query| (Occur::Must, query)).collect()))),
    })
}

fn term_query(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn any_of(column: Column, values: &[String]) -> Box<dyn Query> {
    let values: BTreeSet<String> = values.iter().map(|value| fold(value)).collect();
    let mut terms: Vec<Term> = values.iter().map(|value| Term::from_field_text(column, value)).collect();
    match terms.len() {
        0 => Box::new(EmptyQuery),
        1 => terms.pop().map_or_else(|| Box::new(EmptyQuery) as Box<dyn Query>, term_query),
        _ => Box::new(TermSetQuery::new(terms)),
    }
}

fn between(column: Column, min: Option<i64>, max: Option<i64>) -> Option<Box<dyn Query>> {
    match (min, max) {
        (None, None) => None,
        (Some(min), Some(max)) if max < min => Some(Box::new(EmptyQuery)),
        _ => {
            let bound = |value: Option<i64>| value.map_or(Bound::Unbounded, |value| Bound::Included(Term::from_field_i64(column, value)));
            Some(Box::new(RangeQuery::new(bound(min), bound(max))))
        }
    }
}

/// Every word must occur, the last one as a prefix. A text without a word is no condition.
fn text_query(columns: &Columns, searcher: &Searcher, text: &str) -> Result<Vec<Box<dyn Query>>, SearchError> {
    let mut whole = words(text);
    let Some(last) = whole.pop() else { return Ok(Vec::new()) };
    let mut all: Vec<Box<dyn Query>> = Vec::new();
    for word in whole.into_iter().collect::<BTreeSet<_>>() {
        let term = Term::from_field_text(columns.words, &word);
        // One unknown word decides, so that a long text does not become a large query.
        if searcher.doc_freq(&term).map_err(fault)? == 0 {
            return Ok(vec![Box::new(EmptyQuery)]);
        }
        all.push(term_query(term));
    }
    all.push(if is_short(&last) { term_query(Term::from_field_text(columns.beginnings, &last)) } else { prefix_query(columns.words, &last) });
    Ok(all)
}

fn prefix_query(column: Column, prefix: &str) -> Box<dyn Query> {
    let end = after_prefix(prefix).map_or(Bound::Unbounded, |end| Bound::Excluded(Term::from_field_text(column, &end)));
    Box::new(InvertedIndexRangeQuery::new(Bound::Included(Term::from_field_text(column, prefix)), end))
}

/// The first text, in byte order, that is greater than everything that begins with the prefix.
pub fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // UTF-8 keeps the order of code points, so the next character is the next text.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// Whether the query is one that matches everything, for callers that need a query in any case.
pub fn or_all(query: Option<Box<dyn Query>>) -> Box<dyn Query> {
    query.unwrap_or_else(|| Box::new(AllQuery))
}
