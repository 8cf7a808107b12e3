//! A campaign before and between its sendings: drafts, schedules, pauses.

use std::collections::BTreeSet;
use std::sync::Arc;

use emcrm_app::verify::{FindingKind, verify};
use emcrm_app::{AppError, Worker};
use emcrm_model::{Campaign, CampaignState, DeliveryState, PageRequest};
use emcrm_store::{Queue, Table, Transaction, keys};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::audit::by;
use crate::support::{Answer, TestApp, call, campaign_with, clean, header, public, reread, schedule, until};

/// What a campaign's item costs at each batch must not grow with its text; campaigns of earlier versions hold the text themselves.
#[tokio::test]
async fn the_body_lies_beside_the_campaign_and_goes_with_it() {
    let t = TestApp::new();
    let item = async |key: &emcrm_store::Key| t.app.store.engine.get(Table::Email, key).await.unwrap();
    let draft_of = |text: &str| campaign_with(json!({ "body": text }));
    let campaign = t.app.campaign_draft(&call(), draft_of("First."), None).await.unwrap();
    let (key, body) = (keys::campaign(&campaign.id), keys::campaign_body(&keys::campaign(&campaign.id)));
    assert!(!item(&key).await.unwrap().attrs.contains_key("body"));
    assert_eq!(item(&body).await.unwrap().attrs.get("body"), Some(&json!("First.")));
    t.app.campaign_edit(&call(), &campaign.id, draft_of("Second.")).await.unwrap();
    assert_eq!(reread(&t, &campaign).await.body, "Second.");
    let listed = t.app.campaign_list(&call(), PageRequest::first()).await.unwrap();
    assert_eq!(listed.items.iter().map(|campaign| campaign.body.as_str()).collect::<Vec<_>>(), ["Second."]);
    clean(&t).await;

    let change = async |change: &(dyn Fn(&mut Transaction) + Sync)| {
        let mut tx = Transaction::new();
        change(&mut tx);
        t.app.store.engine.transact(tx).await.unwrap();
    };
    change(&|tx| {
        tx.update(Table::Email, body.clone()).set("body", "Forged.");
    })
    .await;
    assert!(t.app.campaign_get(&call(), &campaign.id).await.is_err(), "nobody is mailed a text that nobody wrote");
    let report = verify(&t.app, false, &|_, _| ()).await.unwrap();
    assert_eq!(report.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [FindingKind::Unreadable]);

    change(&|tx| {
        tx.update(Table::Email, key.clone()).set("body", "As it was.").remove("bodyDigest");
        tx.delete(Table::Email, body.clone());
    })
    .await;
    assert_eq!(reread(&t, &campaign).await.body, "As it was.");
    let listed = t.app.campaign_list(&call(), PageRequest::first()).await.unwrap();
    assert_eq!(listed.items.iter().map(|campaign| campaign.body.as_str()).collect::<Vec<_>>(), ["As it was."]);
    clean(&t).await;
    let edited = t.app.campaign_edit(&call(), &campaign.id, draft_of("Third.")).await.unwrap();
    assert!(item(&body).await.is_some());
    t.app.campaign_delete(&call(), &edited.id).await.unwrap();
    assert!(item(&key).await.is_none() && item(&body).await.is_none());
}

