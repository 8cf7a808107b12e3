//! Data that earlier versions wrote: opened, recounted, and used. `earlier/layout-N/VERSION.db.gz` is a database of layout N that this version wrote; files are
//! added when a version is released or a layout changes, and never changed.
//!
//! Each holds 40 made-up people of seed 7 and what the README does: Anna of York owns the event `tea` with two seats and has one of them, and a campaign was sent to
//! Acme. From layout 2 on the bodies of some campaigns lie apart from them.

use std::io::Read;
use std::path::{Path, PathBuf};

use emcrm_store::sqlite::SqliteEngine;
use serde_json::{Value, json};

use crate::helpers::process::{Process, emcrm, run, start};

/// What the files were written with.
const KEY: &str = "the-key-of-the-data-that-earlier-versions-wrote";

fn earlier() -> Vec<(i32, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/earlier");
    let mut found = Vec::new();
    for layout in std::fs::read_dir(folder).unwrap() {
        let layout = layout.unwrap();
        let number = layout.file_name().to_str().unwrap().strip_prefix("layout-").unwrap().parse().unwrap();
        found.extend(std::fs::read_dir(layout.path()).unwrap().map(|file| (number, file.unwrap().path())));
    }
    found.sort();
    found
}

/// `PRAGMA user_version`: bytes 60 to 63 of the file (SQLite, "Database File Format", 1.3).
fn layout(database: &[u8]) -> i32 {
    i32::from_be_bytes(database[60..64].try_into().unwrap())
}

fn ask(server: &Process, method: &str, path: &str, body: &str) -> Value {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    serde_json::from_str(body).unwrap()
}

fn verified(folder: &Path) {
    let mut command = emcrm(folder);
    command.env("APP_SECRET_KEY", KEY).args(["verify", "--json"]);
    let (status, stdout, stderr) = run(command);
    assert_eq!(status, 0, "{stdout}{stderr}");
}

#[test]
fn there_is_data_of_every_layout_that_was_ever_written() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteEngine::open(folder.path()).unwrap());
    let now = layout(&std::fs::read(folder.path().join("emcrm.db")).unwrap());
    let mut layouts: Vec<i32> = earlier().into_iter().map(|(layout, _)| layout).collect();
    layouts.dedup();
    assert_eq!(layouts, (1..=now).collect::<Vec<_>>(), "a new layout needs a database of it below tests/it/earlier");
}

#[test]
fn data_of_earlier_versions_open_verify_and_work() {
    for (number, file) in earlier() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_end(&mut bytes).unwrap();
        assert_eq!(layout(&bytes), number, "{}", file.display());
        std::fs::write(data.join("emcrm.db"), bytes).unwrap();
        verified(folder.path());

        let mut command = emcrm(folder.path());
        command.env("APP_SECRET_KEY", KEY);
        let mut server = start(command);
        assert_eq!(ask(&server, "GET", "/users/anna", "")["attendedCount"], 1);
        assert_eq!(ask(&server, "GET", "/events/tea", "")["attendeeCount"], 1);
        let campaigns = ask(&server, "GET", "/email/requests", "");
        let states: Vec<_> = campaigns["items"].as_array().unwrap().iter().map(|campaign| campaign["status"].as_str().unwrap()).collect();
        assert!(states.contains(&"sent") && states.contains(&"draft"), "{campaigns}");
        assert!(campaigns["items"].as_array().unwrap().iter().all(|campaign| campaign["body"].as_str().unwrap().contains(' ') || campaign["body"] == "Later."));
        assert_eq!(ask(&server, "GET", "/email/status/user/anna", "")["items"][0]["status"], "sent");
        ask(&server, "POST", "/users", &json!({"id": "new", "firstName": "New", "lastName": "Comer", "email": "new@example.org", "city": "York"}).to_string());
        ask(&server, "POST", "/attend", &json!({"user_id": "new", "event_id": "tea"}).to_string());
        // The index was made anew from what was stored, and the newcomer is in it soon.
        let found = || ask(&server, "POST", "/search/query_users", r#"{"city": "York"}"#)["total"].as_u64().unwrap();
        let begin = std::time::Instant::now();
        while found() < 2 {
            assert!(begin.elapsed().as_secs() < 20, "{} people of York are found", found());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        server.signal("TERM");
        assert_eq!(server.end().0.code(), Some(0));
        verified(folder.path());
    }
}
