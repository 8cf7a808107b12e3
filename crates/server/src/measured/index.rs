//! The search, measured.

use std::sync::Arc;

use async_trait::async_trait;
use emcrm_search::{Conditions, DocChange, Field, Index, Kind, Rebuild, SearchError, SearchPage, SearchRequest};
use metrics::{Histogram, counter, histogram};

use super::called;

pub struct Measured {
    inner: Arc<dyn Index>,
    apply: Histogram,
    flush: Histogram,
    search: Histogram,
    count: Histogram,
    walk: Histogram,
    facets: Histogram,
}

impl Measured {
    pub fn new(inner: Arc<dyn Index>) -> Self {
        let engine = inner.name();
        let of = |operation: &'static str| histogram!("emcrm_search_operation_duration_seconds", "engine" => engine, "operation" => operation);
        Self { apply: of("apply"), flush: of("flush"), search: of("search"), count: of("count"), walk: of("walk"), facets: of("facets"), inner }
    }

    fn part(&self) -> (&'static str, &'static str) {
        ("search", self.inner.name())
    }

    fn seen<T>(&self, operation: &'static str, answer: Result<T, SearchError>) -> Result<T, SearchError> {
        answer.inspect_err(|error| {
            let kind = match error {
                SearchError::Unavailable(_) => "unavailable",
                SearchError::Corrupt(_) => "corrupt",
                SearchError::Invalid(_) => "invalid",
            };
            counter!("emcrm_search_errors_total", "engine" => self.inner.name(), "operation" => operation, "kind" => kind).increment(1);
        })
    }
}

#[async_trait]
impl Index for Measured {
    async fn apply(&self, changes: Vec<DocChange>) -> Result<(), SearchError> {
        self.seen("apply", called(self.part(), "apply", &self.apply, self.inner.apply(changes)).await)
    }
    async fn flush(&self) -> Result<(), SearchError> {
        self.seen("flush", called(self.part(), "flush", &self.flush, self.inner.flush()).await)
    }
    async fn settle(&self) -> Result<(), SearchError> {
        self.seen("flush", called(self.part(), "flush", &self.flush, self.inner.settle()).await)
    }
    async fn search(&self, request: SearchRequest) -> Result<SearchPage, SearchError> {
        self.seen("search", called(self.part(), "search", &self.search, self.inner.search(request)).await)
    }
    async fn count(&self, kind: Kind, conditions: Conditions) -> Result<u64, SearchError> {
        self.seen("count", called(self.part(), "count", &self.count, self.inner.count(kind, conditions)).await)
    }
    async fn walk(&self, kind: Kind, conditions: Conditions, after: Option<String>, limit: u32) -> Result<Vec<String>, SearchError> {
        self.seen("walk", called(self.part(), "walk", &self.walk, self.inner.walk(kind, conditions, after, limit)).await)
    }
    async fn digests(&self, kind: Kind, after: Option<String>, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        self.seen("digests", self.inner.digests(kind, after, limit).await)
    }
    async fn facets(&self, kind: Kind, conditions: Conditions, field: Field, prefix: String, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        self.seen("facets", called(self.part(), "facets", &self.facets, self.inner.facets(kind, conditions, field, prefix, limit)).await)
    }
    /// What facets ask besides.
    async fn one_of_each(&self, kind: Kind, conditions: Conditions, field: Field, values: Vec<String>) -> Result<Vec<Option<String>>, SearchError> {
        self.seen("facets", called(self.part(), "facets", &self.facets, self.inner.one_of_each(kind, conditions, field, values)).await)
    }
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, SearchError> {
        self.seen("rebuild", self.inner.rebuild().await)
    }
    async fn health(&self) -> Result<(), SearchError> {
        self.seen("health", self.inner.health().await)
    }
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    async fn is_complete(&self) -> Result<bool, SearchError> {
        self.seen("is_complete", self.inner.is_complete().await)
    }
    async fn mark_complete(&self) -> Result<(), SearchError> {
        self.seen("mark_complete", self.inner.mark_complete().await)
    }
}
