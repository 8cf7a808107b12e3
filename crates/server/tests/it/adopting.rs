//! Tables that an earlier service wrote: reported, adopted, and then the whole contract works on them. On DynamoDB their indexes lack range keys.

use std::collections::BTreeMap;

use emcrm_app::adopt::adopt;
use emcrm_app::verify::{FindingKind, Repair, verify};
use emcrm_server::router::router;
use emcrm_store::{Item, Key, Table, Transaction};
use serde_json::{Value, json};

use crate::helpers::{Options, TestApp};

async fn put(app: &TestApp, table: Table, rows: Vec<(&str, &str, Value)>) {
    for rows in rows.chunks(50) {
        let mut tx = Transaction::new();
        for (pk, sk, attrs) in rows {
            tx.put(table, Item { key: Key::new(*pk, *sk), attrs: attrs.as_object().unwrap().clone() });
        }
        app.app.store.engine.transact(tx).await.unwrap();
    }
}

/// As the earlier service wrote them: no revisions, no claims, no host rows, no totals, counters that are partly wrong.
async fn fill(app: &TestApp) {
    let user = |n: u32, email: &str| {
        json!({"type": "user", "id": format!("u{n:02}"), "firstName": "Old", "lastName": format!("N{n}"), "email": email, "city": "Austin",
               "attendedCount": 7, "hostedCount": 0, "createdAt": "2024-05-01T10:00:00.123456"})
    };
    let keys: Vec<String> = (0..30).map(|n| format!("user#u{n:02}")).collect();
    let mut rows: Vec<_> = keys.iter().zip(0..).map(|(key, n)| (key.as_str(), key.as_str(), user(n, &format!("Old{n}@Example.org")))).collect();
    // The same address twice, in other letters.
    rows.push(("user#u90", "user#u90", user(90, "OLD3@example.ORG")));
    // Without the attributes that may be missing.
    rows.push(("user#u91", "user#u91", json!({"type": "user", "firstName": "Bare", "lastName": "One", "email": "bare@example.org"})));
    // Nobody can read this one.
    rows.push(("user#u92", "user#u92", json!({"type": "user", "firstName": "No", "lastName": "Address"})));
    let event = |title: &str| json!({"type": "event", "title": title, "startAt": "2024-06-01T18:00:00", "endAt": "2024-06-01T20:00:00+02:00", "hosts": [], "owner": ""});
    let mut gala = event("Gala Night");
    gala["owner"] = json!("u01");
    gala["hosts"] = json!(["u01", "u02"]);
    gala["maxCapacity"] = json!(50);
    rows.push(("event#e1", "event#e1", gala));
    // Without a slug as well, and with the same title.
    rows.push(("event#e2", "event#e2", event("Gala Night")));
    let attendance = |user: &str, event: &str| json!({"type": "attendance", "user_id": user, "event_id": event, "attended": "yes"});
    for key in &keys[..20] {
        rows.push((key, "event#e1", attendance(&key[5..], "e1")));
    }
    rows.push(("user#u00", "event#gone", attendance("u00", "gone")));
    rows.push(("user#nobody", "event#e1", attendance("nobody", "e1")));
    put(app, Table::Main, rows).await;
    let campaign = |id: &str, status: &str| json!({"type": "email_request", "email_id": id, "filter": {"city": "Austin"}, "subject": "Old", "body": "Mail", "createdAt": "2024-05-02T10:00:00", "totalRecipients": 2, "status": status});
    let delivery = |id: &str, user: &str, status: &str| json!({"type": "email_log", "email_id": id, "user_id": user, "status": status, "createdAt": "2024-05-02T10:00:01"});
    put(
        app,
        Table::Email,
        vec![
            ("email#c1", "email#c1", campaign("c1", "sent")),
            ("req_email#c1", "user#u00", delivery("c1", "u00", "sent")),
            ("req_email#c1", "user#u01", delivery("c1", "u01", "error")),
            ("email#c2", "email#c2", campaign("c2", "sending")),
            ("req_email#c2", "user#u00", delivery("c2", "u00", "sent")),
            ("req_email#c2", "user#u01", delivery("c2", "u01", "pending")),
        ],
    )
    .await;
}

async fn everything(app: &TestApp) -> BTreeMap<(u8, String, String), Value> {
    let mut all = BTreeMap::new();
    for (n, table) in [(0, Table::Main), (1, Table::Email)] {
        let rows = app.app.store.engine.scan(table, None, 10_000).await.unwrap();
        all.extend(rows.items.into_iter().map(|item| ((n, item.key.pk, item.key.sk), Value::Object(item.attrs))));
    }
    all.retain(|(_, pk, _), _| !pk.starts_with("lease#"));
    all
}

async fn earlier() -> TestApp {
    let app = TestApp::with(Options { earlier: true, ..Options::default() }, router).await;
    fill(&app).await;
    app
}

