//! What a campaign says and to whom, before anything is sent: content, templates, preflight.

use std::collections::BTreeSet;

use emcrm_app::{AppError, DomainLimits};
use emcrm_mail::{Identity, Opened};
use emcrm_model::{CampaignState, DeliveryState, EmailAddress, EventPatch, MailTemplateDraft, PageRequest, Recipients, SuppressionReason};
use emcrm_store::{Table, Transaction, keys};
use serde_json::{Value, json};

use crate::support::{TestApp, call, campaign_with, clean, public, reread, schedule, until};

#[tokio::test]
async fn who_lacks_a_value_is_left_out_and_the_ledger_says_why() {
    let t = TestApp::new();
    t.user_with("ann", json!({"company": "Quillmoor"})).await;
    t.user("ben").await;
    t.settle().await;
    let body = json!({"body": "Is somebody else at {{ user.company }} coming?"});
    let preflight = t.app.campaign_preflight(&call(), campaign_with(body.clone())).await.unwrap();
    assert_eq!((preflight.matches, preflight.recipients, preflight.missing.get("user.company").copied(), preflight.is_exact()), (2, 1, Some(1), true));
    assert_eq!(
        preflight.left_out["missing_value"].people[0].user.first_name,
        t.app.campaign_preview(&call(), campaign_with(body.clone())).await.unwrap().recipients.iter().find(|user| user.company.is_none()).unwrap().first_name
    );
    t.user_with("cem", json!({"city": "York"})).await;
    t.settle().await;
    let both = json!({"body": "From {{ user.company }} in {{ user.city }}"});
    let found = t.app.campaign_preflight(&call(), campaign_with(both)).await.unwrap();
    let mut lacking: Vec<_> = found.left_out["missing_value"].people.iter().map(|left| (left.user.email.as_str(), left.missing.clone())).collect();
    lacking.sort_unstable();
    assert_eq!(
        lacking,
        [("ann@example.org", vec!["user.city"]), ("ben@example.org", vec!["user.company", "user.city"]), ("cem@example.org", vec!["user.company"]),],
        "each with what they lack"
    );
    assert_eq!(found.missing, [("user.city", 2), ("user.company", 2)].into());
    let campaign = t.sent(campaign_with(body)).await;
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
    let look = async |more: Value| t.app.campaign_preflight(&call(), campaign_with(more)).await.unwrap();
    let first = look(json!({})).await;
    assert_eq!((first.seconds, first.mails(), first.pace), (None, 2, None), "nothing was sent yet");

    let sent = async |more: Value, stops: bool| {
        let gate = t.mail.hold();
        let worker = t.worker();
        let campaign = t.app.campaign_create(&call(), campaign_with(more)).await.unwrap();
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
        assert_eq!(reread(&t, &campaign).await.status, CampaignState::Sent);
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
    let look = async |more: Value| t.app.campaign_preflight(&call(), campaign_with(more)).await.unwrap();
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
    let found = t.app.campaign_preflight(&call(), campaign_with(json!({}))).await.unwrap();
    assert_eq!((found.recipients, found.left_out["duplicate_address"].count), (2, 1));
    assert_eq!(found.left_out["duplicate_address"].people[0].user.id, ben.id);
    let campaign = t.sent(campaign_with(json!({}))).await;
    assert_eq!(t.mail.taken(), ["ann@example.org", "cem@example.org"], "one mail to one address");
    let skipped = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Skipped]).await.unwrap().items;
    assert_eq!(skipped.iter().map(|row| (&row.user_id, row.error.as_deref())).collect::<Vec<_>>(), [(&ben.id, Some("another person has this address"))]);
    let counts = reread(&t, &campaign).await.counts;
    assert_eq!((counts.sent_count, counts.skipped_count, counts.total()), (2, 1, 3));
}

/// As tables hold it that were adopted.
async fn stored_with(t: &TestApp, name: &str, email: &str) {
    let user = t.user(name).await;
    let mut tx = Transaction::new();
    tx.update(Table::Main, keys::user(&user.id)).set("email", email);
    t.app.store.engine.transact(tx).await.unwrap();
}

