//! A campaign before it is sent, and what people do by the links in it: drafts, schedules, templates, unsubscribing, feedback.

use emcrm_app::feedback::Heard;
use emcrm_app::tracking::{HitKind, READ_MAX};
use emcrm_app::verify::{FindingKind, verify};
use emcrm_app::{AppError, DomainLimits};
use emcrm_mail::{Identity, Report, ReportKind};
use emcrm_model::{
    Campaign, CampaignDraft, CampaignState, DeliveryState, EmailAddress, MailTemplateDraft, PageRequest, Recipients, Schedule, SuppressionReason, User,
    UserPatch,
};
use emcrm_store::{Queue, Table, Transaction, keys};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, call, user_draft};

fn draft(more: Value) -> CampaignDraft {
    let mut body = json!({"filter": {}, "subject": "Hello {{ user.firstName }}", "body": "See you."});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    CampaignDraft::parse(&body).unwrap()
}

fn schedule(at: &str, more: Value) -> Schedule {
    let mut body = json!({ "scheduledAt": at });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut fields = emcrm_model::Fields::new(&body).unwrap();
    let schedule = Schedule::read(&mut fields);
    fields.finish(schedule).unwrap()
}

/// With an address of its own, so that mails say how to unsubscribe.
fn public() -> TestApp {
    TestApp::public("https://crm.example")
}

async fn get(t: &TestApp, campaign: &Campaign) -> Campaign {
    t.app.campaign_get(&call(), &campaign.id).await.unwrap()
}

