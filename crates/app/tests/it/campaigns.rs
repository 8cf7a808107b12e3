use std::sync::Arc;

use async_trait::async_trait;
use emcrm_app::{AppError, Call, DomainLimits, Idempotency};
use emcrm_model::{CampaignState, DeliveryState, EmailAddress, PageRequest, UserPatch};
use emcrm_search::{Conditions, DocChange, Field, Index, Kind, Rebuild, SearchError, SearchPage, SearchRequest, tantivy_index::TantivyIndex};
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::stale_index::{Lag, StaleIndexEngine};
use emcrm_store::{Engine as _, Guard, Item, Table, Transaction, keys};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::{Answer, TestApp, call, campaign_draft, until};

async fn people(t: &TestApp, n: usize) {
    for i in 0..n {
        t.user_with(&format!("u{i:03}"), json!({ "city": if i % 2 == 0 { "Austin" } else { "Boston" } })).await;
    }
}

fn addresses(n: usize, which: impl Fn(usize) -> bool) -> Vec<String> {
    (0..n).filter(|i| which(*i)).map(|i| format!("u{i:03}@example.org")).collect()
}

#[tokio::test]
async fn exactly_those_who_match_are_mailed_once_and_the_ledger_says_so() {
    let t = TestApp::new();
    people(&t, 230).await;
    let worker = t.worker();
    let campaign = t.campaign(json!({ "city": "austin" })).await;
    assert_eq!(campaign.total_recipients, 115, "exact as soon as it is frozen");
    worker.stop().await;
    t.settle().await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count, done.counts.total()), (CampaignState::Sent, 115, 115));
    assert!(done.finished_at.is_some());
    assert_eq!(t.mail.taken(), addresses(230, |i| i % 2 == 0));
    let states = t.states(&campaign).await;
    assert_eq!(states.len(), 115);
    assert!(states.values().all(|state| *state == DeliveryState::Sent));
    let user = t.app.store.users.by_email(&EmailAddress::parse("u000@example.org").unwrap()).await.unwrap().unwrap();
    let history = t.app.deliveries_of_user(&call(), &user.id, PageRequest::first()).await.unwrap();
    assert_eq!((history.total, history.items[0].attempts), (1, 1));
}

#[tokio::test]
async fn an_audience_of_nobody_is_refused() {
    let t = TestApp::new();
    people(&t, 3).await;
    t.settle().await;
    let nobody = t.app.campaign_create(&call(), campaign_draft(json!({ "city": "Paris" }))).await;
    assert!(matches!(nobody, Err(AppError::NoUsersMatch)));
    assert!(matches!(t.app.campaign_list(&call(), PageRequest::first()).await, Err(AppError::NothingThere(_))));
}

#[tokio::test]
async fn a_repeated_key_makes_no_second_campaign() {
    let t = TestApp::new();
    people(&t, 4).await;
    let worker = t.worker();
    let with_key = Call { idempotency: Some(Idempotency { key: "once".to_owned(), fingerprint: "f".to_owned() }), ..call() };
    let first = t.app.campaign_create(&with_key, campaign_draft(json!({}))).await.unwrap();
    let second = t.app.campaign_create(&with_key, campaign_draft(json!({}))).await.unwrap();
    worker.stop().await;
    assert_eq!(first.id, second.id);
    t.settle().await;
    assert_eq!(t.mail.taken().len(), 4);
}

