//! Two processes and one folder, and a process that is killed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use super::{put, read};
use crate::{
    engine::Engine,
    sqlite::{OpenError, SqliteEngine},
};

const FOLDER: &str = "EMCRM_TEST_FOLDER";

/// The other process: says each number when its transaction was answered, until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a process of its own, started by the test below"]
async fn child_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let engine = SqliteEngine::open(Path::new(&folder)).unwrap();
    for number in 0.. {
        engine.transact(put(&number.to_string(), json!({"number": number}))).await.unwrap();
        writeln!(std::io::stdout(), "written:{number}").unwrap();
    }
}

#[tokio::test]
async fn a_killed_process_leaves_all_it_was_answered_and_frees_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--nocapture", "--exact", "sqlite::tests::processes::child_writes_until_it_is_killed"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.split_once("written:").map(|(_, number)| number.to_owned());
    let mut answered: Vec<_> = lines.by_ref().filter_map(number).take(40).collect();
    assert_eq!(answered.len(), 40);

    let error = SqliteEngine::open(folder.path()).err().unwrap();
    assert!(matches!(error, OpenError::InUse { pid, .. } if pid == Some(child.id())), "{error}");
    assert!(error.to_string().contains(&format!("(process {})", child.id())), "{error}");

    child.kill().unwrap();
    child.wait().unwrap();
    answered.extend(lines.filter_map(number));
    let engine = SqliteEngine::open(folder.path()).unwrap();
    for number in answered {
        assert!(read(&engine, &number).await.is_some(), "{number} is lost");
    }
    assert_eq!(engine.integrity_check().await, Ok(()));
}
