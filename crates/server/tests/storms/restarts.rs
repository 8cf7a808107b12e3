//! A server that is killed with `kill -9` while there is a campaign in each state. After the start each is where docs/RELIABILITY.md says: it goes on by
//! itself, or waits for a person as before. However it then ends, each recipient has one row and nobody is mailed twice.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use emcrm_model::{Clock, SystemClock};
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::scripted::{Act, Moment, Server, say};
use crate::support::{Process, assert_verified, client, folder, get, post_ok, run, soaks, walk};

/// Enough for the choice of an audience to be seen under way.
const EVERYBODY: usize = 3_000;
/// People of one town.
const TOWN: usize = 40;
const CONNECTIONS: usize = 20;
/// Times that a choice of an audience may be missed.
const TRIES: usize = 10;
const PATIENCE: Duration = Duration::from_mins(10);

/// A process that is asked about campaigns.
struct Api {
    client: reqwest::Client,
    base: String,
}

impl Api {
    fn of(client: &reqwest::Client, process: &Process) -> Self {
        Self { client: client.clone(), base: process.base.clone() }
    }

    /// A campaign to a town, made at this path; its id.
    async fn make(&self, path: &str, town: &str, more: Value) -> String {
        let mut body = json!({ "filter": { "city": town }, "subject": "Still here", "body": "Hold on, {{ user.firstName }}." });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        text(&post_ok(&self.client, format!("{}{path}", self.base), &body).await["email_id"])
    }

    async fn step(&self, id: &str, what: &str) {
        post_ok(&self.client, format!("{}/email/requests/{id}/{what}", self.base), &json!({})).await;
    }

    /// The campaign, whose states add up at every moment.
    async fn get(&self, id: &str) -> Value {
        let campaign = get(&self.client, format!("{}/email/requests/{id}", self.base)).await;
        let counts = campaign["counts"].as_object().unwrap();
        assert_eq!(counts.values().map(|n| n.as_u64().unwrap()).sum::<u64>(), campaign["totalRecipients"].as_u64().unwrap(), "{campaign}");
        campaign
    }