#[tokio::test]
async fn a_draft_is_edited_duplicated_sent_and_remembers_who_did_what() {
    let t = TestApp::new();
    t.user("ann").await;
    let first = t.app.campaign_draft(&call(), campaign_with(json!({})), None).await.unwrap();
    t.settle().await;
    assert_eq!(reread(&t, &first).await.status, CampaignState::Draft, "nothing happens by itself");
    let edited = t.app.campaign_edit(&call(), &first.id, campaign_with(json!({"subject": "Bye", "kind": "transactional"}))).await.unwrap();
    assert_eq!((edited.subject.as_str(), edited.kind.as_str(), edited.rev.0), ("Bye", "transactional", 2));
    let stale = emcrm_app::Call { if_match: Some(first.rev), ..call() };
    assert!(matches!(t.app.campaign_edit(&stale, &first.id, campaign_with(json!({}))).await, Err(AppError::StaleRev)));
    let copy = t.app.campaign_duplicate(&call(), &first.id).await.unwrap();
    assert_eq!((copy.subject.as_str(), copy.status), ("Bye", CampaignState::Draft));

    let worker = t.worker();
    let sent = t.app.campaign_send(&call(), &first.id).await.unwrap();
    worker.stop().await;
    t.settle().await;
    assert_eq!((sent.total_recipients, reread(&t, &first).await.status, t.mail.taken().len()), (1, CampaignState::Sent, 1));
    for refused in [
        t.app.campaign_edit(&call(), &first.id, campaign_with(json!({}))).await.map(drop),
        t.app.campaign_send(&call(), &first.id).await.map(drop),
        t.app.campaign_delete(&call(), &first.id).await,
        t.app.campaign_schedule(&call(), &first.id, schedule("2026-12-01T10:00:00Z", json!({}))).await.map(drop),
    ] {
        assert!(matches!(refused, Err(AppError::CampaignState { now: CampaignState::Sent, .. })), "{refused:?}");
    }
    let log: Vec<_> = t.app.campaign_log(&call(), &first.id).await.unwrap().into_iter().map(|entry| (entry.what, entry.who)).collect();
    let what: Vec<_> = log.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(what, ["draft", "edited", "sent", "frozen", "sent"]);
    assert_eq!((log[0].1.as_str(), log[3].1.as_str()), ("system", "system"));

    t.app.campaign_delete(&call(), &copy.id).await.unwrap();
    assert!(matches!(t.app.campaign_get(&call(), &copy.id).await, Err(AppError::CampaignUnknown)));
    assert_eq!(t.app.campaign_list(&call(), PageRequest::first()).await.unwrap().total, 1);
    clean(&t).await;
}

/// As if it had got there by itself, with nobody who goes on with it.
async fn stands_at(t: &TestApp, campaign: &Campaign, state: CampaignState) {
    let mut tx = Transaction::new();
    t.app.store.campaigns.update_any(&mut tx, &campaign.id).set("status", state.as_str()).set("frozenAt", "2026-11-22T09:00:00.000000Z");
    t.app.store.engine.transact(tx).await.unwrap();
}

#[tokio::test]
async fn what_is_on_its_way_is_not_edited_in_any_state() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&call(), campaign_with(json!({})), None).await.unwrap();
    use CampaignState::{Cancelled, Error, Freezing, Paused, Pending, Sending, Sent};
    for state in [Pending, Freezing, Sending, Paused, Sent, Cancelled, Error] {
        stands_at(&t, &campaign, state).await;
        let edited = t.app.campaign_edit(&call(), &campaign.id, campaign_with(json!({"subject": "Bye", "body": "Another text."}))).await;
        assert!(matches!(edited, Err(AppError::CampaignState { now, wanted: "edited" }) if now == state), "{state}: {edited:?}");
        let now = reread(&t, &campaign).await;
        assert_eq!((now.status, now.subject, now.body), (state, campaign.subject.clone(), campaign.body.clone()));
    }
}

#[tokio::test]
async fn an_edit_while_somebody_sends_is_in_every_mail_or_is_refused() {
    let version = |name: &str| campaign_with(json!({"subject": format!("Subject {name}"), "body": format!("Text {name}.")}));
    // Each round the edit comes a little later.
    for round in 0..16 {
        let t = TestApp::new();
        for name in ["ann", "ben", "cem"] {
            t.user(name).await;
        }
        t.settle().await;
        let campaign = t.app.campaign_draft(&call(), version("one"), None).await.unwrap();
        let somebody = call();
        let edit = async {
            for _ in 0..round {
                reread(&t, &campaign).await;
            }
            t.app.campaign_edit(&somebody, &campaign.id, version("two")).await
        };
        let worker = t.worker();
        let (edited, sent) = tokio::join!(edit, t.app.campaign_send(&somebody, &campaign.id));
        worker.stop().await;
        t.settle().await;
        sent.unwrap();
        let (is, is_not) = match edited {
            Ok(_) => ("two", "one"),
            Err(AppError::CampaignState { wanted: "edited", .. }) => ("one", "two"),
            Err(other) => panic!("round {round}: {other:?}"),
        };
        let mails: Vec<String> = t.mail.messages().into_iter().map(|mail| String::from_utf8(mail).unwrap()).collect();
        assert_eq!((mails.len(), reread(&t, &campaign).await.status), (3, CampaignState::Sent), "round {round}");
        for mail in &mails {
            let subject = header(mail, "Subject");
            assert_eq!(subject, Some(format!("Subject {is}")), "round {round}");
            assert!(mail.contains(&format!("Text {is}.")) && !mail.contains(&format!("Text {is_not}.")), "round {round}: {mail}");
        }
    }
}

