//! Data that earlier versions wrote: opened, recounted, and used. `earlier/layout-N/VERSION.db.gz` is a database of layout N that this version wrote; files are
//! added when a version is released or a layout changes, and never changed.
//!
//! Each holds 40 made-up people of seed 7 and what the README does: Anna of York owns the event `tea` with two seats and has one of them, and a campaign was sent to
//! Acme. From layout 2 on the bodies of some campaigns lie apart from them. `sealed` has an audit trail with seals, hits, a template, a token, an import, somebody who
//! was erased, and campaigns that are scheduled and paused. `full` is made by `scripts/earlier_data.py` and has rows of each kind.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Engine as _, Item, Key, Table, Transaction, keys};
use emcrm_store_dynamodb::{DynamoEngine, FORMAT};
use serde_json::{Value, json};

use crate::helpers::process::{Process, emcrm, run, start};
use crate::helpers::tables;

/// Kinds of rows that no file has: they are there for moments, after accidents, in tables or in backups only.
const PASSING: [&str; 7] = ["audit_bad", "audit_new", "format", "import", "lease", "restored", "workers"];

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

/// Head and body of an answer.
fn answer(server: &Process, method: &str, path: &str, kind: &str, body: &str) -> (String, String) {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn ask(server: &Process, method: &str, path: &str, body: &str) -> Value {
    let (head, body) = answer(server, method, path, "application/json", body);
    assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {head} {body}");
    serde_json::from_str(&body).unwrap()
}

/// The kinds of rows in docs/KEYS.md: what a PK begins with, and what an SK begins with where that is fixed.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/KEYS.md")).unwrap();
    let name = |key: &str| key.split(['#', '{']).next().unwrap().to_owned();
    let mut kinds = BTreeSet::new();
    for section in page.split("\n## ").filter(|section| section.starts_with("Main table") || section.starts_with("Email table")) {
        for row in section.lines().filter(|line| line.starts_with("| ")) {
            let cells: Vec<&str> = row.split('|').collect();
            let sort = cells[3].split('`').nth(1).filter(|key| key.contains('#')).map(name).filter(|name| !name.is_empty());
            // In one row there are two.
            for partition in cells[2].split('`').skip(1).step_by(2).map(name) {
                kinds.insert(sort.as_ref().map_or_else(|| partition.clone(), |sort| format!("{partition}/{sort}")));
            }
        }
    }
    kinds
}

