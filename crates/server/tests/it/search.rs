//! `/search`

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::helpers::TestApp;

async fn filled() -> TestApp {
    let app = TestApp::working().await;
    for (id, name, company, city) in [("1", "Ann", "ACME", "York"), ("2", "Bob", "Acme", "New York"), ("3", "Cora", "Globex", "York"), ("4", "Dan", "", "")] {
        let body = json!({"id": id, "firstName": name, "lastName": "X", "email": format!("{id}@example.org"), "company": company, "city": city});
        app.post("/users", body).await.ok();
    }
    app.settled().await;
    app
}

fn ids(answer: &Value) -> Vec<&str> {
    let mut ids: Vec<_> = answer["users"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn matches_leave_absent_fields_out() {
    let app = filled().await;
    assert_json_snapshot!(app.post("/search/query_users/?page=0&size=10", json!({"company": "globex"})).await.ok(), @r#"
    {
      "total": 1,
      "users": [
        {
          "id": "3",
          "firstName": "Cora",
          "lastName": "X",
          "email": "3@example.org",
          "company": "Globex",
          "city": "York",
          "attendedCount": 0,
          "hostedCount": 0,
          "createdAt": "2026-01-02T03:04:05.678901Z",
          "updatedAt": "2026-01-02T03:04:05.678901Z"
        }
      ]
    }
    "#);
    app.stop().await;
}

#[tokio::test]
async fn filters_compare_whole_values_folded_and_take_lists() {
    let app = filled().await;
    for (filter, want) in [
        (json!({}), vec!["1", "2", "3", "4"]),
        (json!({"company": " acme "}), vec!["1", "2"]),
        (json!({"company": ["acme", "Globex"]}), vec!["1", "2", "3"]),
        (json!({"city": "York"}), vec!["1", "3"]),
        (json!({"city": "York", "company": "ACME"}), vec!["1"]),
        (json!({"city": "", "company": null, "minAttended": null}), vec!["1", "2", "3", "4"]),
        (json!({"minAttended": 1}), vec![]),
        (json!({"maxAttended": 0, "minHosted": 0}), vec!["1", "2", "3", "4"]),
    ] {
        let answer = app.post("/search/query_users", filter.clone()).await.ok();
        assert_eq!(ids(&answer), want, "{filter}");
        assert_eq!(answer["total"], want.len(), "{filter}");
    }
    app.stop().await;
}

#[tokio::test]
async fn pages_count_from_0() {
    let app = filled().await;
    let mut seen = Vec::new();
    for page in 0..3 {
        let answer = app.post(&format!("/search/query_users?page={page}&size=2"), json!({})).await.ok();
        assert_eq!(answer["total"], 4);
        seen.extend(ids(&answer).into_iter().map(str::to_owned));
    }
    seen.sort();
    assert_eq!(seen, ["1", "2", "3", "4"]);
    assert_eq!(app.post("/search/query_users?page=-1&size=101", json!({})).await.faults(), ["query.page: greater_than_equal", "query.size: less_than_equal"]);
    assert_eq!(app.post("/search/query_users?page=100&size=100", json!({})).await.problem(400), "too_deep");
    assert_eq!(app.post("/search/query_users?page=4294967295", json!({})).await.problem(400), "too_deep");
    app.stop().await;
}

#[tokio::test]
async fn all_faults_of_a_filter_are_reported_at_once() {
    let app = TestApp::new().await;
    let filter = json!({"company": 5, "city": ["x", 7], "minAttended": -1, "minHosted": 3, "maxHosted": 2, "state": "x".repeat(51)});
    assert_json_snapshot!(app.post("/search/query_users", filter).await.value()["detail"], @r#"
    [
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
          "city",
          1
        ],
        "msg": "must be a text",
        "type": "string_type"
      },
      {
        "loc": [
          "body",
          "state"
        ],
        "msg": "must have at most 50 characters",
        "type": "string_too_long"
      },
      {
        "loc": [
          "body",
          "minAttended"
        ],
        "msg": "must be at least 0",
        "type": "greater_than_equal"
      },
      {
        "loc": [
          "body",
          "maxHosted"
        ],
        "msg": "must not be less than minHosted",
        "type": "value_error"
      }
    ]
    "#);
}

#[tokio::test]
async fn searching_takes_text_sorting_facets_and_a_cursor() {
    let app = filled().await;
    let first = app.post("/search/users", json!({"sort": "-name", "size": 3, "facets": ["company"]})).await.ok();
    let names: Vec<_> = first["users"].as_array().unwrap().iter().map(|user| user["firstName"].as_str().unwrap()).collect();
    assert_eq!(names, ["Dan", "Cora", "Bob"]);
    assert_eq!(first["facets"]["company"][0]["count"], 2);
    let next = first["next"].as_str().unwrap();
    let second = app.post("/search/users", json!({"sort": "-name", "size": 3, "cursor": next})).await.ok();
    assert_eq!((ids(&second), &second["next"]), (vec!["1"], &Value::Null));
    assert_eq!(ids(&app.post("/search/users", json!({"q": "new yo"})).await.ok()), ["2"]);
    assert_eq!(app.post("/search/users", json!({"cursor": "forged"})).await.problem(400), "bad_cursor");
    let faults = app.post("/search/users", json!({"sort": 5, "size": 0, "q": "x".repeat(201), "facets": "company"})).await.faults();
    assert_eq!(faults, ["body.q: string_too_long", "body.sort: string_type", "body.facets: list_type", "body.size: greater_than_equal"]);
    assert!(app.post("/search/users", json!({"sort": "nonsense"})).await.faults()[0].starts_with("body.sort: "));
    app.stop().await;
}

#[tokio::test]
async fn the_query_string_says_the_same() {
    let app = filled().await;
    assert_eq!(ids(&app.get("/search/users?company=acme&company=globex&city=york").await.ok()), ["1", "3"]);
    assert_eq!(ids(&app.get("/search/users?minAttended=0&size=100&q=").await.ok()), ["1", "2", "3", "4"]);
    assert_eq!(
        app.get("/search/users?minAttended=x&size=0&maxHosted=-1").await.faults(),
        ["query.minAttended: int_type", "query.maxHosted: greater_than_equal", "query.size: greater_than_equal"]
    );
    assert!(app.get("/search/users?sort=nonsense").await.faults()[0].starts_with("query.sort: "));
    app.stop().await;
}

#[tokio::test]
async fn facets_are_the_most_frequent_values() {
    let app = filled().await;
    assert_json_snapshot!(app.get("/search/facets?field=city&prefix=y").await.ok(), @r#"
    {
      "field": "city",
      "values": [
        {
          "value": "York",
          "count": 2
        }
      ]
    }
    "#);
    assert_eq!(app.get("/search/facets?limit=0").await.faults(), ["query.field: missing", "query.limit: greater_than_equal"]);
    assert!(app.get("/search/facets?field=email").await.faults()[0].starts_with("query.field: "));
    app.stop().await;
}