#[tokio::test]
async fn the_log_says_who_paused_resumed_retried_and_cancelled_and_when() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&by("Dora"), campaign_with(json!({})), None).await.unwrap();
    let mut done = vec![("draft".to_owned(), "Dora".to_owned(), t.app.now())];
    stands_at(&t, &campaign, CampaignState::Sending).await;
    for (what, who) in [("paused", "Pia"), ("resumed", "Rob"), ("paused", "Pat"), ("retried", "Rea"), ("cancelled", "Cy")] {
        t.later(60);
        let (person, id) = (by(who), &campaign.id);
        let moved = match what {
            "paused" => t.app.campaign_pause(&person, id).await,
            "resumed" => t.app.campaign_resume(&person, id).await,
            "retried" => t.app.campaign_retry(&person, id, vec![DeliveryState::Error]).await,
            _ => t.app.campaign_cancel(&person, id).await,
        };
        moved.unwrap();
        done.push((what.to_owned(), who.to_owned(), t.app.now()));
    }
    let log = t.app.campaign_log(&call(), &campaign.id).await.unwrap();
    let log: Vec<_> = log.into_iter().map(|entry| (entry.what, entry.who, entry.at.parse::<Timestamp>().unwrap())).collect();
    assert_eq!(log, done);
}

#[tokio::test]
async fn a_scheduled_campaign_goes_out_when_its_moment_comes_and_not_before() {
    let t = TestApp::new();
    t.user("ann").await;
    // Ten in the morning in Chicago is 16:00 UTC; the clock says 09:00 UTC.
    let at = schedule("2026-11-22T10:00:00", json!({"timezone": "America/Chicago"}));
    let campaign = t.app.campaign_draft(&call(), campaign_with(json!({})), Some(at)).await.unwrap();
    assert_eq!(campaign.status, CampaignState::Scheduled);
    t.settle().await;
    t.later(7 * 3_600 - 1);
    t.settle().await;
    assert_eq!(reread(&t, &campaign).await.status, CampaignState::Scheduled);
    t.later(2);
    t.settle().await;
    assert_eq!((reread(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1));
    let past = schedule("2026-11-22T10:00:00Z", json!({}));
    assert!(matches!(t.app.campaign_draft(&call(), campaign_with(json!({})), Some(past)).await, Err(AppError::Invalid(_))));
    clean(&t).await;
}

#[tokio::test]
async fn a_schedule_in_the_hour_that_is_skipped_or_repeated_goes_out_once_and_at_its_moment() {
    // Clocks in Chicago: put forward on 14 March 2027 at 2, put back on 7 November 2027 at 2.
    for (wall, due) in [("2027-03-14T02:30:00", "2027-03-14T08:30:00Z"), ("2027-11-07T01:30:00", "2027-11-07T06:30:00Z")] {
        let t = TestApp::new();
        t.user("ann").await;
        let at = schedule(wall, json!({"timezone": "America/Chicago"}));
        let campaign = t.app.campaign_draft(&call(), campaign_with(json!({})), Some(at)).await.unwrap();
        t.settle().await;
        let due: jiff::Timestamp = due.parse().unwrap();
        t.later(due.as_second() - t.app.now().as_second() - 1);
        t.settle().await;
        assert_eq!(reread(&t, &campaign).await.status, CampaignState::Scheduled, "{wall}");
        t.later(2);
        t.settle().await;
        assert_eq!((reread(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1), "{wall}");
        // The same time on the wall once more.
        t.later(3_600);
        t.settle().await;
        assert_eq!(t.mail.taken().len(), 1, "{wall}");
    }
}

#[tokio::test]
async fn a_second_schedule_replaces_the_first_and_none_makes_it_a_draft_again() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&call(), campaign_with(json!({})), Some(schedule("2026-11-22T10:00:00Z", json!({})))).await.unwrap();
    t.app.campaign_schedule(&call(), &campaign.id, schedule("2026-11-22T12:00:00Z", json!({}))).await.unwrap();
    t.later(2 * 3_600);
    t.settle().await;
    assert_eq!(reread(&t, &campaign).await.status, CampaignState::Scheduled, "the first moment means nothing any more");
    t.app.campaign_unschedule(&call(), &campaign.id).await.unwrap();
    t.later(2 * 3_600);
    t.settle().await;
    assert_eq!((reread(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Draft, 0));
    clean(&t).await;
}

#[tokio::test]
async fn a_schedule_whose_moment_is_another_one_now_is_waited_for() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&call(), campaign_with(json!({})), Some(schedule("2026-11-22T10:00:00Z", json!({})))).await.unwrap();
    // What new rules of its time zone do: its task comes too early.
    let mut tx = Transaction::new();
    tx.update(Table::Email, keys::campaign(&campaign.id)).set("scheduledAt", "2026-11-22T11:00:00Z");
    t.app.store.engine.transact(tx).await.unwrap();
    t.later(3_600 + 60);
    t.settle().await;
    assert_eq!(reread(&t, &campaign).await.status, CampaignState::Scheduled);
    t.later(3_600);
    t.settle().await;
    assert_eq!((reread(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1));
    clean(&t).await;
}