#[tokio::test]
async fn addresses_that_no_mail_can_go_to_are_left_out_and_the_preflight_counts_as_the_freeze_does() {
    let t = public();
    t.user("ann").await;
    let long = format!("{}@example.org", "x".repeat(243));
    let bad = ["nobody", "ben@localhost", "cem@@example.org", "dan@example.org, eve@example.org", "fay@example.org\r\nBcc: x@example.org", long.as_str()];
    for (i, email) in bad.into_iter().enumerate() {
        stored_with(&t, &format!("bad{i}"), email).await;
    }
    // White space around an address is no fault of it. Who asked for no mail is counted as that, whatever the address is like.
    stored_with(&t, "gil", " Gil@example.org\n").await;
    stored_with(&t, "hal", "hal@").await;
    let hal = EmailAddress::from("hal@".to_owned());
    t.app.suppression_add(&call(), &hal, SuppressionReason::Manual, None).await.unwrap();
    t.settle().await;
    let found = t.app.campaign_preflight(&call(), campaign_with(json!({}))).await.unwrap();
    let left_out: Vec<_> = found.left_out.iter().map(|(reason, left)| (*reason, left.count)).collect();
    assert_eq!((found.matches, found.recipients, left_out), (9, 2, vec![("invalid_address", 6), ("manual", 1)]));
    let named: BTreeSet<&str> = found.left_out["invalid_address"].people.iter().map(|left| left.user.email.as_str()).collect();
    assert_eq!(named, BTreeSet::from(bad));

    // Nothing is handed over before the audience is frozen.
    let gate = t.mail.hold();
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), campaign_with(json!({}))).await.unwrap();
    until("frozen", async || reread(&t, &campaign).await.status == CampaignState::Sending).await;
    let counts = reread(&t, &campaign).await.counts;
    assert_eq!((counts.skipped_count, counts.suppressed_count, counts.total()), (6, 1, 9));
    gate.add_permits(9);
    until("sent", async || reread(&t, &campaign).await.status == CampaignState::Sent).await;
    worker.stop().await;
    assert_eq!(t.mail.taken(), ["Gil@example.org", "ann@example.org"]);
    let counts = reread(&t, &campaign).await.counts;
    assert_eq!((counts.sent_count, counts.skipped_count, counts.suppressed_count, counts.total()), (2, 6, 1, 9));
    let skipped = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[DeliveryState::Skipped]).await.unwrap().items;
    assert_eq!(skipped.len(), 6);
    for row in skipped {
        let told = (row.error.as_deref(), row.attempts, row.sent_at);
        assert_eq!(told, (Some("the address is not one that mail can be sent to"), 0, None), "{:?}", row.email);
    }
}

#[tokio::test]
async fn whose_mail_would_be_too_long_is_left_out_and_the_preflight_counts_as_the_ledger_does() {
    let t = public();
    // Four bytes each, as many as a city may have.
    t.user_with("ann", json!({ "city": "\u{1d49c}".repeat(50) })).await;
    t.user_with("ben", json!({ "city": "York" })).await;
    t.settle().await;
    for format in ["text", "markdown", "html"] {
        let draft = || campaign_with(json!({ "bodyFormat": format, "body": "{{user.city}} ".repeat(7_000) }));
        let found = t.app.campaign_preflight(&call(), draft()).await.unwrap();
        assert_eq!((found.matches, found.recipients, found.left_out["too_long"].count), (2, 1, 1), "{format}");
        assert_eq!(found.left_out["too_long"].people[0].user.first_name, "ann");
        let campaign = t.sent(draft()).await;
        let rows = t.app.deliveries_of_campaign(&call(), &campaign.id, PageRequest::first(), &[]).await.unwrap().items;
        let mut told: Vec<_> = rows.iter().map(|row| (row.email.as_ref().unwrap().as_str(), row.status, row.error.as_deref())).collect();
        told.sort_unstable_by_key(|(email, ..)| *email);
        assert_eq!(
            told,
            [("ann@example.org", DeliveryState::Skipped, Some("the mail would be longer than 1000000 bytes")), ("ben@example.org", DeliveryState::Sent, None),],
            "{format}"
        );
        clean(&t).await;
    }
}

