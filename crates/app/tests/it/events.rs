use emcrm_app::events::Ends;
use emcrm_app::{AppError, EventList};
use emcrm_model::{DateTime, EventPatch, PageRequest};
use serde_json::json;

use crate::support::{TestApp, call, event_draft};

#[tokio::test]
async fn a_slug_is_made_from_the_title_and_numbered_until_free() {
    let t = TestApp::new();
    assert_eq!(t.event("Rust Meetup Köln!", json!({})).await.slug.as_str(), "rust-meetup-koln");
    assert_eq!(t.event("Rust Meetup Köln!", json!({})).await.slug.as_str(), "rust-meetup-koln-2");
    for _ in 0..30 {
        t.event("Rust Meetup Köln!", json!({})).await;
    }
    let taken = event_draft("Other", json!({ "slug": "rust-meetup-koln" }));
    assert!(matches!(t.app.event_create(&call(), None, taken).await, Err(AppError::SlugTaken)));
    t.assert_counts().await;
}

#[tokio::test]
async fn an_owner_who_is_also_a_host_counts_once_and_counts_follow_every_change() {
    let t = TestApp::new();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let event = t.event("Talks", json!({ "owner": ann.id.as_str(), "hosts": [ann.id.as_str(), bob.id.as_str()] })).await;
    assert_eq!((t.reload(&ann).await.hosted_count, t.reload(&bob).await.hosted_count), (1, 1));
    let patch = |body| EventPatch::parse(&body).unwrap();
    t.app.event_patch(&call(), &event.id, patch(json!({ "hosts": [] }))).await.unwrap();
    assert_eq!((t.reload(&ann).await.hosted_count, t.reload(&bob).await.hosted_count), (1, 0));
    t.app.event_patch(&call(), &event.id, patch(json!({ "owner": null, "hosts": [bob.id.as_str()] }))).await.unwrap();
    assert_eq!((t.reload(&ann).await.hosted_count, t.reload(&bob).await.hosted_count), (0, 1));
    t.assert_counts().await;
    t.app.event_delete(&call(), &event.id).await.unwrap();
    assert_eq!(t.reload(&bob).await.hosted_count, 0);
    t.assert_counts().await;
}

#[tokio::test]
async fn unknown_owners_and_hosts_are_refused_on_create_and_on_change() {
    let t = TestApp::new();
    let draft = event_draft("Talks", json!({ "owner": "nobody", "hosts": ["no-one"] }));
    assert!(matches!(t.app.event_create(&call(), None, draft).await, Err(AppError::HostsUnknown(who)) if who == ["no-one", "nobody"]));
    let event = t.event("Talks", json!({})).await;
    let change = event_draft("Talks", json!({ "hosts": ["no-one"] }));
    assert!(matches!(t.app.event_replace(&call(), &event.id, change).await, Err(AppError::HostsUnknown(_))));
    t.assert_counts().await;
}

#[tokio::test]
async fn a_capacity_below_the_present_number_is_refused() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({ "maxCapacity": 5 })).await;
    for name in ["ann", "bob", "cid"] {
        t.attend(&t.user(name).await, &event).await;
    }
    let to = |capacity: i64| EventPatch::parse(&json!({ "maxCapacity": capacity })).unwrap();
    assert!(matches!(t.app.event_patch(&call(), &event.id, to(2)).await, Err(AppError::CapacityTooLow { attendees: 3 })));
    assert_eq!(t.app.event_patch(&call(), &event.id, to(3)).await.unwrap().max_capacity, Some(3));
    t.assert_counts().await;
}

#[tokio::test]
async fn date_times_come_back_as_they_were_sent() {
    let t = TestApp::new();
    for (start, end) in [
        ("2026-11-22T09:53:18.123456", "2026-11-22T09:53:18.123457"),
        ("2026-11-22T09:53:18.100000+05:30", "2026-11-22T10:53:18Z"),
        ("2026-11-22 09:00", "2026-11-22T09:00:01.000"),
    ] {
        let event = t.event("Talks", json!({ "startAt": start, "endAt": end, "timezone": "Europe/Berlin" })).await;
        let read = t.app.event_get(&call(), event.id.as_str()).await.unwrap();
        assert_eq!((read.start_at.as_str(), read.end_at.as_str()), (start, end));
        assert_eq!(t.app.event_get(&call(), event.slug.as_str()).await.unwrap().id, event.id, "also found by slug");
    }
}

#[tokio::test]
async fn events_are_listed_by_time_host_and_words() {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    t.event("Alpha night", json!({ "startAt": "2026-01-10T18:00:00Z", "endAt": "2026-01-10T20:00:00Z" })).await;
    t.event("Beta night", json!({ "startAt": "2026-02-10T18:00:00Z", "endAt": "2026-02-10T20:00:00Z", "hosts": [ann.id.as_str()] })).await;
    t.event("Gamma day", json!({ "startAt": "2026-03-10T18:00:00Z", "endAt": "2026-03-10T20:00:00Z", "owner": ann.id.as_str() })).await;
    t.settle().await;
    let base = EventList { page: PageRequest::first(), from: None, to: None, ends: Ends::Whenever, q: None, owner: None, host: None, sort: None };
    let titles = async |list: EventList| t.app.event_list(&call(), list).await.unwrap().items.into_iter().map(|event| event.title).collect::<Vec<_>>();
    let at = |text: &str| Some(DateTime::parse(text).unwrap());
    assert_eq!(titles(EventList { sort: Some("-startAt".to_owned()), ..base.clone() }).await, ["Gamma day", "Beta night", "Alpha night"]);
    assert_eq!(titles(EventList { from: at("2026-02-01T00:00:00Z"), to: at("2026-02-28T00:00:00Z"), ..base.clone() }).await, ["Beta night"]);
    assert_eq!(titles(EventList { q: Some("night".to_owned()), sort: Some("title".to_owned()), ..base.clone() }).await, ["Alpha night", "Beta night"]);
    assert_eq!(titles(EventList { host: Some(ann.id.to_string()), sort: Some("startAt".to_owned()), ..base.clone() }).await, ["Beta night", "Gamma day"]);
    assert_eq!(titles(EventList { owner: Some(ann.id.to_string()), ..base }).await, ["Gamma day"]);
}
