//! Campaigns to those on an event's list.

use std::sync::Arc;
use std::time::Duration;

use emcrm_app::AppError;
use emcrm_model::{Campaign, CampaignDraft, CampaignState, DeliveryState, Event, Recipients, User};
use emcrm_search::tantivy_index::TantivyIndex;
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::stale_index::{Lag, StaleIndexEngine};
use serde_json::{Value, json};

use crate::support::{TestApp, call, merged};

fn draft(event: &Event, audience: &str, more: Value) -> CampaignDraft {
    let body = json!({ "audience": audience, "eventId": event.id.as_str(), "filter": {}, "subject": "Hello", "body": "See you there." });
    CampaignDraft::parse(&merged(body, more)).unwrap()
}

/// Which of the people on the list.
type Which = fn(usize) -> bool;

/// An event with so many people on its list, every third of them here, every second from Austin, and as many people who are not on it.
async fn filled(t: &TestApp, n: usize) -> (Event, Vec<User>) {
    let event = t.event("Talks", json!({})).await;
    let mut attendees = Vec::new();
    for i in 0..n {
        let city = if i % 2 == 0 { "Austin" } else { "Boston" };
        let user = t.user_with(&format!("u{i:03}"), json!({ "city": city })).await;
        t.attend(&user, &event).await;
        if i % 3 == 0 {
            t.app.attendance_change(&call(), &user.id, &event.id, Some("here".to_owned())).await.unwrap();
        }
        attendees.push(user);
        t.user_with(&format!("x{i:03}"), json!({ "city": city })).await;
    }
    (event, attendees)
}

fn addresses(n: usize, which: impl Fn(usize) -> bool) -> Vec<String> {
    (0..n).filter(|i| which(*i)).map(|i| format!("u{i:03}@example.org")).collect()
}

async fn send(t: &TestApp, draft: CampaignDraft) -> Campaign {
    t.mail.taken.lock().clear();
    let campaign = t.sent(draft).await;
    t.app.campaign_get(&call(), &campaign.id).await.unwrap()
}

#[tokio::test]
async fn exactly_those_on_the_list_are_mailed_and_the_filter_chooses_among_them() {
    let t = TestApp::new();
    let n = 240;
    let (event, _) = filled(&t, n).await;
    t.settle().await;
    let cases: [(&str, Value, Which); 5] = [
        ("attendees", json!({}), |_| true),
        ("attendees", json!({ "filter": { "city": "Austin" } }), |i| i % 2 == 0),
        ("here", json!({}), |i| i % 3 == 0),
        ("away", json!({}), |i| i % 3 != 0),
        ("away", json!({ "filter": { "city": "Boston" } }), |i| i % 3 != 0 && i % 2 != 0),
    ];
    for (audience, more, which) in cases {
        let draft = draft(&event, audience, more.clone());
        let wanted = addresses(n, which);
        let reach = t.app.reach(&call(), &Recipients::from(&draft)).await.unwrap();
        assert_eq!((reach.total, reach.settled, reach.people.len()), (wanted.len() as u64, true, 10), "{audience} {more}");
        let found = t.app.campaign_preflight(&call(), draft.clone()).await.unwrap();
        assert_eq!((found.matches, found.recipients, found.is_exact()), (wanted.len() as u64, wanted.len() as u64, true), "{audience} {more}");
        let done = send(&t, draft).await;
        assert_eq!((done.status, done.total_recipients, done.counts.sent_count), (CampaignState::Sent, wanted.len() as u64, wanted.len() as i64));
        assert_eq!(t.mail.taken(), wanted, "{audience} {more}");
    }
}

#[tokio::test]
async fn who_matches_is_shown_however_far_behind_on_the_list_they_stand() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({})).await;
    // More than are read at once.
    let mut attendees = Vec::new();
    for i in 0..1_050 {
        attendees.push(t.user(&format!("u{i:04}")).await);
        t.attend(&attendees[i], &event).await;
    }
    attendees.sort_by(|one, other| one.id.cmp(&other.id));
    let last = attendees.last().unwrap();
    t.app.attendance_change(&call(), &last.id, &event.id, Some("here".to_owned())).await.unwrap();
    let reach = t.app.reach(&call(), &Recipients::from(&draft(&event, "here", json!({})))).await.unwrap();
    assert_eq!((reach.total, reach.settled), (1, true));
    assert_eq!(reach.people.iter().map(|user| &user.id).collect::<Vec<_>>(), [&last.id]);
}

