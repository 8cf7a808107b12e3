//! What is held about a person: an export has all of it, and after an erasure nothing of it is left, nor comes back.

use std::fmt::Write as _;

use emcrm_app::feedback::Heard;
use emcrm_app::people_import::{ImportState, PeopleImport, UndoCounts};
use emcrm_app::tracking::HitKind;
use emcrm_app::verify::verify;
use emcrm_app::{AppError, Call};
use emcrm_mail::{Report, ReportKind};
use emcrm_model::{
    Campaign, CampaignDraft, CampaignState, Delivery, DeliveryState, EmailAddress, PageRequest, Suppression, SuppressionReason, User, UserId, UserPatch,
};
use emcrm_store::{Query, Table, Transaction, keys};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, call, merged, user_draft};

fn draft(more: Value) -> CampaignDraft {
    CampaignDraft::parse(&merged(json!({ "filter": {}, "subject": "Hello", "body": "See you." }), more)).unwrap()
}

fn public() -> TestApp {
    TestApp::public("https://crm.example")
}

async fn send(t: &TestApp, more: Value) -> Campaign {
    t.sent(draft(more)).await
}

/// Erases, and lets the second look happen, too.
async fn erase(t: &TestApp, id: &UserId) {
    t.app.user_erase(&call(), id).await.unwrap();
    for _ in 0..2 {
        t.settle().await;
        t.later(11);
    }
    t.settle().await;
}

async fn row(t: &TestApp, campaign: &Campaign, user: &User) -> Delivery {
    t.app.store.campaigns.delivery(&campaign.id, &user.id).await.unwrap().unwrap()
}

