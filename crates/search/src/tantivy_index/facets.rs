//! The most frequent values of a field among the matches.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use emcrm_model::fold;
use tantivy::Searcher;
use tantivy::columnar::{Dictionary, StrColumn, Streamer, TermOrdHit};
use tantivy::query::{EnableScoring, Query};

use super::fault;
use super::query::after_prefix;
use super::top::for_each_match;
use crate::{Field, SearchError};

/// Most frequent first, then by value; at most `limit`.
pub fn facets(searcher: &Searcher, query: &dyn Query, field: Field, prefix: &str, limit: usize) -> Result<Vec<(String, u64)>, SearchError> {
    let prefix = fold(prefix);
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher)).map_err(fault)?;
    let mut segments = Vec::new();
    for reader in searcher.segment_readers() {
        let Some(column) = reader.fast_fields().str(field.as_str()).map_err(fault)? else { continue };
        let (first, end) = ordinals(&column, &prefix)?;
        let mut counts = vec![0_u32; (end - first) as usize];
        let ords = column.ords();
        for_each_match(reader, weight.as_ref(), |docs| {
            for doc in docs {
                for ord in ords.values_for_doc(*doc) {
                    if let Some(count) = ord.checked_sub(first).and_then(|at| counts.get_mut(at as usize)) {
                        *count += 1;
                    }
                }
            }
        })?;
        segments.push((column, first, counts));
    }
    let mut streams = Vec::new();
    for (column, first, counts) in &segments {
        if counts.iter().any(|count| *count > 0) {
            let mut range = column.dictionary().range().ge(&prefix);
            if let Some(end) = after_prefix(&prefix) {
                range = range.lt(end);
            }
            streams.push(Counted { terms: range.into_stream().map_err(|error| fault(error.into()))?, first: *first, counts });
        }
    }
    most_frequent(streams, limit)
}

/// The ordinals of the values that begin with the prefix.
fn ordinals(column: &StrColumn, prefix: &str) -> Result<(u64, u64), SearchError> {
    let at = |text: &str| -> Result<u64, SearchError> {
        let hit = Dictionary::term_ord_or_next(column.dictionary(), text).map_err(|error| fault(error.into()))?;
        let (TermOrdHit::Exact(ord) | TermOrdHit::Next(ord)) = hit;
        Ok(ord.min(column.num_terms() as u64))
    };
    let all = column.num_terms() as u64;
    if prefix.is_empty() {
        return Ok((0, all));
    }
    let first = at(prefix)?;
    let end = after_prefix(prefix).map_or(Ok(all), |end| at(&end))?;
    Ok((first, end.max(first)))
}

/// The values of a segment that occur among the matches, ascending.
struct Counted<'a> {
    terms: Streamer<'a>,
    first: u64,
    counts: &'a [u32],
}

impl Counted<'_> {
    fn next(&mut self) -> Option<(String, u32)> {
        while self.terms.advance() {
            let at = self.terms.term_ord().checked_sub(self.first)?;
            let count = *self.counts.get(at as usize)?;
            if count > 0 {
                return Some((String::from_utf8_lossy(self.terms.key()).into_owned(), count));
            }
        }
        None
    }
}

/// Adds up equal values of the segments, one value at a time, so that a field with a million values needs no memory for them.
fn most_frequent(mut streams: Vec<Counted<'_>>, limit: usize) -> Result<Vec<(String, u64)>, SearchError> {
    let mut heads = BinaryHeap::new();
    for (place, stream) in streams.iter_mut().enumerate() {
        heads.extend(stream.next().map(|(value, count)| Reverse((value, count, place))));
    }
    // The least of the best is on top: fewest, then the later value.
    let mut best: BinaryHeap<(Reverse<u64>, String)> = BinaryHeap::new();
    while let Some(Reverse((value, count, place))) = heads.pop() {
        let mut sum = u64::from(count);
        let mut places = vec![place];
        while heads.peek().is_some_and(|Reverse((next, ..))| *next == value) {
            if let Some(Reverse((_, count, place))) = heads.pop() {
                sum += u64::from(count);
                places.push(place);
            }
        }
        for place in places {
            let stream = streams.get_mut(place).ok_or_else(|| SearchError::Corrupt("a segment is missing".to_owned()))?;
            heads.extend(stream.next().map(|(value, count)| Reverse((value, count, place))));
        }
        if best.len() < limit || best.peek().is_some_and(|(Reverse(least), _)| sum > *least) {
            best.push((Reverse(sum), value));
            if best.len() > limit {
                best.pop();
            }
        }
    }
    Ok(best.into_sorted_vec().into_iter().map(|(Reverse(count), value)| (value, count)).collect())
}
