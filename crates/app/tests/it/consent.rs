//! What people do by the links in a mail, and what mail programs report: unsubscribing, bounces, complaints, opens and clicks.

use emcrm_app::AppError;
use emcrm_app::feedback::Heard;
use emcrm_app::tracking::{HitKind, READ_MAX};
use emcrm_mail::{Report, ReportKind};
use emcrm_model::{DeliveryState, EmailAddress, PageRequest, SuppressionReason, User, UserPatch};
use emcrm_store::{Table, Transaction, keys};
use serde_json::{Value, json};

use crate::support::{TestApp, call, campaign_with, clean, header, public, reread, user_draft};

#[tokio::test]
async fn who_unsubscribes_by_the_link_gets_no_news_but_what_they_need() {
    let t = public();
    t.user("ann").await;
    t.user("ben").await;
    let send = async |more: Value| t.sent(campaign_with(more)).await;
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
    let preflight = t.app.campaign_preflight(&call(), campaign_with(json!({}))).await.unwrap();
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

#[tokio::test]
async fn a_link_to_unsubscribe_works_ten_years_later_in_another_process_with_the_same_secret() {
    let t = public();
    t.user("ann").await;
    t.user("ben").await;
    t.sent(campaign_with(json!({}))).await;
    let token = unsubscribe_token(&t, "ann@example.org");
    let after = t.another("after");
    after.later(10 * 366 * 86_400);
    let subscriber = after.app.unsubscribe_open(&token).await.unwrap().unwrap();
    assert_eq!((subscriber.email.as_ref().unwrap().as_str(), subscriber.suppressed), ("ann@example.org", None));
    after.app.unsubscribe(&call(), &subscriber).await.unwrap();
    assert_eq!(after.app.unsubscribe_open(&token).await.unwrap().unwrap().suppressed, Some(SuppressionReason::Unsubscribed));
    let campaign = after.sent(campaign_with(json!({}))).await;
    let states = after.states(&campaign).await;
    assert_eq!((states["ann@example.org"], states["ben@example.org"]), (DeliveryState::Suppressed, DeliveryState::Sent));
    // The secret is what makes it work.
    let other = TestApp::with_key(t.app.store.engine.clone(), [8; 32]);
    assert!(other.app.unsubscribe_open(&token).await.unwrap().is_none());
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
        let campaign = t.sent(campaign_with(json!({}))).await;
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
    let campaign = t.sent(campaign_with(json!({}))).await;
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
    let counts = reread(&t, &campaign).await.counts;
    assert_eq!((counts.bounced_count, counts.complained_count, counts.sent_count, counts.total()), (2, 1, 1, 4));
    let reason = async |address: &str| t.app.suppression_get(&call(), &EmailAddress::parse(address).unwrap()).await.map(|entry| entry.reason).ok();
    assert_eq!((reason("ann@example.org").await, reason("ben@example.org").await), (Some(SuppressionReason::Bounced), Some(SuppressionReason::Complained)));
    assert_eq!(reason("dan@example.org").await, None, "what did not arrive this time may the next time");
    let next = t.sent(campaign_with(json!({"kind": "transactional"}))).await;
    assert_eq!(reread(&t, &next).await.counts.suppressed_count, 2, "these addresses take no mail of any kind");
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
    let early = t.app.campaign_preflight(&call(), campaign_with(json!({}))).await.unwrap();
    assert!(!early.is_exact() && early.warnings.iter().any(|warning| warning.contains("look again")), "nobody has told the index yet");
    t.settle().await;
    let preflight = t.app.campaign_preflight(&call(), campaign_with(json!({}))).await.unwrap();
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
    t.app.campaign_create(&call(), campaign_with(json!({}))).await.unwrap();
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
    let campaign = t.app.campaign_create(&call(), campaign_with(json!({}))).await.unwrap();
    assert_eq!(campaign.total_recipients, 20);
    for n in 0..20 {
        let address = EmailAddress::parse(&format!("u{n}@example.org")).unwrap();
        t.app.suppression_add(&call(), &address, SuppressionReason::Unsubscribed, None).await.unwrap();
    }
    gate.add_permits(100);
    worker.stop().await;
    t.settle().await;
    let done = reread(&t, &campaign).await;
    assert_eq!(done.counts.sent_count as usize, t.mail.taken().len());
    assert!(done.counts.sent_count <= 12 && done.counts.suppressed_count >= 8, "what was not in hand is left out: {:?}", done.counts);
    assert_eq!(done.counts.total(), 20);
}

#[tokio::test]
async fn tracked_mails_have_signed_links_and_hits_are_noted_without_end() {
    let t = public();
    let ann = t.user("ann").await;
    let body =
        json!({"body": "<p>Hi <a href=\"https://example.com/?a=1&amp;b=2\">there</a></p>", "bodyFormat": "html", "trackOpens": true, "trackClicks": true});
    let campaign = t.sent(campaign_with(body)).await;
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
    let campaign = t.app.campaign_create(&call(), campaign_with(body)).await.unwrap();
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
        let draft = campaign_with(json!({"subject": subject, "body": body, "bodyFormat": format}));
        let found = t.app.campaign_preflight(&call(), draft).await.unwrap();
        let sample = &found.samples[0];
        let link = "https://crm.example/u/preview";
        assert!(found.unsubscribe && sample.text.matches(link).count() == 1, "{body}: {}", sample.text);
        assert!(sample.html.as_ref().is_none_or(|html| html.contains(link)), "{body}: {:?}", sample.html);
    }
}

/// What is kept of a request are facts. Whoever learns of a new scanner changes the judgement, and the figures of campaigns that are long sent follow.
#[tokio::test]
async fn who_made_a_request_is_judged_when_it_is_read() {
    let t = public();
    let ann = t.user("ann").await;
    let campaign = t.app.campaign_create(&call(), campaign_with(json!({"body": "<p>Hi</p>", "bodyFormat": "html", "trackOpens": true}))).await.unwrap();
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
