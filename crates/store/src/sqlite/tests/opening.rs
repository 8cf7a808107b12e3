//! What may be opened, what is refused, and that a refused file stays as it is.

use std::{fs, path::Path};

use rusqlite::Connection;
use serde_json::json;

use super::{put, read};
use crate::{
    engine::Engine,
    sqlite::{OpenError, SqliteEngine, schema::SCHEMA_VERSION},
};

fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join("emcrm.db")).unwrap()
}

/// Opens, expects a refusal, and that no byte has changed.
fn refused(folder: &Path) -> OpenError {
    let before = fs::read(folder.join("emcrm.db")).unwrap();
    let error = SqliteEngine::open(folder).err().expect("a refusal");
    assert!(fs::read(folder.join("emcrm.db")).unwrap() == before, "the file has changed");
    error
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("not/there/yet");
    let engine = SqliteEngine::open(&nested).unwrap();
    engine.transact(put("a", json!({"x": i64::MAX, "y": i64::MIN, "z": 1e300, "n": -0.0}))).await.unwrap();
    drop(engine);
    let log = fs::metadata(nested.join("emcrm.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "a stopped engine leaves one complete file");
    let engine = SqliteEngine::open(&nested).unwrap();
    assert_eq!(read(&engine, "a").await, Some(json!({"x": i64::MAX, "y": i64::MIN, "z": 1e300, "n": -0.0})));
    assert_eq!(engine.health().await, Ok(()));
    assert_eq!(engine.integrity_check().await, Ok(()));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteEngine::open(folder.path()).unwrap());
    raw(folder.path()).pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Newer { found, supported, .. } if found == SCHEMA_VERSION + 1 && supported == SCHEMA_VERSION), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    for garbage in ["no database at all".repeat(1000), "short".to_owned(), format!("SQLite format 3\0{}", "x".repeat(5000))] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("emcrm.db"), garbage).unwrap();
        let error = refused(folder.path());
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("emcrm.db is damaged or not a database of this program"), "{error}");
    }
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path()).execute_batch("CREATE TABLE main_items (pk TEXT)").unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("another program"), "{error}");
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(folder.path()).unwrap();
    for number in 0..50 {
        engine.transact(put(&format!("{number}"), json!({"text": "x".repeat(1000)}))).await.unwrap();
    }
    drop(engine);
    let file = fs::OpenOptions::new().write(true).open(folder.path().join("emcrm.db")).unwrap();
    file.set_len(6000).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

#[test]
fn an_empty_file_is_a_new_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("emcrm.db"), "").unwrap();
    drop(SqliteEngine::open(folder.path()).unwrap());
    // Made, but not filled: the process ended in between.
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path()).execute_batch("PRAGMA journal_mode = WAL; BEGIN; CREATE TABLE x (y); ROLLBACK;").unwrap();
    drop(SqliteEngine::open(folder.path()).unwrap());
    drop(SqliteEngine::open(folder.path()).unwrap());
}

#[test]
fn a_folder_that_cannot_be_made_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = SqliteEngine::open(&folder.path().join("file/data")).err().unwrap();
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    assert!(error.to_string().starts_with("the data folder "), "{error}");
}

#[test]
fn one_engine_at_a_time_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = SqliteEngine::open(folder.path()).unwrap();
    let error = SqliteEngine::open(folder.path()).err().unwrap();
    assert!(matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    drop(first);
    drop(SqliteEngine::open(folder.path()).unwrap());
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_made_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(SqliteEngine::open(&data).unwrap());
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}
