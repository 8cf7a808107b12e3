//! The restore drill: a backup is made while clients write and a campaign is on its way; what is restored is whole, and mails nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::support::{Process, Sink, assert_verified, client, embedded, folder, get, post, post_ok, rounds, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_full_load_is_whole_and_mails_nobody_when_it_is_restored() {
    let folder = folder();
    let [data, copy, again] = ["data", "copy", "again"].map(|name| folder.path().join(name));
    for path in [&data, &copy, &again] {
        std::fs::create_dir(path).unwrap();
        embedded(path);
    }
    let sink = Sink::start(&folder.path().join("mail"));
    let server = Process::start(&data, Some(&sink.url())).await;
    let (http, base) = (client(), server.base.clone());
    for i in 0..300 {
        let user = json!({ "id": format!("aud{i}"), "firstName": "Aud", "lastName": "Ience", "email": format!("a{i}@example.org"), "city": "Drill" });
        post_ok(&http, format!("{base}/users/"), &user).await;
    }
    // Slow enough to be on its way during the backup.
    let campaign = json!({ "filter": { "city": "drill" }, "subject": "Slow", "body": "x", "rate": 2 });
    let campaign = post_ok(&http, format!("{base}/email/send_emails"), &campaign).await["email_id"].as_str().unwrap().to_owned();

    let (stop, written, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (stop, written, answered, base, http) = (stop.clone(), written.clone(), answered.clone(), base.clone(), http.clone());
            tokio::spawn(async move {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("w{writer}x{i}");
                    let user = json!({ "id": id, "firstName": "Full", "lastName": "Speed", "email": format!("{id}@example.org") });
                    let (status, answer) = post(&http, format!("{base}/users/"), &user).await;
                    assert_eq!(status, 200, "writes go on during a backup: {answer}");
                    written.fetch_add(1, Ordering::Relaxed);
                    answered.lock().push(id);
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(rounds(1_500, 30_000) as u64)).await;
    // What was answered before the backup began must be in it.
    let before = answered.lock().clone();
    let (count, begin) = (written.load(Ordering::Relaxed), Instant::now());
    let target = folder.path().join("backup");
    let output = {
        let (data, target) = (data.clone(), target.clone());
        tokio::task::spawn_blocking(move || run(&data, &["backup", target.to_str().unwrap()])).await.unwrap()
    };
    let took = begin.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{} users written during a backup of {took:?}; {} before", written.load(Ordering::Relaxed) - count, before.len());
    assert!(written.load(Ordering::Relaxed) > count, "writing went on");
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(get(&http, format!("{base}/email/requests/{campaign}")).await["status"], "sending", "the campaign is on its way");
    server.stop();
    assert_verified(&data);

    // A second backup under the same name is refused, and a folder in use is not restored into.
    assert!(!run(&data, &["backup", target.to_str().unwrap()]).status.success());
    let refused = run(&data, &["restore", target.to_str().unwrap()]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("not empty"), "{refused:?}");
    // The embedded folder has its settings in `.env`, which may stay.
    let output = run(&copy, &["restore", target.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["held"]["campaigns"], 1, "{said}");
    assert_eq!(std::fs::read(copy.join("secret.key")).unwrap(), std::fs::read(data.join("secret.key")).unwrap());
    assert_verified(&copy);
    nothing_is_sent(&copy, &folder.path().join("mail2"), &campaign, &before).await;

    // Also when somebody copies the files by hand: the backup itself says that it is one.
    for name in ["emcrm.db", "secret.key"] {
        std::fs::copy(target.join(name), again.join(name)).unwrap();
    }
    nothing_is_sent(&again, &folder.path().join("mail3"), &campaign, &before).await;

    // A damaged backup is refused.
    let last = folder.path().join("last");
    std::fs::create_dir(&last).unwrap();
    embedded(&last);
    let mut bytes = std::fs::read(target.join("emcrm.db")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(target.join("emcrm.db"), bytes).unwrap();
    let refused = run(&last, &["restore", target.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("damaged"), "{refused:?}");
    assert!(!last.join("emcrm.db").exists());
}

/// Starts from the restored folder with a mail server at hand: what was answered is there, the campaign waits for a person, and goes on when told to.
async fn nothing_is_sent(data: &std::path::Path, mails: &std::path::Path, campaign: &str, answered: &[String]) {
    let sink = Sink::start(mails);
    let server = Process::start(data, Some(&sink.url())).await;
    let (http, base) = (client(), server.base.clone());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let found = get(&http, format!("{base}/email/requests/{campaign}")).await;
    assert_eq!(found["status"], "paused", "{found}");
    assert!(found["reason"].as_str().unwrap().contains("restored"), "{found}");
    assert!(sink.seen().is_empty(), "mails were sent");
    for id in answered {
        get(&http, format!("{base}/users/{id}")).await;
    }
    post_ok(&http, format!("{base}/email/requests/{campaign}/resume"), &json!({})).await;
    let begin = Instant::now();
    while sink.seen().is_empty() {
        assert!(begin.elapsed() < Duration::from_mins(2), "a person's word counts");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop();
}
