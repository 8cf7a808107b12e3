//! Tokens, the audit trail, export and erasure over HTTP, on every pair of engines.

use axum::http::Method;
use emcrm_server::auth::AccessSettings;
use emcrm_server::auth::roles::Roles;
use serde_json::{Value, json};

use crate::helpers::{Options, TestApp};
use emcrm_server::router::router;

/// With sign-in on, by an issuer that nobody asks.
pub fn closed() -> Options {
    let issuer = emcrm_oidc::IssuerSettings::of("http://127.0.0.1:1", "crm", None);
    Options { access: AccessSettings { issuer: Some(issuer), roles: Roles::default(), ..AccessSettings::default() }, ..Options::default() }
}

/// A token with this grant, made by the product itself.
pub async fn token(app: &TestApp, grant: &str) -> String {
    let draft = emcrm_model::ApiTokenDraft::parse(&json!({ "name": grant, "grant": grant })).unwrap();
    app.app.token_create(&emcrm_app::Call::system(), draft).await.unwrap().1
}

async fn with(app: &TestApp, token: &str, method: Method, path: &str, body: Value) -> crate::helpers::Answer {
    app.json(method, path, &[("authorization", &format!("Bearer {token}"))], body).await
}

#[tokio::test]
async fn without_signing_in_nothing_is_answered_but_what_is_for_everybody() {
    let app = TestApp::with(closed(), router).await;
    for path in ["/users", "/users/nobody", "/events", "/search/facets?field=city", "/email/requests", "/audit", "/tokens", "/auth/me"] {
        let answer = app.get(path).await;
        assert_eq!(answer.problem(401), "unauthorized", "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"EMCRM\"");
    }
    for path in ["/health", "/health/live", "/openapi.json", "/docs", "/redoc", "/auth/status", "/app/signin"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    assert_eq!(app.get("/auth/status").await.ok()["authentication_enabled"], true);
    // Whatever is wrong with a token, the answer is the same.
    let good = token(&app, "viewer").await;
    let changed = format!("{}{}", &good[..good.len() - 1], if good.ends_with('x') { 'y' } else { 'x' });
    for wrong in ["x", "emcrm_x", changed.as_str(), "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        let answer = with(&app, wrong, Method::GET, "/users", json!({})).await;
        assert_eq!((answer.problem(401).as_str(), answer.header("www-authenticate")), ("unauthorized", "Bearer realm=\"EMCRM\", error=\"invalid_token\""));
    }
    assert_eq!(with(&app, &good, Method::GET, "/users", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_token_is_made_shown_once_used_and_revoked() {
    let app = TestApp::with(closed(), router).await;
    let admin = token(&app, "admin").await;
    assert_eq!(
        with(&app, &admin, Method::POST, "/tokens", json!({ "name": "", "grant": "root", "days": 0 })).await.faults(),
        ["body.name: string_too_short", "body.grant: value_error", "body.days: greater_than_equal"]
    );
    let made = with(&app, &admin, Method::POST, "/tokens", json!({ "name": "script", "grant": "editor", "days": 7 })).await.ok();
    let token = made["token"].as_str().unwrap();
    let list = with(&app, &admin, Method::GET, "/tokens", json!({})).await;
    assert!(!String::from_utf8_lossy(&list.body).contains(token), "never again");
    let user = json!({ "firstName": "Ann", "lastName": "B", "email": "ann@example.org" });
    with(&app, token, Method::POST, "/users", user).await.ok();
    assert_eq!(with(&app, token, Method::GET, "/tokens", json!({})).await.problem(403), "forbidden");
    assert_eq!(with(&app, token, Method::GET, "/auth/me", json!({})).await.ok()["grant"], "editor");
    let id = made["id"].as_str().unwrap();
    assert!(with(&app, &admin, Method::DELETE, &format!("/tokens/{id}"), json!({})).await.ok()["revokedAt"].is_string());
    assert_eq!(with(&app, token, Method::GET, "/users", json!({})).await.problem(401), "unauthorized");
    assert_eq!(with(&app, &admin, Method::DELETE, "/tokens/nobody", json!({})).await.problem(404), "token_not_found");
}

#[tokio::test]
async fn a_token_for_one_door_opens_no_other() {
    let app = TestApp::new().await;
    app.user("ann").await;
    for event in ["tea", "beer"] {
        app.event(event).await;
        app.post("/attend", json!({ "user_id": "ann", "event_id": event })).await.ok();
    }
    let TestApp { app: core, .. } = &app;
    let draft = emcrm_model::ApiTokenDraft::parse(&json!({ "name": "door", "grant": "checkin:tea" })).unwrap();
    let (_, door) = core.token_create(&emcrm_app::Call::system(), draft).await.unwrap();
    let ask = |method: Method, path: &'static str, body: Value| with(&app, &door, method, path, body);
    ask(Method::GET, "/events/tea", json!({})).await.ok();
    ask(Method::GET, "/attend/event/tea?expand=user", json!({})).await.ok();
    ask(Method::PATCH, "/attend/ann/tea", json!({ "attended": "here" })).await.ok();
    for (method, path) in [
        (Method::GET, "/events/beer"),
        (Method::GET, "/events/event-tea"),
        (Method::GET, "/attend/event/beer"),
        (Method::PATCH, "/attend/ann/beer"),
        (Method::DELETE, "/attend/ann/tea"),
        (Method::GET, "/attend/user/ann"),
        (Method::GET, "/users/ann"),
        (Method::GET, "/events"),
        (Method::GET, "/events/nothing"),
    ] {
        let path = path.to_owned();
        assert_eq!(with(&app, &door, method.clone(), &path, json!({ "attended": "no" })).await.problem(403), "forbidden", "{method} {path}");
    }
}

#[tokio::test]
async fn a_token_for_a_door_does_not_follow_a_slug() {
    let app = TestApp::new().await;
    app.event("tea").await;
    let draft = emcrm_model::ApiTokenDraft::parse(&json!({ "name": "door", "grant": "checkin:tea" })).unwrap();
    let (_, door) = app.app.token_create(&emcrm_app::Call::system(), draft).await.unwrap();
    with(&app, &door, Method::GET, "/events/tea", json!({})).await.ok();
    app.call(Method::DELETE, "/events/tea", &[], axum::body::Body::empty()).await;
    let event = json!({ "id": "board", "slug": "tea", "title": "Board meeting", "startAt": "2030-01-01T10:00:00Z", "endAt": "2030-01-01T12:00:00Z" });
    app.post("/events", event).await.ok();
    assert_eq!(app.get("/events/tea").await.ok()["title"], "Board meeting");
    assert_eq!(with(&app, &door, Method::GET, "/events/tea", json!({})).await.status, 404);
}

#[tokio::test]
async fn what_was_done_is_listed_with_who_did_it() {
    let mut app = TestApp::with(closed(), router).await;
    app.work();
    let (editor, admin) = (token(&app, "editor").await, token(&app, "admin").await);
    let user = json!({ "id": "ann", "firstName": "Ann", "lastName": "B", "email": "ann@example.org" });
    with(&app, &editor, Method::POST, "/users", user).await.ok();
    with(&app, &editor, Method::PATCH, "/users/ann", json!({ "city": "York" })).await.ok();
    with(&app, &editor, Method::PATCH, "/users/nobody", json!({ "city": "York" })).await.problem(404);
    let mut list = json!({});
    for _ in 0..2_400 {
        list = with(&app, &admin, Method::GET, "/audit?object=user%23ann&size=1", json!({})).await.ok();
        if list["total"] == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(list["total"], 2);
    let entry = &list["items"][0];
    assert_eq!((entry["what"].as_str().unwrap(), entry["label"].as_str().unwrap()), ("user.changed", "editor"));
    assert!(entry["actor"].as_str().unwrap().starts_with("token:"));
    let next = format!("/audit?object=user%23ann&size=1&cursor={}", list["next"].as_str().unwrap());
    assert_eq!(with(&app, &admin, Method::GET, &next, json!({})).await.ok()["items"][0]["what"], "user.created");
    // The trail outlives an erasure, so it holds nothing of a person.
    let all = with(&app, &admin, Method::GET, "/audit?size=100", json!({})).await;
    let text = String::from_utf8_lossy(&all.body).into_owned();
    assert!(!text.contains("ann@example.org") && !text.contains("York"), "{text}");
    assert_eq!(app.app.audit_check().await.unwrap().1, vec![]);
    app.stop().await;
}

#[tokio::test]
async fn erasing_somebody_leaves_counts_proofs_and_the_suppression_but_not_the_person() {
    let mut app = TestApp::new().await;
    app.work();
    app.user("ann").await;
    app.user("ben").await;
    app.event("tea").await;
    for user in ["ann", "ben"] {
        app.post("/attend", json!({ "user_id": user, "event_id": "tea" })).await.ok();
    }
    app.settled().await;
    let sent = app.post("/email/send", json!({ "filter": { "minAttended": 1 }, "subject": "Hello", "body": "Hello" })).await.ok();
    app.quiet().await;
    let campaign = sent["email_id"].as_str().unwrap().to_owned();
    app.post("/email/suppressions", json!({ "email": "ann@example.org", "reason": "manual", "note": "asked by ann" })).await;
    let archive = app.post("/users/ann/export", json!({})).await.ok();
    assert_eq!(archive["user"]["email"], "ann@example.org");
    assert_eq!(archive["emails"][0]["status"], "sent");
    assert_eq!(archive["attendances"].as_array().unwrap().len(), 1);
    assert_eq!(archive["suppressions"].as_array().unwrap().len(), 1);

    app.post("/users/ann/erase", json!({})).await.ok();
    assert_eq!(app.get("/users/ann").await.problem(404), "user_not_found");
    app.quiet().await;
    app.settled().await;
    assert_eq!(app.get("/events/tea").await.ok()["attendeeCount"], 1);
    // The ledger still adds up, and does not say who.
    let ledger = app.get(&format!("/email/status/{campaign}")).await.ok();
    assert_eq!(ledger["total"], 2);
    let everything = everything(&app).await;
    assert!(!everything.contains("ann@example.org"), "{}", excerpt(&everything, "ann@example.org"));
    assert!(!everything.contains("asked by ann"));
    assert!(everything.contains("ben@example.org"));
    // The address may still not be mailed, when somebody comes with it again.
    assert_eq!(app.get("/email/suppressions/ann%40example.org").await.ok()["reason"], "manual");
    let report = emcrm_app::verify::verify(&app.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(app.post("/users/nobody/erase", json!({})).await.problem(404), "user_not_found");
    assert_eq!(app.post("/users/nobody/export", json!({})).await.problem(404), "user_not_found");
    // Erasing again finds the rows of the ledger, and changes nothing.
    app.post("/users/ann/erase", json!({})).await.ok();
    app.stop().await;
}

/// All items of both tables as text, but for answers that are kept for a day.
async fn everything(app: &TestApp) -> String {
    let mut text = String::new();
    for table in [emcrm_store::Table::Main, emcrm_store::Table::Email] {
        let mut after = None;
        loop {
            let rows = app.app.store.engine.scan(table, after, 100).await.unwrap();
            for item in rows.items.iter().filter(|item| !item.key.pk.starts_with("idem#")) {
                text.push_str(&format!("{} / {} {}\n", item.key.pk, item.key.sk, serde_json::to_string(&item.attrs).unwrap()));
            }
            match rows.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    text
}

fn excerpt(text: &str, what: &str) -> String {
    text.lines().filter(|line| line.contains(what)).collect::<Vec<_>>().join("\n")
}
