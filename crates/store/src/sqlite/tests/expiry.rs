//! Items that have expired are forgotten, a bounded number at once, and no others.

use serde_json::json;

use super::{put, read};
use crate::{
    engine::Engine,
    sqlite::{SqliteEngine, writer::Job},
};

/// As the writer does it from time to time. Gives how many there were.
pub(super) async fn forget(engine: &SqliteEngine, most: u32) -> usize {
    let (answer, forgotten) = tokio::sync::oneshot::channel();
    engine.send(Job::Forget(most, answer)).await.unwrap();
    forgotten.await.unwrap()
}

#[tokio::test]
async fn what_has_expired_is_forgotten_and_nothing_else() {
    let engine = SqliteEngine::memory();
    for (name, attrs) in [
        ("old", json!({ "expiresAt": 1_000 })),
        ("older", json!({ "expiresAt": 10 })),
        ("new", json!({ "expiresAt": 99_999_999_999_i64 })),
        ("plain", json!({ "n": 1 })),
    ] {
        engine.transact(put(name, attrs)).await.unwrap();
    }
    assert_eq!(forget(&engine, 1).await, 1);
    assert_eq!(read(&engine, "older").await, None, "the oldest first");
    assert!(read(&engine, "old").await.is_some(), "no more than asked for");
    assert_eq!(forget(&engine, 10).await, 1);
    assert_eq!(read(&engine, "old").await, None);
    assert!(read(&engine, "new").await.is_some() && read(&engine, "plain").await.is_some());
    // An item that was given more time stays.
    engine.transact(put("new", json!({ "expiresAt": 5 }))).await.unwrap();
    engine.transact(put("new", json!({ "expiresAt": 99_999_999_999_i64 }))).await.unwrap();
    assert_eq!(forget(&engine, 10).await, 0);
}