#[tokio::test]
async fn each_answer_of_the_mail_server_ends_as_documented() {
    let t = TestApp::new();
    people(&t, 8).await;
    t.mail.answer("u000@example.org", &[Answer::Permanent]);
    t.mail.answer("u001@example.org", &[Answer::Temporary, Answer::Temporary]);
    t.mail.answer("u002@example.org", &[Answer::TakenThenLost]);
    t.mail.answer("u003@example.org", &[Answer::Lost]);
    t.mail.answer("u004@example.org", &[Answer::Temporary; 6]);
    let worker = t.worker();
    let campaign = t.campaign(json!({})).await;
    worker.stop().await;
    for _ in 0..10 {
        t.settle().await;
        t.later(10_000);
    }
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!(done.status, CampaignState::Sent);
    let states = t.states(&campaign).await;
    let state = |i: usize| states[&format!("u{i:03}@example.org")];
    assert_eq!([0, 1, 2, 3, 4].map(state), [DeliveryState::Error, DeliveryState::Sent, DeliveryState::Unknown, DeliveryState::Sent, DeliveryState::Error]);
    let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[]).await.unwrap().items;
    let row = |i: usize| rows.iter().find(|row| row.email.as_ref().unwrap().as_str() == format!("u{i:03}@example.org")).unwrap();
    assert_eq!(row(0).error.as_deref(), Some("550 5.1.1 no such user"));
    assert_eq!([row(0).attempts, row(1).attempts, row(3).attempts, row(4).attempts], [1, 3, 1, 6]);
    assert_eq!(row(1).error, None, "an old failure is forgotten when the mail has gone out");
    let mut unique = t.mail.taken();
    unique.dedup();
    assert_eq!(unique.len(), t.mail.taken().len(), "nobody twice");
    let errors = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Error]).await.unwrap();
    assert_eq!((errors.total, errors.items.len()), (2, 2));
}

#[tokio::test]
async fn a_row_whose_worker_died_is_unknown_and_only_a_person_sends_it_again() {
    let t = TestApp::new();
    people(&t, 3).await;
    let worker = t.worker();
    let gate = t.mail.hold();
    let campaign = t.campaign(json!({})).await;
    // Wait for the claims; the mails are at the gate. Then the rows are those of a worker that no longer lives.
    while t.states(&campaign).await.values().filter(|state| **state == DeliveryState::Sending).count() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(worker);
    let other = TestApp::with(t.app.store.engine.clone(), t.app.index.clone());
    let settled = other.app.clone();
    let task = {
        let mut tx = Transaction::new();
        settled.store.tasks.put(
            &mut tx,
            emcrm_store::Queue::Mail,
            campaign.id.as_str(),
            "send",
            json!({ "campaign": campaign.id.as_str() }),
            settled.clock.now().as_millisecond(),
        );
        settled.store.engine.transact(tx).await
    };
    task.unwrap();
    other.later(31);
    other.settle().await;
    assert!(other.states(&campaign).await.values().all(|state| *state == DeliveryState::Unknown));
    assert!(other.mail.taken().is_empty(), "never again by itself");
    let done = other.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.unknown_count, done.counts.total()), (CampaignState::Sent, 3, 3));

    // The old worker lives after all, and what it knows is recorded.
    gate.add_permits(1_000);
    while t.states(&campaign).await.values().any(|state| *state != DeliveryState::Sent) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(t.mail.taken().len(), 3);
    assert_eq!(t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts.sent_count, 3);
}

#[tokio::test]
async fn a_worker_that_slept_over_its_claims_hands_none_of_them_over_when_it_wakes() {
    let t = TestApp::new();
    people(&t, 20).await;
    let doors = t.mail.shut();
    let sleeper = t.worker();
    let campaign = t.campaign(json!({})).await;
    let in_state = async |wanted: DeliveryState| t.states(&campaign).await.values().filter(|state| **state == wanted).count();
    until("each connection has a row in hand", async || in_state(DeliveryState::Sending).await == 6).await;
    // It sleeps, so its own clock stands still, until its lease has run out. Another one takes the campaign over, and a person has the lost rows sent again.
    let other = t.another("other");
    other.later(31);
    let awake = other.worker();
    let ended = async |sent: i64| {
        let now = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
        now.status == CampaignState::Sent && now.counts.sent_count == sent
    };
    until("the other one has sent the rest", async || ended(14).await).await;
    assert_eq!(in_state(DeliveryState::Unknown).await, 6);
    other.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Unknown]).await.unwrap();
    until("the lost ones are sent again", async || ended(20).await).await;
    assert_eq!(other.mail.taken(), addresses(20, |_| true));
    // It wakes with the rows still in its hands.
    t.later(31);
    doors.add_permits(1_000);
    sleeper.stop().await;
    awake.stop().await;
    assert!(t.mail.taken().is_empty(), "mailed twice: {:?}", t.mail.taken());
    let counts = t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts;
    assert_eq!((counts.sent_count, counts.total(), in_state(DeliveryState::Sent).await), (20, 20, 20));
}

