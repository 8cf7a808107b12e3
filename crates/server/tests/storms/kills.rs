//! `kill -9` at random moments: nothing that was answered is lost, nothing is half done, nobody is mailed twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{Process, Sink, assert_verified, client, folder, get, post_ok, rounds, walk};

const CONNECTIONS: i64 = 20;

/// What the clients were told.
#[derive(Default)]
struct Told {
    users: Vec<(String, String)>,
    attendances: Vec<(String, String)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_kill_9_and_nobody_is_mailed_twice() {
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let sink = Sink::start(&folder.path().join("mail"));
    let mut random = StdRng::seed_from_u64(20_261_123);
    let told = Arc::new(Mutex::new(Told::default()));
    let client = client();
    let begin = Instant::now();

    // An audience, and an event, that are there from the start.
    let mut events = Vec::new();
    {
        let server = Process::start(&data, Some(&sink.url())).await;
        for i in 0..3 {
            let event = json!({ "title": format!("Storm {i}"), "startAt": "2026-12-01T18:00:00Z", "endAt": "2026-12-01T20:00:00Z", "maxCapacity": 400 });
            events.push(post_ok(&client, format!("{}/events/", server.base), &event).await["id"].as_str().unwrap().to_owned());
        }
        for i in 0..600 {
            let user = json!({ "firstName": "Aud", "lastName": "Ience", "email": format!("a{i}@example.org"), "city": "Stormville" });
            post_ok(&client, format!("{}/users/", server.base), &user).await;
        }
        server.stop();
    }
    let kills = rounds(100, 400);
    let mut campaigns = Vec::new();
    for round in 0..kills {
        let server = Process::start(&data, Some(&sink.url())).await;
        let base = server.base.clone();
        // Now and then a new campaign, so that every kill hits one in some phase.
        if round % 10 == 0 {
            let body = json!({ "filter": { "city": "stormville" }, "subject": format!("Storm {round}"), "body": "Hold on.", "rate": 400 });
            let answer = client.post(format!("{base}/email/send_emails")).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            campaigns.push(answer.json::<Value>().await.unwrap()["email_id"].as_str().unwrap().to_owned());
        }
        let writers: Vec<_> = (0..4).map(|writer| tokio::spawn(write_until_dead(base.clone(), round * 10 + writer, events.clone(), told.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(5..250))).await;
        server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
    }
    let killing = begin.elapsed();

    // Let everything come to its end, then ask.
    let server = Process::start(&data, Some(&sink.url())).await;
    let (mut audience, mut unknown) = (0, 0);
    for id in &campaigns {
        let done = loop {
            let now = get(&client, format!("{}/email/requests/{id}", server.base)).await;
            if ["sent", "error"].contains(&now["status"].as_str().unwrap()) {
                break now;
            }
            assert!(begin.elapsed() < killing + Duration::from_mins(10), "{now}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let counts = done["counts"].as_object().unwrap();
        assert_eq!(counts.values().map(|n| n.as_i64().unwrap()).sum::<i64>(), done["totalRecipients"].as_i64().unwrap(), "{done}");
        assert_eq!(done["totalRecipients"], 600);
        audience += done["totalRecipients"].as_i64().unwrap();
        unknown += counts.get("unknown").and_then(Value::as_i64).unwrap_or(0);
    }
    assert!(unknown <= CONNECTIONS * kills as i64, "{unknown} rows are unknown");

    let told = Arc::try_unwrap(told).ok().unwrap().into_inner();
    for (id, email) in &told.users {
        let user = get(&client, format!("{}/users/{id}", server.base)).await;
        assert_eq!(user["email"], email.as_str(), "an answered user is there");
    }
    for (user, event) in &told.attendances {
        get(&client, format!("{}/attend/{user}/{event}", server.base)).await;
    }
    for event in &events {
        let event = get(&client, format!("{}/events/{event}", server.base)).await;
        assert!(event["attendeeCount"].as_i64().unwrap() <= 400);
    }

    // Ledger and mail server, mail by mail.
    let seen = sink.seen();
    let doubled = seen.iter().filter(|(_, times)| **times > 1).count();
    assert_eq!(doubled, 0, "mails that the mail server saw twice");
    let mut states: HashMap<String, usize> = HashMap::new();
    for id in &campaigns {
        let each = |row: &Value| *states.entry(row["status"].as_str().unwrap().to_owned()).or_default() += 1;
        walk(&client, &format!("{}/email/sent/{id}", server.base), 100, each, true).await;
    }
    let sent = states.get("sent").copied().unwrap_or(0);
    assert!(sent <= seen.len() && seen.len() <= sent + unknown as usize, "{sent} rows say sent, {} mails arrived, {unknown} rows are unknown", seen.len());
    server.stop();
    let verified = assert_verified(&data);
    println!(
        "{kills} kills in {:.0} s: {} users and {} attendances answered and found, {} campaigns to {audience} recipients, {sent} sent, {unknown} unknown, 0 twice\n{verified}",
        killing.as_secs_f64(),
        told.users.len(),
        told.attendances.len(),
        campaigns.len(),
    );
}

/// Creates people and registers them, as long as the server answers.
async fn write_until_dead(base: String, seed: usize, events: Vec<String>, told: Arc<Mutex<Told>>) {
    let client = client();
    for i in 0.. {
        let email = format!("w{seed}-{i}@example.org");
        let user = json!({ "firstName": "Wri", "lastName": "Ter", "email": email });
        let Ok(answer) = client.post(format!("{base}/users/")).json(&user).send().await else { return };
        assert!(answer.status().is_success() || answer.status().as_u16() == 503, "{}", answer.status());
        let Ok(user) = answer.json::<Value>().await else { return };
        let Some(id) = user["id"].as_str().map(str::to_owned) else { return };
        told.lock().users.push((id.clone(), email));
        let event = events[i % events.len()].clone();
        let attend = json!({ "user_id": id, "event_id": event });
        let Ok(answer) = client.post(format!("{base}/attend/")).json(&attend).send().await else { return };
        match answer.status().as_u16() {
            200 => {
                // The body is the answer; a status line alone is not yet one.
                let Ok(_) = answer.json::<Value>().await else { return };
                told.lock().attendances.push((id, event));
            }
            409 | 503 => {}
            other => panic!("{other}"),
        }
    }
}
