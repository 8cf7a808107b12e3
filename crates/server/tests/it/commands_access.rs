//! The commands about one person, and about one program: `user` and `token`.

use serde_json::{Value, json};

use crate::commands::{command, get, json as answered};
use crate::helpers::http_client;
use crate::helpers::process::{Process, emcrm, start};

/// Somebody who attends what somebody else hosts: their ids, and the event's.
struct People {
    guest: String,
    host: String,
    event: String,
}

/// Five made-up people, two events, four attendances.
fn generated(folder: &std::path::Path) -> People {
    let (status, made) = answered(folder, &["generate", "--users", "5", "--events", "2", "--attendance", "4", "--seed", "1", "--json"]);
    assert_eq!((status, &made["attendance"]), (0, &json!(4)), "{made}");
    let server = start(emcrm(folder));
    let users = get(&server, "/users");
    let guest = users["items"].as_array().unwrap().iter().find(|user| user["attendedCount"] == 2).unwrap();
    let event = get(&server, "/events")["items"][0].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let people = People { guest: text(&guest["id"]), host: text(&event["owner"]), event: text(&event["id"]) };
    ended(server);
    people
}

fn ended(mut server: Process) {
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

/// Waits until the trail says this about one object, oldest first, and nothing else: entries of other processes get their place a moment after the start.
fn stands_in_the_trail(server: &Process, object: &str, deeds: &[&str]) {
    let begin = std::time::Instant::now();
    loop {
        let list = get(server, "/audit?size=100");
        let entries = list["items"].as_array().unwrap().iter().rev().filter(|entry| entry["object"] == object);
        if entries.map(|entry| entry["what"].as_str().unwrap()).eq(deeds.iter().copied()) {
            return;
        }
        assert!(begin.elapsed().as_secs() < 120, "{list}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_person_is_exported_with_all_that_is_held_and_nobody_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let People { guest, host, event } = generated(folder.path());
    let (status, archive) = answered(folder.path(), &["user", "export", &guest]);
    assert_eq!((status, &archive["id"], &archive["user"]["id"]), (0, &json!(guest), &json!(guest)));
    let attended = archive["attendances"].as_array().unwrap();
    assert_eq!(attended.len(), 2);
    assert!(attended.iter().all(|row| row["user_id"] == guest.as_str()) && attended.iter().any(|row| row["event_id"] == event.as_str()), "{archive}");
    for list in ["hostsEvents", "emails", "suppressions", "reading", "imports"] {
        assert_eq!(archive[list], json!([]), "{list}");
    }
    let (_, of_host) = answered(folder.path(), &["user", "export", &host]);
    assert!(of_host["hostsEvents"].to_string().contains(&event) && !of_host.to_string().contains(&guest), "{of_host}");
    // The export itself stands in the trail, and changed nothing else.
    let server = start(emcrm(folder.path()));
    stands_in_the_trail(&server, &format!("user#{guest}"), &["user.exported"]);
    assert_eq!(get(&server, "/users")["total"], 5);
    ended(server);
    let (status, told, error) = command(folder.path(), &["user", "export", "nobody"]);
    assert_eq!((status, told.as_str()), (1, ""), "{error}");
    assert!(error.contains("User not found"), "{error}");
}

#[test]
fn whoever_is_erased_is_gone_from_people_and_events_and_the_rest_still_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let People { guest, event, .. } = generated(folder.path());
    let (_, before) = answered(folder.path(), &["user", "export", &guest]);
    let address = before["user"]["email"].as_str().unwrap();
    let server = start(emcrm(folder.path()));
    let attendees = get(&server, &format!("/events/{event}"))["attendeeCount"].as_u64().unwrap();
    ended(server);

    let (status, told, error) = command(folder.path(), &["user", "erase", &guest]);
    assert_eq!(status, 0, "{error}");
    assert!(told.starts_with("Erased."), "{told}");

    let (status, report) = answered(folder.path(), &["verify", "--json"]);
    assert_eq!((status, &report["clean"], &report["counted"]["users"], &report["counted"]["attendances"]), (0, &json!(true), &json!(4), &json!(2)));
    // What is left names what was done, and not whom it was done to.
    let (status, after) = answered(folder.path(), &["user", "export", &guest]);
    assert_eq!((status, &after["user"], &after["attendances"]), (0, &Value::Null, &json!([])));
    assert!(!after.to_string().contains(address), "{after}");
    let server = start(emcrm(folder.path()));
    let users = get(&server, "/users");
    assert_eq!(users["total"], 4);
    assert!(!users.to_string().contains(&guest) && !users.to_string().contains(address), "{users}");
    assert_eq!(get(&server, &format!("/events/{event}"))["attendeeCount"], attendees - 1);
    stands_in_the_trail(&server, &format!("user#{guest}"), &["user.exported", "user.erased", "user.deleted", "user.exported"]);
    ended(server);
    let (status, told, error) = command(folder.path(), &["user", "erase", "nobody"]);
    assert_eq!((status, told.as_str()), (1, ""), "{error}");
    assert!(error.contains("User not found"), "{error}");
}

#[test]
fn tokens_are_listed_newest_first_without_what_opens_the_door() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(command(folder.path(), &["generate", "--users", "1", "--events", "1"]).0, 0);
    let (status, told, _) = command(folder.path(), &["token", "list"]);
    assert_eq!((status, told.as_str()), (0, "There are no tokens. `emcrm token create NAME` makes one.\n"));
    assert_eq!(answered(folder.path(), &["token", "list", "--json"]), (0, json!([])));

    let (_, first) = answered(folder.path(), &["token", "create", "Newsletter", "--grant", "sender", "--json"]);
    let (_, second) = answered(folder.path(), &["token", "create", "Door", "--grant", "checkin:tea", "--days", "2", "--json"]);
    let (status, told, error) = command(folder.path(), &["token", "list"]);
    assert_eq!(status, 0, "{error}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    for (line, token, words) in [(lines[0], &second, ["checkin:tea", "until ", "Door"]), (lines[1], &first, ["sender", "no end", "Newsletter"])] {
        assert!(line.starts_with(token["id"].as_str().unwrap()), "{line}");
        assert!(words.iter().all(|word| line.contains(word)) && line.contains("never used"), "{line}");
    }
    let (status, list) = answered(folder.path(), &["token", "list", "--json"]);
    assert_eq!((status, &list[0]["id"], &list[1]["id"]), (0, &second["id"], &first["id"]));
    for token in [&first, &second] {
        let token = token["token"].as_str().unwrap();
        assert!(!told.contains(token) && !list.to_string().contains(token), "a token is shown once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_opens_nothing_any_more_and_the_other_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let (_, kept) = answered(folder.path(), &["token", "create", "kept", "--json"]);
    let (_, lost) = answered(folder.path(), &["token", "create", "lost", "--json"]);
    let status = async |server: &Process, token: &Value| {
        let asked = http_client().get(format!("{}/users", server.address)).bearer_auth(token["token"].as_str().unwrap());
        asked.send().await.unwrap().status().as_u16()
    };
    let server = start(emcrm(folder.path()));
    assert_eq!((status(&server, &kept).await, status(&server, &lost).await), (200, 200));
    ended(server);

    let id = lost["id"].as_str().unwrap();
    let (code, told, error) = command(folder.path(), &["token", "revoke", id]);
    assert_eq!(code, 0, "{error}");
    assert!(told.starts_with(id) && told.contains("  revoked 20") && told.trim_end().ends_with("lost"), "{told}");
    // Once more changes nothing, not even when it was.
    let (code, again, error) = command(folder.path(), &["token", "revoke", id]);
    assert_eq!((code, again), (0, told), "{error}");
    let (_, list) = answered(folder.path(), &["token", "list", "--json"]);
    assert!(list[0]["revokedAt"].is_string() && list[1].get("revokedAt").is_none(), "{list}");

    let server = start(emcrm(folder.path()));
    assert_eq!((status(&server, &kept).await, status(&server, &lost).await), (200, 401));
    stands_in_the_trail(&server, &format!("token#{id}"), &["token.created", "token.revoked"]);
    ended(server);
    let (code, told, error) = command(folder.path(), &["token", "revoke", "nothing"]);
    assert_eq!((code, told.as_str()), (1, ""), "{error}");
    assert!(error.contains("API token not found"), "{error}");
}