#[tokio::test]
async fn a_worker_that_slept_and_was_not_taken_over_sends_what_it_had_claimed() {
    let t = TestApp::new();
    people(&t, 20).await;
    let doors = t.mail.shut();
    let worker = t.worker();
    let campaign = t.campaign(json!({})).await;
    let in_hand = async || t.states(&campaign).await.values().filter(|state| **state == DeliveryState::Sending).count();
    until("each connection has a row in hand", async || in_hand().await == 6).await;
    t.later(31);
    doors.add_permits(1_000);
    until("everybody is sent to", async || t.app.campaign_get(&call(), &campaign.id).await.unwrap().status == CampaignState::Sent).await;
    worker.stop().await;
    assert_eq!(t.mail.taken(), addresses(20, |_| true));
    let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[]).await.unwrap().items;
    assert!(rows.iter().all(|row| row.attempts == 1 && row.error.is_none()), "{rows:?}");
}

#[tokio::test]
async fn who_was_deleted_changed_or_suppressed_after_the_freeze_is_not_mailed() {
    let t = TestApp::new();
    people(&t, 20).await;
    let gate = t.mail.hold();
    let worker = t.worker();
    let campaign = t.campaign(json!({ "city": "Austin" })).await;
    t.app.campaign_pause(&call(), &campaign.id).await.unwrap();
    gate.add_permits(1_000);
    worker.stop().await;
    let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Pending]).await.unwrap().items;
    assert!(rows.len() >= 4, "{} rows wait", rows.len());
    let address = |i: usize| rows[i].email.clone().unwrap();
    t.app.user_delete(&call(), &rows[0].user_id).await.unwrap();
    let patch = |body| UserPatch::parse(&body).unwrap();
    t.app.user_patch(&call(), &rows[1].user_id, patch(json!({ "city": "Boston" }))).await.unwrap();
    t.app.user_patch(&call(), &rows[2].user_id, patch(json!({ "email": "elsewhere@example.org" }))).await.unwrap();
    let mut tx = Transaction::new();
    tx.put(Table::Email, Item { key: keys::suppression(&address(3)), attrs: emcrm_store::Attrs::default() }).when(Guard::Absent).or(emcrm_store::Rule::Changed);
    t.app.store.engine.transact(tx).await.unwrap();
    t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    t.later(5);
    t.settle().await;
    let states = t.states(&campaign).await;
    assert_eq!(
        [0, 1, 2, 3].map(|i| states[address(i).as_str()]),
        [DeliveryState::Skipped, DeliveryState::Skipped, DeliveryState::Skipped, DeliveryState::Suppressed]
    );
    let taken = t.mail.taken();
    assert!((0..4).all(|i| !taken.contains(&address(i).as_str().to_owned())));
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count, done.counts.total()), (CampaignState::Sent, 6, 10));
}

/// A run looks at people before their turn. What it saw does not count once they changed.
#[tokio::test]
async fn who_is_deleted_changed_or_suppressed_while_others_are_in_hand_is_not_mailed() {
    let engine = Arc::new(SqliteEngine::memory());
    assert!(engine.people_version().is_some());
    changed_while_others_are_in_hand(TestApp::on(engine)).await;
    // As with DynamoDB: nothing tells that somebody changed.
    let engine = Arc::new(StaleIndexEngine::new(Arc::new(SqliteEngine::memory()), Lag::Transactions(0)));
    assert_eq!(engine.people_version(), None);
    changed_while_others_are_in_hand(TestApp::on(engine)).await;
}

