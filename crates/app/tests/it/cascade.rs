use serde_json::json;

use crate::support::{TestApp, attendance, call};

#[tokio::test]
async fn a_deleted_users_attendances_host_entries_and_seats_follow() {
    let t = TestApp::new();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut events = Vec::new();
    for i in 0..70 {
        let event = t.event(&format!("Event {i}"), json!({ "owner": ann.id.as_str(), "hosts": [bob.id.as_str(), ann.id.as_str()] })).await;
        t.attend(&ann, &event).await;
        t.attend(&bob, &event).await;
        events.push(event);
    }
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    t.settle().await;
    for event in &events {
        let read = t.app.event_get(&call(), event.id.as_str()).await.unwrap();
        assert_eq!((read.owner.as_str(), read.hosts, read.attendee_count), ("", vec![bob.id.clone()], 1));
    }
    t.assert_counts().await;
}

#[tokio::test]
async fn a_deleted_events_attendances_and_counts_follow() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({})).await;
    let other = t.event("Other", json!({})).await;
    let mut users = Vec::new();
    for i in 0..70 {
        let user = t.user(&format!("u{i}")).await;
        t.attend(&user, &event).await;
        t.attend(&user, &other).await;
        users.push(user);
    }
    t.app.event_delete(&call(), &event.id).await.unwrap();
    assert!(t.app.attendance_register(&call(), attendance(&users[0], &event)).await.is_err(), "nobody can join what is gone");
    t.settle().await;
    t.later(11);
    t.settle().await;
    for user in &users {
        assert_eq!(t.reload(user).await.attended_count, 1);
    }
    t.assert_counts().await;
    assert!(t.app.store.engine.get(emcrm_store::Table::Main, &emcrm_store::keys::event_tombstone(&event.id)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_user_and_their_event_deleted_together_leave_nothing_behind() {
    let t = TestApp::new();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let event = t.event("Talks", json!({ "owner": ann.id.as_str() })).await;
    t.attend(&ann, &event).await;
    t.attend(&bob, &event).await;
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    t.app.event_delete(&call(), &event.id).await.unwrap();
    t.settle().await;
    assert!(t.app.store.attendances.get(&ann.id, &event.id).await.unwrap().is_none());
    assert!(t.app.store.attendances.get(&bob.id, &event.id).await.unwrap().is_none());
    t.assert_counts().await;
}