#[tokio::test]
async fn a_dry_run_tells_everything_and_changes_nothing() {
    let app = earlier().await;
    let before = everything(&app).await;
    let adopted = adopt(&app.app, true, &|_, _| ()).await.unwrap();
    assert_eq!((adopted.users, adopted.events, adopted.attendances, adopted.campaigns, adopted.deliveries), (33, 2, 22, 2, 4));
    assert_eq!(adopted.changed, 33 + 2 + 22 + 2 + 4);
    assert_eq!(adopted.unreadable.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(), ["user#u92 / user#u92"]);
    assert!(!adopted.is_settled());
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn adopted_tables_bear_the_whole_contract() {
    let mut app = earlier().await;
    let adopted = adopt(&app.app, false, &|_, _| ()).await.unwrap();
    let mut undecided: Vec<_> =
        adopted.report.findings.iter().filter(|finding| finding.repair != Repair::Done).map(|finding| (finding.kind, finding.place.as_str())).collect();
    undecided.sort_unstable_by_key(|(_, place)| *place);
    assert_eq!(undecided, [(FindingKind::EmailShared, "user#u90"), (FindingKind::Unreadable, "user#u92")]);

    // What nobody can read was told; a person removes it. Of two with one address, the one without the claim gets another.
    let mut tx = Transaction::new();
    tx.delete(Table::Main, Key::single("user#u92"));
    app.app.store.counts.add(&mut tx, emcrm_store::CountKind::Users, "u92", -1);
    app.app.store.engine.transact(tx).await.unwrap();
    app.work();
    app.patch("/users/u90", json!({"email": "other@example.org"})).await.ok();
    app.settled().await;

    let people = app.get("/users?size=100").await.ok();
    let event = app.get("/events/e1").await.ok();
    assert_eq!(event["attendeeCount"], 20, "one of nobody is gone");
    assert_eq!(event["slug"], "gala-night");
    assert_ne!(app.get("/events/e2").await.ok()["slug"], "gala-night");
    let hostess = app.get("/users/u01").await.ok();
    assert_eq!((&hostess["attendedCount"], &hostess["hostedCount"]), (&json!(1), &json!(1)));
    assert_eq!(app.get("/users/u25").await.ok()["attendedCount"], 0);
    assert_eq!(people["items"].as_array().unwrap().len(), 32);

    // Uniqueness holds for what was there before.
    let taken = json!({"firstName": "New", "lastName": "Comer", "email": "old3@example.org"});
    assert_eq!(app.post("/users", taken).await.problem(400), "email_taken");
    app.post("/attend", json!({"user_id": "u25", "event_id": "e1"})).await.ok();
    app.delete("/attend/u00/e1").await;
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 20);
    app.delete("/users/u02").await;
    app.put("/users/u03", json!({"firstName": "Re", "lastName": "Named", "email": "renamed@example.org"})).await.ok();
    app.user("fresh").await;
    app.settled().await;
    assert_eq!(app.get("/search/users?city=austin&size=1").await.ok()["total"], 29, "u02 is gone, u03 moved, u91 lives nowhere, u90 does");

    // Mails of the past are history; nothing of it is sent again.
    let done = app.get("/email/requests/c2").await.ok();
    assert_eq!((&done["status"], &done["counts"]["unknown"], &done["counts"]["sent"]), (&json!("error"), &json!(1), &json!(1)));
    assert_eq!(app.get("/email/requests/c1").await.ok()["status"], "sent");
    let mails = app.get("/email/status/user/u00").await.ok();
    assert_eq!(mails["items"].as_array().unwrap().len(), 2);
    assert!(std::fs::read_dir(app.folder.path().join("outbox")).map_or(0, Iterator::count) == 0);

    app.quiet().await;
    let report = verify(&app.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    let again = adopt(&app.app, false, &|_, _| ()).await.unwrap();
    assert_eq!((again.changed, again.report.total()), (0, 0));
    app.stop().await;
}

#[tokio::test]
async fn adopting_beside_a_live_server_and_again_after_an_interruption_ends_clean() {
    let mut app = earlier().await;
    app.work();
    // Interrupted somewhere: some rows are done, most are not.
    let interrupted = tokio::time::timeout(std::time::Duration::from_millis(20), adopt(&app.app, false, &|_, _| ())).await;
    drop(interrupted);
    let registering = async {
        for n in 20..30 {
            app.post("/attend", json!({"user_id": format!("u{n}"), "event_id": "e1"})).await.ok();
        }
    };
    let (adopted, ()) = tokio::join!(adopt(&app.app, false, &|_, _| ()), registering);
    adopted.unwrap();
    app.quiet().await;
    // What changed while it was counted may need another look; then all is as it must be.
    adopt(&app.app, false, &|_, _| ()).await.unwrap();
    app.quiet().await;
    let report = verify(&app.app, false, &|_, _| ()).await.unwrap();
    let places: std::collections::BTreeSet<_> = report.findings.iter().map(|finding| (finding.place.clone(), finding.kind.as_str())).collect();
    assert_eq!(
        places.into_iter().collect::<Vec<_>>(),
        [("user#u90".to_owned(), "email_shared".to_owned()), ("user#u92".to_owned(), "unreadable".to_owned())],
        "{:#?}",
        report.findings
    );
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 30);
    app.stop().await;
}