async fn changed_while_others_are_in_hand(t: TestApp) {
    people(&t, 60).await;
    let gate = t.mail.hold();
    let worker = t.worker();
    let campaign = t.campaign(json!({})).await;
    gate.add_permits(12);
    until("some are through", async || t.mail.taken().len() == 12).await;
    until("others are in hand", async || t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts.sending_count > 0).await;
    let waiting = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Pending]).await.unwrap().items;
    assert!(waiting.len() >= 9, "{} rows wait", waiting.len());
    for (i, row) in waiting.iter().enumerate() {
        let address = row.email.clone().unwrap();
        match i % 3 {
            0 => t.app.user_delete(&call(), &row.user_id).await.unwrap(),
            1 => {
                let patch = UserPatch::parse(&json!({ "email": format!("new.{address}") })).unwrap();
                t.app.user_patch(&call(), &row.user_id, patch).await.unwrap();
            }
            _ => {
                let mut tx = Transaction::new();
                let item = Item { key: keys::suppression(&address), attrs: emcrm_store::Attrs::default() };
                tx.put(Table::Email, item).when(Guard::Absent).or(emcrm_store::Rule::Changed);
                t.app.store.engine.transact(tx).await.unwrap();
            }
        }
    }
    gate.add_permits(1_000);
    until("it is over", async || t.app.campaign_get(&call(), &campaign.id).await.unwrap().status == CampaignState::Sent).await;
    worker.stop().await;
    let taken = t.mail.taken();
    let changed: Vec<String> = waiting.iter().map(|row| row.email.clone().unwrap().to_string()).collect();
    assert!(changed.iter().all(|address| !taken.contains(address)), "{taken:?}");
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    let suppressed = waiting.len() as i64 / 3;
    assert_eq!((done.counts.suppressed_count, done.counts.skipped_count, done.counts.total()), (suppressed, waiting.len() as i64 - suppressed, 60));
}

#[tokio::test]
async fn a_cancelled_campaign_sends_no_more_and_its_states_add_up() {
    let t = TestApp::new();
    people(&t, 40).await;
    let gate = t.mail.hold();
    let worker = t.worker();
    let campaign = t.campaign(json!({})).await;
    t.app.campaign_cancel(&call(), &campaign.id).await.unwrap();
    gate.add_permits(1_000);
    worker.stop().await;
    t.settle().await;
    t.later(200);
    t.settle().await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!(done.status, CampaignState::Cancelled);
    assert_eq!((done.counts.sent_count + done.counts.cancelled_count, done.counts.total()), (40, 40));
    assert_eq!(t.mail.taken().len() as i64, done.counts.sent_count);
    let wrong = t.app.campaign_resume(&call(), &campaign.id).await;
    assert!(matches!(wrong, Err(AppError::CampaignState { now: CampaignState::Cancelled, wanted: "resumed" })));
}

#[tokio::test]
async fn refused_mails_go_out_again_when_a_person_says_so() {
    let t = TestApp::new();
    people(&t, 3).await;
    t.mail.answer("u001@example.org", &[Answer::Permanent]);
    let campaign = t.sent(campaign_draft(json!({}))).await;
    assert_eq!(t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts.error_count, 1);
    t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    t.settle().await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count, done.counts.error_count), (CampaignState::Sent, 3, 0));
    assert!(matches!(t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Sent]).await, Err(AppError::Invalid(_))));
}

#[tokio::test]
async fn a_mail_server_that_is_down_delays_the_campaign_and_loses_nothing() {
    let t = TestApp::new();
    people(&t, 12).await;
    *t.mail.down.lock() = true;
    let campaign = t.sent(campaign_draft(json!({}))).await;
    assert_eq!(t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts.pending_count, 12);
    *t.mail.down.lock() = false;
    t.later(400);
    t.settle().await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count), (CampaignState::Sent, 12));
    let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[]).await.unwrap().items;
    assert!(rows.iter().all(|row| row.attempts == 1), "a mail that never left is no attempt");
}

