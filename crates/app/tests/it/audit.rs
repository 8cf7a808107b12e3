//! The audit trail: no deed without its entry, and no entry can be changed, taken out or put in.

use std::sync::Arc;

use emcrm_app::verify::verify;
use emcrm_app::{Call, ChainFault};
use emcrm_mail::{Report, ReportKind};
use emcrm_model::{Actor, ApiTokenDraft, AuditEntry, Caller, ChainedEntry, EmailAddress, Grant, PageRequest, Position, Role, SuppressionReason};
use emcrm_store::{Engine, Item, Key, Table, Transaction, from_item, keys};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{TestApp, call, campaign_draft, header};

fn page(size: u32) -> PageRequest {
    PageRequest { position: Position::Number(1), size }
}

async fn chained(t: &TestApp) {
    while t.app.audit_chain().await.unwrap() > 0 {}
}

/// A few deeds, in the chain.
async fn busy() -> TestApp {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    let tea = t.event("Tea", json!({})).await;
    t.attend(&ann, &tea).await;
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    chained(&t).await;
    t
}

#[tokio::test]
async fn every_write_leaves_its_entry_and_a_refused_one_leaves_none() {
    let t = busy().await;
    t.app.user_delete(&call(), &"nobody".to_owned().into()).await.unwrap_err();
    chained(&t).await;
    let list = t.app.audit_list(&call(), None, &page(50)).await.unwrap();
    let what: Vec<&str> = list.items.iter().map(|chained| chained.entry.what.as_str()).collect();
    assert_eq!(what, ["user.deleted", "attendance.registered", "event.created", "user.created"]);
    assert_eq!((list.total, list.items[0].seq), (4, 4));
    // What was done to one object, also where it was the second one.
    let user = list.items[0].entry.object.clone();
    let of_user = t.app.audit_list(&call(), Some(&user), &page(2)).await.unwrap();
    assert_eq!(of_user.total, 3);
    let next = PageRequest { position: Position::Cursor(of_user.next.unwrap()), size: 2 };
    let rest = t.app.audit_list(&call(), Some(&user), &next).await.unwrap();
    assert_eq!(rest.items.iter().map(|chained| chained.entry.what.as_str()).collect::<Vec<_>>(), ["user.created"]);
    assert!(rest.next.is_none());
}

#[tokio::test]
async fn whatever_is_done_to_the_trail_is_found() {
    let t = busy().await;
    assert_eq!(t.app.audit_check().await.unwrap(), (4, vec![]));
    let engine = t.app.store.engine.clone();
    // Changed.
    let key = keys::audit_entry(2);
    let whole = engine.get(Table::Main, &key).await.unwrap().unwrap();
    let mut tx = Transaction::new();
    tx.update(Table::Main, key.clone()).set("what", "event.looked_at");
    engine.transact(tx).await.unwrap();
    assert_eq!(t.app.audit_check().await.unwrap().1, [ChainFault::Changed(2)]);
    // Taken out.
    let mut tx = Transaction::new();
    tx.delete(Table::Main, key);
    engine.transact(tx).await.unwrap();
    assert_eq!(t.app.audit_check().await.unwrap().1, [ChainFault::Missing(2)]);
    // Put back as it was, and cut off at the end instead.
    let mut tx = Transaction::new();
    tx.put(Table::Main, whole);
    tx.delete(Table::Main, keys::audit_entry(4));
    engine.transact(tx).await.unwrap();
    assert_eq!(t.app.audit_check().await.unwrap().1, [ChainFault::Missing(4)]);
    // With the end moved too: its digest does not fit.
    let mut tx = Transaction::new();
    tx.update(Table::Main, keys::audit_head()).set("seq", 3);
    engine.transact(tx).await.unwrap();
    assert_eq!(t.app.audit_check().await.unwrap().1, [ChainFault::Ending(3), ChainFault::End { found: 3, said: 3 }]);
}

async fn put(engine: &Arc<dyn Engine>, key: Key, attrs: Value) {
    let mut tx = Transaction::new();
    tx.put(Table::Main, Item { key, attrs: attrs.as_object().unwrap().clone() });
    engine.transact(tx).await.unwrap();
}