#[test]
fn the_newest_layout_has_a_file_with_rows_of_each_kind() {
    let files = earlier();
    let newest = files.iter().map(|(layout, _)| *layout).max().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut kept = BTreeSet::new();
    for (at, (_, file)) in files.iter().filter(|(layout, _)| *layout == newest).enumerate() {
        let database = folder.path().join(format!("{at}.db"));
        std::fs::write(&database, unpacked(file)).unwrap();
        for key in ["main_items", "email_items"].into_iter().flat_map(|table| items(&database, table)).map(|item| item.key) {
            let partition = key.pk.split('#').next().unwrap();
            kept.insert(partition.to_owned());
            if let Some((sort, _)) = key.sk.split_once('#').filter(|_| key.sk != key.pk) {
                kept.insert(format!("{partition}/{sort}"));
            }
        }
    }
    let documented = documented();
    assert!(documented.contains("user/event") && documented.contains("people_import/places") && documented.contains("audit_anchor"), "{documented:?}");
    let missing: Vec<&String> = documented.iter().filter(|kind| !kept.contains(*kind) && !PASSING.contains(&kind.as_str())).collect();
    assert!(missing.is_empty(), "no file of layout {newest} has {missing:?}; scripts/earlier_data.py makes one");
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

/// The items of a file are those that the same version wrote into tables. Every second time the tables say that they are of an earlier format; else they say
/// nothing, as those that were made before there was a note of it.
#[tokio::test(flavor = "multi_thread")]
async fn items_of_earlier_versions_in_tables_open_verify_and_work() {
    let files = earlier();
    assert!(files.len() > 1);
    for (at, (_, file)) in files.into_iter().enumerate() {
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
        let note = async |version: i64| {
            let mut tx = Transaction::new();
            tx.update(Table::Main, keys::format()).set("version", version);
            engine.transact(tx).await.unwrap();
        };
        if at % 2 == 1 {
            note(FORMAT - 1).await;
        }
        let command = || {
            let mut command = emcrm(folder.path());
            command
                .env("APP_SECRET_KEY", KEY)
                .env("DB_ENGINE", "dynamodb")
                .env("DB_DYNAMODB_ENDPOINT", tables.endpoint.as_deref().unwrap())
                .env("DB_MAIN_TABLE_NAME", &tables.main_table)
                .env("DB_EMAIL_TABLE_NAME", &tables.email_table);
            command
        };
        tokio::task::block_in_place(|| opens_verifies_and_works(&file, command));
        let noted = engine.get(Table::Main, &keys::format()).await.unwrap().unwrap();
        assert_eq!(noted.attrs["version"], FORMAT, "{}: the start brings the note up to date", file.display());
        note(FORMAT + 1).await;
        let (status, _, told) = tokio::task::block_in_place(|| run(command()));
        assert_eq!(status, 3, "{told}");
        assert!(told.contains(&format!("{} was written by a newer version (layout {},", tables.main_table, FORMAT + 1)), "{told}");
        DynamoEngine::drop_tables(&tables).await.unwrap();
    }
}

#[test]
fn a_search_index_of_another_schema_is_filled_again_by_the_server_itself() {
    let (_, file) = earlier().pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("emcrm.db"), unpacked(&file)).unwrap();
    let start = || {
        let mut command = emcrm(folder.path());
        command.env("APP_SECRET_KEY", KEY);
        start(command)
    };
    // Searches answer 503 until the index is whole.
    let of_york = |server: &Process| {
        let begin = std::time::Instant::now();
        loop {
            let (head, body) = answer(server, "POST", "/search/query_users", "application/json", r#"{"city": "York"}"#);
            if head.starts_with("HTTP/1.1 200") {
                return serde_json::from_str::<Value>(&body).unwrap()["total"].as_u64().unwrap();
            }
            assert!(head.starts_with("HTTP/1.1 503") && begin.elapsed().as_secs() < 120, "{head} {body}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let end = |mut server: Process| {
        server.signal("TERM");
        assert_eq!(server.end().0.code(), Some(0));
    };
    let server = start();
    let before = of_york(&server);
    assert!(before > 0);
    end(server);

    let search = data.join("search");
    let pointer = || std::fs::read_to_string(search.join("current")).unwrap();
    let made = pointer();
    let (_, number) = made.split_once('-').unwrap();
    let other = format!("v0-{number}");
    std::fs::rename(search.join(&made), search.join(&other)).unwrap();
    std::fs::write(search.join("current"), &other).unwrap();

    let server = start();
    assert_eq!(of_york(&server), before);
    end(server);
    let schema = |version: &str| version.split_once('-').unwrap().0.to_owned();
    assert_eq!(schema(&pointer()), schema(&made));
    assert!(!search.join(&other).exists(), "what it cannot read is removed");
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
    // With nothing to tell but tasks that were given up.
    let verified = |given_up: u64| {
        let mut command = emcrm();
        command.env("APP_SECRET_KEY", KEY).args(["verify", "--json"]);
        let (status, stdout, stderr) = run(command);
        let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{}: {stdout}{stderr}", file.display()));
        let expected = if given_up == 0 { json!({}) } else { json!({ "dead_task": given_up }) };
        assert_eq!((status, &report["found"]), (i32::from(given_up > 0), &expected), "{}: {stdout}{stderr}", file.display());
    };
    let name = file.file_stem().unwrap().to_str().unwrap();
    let full = name.contains("full");
    verified(u64::from(full));
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
    if full {
        holds_each_kind(&server, of(&["sent"]).unwrap());
    }
    if name.contains("sealed") {
        holds_more(&server, of(&["sent"]).unwrap(), of(&["paused"]).unwrap());
    }
    if full || name.contains("sealed") {
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
        assert!(begin.elapsed().as_secs() < 120, "{} people of York are found", found());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
    verified(0);
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

/// What the fullest file has. Sessions, imports and answers that are kept for repeats come to their end with time, and are not looked at.
fn holds_each_kind(server: &Process, sent: &Value) {
    let id = sent["email_id"].as_str().unwrap();
    let readers = ask(server, "GET", &format!("/email/requests/{id}/readers"), "");
    assert_eq!((&readers["opened"], &readers["clicked"], &readers["personHits"]), (&json!(1), &json!(1), &json!(2)), "{readers}");
    let ledger = ask(server, "GET", &format!("/email/status/{id}"), "");
    let rows: Vec<_> = ledger["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["user_id"].as_str().unwrap(), row["status"].as_str().unwrap(), row["email"].is_string()))
        .collect();
    assert_eq!(rows, [("anna", "sent", true), ("ben", "error", true), ("gone", "sent", false), ("sam", "suppressed", true)], "{ledger}");
    let suppressions = ask(server, "GET", "/email/suppressions", "");
    let addresses: Vec<_> = suppressions["items"].as_array().unwrap().iter().map(|entry| entry["email"].as_str()).collect();
    assert_eq!(addresses, [Some("nobody@example.net"), Some("sam@example.org"), None], "{suppressions}");
    assert_eq!(ask(server, "GET", "/email/templates", "")["items"][0]["name"], "Thanks");
    let log = ask(server, "GET", &format!("/email/requests/{id}/log"), "");
    assert!(!log["items"].as_array().unwrap().is_empty(), "{log}");

    let tokens = ask(server, "GET", "/tokens", "");
    let mut tokens: Vec<_> =
        tokens["items"].as_array().unwrap().iter().map(|token| (token["grant"].as_str().unwrap(), token["revokedAt"].is_string())).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [("checkin:tea", false), ("editor", true), ("viewer", false)]);
    let audit = ask(server, "GET", "/audit?size=100", "");
    let deeds: BTreeSet<&str> = audit["items"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    for deed in ["attendances.imported", "event.deleted", "session.started", "token.revoked", "user.erased", "users.imported"] {
        assert!(deeds.contains(deed), "{deed} in {deeds:?}");
    }

    // Three took a place by the public page, two came by a file, and one was deleted.
    assert_eq!(ask(server, "GET", "/attend/event/talk", "")["total"], 5);
    for path in ["/users/gone", "/users/left", "/events/over"] {
        assert!(answer(server, "GET", path, "application/json", "").0.starts_with("HTTP/1.1 404"), "{path}");
    }
    // The confirmation that was given up is tried again.
    let (_, page) = answer(server, "GET", "/app/settings", "text/html", "");
    let (_, mark) = page.split_once("name=\"csrf\" value=\"").unwrap();
    let form = format!("all=1&csrf={}", mark.split('"').next().unwrap());
    let (head, body) = answer(server, "POST", "/app/settings/tasks/retry", "application/x-www-form-urlencoded", &form);
    assert!(head.starts_with("HTTP/1.1 303"), "{head} {body}");
}