#[tokio::test]
async fn a_mail_server_that_refuses_everything_pauses_the_campaign() {
    let t = TestApp::new();
    // More than 100, and than all connections together can have in hand when the hundredth is refused.
    let all = 600;
    people(&t, all).await;
    for i in 0..all {
        t.mail.answer(&format!("u{i:03}@example.org"), &[Answer::Permanent]);
    }
    let campaign = t.sent(campaign_draft(json!({}))).await;
    let held = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!(held.status, CampaignState::Paused);
    assert!(held.reason.unwrap().contains("550 5.1.1 no such user"));
    assert!(held.counts.pending_count > 0 && held.counts.total() == all as i64, "{:?}", held.counts);
}

#[tokio::test]
async fn one_domain_that_refuses_everything_does_not_stop_the_others() {
    let t = TestApp::new();
    for i in 0..160 {
        let name = format!("z{i:03}");
        t.user_at(&name, &format!("{name}@refuses.example")).await;
        t.mail.answer(&format!("{name}@refuses.example"), &[Answer::Permanent]);
        // Among them, as everywhere: somebody else's mail is taken.
        if i % 16 == 0 {
            t.user_at(&format!("{name}b"), &format!("{name}@example.org")).await;
        }
    }
    let campaign = t.sent(campaign_draft(json!({}))).await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count, done.counts.error_count), (CampaignState::Sent, 10, 160), "{:?}", done.reason);
}

#[tokio::test]
async fn an_audience_of_one_domain_that_begins_to_refuse_everything_pauses_the_campaign() {
    let t = TestApp::new();
    t.user_at("a", "first@company.example").await;
    for i in 0..600 {
        let address = format!("b{i:03}@company.example");
        t.user_at(&format!("b{i:03}"), &address).await;
        t.mail.answer(&address, &[Answer::Permanent]);
    }
    // Nobody works while it is made: a run that is stopped and begun again counts anew.
    let campaign = t.campaign(json!({})).await;
    t.settle().await;
    let held = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((held.status, held.counts.sent_count), (CampaignState::Paused, 1));
    assert!(held.reason.unwrap().contains("550 5.1.1 no such user"));
    assert!(held.counts.pending_count > 400 && held.counts.total() == 601, "{:?}", held.counts);
}

#[tokio::test]
async fn one_domain_that_refuses_for_now_is_tried_again_and_pauses_nothing() {
    let t = TestApp::new();
    people(&t, 5).await;
    for i in 0..120 {
        let address = format!("z{i:03}@later.example");
        t.user_at(&format!("z{i:03}"), &address).await;
        t.mail.answer(&address, &[Answer::Temporary; 2]);
    }
    let campaign = t.campaign(json!({})).await;
    for _ in 0..4 {
        t.settle().await;
        t.later(1_000);
    }
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count), (CampaignState::Sent, 125), "{:?}", done.reason);
}

#[tokio::test]
async fn a_mail_server_that_stays_away_pauses_the_campaign_after_about_an_hour() {
    let t = TestApp::new();
    people(&t, 5).await;
    *t.mail.down.lock() = true;
    let campaign = t.campaign(json!({})).await;
    let (mut minutes, mut held) = (0, campaign.clone());
    while held.status != CampaignState::Paused && minutes < 240 {
        t.settle().await;
        held = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
        t.later(60);
        minutes += 1;
    }
    assert!((30..=90).contains(&minutes), "{minutes} minutes");
    assert!(held.reason.unwrap().contains("the mail server cannot be used"));
    assert_eq!((held.counts.pending_count, held.counts.total()), (5, 5), "nothing is lost");
    let log = t.app.campaign_log(&call(), &campaign.id).await.unwrap();
    assert_eq!(log.last().unwrap().what, "paused");
    *t.mail.down.lock() = false;
    t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count), (CampaignState::Sent, 5));
}

