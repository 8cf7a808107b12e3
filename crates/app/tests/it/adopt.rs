//! Rows of an earlier service brought up to date: what is there keeps its names, and a run that ends anywhere is made good by the next.

use std::sync::Arc;

use emcrm_app::adopt::{Adopted, adopt};
use emcrm_app::verify::{FindingKind, Repair, verify};
use emcrm_model::EventId;
use emcrm_store::faulty::{Fault, FaultPlan, FaultyEngine};
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Item, Key, Table, Transaction};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use crate::support::{TestApp, call, user_draft};

async fn put(t: &TestApp, table: Table, key: Key, attrs: Value) {
    let mut tx = Transaction::new();
    tx.put(table, Item { key, attrs: attrs.as_object().unwrap().clone() });
    t.app.store.engine.transact(tx).await.unwrap();
}

async fn user(t: &TestApp, id: &str, email: &str) {
    let attrs = json!({"type": "user", "id": id, "firstName": "Old", "lastName": id, "email": email, "attendedCount": 3, "hostedCount": 0});
    put(t, Table::Main, Key::single(format!("user#{id}")), attrs).await;
}

async fn event(t: &TestApp, id: &str, title: &str, slug: Option<&str>) {
    let mut attrs =
        json!({"type": "event", "id": id, "title": title, "startAt": "2024-06-01T18:00:00", "endAt": "2024-06-01T20:00:00", "hosts": ["u0"], "owner": ""});
    if let Some(slug) = slug {
        attrs["slug"] = slug.into();
    }
    put(t, Table::Main, Key::single(format!("event#{id}")), attrs).await;
}

async fn adopted(t: &TestApp) -> Adopted {
    adopt(&t.app, false, &|_, _| ()).await.unwrap()
}

async fn slug(t: &TestApp, id: &str) -> String {
    t.app.store.events.get(&EventId::from(id.to_owned())).await.unwrap().unwrap().slug.to_string()
}

#[tokio::test]
async fn an_event_without_a_slug_takes_none_that_another_one_has() {
    let t = TestApp::new();
    user(&t, "u0", "u0@example.org").await;
    // First in the order of the table, so it is first to choose.
    event(&t, "a", "Gala Night", None).await;
    event(&t, "b", "Another title", Some("gala-night")).await;
    event(&t, "c", "Gala Night", None).await;
    event(&t, "d", "Another title", Some("gala-night-2")).await;
    let adopted = adopted(&t).await;
    assert!(adopted.is_settled(), "{:#?}", adopted.report.findings);
    assert_eq!((slug(&t, "b").await, slug(&t, "d").await), ("gala-night".to_owned(), "gala-night-2".to_owned()), "links that are known stay");
    assert_eq!((slug(&t, "a").await, slug(&t, "c").await), ("gala-night-3".to_owned(), "gala-night-4".to_owned()));
}

#[tokio::test]
async fn many_events_of_one_title_get_a_slug_each() {
    let t = TestApp::new();
    user(&t, "u0", "u0@example.org").await;
    for n in 0..60 {
        event(&t, &format!("e{n:02}"), "Weekly", None).await;
    }
    let adopted = adopted(&t).await;
    assert!(adopted.is_settled(), "{:#?}", adopted.report.findings);
    let mut slugs = std::collections::HashSet::new();
    for n in 0..60 {
        slugs.insert(slug(&t, &format!("e{n:02}")).await);
    }
    assert_eq!(slugs.len(), 60);
}

#[tokio::test]
async fn of_two_with_one_address_either_may_be_deleted_and_the_address_stays_taken() {
    for (deleted, left) in [("u1", "u2"), ("u2", "u1")] {
        let t = TestApp::new();
        user(&t, "u1", "Both@Example.org").await;
        user(&t, "u2", "bOTH@example.ORG").await;
        let first = adopted(&t).await;
        let shared: Vec<_> =
            first.report.findings.iter().filter(|finding| finding.repair != Repair::Done).map(|finding| (finding.kind, finding.place.as_str())).collect();
        assert_eq!(shared, [(FindingKind::EmailShared, "user#u2")]);
        t.app.user_delete(&call(), &deleted.to_owned().into()).await.unwrap();
        t.settle().await;
        assert!(adopted(&t).await.is_settled());
        assert!(verify(&t.app, false, &|_, _| ()).await.unwrap().is_clean(), "{deleted} deleted");
        assert_eq!(t.app.store.users.get(&left.to_owned().into()).await.unwrap().unwrap().email.as_str().to_lowercase(), "both@example.org");
        assert!(t.app.user_create(&call(), None, user_draft("both", json!({}))).await.is_err(), "{left} has it");
    }
}

