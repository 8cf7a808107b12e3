//! The search seam. An index is disposable: it can always be rebuilt from the storage.

use async_trait::async_trait;

use crate::schema::{Field, Kind};

/// One document, built by the application from stored state, never from a delta: applying it twice or late is harmless.
#[derive(Debug, Clone, PartialEq)]
pub struct Doc {
    pub kind: Kind,
    pub id: String,
    /// Values of exact fields (folded by the index itself); a field may have several.
    pub exact: Vec<(Field, String)>,
    pub numbers: Vec<(Field, i64)>,
    /// Everything that free text finds, one entry a field.
    pub text: Vec<String>,
}

impl Doc {
    /// A number of the whole content: FNV-1a over every value, stable for ever because indexes store it. The order of fields does not
    /// count, that of texts does.
    pub fn digest(&self) -> u64 {
        let mut values: Vec<(&str, String)> = self.exact.iter().map(|(field, value)| (field.as_str(), value.clone())).collect();
        values.extend(self.numbers.iter().map(|(field, value)| (field.as_str(), value.to_string())));
        values.sort_unstable();
        let named = values.iter().flat_map(|(name, value)| [*name, value.as_str()]);
        let parts = [self.kind.as_str(), self.id.as_str()].into_iter().chain(named).chain(["text"]).chain(self.text.iter().map(String::as_str));
        // 0xFF is no byte of UTF-8, so it parts one text from the next.
        parts.flat_map(|part| part.bytes().chain([0xFF])).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum DocChange {
    Upsert(Doc),
    Delete(Kind, String),
}

/// Conditions: all must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conditions {
    pub all: Vec<Condition>,
    /// Free text: every word must occur in the analysed text, the last one as a prefix. For looking, never for choosing who gets mail. Of more
    /// than 500 words an index may look for the first 500 in order of the alphabet.
    pub text: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The exact field has one of these values (compared folded).
    AnyOf(Field, Vec<String>),
    /// The number field lies in the range, both ends included. Every number field is always present.
    Between(Field, Option<i64>, Option<i64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    pub field: Field,
    pub descending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    pub kind: Kind,
    pub conditions: Conditions,
    /// Ties, and everything when absent, are ordered by id. Documents without a value of the field come last.
    pub sort: Option<Sort>,
    /// Rows to skip, for numbered pages; `offset + limit` is at most [`WINDOW_MAX`].
    pub offset: u32,
    /// 1..=100.
    pub limit: u32,
    /// Start after this row: [`SearchPage::next`] of the page before.
    pub after: Option<After>,
}

/// Position of a row in a sorted result: its sort value and its id. Stays meaningful when documents come and go.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct After {
    pub value: SortValue,
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum SortValue {
    Missing,
    Number(i64),
    /// Folded.
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchPage {
    pub ids: Vec<String>,
    /// Exact number of matches.
    pub total: u64,
    /// None at the end.
    pub next: Option<After>,
}

/// Deepest row that a numbered page reaches.
pub const WINDOW_MAX: u32 = 10_000;
/// Most ids that one `walk` returns.
pub const WALK_MAX: u32 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("the search index is not available: {0}")]
    Unavailable(String),
    #[error("the search index cannot be read: {0}")]
    Corrupt(String),
    #[error("the search request is not valid: {0}")]
    Invalid(String),
}

#[async_trait]
pub trait Index: Send + Sync + 'static {
    /// Writes documents. They are durable and visible after [`Index::flush`], at the latest.
    async fn apply(&self, changes: Vec<DocChange>) -> Result<(), SearchError>;
    /// Returns when everything that was applied before the call is durable and visible.
    async fn flush(&self) -> Result<(), SearchError>;
    /// Returns when everything that was applied before the call is durable. It becomes visible by itself, at the latest a second later.
    /// An index that makes both in one step does the same as for [`Index::flush`].
    async fn settle(&self) -> Result<(), SearchError> {
        self.flush().await
    }
    async fn search(&self, request: SearchRequest) -> Result<SearchPage, SearchError>;
    async fn count(&self, kind: Kind, conditions: Conditions) -> Result<u64, SearchError>;
    /// Ids of all matches in ascending order, after `after`, at most `limit` (1..=[`WALK_MAX`]). How an audience is read: a million
    /// ids cost a hundred calls.
    async fn walk(&self, kind: Kind, conditions: Conditions, after: Option<String>, limit: u32) -> Result<Vec<String>, SearchError>;
    /// Id and [`Doc::digest`] of all documents, in ascending order of ids, after `after`, at most `limit` (1..=[`WALK_MAX`]). How a
    /// comparison with the storage finds documents that were made from an older state.
    async fn digests(&self, kind: Kind, after: Option<String>, limit: u32) -> Result<Vec<(String, u64)>, SearchError>;
    /// The most frequent values of an exact field among the matches, folded, with counts; most frequent first, then by value.
    /// `prefix` (folded by the index) limits them.
    async fn facets(&self, kind: Kind, conditions: Conditions, field: Field, prefix: String, limit: u32) -> Result<Vec<(String, u64)>, SearchError>;
    /// Of each of these values of an exact field, the id of one match that has it; whichever the index comes upon first.
    async fn one_of_each(&self, kind: Kind, conditions: Conditions, field: Field, values: Vec<String>) -> Result<Vec<Option<String>>, SearchError>;
    /// Begins a new version of the index beside the one in use. Until [`Rebuild::swap`], `apply` writes to both.
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, SearchError>;
    async fn health(&self) -> Result<(), SearchError>;
    /// `tantivy`, `opensearch`.
    fn name(&self) -> &'static str;
    /// False when the index was just made or was found unreadable and made anew: the application must fill it.
    async fn is_complete(&self) -> Result<bool, SearchError>;
    /// From now on [`Index::is_complete`] answers true, also after a restart: there was nothing to fill it with. Flushes first.
    async fn mark_complete(&self) -> Result<(), SearchError>;
}