#[tokio::test]
async fn a_schedule_that_lost_its_task_is_named_brought_back_and_kept() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&call(), campaign_with(json!({})), Some(schedule("2026-11-22T10:00:00Z", json!({})))).await.unwrap();
    t.settle().await;
    for shard in 0..keys::SHARDS {
        let tasks = t.app.store.tasks.all(Queue::Mail, shard).await.unwrap();
        t.app.store.tasks.delete_many(&tasks).await.unwrap();
    }
    for repair in [false, true] {
        let report = verify(&t.app, repair, &|_, _| ()).await.unwrap();
        assert_eq!(report.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [FindingKind::CampaignStuck]);
    }
    clean(&t).await;
    t.settle().await;
    assert_eq!(reread(&t, &campaign).await.status, CampaignState::Scheduled, "not before its moment");
    t.later(3_600 + 60);
    t.settle().await;
    assert_eq!((reread(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1));
    clean(&t).await;
}

#[tokio::test]
async fn a_campaign_that_is_too_late_is_held_and_asks() {
    let t = TestApp::new();
    t.user("ann").await;
    let at = || schedule("2026-11-22T10:00:00Z", json!({"lateAfterMinutes": 30}));
    let resumed = t.app.campaign_draft(&call(), campaign_with(json!({})), Some(at())).await.unwrap();
    let cancelled = t.app.campaign_draft(&call(), campaign_with(json!({})), Some(at())).await.unwrap();
    // Nobody ran for an hour and a half after the moment.
    t.later(3_600 + 31 * 60);
    t.settle().await;
    for campaign in [&resumed, &cancelled] {
        let held = reread(&t, campaign).await;
        assert_eq!(held.status, CampaignState::Paused);
        assert!(held.reason.unwrap().contains("more than 30 minutes ago"));
    }
    assert!(t.mail.taken().is_empty());
    // It has no audience yet, so there is nothing that could be sent again.
    let retried = t.app.campaign_retry(&call(), &resumed.id, vec![DeliveryState::Error, DeliveryState::Unknown]).await;
    assert!(matches!(retried, Err(AppError::CampaignState { now: CampaignState::Paused, wanted: "retried" })), "{retried:?}");
    t.settle().await;
    assert_eq!(reread(&t, &resumed).await.status, CampaignState::Paused);
    t.app.campaign_resume(&call(), &resumed.id).await.unwrap();
    t.app.campaign_cancel(&call(), &cancelled.id).await.unwrap();
    t.settle().await;
    assert_eq!(
        (reread(&t, &resumed).await.status, reread(&t, &cancelled).await.status, t.mail.taken().len()),
        (CampaignState::Sent, CampaignState::Cancelled, 1)
    );
    clean(&t).await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_or_forth_sends_nothing_twice() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&call(), campaign_with(json!({})), Some(schedule("2026-11-22T10:00:00Z", json!({})))).await.unwrap();
    t.later(3_600 + 60);
    let gate = t.mail.hold();
    let worker = t.worker();
    until("the mail is in hand", async || reread(&t, &campaign).await.counts.sending_count == 1).await;
    t.later(-7_200);
    // Enough for a second mail, if there were one.
    gate.add_permits(10);
    worker.stop().await;
    t.later(7_200);
    t.settle().await;
    t.later(-7_200);
    t.settle().await;
    t.later(10_000);
    t.settle().await;
    assert_eq!((reread(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1));
}