async fn clean(t: &TestApp) {
    let report = verify(&t.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

pub fn header(mail: &str, name: &str) -> Option<String> {
    let unfolded = mail.replace("\r\n ", " ");
    unfolded.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
}

/// What a campaign's item costs at each batch must not grow with its text; campaigns of earlier versions hold the text themselves.
#[tokio::test]
async fn the_body_lies_beside_the_campaign_and_goes_with_it() {
    let t = TestApp::new();
    let item = async |key: &emcrm_store::Key| t.app.store.engine.get(Table::Email, key).await.unwrap();
    let draft_of = |text: &str| draft(json!({ "body": text }));
    let campaign = t.app.campaign_draft(&call(), draft_of("First."), None).await.unwrap();
    let (key, body) = (keys::campaign(&campaign.id), keys::campaign_body(&keys::campaign(&campaign.id)));
    assert!(!item(&key).await.unwrap().attrs.contains_key("body"));
    assert_eq!(item(&body).await.unwrap().attrs.get("body"), Some(&json!("First.")));
    t.app.campaign_edit(&call(), &campaign.id, draft_of("Second.")).await.unwrap();
    assert_eq!(get(&t, &campaign).await.body, "Second.");
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
    assert_eq!(get(&t, &campaign).await.body, "As it was.");
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
    let first = t.app.campaign_draft(&call(), draft(json!({})), None).await.unwrap();
    t.settle().await;
    assert_eq!(get(&t, &first).await.status, CampaignState::Draft, "nothing happens by itself");
    let edited = t.app.campaign_edit(&call(), &first.id, draft(json!({"subject": "Bye", "kind": "transactional"}))).await.unwrap();
    assert_eq!((edited.subject.as_str(), edited.kind.as_str(), edited.rev.0), ("Bye", "transactional", 2));
    let stale = emcrm_app::Call { if_match: Some(first.rev), ..call() };
    assert!(matches!(t.app.campaign_edit(&stale, &first.id, draft(json!({}))).await, Err(AppError::StaleRev)));
    let copy = t.app.campaign_duplicate(&call(), &first.id).await.unwrap();
    assert_eq!((copy.subject.as_str(), copy.status), ("Bye", CampaignState::Draft));

    let worker = t.worker();
    let sent = t.app.campaign_send(&call(), &first.id).await.unwrap();
    worker.stop().await;
    t.settle().await;
    assert_eq!((sent.total_recipients, get(&t, &first).await.status, t.mail.taken().len()), (1, CampaignState::Sent, 1));
    for refused in [
        t.app.campaign_edit(&call(), &first.id, draft(json!({}))).await.map(drop),
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

#[tokio::test]
async fn a_scheduled_campaign_goes_out_when_its_moment_comes_and_not_before() {
    let t = TestApp::new();
    t.user("ann").await;
    // Ten in the morning in Chicago is 16:00 UTC; the clock says 09:00 UTC.
    let at = schedule("2026-11-22T10:00:00", json!({"timezone": "America/Chicago"}));
    let campaign = t.app.campaign_draft(&call(), draft(json!({})), Some(at)).await.unwrap();
    assert_eq!(campaign.status, CampaignState::Scheduled);
    t.settle().await;
    t.later(7 * 3_600 - 1);
    t.settle().await;
    assert_eq!(get(&t, &campaign).await.status, CampaignState::Scheduled);
    t.later(2);
    t.settle().await;
    assert_eq!((get(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1));
    let past = schedule("2026-11-22T10:00:00Z", json!({}));
    assert!(matches!(t.app.campaign_draft(&call(), draft(json!({})), Some(past)).await, Err(AppError::Invalid(_))));
    clean(&t).await;
}

#[tokio::test]
async fn a_schedule_in_the_hour_that_is_skipped_or_repeated_goes_out_once_and_at_its_moment() {
    // Clocks in Chicago: put forward on 14 March 2027 at 2, put back on 7 November 2027 at 2.
    for (wall, due) in [("2027-03-14T02:30:00", "2027-03-14T08:30:00Z"), ("2027-11-07T01:30:00", "2027-11-07T06:30:00Z")] {
        let t = TestApp::new();
        t.user("ann").await;
        let at = schedule(wall, json!({"timezone": "America/Chicago"}));
        let campaign = t.app.campaign_draft(&call(), draft(json!({})), Some(at)).await.unwrap();
        t.settle().await;
        let due: jiff::Timestamp = due.parse().unwrap();
        t.later(due.as_second() - t.app.now().as_second() - 1);
        t.settle().await;
        assert_eq!(get(&t, &campaign).await.status, CampaignState::Scheduled, "{wall}");
        t.later(2);
        t.settle().await;
        assert_eq!((get(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1), "{wall}");
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
    let campaign = t.app.campaign_draft(&call(), draft(json!({})), Some(schedule("2026-11-22T10:00:00Z", json!({})))).await.unwrap();
    t.app.campaign_schedule(&call(), &campaign.id, schedule("2026-11-22T12:00:00Z", json!({}))).await.unwrap();
    t.later(2 * 3_600);
    t.settle().await;
    assert_eq!(get(&t, &campaign).await.status, CampaignState::Scheduled, "the first moment means nothing any more");
    t.app.campaign_unschedule(&call(), &campaign.id).await.unwrap();
    t.later(2 * 3_600);
    t.settle().await;
    assert_eq!((get(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Draft, 0));
    clean(&t).await;
}

#[tokio::test]
async fn a_schedule_whose_moment_is_another_one_now_is_waited_for() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&call(), draft(json!({})), Some(schedule("2026-11-22T10:00:00Z", json!({})))).await.unwrap();
    // What new rules of its time zone do: its task comes too early.
    let mut tx = Transaction::new();
    tx.update(Table::Email, keys::campaign(&campaign.id)).set("scheduledAt", "2026-11-22T11:00:00Z");
    t.app.store.engine.transact(tx).await.unwrap();
    t.later(3_600 + 60);
    t.settle().await;
    assert_eq!(get(&t, &campaign).await.status, CampaignState::Scheduled);
    t.later(3_600);
    t.settle().await;
    assert_eq!((get(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1));
    clean(&t).await;
}

#[tokio::test]
async fn a_schedule_that_lost_its_task_is_named_brought_back_and_kept() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&call(), draft(json!({})), Some(schedule("2026-11-22T10:00:00Z", json!({})))).await.unwrap();
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
    assert_eq!(get(&t, &campaign).await.status, CampaignState::Scheduled, "not before its moment");
    t.later(3_600 + 60);
    t.settle().await;
    assert_eq!((get(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1));
    clean(&t).await;
}

#[tokio::test]
async fn a_campaign_that_is_too_late_is_held_and_asks() {
    let t = TestApp::new();
    t.user("ann").await;
    let at = || schedule("2026-11-22T10:00:00Z", json!({"lateAfterMinutes": 30}));
    let resumed = t.app.campaign_draft(&call(), draft(json!({})), Some(at())).await.unwrap();
    let cancelled = t.app.campaign_draft(&call(), draft(json!({})), Some(at())).await.unwrap();
    // Nobody ran for an hour and a half after the moment.
    t.later(3_600 + 31 * 60);
    t.settle().await;
    for campaign in [&resumed, &cancelled] {
        let held = get(&t, campaign).await;
        assert_eq!(held.status, CampaignState::Paused);
        assert!(held.reason.unwrap().contains("more than 30 minutes ago"));
    }
    assert!(t.mail.taken().is_empty());
    // It has no audience yet, so there is nothing that could be sent again.
    let retried = t.app.campaign_retry(&call(), &resumed.id, vec![DeliveryState::Error, DeliveryState::Unknown]).await;
    assert!(matches!(retried, Err(AppError::CampaignState { now: CampaignState::Paused, wanted: "retried" })), "{retried:?}");
    t.settle().await;
    assert_eq!(get(&t, &resumed).await.status, CampaignState::Paused);
    t.app.campaign_resume(&call(), &resumed.id).await.unwrap();
    t.app.campaign_cancel(&call(), &cancelled.id).await.unwrap();
    t.settle().await;
    assert_eq!((get(&t, &resumed).await.status, get(&t, &cancelled).await.status, t.mail.taken().len()), (CampaignState::Sent, CampaignState::Cancelled, 1));
    clean(&t).await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_or_forth_sends_nothing_twice() {
    let t = TestApp::new();
    t.user("ann").await;
    let campaign = t.app.campaign_draft(&call(), draft(json!({})), Some(schedule("2026-11-22T10:00:00Z", json!({})))).await.unwrap();
    t.later(3_600 + 60);
    let worker = t.worker();
    t.later(-7_200);
    worker.stop().await;
    t.later(7_200);
    t.settle().await;
    t.later(-7_200);
    t.settle().await;
    t.later(10_000);
    t.settle().await;
    assert_eq!((get(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Sent, 1));
}

#[tokio::test]
async fn who_lacks_a_value_is_left_out_and_the_ledger_says_why() {
    let t = TestApp::new();
    t.user_with("ann", json!({"company": "Quillmoor"})).await;
    t.user("ben").await;
    t.settle().await;
    let body = json!({"body": "Is somebody else at {{ user.company }} coming?"});
    let preflight = t.app.campaign_preflight(&call(), draft(body.clone())).await.unwrap();
    assert_eq!((preflight.matches, preflight.recipients, preflight.missing.get("user.company").copied(), preflight.is_exact()), (2, 1, Some(1), true));
    assert_eq!(
        preflight.left_out["missing_value"].people[0].user.first_name,
        t.app.campaign_preview(&call(), draft(body.clone())).await.unwrap().recipients.iter().find(|user| user.company.is_none()).unwrap().first_name
    );
    t.user_with("cem", json!({"city": "York"})).await;
    t.settle().await;
    let both = json!({"body": "From {{ user.company }} in {{ user.city }}"});
    let found = t.app.campaign_preflight(&call(), draft(both)).await.unwrap();
    let mut lacking: Vec<_> = found.left_out["missing_value"].people.iter().map(|left| (left.user.email.as_str(), left.missing.clone())).collect();
    lacking.sort_unstable();
    assert_eq!(
        lacking,
        [("ann@example.org", vec!["user.city"]), ("ben@example.org", vec!["user.company", "user.city"]), ("cem@example.org", vec!["user.company"]),],
        "each with what they lack"
    );
    assert_eq!(found.missing, [("user.city", 2), ("user.company", 2)].into());
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(body)).await.unwrap();
    worker.stop().await;
    t.settle().await;
    let states = t.states(&campaign).await;
    assert_eq!((states["ann@example.org"], states["ben@example.org"]), (DeliveryState::Sent, DeliveryState::Skipped));
    let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Skipped]).await.unwrap();
    assert_eq!(rows.items[0].error.as_deref(), Some("no value for user.company"));
    clean(&t).await;
}

#[tokio::test]
async fn how_long_it_may_take_is_told_by_the_last_campaign_that_was_neither_limited_nor_stopped() {
    let t = TestApp::new();
    t.user("ann").await;
    t.user("ben").await;
    t.settle().await;
    let look = async |more: Value| t.app.campaign_preflight(&call(), draft(more)).await.unwrap();
    let first = look(json!({})).await;
    assert_eq!((first.seconds, first.mails(), first.pace), (None, 2, None), "nothing was sent yet");

    let sent = async |more: Value, stops: bool| {
        let gate = t.mail.hold();
        let worker = t.worker();
        let campaign = t.app.campaign_create(&call(), draft(more)).await.unwrap();
        if stops {
            t.app.campaign_pause(&call(), &campaign.id).await.unwrap();
        }
        t.later(10);
        gate.add_permits(1_000);
        worker.stop().await;
        if stops {
            t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
        }
        t.settle().await;
        t.later(1);
        t.settle().await;
        assert_eq!(get(&t, &campaign).await.status, CampaignState::Sent);
        campaign.id
    };
    let told = sent(json!({}), false).await;
    let second = look(json!({})).await;
    let pace = second.pace.clone().unwrap();
    assert_eq!((&pace.campaign, pace.mails), (&told, 2));
    assert!((10_000..=12_000).contains(&pace.milliseconds), "{pace:?}");
    assert_eq!((second.seconds, second.estimate()), (None, Some(pace.milliseconds.div_ceil(1_000))));

    sent(json!({"rate": 1_000}), false).await;
    sent(json!({}), true).await;
    assert_eq!(look(json!({})).await.pace.unwrap(), pace, "a limit and a pause tell nothing");
    let limited = look(json!({"rate": 1})).await;
    assert_eq!((limited.seconds, limited.pace), (Some(2), None), "a limit is no estimate");
}

#[tokio::test]
async fn what_a_domain_may_have_is_in_the_time_that_a_campaign_takes() {
    let t = TestApp::limited(DomainLimits { connections: None, rate: Some(2) });
    for n in 0..9 {
        t.user_at(&format!("a{n}"), &format!("a{n}@company.example")).await;
    }
    t.user_at("b", "b@example.org").await;
    t.settle().await;
    let look = async |more: Value| t.app.campaign_preflight(&call(), draft(more)).await.unwrap();
    let found = look(json!({})).await;
    assert_eq!((found.recipients, found.largest_domain, found.seconds), (10, 9, Some(5)), "nine mails to one domain, two a second");
    assert_eq!(look(json!({"rate": 100})).await.seconds, Some(5), "the campaign may be faster than the domain");
    assert_eq!(look(json!({"rate": 1})).await.seconds, Some(10), "or slower");
}

#[tokio::test]
async fn of_two_who_share_an_address_the_one_whose_it_is_gets_the_mail() {
    let t = public();
    t.user("ann").await;
    let ben = t.user("ben").await;
    // As tables hold it that were adopted: the address twice, and one claim.
    let mut tx = Transaction::new();
    tx.update(Table::Main, keys::user(&ben.id)).set("email", "ANN@Example.org");
    t.app.store.engine.transact(tx).await.unwrap();
    let cem = t.user("cem").await;
    let mut tx = Transaction::new();
    // A claim that somebody who is gone has left behind says nothing.
    tx.update(Table::Main, keys::email_claim(&cem.email)).set("user_id", "nobody");
    t.app.store.engine.transact(tx).await.unwrap();
    t.settle().await;
    let found = t.app.campaign_preflight(&call(), draft(json!({}))).await.unwrap();
    assert_eq!((found.recipients, found.left_out["duplicate_address"].count), (2, 1));
    assert_eq!(found.left_out["duplicate_address"].people[0].user.id, ben.id);
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    worker.stop().await;
    t.settle().await;
    assert_eq!(t.mail.taken(), ["ann@example.org", "cem@example.org"], "one mail to one address");
    let skipped = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Skipped]).await.unwrap().items;
    assert_eq!(skipped.iter().map(|row| (&row.user_id, row.error.as_deref())).collect::<Vec<_>>(), [(&ben.id, Some("another person has this address"))]);
    let counts = get(&t, &campaign).await.counts;
    assert_eq!((counts.sent_count, counts.skipped_count, counts.total()), (2, 1, 3));
}

#[tokio::test]
async fn a_sender_that_is_not_verified_or_not_signed_is_told_before_anything_is_sent() {
    let t = public();
    t.user("ann").await;
    t.settle().await;
    for (told, warned) in [
        (None, None),
        (Some((true, true)), None),
        (Some((true, false)), Some("does not sign mail from example.org")),
        (Some((false, false)), Some("takes no mail from example.org yet")),
    ] {
        let sender = told.map(|(verified, signed)| Identity { name: "example.org".to_owned(), verified, signed });
        t.mail.sender.lock().clone_from(&sender);
        let found = t.app.campaign_preflight(&call(), draft(json!({}))).await.unwrap();
        assert_eq!((found.from_domain(), &found.sender, found.errors.len()), ("example.org", &sender, 0));
        assert_eq!(found.warnings.len(), usize::from(warned.is_some()), "{:?}", found.warnings);
        assert!(warned.is_none_or(|words| found.warnings[0].contains(words)), "{:?}", found.warnings);
    }
}

#[tokio::test]
async fn faulty_content_is_refused_when_it_is_saved_wherever_it_is_saved() {
    let t = TestApp::new();
    t.user("ann").await;
    let faulty = || draft(json!({"subject": "{{ user.nick }}", "body": "{% if %}"}));
    let content = json!({"name": "n", "subject": "{{ user.nick }}", "body": "{% if %}"});
    for refused in [
        t.app.campaign_create(&call(), faulty()).await.map(drop),
        t.app.campaign_draft(&call(), faulty(), None).await.map(drop),
        t.app.campaign_preview(&call(), faulty()).await.map(drop),
        t.app.campaign_preflight(&call(), faulty()).await.map(drop),
        t.app.campaign_test(&call(), faulty(), EmailAddress::parse("a@example.org").unwrap()).await.map(drop),
        t.app.template_create(&call(), MailTemplateDraft::parse(&content).unwrap()).await.map(drop),
    ] {
        let Err(AppError::Invalid(faults)) = refused else { panic!("{refused:?}") };
        let fields: Vec<_> = faults.0.iter().map(|fault| fault.path.join(".")).collect();
        assert_eq!(fields, ["subject", "body"]);
    }
    assert!(matches!(t.app.campaign_list(&call(), PageRequest::first()).await, Err(AppError::NothingThere(_))));
}

#[tokio::test]
async fn an_attached_event_fills_its_fields_and_brings_its_calendar_file() {
    let t = public();
    t.user("ann").await;
    let event = t.event("Rust night", json!({"venue": "Hall; 2, rear", "timezone": "Europe/Berlin", "public": true})).await;
    let body = json!({"body": "**{{ event.title }}** at {{ event.venue }}, {{ event.startAt | time }}: {{ event.url }}", "bodyFormat": "markdown", "eventId": event.id.as_str()});
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(body)).await.unwrap();
    worker.stop().await;
    t.settle().await;
    let mails = t.mail.messages();
    let mail = mailparse::parse_mail(&mails[0]).unwrap();
    assert_eq!(mail.ctype.mimetype, "multipart/mixed");
    let [readable, calendar] = &mail.subparts[..] else { panic!() };
    assert!(readable.subparts[0].get_body().unwrap().contains("**Rust night** at Hall; 2, rear"));
    assert!(readable.subparts[1].get_body().unwrap().contains("<strong>Rust night</strong>"));
    let ics = calendar.get_body().unwrap();
    for line in [
        format!("UID:{}@example.org", event.id),
        "SEQUENCE:1".to_owned(),
        "SUMMARY:Rust night".to_owned(),
        "LOCATION:Hall\\; 2\\, rear".to_owned(),
        "METHOD:PUBLISH".to_owned(),
    ] {
        assert!(ics.lines().any(|have| have == line), "{line}: {ics}");
    }
    assert!(ics.contains("DTSTART;TZID=Europe/Berlin:20") && ics.contains("BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n"), "{ics}");
    assert_eq!(get(&t, &campaign).await.status, CampaignState::Sent);

    // The event goes while a campaign about it waits: it is held, and nobody gets half a mail.
    let waiting = t
        .app
        .campaign_draft(&call(), draft(json!({"body": "{{ event.title }}", "eventId": event.id.as_str()})), Some(schedule("2026-11-22T10:00:00Z", json!({}))))
        .await
        .unwrap();
    t.app.event_delete(&call(), &event.id).await.unwrap();
    t.later(3_601);
    t.settle().await;
    let held = get(&t, &waiting).await;
    assert_eq!((held.status, t.mail.taken().len()), (CampaignState::Paused, 1));
    assert!(held.reason.unwrap().contains("no such event"));
}

#[tokio::test]
async fn who_unsubscribes_by_the_link_gets_no_news_but_what_they_need() {
    let t = public();
    t.user("ann").await;
    t.user("ben").await;
    let send = async |more: Value| {
        let worker = t.worker();
        let campaign = t.app.campaign_create(&call(), draft(more)).await.unwrap();
        worker.stop().await;
        t.settle().await;
        campaign
    };
    let first = send(json!({})).await;
    let mails = t.mail.messages();
    let to_ann = mails.iter().map(|mail| String::from_utf8(mail.clone()).unwrap()).find(|mail| mail.contains("ann@example.org")).unwrap();
    let link = header(&to_ann, "List-Unsubscribe").unwrap();
    assert_eq!(header(&to_ann, "List-Unsubscribe-Post").as_deref(), Some("List-Unsubscribe=One-Click"));
    let link = link.trim_matches(['<', '>']);
    assert!(to_ann.replace("=\r\n", "").contains(link), "the text has the link too");
    let token = link.strip_prefix("https://crm.example/u/").unwrap();

    let subscriber = t.app.unsubscribe_open(token).await.unwrap().unwrap();
    assert_eq!((subscriber.email.as_ref().unwrap().as_str(), subscriber.suppressed), ("ann@example.org", None));
    for _ in 0..2 {
        t.app.unsubscribe(&call(), &subscriber).await.unwrap();
    }
    assert_eq!(t.app.unsubscribe_open(token).await.unwrap().unwrap().suppressed, Some(SuppressionReason::Unsubscribed));
    assert_eq!(t.app.suppression_list(&call(), PageRequest::first()).await.unwrap().total, 1);

    let second = send(json!({})).await;
    assert_eq!(t.states(&second).await["ann@example.org"], DeliveryState::Suppressed);
    let third = send(json!({"kind": "transactional"})).await;
    assert_eq!(t.states(&third).await["ann@example.org"], DeliveryState::Sent);
    let needed = t.mail.messages().pop().map(|mail| String::from_utf8(mail).unwrap()).unwrap();
    assert_eq!(header(&needed, "List-Unsubscribe"), None, "nothing to unsubscribe from");
    let preflight = t.app.campaign_preflight(&call(), draft(json!({}))).await.unwrap();
    assert_eq!((preflight.recipients, preflight.left_out["unsubscribed"].count, preflight.unsubscribe), (1, 1, true));

    assert!(t.app.resubscribe(&call(), &subscriber).await.unwrap());
    assert!(!t.app.resubscribe(&call(), &subscriber).await.unwrap());
    let fourth = send(json!({})).await;
    assert_eq!(t.states(&fourth).await["ann@example.org"], DeliveryState::Sent);
    // A link of one purpose is none of another, and a guessed one is none at all.
    assert!(t.app.unsubscribe_open("AAAA").await.unwrap().is_none());
    assert!(t.app.hit_open(HitKind::Click, token).is_none());
    assert_ne!(first.id, fourth.id);
    clean(&t).await;
}

/// The token of the link in the newest mail to this address.
fn unsubscribe_token(t: &TestApp, address: &str) -> String {
    let mails = t.mail.messages();
    let mail =
        mails.iter().rev().map(|mail| String::from_utf8(mail.clone()).unwrap()).find(|mail| header(mail, "To").is_some_and(|to| to.contains(address))).unwrap();
    let link = header(&mail, "List-Unsubscribe").unwrap();
    link.trim_matches(['<', '>']).strip_prefix("https://crm.example/u/").unwrap().to_owned()
}

async fn moved_to(t: &TestApp, user: &User, address: &str) {
    let patch = UserPatch::parse(&json!({ "email": address })).unwrap();
    t.app.user_patch(&call(), &user.id, patch).await.unwrap();
}

#[tokio::test]
async fn an_old_link_stops_the_mail_wherever_its_reader_is_reached_by_now() {
    let t = public();
    let ann = t.user("ann").await;
    let send = async |address: &str| {
        let worker = t.worker();
        let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
        worker.stop().await;
        t.settle().await;
        t.states(&campaign).await[address]
    };
    assert_eq!(send("ann@example.org").await, DeliveryState::Sent);
    let token = unsubscribe_token(&t, "ann@example.org");
    let open = async || t.app.unsubscribe_open(&token).await.unwrap().unwrap();
    t.app.unsubscribe(&call(), &open().await).await.unwrap();
    assert_eq!(open().await.suppressed, Some(SuppressionReason::Unsubscribed));
    moved_to(&t, &ann, "ann@new.example").await;
    assert_eq!(open().await.suppressed, None, "mail goes to another address now, so it can be refused");
    for _ in 0..2 {
        t.app.unsubscribe(&call(), &open().await).await.unwrap();
    }
    assert_eq!(open().await.suppressed, Some(SuppressionReason::Unsubscribed));
    assert_eq!(send("ann@new.example").await, DeliveryState::Suppressed);
    assert!(t.app.resubscribe(&call(), &open().await).await.unwrap());
    assert_eq!((open().await.suppressed, t.app.suppression_list(&call(), PageRequest::first()).await.unwrap().total), (None, 0));
    assert_eq!(send("ann@new.example").await, DeliveryState::Sent);
    // What stands against the new address for another reason is nothing that the old link takes back.
    let new = EmailAddress::parse("ann@new.example").unwrap();
    t.app.suppression_add(&call(), &new, SuppressionReason::Unsubscribed, None).await.unwrap();
    assert!(!t.app.resubscribe(&call(), &open().await).await.unwrap());

    // Whoever takes the id of somebody who was deleted did not ask for anything.
    let dan = t.user("dan").await;
    assert_eq!(send("dan@example.org").await, DeliveryState::Sent);
    let token = unsubscribe_token(&t, "dan@example.org");
    t.app.user_delete(&call(), &dan.id).await.unwrap();
    t.settle().await;
    t.later(60);
    t.app.user_create(&call(), Some(dan.id.clone()), user_draft("eve", json!({}))).await.unwrap();
    let subscriber = t.app.unsubscribe_open(&token).await.unwrap().unwrap();
    t.app.unsubscribe(&call(), &subscriber).await.unwrap();
    assert!(t.app.suppression_get(&call(), &EmailAddress::parse("dan@example.org").unwrap()).await.is_ok());
    assert_eq!(send("eve@example.org").await, DeliveryState::Sent);
    clean(&t).await;
}

/// The value of the header by which a mail that came back is known.
fn delivery_header(t: &TestApp, address: &str) -> String {
    let mails = t.mail.messages();
    let mail =
        mails.iter().rev().map(|mail| String::from_utf8(mail.clone()).unwrap()).find(|mail| header(mail, "To").is_some_and(|to| to.contains(address))).unwrap();
    header(&mail, "X-EMCRM-Delivery").unwrap()
}

#[tokio::test]
async fn bounces_and_complaints_change_the_ledger_once_and_keep_the_address_from_further_mail() {
    let t = public();
    for name in ["ann", "ben", "cem", "dan"] {
        t.user(name).await;
    }
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    worker.stop().await;
    t.settle().await;
    let tell = async |kind, address: &str, token: Option<String>| {
        t.app
            .feedback(&call(), &Report { kind, delivery: token, address: Some(address.to_owned()), words: "550 5.1.1\r\nno such user".to_owned() })
            .await
            .unwrap()
    };
    let ann = delivery_header(&t, "ann@example.org");
    let ben = delivery_header(&t, "ben@example.org");
    assert_eq!(tell(ReportKind::Delayed, "ann@example.org", Some(ann.clone())).await, Heard::Ignored);
    assert_eq!(tell(ReportKind::Bounced, "ann@example.org", Some(ann.clone())).await, Heard::Recorded);
    assert_eq!(tell(ReportKind::Bounced, "ann@example.org", Some(ann.clone())).await, Heard::Known, "told twice");
    assert_eq!(tell(ReportKind::Bounced, "ben@example.org", Some(ben.clone())).await, Heard::Recorded);
    assert_eq!(tell(ReportKind::Complained, "ben@example.org", Some(ben.clone())).await, Heard::Recorded, "a complaint outweighs a bounce");
    assert_eq!(tell(ReportKind::Bounced, "ben@example.org", Some(ben)).await, Heard::Known, "and not the other way round");
    let dan = delivery_header(&t, "dan@example.org");
    assert_eq!(tell(ReportKind::Returned, "dan@example.org", Some(dan)).await, Heard::Recorded);
    assert_eq!(tell(ReportKind::Bounced, "cem@example.org", None).await, Heard::NotOurs, "anybody can name an address");
    assert_eq!(tell(ReportKind::Bounced, "cem@example.org", Some(format!("{ann}x"))).await, Heard::NotOurs);

    let states = t.states(&campaign).await;
    assert_eq!(
        (states["ann@example.org"], states["ben@example.org"], states["cem@example.org"], states["dan@example.org"]),
        (DeliveryState::Bounced, DeliveryState::Complained, DeliveryState::Sent, DeliveryState::Bounced)
    );
    let counts = get(&t, &campaign).await.counts;
    assert_eq!((counts.bounced_count, counts.complained_count, counts.sent_count, counts.total()), (2, 1, 1, 4));
    let reason = async |address: &str| t.app.suppression_get(&call(), &EmailAddress::parse(address).unwrap()).await.map(|entry| entry.reason).ok();
    assert_eq!((reason("ann@example.org").await, reason("ben@example.org").await), (Some(SuppressionReason::Bounced), Some(SuppressionReason::Complained)));
    assert_eq!(reason("dan@example.org").await, None, "what did not arrive this time may the next time");
    let worker = t.worker();
    let next = t.app.campaign_create(&call(), draft(json!({"kind": "transactional"}))).await.unwrap();
    worker.stop().await;
    t.settle().await;
    assert_eq!(get(&t, &next).await.counts.suppressed_count, 2, "these addresses take no mail of any kind");
    clean(&t).await;
}

#[tokio::test]
async fn the_suppression_list_holds_through_deletion_and_pseudonymisation() {
    let t = public();
    let ann = t.user("ann").await;
    let address = EmailAddress::parse("ANN@Example.org").unwrap();
    t.app.suppression_add(&call(), &address, SuppressionReason::Manual, Some("asked by phone".to_owned())).await.unwrap();
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    let listed = t.app.suppression_list(&call(), PageRequest::first()).await.unwrap();
    assert_eq!((listed.total, listed.items[0].email.as_deref()), (1, Some("ann@example.org")), "what follows a deletion is a task");
    t.settle().await;
    let listed = t.app.suppression_list(&call(), PageRequest::first()).await.unwrap();
    assert_eq!((listed.total, listed.items[0].email.clone()), (1, None), "no address in clear outlives its person");
    assert_eq!(t.app.suppression_get(&call(), &address).await.unwrap().reason, SuppressionReason::Manual);
    assert!(t.app.suppression_pseudonymise(&address).await.unwrap(), "again");
    let listed = t.app.suppression_list(&call(), PageRequest::first()).await.unwrap();
    assert_eq!((listed.total, listed.items[0].email.clone(), listed.items[0].note.clone()), (1, None, None));
    t.user("ann").await;
    let early = t.app.campaign_preflight(&call(), draft(json!({}))).await.unwrap();
    assert!(!early.is_exact() && early.warnings.iter().any(|warning| warning.contains("look again")), "nobody has told the index yet");
    t.settle().await;
    let preflight = t.app.campaign_preflight(&call(), draft(json!({}))).await.unwrap();
    assert_eq!(preflight.left_out["manual"].count, 1, "known by its hash");
    t.app.suppression_remove(&call(), &address).await.unwrap();
    assert!(matches!(t.app.suppression_remove(&call(), &address).await, Err(AppError::SuppressionUnknown)));
    assert_eq!(t.app.suppression_list(&call(), PageRequest::first()).await.unwrap().total, 0);
    clean(&t).await;
}

#[tokio::test]
async fn an_address_that_somebody_else_has_by_now_stays_readable_on_the_suppression_list() {
    let t = public();
    let ann = t.user("ann").await;
    let address = EmailAddress::parse("ann@example.org").unwrap();
    t.app.suppression_add(&call(), &address, SuppressionReason::Bounced, None).await.unwrap();
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    t.user_with("beth", json!({ "email": "ann@example.org" })).await;
    t.settle().await;
    let listed = t.app.suppression_list(&call(), PageRequest::first()).await.unwrap();
    assert_eq!((listed.total, listed.items[0].email.as_deref()), (1, Some("ann@example.org")));
    clean(&t).await;
}

#[tokio::test]
async fn a_mail_of_somebody_who_was_deleted_that_comes_back_leaves_no_address_in_clear() {
    let t = public();
    let ann = t.user("ann").await;
    let worker = t.worker();
    t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    worker.stop().await;
    t.settle().await;
    let token = delivery_header(&t, "ann@example.org");
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    t.settle().await;
    let report = Report { kind: ReportKind::Bounced, delivery: Some(token), address: Some("ann@example.org".to_owned()), words: "550 5.1.1".to_owned() };
    assert_eq!(t.app.feedback(&call(), &report).await.unwrap(), Heard::Recorded);
    let listed = t.app.suppression_list(&call(), PageRequest::first()).await.unwrap();
    assert_eq!((listed.total, listed.items[0].email.as_deref(), listed.items[0].note.as_deref()), (1, None, None));
    let address = EmailAddress::parse("ann@example.org").unwrap();
    assert_eq!(t.app.suppression_get(&call(), &address).await.unwrap().reason, SuppressionReason::Bounced);
}

#[tokio::test]
async fn suppressing_between_freeze_and_send_is_honoured() {
    let t = public();
    for n in 0..20 {
        t.user(&format!("u{n}")).await;
    }
    let gate = t.mail.hold();
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    assert_eq!(campaign.total_recipients, 20);
    for n in 0..20 {
        let address = EmailAddress::parse(&format!("u{n}@example.org")).unwrap();
        t.app.suppression_add(&call(), &address, SuppressionReason::Unsubscribed, None).await.unwrap();
    }
    gate.add_permits(100);
    worker.stop().await;
    t.settle().await;
    let done = get(&t, &campaign).await;
    assert_eq!(done.counts.sent_count as usize, t.mail.taken().len());
    assert!(done.counts.sent_count <= 12 && done.counts.suppressed_count >= 8, "what was not in hand is left out: {:?}", done.counts);
    assert_eq!(done.counts.total(), 20);
}

#[tokio::test]
async fn reusable_templates_are_kept_changed_and_deleted() {
    let t = TestApp::new();
    let parse = |name: &str| {
        MailTemplateDraft::parse(&json!({"name": name, "subject": "Hi {{ user.firstName }}", "body": "{{ event.title }}", "bodyFormat": "html"})).unwrap()
    };
    let made = t.app.template_create(&call(), parse("Invitation")).await.unwrap();
    let changed = t.app.template_replace(&call(), &made.id, parse("Reminder")).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.rev.0), ("Reminder", 2));
    let stale = emcrm_app::Call { if_match: Some(made.rev), ..call() };
    assert!(matches!(t.app.template_replace(&stale, &made.id, parse("x")).await, Err(AppError::StaleRev)));
    assert_eq!(t.app.template_list(&call(), PageRequest::first()).await.unwrap().total, 1);
    t.app.template_delete(&call(), &made.id).await.unwrap();
    assert!(matches!(t.app.template_get(&call(), &made.id).await, Err(AppError::TemplateUnknown)));
    assert!(matches!(t.app.template_delete(&call(), &made.id).await, Err(AppError::TemplateUnknown)));
    assert_eq!(t.app.template_list(&call(), PageRequest::first()).await.unwrap().total, 0);
}

