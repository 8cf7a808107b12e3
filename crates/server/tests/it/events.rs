//! `/events`

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::helpers::TestApp;

fn body() -> Value {
    json!({"title": "Rust Meetup", "startAt": "2026-11-22T09:53:18.123456", "endAt": "2026-11-22T12:00:00+01:00"})
}

fn with(changes: Value) -> Value {
    let mut body = body();
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_created_event_comes_back_as_stored_with_its_times_as_sent() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.user("bea").await;
    let sent =
        with(json!({"description": "Talks", "venue": "Hall 1", "maxCapacity": 30, "owner": "ann", "hosts": ["bea", "ann"], "timezone": "Europe/Berlin"}));
    let made = app.post("/events/", sent).await;
    assert_json_snapshot!(made.ok(), @r#"
    {
      "id": "018bcfe5-6805-7ccf-84ca-a8cd7b63c7cb",
      "slug": "rust-meetup",
      "title": "Rust Meetup",
      "description": "Talks",
      "startAt": "2026-11-22T09:53:18.123456",
      "endAt": "2026-11-22T12:00:00+01:00",
      "timezone": "Europe/Berlin",
      "venue": "Hall 1",
      "maxCapacity": 30,
      "owner": "ann",
      "hosts": [
        "bea",
        "ann"
      ],
      "public": false,
      "attendeeCount": 0,
      "createdAt": "2026-01-02T03:04:05.678901Z",
      "updatedAt": "2026-01-02T03:04:05.678901Z"
    }
    "#);
    let event = made.value();
    let id = event["id"].as_str().unwrap();
    assert_eq!(app.get(&format!("/events/{id}/")).await.ok(), event);
    assert_eq!(app.get("/events/rust-meetup").await.ok(), event);
    for user in ["ann", "bea"] {
        assert_eq!(app.get(&format!("/users/{user}")).await.ok()["hostedCount"], 1, "an owner who is also a host counts once");
    }
}

#[tokio::test]
async fn optional_fields_have_their_defaults() {
    let app = TestApp::new().await;
    assert_json_snapshot!(app.event("e1").await, @r#"
    {
      "id": "e1",
      "slug": "event-e1",
      "title": "Event e1",
      "description": null,
      "startAt": "2026-03-01T18:00:00",
      "endAt": "2026-03-01T20:00:00",
      "timezone": null,
      "venue": null,
      "maxCapacity": null,
      "owner": "",
      "hosts": [],
      "public": false,
      "attendeeCount": 0,
      "createdAt": "2026-01-02T03:04:05.678901Z",
      "updatedAt": "2026-01-02T03:04:05.678901Z"
    }
    "#);
}

#[tokio::test]
async fn all_faults_are_reported_at_once() {
    let app = TestApp::new().await;
    let hosts: Vec<Value> = vec![json!("ok"), json!(5), json!("a b")];
    let answer =
        app.post("/events", json!({"slug": "Bad Slug", "title": "ab", "startAt": "soon", "maxCapacity": 0, "hosts": hosts, "timezone": "Mars/Base"})).await;
    assert_json_snapshot!(answer.value()["detail"], @r#"
    [
      {
        "loc": [
          "body",
          "slug"
        ],
        "msg": "a slug has 3 to 50 lower-case letters and digits, in groups joined by single '-'",
        "type": "value_error"
      },
      {
        "loc": [
          "body",
          "title"
        ],
        "msg": "must have at least 3 characters",
        "type": "string_too_short"
      },
      {
        "loc": [
          "body",
          "startAt"
        ],
        "msg": "not an ISO 8601 date and time like 2026-11-22T18:30:00 or 2026-11-22T18:30:00+01:00",
        "type": "value_error"
      },
      {
        "loc": [
          "body",
          "endAt"
        ],
        "msg": "this field is required",
        "type": "missing"
      },
      {
        "loc": [
          "body",
          "timezone"
        ],
        "msg": "not a time zone name like Europe/Berlin",
        "type": "value_error"
      },
      {
        "loc": [
          "body",
          "maxCapacity"
        ],
        "msg": "must be at least 1",
        "type": "greater_than_equal"
      },
      {
        "loc": [
          "body",
          "hosts",
          1
        ],
        "msg": "must be a text",
        "type": "string_type"
      },
      {
        "loc": [
          "body",
          "hosts",
          2
        ],
        "msg": "an id has 1 to 50 letters, digits, '-', '_' or '.'",
        "type": "value_error"
      }
    ]
    "#);
}

#[tokio::test]
async fn each_field_has_its_limits() {
    let app = TestApp::new().await;
    for (field, max) in [("title", 100), ("description", 500), ("venue", 200)] {
        assert_eq!(app.post("/events", with(json!({field: "ä".repeat(max)}))).await.ok()[field], "ä".repeat(max));
        assert_eq!(app.post("/events", with(json!({field: "ä".repeat(max + 1)}))).await.faults(), [format!("body.{field}: string_too_long")]);
    }
    for (changes, fault) in [
        (json!({"title": "ab"}), "body.title: string_too_short"),
        (json!({"slug": "ab"}), "body.slug: value_error"),
        (json!({"slug": "a".repeat(51)}), "body.slug: value_error"),
        (json!({"slug": "a--b"}), "body.slug: value_error"),
        (json!({"maxCapacity": 0}), "body.maxCapacity: greater_than_equal"),
        (json!({"maxCapacity": 1.5}), "body.maxCapacity: int_type"),
        (json!({"maxCapacity": "5"}), "body.maxCapacity: int_type"),
        (json!({"hosts": vec!["x"; 11]}), "body.hosts: too_long"),
        (json!({"hosts": "ann"}), "body.hosts: list_type"),
        (json!({"endAt": "2026-11-22T09:53:18.123456"}), "body.endAt: value_error"),
        (json!({"endAt": "2026-11-22T09:53:18.123455"}), "body.endAt: value_error"),
        (json!({"startAt": 5}), "body.startAt: string_type"),
    ] {
        assert_eq!(app.post("/events", with(changes.clone())).await.faults(), [fault], "{changes}");
    }
}

#[tokio::test]
async fn a_slug_is_made_from_the_title_with_a_number_until_it_is_free() {
    let app = TestApp::new().await;
    let mut slugs = Vec::new();
    for _ in 0..3 {
        slugs.push(app.post("/events", body()).await.ok()["slug"].as_str().unwrap().to_owned());
    }
    assert_eq!(slugs, ["rust-meetup", "rust-meetup-2", "rust-meetup-3"]);
    assert_eq!(app.post("/events", with(json!({"slug": "rust-meetup"}))).await.problem(400), "slug_taken");
}

#[tokio::test]
async fn unknown_owners_and_hosts_are_refused_on_create_and_on_update() {
    let app = TestApp::new().await;
    let answer = app.post("/events", with(json!({"owner": "nobody", "hosts": ["nobody", "else"]}))).await;
    assert_json_snapshot!(answer.value(), @r#"
    {
      "type": "urn:emcrm:problem:hosts_unknown",
      "title": "Bad Request",
      "status": 400,
      "detail": "Unknown owner or host: else, nobody",
      "code": "hosts_unknown"
    }
    "#);
    app.event("e1").await;
    assert_eq!(app.put("/events/e1", with(json!({"owner": "nobody"}))).await.problem(400), "hosts_unknown");
    assert_eq!(app.patch("/events/e1", json!({"hosts": ["nobody"]})).await.problem(400), "hosts_unknown");
}

#[tokio::test]
async fn a_capacity_below_the_present_count_is_refused() {
    let app = TestApp::new().await;
    app.event("e1").await;
    for user in ["a", "b"] {
        app.user(user).await;
        app.post("/attend", json!({"user_id": user, "event_id": "e1"})).await.ok();
    }
    assert_json_snapshot!(app.patch("/events/e1", json!({"maxCapacity": 1})).await.value(), @r#"
    {
      "type": "urn:emcrm:problem:capacity_too_low",
      "title": "Bad Request",
      "status": 400,
      "detail": "maxCapacity is below the present number of attendees, 2",
      "code": "capacity_too_low"
    }
    "#);
    assert_eq!(app.patch("/events/e1", json!({"maxCapacity": 2})).await.ok()["attendeeCount"], 2);
}

#[tokio::test]
async fn replacing_keeps_the_id_and_moves_the_host_counts() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.user("bea").await;
    app.post("/events", with(json!({"id": "e1", "owner": "ann"}))).await.ok();
    let event = app.put("/events/e1/", with(json!({"id": "other", "title": "Other", "slug": "other", "owner": "bea"}))).await.ok();
    assert_eq!((&event["id"], &event["slug"], &event["owner"]), (&json!("e1"), &json!("other"), &json!("bea")));
    assert_eq!(app.get("/users/ann").await.ok()["hostedCount"], 0);
    assert_eq!(app.get("/users/bea").await.ok()["hostedCount"], 1);
    assert_eq!(app.get("/events/rust-meetup").await.problem(404), "event_not_found");
    assert_eq!(app.put("/events/nothing", body()).await.problem(404), "event_not_found");
}

#[tokio::test]
async fn a_merge_patch_keeps_clears_and_sets() {
    let app = TestApp::new().await;
    app.user("ann").await;
    app.post("/events", with(json!({"id": "e1", "owner": "ann", "hosts": ["ann"], "venue": "Hall", "maxCapacity": 5}))).await.ok();
    let event = app.patch("/events/e1", json!({"owner": null, "hosts": null, "venue": "", "title": "New"})).await.ok();
    assert_eq!(event["owner"], "");
    assert_eq!(event["hosts"], json!([]));
    assert_eq!((&event["venue"], &event["title"], &event["maxCapacity"]), (&Value::Null, &json!("New"), &json!(5)));
    assert_eq!(app.patch("/events/e1", json!({"title": null, "endAt": "2020-01-01T00:00:00"})).await.faults(), ["body.title: null_not_allowed"]);
    assert_eq!(app.patch("/events/e1", json!({"endAt": "2020-01-01T00:00:00"})).await.faults(), ["body.endAt: value_error"]);
}

#[tokio::test]
async fn a_deleted_event_is_gone() {
    let app = TestApp::new().await;
    app.event("e1").await;
    assert_json_snapshot!(app.delete("/events/e1/").await.ok(), @r#"
    {
      "message": "Event deleted successfully"
    }
    "#);
    assert_eq!(app.get("/events/e1").await.problem(404), "event_not_found");
    assert_eq!(app.delete("/events/e1").await.problem(404), "event_not_found");
}

#[tokio::test]
async fn the_list_filters_and_sorts() {
    let app = TestApp::working().await;
    app.user("ann").await;
    for (id, day, owner) in [("e1", 3, "ann"), ("e2", 1, ""), ("e3", 2, "ann")] {
        let times = json!({"id": id, "title": format!("Day {day}"), "owner": owner, "startAt": format!("2026-05-0{day}T10:00:00Z"), "endAt": format!("2026-05-0{day}T11:00:00Z")});
        app.post("/events", with(times)).await.ok();
    }
    app.settled().await;
    let ids = |page: Value| page["items"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(app.get("/events/").await.ok()).len(), 3);
    assert_eq!(ids(app.get("/events?sort=startAt").await.ok()), ["e2", "e3", "e1"]);
    assert_eq!(ids(app.get("/events?sort=-startAt").await.ok()), ["e1", "e3", "e2"]);
    assert_eq!(ids(app.get("/events?from=2026-05-02T00:00:00Z&sort=startAt").await.ok()), ["e3", "e1"]);
    assert_eq!(ids(app.get("/events?to=2026-05-02T23:00:00Z&sort=startAt").await.ok()), ["e2", "e3"]);
    assert_eq!(ids(app.get("/events?owner=ann&sort=title").await.ok()), ["e3", "e1"]);
    assert_eq!(ids(app.get("/events?host=ann&sort=title").await.ok()), ["e3", "e1"]);
    assert_eq!(ids(app.get("/events?q=day+1").await.ok()), ["e2"]);
    assert_eq!(app.get("/events?from=soon&to=later&sort=").await.faults(), ["query.from: value_error", "query.to: value_error"]);
    app.stop().await;
}
