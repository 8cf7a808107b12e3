//! The pages of tokens and of the audit trail.

use axum::body::Body;
use axum::http::Method;

use serde_json::json;

use crate::helpers::{Answer, TestApp};

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

async fn post(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mark = app.app.mark("csrf", "local");
    let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).append_pair("csrf", &mark).finish();
    app.call(Method::POST, path, &[("content-type", "application/x-www-form-urlencoded")], Body::from(body)).await
}

#[tokio::test]
async fn a_token_is_made_shown_once_and_revoked_by_forms() {
    let app = TestApp::new().await;
    assert!(text(&app.get("/app/settings/tokens").await).contains("No program has a token"));
    let wrong = post(&app, "/app/settings/tokens", &[("name", "<b>\"x\""), ("grant", "checkin"), ("event", "a b"), ("days", "soon")]).await;
    assert_eq!(wrong.status, 422);
    let page = text(&wrong);
    assert!(page.contains("value=\"&lt;b&gt;&#34;x&#34;\"") && !page.contains("<b>\"x\""), "what was typed stays, as text");
    let made = post(&app, "/app/settings/tokens", &[("name", "<i>door</i>"), ("grant", "checkin"), ("event", "tea"), ("days", "2")]).await;
    assert_eq!(made.status, 200);
    let page = text(&made);
    let token = &page[page.find("emcrm_").unwrap()..][..6 + 32 + 1 + 40];
    let actor = app.app.token_caller(token).await.unwrap().unwrap();
    assert!(actor.may_check_in(&"tea".to_owned().into()));
    // The form of one, sent twice: there is one, and it is shown once.
    let page = text(&app.get("/app/settings/tokens").await);
    let once = page.split_once("name=\"once\" value=\"").unwrap().1.split('"').next().unwrap();
    let form = [("name", "twice"), ("grant", "viewer"), ("days", "2"), ("once", once)];
    assert!(text(&post(&app, "/app/settings/tokens", &form).await).contains("It is not shown again"));
    let again = post(&app, "/app/settings/tokens", &form).await;
    assert_eq!(again.status, 409);
    assert!(text(&again).contains("one token was made then") && !text(&again).contains("It is not shown again"), "{}", text(&again));
    assert_eq!(text(&again).matches(">twice<span").count(), 1, "{}", text(&again));
    let listed = text(&app.get("/app/settings/tokens").await);
    assert!(!listed.contains(token) && listed.contains("&lt;i&gt;door&lt;/i&gt;") && listed.contains("checkin:tea"));
    let id = &token[6..38];
    assert!(listed.contains(&format!("id=\"revoke-{id}\"")), "asks first");
    assert_eq!(post(&app, &format!("/app/settings/tokens/{id}/revoke"), &[]).await.header("location"), "/app/settings/tokens");
    assert!(app.app.token_caller(token).await.unwrap().is_none());
    assert!(text(&app.get("/app/settings/tokens").await).contains("revoked"));
}

#[tokio::test]
async fn a_person_is_erased_only_by_whoever_types_the_address() {
    let app = TestApp::new().await;
    app.user("ann").await;
    let archive = post(&app, "/app/people/ann/archive", &[]).await;
    assert!(archive.header("content-disposition").contains("person.json") && text(&archive).contains("ann@example.org"));
    assert!(text(&app.get("/app/people/ann/erase").await).contains("ann@example.org"));
    let wrong = post(&app, "/app/people/ann/erase", &[("address", "<b>ben@example.org")]).await;
    assert!(wrong.status == 422 && text(&wrong).contains("&lt;b&gt;ben@example.org"));
    assert_eq!(app.get("/users/ann").await.status, 200);
    assert_eq!(post(&app, "/app/people/ann/erase", &[("address", " Ann@example.org ")]).await.header("location"), "/app/people");
    assert_eq!(app.get("/users/ann").await.problem(404), "user_not_found");
}

#[tokio::test]
async fn somebody_who_was_deleted_before_is_exported_and_erased_by_the_id() {
    let mut app = TestApp::new().await;
    app.work();
    app.user("ann").await;
    app.user("ben").await;
    app.settled().await;
    app.post("/email/send", json!({ "filter": {}, "subject": "Hello", "body": "Hello" })).await.ok();
    app.quiet().await;
    app.delete("/users/ann").await.ok();
    app.quiet().await;
    assert_eq!(app.get("/app/people/ann").await.status, 404);
    let asks = text(&app.get("/app/people/ann/erase").await);
    assert!(asks.contains("was deleted before") && asks.contains("action=\"/app/people/ann/archive\"") && !asks.contains("href=\"/app/people/ann\""), "{asks}");
    assert!(text(&post(&app, "/app/people/ann/archive", &[]).await).contains("ann@example.org"), "the ledger has the address");
    let wrong = post(&app, "/app/people/ann/erase", &[("address", "ann@example.org")]).await;
    assert!(wrong.status == 422 && text(&wrong).contains("This is not the id"));
    assert_eq!(post(&app, "/app/people/ann/erase", &[("address", "ann")]).await.header("location"), "/app/people");
    app.quiet().await;
    let left = text(&post(&app, "/app/people/ann/archive", &[]).await);
    assert!(!left.contains("ann@example.org"), "{left}");
    // The control: who was never here is not asked about.
    assert_eq!(app.get("/app/people/nobody/erase").await.status, 404);
    assert_eq!(post(&app, "/app/people/nobody/erase", &[("address", "nobody")]).await.status, 404);
    assert_eq!(post(&app, "/app/people/nobody/archive", &[]).await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn who_did_what_is_a_page_for_everything_and_for_one_thing() {
    let app = TestApp::new().await;
    assert!(text(&app.get("/app/settings/audit").await).contains("Nothing was done"));
    app.user("ann").await;
    app.event("tea").await;
    while app.app.audit_chain().await.unwrap() > 0 {}
    let all = text(&app.get("/app/settings/audit").await);
    assert!(all.contains("user.created") && all.contains("event.created") && all.contains("/app/settings/audit?object=user%23ann"));
    // Each thing leads to its own history.
    let made = app.post("/email/send", json!({ "filter": {}, "subject": "Hello", "body": "Hello" })).await.ok();
    let campaign = made["email_id"].as_str().unwrap();
    let (token, _) = app
        .app
        .token_create(&emcrm_app::Call::system(), emcrm_model::ApiTokenDraft::parse(&json!({ "name": "x", "grant": "viewer", "days": null })).unwrap())
        .await
        .unwrap();
    while app.app.audit_chain().await.unwrap() > 0 {}
    for (page, object, what) in [
        ("/app/people/ann".to_owned(), "user%23ann".to_owned(), "user.created"),
        ("/app/events/tea".to_owned(), "event%23tea".to_owned(), "event.created"),
        (format!("/app/campaigns/{campaign}"), format!("email%23{campaign}"), "campaign.created"),
        ("/app/settings/tokens".to_owned(), format!("token%23{}", token.id), "token.created"),
    ] {
        let history = format!("/app/settings/audit?object={object}");
        assert!(text(&app.get(&page).await).contains(&format!("href=\"{history}\"")), "{page}");
        assert!(text(&app.get(&history).await).contains(what), "{history}");
    }
    let one = text(&app.get("/app/settings/audit?object=user%23ann").await);
    assert!(one.contains("user.created") && !one.contains("event.created"));
    assert!(text(&app.get("/app/settings/audit?object=%3Cscript%3E").await).contains("&lt;script&gt;"));
}
