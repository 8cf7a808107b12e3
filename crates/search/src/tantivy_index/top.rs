//! The first rows of a result, in order.
//!
//! Every match is looked at once, but only as numbers: in a segment, values and ids are ordinals of sorted dictionaries, so comparing
//! ordinals compares the texts. Texts are read for the few rows that may be returned, and merged over the segments.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use tantivy::columnar::{Column, ColumnIndex, MonotonicallyMappableToU64, StrColumn, TermOrdHit};
use tantivy::query::{EnableScoring, Query, Weight};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, Searcher, SegmentReader};

use super::fault;
use super::fields::ID;
use crate::{After, FieldType, SearchError, Sort, SortValue};

/// Place of a row in its segment's order: whether the sort value is missing (bit 96), its rank (64 bits), the ordinal of the id (32 bits).
pub type Key = u128;
const MISSING: Key = 1 << 96;

/// What is asked for.
pub struct Wanted<'a> {
    pub sort: Option<Sort>,
    pub after: Option<&'a After>,
    /// Most rows.
    pub rows: usize,
    /// Rows to leave out at the beginning.
    pub skip: usize,
}

/// A row of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub value: SortValue,
    pub id: String,
}

/// The rows and the number of all matches, those before `after` included.
pub fn top(searcher: &Searcher, query: &dyn Query, wanted: &Wanted<'_>) -> Result<(Vec<Row>, u64), SearchError> {
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher)).map_err(fault)?;
    let mut total = 0;
    let mut cursors = Vec::new();
    for reader in searcher.segment_readers() {
        let segment = Segment::open(reader, wanted.sort)?;
        let (keys, matches) = segment.best(reader, weight.as_ref(), wanted)?;
        total += matches;
        if !keys.is_empty() {
            cursors.push(Cursor { segment, keys, at: 0, chunk: FIRST_CHUNK, ready: VecDeque::new() });
        }
    }
    Ok((merge(cursors, wanted)?, total))
}

/// Calls `each` with every living match of the segment, in blocks.
pub fn for_each_match(reader: &SegmentReader, weight: &dyn Weight, mut each: impl FnMut(&[DocId])) -> Result<(), SearchError> {
    match reader.alive_bitset() {
        None => weight.for_each_no_score(reader, &mut |docs| each(docs)).map_err(fault),
        Some(alive) => {
            let mut living = Vec::with_capacity(COLLECT_BLOCK_BUFFER_LEN);
            weight
                .for_each_no_score(reader, &mut |docs| {
                    living.clear();
                    living.extend(docs.iter().copied().filter(|doc| alive.is_alive(*doc)));
                    each(&living);
                })
                .map_err(fault)
        }
    }
}

/// The sort values of a segment.
enum Values {
    /// No sort, or no document of the segment has a value.
    Absent,
    Numbers(Column<u64>),
    Texts(StrColumn),
}

struct Segment {
    values: Values,
    descending: bool,
    ids: StrColumn,
}

impl Segment {
    fn open(reader: &SegmentReader, sort: Option<Sort>) -> Result<Self, SearchError> {
        let fast = reader.fast_fields();
        let ids = fast.str(ID).map_err(fault)?.ok_or_else(|| SearchError::Corrupt("a segment has no ids".to_owned()))?;
        let values = match sort {
            None => Values::Absent,
            Some(Sort { field, .. }) => match field.field_type() {
                FieldType::Exact => fast.str(field.as_str()).map_err(fault)?.map_or(Values::Absent, Values::Texts),
                FieldType::Number => {
                    fast.column_opt::<i64>(field.as_str()).map_err(fault)?.map_or(Values::Absent, |column| Values::Numbers(column.to_u64_monotonic()))
                }
            },
        };
        Ok(Self { values, descending: sort.is_some_and(|sort| sort.descending), ids })
    }

    fn rank(&self, value: u64) -> u64 {
        if self.descending { u64::MAX - value } else { value }
    }

    /// The keys of the first matches that are not before `after`, ascending, and the number of all matches.
    fn best(&self, reader: &SegmentReader, weight: &dyn Weight, wanted: &Wanted<'_>) -> Result<(Vec<Key>, u64), SearchError> {
        let mut best = Best::new(self.start(wanted.sort, wanted.after)?, wanted.rows + wanted.skip);
        let mut total = 0;
        let ids = &self.ids.ords().values;
        let mut buffer = [0; COLLECT_BLOCK_BUFFER_LEN];
        let column = match &self.values {
            Values::Absent => None,
            Values::Numbers(column) => Some(column),
            Values::Texts(column) => Some(column.ords()),
        };
        for_each_match(reader, weight, |docs| {
            total += docs.len() as u64;
            let Some(buffer) = buffer.get_mut(..docs.len()) else { return };
            match column {
                None => {
                    ids.get_vals(docs, buffer);
                    for id in buffer {
                        best.push(MISSING | Key::from(*id));
                    }
                }
                Some(column) if matches!(column.index, ColumnIndex::Full) => {
                    column.values.get_vals(docs, buffer);
                    for (doc, value) in docs.iter().zip(buffer) {
                        best.push_with(Key::from(self.rank(*value)) << 32, || ids.get_val(*doc));
                    }
                }
                Some(column) => {
                    for doc in docs {
                        // Of several values the one that comes first counts.
                        let rank = column.values_for_doc(*doc).map(|value| self.rank(value)).min();
                        best.push_with(rank.map_or(MISSING, |rank| Key::from(rank) << 32), || ids.get_val(*doc));
                    }
                }
            }
        })?;
        Ok((best.finish(), total))
    }

