//! What happens to every request: paths, methods, ids, limits, panics, headers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use axum::routing::get;
use emcrm_server::http::edge::Limits;
use emcrm_server::router::router;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::helpers::{Options, TestApp};

#[tokio::test]
async fn an_unknown_route_is_404_as_a_problem() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.get("/nonsense").await.value(), @r#"
    {
      "type": "urn:emcrm:problem:not_found",
      "title": "Not Found",
      "status": 404,
      "detail": "Not Found",
      "code": "not_found"
    }
    "#);
    for path in ["/users/a/b", "/users//", "/email/requests/x/y", "/../users", "/%75sers/%2e%2e", "/docs/index.html", "/redoc/other.js"] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_with_allow() {
    let app = TestApp::new().await;
    let answer = app.delete("/users/").await;
    assert_json_snapshot!(answer.value(), @r#"
    {
      "type": "urn:emcrm:problem:method_not_allowed",
      "title": "Method Not Allowed",
      "status": 405,
      "detail": "Method Not Allowed",
      "code": "method_not_allowed"
    }
    "#);
    let allowed = |answer: &crate::helpers::Answer| {
        let mut methods: Vec<String> = answer.header("allow").split(',').map(|method| method.trim().to_owned()).collect();
        methods.sort();
        methods
    };
    assert_eq!(allowed(&answer), ["GET", "HEAD", "POST"]);
    let answer = app.post("/users/x", json!({})).await;
    assert_eq!(allowed(&answer), ["DELETE", "GET", "HEAD", "PATCH", "PUT"]);
    assert_eq!(app.call(Method::HEAD, "/attend", &[], Body::empty()).await.status, 405);
    assert_eq!(allowed(&app.get("/email/abc").await), ["POST"]);
}

#[tokio::test]
async fn paths_work_with_and_without_a_trailing_slash() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.event("e1").await;
    for path in
        ["/users", "/users/ann", "/events", "/events/e1", "/attend/user/ann", "/attend/event/e1", "/health", "/health/live", "/auth/status", "/openapi.json"]
    {
        let plain = app.get(path).await;
        let slash = app.get(&format!("{path}/")).await;
        assert_eq!((plain.status, &plain.body), (slash.status, &slash.body), "{path}");
        assert_eq!(plain.status, 200, "{path}");
    }
    let query = app.get("/users/?size=3").await.ok();
    assert_eq!(query["size"], 3);
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let app = TestApp::new().await;
    app.user("ann").await;
    for path in ["/users", "/users/ann/", "/users/nobody", "/events", "/health", "/openapi.json", "/docs"] {
        let get = app.get(path).await;
        let head = app.call(Method::HEAD, path, &[], Body::empty()).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert_eq!(head.header("etag"), get.header("etag"), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_which_is_the_callers_if_it_is_sane() {
    let app = TestApp::new().await;
    let made = app.get("/nonsense").await;
    assert!(made.header("x-request-id").starts_with("00000007-"));
    assert_ne!(app.get("/health").await.header("x-request-id"), made.header("x-request-id"));
    for (sent, taken) in [("abc-1.2_Z", true), ("a b", false), ("", false), (&*"x".repeat(129), false), ("a\"b", false), ("<x>", false)] {
        let answer = app.call(Method::GET, "/health", &[("x-request-id", sent)], Body::empty()).await;
        assert_eq!(answer.header("x-request-id") == sent, taken, "{sent}");
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn answers_are_neither_sniffed_nor_stored() {
    let app = TestApp::new().await;
    app.user("ann").await;
    for (path, caching) in [("/users", "no-store"), ("/users/ann", "private, no-cache"), ("/nonsense", "no-store")] {
        let answer = app.get(path).await;
        assert_eq!((answer.header("x-content-type-options"), answer.header("cache-control")), ("nosniff", caching), "{path}");
    }
}

async fn with_routes(limits: Limits, extra: Router) -> TestApp {
    TestApp::with(Options { limits, ..Options::default() }, |state| router(state).merge(extra)).await
}

#[tokio::test]
async fn a_panic_is_500_and_says_nothing_about_the_inside() {
    async fn bug() -> &'static str {
        panic!("secret detail");
    }
    let limits = Limits { time: Duration::from_secs(30), requests: 10, ..Limits::default() };
    let app = with_routes(limits, Router::new().route("/bug", get(bug))).await;
    let answer = app.get("/bug").await;
    assert_json_snapshot!(answer.value(), @r#"
    {
      "type": "urn:emcrm:problem:internal_error",
      "title": "Internal Server Error",
      "status": 500,
      "detail": "Something went wrong on our side. The request id leads to the cause.",
      "code": "internal_error"
    }
    "#);
    assert_eq!(answer.problem(500), "internal_error");
    app.get("/health").await.ok();
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504() {
    let limits = Limits { time: Duration::from_millis(20), requests: 10, ..Limits::default() };
    let app = with_routes(limits, Router::new().route("/slow", get(std::future::pending::<&'static str>))).await;
    assert_eq!(app.get("/slow").await.problem(504), "timeout");
}

#[tokio::test]
async fn more_requests_than_allowed_are_503_but_health_still_answers() {
    let limits = Limits { time: Duration::from_secs(30), requests: 2, ..Limits::default() };
    let (entered, leave) = (std::sync::Arc::new(Semaphore::new(0)), std::sync::Arc::new(Semaphore::new(0)));
    let (entered_in, leave_in) = (entered.clone(), leave.clone());
    let wait = move || {
        let (entered, leave) = (entered_in.clone(), leave_in.clone());
        async move {
            entered.add_permits(1);
            leave.acquire().await.unwrap().forget();
            "done"
        }
    };
    let app = with_routes(limits, Router::new().route("/wait", get(wait))).await;
    let hold = async {
        let (one, two) = tokio::join!(app.get("/wait"), app.get("/wait"));
        assert_eq!((one.status, two.status), (axum::http::StatusCode::OK, axum::http::StatusCode::OK));
    };
    let others = async {
        entered.acquire_many(2).await.unwrap().forget();
        let answer = app.get("/users").await;
        assert_eq!(answer.problem(503), "overloaded");
        assert_eq!(answer.header("retry-after"), "1");
        app.get("/health/live").await.ok();
        leave.add_permits(2);
    };
    tokio::join!(hold, others);
    app.get("/users").await.ok();
}

#[tokio::test]
async fn pages_of_other_sites_may_not_change_anything() {
    let app = TestApp::new().await;
    let body = json!({"firstName": "A", "lastName": "", "email": "a@example.org"}).to_string();
    assert_eq!(app.call(Method::POST, "/users", &[("sec-fetch-site", "cross-site")], body.clone()).await.problem(403), "cross_site");
    app.call(Method::POST, "/users", &[("sec-fetch-site", "same-origin"), ("content-type", "application/json")], body).await.ok();
    app.call(Method::GET, "/users", &[("sec-fetch-site", "cross-site")], Body::empty()).await.ok();
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_take_it() {
    let app = TestApp::new().await;
    let plain = app.get("/openapi.json").await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
    let small = app.call(Method::GET, "/openapi.json", &[("accept-encoding", "br, gzip;q=0.5")], Body::empty()).await;
    assert_eq!((small.header("content-encoding"), small.header("vary")), ("gzip", "accept-encoding"));
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(small.body.as_slice()), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let refused = app.call(Method::GET, "/openapi.json", &[("accept-encoding", "gzip;q=0")], Body::empty()).await;
    assert_eq!(refused.header("content-encoding"), "");
    let tiny = app.call(Method::GET, "/health", &[("accept-encoding", "gzip")], Body::empty()).await;
    assert_eq!((tiny.header("content-encoding"), tiny.header("vary")), ("", ""));
}

#[tokio::test]
async fn unknown_query_parameters_are_ignored() {
    let app = TestApp::new().await;
    let page: Value = app.get("/users?nonsense=1&size=2&size=3&%zz=%").await.ok();
    assert_eq!(page["size"], 3);
}