#[tokio::test]
async fn tracked_mails_have_signed_links_and_hits_are_noted_without_end() {
    let t = public();
    let ann = t.user("ann").await;
    let body =
        json!({"body": "<p>Hi <a href=\"https://example.com/?a=1&amp;b=2\">there</a></p>", "bodyFormat": "html", "trackOpens": true, "trackClicks": true});
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(body)).await.unwrap();
    worker.stop().await;
    t.settle().await;
    let mails = t.mail.messages();
    let mail = mailparse::parse_mail(&mails[0]).unwrap();
    let html = mail.subparts[1].get_body().unwrap();
    let token = |path: &str, end: char| html.split_once(&format!("https://crm.example{path}")).unwrap().1.split(end).next().unwrap().to_owned();
    let click = t.app.hit_open(HitKind::Click, &token("/t/c/", '"')).unwrap();
    assert_eq!((click.target.as_str(), &click.user, &click.campaign), ("https://example.com/?a=1&b=2", &ann.id, &campaign.id));
    let open = t.app.hit_open(HitKind::Open, &token("/t/o/", '.')).unwrap();
    for _ in 0..30 {
        t.app.hit_note(&open, HitKind::Open, "Mozilla/5.0 (X11)").await.unwrap();
    }
    let hits =
        t.app.store.engine.query(emcrm_store::Query::table(emcrm_store::Table::Email, emcrm_store::keys::hits_part(&campaign.id)).limit(100)).await.unwrap();
    assert_eq!(hits.items.len(), 20, "more say nothing new");
    // The clock stands still, so all of these came too soon to be somebody reading.
    let readers = t.app.campaign_readers(&call(), &campaign.id, READ_MAX).await.unwrap();
    assert_eq!((readers.opened, readers.person_hits, readers.machine_hits, readers.exact), (0, 0, 20, true));
    let ben = t.user("ben").await;
    let signed = emcrm_app::links::Signed { user: ben.id, ..click.clone() };
    t.app.hit_note(&signed, HitKind::Click, "Mozilla/5.0 (X11)").await.unwrap();
    assert_eq!(t.app.campaign_readers(&call(), &campaign.id, READ_MAX).await.unwrap().machine_hits, 20, "who got no mail cannot have read it");
}

