//! Storage that was restored to a point in time: what would mail by itself is held, on either pair of engines.

use axum::body::Body;
use axum::http::Method;
use emcrm_app::restored::Held;
use emcrm_model::{CampaignId, Clock as _, SystemClock, UserId};
use emcrm_server::router::router;
use emcrm_store::{Table, Transaction, keys};
use emcrm_store_dynamodb::DynamoEngine;
use serde_json::{Value, json};

use crate::helpers::process::{Process, emcrm, run, start};
use crate::helpers::{Options, TestApp, http_client, tables};

/// A draft, and what is done with it.
async fn campaign(app: &TestApp, then: Option<(&str, Value)>) -> String {
    let draft = app.post("/email/requests", json!({"filter": {}, "subject": "Tea", "body": "Come."})).await.ok();
    let at = format!("/email/requests/{}", draft["email_id"].as_str().unwrap());
    if let Some((what, body)) = then {
        app.post(&format!("{at}/{what}"), body).await.ok();
    }
    at
}

/// Its state, and whether it says where it comes from.
async fn state(app: &TestApp, at: &str) -> (String, bool) {
    let found = app.get(at).await.ok();
    (found["status"].as_str().unwrap().to_owned(), found["reason"].as_str().is_some_and(|reason| reason.contains("backup of yesterday")))
}

#[tokio::test]
async fn what_would_mail_by_itself_waits_for_a_person_and_the_rest_is_left() {
    let mut app = TestApp::with(Options { public_url: Some("https://crm.example"), ..Options::default() }, router).await;
    assert_eq!(app.app.restored_hold("yesterday").await.unwrap(), Held::default(), "an empty storage");
    app.user("ann").await;
    let draft = campaign(&app, None).await;
    let scheduled = campaign(&app, Some(("schedule", json!({"scheduledAt": "2026-03-01T18:00:00Z"})))).await;
    let pending = campaign(&app, Some(("send", json!({})))).await;
    app.post("/events", json!({"id": "e1", "title": "Tea", "slug": "tea", "public": true, "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00"}))
        .await
        .ok();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(app.call(Method::POST, "/e/tea", &form, "firstName=Ben&lastName=&email=ben%40example.org&website=").await.status, 303);

    assert_eq!(state(&app, &pending).await, ("pending".to_owned(), false), "no worker runs");
    let held = app.app.restored_hold("yesterday").await.unwrap();
    assert_eq!(held, Held { campaigns: 2, confirmations: 1 });
    assert_eq!(app.app.restored_hold("yesterday").await.unwrap(), Held::default(), "whoever is interrupted runs it again");
    assert_eq!(state(&app, &draft).await, ("draft".to_owned(), false));
    for at in [&scheduled, &pending] {
        assert_eq!(state(&app, at).await, ("paused".to_owned(), true), "{at}");
    }

    let outbox = app.folder.path().join("outbox");
    let mails = || std::fs::read_dir(&outbox).map_or(0, Iterator::count);
    app.work();
    app.settled().await;
    // What is left is the moment that one of them was meant for.
    while app.app.backlog().await.unwrap().queues.iter().map(|queue| queue.waiting).sum::<u64>() > 1 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(mails(), 0, "a worker alone mails nobody");
    app.call(Method::POST, &format!("{pending}/resume"), &[], Body::empty()).await.ok();
    while state(&app, &pending).await.0 != "sent" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(mails(), 2, "a person's word counts: Ann, and Ben who registered");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_hides_no_other_and_keeps_none_from_being_held() {
    let app = TestApp::with(Options { public_url: Some("https://crm.example"), ..Options::default() }, router).await;
    app.user("ann").await;
    app.user("bob").await;
    let (bad, good) = (campaign(&app, Some(("send", json!({})))).await, campaign(&app, Some(("send", json!({})))).await);
    let id = |at: &str| at.rsplit('/').next().unwrap().to_owned();
    let mut tx = Transaction::new();
    tx.update(Table::Main, keys::user(&UserId::from("bob".to_owned()))).remove("email");
    tx.update(Table::Email, keys::campaign(&CampaignId::from(id(&bad)))).set("filter", "a text");
    app.app.store.engine.transact(tx).await.unwrap();
    let users = app.get("/users?size=10").await.ok();
    let names: Vec<&str> = users["items"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["ann"]);
    let campaigns = app.get("/email/requests").await.ok().to_string();
    assert!(campaigns.contains(&id(&good)) && !campaigns.contains(&id(&bad)), "{campaigns}");
    assert_eq!(app.get("/app").await.status, 200);
    assert_eq!(app.app.restored_hold("yesterday").await.unwrap(), Held { campaigns: 2, confirmations: 0 });
    assert_eq!(state(&app, &good).await, ("paused".to_owned(), true));
}

async fn post(server: &Process, path: &str, body: Value) -> Value {
    let answer = http_client().post(format!("{}{path}", server.address)).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

async fn get(server: &Process, path: &str) -> Value {
    http_client().get(format!("{}{path}", server.address)).send().await.unwrap().json().await.unwrap()
}

fn end(mut server: Process) {
    server.signal("TERM");
    assert!(server.end().0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_holds_what_restored_tables_would_mail_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let tables = tables();
    DynamoEngine::create_tables(&tables).await.unwrap();
    let on_tables = |args: &[&str]| {
        let mut command = emcrm(folder.path());
        command
            .env("DB_ENGINE", "dynamodb")
            .env("DB_DYNAMODB_ENDPOINT", tables.endpoint.as_deref().unwrap())
            .env("DB_MAIN_TABLE_NAME", &tables.main_table)
            .env("DB_EMAIL_TABLE_NAME", &tables.email_table)
            .args(args);
        command
    };
    let server = start(on_tables(&["serve"]));
    let body = json!({"filter": {}, "subject": "Tea", "body": "Come."});
    let draft = post(&server, "/email/requests", body.clone()).await;
    let scheduled = post(&server, "/email/requests", body).await;
    let [draft, scheduled] = [draft, scheduled].map(|campaign| format!("/email/requests/{}", campaign["email_id"].as_str().unwrap()));
    let tomorrow = SystemClock.now() + jiff::SignedDuration::from_hours(24);
    post(&server, &format!("{scheduled}/schedule"), json!({"scheduledAt": format!("{tomorrow:.0}")})).await;
    end(server);

    let at = "2026-11-25T10:00:00Z";
    let restored = |more: &[&str]| {
        let (status, stdout, stderr) = run(on_tables(&[&["restored", "--at", at][..], more].concat()));
        assert_eq!(status, 0, "{stdout}{stderr}");
        stdout
    };
    let held: Value = serde_json::from_str(&restored(&["--json"])).unwrap();
    assert_eq!(held, json!({"at": at, "held": {"campaigns": 1, "confirmations": 0}}));
    assert!(restored(&[]).starts_with("0 campaigns that were under way are paused"), "whoever runs it again holds nothing more");

    let server = start(on_tables(&["serve"]));
    let (draft, scheduled) = (get(&server, &draft).await, get(&server, &scheduled).await);
    assert_eq!((&draft["status"], &scheduled["status"]), (&json!("draft"), &json!("paused")));
    assert!(scheduled["reason"].as_str().unwrap().contains(at), "{scheduled}");
    end(server);
    DynamoEngine::drop_tables(&tables).await.unwrap();
}
