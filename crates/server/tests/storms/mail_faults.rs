//! A mail server that answers slowly, refuses for now or for good, or hangs up: each ends as docs/RELIABILITY.md says.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Process, Sink, assert_verified, client, embedded, folder, get, post_ok};

const PEOPLE: usize = 40;

/// A campaign to everybody through a sink with these options, until `over` holds. Returns the campaign and the number of mails that arrived whole.
async fn campaign(options: &[&str], over: impl Fn(&Value) -> bool) -> (Value, Vec<Value>, usize) {
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    embedded(&data);
    let sink = Sink::start_with(&folder.path().join("mail"), options);
    let client = client();
    let server = Process::start(&data, Some(&sink.url())).await;
    for i in 0..PEOPLE {
        let user = json!({ "firstName": "Ann", "lastName": i.to_string(), "email": format!("a{i}@example.org") });
        post_ok(&client, format!("{}/users/", server.base), &user).await;
    }
    let made = post_ok(&client, format!("{}/email/send", server.base), &json!({ "filter": {}, "subject": "Hi", "body": "Come." })).await;
    let at = format!("{}/email/requests/{}", server.base, made["email_id"].as_str().unwrap());
    let begin = Instant::now();
    let ended = loop {
        let now = get(&client, at.clone()).await;
        if over(&now) {
            break now;
        }
        assert!(begin.elapsed() < Duration::from_mins(2), "{now}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let rows = get(&client, format!("{}/email/status/{}?size=100", server.base, made["email_id"].as_str().unwrap())).await;
    server.stop();
    assert_verified(&data);
    (ended, rows["items"].as_array().unwrap().clone(), sink.seen().len())
}

fn count(campaign: &Value, state: &str) -> usize {
    campaign["counts"][state].as_u64().unwrap() as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_mail_server_takes_everything_in_its_time() {
    let (campaign, _, arrived) = campaign(&["-w", "1"], |now| now["status"] == "sent").await;
    assert_eq!((count(&campaign, "sent"), arrived), (PEOPLE, PEOPLE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_for_good_is_an_error_in_the_servers_own_words() {
    let (campaign, rows, arrived) = campaign(&["-f", "RCPT", "-B", "550 5.1.1 no such user"], |now| now["status"] == "error").await;
    assert_eq!((count(&campaign, "error"), arrived), (PEOPLE, 0));
    assert!(rows.iter().all(|row| row["status"] == "error" && row["attempts"] == 1 && row["error"] == "550 5.1.1 no such user"), "{:?}", rows.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_for_now_waits_for_another_try() {
    let tried = |now: &Value| now["status"] == "sending" && count(now, "pending") == PEOPLE && count(now, "sending") == 0;
    let (campaign, rows, arrived) = campaign(&["-r", "RCPT", "-b", "450 4.2.1 later"], |now| {
        // Also before the first try they all wait; a moment later they have been tried.
        std::thread::sleep(Duration::from_millis(400));
        tried(now)
    })
    .await;
    assert_eq!((count(&campaign, "pending"), arrived), (PEOPLE, 0));
    assert!(rows.iter().filter(|row| row["attempts"] == 1 && row["error"] == "450 4.2.1 later").count() > PEOPLE / 2, "{:?}", rows.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_after_the_data_leaves_rows_that_nobody_sends_again() {
    let (campaign, rows, _) = campaign(&["-q", "."], |now| now["status"] == "sent" || now["status"] == "error").await;
    assert_eq!(count(&campaign, "unknown"), PEOPLE, "{campaign}");
    assert!(rows.iter().all(|row| row["status"] == "unknown" && row["attempts"] == 1), "{:?}", rows.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_before_the_data_delays_the_campaign_and_sends_nothing_twice() {
    let (campaign, rows, arrived) = campaign(&["-q", "DATA"], |now| {
        std::thread::sleep(Duration::from_millis(400));
        now["status"] == "sending" && count(now, "pending") == PEOPLE
    })
    .await;
    assert_eq!((count(&campaign, "pending"), arrived), (PEOPLE, 0));
    assert!(rows.iter().all(|row| row["attempts"] == 0), "a mail that never left is no attempt: {:?}", rows.first());
}