/// A scanner asks for all of it at once, and a person some time later.
#[tokio::test]
async fn a_scanner_that_follows_every_link_leaves_room_for_a_person() {
    let t = public();
    t.user("ann").await;
    let body = json!({"body": "<p><a href=\"https://example.com/\">there</a></p>", "bodyFormat": "html", "trackOpens": true, "trackClicks": true});
    let campaign = t.app.campaign_create(&call(), draft(body)).await.unwrap();
    t.settle().await;
    let mails = t.mail.messages();
    let html = mailparse::parse_mail(&mails[0]).unwrap().subparts[1].get_body().unwrap();
    let token = html.split_once("https://crm.example/t/c/").unwrap().1.split('"').next().unwrap();
    let click = t.app.hit_open(HitKind::Click, token).unwrap();
    for _ in 0..25 {
        t.app.hit_note(&click, HitKind::Click, "Barracuda Sentinel").await.unwrap();
    }
    t.later(60);
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    for kind in [HitKind::Open, HitKind::Click] {
        t.app.hit_note(&click, kind, browser).await.unwrap();
    }
    let readers = t.app.campaign_readers(&call(), &campaign.id, READ_MAX).await.unwrap();
    assert_eq!((readers.opened, readers.clicked, readers.person_hits, readers.machine_hits), (1, 1, 2, 20));
}