async fn delete(engine: &Arc<dyn Engine>, keys: impl IntoIterator<Item = Key>) {
    let mut tx = Transaction::new();
    for key in keys {
        tx.delete(Table::Main, key);
    }
    engine.transact(tx).await.unwrap();
}

async fn entry(engine: &Arc<dyn Engine>, seq: u64) -> ChainedEntry {
    from_item(engine.get(Table::Main, &keys::audit_entry(seq)).await.unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_tail_that_is_cut_off_is_found_and_stays_found() {
    let t = busy().await;
    let engine = t.app.store.engine.clone();
    let last = entry(&engine, 2).await;
    delete(&engine, [keys::audit_entry(3), keys::audit_entry(4)]).await;
    // As an earlier version wrote it; then with the seal of the end that was there.
    let sealed = engine.get(Table::Main, &keys::audit_head()).await.unwrap().unwrap().attrs["seal"].clone();
    for end in [json!({"seq": 2, "mac": last.mac}), json!({"seq": 2, "mac": last.mac, "seal": sealed})] {
        put(&engine, keys::audit_head(), end).await;
        assert_eq!(t.app.audit_check().await.unwrap(), (2, vec![ChainFault::Ending(2)]));
    }
    // Nor with the mark taken away, as if no version had ever sealed anything.
    put(&engine, keys::audit_head(), json!({"seq": 2, "mac": last.mac})).await;
    delete(&engine, [keys::audit_sealed(), keys::audit_anchor()]).await;
    assert_eq!(t.app.audit_check().await.unwrap(), (2, vec![ChainFault::Mark, ChainFault::Beginning(0), ChainFault::Ending(2)]));
    assert!(!verify(&t.app, false, &|_, _| ()).await.unwrap().is_clean());
    // The chain goes on, and does not make it good.
    t.user("ben").await;
    chained(&t).await;
    assert_eq!(entry(&engine, 4).await.entry.what, "user.created");
    assert_eq!(t.app.audit_check().await.unwrap(), (4, vec![ChainFault::Beginning(0), ChainFault::NotOurs(3)]));
}

#[tokio::test]
async fn a_chain_that_is_emptied_is_found() {
    let t = busy().await;
    let engine = t.app.store.engine.clone();
    let head = engine.get(Table::Main, &keys::audit_head()).await.unwrap().unwrap();
    delete(&engine, (1..=4).map(keys::audit_entry)).await;
    put(&engine, keys::audit_anchor(), Value::Object(head.attrs)).await;
    assert_eq!(t.app.audit_check().await.unwrap(), (4, vec![ChainFault::Beginning(4)]));
    t.user("ben").await;
    chained(&t).await;
    assert_eq!(t.app.audit_check().await.unwrap(), (5, vec![ChainFault::Beginning(4)]));
}

#[tokio::test]
async fn what_this_program_did_not_note_is_laid_aside_and_keeps_nobody_waiting() {
    let t = busy().await;
    let engine = t.app.store.engine.clone();
    let forged = json!({"id": "0", "at": "2026-01-01T00:00:00.000000Z", "actor": "staff:eve", "label": "Eve", "what": "user.deleted", "object": "user#x"});
    let sealed = |seal: String| {
        let mut forged = forged.clone();
        forged["seal"] = seal.into();
        forged
    };
    let part = keys::audit_new_part(0);
    // Without a seal, with a made-up one, with one of something else, and something that is no entry; more of them than one look takes.
    let other = engine.get(Table::Main, &keys::audit_head()).await.unwrap().unwrap().attrs["seal"].as_str().unwrap().to_owned();
    for (id, forged) in [("0", forged.clone()), ("1", sealed("00".repeat(32))), ("2", sealed(other)), ("3", json!({"what": 7}))] {
        put(&engine, Key::new(&part, id), forged).await;
    }
    for n in 0..120 {
        put(&engine, Key::new(&part, format!("00{n:03}")), forged.clone()).await;
    }
    for name in ["ben", "cid", "dan", "eva", "flo", "gus", "hal", "ida"] {
        t.user(name).await;
    }
    chained(&t).await;
    let list = t.app.audit_list(&call(), None, &page(50)).await.unwrap();
    assert_eq!((list.total, list.items.iter().filter(|chained| chained.entry.label == "Eve").count()), (12, 0));
    let (entries, faults) = t.app.audit_check().await.unwrap();
    assert!(faults.iter().all(|fault| matches!(fault, ChainFault::LaidAside(_))), "{faults:?}");
    // As many as are named at once.
    assert_eq!((entries, faults.len()), (12, 100));
    let kept = engine.get(Table::Main, &keys::audit_bad(&Key::new(&part, "3"))).await.unwrap().unwrap();
    assert_eq!(kept.attrs["what"], 7, "nothing is lost");
    let report = verify(&t.app, false, &|_, _| ()).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.place.starts_with("audit_bad#0 / ") && finding.detail.contains("was not noted by this program")));
}