/// Rows have no lease: only another run that finds a row in hand calls it `unknown`. So whatever one clock does, a run that lives records its own.
#[tokio::test]
async fn a_clock_that_is_set_by_a_day_while_mails_are_in_hand_loses_none_and_sends_none_twice() {
    for hours in [24, -24] {
        let (t, campaign, gate, worker) = mails_in_hand(PEOPLE).await;
        t.clock.jump(SignedDuration::from_hours(hours));
        gate.add_permits(100);
        until("it ends", async || reread(&t, &campaign).await.status.is_final()).await;
        worker.stop().await;
        assert_each_sent_once(&t, &campaign, &t.mail.taken()).await;
    }
}

#[tokio::test]
async fn a_second_worker_whose_clock_is_ahead_takes_a_campaign_over_and_the_first_records_what_it_had_in_hand() {
    let (t, campaign, gate, worker) = mails_in_hand(PEOPLE).await;
    let ahead = t.another("ahead");
    // For this one all leases of the first have run out.
    ahead.later(3_600);
    let second = ahead.worker();
    until("the second one ends it", async || reread(&t, &campaign).await.status.is_final()).await;
    let between = reread(&t, &campaign).await;
    assert_eq!((between.status, between.counts.total()), (CampaignState::Sent, PEOPLE as i64));
    assert_eq!((between.counts.sent_count, between.counts.get(DeliveryState::Unknown)), (PEOPLE as i64 - IN_HAND, IN_HAND), "nobody can know yet");
    assert!(t.mail.taken().is_empty());
    gate.add_permits(100);
    until("the first one says what it knows", async || reread(&t, &campaign).await.counts.sent_count == PEOPLE as i64).await;
    worker.stop().await;
    second.stop().await;
    let mut taken = [t.mail.taken(), ahead.mail.taken()].concat();
    taken.sort();
    assert_each_sent_once(&t, &campaign, &taken).await;
}

/// Recipients of a campaign of which only the first mails are in hand.
const PEOPLE: usize = 20;
/// One on each connection.
const IN_HAND: i64 = 6;

/// A campaign to so many people whose first mails are in hand, each on its connection.
async fn mails_in_hand(people: usize) -> (TestApp, Campaign, Arc<Semaphore>, Worker) {
    let t = TestApp::new();
    for n in 0..people {
        t.user(&format!("u{n:03}")).await;
    }
    t.settle().await;
    let gate = t.mail.hold();
    let worker = t.worker();
    let campaign = t.campaign(json!({})).await;
    until("mails are in hand", async || reread(&t, &campaign).await.counts.sending_count == IN_HAND).await;
    (t, campaign, gate, worker)
}