/// It is enough to name the link somewhere for it to be there for nobody.
#[tokio::test]
async fn every_mail_says_how_to_unsubscribe_wherever_the_link_is_used() {
    let t = public();
    t.user_with("ann", json!({"city": "Austin"})).await;
    t.settle().await;
    let condition = "{% if user.city == \"Nowhere\" %}{{ unsubscribeUrl }}{% endif %}";
    for (subject, body, format) in [
        ("Hello", condition, "text"),
        ("Hello", condition, "markdown"),
        ("Hello", "<p>{% if user.city == \"Nowhere\" %}<a href=\"{{ unsubscribeUrl }}\">Leave</a>{% endif %}</p>", "html"),
        ("{{ unsubscribeUrl }}", "See you.", "text"),
        ("Hello", "Leave: {{ unsubscribeUrl }}", "markdown"),
    ] {
        let draft = draft(json!({"subject": subject, "body": body, "bodyFormat": format}));
        let found = t.app.campaign_preflight(&call(), draft).await.unwrap();
        let sample = &found.samples[0];
        let link = "https://crm.example/u/preview";
        assert!(found.unsubscribe && sample.text.matches(link).count() == 1, "{body}: {}", sample.text);
        assert!(sample.html.as_ref().is_none_or(|html| html.contains(link)), "{body}: {:?}", sample.html);
    }
}

