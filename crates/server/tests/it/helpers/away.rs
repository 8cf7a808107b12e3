//! An index that can be taken away and given back, as one on another machine is when the network breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use emcrm_search::{Conditions, DocChange, Field, Index, Kind, Rebuild, SearchError, SearchPage, SearchRequest};

pub struct Removable {
    inner: Arc<dyn Index>,
    away: AtomicBool,
}

impl Removable {
    pub fn new(inner: Arc<dyn Index>) -> Arc<Self> {
        Arc::new(Self { inner, away: AtomicBool::new(false) })
    }

    /// From now on nothing can be asked of it, or everything can again.
    pub fn take_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn there(&self) -> Result<&dyn Index, SearchError> {
        if self.away.load(Ordering::SeqCst) { Err(SearchError::Unavailable("a test took it away".to_owned())) } else { Ok(self.inner.as_ref()) }
    }
}

#[async_trait]
impl Index for Removable {
    async fn apply(&self, changes: Vec<DocChange>) -> Result<(), SearchError> {
        self.there()?.apply(changes).await
    }
    async fn flush(&self) -> Result<(), SearchError> {
        self.there()?.flush().await
    }
    async fn settle(&self) -> Result<(), SearchError> {
        self.there()?.settle().await
    }
    async fn search(&self, request: SearchRequest) -> Result<SearchPage, SearchError> {
        self.there()?.search(request).await
    }
    async fn count(&self, kind: Kind, conditions: Conditions) -> Result<u64, SearchError> {
        self.there()?.count(kind, conditions).await
    }
    async fn walk(&self, kind: Kind, conditions: Conditions, after: Option<String>, limit: u32) -> Result<Vec<String>, SearchError> {
        self.there()?.walk(kind, conditions, after, limit).await
    }
    async fn digests(&self, kind: Kind, after: Option<String>, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        self.there()?.digests(kind, after, limit).await
    }
    async fn facets(&self, kind: Kind, conditions: Conditions, field: Field, prefix: String, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        self.there()?.facets(kind, conditions, field, prefix, limit).await
    }
    async fn one_of_each(&self, kind: Kind, conditions: Conditions, field: Field, values: Vec<String>) -> Result<Vec<Option<String>>, SearchError> {
        self.there()?.one_of_each(kind, conditions, field, values).await
    }
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, SearchError> {
        self.there()?.rebuild().await
    }
    async fn health(&self) -> Result<(), SearchError> {
        self.there()?.health().await
    }
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    async fn is_complete(&self) -> Result<bool, SearchError> {
        self.there()?.is_complete().await
    }
    async fn mark_complete(&self) -> Result<(), SearchError> {
        self.there()?.mark_complete().await
    }
}