/// An old table with something of everything.
async fn fill(t: &TestApp) {
    for n in 0..6 {
        user(t, &format!("u{n}"), &format!("U{n}@example.org")).await;
        let attrs = json!({"type": "attendance", "user_id": format!("u{n}"), "event_id": "e0", "attended": "yes"});
        put(t, Table::Main, Key::new(format!("user#u{n}"), "event#e0"), attrs).await;
    }
    event(t, "e0", "Talks", None).await;
    event(t, "e1", "Talks", Some("talks")).await;
    put(t, Table::Main, Key::new("user#u0", "event#gone"), json!({"type": "attendance", "user_id": "u0", "event_id": "gone", "attended": "yes"})).await;
    put(t, Table::Main, Key::new("user#nobody", "event#e0"), json!({"type": "attendance", "user_id": "nobody", "event_id": "e0", "attended": "yes"})).await;
    let campaign = json!({"type": "email_request", "email_id": "c", "filter": {}, "subject": "Old", "body": "Mail", "createdAt": "2024-05-02T10:00:00", "totalRecipients": 9, "status": "sending"});
    put(t, Table::Email, Key::single("email#c"), campaign).await;
    for (n, status) in ["sent", "pending", "error"].into_iter().enumerate() {
        let attrs = json!({"type": "email_log", "email_id": "c", "user_id": format!("u{n}"), "status": status, "createdAt": "2024-05-02T10:00:01"});
        put(t, Table::Email, Key::new("req_email#c", format!("user#u{n}")), attrs).await;
    }
}

#[tokio::test]
async fn a_run_that_ends_at_any_write_is_made_good_by_the_next() {
    // What is done after the rows is done by tasks, which are tried again.
    let runs = (0..60).map(|n| async move {
        let fault = if n % 2 == 0 { Fault::UnknownBefore } else { Fault::UnknownAfter };
        let engine = Arc::new(FaultyEngine::new(Arc::new(SqliteEngine::memory()), 1, FaultPlan::default()));
        let t = TestApp::on(engine.clone());
        fill(&t).await;
        engine.script(std::iter::repeat_n(None, n).chain([Some(fault)]));
        let interrupted = adopt(&t.app, false, &|_, _| ()).await.is_err();
        engine.switch(false);
        let adopted = adopted(&t).await;
        assert!(adopted.is_settled(), "write {n}: {:#?}", adopted.report.findings);
        t.settle().await;
        assert!(verify(&t.app, false, &|_, _| ()).await.unwrap().is_clean(), "write {n}");
        t.assert_counts().await;
        assert!(t.mail.taken().is_empty(), "nothing is mailed");
        assert_eq!((slug(&t, "e1").await, slug(&t, "e0").await), ("talks".to_owned(), "talks-2".to_owned()));
        u32::from(interrupted)
    });
    // Most of the time they wait for another try.
    let ended: u32 = stream::iter(runs).buffer_unordered(4).collect::<Vec<_>>().await.into_iter().sum();
    assert!(ended > 20, "the faults did happen: {ended}");
}

#[tokio::test]
async fn a_dry_run_names_who_shares_an_address_or_a_slug_among_any_number_of_rows() {
    let t = TestApp::new();
    // More than are listed, and all of them lack their claim.
    for n in 0..1_100 {
        user(&t, &format!("n{n:04}"), &format!("n{n}@example.org")).await;
    }
    user(&t, "u0", "Twin@Example.org").await;
    user(&t, "u1", "twin@example.org").await;
    user(&t, "u2", " TWIN@EXAMPLE.ORG ").await;
    user(&t, "u3", "n7@Bücher.example").await;
    user(&t, "n9999", "N7@xn--bcher-kva.example").await;
    event(&t, "a", "One", Some("same")).await;
    event(&t, "b", "Two", Some("same")).await;
    event(&t, "c", "Three", None).await;
    let names = |adopted: &Adopted| adopted.shared.iter().map(|shared| (shared.kind.as_str(), shared.value.clone(), shared.of.join(" "))).collect::<Vec<_>>();
    let expected: Vec<_> = [
        ("email_shared", "n7@xn--bcher-kva.example", "user#n9999 user#u3"),
        ("email_shared", "twin@example.org", "user#u0 user#u1 user#u2"),
        ("slug_shared", "same", "event#a event#b"),
    ]
    .map(|(kind, value, of)| (kind.to_owned(), value.to_owned(), of.to_owned()))
    .into();

    let told = adopt(&t.app, true, &|_, _| ()).await.unwrap();
    assert_eq!(names(&told), expected);
    assert_eq!((told.shared_total, told.is_settled()), (3, false));
    assert_eq!(told.report.found.get(&FindingKind::Unreadable), None, "an event that only lacks its slug can be read");
    assert_eq!(told.unreadable_total, 0);

    let done = adopted(&t).await;
    assert_eq!(names(&done), expected);
    let undecided: Vec<_> = done.report.findings.iter().filter(|finding| finding.repair != Repair::Done).map(|finding| finding.place.as_str()).collect();
    assert_eq!(undecided, ["event#b", "user#u1", "user#u2", "user#u3"], "the first in order of the ids has it; the others are listed");
    assert!(!done.is_settled());
}
