//! Connections are told whose mail comes next.

use std::collections::HashSet;
use std::sync::Arc;

use emcrm_app::{DomainLimits, Worker};
use emcrm_model::{Campaign, CampaignState, DeliveryState, EmailAddress, PageRequest, SuppressionReason};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{Announced, Answer, TestApp, call, campaign_with, until};

/// Of the transport of these tests.
const CONNECTIONS: usize = 6;
const PEOPLE: usize = 120;

async fn people(t: &TestApp) {
    for n in 0..PEOPLE {
        t.user(&format!("u{n:03}")).await;
    }
}

/// Everybody was mailed once but for so many.
fn assert_mailed(t: &TestApp, left_out: usize) {
    let taken = t.mail.taken();
    assert_eq!((taken.len(), taken.iter().collect::<HashSet<_>>().len()), (PEOPLE - left_out, PEOPLE - left_out));
}

/// A campaign to them is on its way; so many mails are through.
async fn on_its_way(t: &TestApp, through: usize) -> (Arc<Semaphore>, Worker, Campaign) {
    people(t).await;
    let (gate, worker, campaign) = (t.mail.hold(), t.worker(), t.campaign(json!({})).await);
    gate.add_permits(through);
    until("some are through", async || t.mail.taken().len() == through).await;
    (gate, worker, campaign)
}

async fn sent(t: &TestApp, campaign: &Campaign) {
    until("it is over", async || t.app.campaign_get(&call(), &campaign.id).await.unwrap().status == CampaignState::Sent).await;
}

async fn in_hand(t: &TestApp, campaign: &Campaign) -> i64 {
    t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts.sending_count
}

#[tokio::test]
async fn a_mail_goes_over_the_connection_that_was_told_of_it() {
    let t = TestApp::new();
    people(&t).await;
    t.sent(campaign_with(json!({}))).await;
    assert_mailed(&t, 0);
    let Announced { came, in_vain } = *t.mail.announced.lock();
    // Not the first mail of each connection.
    assert_eq!((came, in_vain), (PEOPLE - CONNECTIONS, 0));
}

#[tokio::test]
async fn with_a_rate_or_limits_of_domains_nothing_is_chosen_beforehand() {
    let limited = TestApp::limited(DomainLimits { connections: Some(3), rate: None });
    let t = TestApp::new();
    for (t, more) in [(&t, json!({ "rate": 10_000 })), (&limited, json!({}))] {
        people(t).await;
        t.sent(campaign_with(more)).await;
        assert_mailed(t, 0);
        assert_eq!(*t.mail.announced.lock(), Announced::default());
    }
}

/// Nobody is mailed because it was announced.
#[tokio::test]
async fn who_is_suppressed_after_the_announcement_is_not_mailed_and_the_others_keep_their_connections() {
    let t = TestApp::new();
    let (gate, worker, campaign) = on_its_way(&t, 30).await;
    until("others are in hand", async || in_hand(&t, &campaign).await == CONNECTIONS as i64).await;
    let waiting = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Pending]).await.unwrap().items;
    // All of them may have been announced, each second one goes.
    let stopped: Vec<EmailAddress> = waiting.iter().step_by(2).filter_map(|row| row.email.clone()).collect();
    for address in &stopped {
        t.app.suppression_add(&call(), address, SuppressionReason::Unsubscribed, None).await.unwrap();
    }
    gate.add_permits(PEOPLE);
    sent(&t, &campaign).await;
    worker.stop().await;
    assert_mailed(&t, stopped.len());
    let taken = t.mail.taken();
    assert!(stopped.iter().all(|address| !taken.iter().any(|mailed| mailed == address.as_str())));
    let Announced { came, in_vain } = *t.mail.announced.lock();
    assert!(in_vain <= stopped.len() && came > 0, "{came} came, {in_vain} in vain, {} were stopped", stopped.len());
}

