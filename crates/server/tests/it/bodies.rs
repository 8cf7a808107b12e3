//! What a body must be before its fields are looked at.

use axum::body::{Body, Bytes};
use axum::http::Method;
use insta::assert_json_snapshot;
use serde_json::json;

use crate::helpers::TestApp;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test]
async fn malformed_json_is_422_at_the_body() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.call(Method::POST, "/users", JSON, "{\"firstName\": ").await.value(), @r#"
    {
      "type": "urn:emcrm:problem:validation_error",
      "title": "Unprocessable Entity",
      "status": 422,
      "detail": [
        {
          "loc": [
            "body"
          ],
          "msg": "not valid JSON: EOF while parsing a value at line 1 column 14",
          "type": "json_invalid"
        }
      ],
      "code": "validation_error"
    }
    "#);
    let kinds = [
        ("", "missing"),
        ("nonsense", "json_invalid"),
        ("{} {}", "json_invalid"),
        ("{\"a\": 1e999}", "json_invalid"),
        ("\"\\ud800\"", "json_invalid"),
        ("\u{feff}{}", "json_invalid"),
        ("[]", "model_type"),
        ("null", "model_type"),
        ("7", "model_type"),
    ];
    for (body, kind) in kinds {
        assert_eq!(app.call(Method::POST, "/users", JSON, body).await.faults(), [format!("body: {kind}")], "{body}");
    }
}

#[tokio::test]
async fn invalid_utf8_is_422() {
    let app = TestApp::new().await;
    let body: &[u8] = b"{\"firstName\": \"\xff\"}";
    assert_eq!(app.call(Method::POST, "/users", JSON, body).await.faults(), ["body: json_invalid"]);
}

#[tokio::test]
async fn deep_nesting_is_422_and_not_a_full_stack() {
    let app = TestApp::new().await;
    for depth in [200, 100_000] {
        assert_eq!(app.call(Method::POST, "/users", JSON, "[".repeat(depth)).await.faults(), ["body: json_invalid"]);
        assert_eq!(app.call(Method::POST, "/users", JSON, "{\"a\":".repeat(depth)).await.faults(), ["body: json_invalid"]);
    }
}

#[tokio::test]
async fn another_content_type_is_415_and_none_is_json() {
    let app = TestApp::new().await;
    let body = json!({"firstName": "A", "lastName": "", "email": "a@example.org"}).to_string();
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "application/xml", "\"", ""] {
        assert_eq!(app.call(Method::POST, "/users", &[("content-type", wrong)], body.clone()).await.problem(415), "unsupported_media_type", "{wrong}");
    }
    app.call(Method::POST, "/users", &[], body.clone()).await.ok();
    for (number, right) in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"].iter().enumerate() {
        let body = body.replace("a@", &format!("a{number}@"));
        app.call(Method::POST, "/users", &[("content-type", right)], body).await.ok();
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_whether_or_not_it_says_so() {
    let app = TestApp::new().await;
    let filler = |size: usize| {
        let start = "{\"firstName\": \"A\", \"lastName\": \"\", \"email\": \"a@example.org\", \"more\": \"";
        format!("{start}{}\"}}", "x".repeat(size - start.len() - 2))
    };
    app.call(Method::POST, "/users", JSON, filler(1024 * 1024)).await.ok();
    let answer = app.call(Method::POST, "/users", JSON, filler(1024 * 1024 + 1)).await;
    assert_json_snapshot!(answer.value(), @r#"
    {
      "type": "urn:emcrm:problem:body_too_large",
      "title": "Payload Too Large",
      "status": 413,
      "detail": "the body may have at most 1048576 bytes",
      "code": "body_too_large"
    }
    "#);
    let chunks = (0..40).map(|_| Ok::<_, std::convert::Infallible>(Bytes::from(vec![b' '; 64 * 1024])));
    let chunked = Body::from_stream(futures::stream::iter(chunks));
    assert_eq!(app.call(Method::POST, "/users", JSON, chunked).await.problem(413), "body_too_large");
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let app = TestApp::new().await;
    let text = json!({"firstName": "A", "lastName": "", "email": "a@example.org"}).to_string();
    let pieces: Vec<_> = text.as_bytes().chunks(7).map(|piece| Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(piece))).collect();
    app.call(Method::POST, "/users", JSON, Body::from_stream(futures::stream::iter(pieces))).await.ok();
}

#[tokio::test]
async fn every_route_with_a_body_refuses_a_bad_one() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.event("e1").await;
    for (method, path) in [
        (Method::POST, "/users"),
        (Method::PUT, "/users/ann"),
        (Method::PATCH, "/users/ann"),
        (Method::POST, "/events"),
        (Method::PUT, "/events/e1"),
        (Method::PATCH, "/events/e1"),
        (Method::POST, "/attend"),
        (Method::PATCH, "/attend/ann/e1"),
        (Method::POST, "/search/query_users"),
        (Method::POST, "/search/users"),
        (Method::POST, "/email/send"),
        (Method::POST, "/email/send_emails"),
        (Method::POST, "/email/preview"),
        (Method::POST, "/email/test"),
        (Method::POST, "/email/requests/x/retry"),
    ] {
        assert_eq!(app.call(method.clone(), path, JSON, "{").await.faults(), ["body: json_invalid"], "{method} {path}");
        assert_eq!(app.call(method.clone(), path, &[("content-type", "text/plain")], "{}").await.status, 415, "{method} {path}");
        assert_eq!(app.call(method.clone(), path, JSON, "[]").await.faults(), ["body: model_type"], "{method} {path}");
    }
}