#[tokio::test]
async fn one_recipient_at_whom_the_mail_server_hangs_up_keeps_nobody_else_from_their_mail() {
    // The first of the ledger, and the last.
    for id in ["00", "zz"] {
        let t = TestApp::new();
        t.user_at(id, "bad@example.org").await;
        for i in 0..39 {
            t.user_at(&format!("a{i:02}"), &format!("u{i:03}@example.org")).await;
        }
        t.mail.answer("bad@example.org", &[Answer::Lost; 1_000]);
        let campaign = t.campaign(json!({})).await;
        t.settle().await;
        let counts = t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts;
        assert_eq!((counts.sent_count, counts.pending_count), (39, 1), "{id}");
        for _ in 0..10 {
            t.later(4_000);
            t.settle().await;
        }
        let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
        assert_eq!((done.status, done.counts.sent_count, done.counts.error_count), (CampaignState::Sent, 39, 1), "{id}: {:?}", done.reason);
        assert_eq!(t.mail.taken(), addresses(39, |_| true), "each once");
        let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Error]).await.unwrap().items;
        let words = rows.first().unwrap().error.as_deref();
        assert_eq!((rows.len(), rows[0].attempts, words), (1, 6, Some("the mail server ends the connection at this mail: reset")));
    }
}

#[tokio::test]
async fn a_mail_server_that_hangs_up_at_everybody_is_waited_for_and_no_attempt_is_counted() {
    let t = TestApp::new();
    people(&t, 12).await;
    for address in addresses(12, |_| true) {
        t.mail.answer(&address, &[Answer::Lost; 1_000]);
    }
    let campaign = t.campaign(json!({})).await;
    let (mut minutes, mut held) = (0, campaign.clone());
    while held.status != CampaignState::Paused && minutes < 240 {
        t.settle().await;
        held = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
        t.later(60);
        minutes += 1;
    }
    assert!((30..=90).contains(&minutes), "{minutes} minutes");
    assert!(held.reason.unwrap().contains("the mail server cannot be used"));
    assert_eq!((held.counts.pending_count, held.counts.total()), (12, 12), "nothing is lost");
    let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[]).await.unwrap().items;
    assert!(rows.iter().all(|row| row.attempts == 0), "a mail that never left is no attempt");
}

#[tokio::test]
async fn a_domain_that_says_later_gets_its_mails_later_and_the_others_theirs_now() {
    let t = TestApp::new();
    people(&t, 10).await;
    for i in 0..40 {
        let name = format!("z{i:03}");
        t.user_with(&name, json!({ "email": format!("{name}@greylists.example") })).await;
        t.mail.answer(&format!("{name}@greylists.example"), &[Answer::Greylisted]);
    }
    // Nobody works while it is made, so that one run, and not two, finds out about the domain.
    let campaign = t.campaign(json!({})).await;
    t.settle().await;
    let counts = t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts;
    assert_eq!((counts.sent_count, counts.pending_count), (10, 40));
    let asked = t.mail.refused();
    assert!((1..=12).contains(&asked), "{asked} mails were tried at a domain that asked to be left alone");
    // Another campaign is the same sender to that domain.
    let second = t.campaign(json!({})).await;
    t.settle().await;
    let counts = t.app.campaign_get(&call(), &second.id).await.unwrap().counts;
    assert_eq!((counts.sent_count, counts.pending_count, t.mail.refused()), (10, 40, asked));
    for _ in 0..40 {
        t.later(3_700);
        t.settle().await;
    }
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count), (CampaignState::Sent, 50));
}

