//! `ETag`, `If-None-Match`, `If-Match`.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use crate::helpers::TestApp;

#[tokio::test]
async fn a_known_revision_is_304_without_a_body() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.event("e1").await;
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    for path in ["/users/ann", "/events/e1", "/attend/ann/e1"] {
        let tag = app.get(path).await.header("etag").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let answer = app.call(Method::GET, path, &[("if-none-match", &known)], Body::empty()).await;
            assert_eq!((answer.status.as_u16(), answer.body.len(), answer.header("etag")), (304, 0, tag.as_str()), "{path} {known}");
        }
        assert_eq!(app.call(Method::GET, path, &[("if-none-match", "\"999\"")], Body::empty()).await.status, 200);
    }
    assert_eq!(app.call(Method::GET, "/users/nobody", &[("if-none-match", "*")], Body::empty()).await.status, 404);
}

#[tokio::test]
async fn a_write_with_a_stale_revision_is_412_and_changes_nothing() {
    let app = TestApp::new().await;
    app.user("ann").await;
    let first = app.get("/users/ann").await.header("etag").to_owned();
    let answer = app.json(Method::PATCH, "/users/ann", &[("if-match", &first)], json!({"city": "Berlin"})).await;
    assert_eq!(answer.ok()["city"], "Berlin");
    let second = answer.header("etag").to_owned();
    assert_ne!(first, second);
    for stale in [first.as_str(), "W/\"2\"", "\"nonsense\"", "\"-1\""] {
        let patch = app.json(Method::PATCH, "/users/ann", &[("if-match", stale)], json!({"city": "Rome"})).await;
        assert_eq!(patch.problem(412), "stale", "{stale}");
        let delete = app.call(Method::DELETE, "/users/ann", &[("if-match", stale)], Body::empty()).await;
        assert_eq!(delete.problem(412), "stale", "{stale}");
    }
    assert_eq!(app.get("/users/ann").await.ok()["city"], "Berlin");
    app.json(Method::PATCH, "/users/ann", &[("if-match", "*")], json!({"city": "Rome"})).await.ok();
    let third = app.get("/users/ann").await.header("etag").to_owned();
    app.call(Method::DELETE, "/users/ann", &[("if-match", &third)], Body::empty()).await.ok();
}

#[tokio::test]
async fn events_and_attendances_take_if_match_too() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.event("e1").await;
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    assert_eq!(app.json(Method::PATCH, "/events/e1", &[("if-match", "\"99\"")], json!({"title": "New"})).await.problem(412), "stale");
    assert_eq!(app.json(Method::PATCH, "/attend/ann/e1", &[("if-match", "\"99\"")], json!({"attended": "no"})).await.problem(412), "stale");
    assert_eq!(app.call(Method::DELETE, "/attend/ann/e1", &[("if-match", "\"99\"")], Body::empty()).await.problem(412), "stale");
    let tag = app.get("/events/e1").await.header("etag").to_owned();
    app.json(Method::PATCH, "/events/e1", &[("if-match", &tag)], json!({"title": "New"})).await.ok();
}

#[tokio::test]
async fn what_is_not_one_tag_is_400() {
    let app = TestApp::new().await;
    app.user("ann").await;
    for bad in ["1", "\"1\", \"2\"", "\"", "", "\"1"] {
        let answer = app.json(Method::PATCH, "/users/ann", &[("if-match", bad)], json!({"city": "Rome"})).await;
        assert_eq!(answer.problem(400), "bad_if_match", "{bad}");
    }
    let twice = app.json(Method::PATCH, "/users/ann", &[("if-match", "\"1\""), ("if-match", "\"2\"")], json!({"city": "Rome"})).await;
    assert_eq!(twice.problem(400), "bad_if_match");
}
