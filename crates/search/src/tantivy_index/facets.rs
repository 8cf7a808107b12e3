//! The most frequent values of a field among the matches.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use emcrm_model::fold;
use parking_lot::Mutex;
use tantivy::columnar::{ColumnIndex, Dictionary, StrColumn, Streamer, TermOrdHit};
use tantivy::index::SegmentId;
use tantivy::query::{AllQuery, EnableScoring, Query};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocSet, Opstamp, Searcher, SegmentReader, TERMINATED};

use super::fault;
use super::fields::ID;
use super::query::after_prefix;
use super::top::for_each_match;
use crate::{Field, SearchError};

/// What all documents of each segment have in a field, without any condition. The first page of a list asks for it each time, and a segment never changes but
/// for its deletions: so what was counted once holds until one of its documents is deleted.
#[derive(Default)]
pub struct Totals(Mutex<HashMap<(Segment, Field), Counts>>);

/// Documents by the ordinal of their value.
type Counts = Arc<[u32]>;

/// A segment with the deletions that it has.
type Segment = (SegmentId, Option<Opstamp>);

impl Totals {
    fn of(&self, reader: &SegmentReader, field: Field) -> Option<Counts> {
        self.0.lock().get(&((reader.segment_id(), reader.delete_opstamp()), field)).cloned()
    }

    /// Keeps the counts; of segments that are no more nothing is kept.
    fn keep(&self, searcher: &Searcher, reader: &SegmentReader, field: Field, counts: &Counts) {
        let mut kept = self.0.lock();
        // A value that only one document has tells little; a field full of them would be as large as the segment.
        if counts.len() <= VALUES_KEPT {
            let live: HashSet<Segment> = searcher.segment_readers().iter().map(|reader| (reader.segment_id(), reader.delete_opstamp())).collect();
            // Lists of the other kind are asked for as well, and have segments of their own.
            if kept.len() >= SEGMENTS_KEPT {
                kept.retain(|(segment, _), _| live.contains(segment));
            }
            kept.insert(((reader.segment_id(), reader.delete_opstamp()), field), counts.clone());
        }
    }
}

/// Values of a segment's field whose counts are kept, and fields of segments.
const VALUES_KEPT: usize = 100_000;
const SEGMENTS_KEPT: usize = 64;

/// Most frequent first, then by value; at most `limit`. Without a query, of all documents.
pub fn facets(
    searcher: &Searcher,
    totals: &Totals,
    query: Option<&dyn Query>,
    field: Field,
    prefix: &str,
    limit: usize,
) -> Result<Vec<(String, u64)>, SearchError> {
    let prefix = fold(prefix);
    let keeps = query.is_none() && prefix.is_empty();
    let query = query.unwrap_or(&AllQuery);
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher)).map_err(fault)?;
    let mut segments = Vec::new();
    for reader in searcher.segment_readers() {
        let Some(column) = reader.fast_fields().str(field.as_str()).map_err(fault)? else { continue };
        if let Some(counts) = totals.of(reader, field).filter(|_| keeps) {
            segments.push((column, 0, counts));
            continue;
        }
        let (first, end) = ordinals(&column, &prefix)?;
        let mut counts = vec![0_u32; (end - first) as usize];
        let ords = column.ords();
        let mut count = |ord: u64| {
            if let Some(count) = ord.checked_sub(first).and_then(|at| counts.get_mut(at as usize)) {
                *count += 1;
            }
        };
        let mut buffer = [0; COLLECT_BLOCK_BUFFER_LEN];
        for_each_match(reader, weight.as_ref(), |docs| match buffer.get_mut(..docs.len()) {
            Some(buffer) if matches!(ords.index, ColumnIndex::Full) => {
                ords.values.get_vals(docs, buffer);
                for ord in &*buffer {
                    count(*ord);
                }
            }
            _ => docs.iter().flat_map(|doc| ords.values_for_doc(*doc)).for_each(&mut count),
        })?;
        let counts: Counts = counts.into();
        if keeps {
            totals.keep(searcher, reader, field, &counts);
        }
        segments.push((column, first, counts));
    }
    let mut streams = Vec::new();
    for (column, first, counts) in &segments {
        if counts.iter().any(|count| *count > 0) {
            let mut range = column.dictionary().range().ge(&prefix);
            if let Some(end) = after_prefix(&prefix) {
                range = range.lt(end);
            }
            streams.push(Counted { terms: range.into_stream().map_err(|error| fault(error.into()))?, first: *first, counts, count: 0 });
        }
    }
    Ok(most_frequent(streams, limit))
}

/// The id of some match. Nothing is put into order, so it is found at once, however many there are.
pub fn any(searcher: &Searcher, query: &dyn Query) -> Result<Option<String>, SearchError> {
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher)).map_err(fault)?;
    for reader in searcher.segment_readers() {
        let mut matches = weight.scorer(reader, 1.0).map_err(fault)?;
        let is_dead = |doc| reader.alive_bitset().is_some_and(|alive| !alive.is_alive(doc));
        while matches.doc() != TERMINATED && is_dead(matches.doc()) {
            matches.advance();
        }
        if matches.doc() == TERMINATED {
            continue;
        }
        let Some(ids) = reader.fast_fields().str(ID).map_err(fault)? else { continue };
        let mut id = String::new();
        if let Some(ord) = ids.ords().values_for_doc(matches.doc()).next()
            && ids.ord_to_str(ord, &mut id).map_err(|error| fault(error.into()))?
        {
            return Ok(Some(id));
        }
    }
    Ok(None)
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

/// The values of a segment that occur among the matches, ascending; stands on one of them.
struct Counted<'a> {
    terms: Streamer<'a>,
    first: u64,
    counts: &'a [u32],
    count: u32,
}

impl Counted<'_> {
    /// False at the end.
    fn advance(&mut self) -> bool {
        while self.terms.advance() {
            let at = self.terms.term_ord().checked_sub(self.first);
            self.count = at.and_then(|at| self.counts.get(at as usize)).copied().unwrap_or(0);
            if self.count > 0 {
                return true;
            }
        }
        false
    }
}

/// Adds up equal values of the segments, one value at a time, so that a field with a million values needs no memory for them.
fn most_frequent(mut streams: Vec<Counted<'_>>, limit: usize) -> Vec<(String, u64)> {
    streams.retain_mut(Counted::advance);
    // The least of the best is on top: fewest, then the later value.
    let mut best: BinaryHeap<(Reverse<u64>, String)> = BinaryHeap::new();
    let mut value = Vec::new();
    while let Some(least) = streams.iter().map(|stream| stream.terms.key()).min() {
        value.clear();
        value.extend_from_slice(least);
        let mut sum = 0;
        streams.retain_mut(|stream| {
            if stream.terms.key() != value {
                return true;
            }
            sum += u64::from(stream.count);
            stream.advance()
        });
        if best.len() < limit || best.peek().is_some_and(|(Reverse(least), _)| sum > *least) {
            best.push((Reverse(sum), String::from_utf8_lossy(&value).into_owned()));
            if best.len() > limit {
                best.pop();
            }
        }
    }
    best.into_sorted_vec().into_iter().map(|(Reverse(count), value)| (value, count)).collect()
}
