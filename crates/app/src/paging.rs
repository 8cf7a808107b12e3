//! Lists that come straight from the storage.

use emcrm_model::{Page, PageRequest, Position};
use emcrm_store::{EngineError, Item, Key, Query, readable, rows_at};

use crate::{App, AppError};

impl App {
    /// One page of a stored list. `list` names it (for the cursor), `read` makes rows of items.
    pub(crate) async fn page<T>(
        &self,
        list: &str,
        query: Query,
        request: &PageRequest,
        total: u64,
        read: impl Fn(Item) -> Result<T, EngineError>,
    ) -> Result<Page<T>, AppError> {
        let engine = self.store.engine.as_ref();
        let (rows, page) = match &request.position {
            Position::Number(number) => {
                if u64::from(*number) * u64::from(request.size) > u64::from(PageRequest::DEEPEST) {
                    return Err(AppError::TooDeep);
                }
                (rows_at(engine, query, number.saturating_sub(1) * request.size, request.size).await?, *number)
            }
            Position::Cursor(cursor) => {
                let after = self.open_position(list, cursor)?;
                (engine.query(query.after(Some(after)).limit(request.size)).await?, 1)
            }
        };
        let next = rows.next.map(|key| self.seal_position(list, key));
        let items = readable(rows.items, read)?;
        Ok(Page { items, total, page, size: request.size, next })
    }

    pub(crate) fn seal_position(&self, list: &str, key: Key) -> String {
        self.cursors.seal(list, &(key.pk, key.sk))
    }

    pub(crate) fn open_position(&self, list: &str, cursor: &str) -> Result<Key, AppError> {
        let (pk, sk): (String, String) = self.cursors.open(list, cursor)?;
        Ok(Key::new(pk, sk))
    }
}
