//! Public pages: an event for anybody, a place by a form, and the link that gives it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Method, StatusCode};
use emcrm_app::registrations::Without;
use emcrm_server::router::router;
use emcrm_store::engine::{Engine, EngineError, Item, Key, Query, Rows, Table, TransactError, Transaction};
use emcrm_store::sqlite::SqliteEngine;
use serde_json::{Value, json};

use crate::helpers::{Answer, Options, TestApp};

async fn public_app() -> TestApp {
    public_app_with(Options::default()).await
}

async fn public_app_with(options: Options) -> TestApp {
    let app = TestApp::with(Options { public_url: Some("https://crm.example"), ..options }, router).await;
    app.post("/events", json!({"id": "e1", "title": "Rust Night", "slug": "rust-night", "venue": "Hall 1", "maxCapacity": 3, "public": true, "timezone": "Europe/Berlin", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00"}))
        .await
        .ok();
    app
}

async fn register(app: &TestApp, first: &str, email: &str) -> Answer {
    form(app, "/e/rust-night", &[("firstName", first), ("lastName", ""), ("email", email), ("website", "")]).await
}

async fn form(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    app.call(Method::POST, path, &[("content-type", "application/x-www-form-urlencoded")], body).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

async fn taken(app: &TestApp) -> Value {
    app.get("/events/e1").await.ok()["attendeeCount"].clone()
}

#[tokio::test]
async fn a_public_event_is_seen_and_others_are_not_there() {
    let app = public_app().await;
    app.event("hidden").await;
    let page = app.get("/e/rust-night").await;
    assert_eq!(page.status, 200);
    let html = text(&page);
    assert!(
        html.contains("Sunday, 1 March 2026, <span class=\"nowrap\">18:00–20:00</span>")
            && html.contains("<span class=\"nowrap\">(Europe/Berlin)</span>")
            && html.contains("3 left"),
        "{html}"
    );
    assert!(html.contains("data-starts=\"2026-03-01T17:00:00Z\"") && html.contains("autocomplete=\"given-name\""), "{html}");
    app.patch("/events/e1", json!({"maxCapacity": 1_500})).await.ok();
    for (language, when, hours, places) in [
        ("en-US", "Sunday, March 1, 2026, <span class=\"nowrap\">6:00–8:00 PM</span>", "12", "1,500 left"),
        ("de-DE,de;q=0.9", "Sunday, 1 March 2026, <span class=\"nowrap\">18:00–20:00</span>", "24", "1.500 left"),
    ] {
        let html = text(&app.call(Method::GET, "/e/rust-night", &[("accept-language", language)], "").await);
        assert!(html.contains(when) && html.contains(&format!("data-hours=\"{hours}\"")) && html.contains(places), "{language}: {html}");
    }
    for path in ["/e/event-hidden", "/e/event-hidden.ics", "/e/e1", "/e/nothing", "/e/%3Cb%3E"] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
    assert_eq!(form(&app, "/e/event-hidden", &[("firstName", "A"), ("email", "a@example.org")]).await.status, 404);
}

#[tokio::test]
async fn the_calendar_file_says_when_where_and_what() {
    let app = public_app().await;
    app.patch("/events/e1", json!({"title": "Talks; with, \\ signs\nBEGIN:VALARM", "description": "ä".repeat(200)})).await.ok();
    let file = app.get("/e/rust-night.ics").await;
    assert_eq!(file.header("content-type"), "text/calendar; charset=utf-8; method=PUBLISH");
    let ics = text(&file);
    assert!(ics.split("\r\n").all(|line| line.len() <= 75), "{ics}");
    let unfolded = ics.replace("\r\n ", "");
    for line in [
        "DTSTART;TZID=Europe/Berlin:20260301T180000",
        "DTEND;TZID=Europe/Berlin:20260301T200000",
        "TZID:Europe/Berlin",
        "UID:e1@example.org",
        "LOCATION:Hall 1",
        "URL:https://crm.example/e/rust-night",
        "SUMMARY:Talks\\; with\\, \\\\ signs\\nBEGIN:VALARM",
    ] {
        assert!(unfolded.split("\r\n").any(|have| have == line), "{line}: {unfolded}");
    }
    assert!(!unfolded.split("\r\n").any(|line| line == "BEGIN:VALARM"));
}

/// How long an answer takes tells no more than what it says: none comes before all of them can.
#[tokio::test]
async fn the_time_of_an_answer_does_not_tell_who_is_known() {
    let app = public_app().await;
    app.post("/users", json!({"id": "ann", "firstName": "Ann", "lastName": "Berg", "email": "ann@example.org"})).await.ok();
    // Known; has a place, and gets a reminder; has a place and has got it; new; and once more for a full event.
    for email in ["ann@example.org", "ann@example.org", "ann@example.org", "bob@example.org", "cid@example.org", "ann@example.org", "dan@example.org"] {
        let began = std::time::Instant::now();
        let answer = register(&app, "Somebody", email).await;
        assert!(began.elapsed() >= emcrm_app::registrations::ANSWER_AFTER, "{email}: {:?}", began.elapsed());
        assert!([303, 409, 422].contains(&answer.status.as_u16()), "{}", answer.status);
    }
}

/// Storage that counts what it has done.
struct Counted {
    inner: SqliteEngine,
    done: AtomicUsize,
}

impl Counted {
    fn counted<T>(&self, answer: T) -> T {
        self.done.fetch_add(1, Ordering::SeqCst);
        answer
    }
    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Engine for Counted {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.counted(self.inner.get(table, key).await)
    }
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.counted(self.inner.get_many(table, keys).await)
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.counted(self.inner.query(query).await)
    }
    async fn transact(&self, transaction: Transaction) -> Result<(), TransactError> {
        self.counted(self.inner.transact(transaction).await)
    }
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.inner.scan(table, after, limit).await
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.inner.health().await
    }
    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

/// The same without a clock: an answer waits for more than its own work. Without the wait it comes when that is done, which is sooner for some than for others.
#[tokio::test]
async fn an_answer_waits_also_when_its_work_is_done() {
    let counted = async |answer_after| {
        let engine = Arc::new(Counted { inner: SqliteEngine::memory(), done: AtomicUsize::new(0) });
        let app = public_app_with(Options { engine: Some(engine.clone()), answer_after, ..Options::default() }).await;
        app.post("/users", json!({"id": "ann", "firstName": "Ann", "lastName": "Berg", "email": "ann@example.org"})).await.ok();
        (app, engine)
    };
    // New; known; has a place, and gets a reminder; has got it.
    let asked = ["bob@example.org", "ann@example.org", "ann@example.org", "ann@example.org"];
    let (hasty, engine) = counted(Duration::ZERO).await;
    let mut work = Vec::new();
    for email in asked {
        let before = engine.done();
        assert_eq!(register(&hasty, "Somebody", email).await.status, 303);
        work.push(engine.done() - before);
    }
    assert!(work.iter().any(|calls| *calls != work[0]), "all of them cost the same, so the test shows nothing: {work:?}");

    let (held, engine) = counted(Duration::from_hours(1)).await;
    for (email, calls) in asked.into_iter().zip(work) {
        let before = engine.done();
        let mut answer = std::pin::pin!(register(&held, "Somebody", email));
        while engine.done() < before + calls {
            assert!(tokio::time::timeout(Duration::from_millis(5), &mut answer).await.is_err(), "{email} was answered");
        }
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut answer).await.is_err(), "{email} was answered when its work was done");
    }
    assert_eq!(taken(&held).await, 2);
}

/// What an answer shows whoever gets it.
fn seen(answer: &Answer) -> (StatusCode, Vec<String>, Vec<u8>) {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "x-request-id").map(|(name, value)| format!("{name}: {value:?}")).collect();
    (answer.status, headers, answer.body.clone())
}