#[tokio::test]
async fn a_style_sheet_that_stays_one_is_told_before_anything_is_sent() {
    let t = public();
    t.user("ann").await;
    t.settle().await;
    let told = async |body: &str| {
        let found = t.app.campaign_preflight(&call(), draft(json!({"body": body, "bodyFormat": "html"}))).await.unwrap();
        found.warnings.iter().any(|warning| warning.contains("style sheet"))
    };
    assert!(!told("<style>p{color:red}</style><p>{% if user.city %}x{% endif %}</p>").await);
    assert!(told("<style>p{color:red}</style><table>{% if user.city %}<p>x</p>{% endif %}<tr><td>y</td></tr></table>").await);
}

/// What is kept of a request are facts. Whoever learns of a new scanner changes the judgement, and the figures of campaigns that are long sent follow.
#[tokio::test]
async fn who_made_a_request_is_judged_when_it_is_read() {
    let t = public();
    let ann = t.user("ann").await;
    let campaign = t.app.campaign_create(&call(), draft(json!({"body": "<p>Hi</p>", "bodyFormat": "html", "trackOpens": true}))).await.unwrap();
    t.settle().await;
    let mails = t.mail.messages();
    let html = mailparse::parse_mail(&mails[0]).unwrap().subparts[1].get_body().unwrap();
    let token = html.split_once("https://crm.example/t/o/").unwrap().1.split('.').next().unwrap();
    let open = t.app.hit_open(HitKind::Open, token).unwrap();
    t.later(60);
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    t.app.hit_note(&open, HitKind::Open, browser).await.unwrap();
    let readers = async || {
        let readers = t.app.campaign_readers(&call(), &campaign.id, READ_MAX).await.unwrap();
        (readers.opened, readers.person_hits, readers.machine_hits, readers.exact)
    };
    assert_eq!(readers().await, (1, 1, 0, true));
    let of_agent = async |agent: &str| {
        let mut tx = Transaction::new();
        tx.update(Table::Email, keys::hit(&campaign.id, &ann.id, "po", 0)).set("agent", agent);
        t.app.store.engine.transact(tx).await.unwrap();
    };
    of_agent("Mozilla/5.0 (compatible; Barracuda Sentinel)").await;
    assert_eq!(readers().await, (0, 0, 1, true));
    of_agent(browser).await;
    assert_eq!(readers().await, (1, 1, 0, true), "nothing else was kept of the first judgement");
}

