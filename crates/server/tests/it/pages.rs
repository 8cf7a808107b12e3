//! Pages of lists, and what is wrong with asking for one.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::helpers::TestApp;

#[tokio::test]
async fn an_empty_list_is_a_page() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.get("/events/").await.ok(), @r#"
    {
      "items": [],
      "total": 0,
      "page": 1,
      "size": 50,
      "pages": 0,
      "next": null
    }
    "#);
}

#[tokio::test]
async fn pages_count_from_1_and_say_how_many_there_are() {
    let app = TestApp::new().await;
    for number in 0..5 {
        app.user(&format!("u{number}")).await;
    }
    let page = |answer: Value| {
        let ids: Vec<_> = answer["items"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
        (ids, answer["page"].clone(), answer["pages"].clone(), answer["total"].clone(), answer["next"].is_string())
    };
    assert_eq!(page(app.get("/users?size=2").await.ok()), (vec!["u0".into(), "u1".into()], json!(1), json!(3), json!(5), true));
    assert_eq!(page(app.get("/users?size=2&page=3").await.ok()), (vec!["u4".into()], json!(3), json!(3), json!(5), false));
    assert_eq!(page(app.get("/users?size=2&page=4").await.ok()), (vec![], json!(4), json!(3), json!(5), false));
}

#[tokio::test]
async fn a_cursor_walks_past_changes_and_sees_each_row_once() {
    let app = TestApp::new().await;
    for number in 0..6 {
        app.user(&format!("u{number}")).await;
    }
    let first = app.get("/users?size=2").await.ok();
    let next = first["next"].as_str().unwrap();
    // The last row that was seen goes, and one comes before the place.
    app.delete("/users/u1").await.ok();
    app.user("a").await;
    let second = app.get(&format!("/users?size=2&cursor={next}")).await.ok();
    let ids: Vec<_> = second["items"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["u2", "u3"]);
}

#[tokio::test]
async fn bad_page_parameters_are_422_all_at_once() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.event("e1").await;
    for path in ["/users", "/events", "/attend/user/ann", "/attend/event/e1", "/email", "/email/requests"] {
        assert_eq!(app.get(&format!("{path}?page=0&size=101")).await.faults(), ["query.size: less_than_equal", "query.page: greater_than_equal"], "{path}");
    }
    assert_json_snapshot!(app.get("/users?page=-1&size=ten").await.value()["detail"], @r#"
    [
      {
        "loc": [
          "query",
          "size"
        ],
        "msg": "must be a whole number",
        "type": "int_parsing"
      },
      {
        "loc": [
          "query",
          "page"
        ],
        "msg": "must be at least 1",
        "type": "greater_than_equal"
      }
    ]
    "#);
    for bad in ["", "1.0", "0x1", "1e1", "+", "٣", "99999999999999999999999999999999999999999999"] {
        assert_eq!(app.get(&format!("/users?page={bad}")).await.status, 422, "{bad}");
    }
}

#[tokio::test]
async fn a_page_beyond_10000_rows_is_400_and_points_to_cursor() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.get("/users?page=101&size=100").await.value(), @r#"
    {
      "type": "urn:emcrm:problem:too_deep",
      "title": "Bad Request",
      "status": 400,
      "detail": "page * size may be at most 10000; walk further with cursor",
      "code": "too_deep"
    }
    "#);
    assert_eq!(app.get("/users?page=100&size=100").await.status, 200);
    assert_eq!(app.get("/users?page=4294967295&size=100").await.problem(400), "too_deep");
}

#[tokio::test]
async fn a_forged_or_foreign_cursor_is_400() {
    let app = TestApp::new().await;
    for id in ["a", "b", "c"] {
        app.user(id).await;
        app.event(id).await;
    }
    let users = app.get("/users?size=1").await.ok()["next"].as_str().unwrap().to_owned();
    assert_json_snapshot!(app.get(&format!("/events?cursor={users}")).await.value(), @r#"
    {
      "type": "urn:emcrm:problem:bad_cursor",
      "title": "Bad Request",
      "status": 400,
      "detail": "The cursor is not one that this list gave out",
      "code": "bad_cursor"
    }
    "#);
    let flipped: String = users.chars().rev().collect();
    for bad in [flipped.as_str(), "x", "%00", "AAAA", &"A".repeat(5000), &users[..users.len() - 1]] {
        assert_eq!(app.get(&format!("/users?cursor={bad}")).await.problem(400), "bad_cursor", "{bad}");
    }
    app.get("/users?cursor=").await.ok();
}
