//! Long lists are walked to their end while rows are added: each row once, memory flat.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{Process, Sink, client, folder, get, post_ok, rounds, run, walk};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_walked_to_the_end_while_they_grow() {
    let people = rounds(20_000, 250_000);
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    // One event that everybody attends.
    let made = run(&data, &["generate", "--users", &people.to_string(), "--events", "1", "--attendance", &people.to_string(), "--seed", "7"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let sink = Sink::start(&folder.path().join("mail"));
    let server = Process::start(&data, Some(&sink.url())).await;
    let client = client();
    let event = get(&client, format!("{}/events/?size=1", server.base)).await["items"][0]["id"].as_str().unwrap().to_owned();
    let campaign = post_ok(&client, format!("{}/email/send_emails", server.base), &json!({ "filter": {}, "subject": "All", "body": "Hello", "rate": 1 })).await;
    let id = campaign["email_id"].as_str().unwrap().to_owned();
    loop {
        let now = get(&client, format!("{}/email/requests/{id}", server.base)).await;
        if now["status"] == "sending" {
            assert_eq!(now["totalRecipients"].as_u64().unwrap() as usize, people);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    // Somebody keeps adding people and registering them.
    let stop = tokio_util::sync::CancellationToken::new();
    let adding = tokio::spawn({
        let (base, event, stop) = (server.base.clone(), event.clone(), stop.clone());
        async move {
            let client = crate::support::client();
            let mut added = 0;
            while !stop.is_cancelled() {
                let user = json!({ "firstName": "New", "lastName": "Comer", "email": format!("new{added}@example.net") });
                let user = post_ok(&client, format!("{base}/users/"), &user).await;
                let attend = json!({ "user_id": user["id"], "event_id": event });
                post_ok(&client, format!("{base}/attend/"), &attend).await;
                added += 1;
            }
            added
        }
    });
    let mut highest = server.memory();
    let before = highest;
    for (path, key, post) in
        [("/users/", "id", false), (&format!("/attend/event/{event}") as &str, "user_id", false), (&format!("/email/sent/{id}"), "user_id", true)]
    {
        let mut seen = HashSet::new();
        let mut rows = 0;
        let each = |row: &Value| {
            rows += 1;
            seen.insert(row[key].as_str().unwrap().to_owned());
        };
        let pages = walk(&client, &format!("{}{path}", server.base), 100, each, post).await;
        assert_eq!(seen.len(), rows, "{path}: no row twice");
        assert!(rows >= people, "{path}: {rows} rows of at least {people}");
        highest = highest.max(server.memory());
        println!("{path}: {rows} rows in {pages} pages, {} kB resident", server.memory());
    }
    stop.cancel();
    let added = adding.await.unwrap();
    println!("{added} people were added meanwhile; resident {before} kB before, at most {highest} kB");
    assert!(highest < before + 100_000, "memory grew from {before} kB to {highest} kB");
    let cancelled = client.post(format!("{}/email/requests/{id}/cancel", server.base)).send().await.unwrap();
    assert_eq!(cancelled.status(), 200);
}
