//! Whom a campaign reaches in the end: those who were chosen, as far as the storage still says so when their turn comes, and all who match, whatever became of
//! the index.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use emcrm_app::Worker;
use emcrm_app::verify::verify;
use emcrm_mail::{Connection, Handover, MailError, Receipt, Transport};
use emcrm_search::{DocChange, Kind};
use emcrm_server::router::router;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::email_life::reaches;
use crate::helpers::{Options, TestApp};

/// A mail server with one connection, which takes a mail for each permit.
#[derive(Clone)]
pub struct Held {
    pub gate: Arc<Semaphore>,
    pub taken: Arc<Mutex<Vec<String>>>,
}

impl Held {
    pub fn new() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), taken: Arc::default() }
    }
}

#[async_trait]
impl Transport for Held {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        Ok(Box::new(self.clone()))
    }
    fn connections_max(&self) -> usize {
        1
    }
    fn rate(&self) -> Option<u32> {
        None
    }
    async fn health(&self) -> Result<(), MailError> {
        Ok(())
    }
    fn name(&self) -> &'static str {
        "held"
    }
}

#[async_trait]
impl Connection for Held {
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        self.gate.acquire().await.unwrap().forget();
        self.taken.lock().unwrap().push(handover.to.clone());
        Ok(Receipt { reply: "250 ok".to_owned() })
    }
    async fn close(self: Box<Self>) {}
}

async fn somebody(app: &TestApp, id: &str) {
    app.post("/users", json!({"id": id, "firstName": "Ann", "lastName": id, "email": format!("{id}@example.org"), "city": "York"})).await.ok();
}

/// A campaign to everybody in York; its id, and what it is like when it was taken.
async fn to_york(app: &TestApp) -> (String, Value) {
    let made = app.post("/email/send", json!({"filter": {"city": "York"}, "subject": "Hello", "body": "Come all."})).await.ok();
    (made["email_id"].as_str().unwrap().to_owned(), made)
}

async fn is_clean(app: &TestApp) {
    app.settled().await;
    let report = verify(&app.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

#[tokio::test]
async fn who_is_gone_stopped_moved_or_somebody_else_between_freeze_and_send_gets_no_mail() {
    let held = Held::new();
    let mut app = TestApp::with(Options { transport: Some(Arc::new(held.clone())), ..Options::default() }, router).await;
    app.work();
    // The first is in hand, and keeps the others waiting.
    for id in ["a-first", "deleted", "kept", "moved", "renamed", "stopped"] {
        somebody(&app, id).await;
    }
    app.settled().await;
    let (id, _) = to_york(&app).await;
    assert_eq!(reaches(&app, &id, "sending").await["totalRecipients"], 6);
    app.delete("/users/deleted").await.ok();
    app.patch("/users/kept", json!({"company": "Acme"})).await.ok();
    app.patch("/users/moved", json!({"city": "Leeds"})).await.ok();
    app.patch("/users/renamed", json!({"email": "new@example.org"})).await.ok();
    app.post("/email/suppressions", json!({"email": "stopped@example.org"})).await.ok();
    held.gate.add_permits(100);
    let sent = reaches(&app, &id, "sent").await;
    assert_eq!(*held.taken.lock().unwrap(), ["a-first@example.org", "kept@example.org"]);
    let rows = app.get(&format!("/email/status/{id}")).await.ok();
    let mut rows: Vec<_> =
        rows["items"].as_array().unwrap().iter().map(|row| ["user_id", "status", "error"].map(|name| row[name].as_str().unwrap_or("-"))).collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        [
            ["a-first", "sent", "-"],
            ["deleted", "skipped", "the person was deleted"],
            ["kept", "sent", "-"],
            ["moved", "skipped", "the person no longer matches the filter"],
            ["renamed", "skipped", "the person's address changed after the audience was frozen"],
            ["stopped", "suppressed", "the address is on the suppression list"],
        ]
    );
    let counts = ["sent", "skipped", "suppressed", "error", "pending"].map(|state| sent["counts"][state].as_u64());
    assert_eq!((&sent["totalRecipients"], counts), (&json!(6), [2, 3, 1, 0, 0].map(Some)));
    is_clean(&app).await;
    app.stop().await;
}

/// Brings the index up to date, without anybody who does so from then on.
async fn indexed(app: &TestApp) {
    let worker = Worker::spawn(app.app.clone());
    app.settled().await;
    worker.stop().await;
}

#[tokio::test]
async fn an_index_that_was_lost_is_filled_again_before_a_campaign_chooses_by_it() {
    let before = TestApp::new().await;
    for n in 0..30 {
        somebody(&before, &format!("u{n:02}")).await;
    }
    indexed(&before).await;
    // The same storage, and an index that has nothing.
    let mut app = TestApp::with(Options { engine: Some(before.app.store.engine.clone()), ..Options::default() }, router).await;
    assert_eq!(app.post("/search/users", json!({"city": "York"})).await.problem(503), "search_unavailable");
    let (id, made) = to_york(&app).await;
    assert_eq!((&made["status"], &made["totalRecipients"]), (&json!("pending"), &json!(0)), "it waits");
    app.work();
    let sent = reaches(&app, &id, "sent").await;
    assert_eq!((&sent["totalRecipients"], &sent["counts"]["sent"]), (&json!(30), &json!(30)));
    assert_eq!(frozen(&app, &id).await, Value::Null);
    is_clean(&app).await;
    app.stop().await;
}

/// What the log says of the moment at which the audience was chosen.
async fn frozen(app: &TestApp, id: &str) -> Value {
    let log = app.get(&format!("/email/requests/{id}/log")).await.ok();
    let entry = log["items"].as_array().unwrap().iter().find(|entry| entry["what"] == "frozen").unwrap();
    entry["detail"].clone()
}

/// Documents that are lost one by one leave no trace in the index, which goes on saying that it is whole.
#[tokio::test]
async fn a_campaign_that_misses_people_who_are_not_in_the_index_says_so() {
    let app = TestApp::working().await;
    for n in 0..10 {
        somebody(&app, &format!("u{n}")).await;
    }
    app.settled().await;
    let lost = ["u3", "u7"].map(|id| DocChange::Delete(Kind::User, id.to_owned()));
    app.app.index.apply(lost.to_vec()).await.unwrap();
    app.app.index.flush().await.unwrap();
    let (id, _) = to_york(&app).await;
    assert_eq!(reaches(&app, &id, "sent").await["totalRecipients"], 8);
    assert_eq!(frozen(&app, &id).await, "2 of 10 people are not in the index, so nobody knows whether they match; emcrm reindex makes it anew");
    assert!(!verify(&app.app, false, &|_, _| ()).await.unwrap().is_clean());
    // What is said helps.
    app.app.reindex(|_| ()).await.unwrap();
    let (id, _) = to_york(&app).await;
    assert_eq!(reaches(&app, &id, "sent").await["totalRecipients"], 10);
    assert_eq!(frozen(&app, &id).await, Value::Null);
    is_clean(&app).await;
    app.stop().await;
}