#[tokio::test]
async fn a_process_with_another_key_does_a_trail_no_harm() {
    let t = busy().await;
    t.user("ben").await;
    let engine = t.app.store.engine.clone();
    let points = t.app.store.audit.points().await.unwrap();
    // An entry of the right key waits; the wrong one looks, works and notes a deed.
    let other = TestApp::with_key(engine.clone(), [8; 32]);
    other.user("cid").await;
    chained(&other).await;
    let report = verify(&other.app, false, &|_, _| ()).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.place.starts_with("audit_")), "{:?}", report.findings);
    assert_eq!(t.app.store.audit.points().await.unwrap(), points, "nothing was added to it");
    // With the key back all is well, but for the deed that was noted under the wrong one.
    chained(&t).await;
    assert_eq!(entry(&engine, 5).await.entry.what, "user.created");
    let (entries, faults) = t.app.audit_check().await.unwrap();
    assert_eq!(entries, 5);
    assert!(matches!(faults.as_slice(), [ChainFault::LaidAside(_)]), "{faults:?}");
}

#[tokio::test]
async fn a_key_that_is_new_for_good_goes_on_where_somebody_says_so() {
    let t = busy().await;
    let engine = t.app.store.engine.clone();
    let other = TestApp::with_key(engine.clone(), [8; 32]);
    assert!(!verify(&other.app, true, &|_, _| ()).await.unwrap().is_clean(), "what stands under the old key cannot be checked");
    other.user("cid").await;
    chained(&other).await;
    let what = [entry(&engine, 5).await.entry.what, entry(&engine, 6).await.entry.what];
    assert_eq!(what, ["audit.not_ours", "user.created"]);
}

#[tokio::test]
async fn what_got_its_seal_meanwhile_is_not_laid_aside() {
    let t = busy().await;
    t.user("ben").await;
    let store = &t.app.store;
    let whole = store.audit.new_items(10).await.unwrap().remove(0);
    let mut unsealed = whole.clone();
    unsealed.attrs.remove("seal").unwrap();
    let mut tx = Transaction::new();
    store.audit.lay_aside(&mut tx, &unsealed);
    assert!(store.engine.transact(tx).await.is_err(), "it was judged as it is no more");
    assert_eq!(store.audit.new_items(10).await.unwrap(), [whole]);
}