#[tokio::test]
async fn nobody_on_the_list_is_nobody_and_never_everybody() {
    let t = TestApp::new();
    filled(&t, 2).await;
    let empty = t.event("Nobody's", json!({})).await;
    t.settle().await;
    for audience in ["attendees", "here", "away"] {
        assert!(matches!(t.app.campaign_create(&call(), draft(&empty, audience, json!({}))).await, Err(AppError::NoUsersMatch)), "{audience}");
    }
    // Not even a campaign that asks for a list and names none, which no draft can be.
    let none = CampaignDraft { event_id: None, ..draft(&empty, "attendees", json!({})) };
    assert!(matches!(t.app.campaign_create(&call(), none).await, Err(AppError::NoUsersMatch)));
}

#[tokio::test]
async fn who_leaves_the_list_or_comes_after_the_freeze_is_not_mailed() {
    let t = TestApp::new();
    let (event, _) = filled(&t, 30).await;
    let gate = t.mail.hold();
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(&event, "away", json!({}))).await.unwrap();
    assert_eq!(campaign.total_recipients, 20);
    t.app.campaign_pause(&call(), &campaign.id).await.unwrap();
    gate.add_permits(1_000);
    worker.stop().await;
    let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, emcrm_model::PageRequest::first(), &[DeliveryState::Pending]).await.unwrap().items;
    assert!(rows.len() >= 3, "{} rows wait", rows.len());
    t.app.attendance_cancel(&call(), &rows[0].user_id, &event.id).await.unwrap();
    t.app.attendance_change(&call(), &rows[1].user_id, &event.id, Some("here".to_owned())).await.unwrap();
    t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    t.later(5);
    t.settle().await;
    let states = t.states(&campaign).await;
    let state = |i: usize| states[rows[i].email.as_ref().unwrap().as_str()];
    assert_eq!([0, 1, 2].map(state), [DeliveryState::Skipped, DeliveryState::Skipped, DeliveryState::Sent]);
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count, done.counts.total()), (CampaignState::Sent, 18, 20));
}

#[tokio::test]
async fn an_event_that_is_deleted_before_its_mail_goes_out_mails_nobody() {
    let t = TestApp::new();
    let (event, _) = filled(&t, 4).await;
    let campaign = t.app.campaign_draft(&call(), draft(&event, "attendees", json!({})), None).await.unwrap();
    t.app.event_delete(&call(), &event.id).await.unwrap();
    t.settle().await;
    assert!(matches!(t.app.campaign_send(&call(), &campaign.id).await, Err(AppError::Invalid(_))));
    assert!(t.mail.taken().is_empty());
}

#[tokio::test]
async fn a_freeze_waits_for_a_list_that_lags_behind_its_event() {
    let stale = Arc::new(StaleIndexEngine::new(Arc::new(SqliteEngine::memory()), Lag::Transactions(1_000_000)));
    let t = TestApp::with(stale.clone(), Arc::new(TantivyIndex::memory().unwrap()));
    let (event, _) = filled(&t, 12).await;
    let of = Recipients::from(&draft(&event, "attendees", json!({})));
    let reach = t.app.reach(&call(), &of).await.unwrap();
    assert_eq!((reach.total, reach.settled), (12, false), "the event counts them, the list does not show them yet");
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(&event, "attendees", json!({}))).await.unwrap();
    assert_eq!((campaign.status, campaign.total_recipients), (CampaignState::Freezing, 0), "nobody is left out because of the lag");
    stale.catch_up();
    for _ in 0..12_000 {
        if t.mail.taken().len() == 12 {
            break;
        }
        stale.catch_up();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.stop().await;
    t.settle().await;
    assert_eq!(t.mail.taken(), addresses(12, |_| true));
    let log = t.app.campaign_log(&call(), &campaign.id).await.unwrap();
    assert!(log.iter().any(|entry| entry.what == "frozen" && entry.detail.is_none()), "{log:?}");
}
