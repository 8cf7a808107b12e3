//! The main job with ten thousand people: generated, searched, mailed through a real mail server, compared three ways.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Process, Sink, assert_verified, client, folder, get, post_ok, run, walk};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mail_server_the_ledger_and_the_filter_agree_on_every_recipient() {
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let generated = run(&data, &["generate", "--users", "10000", "--events", "200", "--attendance", "50000", "--seed", "42"]);
    assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    assert_verified(&data);

    let sink = Sink::start(&folder.path().join("mail"));
    let server = Process::start(&data, Some(&sink.url())).await;
    let client = client();
    let people: Value = get(&client, format!("{}/users/?size=1", server.base)).await;
    assert_eq!(people["total"], 10_000);
    let events: Value = get(&client, format!("{}/events/?size=1", server.base)).await;
    assert_eq!(events["total"], 200);

    // The filter, counted from the people themselves and not by the index.
    let filter = json!({ "minAttended": 3, "maxAttended": 1_000 });
    let mut expected = HashSet::new();
    let mut attended = 0;
    let each = |user: &Value| {
        attended += user["attendedCount"].as_i64().unwrap();
        if user["attendedCount"].as_i64().unwrap() >= 3 {
            expected.insert(user["email"].as_str().unwrap().to_lowercase());
        }
    };
    walk(&client, &format!("{}/users/", server.base), 100, each, false).await;
    assert_eq!(attended, 50_000);
    assert!(expected.len() > 5_000, "{} people match", expected.len());

    let begin = Instant::now();
    let body = json!({ "filter": filter, "subject": "Grüße aus Köln 🎉", "body": "See you there." });
    let campaign = post_ok(&client, format!("{}/email/send_emails", server.base), &body).await;
    let id = campaign["email_id"].as_str().unwrap().to_owned();
    let done = loop {
        let now = get(&client, format!("{}/email/requests/{id}", server.base)).await;
        if now["status"] == "sent" {
            break now;
        }
        assert!(begin.elapsed() < Duration::from_mins(12), "{now}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!("{} mails in {:.1} s, sink writing a file for each", done["totalRecipients"], begin.elapsed().as_secs_f64());
    assert_eq!(done["totalRecipients"].as_u64().unwrap() as usize, expected.len());
    assert_eq!(done["counts"]["sent"], done["totalRecipients"]);

    let mut ledger: HashMap<String, usize> = HashMap::new();
    let each = |row: &Value| {
        assert_eq!(row["status"], "sent", "{row}");
        *ledger.entry(row["email"].as_str().unwrap().to_lowercase()).or_default() += 1;
    };
    walk(&client, &format!("{}/email/sent/{id}", server.base), 100, each, true).await;
    let seen = sink.seen();
    assert!(seen.values().all(|times| *times == 1), "no mail twice");
    let recipients: Vec<String> = seen.keys().map(|(recipient, _)| recipient.to_lowercase()).collect();
    assert_eq!(recipients.len(), expected.len(), "each exactly once");
    assert_eq!(recipients.into_iter().collect::<HashSet<_>>(), expected, "the mail server and the filter");
    assert!(ledger.values().all(|times| *times == 1));
    assert_eq!(ledger.into_keys().collect::<HashSet<_>>(), expected, "the ledger and the filter");
    server.stop();
    assert_verified(&data);
}