#[tokio::test]
async fn who_was_told_another_number_of_people_is_asked_again() {
    let t = TestApp::new();
    t.user("ann").await;
    t.settle().await;
    let campaign = t.app.campaign_draft(&call(), draft(json!({})), None).await.unwrap();
    assert_eq!(t.app.reach(&call(), &Recipients::from(&campaign)).await.unwrap().total, 1);
    t.user("bea").await;
    t.settle().await;
    let refused = t.app.campaign_send_to(&call(), &campaign.id, 1).await;
    assert!(matches!(refused, Err(AppError::AudienceChanged { was: 1, now: 2 })), "{refused:?}");
    assert_eq!(get(&t, &campaign).await.status, CampaignState::Draft);
    t.app.campaign_send_to(&call(), &campaign.id, 2).await.unwrap();
    t.settle().await;
    assert_eq!(t.mail.taken().len(), 2);
    let again = t.app.campaign_send_to(&call(), &campaign.id, 2).await;
    assert!(matches!(again, Err(AppError::CampaignState { now: CampaignState::Sent, .. })), "{again:?}");
}

#[tokio::test]
async fn one_persons_mail_can_be_looked_at_before_and_after() {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    let campaign =
        t.app.campaign_draft(&call(), draft(json!({"body": "<b>Hi</b><script>x()</script> {{ user.firstName }}", "bodyFormat": "html"})), None).await.unwrap();
    let mail = t.app.campaign_mail(&call(), &campaign.id, &ann.id).await.unwrap();
    assert_eq!((mail.subject.as_str(), mail.html.as_deref()), ("Hello ann", Some("<b>Hi</b> ann")));
    assert!(matches!(t.app.campaign_mail(&call(), &campaign.id, &"nobody".to_owned().into()).await, Err(AppError::UserUnknown)));
}