#[tokio::test]
async fn refused_and_lost_mails_are_announced_to_no_harm() {
    let t = TestApp::new();
    people(&t).await;
    for n in 0..PEOPLE {
        let answer = match n % 10 {
            1 => Answer::Permanent,
            4 => Answer::Lost,
            7 => Answer::TakenThenLost,
            _ => continue,
        };
        t.mail.answer(&format!("u{n:03}@example.org"), &[answer]);
    }
    let campaign = t.sent(campaign_with(json!({}))).await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    let tenth = PEOPLE as i64 / 10;
    let counts = &done.counts;
    assert_eq!((done.status, counts.sent_count, counts.error_count, counts.unknown_count), (CampaignState::Sent, tenth * 8, tenth, tenth));
    assert_mailed(&t, tenth as usize);
}

#[tokio::test]
async fn a_pause_leaves_announced_mails_to_the_next_run() {
    let t = TestApp::new();
    let (gate, worker, campaign) = on_its_way(&t, 10).await;
    t.app.campaign_pause(&call(), &campaign.id).await.unwrap();
    gate.add_permits(PEOPLE);
    until("none is in hand", async || in_hand(&t, &campaign).await == 0).await;
    let before = t.mail.taken().len();
    assert!(before <= 10 + CONNECTIONS, "{before}");
    t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
    sent(&t, &campaign).await;
    worker.stop().await;
    assert_mailed(&t, 0);
}

#[tokio::test]
async fn a_domain_that_says_later_gets_none_of_those_who_were_chosen_before() {
    let t = TestApp::new();
    people(&t).await;
    for n in 0..PEOPLE {
        t.mail.answer(&format!("u{n:03}@example.org"), &[Answer::Greylisted]);
    }
    t.campaign(json!({})).await;
    t.settle().await;
    // Those in hand, and those whose turn came before the outcomes of these were known.
    assert!((1..=2 * CONNECTIONS).contains(&t.mail.refused()), "{} were refused", t.mail.refused());
}

/// The server does not give one: whom the others expect goes over them, not who was to follow on that one.
#[tokio::test]
async fn a_connection_that_is_denied_takes_no_other_mail_from_its_connection() {
    let t = TestApp::new();
    people(&t).await;
    *t.mail.denies.lock() = 1;
    t.sent(campaign_with(json!({}))).await;
    assert_mailed(&t, 0);
    let Announced { came, in_vain } = *t.mail.announced.lock();
    assert_eq!(in_vain, 0);
    assert!(came >= PEOPLE - 2 * CONNECTIONS, "{came}");
}

/// With one other campaign each has half of the connections, with five each has one, and groups of the first have to rest.
#[tokio::test]
async fn a_campaign_takes_the_connections_that_others_leave() {
    for others in [1, CONNECTIONS as i64 - 1] {
        let t = TestApp::new();
        let (gate, worker, first) = on_its_way(&t, CONNECTIONS).await;
        // One after the other: whoever has connections shall still have mails when the others are gone.
        let one_more = || {
            if gate.available_permits() == 0 {
                gate.add_permits(1);
            }
        };
        let mut rest = Vec::new();
        for _ in 0..others {
            rest.push(t.campaign(json!({})).await);
        }
        until("all have some", async || {
            one_more();
            let mut all = in_hand(&t, &first).await;
            for campaign in &rest {
                let some = in_hand(&t, campaign).await;
                all += if some > 0 { some } else { CONNECTIONS as i64 };
            }
            all == CONNECTIONS as i64
        })
        .await;
        for campaign in &rest {
            t.app.campaign_cancel(&call(), &campaign.id).await.unwrap();
        }
        until("the first has all connections again", async || {
            one_more();
            in_hand(&t, &first).await == CONNECTIONS as i64
        })
        .await;
        gate.add_permits(2 * PEOPLE);
        sent(&t, &first).await;
        worker.stop().await;
        assert_eq!(t.app.campaign_get(&call(), &first.id).await.unwrap().counts.sent_count, PEOPLE as i64);
    }
}
