use emcrm_app::{AppError, FacetValue, SearchPosition, UserSearch};
use emcrm_model::UserFilter;
use serde_json::{Value, json};

use crate::support::{TestApp, call};

fn search(filter: Value) -> UserSearch {
    UserSearch { filter: UserFilter::parse(&filter).unwrap(), q: None, sort: None, facets: Vec::new(), position: SearchPosition::Page(0), size: 10 }
}

#[tokio::test]
async fn a_filter_selects_whole_values_and_counts_exactly() {
    let t = TestApp::new();
    t.user_with("ann", json!({ "city": "York", "company": "Acme" })).await;
    t.user_with("bob", json!({ "city": "New York", "company": "ACME " })).await;
    t.user_with("cid", json!({ "city": "york" })).await;
    t.settle().await;
    let total = async |filter: Value| t.app.user_search(&call(), search(filter)).await.unwrap().total;
    assert_eq!(total(json!({ "city": "YORK" })).await, 2);
    assert_eq!(total(json!({ "city": ["york", "new york"] })).await, 3);
    assert_eq!(total(json!({ "company": "acme", "city": "york" })).await, 1);
    assert_eq!(total(json!({ "city": "" })).await, 3, "an empty text is no condition");
    assert_eq!(total(json!({ "minAttended": 1 })).await, 0);
}

#[tokio::test]
async fn counts_in_the_index_follow_attendance() {
    let t = TestApp::new();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let events = [t.event("One day", json!({})).await, t.event("Two days", json!({})).await];
    for event in &events {
        t.attend(&ann, event).await;
    }
    t.attend(&bob, &events[0]).await;
    t.settle().await;
    let found = t.app.user_search(&call(), search(json!({ "minAttended": 2 }))).await.unwrap();
    assert_eq!(found.users, vec![t.reload(&ann).await]);
}

#[tokio::test]
async fn facets_show_values_as_people_write_them() {
    let t = TestApp::new();
    for (name, company) in [("ann", "Acme GmbH"), ("bob", "ACME gmbh"), ("cid", "Zeta")] {
        t.user_with(name, json!({ "company": company })).await;
    }
    t.settle().await;
    let values = t.app.facet_values(&call(), "company", "ac", 10).await.unwrap();
    assert_eq!(values.len(), 1);
    assert_eq!((values[0].count, values[0].value.to_lowercase()), (2, "acme gmbh".to_owned()));
    assert_ne!(values[0].value, "acme gmbh", "as typed, not as folded");
    assert_eq!(t.app.facet_values(&call(), "company", "", 10).await.unwrap()[1], FacetValue { value: "Zeta".to_owned(), count: 1 });
    assert!(matches!(t.app.facet_values(&call(), "email", "", 10).await, Err(AppError::Invalid(_))));
}

#[tokio::test]
async fn a_cursor_goes_on_with_its_own_search_only() {
    let t = TestApp::new();
    for i in 0..25 {
        t.user_with(&format!("u{i:02}"), json!({ "city": "Austin" })).await;
    }
    t.settle().await;
    let first = t.app.user_search(&call(), UserSearch { sort: Some("name".to_owned()), ..search(json!({ "city": "Austin" })) }).await.unwrap();
    let next = SearchPosition::Cursor(first.next.unwrap());
    let more = UserSearch { sort: Some("name".to_owned()), position: next.clone(), ..search(json!({ "city": "Austin" })) };
    assert_eq!(t.app.user_search(&call(), more).await.unwrap().users[0].first_name, "u10");
    let other = UserSearch { sort: Some("-name".to_owned()), position: next, ..search(json!({ "city": "Austin" })) };
    assert!(matches!(t.app.user_search(&call(), other).await, Err(AppError::BadCursor)));
}

#[tokio::test]
async fn the_index_is_rebuilt_from_the_storage_while_changes_go_on() {
    let t = TestApp::new();
    for i in 0..50 {
        t.user_with(&format!("u{i}"), json!({ "city": "Austin" })).await;
    }
    t.settle().await;
    let worker = t.worker();
    let app = t.app.clone();
    let rebuild = tokio::spawn(async move { app.reindex(|_| {}).await.unwrap() });
    for i in 50..80 {
        t.user_with(&format!("u{i}"), json!({ "city": "Austin" })).await;
    }
    assert!(rebuild.await.unwrap() >= 50);
    assert!(t.app.index_settled(std::time::Duration::from_secs(30)).await.unwrap());
    worker.stop().await;
    assert_eq!(t.app.user_search(&call(), search(json!({ "city": "Austin" }))).await.unwrap().total, 80);
}

#[tokio::test]
async fn an_index_that_was_lost_is_filled_again_before_anybody_is_chosen_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let engine: std::sync::Arc<dyn emcrm_store::Engine> = std::sync::Arc::new(emcrm_store::sqlite::SqliteEngine::memory());
    let open = || std::sync::Arc::new(emcrm_search::TantivyIndex::open(folder.path()).unwrap());
    {
        let t = TestApp::with(engine.clone(), open());
        for i in 0..30 {
            t.user_with(&format!("u{i}"), json!({ "city": "Austin" })).await;
        }
        t.settle().await;
        assert_eq!(t.app.user_search(&call(), search(json!({ "city": "Austin" }))).await.unwrap().total, 30);
    }
    std::fs::remove_dir_all(folder.path().join("search")).unwrap();
    let t = TestApp::with(engine, open());
    assert!(!t.app.index_settled(std::time::Duration::ZERO).await.unwrap());
    let worker = t.worker();
    assert!(t.app.index_settled(std::time::Duration::from_secs(30)).await.unwrap());
    worker.stop().await;
    assert_eq!(t.app.user_search(&call(), search(json!({ "city": "Austin" }))).await.unwrap().total, 30);
}