/// A new version of an index that is being filled. Dropping it abandons the new version.
#[async_trait]
pub trait Rebuild: Send {
    async fn add(&mut self, docs: Vec<Doc>) -> Result<(), SearchError>;
    /// Makes the new version the one in use, with no moment without an index, and marks it complete; removes the old one.
    async fn swap(self: Box<Self>) -> Result<(), SearchError>;
}

/// What every index refuses, as [`SearchError::Invalid`], so that they refuse the same.
pub mod check {
    use super::{Condition, Conditions, Doc, SearchError, SearchRequest, SortValue, WALK_MAX, WINDOW_MAX};
    use crate::{Field, FieldType};

    /// Longest id, in bytes.
    pub const ID_MAX: usize = 512;
    /// Longest exact value, in bytes after folding: what an index can hold as one term.
    pub const TERM_MAX: usize = 8_000;
    /// Most rows of a search.
    pub const LIMIT_MAX: u32 = 100;

    fn refuse<T>(reason: impl Into<String>) -> Result<T, SearchError> {
        Err(SearchError::Invalid(reason.into()))
    }

    fn typed(field: Field, wanted: FieldType) -> Result<(), SearchError> {
        match wanted {
            _ if field.field_type() == wanted => Ok(()),
            FieldType::Exact => refuse(format!("{} is not an exact field", field.as_str())),
            FieldType::Number => refuse(format!("{} is not a number field", field.as_str())),
        }
    }

    /// A document whose fields have the types of the schema, and whose terms are not too long.
    pub fn doc(doc: &Doc) -> Result<(), SearchError> {
        if doc.id.is_empty() || doc.id.len() > ID_MAX {
            return refuse(format!("an id has 1 to {ID_MAX} bytes"));
        }
        for (field, value) in &doc.exact {
            typed(*field, FieldType::Exact)?;
            if emcrm_model::fold(value).len() > TERM_MAX {
                return refuse(format!("a value of {} has more than {TERM_MAX} bytes", field.as_str()));
            }
        }
        doc.numbers.iter().try_for_each(|(field, _)| typed(*field, FieldType::Number))
    }

    pub fn conditions(conditions: &Conditions) -> Result<(), SearchError> {
        conditions.all.iter().try_for_each(|condition| match condition {
            Condition::AnyOf(field, _) => typed(*field, FieldType::Exact),
            Condition::Between(field, ..) => typed(*field, FieldType::Number),
        })
    }

    /// Limits, types of fields, and a position that fits the sort.
    pub fn search(request: &SearchRequest) -> Result<(), SearchError> {
        conditions(&request.conditions)?;
        if !(1..=LIMIT_MAX).contains(&request.limit) {
            return refuse(format!("limit is not in 1..={LIMIT_MAX}"));
        }
        if request.offset.saturating_add(request.limit) > WINDOW_MAX {
            return refuse(format!("numbered pages end at row {WINDOW_MAX}"));
        }
        let Some(after) = &request.after else { return Ok(()) };
        match (&after.value, request.sort.map(|sort| sort.field.field_type())) {
            (SortValue::Missing, _) | (SortValue::Number(_), Some(FieldType::Number)) | (SortValue::Text(_), Some(FieldType::Exact)) => Ok(()),
            _ => refuse("the position does not belong to this order"),
        }
    }

    pub fn walk(limit: u32) -> Result<(), SearchError> {
        if (1..=WALK_MAX).contains(&limit) { Ok(()) } else { refuse(format!("limit is not in 1..={WALK_MAX}")) }
    }

    pub fn facets(field: Field) -> Result<(), SearchError> {
        typed(field, FieldType::Exact)
    }
}
