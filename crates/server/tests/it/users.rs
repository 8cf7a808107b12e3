//! `/users`

use axum::http::Method;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::helpers::TestApp;

fn full() -> Value {
    json!({"firstName": " Ann ", "lastName": "Lee", "email": "Ann.Lee@Example.org", "phoneNumber": "+49 30 123456", "avatar": "https://example.org/a.png",
        "gender": "female", "jobTitle": "CTO", "company": "ACME", "city": "Berlin", "state": "BE"})
}

#[tokio::test]
async fn a_created_user_comes_back_as_stored() {
    let app = TestApp::new().await;
    let made = app.post("/users/", full()).await;
    assert_json_snapshot!(made.ok(), @r#"
    {
      "id": "611830d3-641a-48f9-8a69-0dcc25d1f4b0",
      "firstName": "Ann",
      "lastName": "Lee",
      "email": "Ann.Lee@Example.org",
      "phoneNumber": "+49 30 123456",
      "avatar": "https://example.org/a.png",
      "gender": "female",
      "jobTitle": "CTO",
      "company": "ACME",
      "city": "Berlin",
      "state": "BE",
      "attendedCount": 0,
      "hostedCount": 0,
      "createdAt": "2026-01-02T03:04:05.678901Z",
      "updatedAt": "2026-01-02T03:04:05.678901Z"
    }
    "#);
    assert_eq!(made.header("etag"), "\"1\"");
    let id = made.value()["id"].as_str().unwrap().to_owned();
    assert_eq!(app.get(&format!("/users/{id}")).await.ok(), made.value());
}

#[tokio::test]
async fn absent_optional_fields_come_back_as_null() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.user("ann").await, @r#"
    {
      "id": "ann",
      "firstName": "Ann",
      "lastName": "ann",
      "email": "ann@example.org",
      "phoneNumber": null,
      "avatar": null,
      "gender": null,
      "jobTitle": null,
      "company": null,
      "city": null,
      "state": null,
      "attendedCount": 0,
      "hostedCount": 0,
      "createdAt": "2026-01-02T03:04:05.678901Z",
      "updatedAt": "2026-01-02T03:04:05.678901Z"
    }
    "#);
}

