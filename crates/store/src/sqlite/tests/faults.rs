//! A full disk, damaged items, a writer that ends.

use std::sync::{Arc, mpsc};

use rusqlite::Connection;
use serde_json::json;

use super::{put, read};
use crate::{
    engine::{Engine, EngineError, Guard, Key, Query, Table, TransactError, Transaction},
    rules::Rule,
    sqlite::{SqliteEngine, writer::Job},
};

/// Runs on the writer's thread, between two batches.
pub(super) async fn on_writer<T: Send + 'static>(engine: &SqliteEngine, work: impl FnOnce(&Connection) -> T + Send + 'static) -> T {
    let (done, answer) = tokio::sync::oneshot::channel();
    let work = move |connection: &Connection| {
        let _ = done.send(work(connection));
    };
    engine.send(Job::Run(Box::new(work))).await.unwrap();
    answer.await.unwrap()
}

fn pragma(connection: &Connection, name: &str) -> i64 {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
}

/// As if the disk had room for so many more pages of 4 KB.
pub(super) async fn room(engine: &SqliteEngine, pages: i64) {
    on_writer(engine, move |connection| {
        let most = pragma(connection, "page_count") + pages;
        assert_eq!(pragma(connection, &format!("max_page_count = {most}")), most);
    })
    .await;
}

fn pair(name: &str, kilobytes: usize) -> Transaction {
    let mut tx = put(name, json!({"text": "x".repeat(kilobytes * 1024)}));
    tx.add(Table::Main, Key::single("count"), "count", 1);
    tx
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_done_and_writing_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(folder.path()).unwrap();
    engine.transact(pair("before", 1)).await.unwrap();
    room(&engine, 4).await;
    for name in ["a", "b"] {
        assert_eq!(engine.transact(pair(name, 100)).await, Err(EngineError::Full.into()));
        assert_eq!(read(&engine, name).await, None);
    }
    assert_eq!(read(&engine, "count").await, Some(json!({"count": 1})));
    // What needs no room works.
    let mut tx = Transaction::new();
    tx.add(Table::Main, Key::single("count"), "count", 1);
    engine.transact(tx).await.unwrap();
    room(&engine, 1000).await;
    engine.transact(pair("a", 100)).await.unwrap();
    assert_eq!(read(&engine, "count").await, Some(json!({"count": 3})));
    assert_eq!(engine.health().await, Ok(()));
    assert_eq!(engine.integrity_check().await, Ok(()));
    drop(engine);
    let engine = SqliteEngine::open(folder.path()).unwrap();
    assert_eq!(read(&engine, "count").await, Some(json!({"count": 3})));
    assert!(read(&engine, "a").await.is_some() && read(&engine, "b").await.is_none());
}

#[tokio::test]
async fn a_transaction_that_does_not_fit_spoils_no_other_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Arc::new(SqliteEngine::open(folder.path()).unwrap());
    engine.transact(pair("before", 1)).await.unwrap();
    room(&engine, 40).await;
    // While the writer is held up, all come into one batch.
    let (go, wait) = mpsc::channel::<()>();
    engine.send(Job::Run(Box::new(move |_| wait.recv().unwrap()))).await.unwrap();
    let mut waiting = Vec::new();
    for (name, kilobytes) in [("a", 1), ("b", 300), ("c", 1), ("d", 300), ("e", 1)] {
        let tx = pair(name, kilobytes);
        let (answer, outcome) = tokio::sync::oneshot::channel();
        engine.send(Job::Transact(tx, answer)).await.unwrap();
        waiting.push((name, kilobytes, outcome));
    }
    go.send(()).unwrap();
    for (name, kilobytes, outcome) in waiting {
        let expected = if kilobytes > 1 { Err(EngineError::Full.into()) } else { Ok(()) };
        assert_eq!(outcome.await.unwrap(), expected, "{name}");
        assert_eq!(read(&engine, name).await.is_some(), kilobytes == 1, "{name}");
    }
    assert_eq!(read(&engine, "count").await, Some(json!({"count": 4})));
}