/// Without one of the defences the answer tells what that one hides.
#[tokio::test]
async fn known_unknown_and_registered_addresses_get_the_same_answer() {
    for without in [Without::Nothing, Without::KnownAlike, Without::HeldAlike] {
        let app = public_app_with(Options { registering: without, ..Options::default() }).await;
        app.post("/users", json!({"id": "ann", "firstName": "Ann", "lastName": "Berg", "email": "ann@example.org"})).await.ok();
        let known = register(&app, "Somebody", "ANN@example.org").await;
        let again = register(&app, "Somebody", "ann@example.org").await;
        let unknown = register(&app, "Bob", "bob@example.org").await;
        assert_eq!(unknown.status, 303);
        let alike = (seen(&known) == seen(&unknown), seen(&again) == seen(&unknown));
        assert_eq!(alike, (without != Without::KnownAlike, without == Without::Nothing), "{without:?}: {} {}", known.status, again.status);
        if without == Without::Nothing {
            assert!(text(&app.get("/e/rust-night?done").await).contains("Check your mail"));
            let ann = app.get("/users/ann").await.ok();
            assert_eq!((&ann["firstName"], &ann["email"], &ann["attendedCount"]), (&json!("Ann"), &json!("ann@example.org"), &json!(1)));
            assert_eq!(taken(&app).await, 2);
        }
    }
}

