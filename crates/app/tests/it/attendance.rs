use emcrm_app::AppError;
use emcrm_model::{AttendanceDraft, EventId, PageRequest, UserId};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{TestApp, attendance, call};

#[tokio::test]
async fn each_refusal_is_told_by_its_own_name() {
    let t = TestApp::new();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let event = t.event("Talks", json!({ "maxCapacity": 1 })).await;
    t.attend(&ann, &event).await;
    let register = async |user: &str, event: &str| {
        let draft = AttendanceDraft { user_id: UserId::lookup(user).unwrap(), event_id: EventId::lookup(event).unwrap(), attended: "yes".to_owned() };
        t.app.attendance_register(&call(), draft).await.unwrap_err()
    };
    assert!(matches!(register(ann.id.as_str(), event.id.as_str()).await, AppError::AlreadyAttending), "also when it is full");
    assert!(matches!(register(bob.id.as_str(), event.id.as_str()).await, AppError::EventFull));
    assert!(matches!(register("nobody", event.id.as_str()).await, AppError::UserUnknown));
    assert!(matches!(register(bob.id.as_str(), "nothing").await, AppError::EventUnknown));
    t.assert_counts().await;
}

#[tokio::test]
async fn a_seat_that_is_given_back_can_be_taken_again() {
    let t = TestApp::new();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let event = t.event("Talks", json!({ "maxCapacity": 1 })).await;
    t.attend(&ann, &event).await;
    t.app.attendance_cancel(&call(), &ann.id, &event.id).await.unwrap();
    assert!(matches!(t.app.attendance_cancel(&call(), &ann.id, &event.id).await, Err(AppError::AttendanceUnknown)));
    t.attend(&bob, &event).await;
    assert_eq!(t.reload(&ann).await.attended_count, 0);
    t.assert_counts().await;
}

#[tokio::test]
async fn who_attends_is_listed_with_names_on_request() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({})).await;
    for name in ["ann", "bob"] {
        t.attend(&t.user(name).await, &event).await;
    }
    let page = t.app.attendance_of_event(&call(), &event.id, PageRequest::first(), true).await.unwrap();
    let mut names: Vec<_> = page.items.iter().map(|attendee| attendee.user.as_ref().unwrap().first_name.clone()).collect();
    names.sort();
    assert_eq!((page.total, names), (2, vec!["ann".to_owned(), "bob".to_owned()]));
    let user = page.items[0].attendance.user_id.clone();
    assert_eq!(t.app.attendance_of_user(&call(), &user, PageRequest::first()).await.unwrap().items.len(), 1);
    assert!(matches!(t.app.attendance_of_user(&call(), &UserId::lookup("no").unwrap(), PageRequest::first()).await, Err(AppError::UserUnknown)));
}

#[tokio::test]
async fn many_at_once_never_overfill_an_event() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({ "maxCapacity": 7 })).await;
    let mut users = Vec::new();
    for i in 0..40 {
        users.push(t.user(&format!("u{i}")).await);
    }
    let mut trying = tokio::task::JoinSet::new();
    for user in &users {
        let (app, draft) = (t.app.clone(), attendance(user, &event));
        trying.spawn(async move { app.attendance_register(&call(), draft).await.is_ok() });
    }
    let won = trying.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 7);
    t.assert_counts().await;
}

#[derive(Debug, Clone)]
enum Move {
    Register(usize, usize),
    Cancel(usize, usize),
    Capacity(usize, Option<i64>),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the order of registrations, cancellations and changes of capacity: the answers and the counts are those of a plain set.
    #[test]
    fn interleavings_match_a_model(moves in prop::collection::vec(prop_oneof![
        4 => (0..4_usize, 0..2_usize).prop_map(|(u, e)| Move::Register(u, e)),
        2 => (0..4_usize, 0..2_usize).prop_map(|(u, e)| Move::Cancel(u, e)),
        1 => (0..2_usize, prop::option::of(1..4_i64)).prop_map(|(e, c)| Move::Capacity(e, c)),
    ], 1..40)) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(async {
            let t = TestApp::new();
            let mut users = Vec::new();
            let mut events = Vec::new();
            for name in ["ann", "bob", "cid", "dee"] { users.push(t.user(name).await); }
            for title in ["One day", "Two days"] { events.push(t.event(title, json!({})).await); }
            let mut model: [(std::collections::BTreeSet<usize>, Option<i64>); 2] = Default::default();
            for step in moves {
                match step {
                    Move::Register(u, e) => {
                        let (there, most) = &mut model[e];
                        let room = most.is_none_or(|most| (there.len() as i64) < most);
                        let expect = if there.contains(&u) { "already" } else if room { "ok" } else { "full" };
                        let got = match t.app.attendance_register(&call(), attendance(&users[u], &events[e])).await {
                            Ok(_) => "ok",
                            Err(AppError::AlreadyAttending) => "already",
                            Err(AppError::EventFull) => "full",
                            Err(other) => panic!("{other}"),
                        };
                        assert_eq!(got, expect);
                        if got == "ok" { there.insert(u); }
                    }
                    Move::Cancel(u, e) => {
                        let done = t.app.attendance_cancel(&call(), &users[u].id, &events[e].id).await.is_ok();
                        assert_eq!(done, model[e].0.remove(&u));
                    }
                    Move::Capacity(e, most) => {
                        let patch = emcrm_model::EventPatch::parse(&json!({ "maxCapacity": most })).unwrap();
                        let fits = most.is_none_or(|most| model[e].0.len() as i64 <= most);
                        assert_eq!(t.app.event_patch(&call(), &events[e].id, patch).await.is_ok(), fits);
                        if fits { model[e].1 = most; }
                    }
                }
            }
            t.assert_counts().await;
        });
    }
}
