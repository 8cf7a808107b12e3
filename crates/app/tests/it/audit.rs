//! The audit trail: no deed without its entry, and no entry can be changed, taken out or put in.

use emcrm_app::ChainFault;
use emcrm_model::{ApiTokenDraft, Grant, PageRequest, Position, Role};
use emcrm_store::{Key, Table, Transaction, keys};
use serde_json::json;

use crate::support::{TestApp, call};

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
    assert_eq!(t.app.audit_check().await.unwrap().1, [ChainFault::End { found: 3, said: 3 }]);
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