/// Makes the trail one of a version that wrote no seals, with these deeds still to be chained.
async fn as_earlier(t: &TestApp) {
    let engine = &t.app.store.engine;
    let (mut before, mut seq) = (String::new(), 0_u64);
    while let Some(item) = engine.get(Table::Main, &keys::audit_entry(seq + 1)).await.unwrap() {
        seq += 1;
        let entry: AuditEntry = from_item(item.clone()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        mac.update(b"audit\0");
        mac.update(before.as_bytes());
        mac.update(&seq.to_be_bytes());
        mac.update(&serde_json::to_vec(&entry).unwrap());
        before = hex(&mac.finalize().into_bytes());
        let mut attrs = Value::Object(item.attrs);
        attrs["mac"] = before.clone().into();
        put(engine, item.key, attrs).await;
    }
    delete(engine, [keys::audit_sealed(), keys::audit_anchor()]).await;
    put(engine, keys::audit_head(), json!({"seq": seq, "mac": before})).await;
    for item in t.app.store.audit.new_items(100).await.unwrap() {
        let mut attrs = item.attrs;
        attrs.remove("seal").unwrap();
        put(engine, item.key, Value::Object(attrs)).await;
    }
}

#[tokio::test]
async fn the_trail_of_an_earlier_version_gets_its_seals_once_and_no_second_time() {
    let t = busy().await;
    t.user("ben").await;
    as_earlier(&t).await;
    let engine = t.app.store.engine.clone();
    let old = entry(&engine, 4).await;
    let report = verify(&t.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    // The four, Ben, and that they were sealed.
    assert_eq!(t.app.audit_check().await.unwrap(), (6, vec![]));
    assert_eq!(entry(&engine, 4).await, old, "what was chained stays as it was");
    let sealing = [entry(&engine, 5).await.entry, entry(&engine, 6).await.entry].into_iter().find(|entry| entry.what == "audit.sealed").unwrap();
    assert_eq!(sealing.note.unwrap(), "the trail of an earlier version: it ends at 4, and 1 entries were not in it yet");
    // Without the mark and the seals it is not taken for that of an earlier version again: it was chained since.
    let last = entry(&engine, 6).await;
    delete(&engine, [keys::audit_sealed(), keys::audit_anchor()]).await;
    put(&engine, keys::audit_head(), json!({"seq": 6, "mac": last.mac})).await;
    assert_eq!(t.app.audit_check().await.unwrap().1, [ChainFault::Mark, ChainFault::Beginning(0), ChainFault::Ending(6)]);
}

#[tokio::test]
async fn a_trail_of_an_earlier_version_that_nobody_writes_to_verifies_too() {
    let t = busy().await;
    as_earlier(&t).await;
    assert_eq!(t.app.audit_check().await.unwrap(), (4, vec![]));
    chained(&t).await;
    assert_eq!(t.app.audit_check().await.unwrap(), (5, vec![]), "with the entry that says so");
    // And one that is empty stays empty.
    let t = TestApp::new();
    assert_eq!(t.app.audit_check().await.unwrap(), (0, vec![]));
    assert!(t.app.store.engine.scan(Table::Main, None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn changed_entries_are_not_forgotten_in_silence() {
    let t = TestApp::with_access(emcrm_app::AccessSettings { audit_days: Some(30), ..Default::default() });
    for name in ["ann", "ben", "cid"] {
        t.user(name).await;
    }
    chained(&t).await;
    let engine = t.app.store.engine.clone();
    let mut tx = Transaction::new();
    // So that the program itself takes them out.
    tx.update(Table::Main, keys::audit_entry(1)).set("at", "2000-01-01T00:00:00.000000Z");
    tx.update(Table::Main, keys::audit_entry(2)).set("at", "2000-01-01T00:00:00.000000Z");
    engine.transact(tx).await.unwrap();
    assert_eq!(t.app.audit_forget().await.unwrap(), 2);
    chained(&t).await;
    assert_eq!(t.app.audit_check().await.unwrap(), (4, vec![ChainFault::NotOurs(4)]));
}

/// Somebody with a name.
pub fn by(name: &str) -> Call {
    let caller = Caller { name: format!("staff:{name}"), label: name.to_owned(), grant: Some(Grant::Role(Role::Sender)) };
    Call { actor: Actor::Staff(caller), ..call() }
}

/// What was done and by whom, oldest first, of these kinds.
async fn deeds(t: &TestApp, kinds: &[&str]) -> Vec<AuditEntry> {
    chained(t).await;
    let list = t.app.audit_list(&call(), None, &page(100)).await.unwrap();
    list.items.into_iter().rev().map(|chained| chained.entry).filter(|entry| kinds.iter().any(|kind| entry.what.starts_with(kind))).collect()
}

fn texts(entries: &[AuditEntry]) -> Vec<String> {
    entries.iter().map(|entry| format!("{} {} by {}", entry.what, entry.object, entry.actor)).collect()
}

#[tokio::test]
async fn an_import_says_who_uploaded_started_and_undid_it() {
    let t = TestApp::new();
    let import = t.app.people_import_upload(&by("una"), "list.csv", b"email,first name\nmara@example.org,Mara\n".to_vec(), None).await.unwrap();
    t.app.people_import_start(&by("stan"), &import.id, import.mapping.clone()).await.unwrap();
    t.settle().await;
    // Pressed twice.
    t.app.people_import_start(&by("stan"), &import.id, import.mapping.clone()).await.unwrap();
    t.app.people_import_undo(&by("uwe"), &import.id).await.unwrap();
    t.settle().await;
    let id = format!("import#{}", import.id);
    let done = deeds(&t, &["import."]).await;
    assert_eq!(
        texts(&done),
        [format!("import.uploaded {id} by staff:una"), format!("import.started {id} by staff:stan"), format!("import.undone {id} by staff:uwe")]
    );
    let people = deeds(&t, &["user"]).await;
    assert!(!people.is_empty() && people.iter().all(|entry| entry.request_id.as_ref() == Some(&id)), "{people:?}");
}

#[tokio::test]
async fn a_test_mail_says_whose_values_it_had_and_no_address() {
    let t = TestApp::new();
    let to = EmailAddress::parse("elsewhere@example.net").unwrap();
    t.app.campaign_test(&by("sue"), campaign_draft(json!({})), to.clone()).await.unwrap();
    let ann = t.user("ann").await;
    t.settle().await;
    *t.mail.down.lock() = true;
    t.app.campaign_test(&by("sue"), campaign_draft(json!({})), to).await.unwrap_err();
    let done = deeds(&t, &["mail."]).await;
    assert_eq!(texts(&done), ["mail.tested  by staff:sue".to_owned(), format!("mail.tested user#{} by staff:sue", ann.id)]);
    assert!(!format!("{done:?}").contains("elsewhere"));
}

#[tokio::test]
async fn what_came_back_says_which_ledger_and_which_list_it_changed() {
    let t = TestApp::public("https://crm.example");
    let ann = t.user("ann").await;
    t.settle().await;
    let campaign = t.campaign(json!({})).await;
    t.settle().await;
    let token = header(&String::from_utf8(t.mail.messages().pop().unwrap()).unwrap(), "X-EMCRM-Delivery").unwrap();
    for kind in [ReportKind::Bounced, ReportKind::Bounced, ReportKind::Complained] {
        let report = Report { kind, delivery: Some(token.clone()), address: None, words: "550 5.1.1 ann@example.org".to_owned() };
        t.app.feedback(&by("mta"), &report).await.unwrap();
    }
    let done = deeds(&t, &["delivery.", "suppression."]).await;
    let ledger = keys::campaign_part(&campaign.id);
    let what: Vec<&str> = done.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(what, ["delivery.bounced", "suppression.added", "delivery.complained", "suppression.added"]);
    for entry in &done {
        assert_eq!(entry.actor, "staff:mta");
        match entry.what.strip_prefix("delivery.") {
            Some(_) => assert_eq!((entry.object.as_str(), entry.also.clone()), (ledger.as_str(), Some(keys::user_part(&ann.id)))),
            None => assert_eq!(entry.also.as_ref(), Some(&ledger)),
        }
    }
    assert!(!format!("{done:?}").contains("ann@"));
}

#[tokio::test]
async fn the_suppression_list_and_its_entry_change_together() {
    let t = TestApp::new();
    let address = EmailAddress::parse("ann@example.org").unwrap();
    t.app.suppression_add(&by("sue"), &address, SuppressionReason::Manual, None).await.unwrap();
    // Nothing changes, so nothing was done.
    t.app.suppression_add(&by("sue"), &address, SuppressionReason::Manual, None).await.unwrap();
    // In one transaction: the row of the list and the entry are there or neither is.
    let waiting = t.app.store.audit.new_items(100).await.unwrap();
    assert_eq!(waiting.iter().filter(|item| item.attrs["what"] == "suppression.added").count(), 1);
    t.app.suppression_remove(&by("sam"), &address).await.unwrap();
    t.app.suppression_remove(&by("sam"), &address).await.unwrap_err();
    let done = deeds(&t, &["suppression."]).await;
    let list = keys::suppression_hash(&address).pk;
    assert_eq!(texts(&done), [format!("suppression.added {list} by staff:sue"), format!("suppression.removed {list} by staff:sam")]);
}

#[tokio::test]
async fn two_workers_make_one_chain() {
    let t = TestApp::new();
    for n in 0..60 {
        t.user(&format!("u{n}")).await;
    }
    let (one, two) = (t.app.clone(), t.app.clone());
    let (a, b) = tokio::join!(tokio::spawn(async move { one.audit_chain().await }), tokio::spawn(async move { two.audit_chain().await }));
    assert!(a.unwrap().unwrap() + b.unwrap().unwrap() >= 24);
    chained(&t).await;
    assert_eq!(t.app.audit_check().await.unwrap(), (60, vec![]));
}

#[tokio::test]
async fn old_entries_are_forgotten_and_what_is_left_is_still_a_chain() {
    let t = TestApp::with_access(emcrm_app::AccessSettings { audit_days: Some(30), ..Default::default() });
    t.user("ann").await;
    t.user("ben").await;
    chained(&t).await;
    t.later(31 * 24 * 3_600);
    t.user("cid").await;
    chained(&t).await;
    while t.app.audit_forget().await.unwrap() > 0 {}
    let list = t.app.audit_list(&call(), None, &page(50)).await.unwrap();
    assert_eq!((list.total, list.items.len(), list.items[0].seq), (1, 1, 3));
    assert_eq!(t.app.audit_check().await.unwrap(), (3, vec![]));
    assert!(t.app.store.engine.get(Table::Main, &Key::new(keys::audit_entry(1).pk, keys::audit_entry(1).sk)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_trail_whose_end_was_taken_away_goes_on_behind_what_was_forgotten() {
    let t = TestApp::with_access(emcrm_app::AccessSettings { audit_days: Some(30), ..Default::default() });
    t.user("ann").await;
    t.user("ben").await;
    chained(&t).await;
    t.later(31 * 24 * 3_600);
    t.user("cid").await;
    chained(&t).await;
    while t.app.audit_forget().await.unwrap() > 0 {}
    let engine = t.app.store.engine.clone();
    delete(&engine, [keys::audit_head()]).await;
    for name in ["dan", "eva", "flo"] {
        t.user(name).await;
        chained(&t).await;
    }
    assert_eq!(entry(&engine, 7).await.entry.what, "user.created");
    assert_eq!(t.app.audit_check().await.unwrap(), (7, vec![ChainFault::NotOurs(4)]));
}

#[tokio::test]
async fn a_token_is_good_until_it_expires_or_is_revoked_and_is_nowhere_in_clear() {
    let t = TestApp::new();
    let draft = ApiTokenDraft { name: "door".to_owned(), grant: Grant::Role(Role::Editor), days: Some(1) };
    let (kept, token) = t.app.token_create(&call(), draft.clone()).await.unwrap();
    assert!(token.starts_with("emcrm_") && token.starts_with(&kept.hint));
    let actor = t.app.token_caller(&token).await.unwrap().unwrap();
    assert!(actor.may(Role::Editor) && !actor.may(Role::Sender));
    assert_eq!(actor.name(), format!("token:{}", kept.id));
    for wrong in ["", "emcrm_", &token[..token.len() - 1], &format!("{}x", &token[..token.len() - 1])] {
        assert!(t.app.token_caller(wrong).await.unwrap().is_none() || *wrong == token);
    }
    assert!(t.app.token_list(&call()).await.unwrap()[0].last_used_at.is_some());
    // Whoever reads the storage cannot use it.
    let rows = t.app.store.engine.scan(Table::Main, None, 100).await.unwrap().items;
    let secret = token.rsplit('_').next().unwrap();
    assert!(
        rows.iter().all(|row| !serde_json::to_string(&row.attrs).unwrap().contains(secret) && !row.key.pk.contains(secret) && !row.key.sk.contains(secret))
    );
    t.later(24 * 3_600 + 1);
    assert!(t.app.token_caller(&token).await.unwrap().is_none(), "expired");
    let (kept, token) = t.app.token_create(&call(), draft).await.unwrap();
    assert!(t.app.token_caller(&token).await.unwrap().is_some());
    t.app.token_revoke(&call(), &kept.id).await.unwrap();
    assert!(t.app.token_caller(&token).await.unwrap().is_none(), "revoked");
    t.app.token_revoke(&call(), &kept.id).await.unwrap();
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
