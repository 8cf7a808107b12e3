//! One campaign to ten thousand people, and a worker that is killed with `kill -9` all the way: before claims, between claim and hand-over, between
//! hand-over and record, and, by further campaigns that begin just before, while audiences are frozen.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{Process, Sink, assert_verified, client, folder, get, on_aws, post_ok, rounds, run, walk};

const PEOPLE: usize = 10_000;
const CONNECTIONS: i64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_are_mailed_once_whenever_the_worker_is_killed() {
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let generated = run(&data, &["generate", "--users", "10000", "--events", "0", "--attendance", "0", "--seed", "5"]);
    assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    let sink = Sink::start(&folder.path().join("mail"));
    let client = client();
    let mut random = StdRng::seed_from_u64(20_261_124);
    let kills = rounds(if on_aws() { 30 } else { 60 }, 220);
    // The campaign lasts as long as the killing does.
    let rate = PEOPLE / (kills / 5).max(1) + 200;
    // Where tables are shared a worker needs a second or two until it has its leases and begins.
    let alive = if on_aws() { 3_000 } else { 250 };
    let begin = Instant::now();
    let send = async |base: &str, rate: usize, subject: String| {
        let body = json!({ "filter": {}, "subject": subject, "body": "Dear {{ user.firstName }}, hold on.", "rate": rate });
        client.post(format!("{base}/email/send")).json(&body).send().await
    };

    let mut campaigns: Vec<String> = Vec::new();
    for round in 0..kills {
        let server = Process::start(&data, Some(&sink.url())).await;
        if round == 0 {
            let answer = send(&server.base, rate, "The long one".to_owned()).await.unwrap();
            campaigns.push(answer.json::<Value>().await.unwrap()["email_id"].as_str().unwrap().to_owned());
        } else if round % 20 == 10 {
            // Its audience is being frozen when the kill comes; it is cancelled later.
            let base = server.base.clone();
            let frozen = tokio::spawn({
                let client = client.clone();
                async move {
                    let body = json!({ "filter": {}, "subject": format!("Frozen {round}"), "body": "x", "rate": 1 });
                    client.post(format!("{base}/email/send")).json(&body).send().await.is_ok()
                }
            });
            tokio::time::sleep(Duration::from_millis(random.random_range(20..alive / 2))).await;
            server.kill();
            let _ = frozen.await;
            continue;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(1..alive))).await;
        server.kill();
    }
    let killing = begin.elapsed();

    let server = Process::start(&data, Some(&sink.url())).await;
    let listed = get(&client, format!("{}/email/requests?size=100", server.base)).await;
    for campaign in listed["items"].as_array().unwrap() {
        let id = campaign["email_id"].as_str().unwrap();
        if !campaigns.iter().any(|known| known == id) {
            post_ok(&client, format!("{}/email/requests/{id}/cancel", server.base), &json!({})).await;
            campaigns.push(id.to_owned());
        }
    }
    let (mut unknown, mut sent) = (0, 0);
    let mut sizes = Vec::new();
    for id in &campaigns {
        let done = loop {
            let now = get(&client, format!("{}/email/requests/{id}", server.base)).await;
            let open = now["counts"]["pending"].as_i64().unwrap() + now["counts"]["sending"].as_i64().unwrap();
            if ["sent", "error", "cancelled"].contains(&now["status"].as_str().unwrap()) && open == 0 {
                break now;
            }
            assert!(begin.elapsed() < killing + Duration::from_mins(8), "{now}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let counts = done["counts"].as_object().unwrap();
        assert_eq!(counts.values().map(|n| n.as_i64().unwrap()).sum::<i64>(), done["totalRecipients"].as_i64().unwrap(), "{done}");
        unknown += counts["unknown"].as_i64().unwrap();
        sent += counts["sent"].as_i64().unwrap();
        sizes.push(done["totalRecipients"].as_u64().unwrap());
    }
    assert_eq!(sizes.first(), Some(&(PEOPLE as u64)), "the long one goes to everybody");
    assert!(unknown <= CONNECTIONS * kills as i64, "{unknown} rows are unknown");

    // Each recipient has one row, in each campaign.
    for (id, size) in campaigns.iter().zip(&sizes).take(3) {
        let mut rows: HashMap<String, usize> = HashMap::new();
        let each = |row: &Value| *rows.entry(row["user_id"].as_str().unwrap().to_owned()).or_default() += 1;
        if *size > 0 {
            walk(&client, &format!("{}/email/status/{id}", server.base), 100, each, false).await;
        }
        assert!(rows.len() as u64 == *size && rows.values().all(|times| *times == 1), "{} people in {size} rows", rows.len());
    }
    let seen = sink.seen();
    assert_eq!(seen.values().filter(|times| **times > 1).count(), 0, "mails that the mail server saw twice");
    assert!(seen.len() as i64 >= sent && seen.len() as i64 <= sent + unknown, "{sent} rows say sent, {} mails arrived, {unknown} rows are unknown", seen.len());
    server.stop();
    let verified = assert_verified(&data);
    println!(
        "{kills} kills in {:.0} s: {} campaigns, {PEOPLE} recipients of the long one, {sent} sent, {unknown} unknown, {} mails arrived, 0 twice\n{verified}",
        killing.as_secs_f64(),
        campaigns.len(),
        seen.len(),
    );
}