#[tokio::test]
async fn domains_that_have_to_wait_do_not_hold_up_the_others_however_many_their_rows_are() {
    let t = TestApp::limited(DomainLimits { connections: None, rate: Some(1) });
    // More than are known beforehand, and more than one read of the ledger brings.
    for i in 0..1_100 {
        t.user_at(&format!("a{i:04}"), &format!("a{i:04}@slow.example")).await;
    }
    let others: Vec<String> = (0..10).map(|i| format!("b@d{i}.example")).collect();
    for (i, address) in others.iter().enumerate() {
        t.user_at(&format!("b{i:04}"), address).await;
    }
    let campaign = t.campaign(json!({})).await;
    let worker = t.worker();
    // The clock stands still, so of the slow domain one mail may go.
    until("the others go first", async || others.iter().all(|address| t.mail.taken().contains(address))).await;
    assert_eq!(t.mail.taken().iter().filter(|address| address.ends_with("@slow.example")).count(), 1);
    t.later(1);
    until("a second later the next one goes", async || t.mail.taken().len() == 12).await;
    worker.stop().await;
    let counts = t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts;
    assert_eq!((counts.sent_count, counts.pending_count, counts.total()), (12, 1_098, 1_110));
}

#[tokio::test]
async fn a_domain_gets_so_many_mails_at_once_in_a_campaign_and_the_others_theirs() {
    let t = TestApp::limited(DomainLimits { connections: Some(2), rate: None });
    for i in 0..20 {
        t.user_at(&format!("a{i:02}"), &format!("a{i:02}@busy.example")).await;
    }
    for i in 0..4 {
        t.user_at(&format!("b{i:02}"), &format!("b@d{i}.example")).await;
    }
    let gate = t.mail.hold();
    let campaign = t.campaign(json!({})).await;
    let worker = t.worker();
    until("two of the busy domain and all others are in hand", async || t.mail.in_hand.lock().values().map(|(now, _)| *now).sum::<usize>() == 6).await;
    // One after another, so that each place that comes free is fought for.
    for taken in 1..=24 {
        gate.add_permits(1);
        until("one more is taken", async || t.mail.taken().len() == taken).await;
    }
    worker.stop().await;
    t.settle().await;
    assert_eq!(t.mail.most_at_once("busy.example"), 2);
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count), (CampaignState::Sent, 24));
}

#[tokio::test]
async fn a_clock_that_is_set_holds_up_no_domain_and_no_row() {
    let t = TestApp::limited(DomainLimits { connections: None, rate: Some(1) });
    for i in 0..4 {
        t.user_at(&format!("a{i}"), &format!("a{i}@slow.example")).await;
    }
    let campaign = t.campaign(json!({})).await;
    let worker = t.worker();
    until("the first goes", async || t.mail.taken().len() == 1).await;
    t.clock.jump(SignedDuration::from_hours(-1));
    t.later(1);
    until("the second goes although the clock was put back", async || t.mail.taken().len() == 2).await;
    t.clock.jump(SignedDuration::from_hours(24));
    t.later(1);
    until("the third goes although the clock was put forward", async || t.mail.taken().len() == 3).await;
    t.later(1);
    until("the last goes", async || t.mail.taken().len() == 4).await;
    worker.stop().await;
    t.settle().await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count), (CampaignState::Sent, 4));

    // A moment that was noted before the clock was put back means nothing any more.
    let t = TestApp::new();
    people(&t, 1).await;
    t.mail.answer("u000@example.org", &[Answer::Temporary]);
    let campaign = t.campaign(json!({})).await;
    t.settle().await;
    t.app.campaign_pause(&call(), &campaign.id).await.unwrap();
    t.clock.jump(SignedDuration::from_hours(-24));
    t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count), (CampaignState::Sent, 1));

    // Nor does the moment of a task, and nobody has to do anything about it.
    let t = TestApp::new();
    people(&t, 1).await;
    t.mail.answer("u000@example.org", &[Answer::Temporary]);
    t.campaign(json!({})).await;
    t.settle().await;
    t.clock.jump(SignedDuration::from_hours(-24));
    let worker = t.worker();
    until("it is sent though its moment is a day ahead", async || t.mail.taken().len() == 1).await;
    worker.stop().await;
}

/// Answers every question about users with everybody, whatever was asked; walks give ids twice, and those that were given before.
struct LyingIndex(TantivyIndex);

