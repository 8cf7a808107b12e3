//! Data that earlier versions wrote: opened, recounted, and used. `earlier/layout-N/VERSION.db.gz` is a database of layout N that this version wrote; files are
//! added when a version is released or a layout changes, and never changed.
//!
//! Each holds 40 made-up people of seed 7 and what the README does: Anna of York owns the event `tea` with two seats and has one of them, and a campaign was sent to
//! Acme. From layout 2 on the bodies of some campaigns lie apart from them. `sealed` has an audit trail with seals, hits, a template, a token, an import, somebody who
//! was erased, and campaigns that are scheduled and paused.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Engine as _, Item, Key, Table, Transaction};
use emcrm_store_dynamodb::DynamoEngine;
use serde_json::{Value, json};

use crate::helpers::process::{Process, emcrm, run, start};
use crate::helpers::tables;

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

#[test]
fn there_is_data_of_every_layout_that_was_ever_written() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteEngine::open(folder.path()).unwrap());
    let now = layout(&std::fs::read(folder.path().join("emcrm.db")).unwrap());
    let mut layouts: Vec<i32> = earlier().into_iter().map(|(layout, _)| layout).collect();
    layouts.dedup();
    assert_eq!(layouts, (1..=now).collect::<Vec<_>>(), "a new layout needs a database of it below tests/it/earlier");
}

fn unpacked(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn data_of_earlier_versions_open_verify_and_work() {
    for (number, file) in earlier() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let bytes = unpacked(&file);
        assert_eq!(layout(&bytes), number, "{}", file.display());
        std::fs::write(data.join("emcrm.db"), bytes).unwrap();
        opens_verifies_and_works(&file, || emcrm(folder.path()));
    }
}

/// The items of a file are those that the same version wrote into tables.
#[tokio::test(flavor = "multi_thread")]
async fn items_of_earlier_versions_in_tables_open_verify_and_work() {
    for (_, file) in earlier() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("items.db");
        std::fs::write(&database, unpacked(&file)).unwrap();
        let tables = tables();
        DynamoEngine::create_tables(&tables).await.unwrap();
        let engine = DynamoEngine::open(tables.clone()).await.unwrap();
        for (table, name) in [(Table::Main, "main_items"), (Table::Email, "email_items")] {
            for chunk in items(&database, name).chunks(100) {
                let mut tx = Transaction::new();
                for item in chunk {
                    tx.put(table, item.clone());
                }
                engine.transact(tx).await.unwrap();
            }
        }
        let command = || {
            let mut command = emcrm(folder.path());
            command
                .env("DB_ENGINE", "dynamodb")
                .env("DB_DYNAMODB_ENDPOINT", tables.endpoint.as_deref().unwrap())
                .env("DB_MAIN_TABLE_NAME", &tables.main_table)
                .env("DB_EMAIL_TABLE_NAME", &tables.email_table);
            command
        };
        tokio::task::block_in_place(|| opens_verifies_and_works(&file, command));
        DynamoEngine::drop_tables(&tables).await.unwrap();
    }
}

fn items(database: &Path, table: &str) -> Vec<Item> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut rows = connection.prepare(&format!("SELECT pk, sk, item FROM {table}")).unwrap();
    let item = |row: &rusqlite::Row<'_>| {
        let attrs = serde_json::from_str(row.get::<_, String>(2)?.trim_end()).unwrap();
        Ok(Item { key: Key::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?), attrs })
    };
    rows.query_map([], item).unwrap().map(Result::unwrap).collect()
}

fn opens_verifies_and_works(file: &Path, emcrm: impl Fn() -> Command) {
    let verified = || {
        let mut command = emcrm();
        command.env("APP_SECRET_KEY", KEY).args(["verify", "--json"]);
        let (status, stdout, stderr) = run(command);
        assert_eq!(status, 0, "{}: {stdout}{stderr}", file.display());
    };
    verified();
    let mut command = emcrm();
    command.env("APP_SECRET_KEY", KEY);
    let mut server = start(command);
    assert_eq!(ask(&server, "GET", "/users/anna", "")["attendedCount"], 1);
    assert_eq!(ask(&server, "GET", "/events/tea", "")["attendeeCount"], 1);
    let campaigns = ask(&server, "GET", "/email/requests", "");
    let campaigns = campaigns["items"].as_array().unwrap();
    let of = |states: &[&str]| campaigns.iter().find(|campaign| states.iter().any(|state| campaign["status"] == *state));
    assert!(of(&["sent"]).is_some() && of(&["draft"]).is_some(), "{campaigns:?}");
    assert!(campaigns.iter().all(|campaign| campaign["body"].as_str().unwrap().contains(' ') || campaign["body"] == "Later."));
    let mails = ask(&server, "GET", "/email/status/user/anna", "");
    assert!(mails["items"].as_array().unwrap().iter().any(|row| row["status"] == "sent"), "{mails}");
    if file.file_stem().unwrap().to_str().unwrap().contains("sealed") {
        holds_more(&server, of(&["sent"]).unwrap(), of(&["paused"]).unwrap());
        // Its day is in 2028; after that it is held, because it would be late.
        assert!(
            campaigns.iter().any(|campaign| campaign["subject"] == "On its day" && ["scheduled", "paused"].iter().any(|state| campaign["status"] == *state))
        );
    }
    ask(&server, "POST", "/users", &json!({"id": "new", "firstName": "New", "lastName": "Comer", "email": "new@example.org", "city": "York"}).to_string());
    ask(&server, "POST", "/attend", &json!({"user_id": "new", "event_id": "tea"}).to_string());
    // The index was made anew from what was stored, and the newcomer is in it soon.
    let found = || ask(&server, "POST", "/search/query_users", r#"{"city": "York"}"#)["total"].as_u64().unwrap();
    let begin = std::time::Instant::now();
    while found() < 2 {
        assert!(begin.elapsed().as_secs() < 20, "{} people of York are found", found());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
    verified();
}

/// What the fuller file has: reading that was noted, a template, a suppression, somebody who was erased, a campaign that waits for a person.
fn holds_more(server: &Process, sent: &Value, paused: &Value) {
    let id = |campaign: &Value| campaign["email_id"].as_str().unwrap().to_owned();
    let readers = ask(server, "GET", &format!("/email/requests/{}/readers", id(sent)), "");
    assert!(readers["personHits"].as_u64().unwrap() >= 1, "{readers}");
    assert_eq!(ask(server, "GET", "/email/templates", "")["items"][0]["name"], "Thanks");
    assert_eq!(ask(server, "GET", "/email/suppressions", "")["items"][0]["email"], "nobody@example.net");
    let erased = ask(server, "GET", "/email/status/user/gone", "");
    assert!(erased["items"].as_array().unwrap().iter().all(|row| row.get("email").is_none()) && erased["total"] == 2, "{erased}");
    let cancelled = ask(server, "POST", &format!("/email/requests/{}/cancel", id(paused)), "{}");
    assert_eq!((&cancelled["counts"]["sent"], &cancelled["totalRecipients"]), (&json!(1), &json!(43)), "{cancelled}");
}
