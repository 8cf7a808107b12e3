//! `/email`

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::helpers::TestApp;

async fn filled() -> TestApp {
    let app = TestApp::working().await;
    for id in ["ann", "bea"] {
        let body = json!({"id": id, "firstName": id, "lastName": "X", "email": format!("{id}@example.org"), "city": "York"});
        app.post("/users", body).await.ok();
    }
    app.settled().await;
    app
}

fn campaign() -> Value {
    json!({"filter": {"city": "york"}, "subject": "Hello", "body": "Come all."})
}

/// The campaign when it is in this state.
async fn reaches(app: &TestApp, id: &str, state: &str) -> Value {
    for _ in 0..24_000 {
        let campaign = app.get(&format!("/email/requests/{id}")).await.ok();
        if campaign["status"] == state {
            return campaign;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the campaign did not get {state}");
}

async fn post(app: &TestApp, path: &str) -> crate::helpers::Answer {
    app.call(Method::POST, path, &[], Body::empty()).await
}

#[tokio::test]
async fn a_campaign_is_frozen_sent_and_can_be_read_by_both_names() {
    let app = filled().await;
    let made = app.post("/email/send_emails/", campaign()).await.ok();
    assert_eq!(made["totalRecipients"], 2);
    let id = made["email_id"].as_str().unwrap();
    let deliveries = app.get(&format!("/email/status/{id}")).await.ok();
    assert_eq!(deliveries["total"], 2, "rows can be read right after the answer");
    let sent = reaches(&app, id, "sent").await;
    assert_json_snapshot!(sent, @r#"
    {
      "email_id": "018bcfe5-6805-7ccf-84ca-a8cd7b63c7cb",
      "audience": "people",
      "filter": {
        "city": "york"
      },
      "subject": "Hello",
      "body": "Come all.",
      "bodyFormat": "text",
      "status": "sent",
      "totalRecipients": 2,
      "counts": {
        "pending": 0,
        "sending": 0,
        "sent": 2,
        "error": 0,
        "unknown": 0,
        "suppressed": 0,
        "skipped": 0,
        "cancelled": 0,
        "bounced": 0,
        "complained": 0
      },
      "kind": "marketing",
      "trackOpens": false,
      "trackClicks": false,
      "createdAt": "2026-01-02T03:04:05.678901Z",
      "startedAt": "2026-01-02T03:04:05.678901Z",
      "finishedAt": "2026-01-02T03:04:05.678901Z"
    }
    "#);
    assert_eq!(post(&app, &format!("/email/{id}/")).await.ok(), sent);
    for (get, old) in [(format!("/email/status/{id}"), format!("/email/sent/{id}/")), ("/email/status/user/ann".to_owned(), "/email/user/ann/".to_owned())] {
        assert_eq!(app.get(&get).await.ok(), post(&app, &old).await.ok());
    }
    assert_eq!(app.get("/email/requests").await.ok(), app.get("/email/").await.ok());
    let of_ann = app.get("/email/status/user/ann").await.ok();
    assert_json_snapshot!(of_ann["items"], @r#"
    [
      {
        "email_id": "018bcfe5-6805-7ccf-84ca-a8cd7b63c7cb",
        "user_id": "ann",
        "status": "sent",
        "createdAt": "2026-01-02T03:04:05.678901Z",
        "email": "ann@example.org",
        "attempts": 1,
        "sentAt": "2026-01-02T03:04:05.678901Z"
      }
    ]
    "#);
    assert_eq!(app.get(&format!("/email/status/{id}?status=sent")).await.ok()["total"], 2);
    assert_eq!(app.get(&format!("/email/status/{id}?status=error")).await.status, 404);
    assert_eq!(app.get(&format!("/email/status/{id}?status=lost")).await.faults(), ["query.status: enum"]);
    app.stop().await;
}

#[tokio::test]
async fn a_new_id_is_made_whatever_the_body_says() {
    let app = filled().await;
    let mut body = campaign();
    body["email_id"] = json!("mine");
    body["status"] = json!("sent");
    let one = app.post("/email/send", body.clone()).await.ok();
    let two = app.post("/email/send", body).await.ok();
    assert_ne!(one["email_id"], "mine");
    assert_ne!(one["email_id"], two["email_id"]);
    app.stop().await;
}

#[tokio::test]
async fn nobody_matching_is_404() {
    let app = filled().await;
    let answer = app.post("/email/send_emails", json!({"filter": {"city": "nowhere"}, "subject": "S", "body": "B"})).await;
    assert_json_snapshot!(answer.value(), @r#"
    {
      "type": "urn:emcrm:problem:no_users_match",
      "title": "Not Found",
      "status": 404,
      "detail": "No users match the filter",
      "code": "no_users_match"
    }
    "#);
    assert_json_snapshot!(app.get("/email/").await.value(), @r#"
    {
      "type": "urn:emcrm:problem:nothing_there",
      "title": "Not Found",
      "status": 404,
      "detail": "No email requests found",
      "code": "nothing_there"
    }
    "#);
    assert_eq!(app.get("/email/requests").await.problem(404), "nothing_there");
    assert_eq!(post(&app, "/email/nothing").await.problem(404), "email_request_not_found");
    assert_eq!(app.get("/email/requests/nothing").await.problem(404), "email_request_not_found");
    assert_eq!(post(&app, "/email/sent/nothing").await.status, 404);
    assert_eq!(post(&app, "/email/user/nobody").await.problem(404), "nothing_there");
    for step in ["pause", "resume", "cancel", "retry"] {
        assert_eq!(post(&app, &format!("/email/requests/nothing/{step}")).await.problem(404), "email_request_not_found");
    }
    app.stop().await;
}

#[tokio::test]
async fn all_faults_are_reported_at_once() {
    let app = TestApp::new().await;
    let body = json!({"filter": {"minAttended": "x", "city": 5}, "subject": "a\nb", "body": "", "bodyFormat": "rtf", "rate": 0});
    assert_json_snapshot!(app.post("/email/send", body).await.value()["detail"], @r#"
    [
      {
        "loc": [
          "body",
          "filter",
          "city"
        ],
        "msg": "must be a text",
        "type": "string_type"
      },
      {
        "loc": [
          "body",
          "filter",
          "minAttended"
        ],
        "msg": "must be a whole number",
        "type": "int_type"
      },
      {
        "loc": [
          "body",
          "subject"
        ],
        "msg": "must be one line without control characters",
        "type": "value_error"
      },
      {
        "loc": [
          "body",
          "body"
        ],
        "msg": "must not be empty",
        "type": "string_too_short"
      },
      {
        "loc": [
          "body",
          "bodyFormat"
        ],
        "msg": "must be one of: text, markdown, html",
        "type": "enum"
      },
      {
        "loc": [
          "body",
          "rate"
        ],
        "msg": "must be at least 1",
        "type": "greater_than_equal"
      }
    ]
    "#);
    assert_eq!(app.post("/email/send", json!({})).await.faults(), ["body.filter: missing", "body.subject: missing", "body.body: missing"]);
    assert_eq!(
        app.post("/email/send", json!({"filter": {}, "subject": "x".repeat(201), "body": "ä".repeat(50_001)})).await.faults(),
        ["body.subject: string_too_long", "body.body: string_too_long"]
    );
    let test = app.post("/email/test", json!({"to": "nobody", "filter": {}})).await.faults();
    assert_eq!(test, ["body.to: value_error", "body.subject: missing", "body.body: missing"]);
}

#[tokio::test]
async fn a_preview_shows_the_audience_and_sends_nothing() {
    let app = filled().await;
    let answer = app.post("/email/preview", json!({"filter": {"city": "york"}, "subject": "Hello", "body": "Come *all*.", "bodyFormat": "markdown"})).await;
    assert_json_snapshot!(answer.ok(), @r#"
    {
      "totalRecipients": 2,
      "recipients": [
        {
          "id": "ann",
          "firstName": "ann",
          "lastName": "X",
          "email": "ann@example.org"
        },
        {
          "id": "bea",
          "firstName": "bea",
          "lastName": "X",
          "email": "bea@example.org"
        }
      ],
      "subject": "Hello",
      "text": "Come *all*.",
      "html": "<p>Come <em>all</em>.</p>",
      "warnings": []
    }
    "#);
    assert_eq!(app.get("/email").await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_test_mail_goes_to_one_address_and_into_no_ledger() {
    let app = filled().await;
    let mut body = campaign();
    body["to"] = json!("me@example.org");
    let answer = app.post("/email/test", body).await.ok();
    assert_eq!(answer["message"], "Test mail handed over");
    assert!(answer["reply"].is_string());
    let mails: Vec<_> = std::fs::read_dir(app.folder.path().join("outbox")).unwrap().collect();
    assert!(!mails.is_empty());
    assert_eq!(app.get("/email").await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_transition_is_409_and_names_the_present_state() {
    let app = filled().await;
    let id = app.post("/email/send", campaign()).await.ok()["email_id"].as_str().unwrap().to_owned();
    reaches(&app, &id, "sent").await;
    assert_json_snapshot!(post(&app, &format!("/email/requests/{id}/pause")).await.value(), @r#"
    {
      "type": "urn:emcrm:problem:wrong_state",
      "title": "Conflict",
      "status": 409,
      "detail": "The email request is sent, so it cannot be paused",
      "code": "wrong_state"
    }
    "#);
    for step in ["resume", "cancel"] {
        assert_eq!(post(&app, &format!("/email/requests/{id}/{step}")).await.problem(409), "wrong_state", "{step}");
    }
    let wrong = app.post(&format!("/email/requests/{id}/retry"), json!({"states": ["sent", "lost", 5]})).await;
    assert_eq!(wrong.status, 422);
    app.stop().await;
}