#[tokio::test]
async fn a_list_of_addresses_is_taken_line_by_line() {
    let t = TestApp::new();
    let text =
        "email,reason,createdAt\nann@example.org\n\n\"Bea@example.org\",bounced,2026-01-01\nnobody\ncid@example.org,because\nann@example.org,unsubscribed\n";
    let done = t.app.suppression_import(&call(), text).await.unwrap();
    assert_eq!((done.taken, done.known), (2, 1), "the graver reason stays");
    let lines: Vec<_> = done.faults.iter().map(|fault| (fault.line, fault.text.as_str())).collect();
    assert_eq!(lines, [(5, "nobody"), (6, "cid@example.org,because")]);
    let list = t.app.suppression_list(&call(), PageRequest::first()).await.unwrap();
    let found: Vec<_> = list.items.iter().map(|entry| (entry.email.as_deref().unwrap(), entry.reason.as_str())).collect();
    assert_eq!(found, [("ann@example.org", "manual"), ("bea@example.org", "bounced")]);
    assert!(matches!(t.app.suppression_import(&call(), &"a@example.org\n".repeat(5_001)).await, Err(AppError::Invalid(_))));
}

#[tokio::test]
async fn rows_do_not_wait_again_in_a_campaign_that_was_cancelled_meanwhile() {
    let t = public();
    t.user("ann").await;
    t.mail.answer("ann@example.org", &[Answer::Permanent]);
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    worker.stop().await;
    t.settle().await;
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
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    worker.stop().await;
    t.settle().await;
    assert_eq!(t.states(&campaign).await["ann@example.org"], DeliveryState::Error);
    t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    t.app.campaign_pause(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    assert_eq!((get(&t, &campaign).await.status, t.mail.taken().len()), (CampaignState::Paused, 0), "no mail while it is paused");
    assert_eq!(t.states(&campaign).await["ann@example.org"], DeliveryState::Pending);
    t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    assert_eq!((t.states(&campaign).await["ann@example.org"], get(&t, &campaign).await.status), (DeliveryState::Sent, CampaignState::Sent));
    clean(&t).await;
}

#[tokio::test]
async fn a_campaign_that_ended_before_the_rows_waited_again_goes_on() {
    let t = public();
    t.user("ann").await;
    t.mail.answer("ann@example.org", &[Answer::Permanent]);
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    worker.stop().await;
    t.settle().await;
    t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    // What a run does that was under way and saw nothing left.
    let mut tx = Transaction::new();
    tx.update(Table::Email, keys::campaign(&campaign.id)).set("status", "sent").set("finishedAt", "2026-11-22T09:00:00.000000Z");
    t.app.store.engine.transact(tx).await.unwrap();
    t.settle().await;
    t.later(2);
    t.settle().await;
    assert_eq!((t.states(&campaign).await["ann@example.org"], get(&t, &campaign).await.status), (DeliveryState::Sent, CampaignState::Sent));
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
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    worker.stop().await;
    t.settle().await;
    assert_eq!((get(&t, &campaign).await.counts.sent_count, get(&t, &campaign).await.mailed_before), (1, None));
    t.later(3_600);
    let retried = t.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    assert_eq!(retried.mailed_before, Some(2), "the one that was taken and the one whose fate is unknown");
    assert_eq!(get(&t, &campaign).await, retried);
    t.later(2);
    t.settle().await;
    let done = get(&t, &campaign).await;
    let progress = emcrm_app::Progress::of(&done, t.app.now(), None);
    assert_eq!((done.status, progress.rate), (CampaignState::Sent, Some(0.5)), "one mail in two seconds, and not three in an hour");
}