#[tokio::test]
async fn a_refused_transaction_spoils_no_other_of_its_batch() {
    let engine = Arc::new(SqliteEngine::memory());
    let (go, wait) = mpsc::channel::<()>();
    engine.send(Job::Run(Box::new(move |_| wait.recv().unwrap()))).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut tx = put("claim", json!({}));
        if let Some(op) = tx.ops.first_mut() {
            op.guards.push((Guard::Absent, Rule::EmailTaken));
        }
        tx.add(Table::Main, Key::single("count"), "count", 1);
        let (answer, outcome) = tokio::sync::oneshot::channel();
        engine.send(Job::Transact(tx, answer)).await.unwrap();
        waiting.push(outcome);
    }
    go.send(()).unwrap();
    let mut answers = Vec::new();
    for outcome in waiting {
        answers.push(outcome.await.unwrap());
    }
    let refused = Err(TransactError::Refused(vec![Some(Rule::EmailTaken), None]));
    assert_eq!(answers, [Ok(()), refused.clone(), refused], "the later ones see the first, though nothing was committed yet");
    assert_eq!(read(&engine, "count").await, Some(json!({"count": 1})));
}

#[tokio::test]
async fn a_damaged_item_is_said_and_harms_no_other() {
    let engine = SqliteEngine::memory();
    for name in ["good", "bad"] {
        engine.transact(put(name, json!({"type": "user"}))).await.unwrap();
    }
    assert_eq!(engine.integrity_check().await, Ok(()));
    on_writer(&engine, |connection| connection.execute("UPDATE main_items SET item = '{\"type\":' WHERE pk = 'bad'", []).unwrap()).await;
    let corrupt = |error: EngineError| matches!(error, EngineError::Corrupt(text) if text.contains("bad"));
    assert!(corrupt(engine.get(Table::Main, &Key::single("bad")).await.unwrap_err()));
    assert!(corrupt(engine.query(Query::table(Table::Main, "bad")).await.unwrap_err()));
    assert!(corrupt(engine.integrity_check().await.unwrap_err()));
    let mut tx = Transaction::new();
    tx.add(Table::Main, Key::single("bad"), "count", 1);
    assert!(matches!(engine.transact(tx).await, Err(TransactError::Engine(EngineError::Corrupt(_)))));
    assert!(read(&engine, "good").await.is_some());
    engine.transact(put("good", json!({}))).await.unwrap();
}

#[tokio::test]
async fn the_full_check_finds_a_column_that_differs_from_its_item() {
    let engine = SqliteEngine::memory();
    engine.transact(put("a", json!({"type": "user", "email": 7, "slug": "s"}))).await.unwrap();
    assert_eq!(engine.integrity_check().await, Ok(()));
    on_writer(&engine, |connection| connection.execute("UPDATE main_items SET slug = 'other'", []).unwrap()).await;
    let error = engine.integrity_check().await.unwrap_err();
    assert!(matches!(&error, EngineError::Corrupt(text) if text.contains("the item a / a differs")), "{error}");
}

#[tokio::test]
async fn a_writer_that_ended_is_said_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(folder.path()).unwrap();
    engine.transact(put("a", json!({}))).await.unwrap();
    let (go, wait) = mpsc::channel::<()>();
    engine.send(Job::Run(Box::new(move |_| wait.recv().unwrap()))).await.unwrap();
    let (answer, outcome) = tokio::sync::oneshot::channel();
    engine.send(Job::Transact(put("b", json!({})), answer)).await.unwrap();
    engine.send(Job::Run(Box::new(|_| panic!("the test ends the writer")))).await.unwrap();
    go.send(()).unwrap();
    assert!(outcome.await.is_err(), "the answer is dropped, which the engine reports as unknown");
    let answer = engine.transact(put("c", json!({}))).await;
    assert!(matches!(answer, Err(TransactError::Engine(EngineError::Unavailable(_) | EngineError::Unknown(_)))), "{answer:?}");
    assert!(matches!(engine.health().await, Err(EngineError::Unavailable(_))));
    assert!(read(&engine, "a").await.is_some(), "reads go on");
    drop(engine);
    let engine = SqliteEngine::open(folder.path()).unwrap();
    assert!(read(&engine, "b").await.is_none());
}

#[tokio::test]
async fn the_log_stays_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(folder.path()).unwrap();
    for number in 0..100 {
        engine.transact(put(&format!("{}", number % 10), json!({"text": "x".repeat(390 * 1024)}))).await.unwrap();
    }
    let bytes = std::fs::metadata(folder.path().join("emcrm.db-wal")).unwrap().len();
    assert!(bytes < 16 * 1024 * 1024, "40 MB were written and the log has {bytes} bytes");
}
