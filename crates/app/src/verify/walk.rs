//! Reading long lists in pages.

use std::collections::VecDeque;

use emcrm_store::{Engine, EngineError, Item, Key, Query};

use crate::archive::line;
use crate::sorter::{Sorted, Sorter};

const PAGE: u32 = 1_000;

/// The rows of a query, one after the other, in the order of their keys; holds one page. Where the index has no order, the rows are sorted first,
/// in files.
pub(super) struct Rows<'a> {
    engine: &'a dyn Engine,
    query: Query,
    ready: VecDeque<Item>,
    after: Option<Key>,
    ended: bool,
    sorted: Option<Sorted>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(engine: &'a dyn Engine, query: Query) -> Self {
        Self { engine, query: query.limit(PAGE), ready: VecDeque::new(), after: None, ended: false, sorted: None }
    }

    pub(super) async fn peek(&mut self) -> Result<Option<&Item>, EngineError> {
        if self.query.index.is_some_and(|index| !self.engine.is_ordered(self.query.table, index)) {
            return self.peek_sorted().await;
        }
        while self.ready.is_empty() && !self.ended {
            let rows = self.engine.query(self.query.clone().after(self.after.take())).await?;
            self.ready = rows.items.into();
            self.ended = rows.next.is_none();
            self.after = rows.next;
        }
        Ok(self.ready.front())
    }

    async fn peek_sorted(&mut self) -> Result<Option<&Item>, EngineError> {
        let failed = |error: std::io::Error| EngineError::Unavailable(format!("rows cannot be sorted in a file: {error}"));
        if self.sorted.is_none() {
            let mut sorter = Sorter::new(None);
            loop {
                let rows = self.engine.query(self.query.clone().after(self.after.take())).await?;
                for item in rows.items {
                    let Key { pk, sk } = item.key.clone();
                    sorter.add(0, &pk, &sk, line::of(self.query.table, item)).map_err(failed)?;
                }
                match rows.next {
                    Some(next) => self.after = Some(next),
                    None => break,
                }
            }
            self.sorted = Some(sorter.finish().map_err(failed)?);
        }
        if let Some(sorted) = &mut self.sorted {
            while self.ready.len() < PAGE as usize && !self.ended {
                match sorted.next().map_err(failed)?.as_deref().map(line::parse) {
                    Some(row) => self.ready.extend(row.map(|(_, item)| item)),
                    None => self.ended = true,
                }
            }
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