#[async_trait]
impl Index for LyingIndex {
    async fn apply(&self, changes: Vec<DocChange>) -> Result<(), SearchError> {
        self.0.apply(changes).await
    }
    async fn flush(&self) -> Result<(), SearchError> {
        self.0.flush().await
    }
    async fn search(&self, request: SearchRequest) -> Result<SearchPage, SearchError> {
        self.0.search(request).await
    }
    async fn count(&self, kind: Kind, _: Conditions) -> Result<u64, SearchError> {
        self.0.count(kind, Conditions::default()).await
    }
    async fn walk(&self, kind: Kind, _: Conditions, after: Option<String>, limit: u32) -> Result<Vec<String>, SearchError> {
        let mut ids = self.0.walk(kind, Conditions::default(), after.clone(), limit).await?;
        match after {
            None => {
                let again = ids.clone();
                ids.extend(again);
                ids.push("zzz-nobody".to_owned());
            }
            Some(after) => {
                ids.extend(self.0.walk(kind, Conditions::default(), None, limit).await?);
                ids.push(after);
            }
        }
        Ok(ids)
    }
    async fn facets(&self, kind: Kind, conditions: Conditions, field: Field, prefix: String, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        self.0.facets(kind, conditions, field, prefix, limit).await
    }
    async fn one_of_each(&self, kind: Kind, conditions: Conditions, field: Field, values: Vec<String>) -> Result<Vec<Option<String>>, SearchError> {
        self.0.one_of_each(kind, conditions, field, values).await
    }
    async fn digests(&self, kind: Kind, after: Option<String>, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        self.0.digests(kind, after, limit).await
    }
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, SearchError> {
        self.0.rebuild().await
    }
    async fn health(&self) -> Result<(), SearchError> {
        self.0.health().await
    }
    fn name(&self) -> &'static str {
        "lying"
    }
    async fn is_complete(&self) -> Result<bool, SearchError> {
        self.0.is_complete().await
    }
    async fn mark_complete(&self) -> Result<(), SearchError> {
        self.0.mark_complete().await
    }
}

#[tokio::test]
async fn an_index_that_lies_mails_nobody_who_does_not_match() {
    let t = TestApp::with(Arc::new(SqliteEngine::memory()), Arc::new(LyingIndex(TantivyIndex::memory().unwrap())));
    people(&t, 30).await;
    let campaign = t.sent(campaign_draft(json!({ "city": "Austin" }))).await;
    assert_eq!(t.mail.taken(), addresses(30, |i| i % 2 == 0));
    assert_eq!(t.app.campaign_get(&call(), &campaign.id).await.unwrap().total_recipients, 15);
}

#[tokio::test]
async fn an_index_that_gives_ids_twice_and_out_of_order_holds_up_no_campaign_and_mails_nobody_twice() {
    let t = TestApp::with(Arc::new(SqliteEngine::memory()), Arc::new(LyingIndex(TantivyIndex::memory().unwrap())));
    // More than one transaction of the ledger holds.
    people(&t, 130).await;
    let campaign = t.sent(campaign_draft(json!({}))).await;
    assert_eq!(t.mail.taken(), addresses(130, |_| true));
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.total_recipients, done.counts.sent_count), (CampaignState::Sent, 130, 130));
}

#[tokio::test]
async fn a_preview_counts_and_renders_and_stores_nothing() {
    let t = TestApp::new();
    people(&t, 30).await;
    t.settle().await;
    let preview = t.app.campaign_preview(&call(), campaign_draft(json!({ "city": "Austin" }))).await.unwrap();
    assert_eq!((preview.total, preview.recipients.len(), preview.subject.as_str()), (15, 10, "Hello"));
    assert!(matches!(t.app.campaign_list(&call(), PageRequest::first()).await, Err(AppError::NothingThere(_))));
    t.app.campaign_test(&call(), campaign_draft(json!({})), EmailAddress::parse("me@example.org").unwrap()).await.unwrap();
    assert_eq!(t.mail.taken(), ["me@example.org"]);
}