    /// The least key that comes after the row of `after`.
    fn start(&self, sort: Option<Sort>, after: Option<&After>) -> Result<Key, SearchError> {
        let Some(after) = after else { return Ok(0) };
        let id = match self.ids.dictionary().term_ord_or_next(&after.id).map_err(io_fault)? {
            TermOrdHit::Exact(ord) => ord + 1,
            TermOrdHit::Next(ord) => ord.min(self.ids.num_terms() as u64),
        };
        let id = Key::from(id);
        let of_type = |field_type| sort.is_some_and(|sort| sort.field.field_type() == field_type);
        match (&after.value, &self.values) {
            (SortValue::Missing, _) => Ok(MISSING + id),
            (SortValue::Number(value), Values::Numbers(_)) => Ok((Key::from(self.rank(value.to_u64())) << 32) + id),
            (SortValue::Text(value), Values::Texts(column)) => {
                let hit = column.dictionary().term_ord_or_next(value).map_err(io_fault)?;
                Ok(match (hit, self.descending) {
                    (TermOrdHit::Exact(ord), _) => (Key::from(self.rank(ord)) << 32) + id,
                    (TermOrdHit::Next(ord), false) => Key::from(ord.min(column.num_terms() as u64)) << 32,
                    // What is less than the value begins one below.
                    (TermOrdHit::Next(ord), true) => (Key::from(u64::MAX - ord.min(column.num_terms() as u64)) + 1) << 32,
                })
            }
            // The segment has no value at all: its rows come behind every value.
            (SortValue::Number(_), Values::Absent) if of_type(FieldType::Number) => Ok(MISSING),
            (SortValue::Text(_), Values::Absent) if of_type(FieldType::Exact) => Ok(MISSING),
            _ => Err(SearchError::Invalid("the position does not belong to this order".to_owned())),
        }
    }

    /// The rows of some keys, in their order.
    fn rows(&self, keys: &[Key]) -> Result<VecDeque<Row>, SearchError> {
        let ids = texts(&self.ids, keys.iter().map(|key| u64::from(*key as u32)).collect())?;
        let value_of = |key: Key| self.rank((key >> 32) as u64);
        let present = keys.iter().filter(|key| **key < MISSING).map(|key| value_of(*key));
        let mut values: VecDeque<SortValue> = match &self.values {
            Values::Absent => VecDeque::new(),
            Values::Numbers(_) => present.map(|value| SortValue::Number(i64::from_u64(value))).collect(),
            Values::Texts(column) => texts(column, present.collect())?.into_iter().map(SortValue::Text).collect(),
        };
        Ok(ids.into_iter().map(|id| Row { value: values.pop_front().unwrap_or(SortValue::Missing), id }).collect())
    }
}

/// The texts of ordinals, in their order. Sorted first, because the dictionary is read in blocks.
pub fn texts(column: &StrColumn, ords: Vec<u64>) -> Result<Vec<String>, SearchError> {
    let mut places: Vec<(u64, usize)> = ords.into_iter().enumerate().map(|(place, ord)| (ord, place)).collect();
    places.sort_unstable();
    let sorted: Vec<u64> = places.iter().map(|(ord, _)| *ord).collect();
    let mut texts = vec![String::new(); places.len()];
    let mut places = places.into_iter();
    let complete = column
        .dictionary()
        .sorted_ords_to_term_cb(&sorted, |text| {
            if let Some(slot) = places.next().and_then(|(_, place)| texts.get_mut(place)) {
                *slot = String::from_utf8_lossy(text).into_owned();
            }
        })
        .map_err(io_fault)?;
    if complete { Ok(texts) } else { Err(SearchError::Corrupt("a value is not in its dictionary".to_owned())) }
}

pub fn io_fault(error: std::io::Error) -> SearchError {
    fault(error.into())
}

/// Keeps the least keys, at most `most`, in linear time.
pub struct Best {
    start: Key,
    /// Keys from here on are too late.
    end: Key,
    most: usize,
    keys: Vec<Key>,
}

impl Best {
    pub fn new(start: Key, most: usize) -> Self {
        Self { start, end: Key::MAX, most: most.max(1), keys: Vec::new() }
    }

    pub fn push(&mut self, key: Key) {
        if key < self.start || key >= self.end {
            return;
        }
        self.keys.push(key);
        if self.keys.len() >= self.most * 2 + 64 {
            self.cut();
        }
    }