#[tokio::test]
async fn a_full_event_says_so_to_everybody() {
    for without in [Without::Nothing, Without::KnownAlike, Without::HeldAlike] {
        let app = public_app_with(Options { registering: without, ..Options::default() }).await;
        app.user("eva").await;
        for name in ["ann", "bob", "carl"] {
            assert_eq!(register(&app, name, &format!("{name}@example.org")).await.status, 303);
        }
        let (inside, known) = (register(&app, "x", "ann@example.org").await, register(&app, "x", "eva@example.org").await);
        let outside = register(&app, "x", "dora@example.org").await;
        assert_eq!(outside.status, 409);
        assert!(text(&outside).contains("All 3 places are taken"), "{}", text(&outside));
        // The control: without the defence the answer tells who is in, or who is known.
        let alike = (text(&inside) == text(&outside), text(&known) == text(&outside));
        assert_eq!(alike, (without == Without::Nothing, without != Without::KnownAlike), "{without:?}: {} {}", inside.status, known.status);
        assert!(!text(&app.get("/e/rust-night").await).contains("<form"));
        assert_eq!(app.get("/users?email=dora@example.org").await.ok()["total"], 0);
    }
}

#[tokio::test]
async fn a_program_that_fills_everything_in_gets_nothing() {
    let app = public_app().await;
    let trapped = form(&app, "/e/rust-night", &[("firstName", "Bot"), ("email", "bot@example.org"), ("website", "https://spam.example")]).await;
    assert_eq!((trapped.status.as_u16(), taken(&app).await), (303, json!(0)));
}

#[tokio::test]
async fn faults_stand_beside_their_fields_and_hostile_text_is_text() {
    let app = public_app().await;
    let refused = form(&app, "/e/rust-night", &[("firstName", " "), ("lastName", "<script>alert(1)</script>\"'"), ("email", "\"><img src=x>")]).await;
    assert_eq!(refused.status, 422);
    let html = text(&refused);
    assert!(html.contains("Fill in your first name.") && html.contains("This is not an address like name@example.org."), "{html}");
    assert!(!html.contains("<script>alert") && !html.contains("<img") && html.contains("&lt;script&gt;"), "{html}");
    assert_eq!(taken(&app).await, 0);
    let nothing = app.call(Method::POST, "/e/rust-night", &[("content-type", "multipart/form-data; boundary=x")], "--x--").await;
    assert_eq!(nothing.status, 422);
}

#[tokio::test]
async fn the_link_in_the_confirmation_shows_the_place_and_gives_it_back_once() {
    let mut app = public_app().await;
    app.work();
    register(&app, "Ann", "ann@example.org").await;
    app.quiet().await;
    let mail = mail_to(&app, "ann@example.org");
    let token = mail.split("https://crm.example/r/").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let at = format!("/r/{token}");
    for _ in 0..3 {
        let html = text(&app.get(&at).await);
        assert!(html.contains("You have a place at Rust Night") && html.contains("a•••••n@example.org") && !html.contains("ann@example.org"), "{html}");
    }
    assert_eq!(app.call(Method::HEAD, &at, &[], "").await.status, 200);
    assert_eq!(taken(&app).await, 1, "looking changes nothing");
    for _ in 0..2 {
        assert_eq!(form(&app, &at, &[]).await.header("location"), at);
    }
    assert!(text(&app.get(&at).await).contains("You have no place at Rust Night any more"));
    assert_eq!(taken(&app).await, 0);
    let mut forged = token.into_bytes();
    let last = forged.len() - 5;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    for bad in [String::from_utf8(forged).unwrap(), "x".to_owned(), "A".repeat(300), "%00".to_owned()] {
        assert_eq!(app.get(&format!("/r/{bad}")).await.status, 404, "{bad}");
        assert_eq!(form(&app, &format!("/r/{bad}"), &[]).await.status, 404, "{bad}");
    }
    app.stop().await;
}

/// The text of the mail to an address.
fn mail_to(app: &TestApp, address: &str) -> String {
    let mut folders = vec![app.folder.path().join("outbox")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let mail = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
            if mail.contains(address) {
                return mail.replace("=\r\n", "").replace("=3D", "=");
            }
        }
    }
    panic!("no mail to {address}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn public_registrations_at_the_same_time_never_fill_more_than_there_is() {
    let app = std::sync::Arc::new(public_app().await);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let app = app.clone();
        tasks.spawn(async move { register(&app, "P", &format!("p{}@example.org", n % 20)).await.status.as_u16() });
    }
    let mut answers = Vec::new();
    while let Some(status) = tasks.join_next().await {
        answers.push(status.unwrap());
    }
    assert!(answers.iter().all(|status| [303, 409].contains(status)), "{answers:?}");
    assert!(answers.contains(&409));
    assert_eq!(taken(&app).await, 3);
    assert_eq!(app.get("/users").await.ok()["total"], 3, "who got no place is not kept");
}

#[tokio::test]
async fn an_event_that_is_over_takes_nobody() {
    let app = public_app().await;
    app.clock.advance(jiff::SignedDuration::from_hours(24 * 90));
    assert!(text(&app.get("/e/rust-night").await).contains("This event is over"));
    assert_eq!(register(&app, "Ann", "ann@example.org").await.status, 409);
    assert_eq!(taken(&app).await, 0);
}
