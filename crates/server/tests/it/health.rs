//! `/health…`, `/metrics`, `/auth/status`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request};
use emcrm_server::router::router;
use emcrm_store::engine::{Engine, EngineError, Item, Key, Query, Rows, Table, TransactError, Transaction};
use insta::assert_json_snapshot;

use crate::helpers::{Options, TestApp};

/// Storage that is not there, and says so with an address in it.
#[derive(Default)]
struct Gone {
    asked: AtomicU32,
}

fn gone() -> EngineError {
    EngineError::Unavailable("cannot reach 10.0.0.7:8000".to_owned())
}

#[async_trait]
impl Engine for Gone {
    async fn get(&self, _: Table, _: &Key) -> Result<Option<Item>, EngineError> {
        Err(gone())
    }
    async fn get_many(&self, _: Table, _: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        Err(gone())
    }
    async fn query(&self, _: Query) -> Result<Rows, EngineError> {
        Err(gone())
    }
    async fn scan(&self, _: Table, _: Option<Key>, _: u32) -> Result<Rows, EngineError> {
        Err(gone())
    }
    async fn transact(&self, _: Transaction) -> Result<(), TransactError> {
        Err(EngineError::Unknown("timeout at 10.0.0.7".to_owned()).into())
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Err(gone())
    }
    fn name(&self) -> &'static str {
        "gone"
    }
}

#[tokio::test]
async fn a_healthy_server_says_so_by_the_names_that_clients_know() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.get("/health/").await.ok(), @r#"
    {
      "dynamodb": "ok",
      "opensearch": "ok"
    }
    "#);
    assert_json_snapshot!(app.get("/health/live").await.ok(), @r#"
    {
      "status": "ok"
    }
    "#);
    assert_json_snapshot!(app.get("/health/ready").await.ok(), @r#"
    {
      "status": "ready",
      "storage": "ok",
      "search": "ok"
    }
    "#);
}

#[tokio::test]
async fn a_failing_dependency_is_503_without_addresses() {
    let app = TestApp::with(Options { engine: Some(Arc::new(Gone::default())), ..Options::default() }, router).await;
    let answer = app.get("/health").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"));
    assert_json_snapshot!(answer.value(), @r#"
    {
      "dynamodb": "error: not available",
      "opensearch": "ok"
    }
    "#);
    assert_eq!(app.get("/health/ready").await.status, 503);
    assert_eq!(app.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn asking_how_the_storage_is_again_and_again_is_no_work_for_it() {
    let engine = Arc::new(Gone::default());
    let app = TestApp::with(Options { engine: Some(engine.clone()), ..Options::default() }, router).await;
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!((app.get("/health").await.status.as_u16(), app.get("/health/ready").await.status.as_u16()), (503, 503));
    }
    let asked = engine.asked.load(Ordering::Relaxed);
    assert!(u64::from(asked) <= 1 + began.elapsed().as_secs(), "asked {asked} times by a hundred requests");
    // The control: a second later it is asked again.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    app.get("/health").await;
    assert_eq!(engine.asked.load(Ordering::Relaxed), asked + 1);
}

#[tokio::test]
async fn a_failing_storage_answers_503_with_constant_texts() {
    let app = TestApp::with(Options { engine: Some(Arc::new(Gone::default())), ..Options::default() }, router).await;
    let read = app.get("/users/ann").await;
    assert_eq!(read.header("retry-after"), "2");
    assert_json_snapshot!(read.value(), @r#"
    {
      "type": "urn:emcrm:problem:storage_unavailable",
      "title": "Service Unavailable",
      "status": 503,
      "detail": "The storage is not available. Nothing was changed.",
      "code": "storage_unavailable"
    }
    "#);
    let body = serde_json::json!({"firstName": "A", "lastName": "", "email": "a@example.org"});
    assert_json_snapshot!(app.post("/users", body).await.value(), @r#"
    {
      "type": "urn:emcrm:problem:outcome_unknown",
      "title": "Service Unavailable",
      "status": 503,
      "detail": "The storage did not answer in time. The change may have happened: read before you repeat it.",
      "code": "outcome_unknown"
    }
    "#);
}

#[tokio::test]
async fn a_stopping_server_is_not_ready_and_closes_connections() {
    let app = TestApp::new().await;
    app.state.stop();
    app.edge.stop();
    let answer = app.get("/health/ready").await;
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (503, "close"));
    assert_eq!(answer.value()["status"], "stopping");
}

#[tokio::test]
async fn metrics_count_requests_by_route_pattern() {
    let app = TestApp::new().await;
    emcrm_server::http::metrics::recorder();
    app.user("ann").await;
    app.get("/users/ann").await.ok();
    app.get("/nonsense/ann").await;
    let text = String::from_utf8(app.get("/metrics").await.body).unwrap();
    assert!(text.contains("emcrm_http_requests_total{method=\"GET\",route=\"/users/{id}\",status=\"200\"}"), "{text}");
    assert!(text.contains("route=\"unmatched\"") && !text.contains("nonsense"), "paths of clients are no labels");
    assert!(text.contains("emcrm_http_request_duration_seconds_bucket{method=\"GET\",route=\"/users/{id}\",le=\"0.001\"}"), "{text}");
    assert!(text.contains("emcrm_tasks_waiting{queue=\"index\"} "), "{text}");
}

#[tokio::test]
async fn metrics_are_for_this_machine_or_for_the_token() {
    let app = TestApp::new().await;
    let ask = |peer: &'static str| {
        let edge = app.edge.clone();
        async move { edge.answer(Request::get("/metrics").body(Body::empty()).unwrap(), Some(peer.parse().unwrap())).await.status().as_u16() }
    };
    assert_eq!((ask("127.0.0.1:1").await, ask("[::1]:1").await, ask("[::ffff:127.0.0.1]:1").await), (200, 200, 200));
    assert_eq!((ask("192.0.2.1:1").await, ask("[2001:db8::1]:1").await), (403, 403));
    let proxied = app.call(Method::GET, "/metrics", &[("x-forwarded-for", "192.0.2.1")], Body::empty()).await;
    assert_eq!(proxied.problem(403), "forbidden");

    let app = TestApp::with(Options { metrics_token: Some("long-token"), ..Options::default() }, router).await;
    assert_eq!(app.get("/metrics").await.problem(401), "unauthorized");
    for (sent, status) in [("Bearer long-token", 200), ("Bearer long-toke", 401), ("Bearer ", 401), ("long-token", 401)] {
        assert_eq!(app.call(Method::GET, "/metrics", &[("authorization", sent)], Body::empty()).await.status.as_u16(), status, "{sent}");
    }
}

#[tokio::test]
async fn auth_status_always_answers() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.get("/auth/status/").await.ok(), @r#"
    {
      "authentication_enabled": false,
      "cognito_configured": false,
      "region": "us-east-1"
    }
    "#);
}