/// Everybody got one mail, every row says so, and the counts are those of the rows.
async fn assert_each_sent_once(t: &TestApp, campaign: &Campaign, taken: &[String]) {
    let done = reread(t, campaign).await;
    assert_eq!((done.status, done.total_recipients, done.counts.total()), (CampaignState::Sent, PEOPLE as u64, PEOPLE as i64));
    assert_eq!(done.counts.sent_count, PEOPLE as i64, "{:?}", done.counts);
    let states = t.states(campaign).await;
    assert!(states.len() == PEOPLE && states.values().all(|state| *state == DeliveryState::Sent), "{states:?}");
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (PEOPLE, PEOPLE), "{taken:?}");
}

#[tokio::test]
async fn rows_do_not_wait_again_in_a_campaign_that_was_cancelled_meanwhile() {
    let t = public();
    t.user("ann").await;
    t.mail.answer("ann@example.org", &[Answer::Permanent]);
    let campaign = t.sent(campaign_with(json!({}))).await;
    assert_eq!(t.states(&campaign).await["ann@example.org"], DeliveryState::Error);
    // The cancellation is done before the retry is.
    t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    t.app.campaign_cancel(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    assert_eq!(t.states(&campaign).await["ann@example.org"], DeliveryState::Error);
    clean(&t).await;
}

#[tokio::test]
async fn a_pause_before_the_rows_wait_again_loses_no_retry() {
    let t = public();
    t.user("ann").await;
    t.mail.answer("ann@example.org", &[Answer::Permanent]);
    let campaign = t.sent(campaign_with(json!({}))).await;
    assert_eq!(t.states(&campaign).await["ann@example.org"], DeliveryState::Error);
    t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    t.app.campaign_pause(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    assert_eq!((reread(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Paused, 0), "no mail while it is paused");
    assert_eq!(t.states(&campaign).await["ann@example.org"], DeliveryState::Pending);
    t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    assert_eq!((t.states(&campaign).await["ann@example.org"], reread(&t, &campaign).await.status), (DeliveryState::Sent, CampaignState::Sent));
    clean(&t).await;
}

#[tokio::test]
async fn a_campaign_that_ended_before_the_rows_waited_again_goes_on() {
    let t = public();
    t.user("ann").await;
    t.mail.answer("ann@example.org", &[Answer::Permanent]);
    let campaign = t.sent(campaign_with(json!({}))).await;
    t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    // What a run does that was under way and saw nothing left.
    let mut tx = Transaction::new();
    tx.update(Table::Email, keys::campaign(&campaign.id)).set("status", "sent").set("finishedAt", "2026-11-22T09:00:00.000000Z");
    t.app.store.engine.transact(tx).await.unwrap();
    t.settle().await;
    t.later(2);
    t.settle().await;
    assert_eq!((t.states(&campaign).await["ann@example.org"], reread(&t, &campaign).await.status), (DeliveryState::Sent, CampaignState::Sent));
    clean(&t).await;
}

#[tokio::test]
async fn the_rate_after_a_pause_or_a_retry_is_that_since_then() {
    let t = public();
    for name in ["ann", "ben", "cem"] {
        t.user(name).await;
    }
    t.mail.answer("ann@example.org", &[Answer::Permanent]);
    t.mail.answer("ben@example.org", &[Answer::TakenThenLost]);
    let campaign = t.sent(campaign_with(json!({}))).await;
    assert_eq!((reread(&t, &campaign).await.counts.sent_count, reread(&t, &campaign).await.mailed_before), (1, None));
    t.later(3_600);
    let retried = t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    assert_eq!(retried.mailed_before, Some(2), "the one that was taken and the one whose fate is unknown");
    assert_eq!(reread(&t, &campaign).await, retried);
    t.later(2);
    t.settle().await;
    let done = reread(&t, &campaign).await;
    let progress = emcrm_app::Progress::of(&done, t.app.now(), None);
    assert_eq!((done.status, progress.rate), (CampaignState::Sent, Some(0.5)), "one mail in two seconds, and not three in an hour");
}
