//! Storage that was restored to a point in time: what would mail by itself is held, on either pair of engines.

use axum::body::Body;
use axum::http::Method;
use emcrm_app::restored::Held;
use emcrm_model::{CampaignId, UserId};
use emcrm_server::router::router;
use emcrm_store::{Table, Transaction, keys};
use serde_json::{Value, json};

use crate::helpers::{Options, TestApp};

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
