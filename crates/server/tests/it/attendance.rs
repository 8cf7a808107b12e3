//! `/attend`

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::helpers::TestApp;

async fn ready() -> TestApp {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.event("e1").await;
    app
}

#[tokio::test]
async fn a_registration_comes_back_and_counts() {
    let app = ready().await;
    assert_json_snapshot!(app.post("/attend/", json!({"user_id": "ann", "event_id": "e1"})).await.ok(), @r#"
    {
      "user_id": "ann",
      "event_id": "e1",
      "attended": "yes",
      "createdAt": "2026-01-02T03:04:05.678901Z"
    }
    "#);
    assert_eq!(app.get("/users/ann").await.ok()["attendedCount"], 1);
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 1);
    assert_eq!(app.get("/attend/ann/e1/").await.ok()["attended"], "yes");
}

#[tokio::test]
async fn the_second_registration_is_refused() {
    let app = ready().await;
    let body = json!({"user_id": "ann", "event_id": "e1", "attended": "maybe"});
    assert_eq!(app.post("/attend", body.clone()).await.ok()["attended"], "maybe");
    assert_json_snapshot!(app.post("/attend", body).await.value(), @r#"
    {
      "type": "urn:emcrm:problem:already_attending",
      "title": "Bad Request",
      "status": 400,
      "detail": "The user already attends this event",
      "code": "already_attending"
    }
    "#);
    assert_eq!(app.get("/users/ann").await.ok()["attendedCount"], 1);
}

#[tokio::test]
async fn unknown_users_and_events_are_404() {
    let app = ready().await;
    assert_eq!(app.post("/attend", json!({"user_id": "nobody", "event_id": "e1"})).await.problem(404), "user_not_found");
    assert_eq!(app.post("/attend", json!({"user_id": "ann", "event_id": "nothing"})).await.problem(404), "event_not_found");
    assert_eq!(app.get("/attend/ann/e1").await.problem(404), "attendance_not_found");
    assert_eq!(app.patch("/attend/ann/e1", json!({"attended": "no"})).await.problem(404), "attendance_not_found");
    assert_eq!(app.delete("/attend/ann/e1").await.problem(404), "attendance_not_found");
    assert_eq!(app.get("/attend/user/nobody").await.problem(404), "user_not_found");
    assert_eq!(app.get("/attend/event/nothing").await.problem(404), "event_not_found");
}

#[tokio::test]
async fn a_full_event_refuses_the_next_person() {
    let app = ready().await;
    app.user("bea").await;
    app.patch("/events/e1", json!({"maxCapacity": 1})).await.ok();
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    assert_json_snapshot!(app.post("/attend", json!({"user_id": "bea", "event_id": "e1"})).await.value(), @r#"
    {
      "type": "urn:emcrm:problem:event_full",
      "title": "Conflict",
      "status": 409,
      "detail": "The event is full",
      "code": "event_full"
    }
    "#);
    assert_eq!(app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.problem(400), "already_attending");
}

#[tokio::test]
async fn all_faults_are_reported_at_once() {
    let app = ready().await;
    assert_eq!(
        app.post("/attend", json!({"event_id": 5, "attended": "x".repeat(51)})).await.faults(),
        ["body.user_id: missing", "body.event_id: string_type", "body.attended: string_too_long"]
    );
}

#[tokio::test]
async fn attended_can_be_changed_and_a_registration_taken_back() {
    let app = ready().await;
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    assert_eq!(app.patch("/attend/ann/e1", json!({"attended": "checked in"})).await.ok()["attended"], "checked in");
    assert_eq!(app.patch("/attend/ann/e1", json!({})).await.ok()["attended"], "checked in");
    assert_eq!(app.patch("/attend/ann/e1", json!({"attended": null})).await.faults(), ["body.attended: null_not_allowed"]);
    assert_json_snapshot!(app.delete("/attend/ann/e1").await.ok(), @r#"
    {
      "message": "Attendance deleted successfully"
    }
    "#);
    assert_eq!(app.get("/users/ann").await.ok()["attendedCount"], 0);
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 0);
}

#[tokio::test]
async fn lists_are_pages_and_an_empty_one_is_a_page_too() {
    let app = ready().await;
    assert_json_snapshot!(app.get("/attend/user/ann").await.ok(), @r#"
    {
      "items": [],
      "total": 0,
      "page": 1,
      "size": 50,
      "pages": 0,
      "next": null
    }
    "#);
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    let of_user = app.get("/attend/user/ann/").await.ok();
    assert_eq!((&of_user["total"], &of_user["items"][0]["event_id"]), (&json!(1), &json!("e1")));
    let of_event = app.get("/attend/event/e1/").await.ok();
    assert_eq!((&of_event["total"], of_event["items"][0].get("user")), (&json!(1), None));
    assert_json_snapshot!(app.get("/attend/event/e1?expand=user").await.ok()["items"], @r#"
    [
      {
        "user_id": "ann",
        "event_id": "e1",
        "attended": "yes",
        "createdAt": "2026-01-02T03:04:05.678901Z",
        "user": {
          "firstName": "Ann",
          "lastName": "ann",
          "company": null,
          "email": "ann@example.org"
        }
      }
    ]
    "#);
    assert_eq!(app.get("/attend/event/e1?expand=all&size=0").await.faults(), ["query.size: greater_than_equal", "query.expand: enum"]);
}

#[tokio::test]
async fn a_list_walks_by_cursor_and_sees_each_row_once() {
    let app = ready().await;
    for number in 0..5 {
        let id = format!("u{number}");
        app.user(&id).await;
        app.post("/attend", json!({"user_id": id, "event_id": "e1"})).await.ok();
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/attend/event/e1?size=2&cursor={cursor}")).await.ok();
        seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["user_id"].as_str().unwrap().to_owned()));
        match &page["next"] {
            Value::String(next) => cursor.clone_from(next),
            _ => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["u0", "u1", "u2", "u3", "u4"]);
}