#[tokio::test]
async fn a_mail_to_somebody_whose_every_field_is_at_its_limit_is_whole_and_within_bounds() {
    let t = public();
    // Four bytes each.
    let wide = |characters: usize| "\u{1d49c}".repeat(characters);
    let address = format!("{}@{1}.{1}.{2}.org", "a".repeat(64), "d".repeat(63), "d".repeat(57));
    let mut fields = json!({ "email": address, "phoneNumber": wide(20), "avatar": wide(2048) });
    for field in ["firstName", "lastName", "jobTitle", "company", "city", "state"] {
        fields[field] = json!(wide(50));
    }
    t.user_with("ann", fields).await;
    t.settle().await;
    let names = ["firstName", "lastName", "fullName", "email", "phoneNumber", "jobTitle", "company", "city", "state"];
    let body = names.map(|name| format!("{{{{ user.{name} }}}}")).join("\n");
    let subject = "{{ user.fullName }} {{ user.phoneNumber }} {{ user.jobTitle }} {{ user.company }} {{ user.city }} {{ user.state }}";
    for format in ["text", "markdown", "html"] {
        let draft = || campaign_with(json!({ "bodyFormat": format, "subject": subject, "body": body }));
        let found = t.app.campaign_preflight(&call(), draft()).await.unwrap();
        assert_eq!((found.recipients, found.left_out.len(), found.errors.len()), (1, 0, 0), "{format}");
        let campaign = t.sent(draft()).await;
        assert_eq!(reread(&t, &campaign).await.counts.sent_count, 1, "{format}");
        let sent = t.mail.messages().pop().unwrap();
        assert!(sent.len() < 30_000, "{format}: {}", sent.len());
        assert!(sent.split(|byte| *byte == b'\n').all(|line| line.len() <= 999), "{format}: a line is too long for a mail server");
        let opened = Opened::read(&sent);
        let full = format!("{} {}", wide(50), wide(50));
        assert!(opened.header("To").unwrap().contains(&address), "{format}: {:?}", opened.header("To"));
        let subject = [full.clone(), wide(20), wide(50), wide(50), wide(50), wide(50)].join(" ");
        assert_eq!(opened.header("Subject").unwrap(), subject, "{format}");
        for part in [opened.text.as_deref(), opened.html.as_deref().or(opened.text.as_deref())] {
            let part = part.unwrap();
            assert!(part.contains(&full) && part.contains(&address) && part.contains(&wide(20)), "{format}: {part}");
            assert_eq!(part.matches('\u{1d49c}').count(), 8 * 50 + 20, "{format}: {part}");
        }
    }
    assert_eq!(t.mail.taken(), [address.as_str(); 3]);
    clean(&t).await;
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
        let found = t.app.campaign_preflight(&call(), campaign_with(json!({}))).await.unwrap();
        assert_eq!((found.from_domain(), &found.sender, found.errors.len()), ("example.org", &sender, 0));
        assert_eq!(found.warnings.len(), usize::from(warned.is_some()), "{:?}", found.warnings);
        assert!(warned.is_none_or(|words| found.warnings[0].contains(words)), "{:?}", found.warnings);
    }
}

#[tokio::test]
async fn a_way_to_the_mail_server_that_is_not_encrypted_is_told_before_anything_is_sent() {
    let t = public();
    t.user("ann").await;
    t.settle().await;
    for (encrypted, warned) in [(Some(false), true), (Some(true), false), (None, false)] {
        *t.mail.encrypted.lock() = encrypted;
        let found = t.app.campaign_preflight(&call(), campaign_with(json!({}))).await.unwrap();
        assert_eq!((found.tls, found.recipients, found.errors.len()), (encrypted, 1, 0), "it keeps nothing from being sent");
        let warnings: Vec<&str> = found.warnings.iter().map(String::as_str).collect();
        assert_eq!(warnings, if warned { vec!["The way to the mail server is not encrypted."] } else { vec![] }, "{encrypted:?}");
    }
}

