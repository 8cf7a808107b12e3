//! `Idempotency-Key`: the same key and request answer the same; the same key and another request are refused.

use axum::body::Body;
use axum::http::Method;
use insta::assert_json_snapshot;
use serde_json::json;

use crate::helpers::TestApp;

const KEY: &[(&str, &str)] = &[("idempotency-key", "key-1")];

#[tokio::test]
async fn a_repeated_create_answers_what_the_first_one_did_and_makes_nothing() {
    let app = TestApp::new().await;
    let body = json!({"firstName": "A", "lastName": "", "email": "a@example.org"});
    let first = app.json(Method::POST, "/users", KEY, body.clone()).await;
    app.patch(&format!("/users/{}", first.ok()["id"].as_str().unwrap()), json!({"city": "Rome"})).await.ok();
    // With or without the trailing slash it is the same request.
    let again = app.json(Method::POST, "/users/", KEY, body).await;
    assert_eq!((again.ok(), again.header("etag")), (first.ok(), first.header("etag")));
    assert_eq!(app.get("/users").await.ok()["total"], 1);
}

#[tokio::test]
async fn the_same_key_with_another_request_is_422() {
    let app = TestApp::new().await;
    let body = json!({"firstName": "A", "lastName": "", "email": "a@example.org"});
    let id = app.json(Method::POST, "/users", KEY, body.clone()).await.ok()["id"].as_str().unwrap().to_owned();
    let other = app.json(Method::POST, "/users", KEY, json!({"firstName": "B", "lastName": "", "email": "b@example.org"})).await;
    assert_json_snapshot!(other.value(), @r#"
    {
      "type": "urn:emcrm:problem:idempotency_key_reused",
      "title": "Unprocessable Entity",
      "status": 422,
      "detail": "This Idempotency-Key was used before with another request",
      "code": "idempotency_key_reused"
    }
    "#);
    assert_eq!(app.json(Method::PUT, &format!("/users/{id}"), KEY, body).await.problem(422), "idempotency_key_reused");
}

#[tokio::test]
async fn every_write_takes_a_key() {
    let app = TestApp::new().await;
    app.user("ann").await;
    let event = json!({"id": "e1", "title": "Event", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00"});
    let attend = json!({"user_id": "ann", "event_id": "e1"});
    for (number, (method, path, body)) in [
        (Method::POST, "/events", event),
        (Method::PATCH, "/events/e1", json!({"venue": "Hall"})),
        (Method::POST, "/attend", attend),
        (Method::PATCH, "/attend/ann/e1", json!({"attended": "no"})),
        (Method::DELETE, "/attend/ann/e1", json!(null)),
        (Method::DELETE, "/events/e1", json!(null)),
        (Method::DELETE, "/users/ann", json!(null)),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("key-{number}");
        let headers = [("idempotency-key", key.as_str())];
        let (first, again) = if body.is_null() {
            (app.call(method.clone(), path, &headers, Body::empty()).await, app.call(method.clone(), path, &headers, Body::empty()).await)
        } else {
            (app.json(method.clone(), path, &headers, body.clone()).await, app.json(method.clone(), path, &headers, body).await)
        };
        assert_eq!(first.ok(), again.ok(), "{method} {path}");
    }
}

#[tokio::test]
async fn a_failed_request_leaves_its_key_free() {
    let app = TestApp::new().await;
    let body = json!({"user_id": "ann", "event_id": "e1"});
    assert_eq!(app.json(Method::POST, "/attend", KEY, body.clone()).await.status, 404);
    app.user("ann").await;
    app.event("e1").await;
    app.json(Method::POST, "/attend", KEY, body).await.ok();
}

#[tokio::test]
async fn a_key_has_1_to_255_printable_characters() {
    let app = TestApp::new().await;
    let body = json!({"firstName": "A", "lastName": "", "email": "a@example.org"});
    for bad in ["", " ", "ä", &"x".repeat(256)] {
        assert_eq!(app.json(Method::POST, "/users", &[("idempotency-key", bad)], body.clone()).await.problem(400), "bad_idempotency_key", "{bad}");
    }
    app.json(Method::POST, "/users", &[("idempotency-key", &"x".repeat(255))], body).await.ok();
}
