//! Two processes that answer and two that work, on the same DynamoDB and OpenSearch: the races between them, and a campaign whose worker is killed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::races::all_races;
use crate::support::{Process, Sink, assert_verified, client, configure_aws, folder, get, part, post_ok, rounds, run, walk};

const PEOPLE: usize = 5_200;
/// Mail connections of one worker.
const CONNECTIONS: i64 = 20;
/// A dead worker's leases are taken over within this, or the design is broken.
const TAKEOVER: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_race_and_mail_and_one_is_killed() {
    let folder = folder();
    let folders = ["api-1", "api-2", "worker-1", "worker-2"].map(|name| folder.path().join(name));
    configure_aws(&folders.each_ref().map(std::path::PathBuf::as_path), &part("EMCRM_DYNAMODB"), &part("EMCRM_OPENSEARCH"));
    let sink = Sink::start(&folder.path().join("mail"));
    let generated = run(&folders[0], &["generate", "--users", &PEOPLE.to_string(), "--events", "5", "--attendance", "0", "--seed", "7"]);
    assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    let url = sink.url();
    let smtp = Some(url.as_str());
    let (one, two) = (Process::start_as("api", &folders[0], smtp, &[]).await, Process::start_as("api", &folders[1], smtp, &[]).await);
    let (dying, staying) = (Process::start_as("worker", &folders[2], smtp, &[]).await, Process::start_as("worker", &folders[3], smtp, &[]).await);

    all_races(&[&one.base, &two.base], rounds(10, 200)).await;

    let client = client();
    let begin = Instant::now();
    let body = json!({ "filter": { "minAttended": 0, "maxAttended": 0 }, "subject": "To all", "body": "Hello.", "rate": 600 });
    let mut campaigns = Vec::new();
    // Several, so that each worker has one or two whatever the shards are.
    for _ in 0..4 {
        campaigns.push(post_ok(&client, format!("{}/email/send_emails", one.base), &body).await["email_id"].as_str().unwrap().to_owned());
    }
    // In the middle of it: some have gone out, most have not.
    wait(&client, &two.base, &campaigns, Duration::from_mins(5), |now| now["counts"]["sent"].as_i64().unwrap_or(0) > 500).await;
    dying.kill();
    let killed = Instant::now();
    // Each campaign moves again, by the hands of the one that is left, as soon as the dead one's leases have run out.
    let mut before = HashMap::new();
    for id in &campaigns {
        before.insert(id.clone(), sent(&get(&client, format!("{}/email/requests/{id}", two.base)).await));
    }
    for id in &campaigns {
        loop {
            let now = get(&client, format!("{}/email/requests/{id}", two.base)).await;
            if sent(&now) > before[id] || now["status"] == "sent" {
                break;
            }
            assert!(killed.elapsed() < TAKEOVER, "nobody has taken over {id}: {now}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let taken_over = killed.elapsed();
    wait(&client, &one.base, &campaigns, Duration::from_mins(12), |now| now["status"] == "sent").await;
    let mailing = begin.elapsed();

    let (mut recipients, mut unknown, mut said_sent) = (0, 0, 0);
    for id in &campaigns {
        let done = get(&client, format!("{}/email/requests/{id}", one.base)).await;
        let counts = done["counts"].as_object().unwrap();
        assert!(done["totalRecipients"].as_i64().unwrap() >= PEOPLE as i64, "{done}");
        assert_eq!(counts.values().map(|n| n.as_i64().unwrap()).sum::<i64>(), done["totalRecipients"].as_i64().unwrap(), "every recipient has one row: {done}");
        recipients += done["totalRecipients"].as_i64().unwrap();
        unknown += counts.get("unknown").and_then(Value::as_i64).unwrap_or(0);
        let mut rows = HashMap::new();
        walk(&client, &format!("{}/email/sent/{id}", two.base), 100, |row| *rows.entry(row["user_id"].to_string()).or_insert(0) += 1, true).await;
        assert!(rows.values().all(|times| *times == 1) && rows.len() as i64 == done["totalRecipients"].as_i64().unwrap());
        said_sent += counts["sent"].as_i64().unwrap();
    }
    let seen = sink.seen();
    assert!(seen.values().all(|times| *times == 1), "nobody is mailed twice");
    assert!(unknown <= CONNECTIONS, "{unknown} rows are unknown after one kill");
    assert!(said_sent <= seen.len() as i64 && seen.len() as i64 <= said_sent + unknown, "{said_sent} said to be sent, {} seen, {unknown} unknown", seen.len());
    for process in [one, two, staying] {
        process.stop();
    }
    let verified = assert_verified(&folders[0]);
    println!(
        "4 campaigns to {recipients} recipients in {:.0} s, one of two workers killed: taken over after {:.1} s, {said_sent} sent, {unknown} unknown, 0 twice\n{verified}",
        mailing.as_secs_f64(),
        taken_over.as_secs_f64()
    );
}

fn sent(campaign: &Value) -> i64 {
    campaign["counts"]["sent"].as_i64().unwrap_or(0)
}

/// Until all campaigns are as they should be.
async fn wait(client: &reqwest::Client, base: &str, campaigns: &[String], patience: Duration, good: impl Fn(&Value) -> bool) {
    let begin = Instant::now();
    for id in campaigns {
        loop {
            let now = get(client, format!("{base}/email/requests/{id}")).await;
            if good(&now) {
                break;
            }
            assert!(begin.elapsed() < patience, "{now}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