    /// As `push`; the ordinal of the id is only read where it can matter.
    fn push_with(&mut self, high: Key, id: impl FnOnce() -> u64) {
        if (high | Key::from(u32::MAX)) >= self.start && high < self.end {
            self.push(high | Key::from(id()));
        }
    }

    fn cut(&mut self) {
        if self.keys.len() > self.most {
            let (_, last, _) = self.keys.select_nth_unstable(self.most - 1);
            self.end = *last;
            self.keys.truncate(self.most);
        }
    }

    pub fn finish(mut self) -> Vec<Key> {
        self.cut();
        self.keys.sort_unstable();
        self.keys
    }
}

const FIRST_CHUNK: usize = 8;
const LAST_CHUNK: usize = 512;

/// Reads the rows of a segment's keys, a few at first.
struct Cursor {
    segment: Segment,
    keys: Vec<Key>,
    at: usize,
    chunk: usize,
    ready: VecDeque<Row>,
}

impl Cursor {
    fn next(&mut self) -> Result<Option<Row>, SearchError> {
        if self.ready.is_empty() {
            let end = (self.at + self.chunk).min(self.keys.len());
            self.ready = self.segment.rows(self.keys.get(self.at..end).unwrap_or_default())?;
            self.at = end;
            self.chunk = (self.chunk * 4).min(LAST_CHUNK);
        }
        Ok(self.ready.pop_front())
    }
}

/// Order of rows between segments. The variants are in order: what is missing comes last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(i64),
    NumberDescending(Reverse<i64>),
    Text(String),
    TextDescending(Reverse<String>),
    Missing,
}

impl Rank {
    fn of(value: SortValue, descending: bool) -> Self {
        match (value, descending) {
            (SortValue::Number(value), false) => Self::Number(value),
            (SortValue::Number(value), true) => Self::NumberDescending(Reverse(value)),
            (SortValue::Text(value), false) => Self::Text(value),
            (SortValue::Text(value), true) => Self::TextDescending(Reverse(value)),
            (SortValue::Missing, _) => Self::Missing,
        }
    }

    fn into_value(self) -> SortValue {
        match self {
            Self::Number(value) | Self::NumberDescending(Reverse(value)) => SortValue::Number(value),
            Self::Text(value) | Self::TextDescending(Reverse(value)) => SortValue::Text(value),
            Self::Missing => SortValue::Missing,
        }
    }
}

/// Moves the cursors behind rows that are to be left out, without reading them; the number of rows. What remains to be left out is little.
///
/// Reads the row in the middle of the longest stretch and finds its place in every segment: the rows before it are either all left out,
/// or all that matter.
fn skip_unread(cursors: &mut [Cursor], wanted: &Wanted<'_>) -> Result<usize, SearchError> {
    let mut ends: Vec<usize> = cursors.iter().map(|cursor| cursor.keys.len()).collect();
    let mut skipped = 0;
    while wanted.skip - skipped > LAST_CHUNK / 8 {
        let stretches = cursors.iter().zip(&ends).map(|(cursor, end)| (end - cursor.at, cursor));
        let Some((length, longest)) = stretches.max_by_key(|(length, _)| *length) else { break };
        if length <= FIRST_CHUNK {
            break;
        }
        let middle = longest.at + length / 2;
        let mut row = longest.segment.rows(longest.keys.get(middle..=middle).unwrap_or_default())?;
        let Some(Row { value, id }) = row.pop_front() else { break };
        let after = After { value, id };
        let mut places = Vec::with_capacity(cursors.len());
        for (cursor, end) in cursors.iter().zip(&ends) {
            let key = cursor.segment.start(wanted.sort, Some(&after))?;
            places.push(cursor.keys.partition_point(|have| *have < key).clamp(cursor.at, *end));
        }
        let before: usize = places.iter().sum();
        if before <= wanted.skip {
            skipped = before;
            for (cursor, place) in cursors.iter_mut().zip(places) {
                cursor.at = place;
            }
        } else {
            ends = places;
        }
    }
    Ok(skipped)
}

fn merge(mut cursors: Vec<Cursor>, wanted: &Wanted<'_>) -> Result<Vec<Row>, SearchError> {
    let mut skip = wanted.skip - skip_unread(&mut cursors, wanted)?;
    let descending = wanted.sort.is_some_and(|sort| sort.descending);
    let mut heads = BinaryHeap::new();
    for (place, cursor) in cursors.iter_mut().enumerate() {
        if let Some(row) = cursor.next()? {
            heads.push(Reverse((Rank::of(row.value, descending), row.id, place)));
        }
    }
    let mut rows = Vec::new();
    while rows.len() < wanted.rows {
        let Some(Reverse((rank, id, place))) = heads.pop() else { break };
        if let Some(row) = cursors.get_mut(place).map(Cursor::next).transpose()?.flatten() {
            heads.push(Reverse((Rank::of(row.value, descending), row.id, place)));
        }
        if skip > 0 {
            skip -= 1;
        } else {
            rows.push(Row { value: rank.into_value(), id });
        }
    }
    Ok(rows)
}