#[tokio::test]
async fn all_faults_are_reported_at_once() {
    let app = TestApp::new().await;
    let body = json!({"id": "a b", "firstName": "  ", "email": "nobody", "phoneNumber": "123", "gender": "robot", "company": 7, "city": "x".repeat(51)});
    let answer = app.post("/users", body).await;
    assert_json_snapshot!(answer.value(), @r#"
    {
      "type": "urn:emcrm:problem:validation_error",
      "title": "Unprocessable Entity",
      "status": 422,
      "detail": [
        {
          "loc": [
            "body",
            "id"
          ],
          "msg": "an id has 1 to 50 letters, digits, '-', '_' or '.'",
          "type": "value_error"
        },
        {
          "loc": [
            "body",
            "firstName"
          ],
          "msg": "must not be empty",
          "type": "string_too_short"
        },
        {
          "loc": [
            "body",
            "lastName"
          ],
          "msg": "this field is required",
          "type": "missing"
        },
        {
          "loc": [
            "body",
            "email"
          ],
          "msg": "not an e-mail address like name@example.org",
          "type": "value_error"
        },
        {
          "loc": [
            "body",
            "phoneNumber"
          ],
          "msg": "must have at least 7 characters",
          "type": "string_too_short"
        },
        {
          "loc": [
            "body",
            "gender"
          ],
          "msg": "must be one of: male, female, other",
          "type": "enum"
        },
        {
          "loc": [
            "body",
            "company"
          ],
          "msg": "must be a text",
          "type": "string_type"
        },
        {
          "loc": [
            "body",
            "city"
          ],
          "msg": "must have at most 50 characters",
          "type": "string_too_long"
        }
      ],
      "code": "validation_error"
    }
    "#);
}

#[tokio::test]
async fn each_field_has_its_limits() {
    let app = TestApp::new().await;
    let mut number = 0;
    // Field, longest text that is taken, what a longer one is.
    for (field, max) in
        [("firstName", 50), ("lastName", 50), ("phoneNumber", 20), ("avatar", 2048), ("jobTitle", 50), ("company", 50), ("city", 50), ("state", 50), ("id", 50)]
    {
        // Characters count, not bytes; an id is ASCII.
        let letter = if field == "id" { "x" } else { "ß" };
        for (length, good) in [(max, true), (max + 1, false)] {
            number += 1;
            let mut body = full();
            body["email"] = json!(format!("u{number}@example.org"));
            body[field] = json!(letter.repeat(length));
            let answer = app.post("/users", body).await;
            if good {
                assert_eq!(answer.ok()[field], letter.repeat(length), "{field} of {length}");
            } else {
                let kind = if field == "id" { "value_error" } else { "string_too_long" };
                assert_eq!(answer.faults(), [format!("body.{field}: {kind}")]);
            }
        }
    }
    for (field, value, kind) in [
        ("firstName", json!(""), "string_too_short"),
        ("firstName", json!(null), "string_type"),
        ("lastName", json!(1), "string_type"),
        ("phoneNumber", json!("123456"), "string_too_short"),
        ("gender", json!("Male"), "enum"),
        ("gender", json!(true), "enum"),
        ("avatar", json!(["x"]), "string_type"),
        ("email", json!("a@b"), "value_error"),
        ("email", json!("a\r\n@example.org"), "value_error"),
        ("city", json!("a\u{0}b"), "value_error"),
    ] {
        let mut body = full();
        body[field] = value.clone();
        assert_eq!(app.post("/users", body).await.faults(), [format!("body.{field}: {kind}")], "{value}");
    }
}

const TEXTS: [&str; 9] = ["firstName", "lastName", "email", "phoneNumber", "avatar", "jobTitle", "company", "city", "state"];

/// As long as the field may be, and so much longer.
fn long(field: &str, more: usize) -> String {
    match field {
        "email" => format!("{}@{1}.{1}.{2}.org", "a".repeat(64), "d".repeat(63), "d".repeat(57 + more)),
        "phoneNumber" => "ß".repeat(20 + more),
        "avatar" => "ß".repeat(2048 + more),
        _ => "ß".repeat(50 + more),
    }
}

#[tokio::test]
async fn all_fields_at_their_limits_are_taken_and_each_beyond_is_named_wherever_it_is_written() {
    let app = TestApp::new().await;
    app.user("ann").await;
    let all = |more: usize| {
        let mut body = json!({});
        for field in TEXTS {
            body[field] = json!(long(field, more));
        }
        body
    };
    let fault = |field: &str| format!("body.{field}: {}", if field == "email" { "value_error" } else { "string_too_long" });
    assert_eq!(long("email", 0).len(), 254);
    for field in TEXTS {
        let mut body = all(0);
        body[field] = json!(long(field, 1));
        assert_eq!(app.post("/users", body.clone()).await.faults(), [fault(field)]);
        assert_eq!(app.put("/users/ann", body).await.faults(), [fault(field)]);
        assert_eq!(app.patch("/users/ann", json!({ field: long(field, 1) })).await.faults(), [fault(field)]);
    }
    for answer in [app.post("/users", all(1)).await, app.put("/users/ann", all(1)).await, app.patch("/users/ann", all(1)).await] {
        assert_eq!(answer.faults(), TEXTS.map(fault));
    }
    assert_eq!(app.get("/users/ann").await.ok()["email"], "ann@example.org", "nothing was changed");
    app.patch("/users/ann", all(0)).await.ok();
    app.put("/users/ann", all(0)).await.ok();
    let ann = app.get("/users/ann").await.ok();
    app.delete("/users/ann").await.ok();
    let new = app.post("/users", all(0)).await.ok();
    for field in TEXTS {
        assert_eq!((&ann[field], &new[field]), (&json!(long(field, 0)), &json!(long(field, 0))), "{field}");
    }
}

#[tokio::test]
async fn unknown_fields_and_counters_in_a_body_are_ignored() {
    let app = TestApp::new().await;
    let mut body = full();
    body["attendedCount"] = json!(9);
    body["hostedCount"] = json!("many");
    body["createdAt"] = json!("yesterday");
    body["nonsense"] = json!({"a": [1]});
    let user = app.post("/users", body).await.ok();
    assert_eq!((&user["attendedCount"], &user["hostedCount"]), (&json!(0), &json!(0)));
    assert!(user.get("nonsense").is_none());
}

#[tokio::test]
async fn a_taken_id_or_address_is_refused() {
    let app = TestApp::new().await;
    app.user("ann").await;
    let again = app.post("/users", json!({"id": "ann", "firstName": "B", "lastName": "", "email": "b@example.org"})).await;
    assert_json_snapshot!(again.value(), @r#"
    {
      "type": "urn:emcrm:problem:user_id_taken",
      "title": "Bad Request",
      "status": 400,
      "detail": "A user with this id already exists",
      "code": "user_id_taken"
    }
    "#);
    let same = app.post("/users", json!({"firstName": "B", "lastName": "", "email": "ANN@Example.ORG"})).await;
    assert_eq!(same.problem(400), "email_taken");
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.get("/users/nobody").await.value(), @r#"
    {
      "type": "urn:emcrm:problem:user_not_found",
      "title": "Not Found",
      "status": 404,
      "detail": "User not found",
      "code": "user_not_found"
    }
    "#);
    for path in ["/users/%00", "/users/%ff", "/users/a%0Ab", &format!("/users/{}", "x".repeat(51))] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
    }
    assert_eq!(app.put("/users/nobody", full()).await.problem(404), "user_not_found");
    assert_eq!(app.patch("/users/nobody", json!({})).await.problem(404), "user_not_found");
    assert_eq!(app.delete("/users/nobody").await.problem(404), "user_not_found");
}

#[tokio::test]
async fn replacing_takes_the_paths_id_and_drops_what_is_left_out() {
    let app = TestApp::new().await;
    let id = app.post("/users", full()).await.ok()["id"].as_str().unwrap().to_owned();
    let answer = app.put(&format!("/users/{id}/"), json!({"id": "other", "firstName": "Bea", "lastName": "", "email": "bea@example.org"})).await;
    let user = answer.ok();
    assert_eq!(user["id"], id.as_str());
    assert_eq!(user["company"], Value::Null);
    assert_eq!(answer.header("etag"), "\"2\"");
    app.user("cat").await;
    let taken = app.put(&format!("/users/{id}"), json!({"firstName": "Bea", "lastName": "", "email": "cat@example.org"})).await;
    assert_eq!(taken.problem(400), "email_taken");
}

#[tokio::test]
async fn a_merge_patch_keeps_clears_and_sets() {
    let app = TestApp::new().await;
    let id = app.post("/users", full()).await.ok()["id"].as_str().unwrap().to_owned();
    let path = format!("/users/{id}");
    let body = json!({"company": null, "city": "", "state": "Hamburg"});
    let user = app.call(Method::PATCH, &path, &[("content-type", "application/merge-patch+json")], body.to_string()).await.ok();
    assert_eq!((&user["company"], &user["city"], &user["state"], &user["jobTitle"]), (&Value::Null, &Value::Null, &json!("Hamburg"), &json!("CTO")));
    let answer = app.patch(&path, json!({"firstName": null, "email": null, "phoneNumber": "1"})).await;
    assert_eq!(answer.faults(), ["body.firstName: null_not_allowed", "body.email: null_not_allowed", "body.phoneNumber: string_too_short"]);
}

#[tokio::test]
async fn a_deleted_user_is_gone_and_the_address_is_free() {
    let app = TestApp::new().await;
    app.user("ann").await;
    assert_json_snapshot!(app.delete("/users/ann/").await.ok(), @r#"
    {
      "message": "User deleted successfully"
    }
    "#);
    assert_eq!(app.get("/users/ann").await.problem(404), "user_not_found");
    let user = app.post("/users", json!({"firstName": "B", "lastName": "", "email": "ann@example.org"})).await.ok();
    assert_eq!(user["email"], "ann@example.org");
}

#[tokio::test]
async fn the_list_is_a_page_and_finds_an_address() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.user("bea").await;
    let page = app.get("/users/?size=1").await.ok();
    assert_eq!(page["items"][0]["id"], "ann");
    assert_eq!((&page["total"], &page["page"], &page["size"], &page["pages"]), (&json!(2), &json!(1), &json!(1), &json!(2)));
    let found = app.get("/users/?email=BEA%40example.org").await.ok();
    assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &json!("bea")));
    assert_json_snapshot!(app.get("/users?email=nobody").await.ok(), @r#"
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
async fn the_list_goes_on_from_a_last_evaluated_key() {
    let app = TestApp::new().await;
    for id in ["a", "b", "c"] {
        app.user(id).await;
    }
    let first = app.get("/users?limit=2").await.ok();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let key = first["last_evaluated_key"].as_str().unwrap();
    let rest = app.get(&format!("/users?limit=2&last_evaluated_key={key}")).await.ok();
    assert_eq!((&rest["items"][0]["id"], &rest["last_evaluated_key"]), (&json!("c"), &Value::Null));
    assert_eq!(rest.as_object().unwrap().len(), 2);
    assert_eq!(app.get("/users?limit=0").await.faults(), ["query.limit: greater_than_equal"]);
    assert_eq!(app.get("/users?last_evaluated_key=forged").await.problem(400), "bad_cursor");
}

#[tokio::test]
async fn the_list_sorts_and_searches() {
    let app = TestApp::working().await;
    for (id, name) in [("1", "Cora"), ("2", "Ann"), ("3", "Bob")] {
        app.post("/users", json!({"id": id, "firstName": name, "lastName": "X", "email": format!("{id}@example.org")})).await.ok();
    }
    app.settled().await;
    let names = |page: Value| page["items"].as_array().unwrap().iter().map(|user| user["firstName"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(app.get("/users?sort=name").await.ok()), ["Ann", "Bob", "Cora"]);
    assert_eq!(names(app.get("/users?sort=-name").await.ok()), ["Cora", "Bob", "Ann"]);
    assert_eq!(names(app.get("/users?q=bo").await.ok()), ["Bob"]);
    assert_eq!(app.get("/users?sort=nonsense").await.faults().len(), 1);
    assert!(app.get("/users?sort=nonsense").await.faults()[0].starts_with("query.sort: "));
    app.stop().await;
}

#[tokio::test]
async fn faults_are_told_in_either_shape_of_the_list() {
    let app = TestApp::new().await;
    for shape in ["", "limit=5&"] {
        for fault in [format!("sort={}", "a".repeat(51)), "size=1000".to_owned()] {
            assert_eq!(app.get(&format!("/users?{shape}{fault}")).await.problem(422), "validation_error", "{shape}{fault}");
        }
    }
}
