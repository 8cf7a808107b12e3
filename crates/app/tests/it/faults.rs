//! The same use cases on an engine that fails by a seed, and on one whose indexes lag.

use std::sync::Arc;
use std::time::Duration;

use emcrm_app::{AppError, Call, Idempotency};
use emcrm_store::faulty::{FaultPlan, FaultyEngine};
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::stale_index::{Lag, StaleIndexEngine};
use serde_json::json;

use crate::support::{TestApp, attendance, call, campaign_draft, event_draft, user_draft};

/// A client that repeats a write with its key until it is answered.
async fn until_answered<T>(key: &str, mut write: impl AsyncFnMut(&Call) -> Result<T, AppError>) -> Result<T, AppError> {
    let with_key = Call { idempotency: Some(Idempotency { key: key.to_owned(), fingerprint: key.to_owned() }), ..call() };
    for _ in 0..200 {
        match write(&with_key).await {
            Err(AppError::Storage(_) | AppError::Contended) => {}
            answered => return answered,
        }
    }
    panic!("no answer to {key}");
}

#[tokio::test]
async fn lost_answers_and_throttling_never_double_or_lose_a_write() {
    for seed in 0..6 {
        let plan = FaultPlan { unavailable: 0.06, unknown_before: 0.05, unknown_after: 0.08, delay: 0.05, delay_max: Duration::from_millis(2) };
        let faulty = Arc::new(FaultyEngine::new(Arc::new(SqliteEngine::memory()), seed, plan));
        let t = TestApp::on(faulty.clone());
        let event = until_answered("event", async |c| t.app.event_create(c, None, event_draft("Talks", json!({ "maxCapacity": 8 }))).await).await.unwrap();
        let mut users = Vec::new();
        for i in 0..20 {
            let draft = user_draft(&format!("u{i}"), json!({}));
            users.push(until_answered(&format!("user{i}"), async |c| t.app.user_create(c, None, draft.clone()).await).await.unwrap());
        }
        let mut won = 0;
        for user in &users {
            let key = format!("attend-{}", user.id);
            won += usize::from(until_answered(&key, async |c| t.app.attendance_register(c, attendance(user, &event)).await).await.is_ok());
        }
        assert_eq!(won, 8, "seed {seed}");
        until_answered("gone", async |c| t.app.user_delete(c, &users[0].id).await).await.unwrap();
        let counts = faulty.counts();
        assert!(counts.unknown_after > 0 && counts.unavailable > 0, "the faults did happen");
        faulty.switch(false);
        t.settle().await;
        t.assert_counts().await;
        assert_eq!(t.app.store.counts.total(emcrm_store::CountKind::Users).await.unwrap(), 19);
    }
}

#[tokio::test]
async fn a_campaign_under_faults_mails_nobody_twice_and_its_states_add_up() {
    for seed in 0..4 {
        let plan = FaultPlan { unavailable: 0.03, unknown_before: 0.02, unknown_after: 0.03, ..FaultPlan::default() };
        let faulty = Arc::new(FaultyEngine::new(Arc::new(SqliteEngine::memory()), seed, plan));
        faulty.switch(false);
        let t = TestApp::on(faulty.clone());
        for i in 0..120 {
            t.user(&format!("u{i:03}")).await;
        }
        t.settle().await;
        let campaign = {
            let worker = t.worker();
            faulty.switch(true);
            let campaign = until_answered("campaign", async |c| t.app.campaign_create(c, campaign_draft(json!({}))).await).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            faulty.switch(false);
            worker.stop().await;
            campaign
        };
        for _ in 0..12 {
            t.settle().await;
            t.later(600);
        }
        let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
        assert_eq!((done.total_recipients, done.counts.total()), (120, 120), "seed {seed}");
        let taken = t.mail.taken();
        let mut unique = taken.clone();
        unique.dedup();
        assert_eq!(unique.len(), taken.len(), "seed {seed}: nobody twice");
        let states = t.states(&campaign).await;
        assert_eq!(states.len(), 120);
        for address in &taken {
            assert!(matches!(states[address], emcrm_model::DeliveryState::Sent | emcrm_model::DeliveryState::Unknown), "seed {seed}: {address} was mailed");
        }
        let sent = states.values().filter(|state| **state == emcrm_model::DeliveryState::Sent).count() as i64;
        assert_eq!(sent, done.counts.sent_count, "seed {seed}");
        assert!(done.status.is_final(), "seed {seed}: {}", done.status);
    }
}

#[tokio::test]
async fn nothing_that_decides_reads_an_index() {
    let stale = Arc::new(StaleIndexEngine::new(Arc::new(SqliteEngine::memory()), Lag::Transactions(1_000_000)));
    let t = TestApp::on(stale.clone());
    let event = t.event("Talks", json!({ "maxCapacity": 1 })).await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    t.attend(&ann, &event).await;
    assert!(matches!(t.app.attendance_register(&call(), attendance(&ann, &event)).await, Err(AppError::AlreadyAttending)));
    assert!(matches!(t.app.attendance_register(&call(), attendance(&bob, &event)).await, Err(AppError::EventFull)));
    assert!(matches!(t.app.user_create(&call(), None, user_draft("ann", json!({}))).await, Err(AppError::EmailTaken)));
    let campaign = t.sent(campaign_draft(json!({}))).await;
    assert_eq!(t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts.sent_count, 2);
    // A deletion finds the attendances that an index did not show at first.
    t.app.event_delete(&call(), &event.id).await.unwrap();
    t.settle().await;
    stale.catch_up();
    t.later(11);
    t.settle().await;
    stale.catch_up();
    t.assert_counts().await;
}
