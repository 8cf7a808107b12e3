//! What happens when several processes write, when the index is lost, and when a rebuild dies.

use std::time::{Duration, Instant};

use emcrm_search::{Conditions, Doc, DocChange, Field, Index, Kind, SearchError};
use emcrm_search_opensearch::{OpenSearchIndex, OpenSearchSettings};
use serde_json::{Value, json};

use super::{endpoint, keep, settings};

fn user(id: &str, city: &str) -> Doc {
    let numbers = vec![(Field::AttendedCount, 0), (Field::HostedCount, 0), (Field::CreatedAt, 0)];
    Doc { kind: Kind::User, id: id.to_owned(), exact: vec![(Field::City, city.to_owned())], numbers, text: vec![city.to_owned()] }
}

async fn ids(index: &OpenSearchIndex) -> Vec<String> {
    index.flush().await.unwrap();
    index.walk(Kind::User, Conditions::default(), None, 1_000).await.unwrap()
}

async fn raw(method: reqwest::Method, path: &str, body: Value) -> Value {
    let answer = reqwest::Client::new().request(method, format!("{}{path}", endpoint())).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

fn open(settings: &OpenSearchSettings) -> OpenSearchIndex {
    OpenSearchIndex::new(settings.clone()).unwrap()
}

#[tokio::test]
async fn an_index_that_is_deleted_under_way_is_made_anew_and_asks_to_be_filled() {
    let settings = settings();
    let _kept = keep(&settings).await;
    let index = open(&settings);
    index.apply(vec![DocChange::Upsert(user("a", "Oslo"))]).await.unwrap();
    index.mark_complete().await.unwrap();
    raw(reqwest::Method::DELETE, &format!("/{}-000001", settings.name), Value::Null).await;
    // What is known may be a second old: a write finds out at once, and nothing is made without the mapping.
    index.apply(vec![DocChange::Upsert(user("b", "Rome"))]).await.unwrap();
    assert!(!index.is_complete().await.unwrap());
    assert_eq!(ids(&index).await, ["b"]);
    let mapping = raw(reqwest::Method::GET, &format!("/{}/_mapping", settings.name), Value::Null).await;
    let mapping = mapping.as_object().unwrap().values().next().unwrap();
    assert_eq!(mapping["mappings"]["dynamic"], "strict");
    // A rebuild makes it whole again.
    let mut rebuild = index.rebuild().await.unwrap();
    rebuild.add(vec![user("a", "Oslo"), user("b", "Rome")]).await.unwrap();
    rebuild.swap().await.unwrap();
    assert!(index.is_complete().await.unwrap());
    assert_eq!(ids(&index).await, ["a", "b"]);
}

#[tokio::test]
async fn a_search_on_a_lost_index_makes_one_that_is_not_complete() {
    let settings = settings();
    let _kept = keep(&settings).await;
    let index = open(&settings);
    index.apply(vec![DocChange::Upsert(user("a", "Oslo"))]).await.unwrap();
    index.mark_complete().await.unwrap();
    raw(reqwest::Method::DELETE, &format!("/{}-000001", settings.name), Value::Null).await;
    assert_eq!(index.count(Kind::User, Conditions::default()).await.unwrap(), 0);
    assert!(!index.is_complete().await.unwrap());
}

#[tokio::test]
async fn an_index_that_lost_its_alias_gets_it_back_as_it_was() {
    let settings = settings();
    let _kept = keep(&settings).await;
    let index = open(&settings);
    index.apply(vec![DocChange::Upsert(user("a", "Oslo"))]).await.unwrap();
    index.mark_complete().await.unwrap();
    let remove = json!({"actions": [{"remove": {"index": format!("{}-000001", settings.name), "alias": settings.name}}]});
    raw(reqwest::Method::POST, "/_aliases", remove).await;
    let other = open(&settings);
    assert!(other.is_complete().await.unwrap());
    assert_eq!(ids(&other).await, ["a"]);
}

#[tokio::test]
async fn an_index_of_an_older_mapping_serves_until_it_is_rebuilt() {
    let settings = settings();
    let _kept = keep(&settings).await;
    let index = open(&settings);
    index.apply(vec![DocChange::Upsert(user("a", "Oslo"))]).await.unwrap();
    index.mark_complete().await.unwrap();
    raw(reqwest::Method::PUT, &format!("/{}/_mapping", settings.name), json!({"_meta": {"version": 0, "complete": true}})).await;
    let index = open(&settings);
    assert!(!index.is_complete().await.unwrap());
    assert_eq!(ids(&index).await, ["a"]);
}

#[tokio::test]
async fn what_one_process_writes_while_another_rebuilds_is_in_the_new_index() {
    let mut settings = settings();
    settings.announce = Duration::from_secs(2);
    let _kept = keep(&settings).await;
    let (rebuilding, writing) = (open(&settings), open(&settings));
    writing.apply(vec![DocChange::Upsert(user("old", "Oslo")), DocChange::Upsert(user("gone", "Oslo"))]).await.unwrap();
    let mut rebuild = rebuilding.rebuild().await.unwrap();
    // The other one read the storage before these.
    writing.apply(vec![DocChange::Upsert(user("new", "Rome")), DocChange::Delete(Kind::User, "gone".to_owned())]).await.unwrap();
    writing.apply(vec![DocChange::Upsert(user("old", "Rome"))]).await.unwrap();
    rebuild.add(vec![user("old", "Oslo"), user("gone", "Oslo")]).await.unwrap();
    // Begun before the swap and ended after it, by a writer that knows of the swap only then.
    rebuild.swap().await.unwrap();
    writing.apply(vec![DocChange::Upsert(user("after", "Bonn"))]).await.unwrap();
    assert_eq!(ids(&writing).await, ["after", "new", "old"]);
    assert_eq!(ids(&rebuilding).await, ["after", "new", "old"]);
    let oslo = Conditions { all: vec![emcrm_search::Condition::AnyOf(Field::City, vec!["oslo".to_owned()])], text: None };
    assert_eq!(writing.count(Kind::User, oslo).await.unwrap(), 0);
}

#[tokio::test]
async fn of_two_processes_one_rebuilds_and_one_that_died_is_taken_over() {
    let settings = settings();
    let _kept = keep(&settings).await;
    let (one, two) = (open(&settings), open(&settings));
    let mut rebuild = one.rebuild().await.unwrap();
    rebuild.add(vec![user("half", "Oslo")]).await.unwrap();
    assert!(matches!(two.rebuild().await, Err(SearchError::Invalid(_))));
    // As if the first had died an hour ago: nobody beats for it any more.
    std::mem::forget(rebuild);
    let beat = json!({"kind": "beat", "id": "beat", "createdAt": 1});
    raw(reqwest::Method::PUT, &format!("/{}-000002/_doc/beat", settings.name), beat).await;
    let mut rebuild = two.rebuild().await.unwrap();
    rebuild.add(vec![user("whole", "Oslo")]).await.unwrap();
    rebuild.swap().await.unwrap();
    assert_eq!(ids(&two).await, ["whole"]);
}

#[tokio::test]
async fn an_index_under_the_name_of_the_alias_is_told() {
    let settings = settings();
    let _kept = keep(&settings).await;
    raw(reqwest::Method::PUT, &format!("/{}", settings.name), json!({})).await;
    let error = open(&settings).health().await.unwrap_err().to_string();
    raw(reqwest::Method::DELETE, &format!("/{}", settings.name), Value::Null).await;
    assert!(error.contains("OPENSEARCH_INDEX"), "{error}");
}

#[tokio::test]
async fn a_change_is_visible_by_itself_within_a_second_or_so() {
    let settings = settings();
    let _kept = keep(&settings).await;
    let index = open(&settings);
    index.flush().await.unwrap();
    index.apply(vec![DocChange::Upsert(user("a", "Oslo"))]).await.unwrap();
    index.settle().await.unwrap();
    let began = Instant::now();
    while index.count(Kind::User, Conditions::default()).await.unwrap() == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "it never becomes visible");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