    async fn until(&self, id: &str, good: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let now = self.get(id).await;
            if good(&now) {
                return now;
            }
            assert!(begin.elapsed() < PATIENCE, "{now}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// State and attempts of each row, by person.
    async fn rows(&self, id: &str) -> HashMap<String, (String, u64)> {
        let total = self.get(id).await["totalRecipients"].as_u64().unwrap() as usize;
        let (mut rows, mut read) = (HashMap::new(), 0);
        let each = |row: &Value| {
            read += 1;
            rows.insert(text(&row["user_id"]), (text(&row["status"]), row["attempts"].as_u64().unwrap()));
        };
        if total > 0 {
            walk(&self.client, &format!("{}/email/status/{id}", self.base), 100, each, false).await;
        }
        assert!(rows.len() == total && read == total, "{} people in {read} rows, and {total} in the audience", rows.len());
        rows
    }

    /// People whose rows do not know, or will not know, what became of their mail.
    async fn unclear(&self, id: &str) -> HashSet<String> {
        self.rows(id).await.into_iter().filter(|(_, (state, _))| state == "sending" || state == "unknown").map(|(person, _)| person).collect()
    }

    async fn people(&self, town: &str, domain: &str, count: usize) {
        for n in 0..count {
            let user = json!({ "firstName": "Ann", "lastName": town, "email": format!("{town}{n}@{domain}"), "city": town });
            post_ok(&self.client, format!("{}/users/", self.base), &user).await;
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn count(campaign: &Value, state: &str) -> u64 {
    campaign["counts"][state].as_u64().unwrap()
}

/// A mail server that takes everything; but while it is moody, it says "later" to one town, and never says whether it took the third mail to another.
fn manners(moody: Arc<AtomicBool>) -> impl Fn(&Moment<'_>) -> Act + Send + Sync + 'static {
    let to_stillville = AtomicUsize::new(0);
    let silent: Mutex<HashSet<usize>> = Mutex::default();
    move |moment: &Moment<'_>| {
        let is_moody = moody.load(Ordering::Relaxed);
        match moment.verb {
            "RCPT" if is_moody && moment.line.contains("@later.example") => say("450 4.2.1 the mailbox is full"),
            "RCPT" if is_moody && moment.line.contains("<stillville") && to_stillville.fetch_add(1, Ordering::Relaxed) == 2 => {
                silent.lock().insert(moment.connection);
                Act::Behave
            }
            "END" if silent.lock().contains(&moment.connection) => Act::Silence,
            _ => Act::Behave,
        }
    }
}

/// How often the mail server took each mail, by recipient and Message-ID.
fn seen(mail: &Server) -> HashMap<(String, String), usize> {
    let mut seen = HashMap::new();
    for taken in mail.arrived() {
        let message = String::from_utf8_lossy(&taken.message).into_owned();
        let id = message.lines().find(|line| line.to_ascii_lowercase().starts_with("message-id:")).unwrap().to_owned();
        *seen.entry((taken.to, id)).or_default() += 1;
    }
    seen
}

/// The newest campaign but this one, as soon as its audience is being chosen.
async fn freezing_beside(api: &Api, known: &str) -> String {
    let begin = Instant::now();
    loop {
        let newest = get(&api.client, format!("{}/email/requests?size=1", api.base)).await["items"][0].clone();
        if newest["email_id"] != known && newest["status"] != "pending" {
            return text(&newest["email_id"]);
        }
        assert!(begin.elapsed() < PATIENCE, "{newest}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A process that runs no tasks: what it shows is what is stored.
async fn quiet(data: &Path, smtp: &str) -> Process {
    Process::start_as("api", data, Some(smtp), &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_in_each_state_survives_kill_9() {
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let generated = run(&data, &["generate", "--users", &EVERYBODY.to_string(), "--events", "0", "--attendance", "0", "--seed", "5"]);
    assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    let moody = Arc::new(AtomicBool::new(true));
    let mail = Server::start(manners(moody.clone())).await;
    let smtp = format!("smtp://127.0.0.1:{}?connections={CONNECTIONS}", mail.port);
    let client = client();
    let mut server = Process::start(&data, Some(&smtp)).await;
    let api = Api::of(&client, &server);
    api.people("smallville", "example.org", TOWN).await;
    api.people("stillville", "example.org", TOWN).await;
    api.people("laterville", "later.example", 3).await;

    // Those that wait for a person or a moment.
    let draft = api.make("/email/requests", "smallville", json!({})).await;
    let tomorrow = (SystemClock.now() + SignedDuration::from_hours(24)).to_string();
    let scheduled = api.make("/email/requests", "smallville", json!({ "scheduledAt": tomorrow })).await;
    let just_now = (SystemClock.now() - SignedDuration::from_secs(30)).to_string();
    let held = api.make("/email/requests", "smallville", json!({ "scheduledAt": just_now, "lateAfterMinutes": 0 })).await;
    api.until(&held, |now| now["status"] == "paused" && now["reason"].as_str().is_some_and(|reason| reason.contains("minutes ago"))).await;
    let paused = api.make("/email/send", "smallville", json!({ "rate": 3 })).await;
    api.until(&paused, |now| count(now, "sent") >= 3).await;
    api.step(&paused, "pause").await;
    api.until(&paused, |now| count(now, "sending") == 0).await;
    // Those that go on by themselves.
    let backing_off = api.make("/email/send", "laterville", json!({})).await;
    let begin = Instant::now();
    while api.rows(&backing_off).await.values().filter(|(state, attempts)| state == "pending" && *attempts > 0).count() < 3 {
        assert!(begin.elapsed() < PATIENCE, "{:?}", api.rows(&backing_off).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let sending = api.make("/email/send", "stillville", json!({ "rate": 1 })).await;
    api.until(&sending, |now| count(now, "sent") >= 2 && count(now, "sending") >= 1).await;

    // One that is cancelled while it sends, and one whose audience is being chosen: the kill comes at once.
    let (mut cancelled, mut to_everybody) = (Vec::new(), Vec::new());
    let looking = loop {
        let api = Api::of(&client, &server);
        let cancelling = api.make("/email/send", "smallville", json!({ "rate": 2 })).await;
        api.until(&cancelling, |now| count(now, "sent") >= 1).await;
        let body = json!({ "filter": {}, "subject": "To everybody", "body": "Hold on." });
        let begun = tokio::spawn(client.post(format!("{}/email/send", server.base)).json(&body).send());
        let freezing = freezing_beside(&api, &cancelling).await;
        api.step(&cancelling, "cancel").await;
        server.kill();
        // Whether it was answered is all the same.
        let _ = begun.await.unwrap();
        let looking = quiet(&data, &smtp).await;
        let hit = Api::of(&client, &looking).get(&freezing).await["status"] == "freezing";
        cancelled.push(cancelling);
        to_everybody.push(freezing);
        if hit {
            break looking;
        }
        assert!(to_everybody.len() < TRIES, "no kill hit the choice of an audience");
        looking.kill();
        server = Process::start(&data, Some(&smtp)).await;
    };

    // What the dead one left. Here is one that nobody has begun, too.
    let api = Api::of(&client, &looking);
    let pending = api.make("/email/send", "smallville", json!({})).await;
    let (cancelling, freezing) = (cancelled.last().unwrap(), to_everybody.last().unwrap());
    for (id, state) in [
        (&draft, "draft"),
        (&scheduled, "scheduled"),
        (&held, "paused"),
        (&paused, "paused"),
        (&pending, "pending"),
        (freezing, "freezing"),
        (&sending, "sending"),
        (&backing_off, "sending"),
        (cancelling, "cancelled"),
    ] {
        let now = api.get(id).await;
        assert_eq!(now["status"], state, "{now}");
    }
    let lost = api.unclear(&sending).await;
    assert!(!lost.is_empty() && lost.len() <= CONNECTIONS * to_everybody.len(), "one mail was in hand for sure: {lost:?}");
    let tried = api.rows(&backing_off).await;
    let mut waiting = Vec::new();
    for id in [&draft, &scheduled, &held, &paused] {
        waiting.push(api.get(id).await);
    }
    looking.kill();

    // What is under way goes on by itself, each to its end.
    moody.store(false, Ordering::Relaxed);
    let server = Process::start(&data, Some(&smtp)).await;
    let api = Api::of(&client, &server);
    for id in [&pending, &sending, &backing_off].into_iter().chain(&to_everybody) {
        api.until(id, |now| now["status"] == "sent").await;
    }
    assert_eq!(count(&api.get(&pending).await, "sent"), TOWN as u64);
    let ended = api.get(&sending).await;
    assert_eq!((count(&ended, "sent") as usize, count(&ended, "unknown") as usize), (TOWN - lost.len(), lost.len()), "{ended}");
    assert_eq!(api.unclear(&sending).await, lost, "what was in hand is never sent again by itself");
    let retried = api.rows(&backing_off).await;
    assert!(tried.iter().all(|(person, (_, before))| retried[person] == ("sent".to_owned(), before + 1)), "before {tried:?}, then {retried:?}");
    for id in &cancelled {
        api.until(id, |now| now["status"] == "cancelled" && count(now, "pending") == 0).await;
    }
    // What waits for a person or a moment has not changed in anything.
    for before in &waiting {
        assert_eq!(&api.get(before["email_id"].as_str().unwrap()).await, before);
    }

    // And then a person decides.
    for (id, what, end) in [(&draft, "send", "sent"), (&scheduled, "cancel", "cancelled"), (&held, "resume", "sent"), (&paused, "resume", "sent")] {
        api.step(id, what).await;
        let ended = api.until(id, |now| now["status"] == end && count(now, "pending") + count(now, "sending") == 0).await;
        assert_eq!(count(&ended, "sent") as usize, if end == "sent" { TOWN } else { 0 }, "{ended}");
    }
    if soaks() {
        // What was in hand when its campaign was cancelled gets two minutes.
        for id in &cancelled {
            api.until(id, |now| count(now, "sending") == 0).await;
        }
    }
    let (mut sent, mut unclear) = (0, 0);
    for id in [&draft, &scheduled, &held, &paused, &pending, &sending, &backing_off].into_iter().chain(&to_everybody).chain(&cancelled) {
        sent += api.rows(id).await.values().filter(|(state, _)| state == "sent").count();
        unclear += api.unclear(id).await.len();
    }
    let seen = seen(&mail);
    assert_eq!(seen.values().filter(|times| **times > 1).count(), 0, "mails that the mail server took twice");
    assert!(sent <= seen.len() && seen.len() <= sent + unclear, "{sent} rows say sent, {} mails were taken, {unclear} rows do not know", seen.len());
    server.stop();
    let verified = assert_verified(&data);
    println!(
        "a campaign in each state, {} kills: {sent} sent, {unclear} unknown or in hand, {} mails taken, 0 twice\n{verified}",
        to_everybody.len() * 2,
        seen.len()
    );
}