async fn clean(t: &TestApp) {
    let report = verify(&t.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

/// All items of both tables, a line each.
async fn everything(t: &TestApp) -> String {
    let mut text = String::new();
    for table in [Table::Main, Table::Email] {
        let mut after = None;
        loop {
            let rows = t.app.store.engine.scan(table, after, 1_000).await.unwrap();
            for item in rows.items {
                let _ = writeln!(text, "{} / {} {}", item.key.pk, item.key.sk, Value::Object(item.attrs));
            }
            match rows.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    text
}

async fn assert_nowhere(t: &TestApp, what: &str) {
    let all = everything(t).await;
    let found: Vec<&str> = all.lines().filter(|line| line.to_lowercase().contains(&what.to_lowercase())).collect();
    assert!(found.is_empty(), "{what}: {found:#?}");
}

fn mail_to(t: &TestApp, address: &str) -> String {
    let mails = t.mail.messages();
    let mails = mails.iter().rev().map(|mail| String::from_utf8(mail.clone()).unwrap());
    mails.into_iter().find(|mail| header(mail, "To").contains(address)).unwrap()
}

fn header(mail: &str, name: &str) -> String {
    let unfolded = mail.replace("\r\n ", " ");
    let found = unfolded.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
    found.unwrap_or_default()
}

async fn tell(t: &TestApp, kind: ReportKind, mail: &str, address: &str) -> Heard {
    let words = format!("550 5.1.1 <{address}>: there is no {address} here");
    t.app.feedback(&call(), &Report { kind, delivery: Some(header(mail, "X-EMCRM-Delivery")), address: Some(address.to_owned()), words }).await.unwrap()
}

async fn suppressed(t: &TestApp, address: &str) -> Option<SuppressionReason> {
    t.app.suppression_get(&call(), &EmailAddress::parse(address).unwrap()).await.ok().map(|entry| entry.reason)
}

async fn listed(t: &TestApp) -> u64 {
    t.app.suppression_list(&call(), PageRequest::first()).await.unwrap().total
}

async fn by_email(t: &TestApp, address: &str) -> Option<User> {
    t.app.store.users.by_email(&EmailAddress::parse(address).unwrap()).await.unwrap()
}

async fn upload(t: &TestApp, text: &str) -> PeopleImport {
    t.app.people_import_upload(&call(), "people.csv", text.as_bytes().to_vec(), None).await.unwrap()
}

async fn start(t: &TestApp, import: &PeopleImport) -> PeopleImport {
    t.app.people_import_start(&call(), &import.id, import.mapping.clone()).await.unwrap();
    t.settle().await;
    import_now(t, import).await
}

async fn import_now(t: &TestApp, import: &PeopleImport) -> PeopleImport {
    t.app.people_import_get(&call(), &import.id).await.unwrap()
}

#[tokio::test]
async fn an_erasure_reaches_rows_of_files_and_taking_the_import_back_brings_nobody_back() {
    let t = TestApp::new();
    let ben = t.user("ben").await;
    let done = upload(
        &t,
        "First name,Last name,Email,Phone,Notes\n\
         Ann,Berghoff,Ann@example.org,+49 30 1234567,x\n\
         Ben,Changed,ben@example.org,,asked by ann@example.org\n\
         Ann,Again,ann@example.org,,\n\
         Cid,Test,cid@example.org,,ann@example.org\n",
    )
    .await;
    let done = start(&t, &done).await;
    assert_eq!((done.state, done.counts.created, done.counts.changed, done.counts.faulty), (ImportState::Done, 2, 1, 1));
    let waiting = upload(&t, "Email,First name\nann@example.org,Ann\ndot@example.org,Dot\n").await;
    let ann = by_email(&t, "ann@example.org").await.unwrap();

    let archive = t.app.user_export(&call(), &ann.id).await.unwrap();
    let rows = archive["imports"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{rows:#?}");
    assert_eq!((&rows[0]["cells"][3], &rows[0]["step"]["create"]["body"]["phoneNumber"]), (&json!("+49 30 1234567"), &json!("+49 30 1234567")));
    for other in ["ben@example.org", "cid@example.org"] {
        assert!(!archive.to_string().contains(other), "what is about others is theirs: {other}");
    }
    assert!(everything(&t).await.contains("+49 30 1234567"));

    erase(&t, &ann.id).await;
    for gone in ["ann@example.org", "+49 30 1234567", "Berghoff"] {
        assert_nowhere(&t, gone).await;
    }
    assert!(everything(&t).await.contains("cid@example.org"));

    // The file that was not imported yet adds the others.
    let waiting = start(&t, &waiting).await;
    assert_eq!((waiting.counts.created, waiting.counts.faulty, waiting.counts.rows()), (1, 1, 2));
    assert!(by_email(&t, "ann@example.org").await.is_none() && by_email(&t, "dot@example.org").await.is_some());

    t.app.people_import_undo(&call(), &done.id).await.unwrap();
    t.settle().await;
    let done = import_now(&t, &done).await;
    assert_eq!((done.state, done.undone), (ImportState::Undone, UndoCounts { deleted: 2, restored: 1, kept: 0, unregistered: 0 }));
    assert_eq!(t.reload(&ben).await.last_name, "Test");
    assert!(by_email(&t, "ann@example.org").await.is_none() && by_email(&t, "cid@example.org").await.is_none());
    t.assert_counts().await;
    clean(&t).await;
}

#[tokio::test]
async fn a_large_file_is_gone_through_in_steps() {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    let mut file = "email,first name\n".to_owned();
    for n in 0..2_150 {
        let _ = writeln!(file, "p{n}@example.org,P{n}");
    }
    file.push_str("ann@example.org,Ann\n");
    let import = upload(&t, &file).await;
    assert!(import.pieces > 40, "more than one step looks at");
    erase(&t, &ann.id).await;
    assert_nowhere(&t, "ann@example.org").await;
    assert!(everything(&t).await.contains("p2149@example.org"));
}

#[tokio::test]
async fn who_was_deleted_before_is_still_found_in_files_by_the_id_and_by_the_address_of_then() {
    let t = TestApp::new();
    let import = upload(&t, "First name,Email,City\nAnn,old@example.org,Uppsala\n").await;
    start(&t, &import).await;
    // Nothing was imported of this one; its row has the address of then.
    upload(&t, "First name,Email,City\nAnnika,old@example.org,Lund\n").await;
    let ann = by_email(&t, "old@example.org").await.unwrap();
    t.app.user_patch(&call(), &ann.id, UserPatch::parse(&json!({ "email": "ann@example.org" })).unwrap()).await.unwrap();
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    t.settle().await;
    let archive = t.app.user_export(&call(), &ann.id).await.unwrap();
    assert_eq!((&archive["user"], &archive["imports"][0]["cells"][2]), (&Value::Null, &json!("Uppsala")));
    erase(&t, &ann.id).await;
    for gone in ["old@example.org", "Uppsala", "Annika", "ann@example.org"] {
        assert_nowhere(&t, gone).await;
    }
    let nobody: UserId = "nobody".to_owned().into();
    assert!(matches!(t.app.user_export(&call(), &nobody).await, Err(AppError::UserUnknown)));
    assert!(matches!(t.app.user_erase(&call(), &nobody).await, Err(AppError::UserUnknown)));
}

#[tokio::test]
async fn words_of_a_mail_server_about_somebody_who_is_erased_are_not_kept() {
    let t = public();
    let (ann, ben, cid) = (t.user("ann").await, t.user("ben").await, t.user("cid").await);
    t.mail.answer("cid@example.org", &[Answer::Permanent]);
    let campaign = send(&t, json!({})).await;
    let (to_ann, to_ben) = (mail_to(&t, "ann@example.org"), mail_to(&t, "ben@example.org"));
    assert!(row(&t, &campaign, &cid).await.error.unwrap().contains("no such user"), "somebody may look why");

    // Told before.
    assert_eq!(tell(&t, ReportKind::Bounced, &to_ben, "ben@example.org").await, Heard::Recorded);
    assert!(row(&t, &campaign, &ben).await.error.unwrap().contains("<ben@example.org>"));
    erase(&t, &ben.id).await;
    assert_nowhere(&t, "ben@example.org").await;
    // Told after.
    erase(&t, &ann.id).await;
    assert_eq!(tell(&t, ReportKind::Bounced, &to_ann, "ann@example.org").await, Heard::Recorded);
    assert_eq!(tell(&t, ReportKind::Bounced, &to_ann, "ann@example.org").await, Heard::Known);
    assert_nowhere(&t, "ann@example.org").await;
    for user in [&ann, &ben] {
        let row = row(&t, &campaign, user).await;
        assert_eq!((row.status, row.email, row.error), (DeliveryState::Bounced, None, None));
        assert_eq!(row.email_hash.unwrap(), keys::address_hash(&user.email));
    }
    let counts = t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts;
    assert_eq!((counts.bounced_count, counts.error_count, counts.sent_count, counts.total()), (2, 1, 0, 3));
    clean(&t).await;
}

#[tokio::test]
async fn nothing_is_noted_about_the_reading_of_somebody_who_was_erased() {
    let t = public();
    let (ann, ben) = (t.user("ann").await, t.user("ben").await);
    let body = json!({ "body": "<p>Hi <a href=\"https://example.com/\">there</a></p>", "bodyFormat": "html", "trackOpens": true, "trackClicks": true });
    let campaign = send(&t, body).await;
    let signed = |user: &User| emcrm_app::links::Signed { campaign: campaign.id.clone(), user: user.id.clone(), target: String::new() };
    let note = async |user: &User| t.app.hit_note(&signed(user), HitKind::Open, "Mozilla/5.0 (X11)").await.unwrap();
    note(&ann).await;
    note(&ben).await;
    erase(&t, &ann.id).await;
    note(&ann).await;
    note(&ben).await;
    let hits = t.app.store.engine.query(Query::table(Table::Email, keys::hits_part(&campaign.id))).await.unwrap();
    let of: Vec<&str> = hits.items.iter().filter_map(|item| item.attrs.get("user_id")?.as_str()).collect();
    assert_eq!(of, [ben.id.as_str(), ben.id.as_str()]);
    clean(&t).await;
}

#[tokio::test]
async fn who_was_erased_can_still_unsubscribe_and_the_address_is_not_mailed_should_it_come_again() {
    let t = public();
    let ann = t.user("ann").await;
    send(&t, json!({})).await;
    let link = header(&mail_to(&t, "ann@example.org"), "List-Unsubscribe");
    let token = link.trim_matches(['<', '>']).strip_prefix("https://crm.example/u/").unwrap();
    erase(&t, &ann.id).await;
    let subscriber = t.app.unsubscribe_open(token).await.unwrap().unwrap();
    assert_eq!((subscriber.email.clone(), subscriber.suppressed), (None, None));
    for _ in 0..2 {
        t.app.unsubscribe(&call(), &subscriber).await.unwrap();
    }
    assert_eq!(t.app.unsubscribe_open(token).await.unwrap().unwrap().suppressed, Some(SuppressionReason::Unsubscribed));
    assert_nowhere(&t, "ann@example.org").await;
    assert_eq!(listed(&t).await, 1);
    clean(&t).await;

    t.user("ann").await;
    t.settle().await;
    let again = send(&t, json!({})).await;
    assert_eq!(t.states(&again).await["ann@example.org"], DeliveryState::Suppressed);
    assert!(t.app.resubscribe(&call(), &subscriber).await.unwrap());
    assert!(!t.app.resubscribe(&call(), &subscriber).await.unwrap());
    let wanted = send(&t, json!({})).await;
    assert_eq!(t.states(&wanted).await["ann@example.org"], DeliveryState::Sent);
    clean(&t).await;
}

#[tokio::test]
async fn a_complaint_of_somebody_who_was_erased_counts_beside_what_stands_against_the_address() {
    let t = public();
    let ann = t.user("ann").await;
    let address = EmailAddress::parse("ann@example.org").unwrap();
    send(&t, json!({})).await;
    let mail = mail_to(&t, "ann@example.org");
    erase(&t, &ann.id).await;
    // The address came again and is on the list in clear; whoever complains is known by the hash only.
    t.app.suppression_add(&call(), &address, SuppressionReason::Unsubscribed, None).await.unwrap();
    assert_eq!(tell(&t, ReportKind::Complained, &mail, "somebody@example.org").await, Heard::Recorded);
    assert_eq!((suppressed(&t, "ann@example.org").await, listed(&t).await), (Some(SuppressionReason::Unsubscribed), 1), "about another address");
    assert_eq!(tell(&t, ReportKind::Complained, &mail, "ANN@example.org").await, Heard::Known);
    assert_eq!((suppressed(&t, "ann@example.org").await, listed(&t).await), (Some(SuppressionReason::Complained), 2));
    clean(&t).await;
    // Of both, one is left of somebody who is erased, with the graver reason.
    assert!(t.app.suppression_pseudonymise(&address).await.unwrap());
    assert_eq!((suppressed(&t, "ann@example.org").await, listed(&t).await), (Some(SuppressionReason::Complained), 1));
    assert_nowhere(&t, "ann@example.org").await;
    clean(&t).await;
    // Taken off the list, it is off the list.
    t.app.suppression_remove(&call(), &address).await.unwrap();
    t.app.suppression_add(&call(), &address, SuppressionReason::Unsubscribed, None).await.unwrap();
    assert_eq!(tell(&t, ReportKind::Complained, &mail, "ann@example.org").await, Heard::Known);
    assert_eq!(listed(&t).await, 2);
    t.app.suppression_remove(&call(), &address).await.unwrap();
    assert_eq!((suppressed(&t, "ann@example.org").await, listed(&t).await), (None, 0));
    clean(&t).await;
}

#[tokio::test]
async fn a_campaign_that_is_paused_does_not_keep_the_address_of_somebody_who_is_erased() {
    let t = public();
    let mut users = Vec::new();
    for n in 10..30 {
        users.push(t.user(&format!("p{n}")).await);
    }
    let gate = t.mail.hold();
    let worker = t.worker();
    let campaign = t.app.campaign_create(&call(), draft(json!({}))).await.unwrap();
    t.app.campaign_pause(&call(), &campaign.id).await.unwrap();
    gate.add_permits(100);
    worker.stop().await;
    t.settle().await;
    let states = t.states(&campaign).await;
    let waits = users.iter().find(|user| states[user.email.as_str()] == DeliveryState::Pending).unwrap();
    let before = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!(before.status, CampaignState::Paused);
    erase(&t, &waits.id).await;
    assert_nowhere(&t, waits.email.as_str()).await;
    let left_out = row(&t, &campaign, waits).await;
    assert_eq!((left_out.status, left_out.email, left_out.error.as_deref()), (DeliveryState::Skipped, None, Some("the person was deleted")));
    let counts = t.app.campaign_get(&call(), &campaign.id).await.unwrap().counts;
    assert_eq!((counts.pending_count, counts.skipped_count, counts.total()), (before.counts.pending_count - 1, 1, 20));
    clean(&t).await;

    t.app.campaign_resume(&call(), &campaign.id).await.unwrap();
    t.settle().await;
    let done = t.app.campaign_get(&call(), &campaign.id).await.unwrap();
    assert_eq!((done.status, done.counts.sent_count, done.counts.skipped_count), (CampaignState::Sent, 19, 1));
    assert!(!t.mail.taken().contains(&waits.email.as_str().to_owned()));
    clean(&t).await;
}

#[tokio::test]
async fn the_trail_keeps_where_staff_came_from_and_not_where_the_public_did() {
    let t = public();
    let staff = Call { from: Some("198.51.100.9".parse().unwrap()), ..call() };
    let event = t.event("Tea", json!({ "public": true })).await;
    let anybody = Call::public(Some("203.0.113.7".parse().unwrap()), "request");
    t.app.public_register(&anybody, event.slug.as_str(), &user_draft("ann", json!({}))).await.unwrap();
    let ann = by_email(&t, "ann@example.org").await.unwrap();
    t.app.user_patch(&staff, &ann.id, UserPatch::parse(&json!({ "city": "York" })).unwrap()).await.unwrap();
    t.settle().await;
    assert!(everything(&t).await.contains("198.51.100.9"));
    assert_nowhere(&t, "203.0.113.7").await;
}

#[tokio::test]
async fn an_export_has_all_that_was_done_to_somebody() {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    for n in 0..110 {
        t.app.user_patch(&call(), &ann.id, UserPatch::parse(&json!({ "city": format!("City {n}") })).unwrap()).await.unwrap();
    }
    let archive = t.app.user_export(&call(), &ann.id).await.unwrap();
    let audit = archive["audit"].as_array().unwrap();
    assert_eq!((audit.len(), &audit[110]["what"]), (111, &json!("user.created")));
}

/// As an earlier version left them.
#[tokio::test]
async fn words_that_were_left_on_a_row_go_when_the_person_is_erased_again() {
    let t = public();
    let ann = t.user("ann").await;
    let campaign = send(&t, json!({})).await;
    erase(&t, &ann.id).await;
    let mut tx = Transaction::new();
    tx.update(Table::Email, keys::delivery(&campaign.id, &ann.id)).set("error", "550 no ann@example.org here");
    t.app.store.engine.transact(tx).await.unwrap();
    erase(&t, &ann.id).await;
    assert_nowhere(&t, "ann@example.org").await;
    clean(&t).await;
}

#[tokio::test]
async fn a_graver_reason_that_came_meanwhile_is_not_lost() {
    let t = TestApp::new();
    let list = &t.app.store.suppressions;
    let address = EmailAddress::parse("ann@example.org").unwrap();
    let hash = keys::address_hash(&address);
    let entry = |reason| Suppression { email: None, email_hash: None, reason, note: None, campaign_id: None, created_at: "2026-01-01T00:00:00Z".to_owned() };
    let (old, graver) = (entry(SuppressionReason::Unsubscribed), entry(SuppressionReason::Complained));
    let commit = async |change: &dyn Fn(&mut Transaction)| {
        let mut tx = Transaction::new();
        change(&mut tx);
        t.app.store.engine.transact(tx).await.is_ok()
    };
    assert!(commit(&|tx| list.put_hash(tx, &hash, &old)).await && commit(&|tx| list.put(tx, &address, &old)).await);
    assert!(commit(&|tx| list.replace_hash(tx, &hash, &old, &graver)).await && commit(&|tx| list.replace(tx, &address, &old, &graver)).await);
    // Who has read the lesser reason changes nothing any more.
    assert!(!commit(&|tx| list.delete_hash(tx, &hash, &old)).await && !commit(&|tx| list.delete(tx, &address, &old)).await);
    assert!(!commit(&|tx| list.replace_hash(tx, &hash, &old, &old)).await && !commit(&|tx| list.replace(tx, &address, &old, &old)).await);
    let (clear, hashed) = list.both(&address).await.unwrap();
    assert_eq!([clear.unwrap().reason, hashed.unwrap().reason], [SuppressionReason::Complained; 2]);
}

#[tokio::test]
async fn a_row_whose_campaign_is_gone_keeps_no_address_either() {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    let row = json!({ "email_id": "before", "user_id": ann.id.as_str(), "status": "pending", "createdAt": "2025-01-01T00:00:00Z", "email": "ann@example.org" });
    let mut tx = Transaction::new();
    t.app.store.campaigns.put_delivery(&mut tx, &serde_json::from_value(row).unwrap());
    t.app.store.engine.transact(tx).await.unwrap();
    erase(&t, &ann.id).await;
    // The task, which remembers the address, has come to its end too.
    assert_nowhere(&t, "ann@example.org").await;
}
