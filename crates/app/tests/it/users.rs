use emcrm_app::{AppError, Call, Idempotency, UserList};
use emcrm_model::{EmailAddress, PageRequest, Position, Rev, UserId, UserPatch};
use serde_json::json;

use crate::support::{TestApp, call, user_draft};

#[tokio::test]
async fn an_address_belongs_to_one_user_however_it_is_written() {
    let t = TestApp::new();
    t.user("ann").await;
    for written in ["ann@example.org", "ANN@Example.ORG", " ann@example.org "] {
        let draft = user_draft("other", json!({ "email": written }));
        assert!(matches!(t.app.user_create(&call(), None, draft).await, Err(AppError::EmailTaken)), "{written}");
    }
    t.assert_counts().await;
}

#[tokio::test]
async fn a_changed_address_frees_the_old_one_and_takes_the_new_one() {
    let t = TestApp::new();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let to_bob = user_draft("ann", json!({ "email": "bob@example.org" }));
    assert!(matches!(t.app.user_replace(&call(), &ann.id, to_bob).await, Err(AppError::EmailTaken)));
    let moved = t.app.user_replace(&call(), &ann.id, user_draft("ann", json!({ "email": "new@example.org" }))).await.unwrap();
    assert_eq!(moved.rev, Rev(2));
    t.app.user_replace(&call(), &bob.id, user_draft("bob", json!({ "email": "ann@example.org" }))).await.unwrap();
    // Only the writing of one's own address may change freely.
    t.app.user_replace(&call(), &bob.id, user_draft("bob", json!({ "email": "ANN@example.org" }))).await.unwrap();
    t.assert_counts().await;
}

#[tokio::test]
async fn a_patch_keeps_what_it_does_not_name_and_clears_what_is_null() {
    let t = TestApp::new();
    let ann = t.user_with("ann", json!({ "company": "Acme", "city": "Austin" })).await;
    let patch = UserPatch::parse(&json!({ "company": null, "firstName": "Anna" })).unwrap();
    let patched = t.app.user_patch(&call(), &ann.id, patch).await.unwrap();
    assert_eq!((patched.company, patched.city.as_deref(), patched.first_name.as_str()), (None, Some("Austin"), "Anna"));
    assert_eq!(t.reload(&ann).await.first_name, "Anna");
}

#[tokio::test]
async fn a_stale_revision_is_refused() {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    let seen = Call { if_match: Some(ann.rev), ..call() };
    t.app.user_replace(&seen, &ann.id, user_draft("ann", json!({ "city": "Austin" }))).await.unwrap();
    assert!(matches!(t.app.user_replace(&seen, &ann.id, user_draft("ann", json!({}))).await, Err(AppError::StaleRev)));
    assert!(matches!(t.app.user_delete(&seen, &ann.id).await, Err(AppError::StaleRev)));
    t.app.user_delete(&Call { if_match: Some(Rev(2)), ..call() }, &ann.id).await.unwrap();
}

#[tokio::test]
async fn a_repeated_key_answers_the_same_and_another_body_is_refused() {
    let t = TestApp::new();
    let with = |fingerprint: &str| Call { idempotency: Some(Idempotency { key: "k1".to_owned(), fingerprint: fingerprint.to_owned() }), ..call() };
    let first = t.app.user_create(&with("a"), None, user_draft("ann", json!({}))).await.unwrap();
    let again = t.app.user_create(&with("a"), None, user_draft("ann", json!({}))).await.unwrap();
    assert_eq!(first, again);
    assert!(matches!(t.app.user_create(&with("b"), None, user_draft("bob", json!({}))).await, Err(AppError::KeyReused)));
    t.assert_counts().await;
    t.later(24 * 60 * 60 + 1);
    t.app.user_create(&with("b"), None, user_draft("bob", json!({}))).await.unwrap();
}

#[tokio::test]
async fn a_chosen_id_is_taken_once_and_not_again_before_its_deletion_is_through() {
    let t = TestApp::new();
    let id = || Some(UserId::parse("u-1").unwrap());
    t.app.user_create(&call(), id(), user_draft("ann", json!({}))).await.unwrap();
    assert!(matches!(t.app.user_create(&call(), id(), user_draft("bob", json!({}))).await, Err(AppError::UserIdTaken)));
    t.app.user_delete(&call(), &id().unwrap()).await.unwrap();
    assert!(matches!(t.app.user_create(&call(), id(), user_draft("bob", json!({}))).await, Err(AppError::UserIdTaken)));
    t.settle().await;
    t.app.user_create(&call(), id(), user_draft("bob", json!({}))).await.unwrap();
    t.assert_counts().await;
}

#[tokio::test]
async fn a_deleted_users_address_is_free_at_once() {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    assert!(matches!(t.app.user_get(&call(), &ann.id).await, Err(AppError::UserUnknown)));
    assert!(matches!(t.app.user_delete(&call(), &ann.id).await, Err(AppError::UserUnknown)));
    t.user("ann").await;
    t.assert_counts().await;
}

#[tokio::test]
async fn a_walk_sees_each_user_once_while_others_come_and_go() {
    let t = TestApp::new();
    let mut there: Vec<_> = Vec::new();
    for i in 0..60 {
        there.push(t.user(&format!("u{i}")).await.id);
    }
    let mut seen = Vec::new();
    let mut position = Position::Number(1);
    for round in 0.. {
        let page = PageRequest { position: position.clone(), size: 7 };
        let page = t.app.user_list(&call(), UserList { page, email: None, q: None, sort: None }).await.unwrap();
        seen.extend(page.items.iter().map(|user| user.id.clone()));
        t.user(&format!("new{round}")).await;
        // The row that the cursor stands on goes away.
        if let Some(last) = page.items.last() {
            t.app.user_delete(&call(), &last.id).await.unwrap();
        }
        match page.next {
            Some(next) => position = Position::Cursor(next),
            None => break,
        }
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), seen.len(), "no row twice");
    assert!(there.iter().all(|id| seen.contains(id)), "no row left out");
}

#[tokio::test]
async fn a_user_is_found_by_address() {
    let t = TestApp::new();
    let ann = t.user("ann").await;
    let find = async |email: &str| {
        let list = UserList { page: PageRequest::first(), email: Some(email.to_owned()), q: None, sort: None };
        t.app.user_list(&call(), list).await.unwrap().items
    };
    assert_eq!(find("ANN@example.org").await, vec![ann.clone()]);
    assert!(find("nobody@example.org").await.is_empty());
    assert!(find("not an address").await.is_empty());
    assert_eq!(EmailAddress::parse("ANN@example.org").unwrap().normalised(), ann.email.normalised());
}
