//! Reading long lists in pages.

use std::collections::VecDeque;

use emcrm_store::{Engine, EngineError, Item, Key, Query};

const PAGE: u32 = 1_000;

/// The rows of a query, one after the other; holds one page.
pub(super) struct Rows<'a> {
    engine: &'a dyn Engine,
    query: Query,
    ready: VecDeque<Item>,
    after: Option<Key>,
    ended: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(engine: &'a dyn Engine, query: Query) -> Self {
        Self { engine, query: query.limit(PAGE), ready: VecDeque::new(), after: None, ended: false }
    }

    pub(super) async fn peek(&mut self) -> Result<Option<&Item>, EngineError> {
        while self.ready.is_empty() && !self.ended {
            let rows = self.engine.query(self.query.clone().after(self.after.take())).await?;
            self.ready = rows.items.into();
            self.ended = rows.next.is_none();
            self.after = rows.next;
        }
        Ok(self.ready.front())
    }

    pub(super) async fn next(&mut self) -> Result<Option<Item>, EngineError> {
        self.peek().await?;
        Ok(self.ready.pop_front())
    }

    /// The next rows, at most `most`; empty at the end.
    pub(super) async fn take(&mut self, most: usize) -> Result<Vec<Item>, EngineError> {
        self.peek().await?;
        let most = most.min(self.ready.len());
        Ok(self.ready.drain(..most).collect())
    }
}
