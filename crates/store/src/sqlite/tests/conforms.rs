//! The suite of all engines, on a file and in memory.

use std::sync::Arc;

use crate::{engine::Engine, sqlite::SqliteEngine};

#[expect(clippy::unused_async, reason = "other engines take time to make")]
async fn file() -> (Arc<dyn Engine>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Arc::new(SqliteEngine::open(folder.path()).unwrap()), folder)
}

#[expect(clippy::unused_async, reason = "other engines take time to make")]
async fn memory() -> (Arc<dyn Engine>, ()) {
    (Arc::new(SqliteEngine::memory()), ())
}

crate::engine_conformance!(a_file, file);
crate::engine_conformance!(a_database_in_memory, memory);