#[tokio::test]
async fn faulty_content_is_refused_when_it_is_saved_wherever_it_is_saved() {
    let t = TestApp::new();
    t.user("ann").await;
    let faulty = || campaign_with(json!({"subject": "{{ user.nick }}", "body": "{% if %}"}));
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

/// UID and SEQUENCE of the calendar file in the newest mail.
fn newest_entry(t: &TestApp) -> (String, u32) {
    let mails = t.mail.messages();
    let mail = mailparse::parse_mail(mails.last().unwrap()).unwrap();
    let ics = mail.subparts[1].get_body().unwrap();
    let value = |name: &str| ics.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    (value("UID:"), value("SEQUENCE:").parse().unwrap())
}

#[tokio::test]
async fn after_a_change_of_the_event_the_calendar_file_of_the_next_campaign_replaces_the_earlier_one() {
    let t = public();
    t.user("ann").await;
    let event = t.event("Rust night", json!({"venue": "Hall"})).await;
    let mut entries = Vec::new();
    for venue in ["Hall", "Cellar", "Roof"] {
        if venue != "Hall" {
            let patch = EventPatch::parse(&json!({ "venue": venue })).unwrap();
            t.app.event_patch(&call(), &event.id, patch).await.unwrap();
        }
        t.sent(campaign_with(json!({"body": "{{ event.title }}", "eventId": event.id.as_str()}))).await;
        entries.push(newest_entry(&t));
    }
    assert_eq!(t.mail.taken().len(), 3);
    for two in entries.windows(2) {
        assert!(two[0].0 == two[1].0 && two[0].1 < two[1].1, "the same event, and a higher number: {entries:?}");
    }
}

#[tokio::test]
async fn an_attached_event_fills_its_fields_and_brings_its_calendar_file() {
    let t = public();
    t.user("ann").await;
    let event = t.event("Rust night", json!({"venue": "Hall; 2, rear", "timezone": "Europe/Berlin", "public": true})).await;
    let body = json!({"body": "**{{ event.title }}** at {{ event.venue }}, {{ event.startAt | time }}: {{ event.url }}", "bodyFormat": "markdown", "eventId": event.id.as_str()});
    let campaign = t.sent(campaign_with(body)).await;
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
    assert_eq!(reread(&t, &campaign).await.status, CampaignState::Sent);

    // The event goes while a campaign about it waits: it is held, and nobody gets half a mail.
    let waiting = t
        .app
        .campaign_draft(
            &call(),
            campaign_with(json!({"body": "{{ event.title }}", "eventId": event.id.as_str()})),
            Some(schedule("2026-11-22T10:00:00Z", json!({}))),
        )
        .await
        .unwrap();
    t.app.event_delete(&call(), &event.id).await.unwrap();
    t.later(3_601);
    t.settle().await;
    let held = reread(&t, &waiting).await;
    assert_eq!((held.status, t.mail.taken().len()), (CampaignState::Paused, 1));
    assert!(held.reason.unwrap().contains("no such event"));
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
async fn a_style_sheet_that_stays_one_is_told_before_anything_is_sent() {
    let t = public();
    t.user("ann").await;
    t.settle().await;
    let told = async |body: &str| {
        let found = t.app.campaign_preflight(&call(), campaign_with(json!({"body": body, "bodyFormat": "html"}))).await.unwrap();
        found.warnings.iter().any(|warning| warning.contains("style sheet"))
    };
    assert!(!told("<style>p{color:red}</style><p>{% if user.city %}x{% endif %}</p>").await);
    assert!(told("<style>p{color:red}</style><table>{% if user.city %}<p>x</p>{% endif %}<tr><td>y</td></tr></table>").await);
}

#[tokio::test]
async fn who_was_told_another_number_of_people_is_asked_again() {
    let t = TestApp::new();
    t.user("ann").await;
    t.settle().await;
    let campaign = t.app.campaign_draft(&call(), campaign_with(json!({})), None).await.unwrap();
    assert_eq!(t.app.reach(&call(), &Recipients::from(&campaign)).await.unwrap().total, 1);
    t.user("bea").await;
    t.settle().await;
    let refused = t.app.campaign_send_to(&call(), &campaign.id, 1).await;
    assert!(matches!(refused, Err(AppError::AudienceChanged { was: 1, now: 2 })), "{refused:?}");
    assert_eq!(reread(&t, &campaign).await.status, CampaignState::Draft);
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
    let campaign = t
        .app
        .campaign_draft(&call(), campaign_with(json!({"body": "<b>Hi</b><script>x()</script> {{ user.firstName }}", "bodyFormat": "html"})), None)
        .await
        .unwrap();
    let mail = t.app.campaign_mail(&call(), &campaign.id, &ann.id).await.unwrap();
    assert_eq!((mail.subject.as_str(), mail.html.as_deref()), ("Hello ann", Some("<b>Hi</b> ann")));
    assert!(matches!(t.app.campaign_mail(&call(), &campaign.id, &"nobody".to_owned().into()).await, Err(AppError::UserUnknown)));
}
