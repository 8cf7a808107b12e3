//! Campaigns before they are sent, and what comes back: drafts, schedules, templates, suppressions, links in mails, reports.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use emcrm_app::verify::verify;
use emcrm_model::{CampaignId, EmailAddress};
use emcrm_server::router::router;
use emcrm_store::{Transaction, keys};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::audience::Held;
use crate::helpers::{Answer, Options, TestApp};

async fn public() -> TestApp {
    let options = Options { public_url: Some("https://crm.example"), ..Options::default() };
    let mut app = TestApp::with(options, router).await;
    app.work();
    for id in ["ann", "ben"] {
        app.user(id).await;
    }
    app.settled().await;
    app
}

fn content() -> Value {
    json!({"filter": {}, "subject": "Hello {{ user.firstName }}", "body": "Come all."})
}

async fn post(app: &TestApp, path: &str) -> Answer {
    app.call(Method::POST, path, &[], Body::empty()).await
}

pub async fn reaches(app: &TestApp, id: &str, state: &str) -> Value {
    for _ in 0..24_000 {
        let campaign = app.get(&format!("/email/requests/{id}")).await.ok();
        if campaign["status"] == state {
            return campaign;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the campaign did not get {state}");
}

/// The mail that went to this address, newest first, with its soft line breaks taken out.
pub fn mail_to(app: &TestApp, address: &str) -> String {
    let mut files: Vec<_> = std::fs::read_dir(app.folder.path().join("outbox")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().rev().map(|file| std::fs::read_to_string(file).unwrap());
    texts.into_iter().find(|text| text.contains(&format!("<{address}>"))).unwrap().replace("=\r\n", "").replace("\r\n ", " ")
}

fn link(mail: &str) -> &str {
    mail.split_once("List-Unsubscribe: <https://crm.example").unwrap().1.split_once('>').unwrap().0
}

#[tokio::test]
async fn a_draft_is_written_read_changed_scheduled_and_sent() {
    let app = public().await;
    let draft = app.post("/email/requests", content()).await;
    let etag = draft.header("etag").to_owned();
    let draft = draft.ok();
    assert_eq!((&draft["status"], &draft["kind"], &draft["trackOpens"]), (&json!("draft"), &json!("marketing"), &json!(false)));
    let id = draft["email_id"].as_str().unwrap().to_owned();
    let at = format!("/email/requests/{id}");
    assert_eq!(app.get(&at).await.header("etag"), etag);
    let mut changed = content();
    changed["subject"] = json!("Bye");
    let put = app.json(Method::PUT, &at, &[("if-match", &etag)], changed.clone()).await.ok();
    assert_eq!(put["subject"], "Bye");
    assert_eq!(app.json(Method::PUT, &at, &[("if-match", &etag)], changed.clone()).await.problem(412), "stale");

    let scheduled = app.post(&format!("{at}/schedule"), json!({"scheduledAt": "2026-03-01T18:00:00", "timezone": "Europe/Berlin"})).await.ok();
    assert_eq!((&scheduled["status"], &scheduled["scheduledAt"]), (&json!("scheduled"), &json!("2026-03-01T18:00:00")));
    assert_eq!(app.post(&format!("{at}/schedule"), json!({})).await.faults(), ["body.scheduledAt: missing"]);
    assert_eq!(app.post(&format!("{at}/schedule"), json!({"scheduledAt": "2025-03-01T18:00:00Z"})).await.faults(), ["body.scheduledAt: value_error"]);
    assert_eq!(post(&app, &format!("{at}/unschedule")).await.ok()["status"], "draft");
    assert_eq!(post(&app, &format!("{at}/unschedule")).await.problem(409), "wrong_state");

    let copy = post(&app, &format!("{at}/duplicate")).await.ok();
    assert_eq!((&copy["subject"], &copy["status"]), (&json!("Bye"), &json!("draft")));
    let copy_at = format!("/email/requests/{}", copy["email_id"].as_str().unwrap());
    app.delete(&copy_at).await.ok();
    assert_eq!(app.get(&copy_at).await.problem(404), "email_request_not_found");

    assert_eq!(post(&app, &format!("{at}/send")).await.ok()["totalRecipients"], 2);
    reaches(&app, &id, "sent").await;
    for (method, path) in [(Method::POST, "/send"), (Method::POST, "/unschedule"), (Method::DELETE, "")] {
        assert_eq!(app.call(method, &format!("{at}{path}"), &[], Body::empty()).await.problem(409), "wrong_state");
    }
    assert_eq!(app.put(&at, changed).await.problem(409), "wrong_state");
    let log = app.get(&format!("{at}/log")).await.ok();
    let what: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["draft", "edited", "scheduled", "unscheduled", "sent", "frozen", "sent"]);
    assert_eq!(log["items"][0]["who"], "local");

    let found = app.get(&format!("/email/status/{id}?email=ANN@example.org")).await.ok();
    assert_eq!((&found["total"], &found["items"][0]["user_id"]), (&json!(1), &json!("ann")));
    let csv = app.get(&format!("{at}/deliveries.csv")).await;
    let text = String::from_utf8(csv.body.clone()).unwrap();
    assert_eq!((csv.header("content-type"), text.lines().count()), ("text/csv; charset=utf-8", 3));
    assert!(text.starts_with("user_id,email,status,attempts,createdAt,sentAt,error\r\nann,ann@example.org,sent,1,"), "{text}");
    let watched = app.get(&format!("{at}/events")).await;
    let text = String::from_utf8(watched.body.clone()).unwrap();
    assert_eq!(watched.header("content-type"), "text/event-stream");
    assert!(text.starts_with("event: progress\ndata: {\"status\":\"sent\",\"totalRecipients\":2"), "{text}");
}

/// What a watcher is told next; none at the end.
async fn next_event(body: &mut Body) -> Option<Value> {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        let data = body.frame().await?.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
        // A sign of life, from a machine that is slow.
        if text.starts_with(':') && text.ends_with("\n\n") {
            text.clear();
        }
    }
    Some(serde_json::from_str(text.strip_prefix("event: progress\ndata: ").unwrap()).unwrap())
}

#[tokio::test]
async fn who_watches_a_campaign_is_told_how_far_it_is_how_fast_it_goes_and_when_it_ends() {
    let held = Held::new();
    let mut app = TestApp::with(Options { transport: Some(Arc::new(held.clone())), ..Options::default() }, router).await;
    app.work();
    for id in ["ann", "ben", "cem", "dan", "eve", "fay"] {
        app.user(id).await;
    }
    app.settled().await;
    let id = app.post("/email/send", content()).await.ok()["email_id"].as_str().unwrap().to_owned();
    reaches(&app, &id, "sending").await;
    let request = Request::get(format!("/email/requests/{id}/events")).body(Body::empty()).unwrap();
    let mut body = app.edge.answer(request, None).await.into_body();
    let told = |event: &Value| ["status", "totalRecipients", "perSecond", "secondsLeft"].map(|name| event[name].clone());

    let first = next_event(&mut body).await.unwrap();
    assert_eq!(told(&first), [json!("sending"), json!(6), json!(0), Value::Null], "nothing moves yet: {first}");
    // A look happens when somebody reads on, a second later: by then these two are recorded.
    held.gate.add_permits(2);
    counted(&app, &id, "sent", 2).await;
    counted(&app, &id, "sending", 1).await;
    let second = next_event(&mut body).await.unwrap();
    assert_eq!(told(&second), [json!("sending"), json!(6), json!(2), json!(2)], "{second}");
    assert_eq!((&second["counts"]["sent"], &second["counts"]["sending"], &second["counts"]["pending"]), (&json!(2), &json!(1), &json!(3)));
    held.gate.add_permits(100);
    reaches(&app, &id, "sent").await;
    let last = next_event(&mut body).await.unwrap();
    assert_eq!(told(&last), [json!("sent"), json!(6), json!(4), json!(0)], "{last}");
    assert_eq!(next_event(&mut body).await, None, "it has ended");
    assert_eq!(held.taken.lock().unwrap().len(), 6);
    app.stop().await;
}

/// Waits until so many mails of a campaign are recorded in this state.
async fn counted(app: &TestApp, id: &str, state: &str, mails: u64) {
    for _ in 0..24_000 {
        if app.get(&format!("/email/requests/{id}")).await.ok()["counts"][state] == mails {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("there were never {mails} mails {state}");
}

#[tokio::test]
async fn a_campaign_with_a_moment_waits_and_faulty_ones_name_their_fields() {
    let app = public().await;
    let mut body = content();
    body["scheduledAt"] = json!("2026-02-01T10:00:00Z");
    body["lateAfterMinutes"] = json!(5);
    let made = app.post("/email/send", body).await.ok();
    assert_eq!((&made["status"], &made["scheduledAt"], &made["lateAfterMinutes"]), (&json!("scheduled"), &json!("2026-02-01T10:00:00Z"), &json!(5)));
    let faulty = json!({"filter": {}, "subject": "{{ user.nick }}", "body": "{% for x in y %}", "kind": "spam", "trackOpens": "yes", "scheduledAt": "soon", "timezone": "Mars", "lateAfterMinutes": -1, "eventId": ""});
    let faults = app.post("/email/send", faulty).await.faults();
    assert_eq!(
        faults,
        [
            "body.kind: enum",
            "body.trackOpens: bool_type",
            "body.scheduledAt: value_error",
            "body.timezone: value_error",
            "body.lateAfterMinutes: greater_than_equal"
        ]
    );
    for path in ["/email/send", "/email/send_emails", "/email/requests", "/email/preview", "/email/preflight"] {
        let faulty = json!({"filter": {}, "subject": "{{ user.nick }}", "body": "{% for x in y %}"});
        assert_eq!(app.post(path, faulty).await.faults(), ["body.subject: template", "body.body: template"], "{path}");
        let unknown = json!({"filter": {}, "subject": "s", "body": "b", "eventId": "nowhere"});
        assert_eq!(app.post(path, unknown).await.faults(), ["body.eventId: value_error"], "{path}");
    }
}

#[tokio::test]
async fn a_preflight_tells_who_is_left_out_and_why() {
    let app = public().await;
    app.post("/email/suppressions", json!({"email": "ben@example.org", "note": "by phone"})).await.ok();
    let mut body = content();
    body["body"] = json!("<p onclick=\"x()\">At {{ user.company | default(\"home\") }}</p><script>alert(1)</script>");
    body["bodyFormat"] = json!("html");
    body["rate"] = json!(1);
    let found = app.post("/email/preflight", body).await.ok();
    assert_eq!((&found["matches"], &found["recipients"], &found["exact"], &found["seconds"]), (&json!(2), &json!(1), &json!(true), &json!(1)));
    assert_eq!((&found["leftOut"]["manual"]["count"], &found["leftOut"]["manual"]["people"][0]["id"]), (&json!(1), &json!("ben")));
    assert_eq!(found["variables"], json!(["user.firstName", "user.company"]));
    assert_eq!((&found["unsubscribe"], &found["errors"]), (&json!(true), &json!([])));
    let html = found["samples"][0]["html"].as_str().unwrap();
    assert!(html.contains("At home") && !html.contains("script") && !html.contains("onclick"), "{html}");
    assert_eq!(app.get("/email/variables").await.ok()["items"][0]["name"], "user.firstName");

    let mut needs = content();
    needs["body"] = json!("At {{ user.company }}, {{ user.city | default(\"here\") }}");
    let found = app.post("/email/preflight", needs).await.ok();
    let lacking = &found["leftOut"]["missing_value"]["people"][0];
    assert_eq!((&lacking["id"], &lacking["firstName"].is_string(), &lacking["missing"]), (&json!("ann"), &true, &json!(["user.company"])));
    assert_eq!(found["missing"], json!({"user.company": 1}));
    assert_eq!(found["leftOut"]["manual"]["people"][0].get("missing"), None, "not the reason");
}

#[tokio::test]
async fn templates_are_kept() {
    let app = TestApp::new().await;
    let body = json!({"name": "Invitation", "subject": "Hi", "body": "{{ event.title }}", "bodyFormat": "markdown"});
    let made = app.post("/email/templates", body.clone()).await.ok();
    let at = format!("/email/templates/{}", made["id"].as_str().unwrap());
    assert_eq!(app.get(&at).await.ok(), made);
    assert_eq!(app.get("/email/templates").await.ok()["total"], 1);
    let mut changed = body;
    changed["name"] = json!("Reminder");
    assert_eq!(app.put(&at, changed.clone()).await.ok()["name"], "Reminder");
    changed["body"] = json!("{{ nothing }}");
    changed["name"] = json!("");
    assert_eq!(app.put(&at, changed).await.faults(), ["body.name: string_too_short"]);
    app.delete(&at).await.ok();
    for answer in [app.get(&at).await, app.delete(&at).await, app.get(&format!("/email/templates/{}", "x".repeat(3_000))).await] {
        assert_eq!(answer.problem(404), "template_not_found");
    }
}

#[tokio::test]
async fn the_suppression_list_is_kept_imported_and_exported() {
    let app = TestApp::new().await;
    let added = app.post("/email/suppressions", json!({"email": "Ann@Example.org", "reason": "bounced", "note": "=cmd()"})).await.ok();
    assert_eq!((&added["email"], &added["reason"]), (&json!("ann@example.org"), &json!("bounced")));
    let lesser = app.post("/email/suppressions", json!({"email": "ann@example.org", "reason": "unsubscribed"})).await.ok();
    assert_eq!(lesser["reason"], "bounced", "the graver reason stays");
    let items = json!([{"email": "ben@example.org"}, {"email": "nonsense"}, {"email": "cem@example.org", "reason": "x"}, 7]);
    let imported = app.post("/email/suppressions/import", json!({ "items": items })).await.ok();
    assert_eq!((&imported["taken"], imported["faults"].as_array().unwrap().len()), (&json!(1), 3));
    assert_eq!(app.post("/email/suppressions/import", json!({})).await.faults(), ["body.items: missing"]);
    assert_eq!(app.post("/email/suppressions/import", json!({"items": 1})).await.faults(), ["body.items: list_type"]);
    assert_eq!(app.get("/email/suppressions").await.ok()["total"], 2);
    let csv = app.get("/email/suppressions.csv").await;
    let text = String::from_utf8(csv.body.clone()).unwrap();
    assert!(text.contains("ann@example.org,bounced,") && text.contains(",'=cmd()\r\n") && text.lines().count() == 3, "{text}");
    assert_eq!(app.get("/email/suppressions/ANN@example.org").await.ok()["email"], "ann@example.org");
    app.delete("/email/suppressions/ann@example.org").await.ok();
    for answer in [
        app.get("/email/suppressions/ann@example.org").await,
        app.delete("/email/suppressions/ann@example.org").await,
        app.get(&format!("/email/suppressions/{}", "x".repeat(2_000))).await,
    ] {
        assert_eq!(answer.problem(404), "suppression_not_found");
    }
}

/// The list as CSV, and what it says of each entry: whom it is about, and why.
async fn exported(app: &TestApp) -> (String, Vec<Value>, Vec<(String, String)>) {
    let text = String::from_utf8(app.get("/email/suppressions.csv").await.body).unwrap();
    let rows: Vec<_> = csv::Reader::from_reader(text.as_bytes()).deserialize::<BTreeMap<String, String>>().map(Result::unwrap).collect();
    let said = rows.iter().map(|row| (row["email"].clone(), row["reason"].clone())).collect();
    (text, rows.iter().map(|row| json!(row)).collect(), said)
}

#[tokio::test]
async fn an_exported_suppression_list_is_taken_elsewhere_with_those_who_were_erased() {
    let app = public().await;
    for entry in [
        json!({"email": "ann@example.org", "reason": "complained", "note": "Ann, by phone"}),
        json!({"email": "+cem@example.org", "reason": "bounced"}),
        json!({"email": "dan@example.org", "note": "said:\nevil@example.org"}),
    ] {
        app.post("/email/suppressions", entry).await.ok();
    }
    app.post("/users/ann/erase", json!({})).await.ok();
    app.quiet().await;
    let (text, items, said) = exported(&app).await;
    let hash_of = |address: &str| keys::address_hash(&EmailAddress::parse(address).unwrap());
    let one = |email: &str, reason: &str| (email.to_owned(), reason.to_owned());
    let ann = format!("sha256:{}", hash_of("ann@example.org"));
    let expected = [one("'+cem@example.org", "bounced"), one("dan@example.org", "manual"), one(&ann, "complained")];
    let sorted = |mut said: Vec<(String, String)>| {
        said.sort_unstable();
        said
    };
    assert_eq!(sorted(said), expected);
    assert!(!text.contains("ann@") && !text.contains("by phone") && text.lines().count() == 4, "{text}");

    let other = public().await;
    let done = other.post("/email/suppressions/import", json!({ "items": items })).await.ok();
    assert_eq!(done, json!({"taken": 3, "faults": []}));
    assert_eq!(other.get("/email/suppressions/ann@example.org").await.ok()["reason"], "complained");
    assert_eq!(other.get("/email/suppressions/%2Bcem@example.org").await.ok()["reason"], "bounced");
    assert_eq!(sorted(exported(&other).await.2), expected);
    let found = other.post("/email/preflight", content()).await.ok();
    assert_eq!((&found["recipients"], &found["leftOut"]["complained"]["count"]), (&json!(1), &json!(1)), "Ann is known by the hash");
    // Here and there once more: all of it is there already.
    for (app, items) in [(&other, exported(&other).await.1), (&app, items)] {
        assert_eq!(app.post("/email/suppressions/import", json!({ "items": items })).await.ok()["taken"], 3);
        assert_eq!((app.get("/email/suppressions").await.ok()["total"].clone(), sorted(exported(app).await.2)), (json!(3), expected.to_vec()));
    }

    // A graver reason wins over the hash's, and a lighter one does not.
    for (reason, stands) in [("bounced", "bounced"), ("unsubscribed", "bounced"), ("complained", "complained")] {
        let items = json!([{ "email": format!("sha256:{}", hash_of("eve@example.org")), "reason": reason, "note": "kept nowhere" }]);
        assert_eq!(other.post("/email/suppressions/import", json!({ "items": items })).await.ok()["taken"], 1);
        let entry = other.get("/email/suppressions/eve@example.org").await.ok();
        assert_eq!((entry["reason"].as_str(), entry.get("email"), entry.get("note")), (Some(stands), None, None));
    }
    let report = verify(&other.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

#[tokio::test]
async fn a_hash_of_a_client_is_of_the_right_form_or_refused() {
    let app = TestApp::new().await;
    let hash = "0a".repeat(32);
    let bad =
        ["sha256:".to_owned(), format!("sha256:{hash}0"), format!("sha256:{}g", &hash[1..]), format!("sha256:{}", "0".repeat(500_000)), "(erased)".to_owned()];
    let items: Vec<Value> = bad.iter().map(|email| json!({ "email": email })).collect();
    let done = app.post("/email/suppressions/import", json!({ "items": items })).await.ok();
    let faults = done["faults"].as_array().unwrap();
    assert_eq!((&done["taken"], faults.len()), (&json!(0), bad.len()));
    assert!(faults.iter().all(|fault| fault["message"].as_str().unwrap().len() < 200), "{faults:?}");
    // One by one it is an address that is put on the list.
    assert_eq!(app.post("/email/suppressions", json!({ "email": format!("sha256:{hash}") })).await.faults(), ["body.email: value_error"]);
    assert_eq!(app.get("/email/suppressions").await.ok()["total"], 0);

    let items = json!([{ "email": format!("sha256:{}", hash.to_uppercase()) }]);
    app.post("/email/suppressions/import", json!({ "items": items })).await.ok();
    let at = format!("/email/suppressions/sha256:{hash}");
    assert_eq!(app.get(&at).await.ok()["reason"], "manual");
    for other in [format!("{at}0"), "/email/suppressions/sha256:".to_owned()] {
        assert_eq!(app.delete(&other).await.problem(404), "suppression_not_found");
    }
    app.delete(&at).await.ok();
    assert_eq!(app.get("/email/suppressions").await.ok()["total"], 0);
    while app.app.audit_chain().await.unwrap() > 0 {}
    let trail = app.get(&format!("/audit?object=suppress%23sha256:{hash}")).await.ok();
    let mut done: Vec<_> = trail["items"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    done.sort_unstable();
    assert_eq!(done, ["suppression.added", "suppression.removed"]);
}

#[tokio::test]
async fn a_reader_unsubscribes_by_one_click_or_by_the_page_and_reading_changes_nothing() {
    let app = public().await;
    let made = app.post("/email/send", content()).await.ok();
    reaches(&app, made["email_id"].as_str().unwrap(), "sent").await;
    let mail = mail_to(&app, "ann@example.org");
    assert!(mail.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"));
    let path = link(&mail).to_owned();
    for _ in 0..3 {
        let page = app.get(&path).await;
        let html = String::from_utf8(page.body.clone()).unwrap();
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(html.contains("a•••••n@example.org") && html.contains("Stop mail to") && !html.contains("ann@example.org"), "{html}");
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
    }
    assert_eq!(app.get("/email/suppressions").await.ok()["total"], 0, "links are followed by machines");

    // A mail program, without cookies or a page.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let clicked = app.call(Method::POST, &path, &form, "List-Unsubscribe=One-Click").await;
    assert_eq!(clicked.status, 200);
    let entry = app.get("/email/suppressions/ann@example.org").await.ok();
    assert_eq!((&entry["reason"], &entry["email_id"]), (&json!("unsubscribed"), &made["email_id"]));
    let page = String::from_utf8(app.get(&path).await.body).unwrap();
    assert!(page.contains("gets no more news") && page.contains("send me news again"));
    let back = app.call(Method::POST, &path, &form, "wants=mail").await;
    let back = String::from_utf8(back.body).unwrap();
    assert!(back.contains("gets our mail again") && !back.contains("no more news") && back.contains("<title>Subscribed again"), "{back}");
    assert_eq!(app.get("/email/suppressions").await.ok()["total"], 0);
    let multipart = [("content-type", "multipart/form-data; boundary=b")];
    app.call(Method::POST, &path, &multipart, "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n").await;
    assert_eq!(app.get("/email/suppressions").await.ok()["total"], 1, "the other form that RFC 8058 allows");

    for forged in [format!("{path}x"), path.replacen("/u/", "/u/A", 1), "/u/preview".to_owned(), format!("/u/{}", "A".repeat(6_000))] {
        for method in [Method::GET, Method::POST] {
            let answer = app.call(method, &forged, &form, "List-Unsubscribe=One-Click").await;
            assert_eq!(answer.status, 404, "{forged}");
        }
    }
    // A complaint cannot be taken back by the link.
    app.post("/email/suppressions", json!({"email": "ann@example.org", "reason": "complained"})).await.ok();
    let barred = String::from_utf8(app.call(Method::POST, &path, &form, "wants=mail").await.body).unwrap();
    assert!(barred.contains("<h1>We do not mail") && barred.contains("<title>Not mailed"), "{barred}");
    assert_eq!(app.get("/email/suppressions/ann@example.org").await.ok()["reason"], "complained");
}

#[tokio::test]
async fn the_link_of_somebody_who_was_erased_still_unsubscribes() {
    let app = public().await;
    let made = app.post("/email/send", content()).await.ok();
    reaches(&app, made["email_id"].as_str().unwrap(), "sent").await;
    let path = link(&mail_to(&app, "ann@example.org")).to_owned();
    app.post("/users/ann/erase", json!({})).await.ok();
    app.quiet().await;
    let page = app.get(&path).await;
    let html = String::from_utf8(page.body.clone()).unwrap();
    assert!(page.status == 200 && html.contains("Stop mail to your address?") && !html.contains("@example.org"), "{html}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let done = app.call(Method::POST, &path, &form, "List-Unsubscribe=One-Click").await;
    assert!(done.status == 200 && String::from_utf8(done.body).unwrap().contains("Your address gets no more news"));
    assert_eq!(app.get("/email/suppressions/ann@example.org").await.ok()["reason"], "unsubscribed", "should the address come again");
}

#[tokio::test]
async fn tracked_links_lead_where_the_mail_said_and_nowhere_else() {
    let app = public().await;
    let mut body = content();
    body["body"] = json!("[Look](https://example.com/?a=1&b=2)");
    body["bodyFormat"] = json!("markdown");
    body["trackOpens"] = json!(true);
    body["trackClicks"] = json!(true);
    let made = app.post("/email/send", body).await.ok();
    reaches(&app, made["email_id"].as_str().unwrap(), "sent").await;
    let mail = mail_to(&app, "ann@example.org");
    let path = |begin: &str| format!("{begin}{}", mail.split_once(&format!("https://crm.example{begin}")).unwrap().1.split(['"', '>', ' ']).next().unwrap());
    let click = path("/t/c/");
    let answer = app.get(&click).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (302, "https://example.com/?a=1&b=2"));
    let pixel = app.get(&path("/t/o/")).await;
    assert_eq!((pixel.header("content-type"), pixel.header("cache-control")), ("image/gif", "no-store"));
    assert_eq!(app.get("/t/o/forged.gif").await.body, pixel.body, "a forged one looks the same");
    app.clock.advance(jiff::SignedDuration::from_mins(5));
    let browser = [("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")];
    app.call(Method::GET, &click, &browser, Body::empty()).await;
    app.call(Method::GET, &click, &browser, Body::empty()).await;
    let readers = app.get(&format!("/email/requests/{}/readers", made["email_id"].as_str().unwrap())).await.ok();
    assert_eq!(readers, json!({"opened": 0, "clicked": 1, "personHits": 2, "machineHits": 2, "exact": true}), "who says nothing of itself is a machine");
    for forged in
        [format!("{click}x"), click.replacen("/t/c/", "/t/c/A", 1), "/t/c/https://evil.example".to_owned(), "/t/c/aHR0cHM6Ly9ldmlsLmV4YW1wbGU".to_owned()]
    {
        let answer = app.get(&forged).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (404, ""), "{forged}");
    }
}

#[tokio::test]
async fn a_mail_that_comes_back_is_in_the_ledger_and_on_the_list() {
    let app = public().await;
    let made = app.post("/email/send", content()).await.ok();
    let id = made["email_id"].as_str().unwrap();
    reaches(&app, id, "sent").await;
    let mail = mail_to(&app, "ann@example.org");
    let token = mail.split_once("X-EMCRM-Delivery: ").unwrap().1.split_once("\r\n").unwrap().0;
    let bounce = |token: &str| {
        format!(
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; ann@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 gone\r\n\r\n\
             --b\r\nContent-Type: text/rfc822-headers\r\n\r\nX-EMCRM-Delivery: {token}\r\n\r\n--b--\r\n"
        )
    };
    let kind = [("content-type", "message/rfc822")];
    assert_eq!(app.call(Method::POST, "/mail/events/bounce", &kind, bounce("forged")).await.ok()["notOurs"], 1);
    assert_eq!(app.call(Method::POST, "/mail/events/bounce", &kind, bounce(token)).await.ok()["recorded"], 1);
    assert_eq!(app.call(Method::POST, "/mail/events/bounce", &kind, bounce(token)).await.ok()["known"], 1);
    assert_eq!(app.call(Method::POST, "/mail/events/bounce", &kind, "Subject: hello\r\n\r\nno report").await.ok()["recorded"], 0);
    let campaign = app.get(&format!("/email/requests/{id}")).await.ok();
    assert_eq!((&campaign["counts"]["bounced"], &campaign["counts"]["sent"]), (&json!(1), &json!(1)));
    let rows = app.get(&format!("/email/status/{id}?status=bounced")).await.ok();
    assert_eq!((&rows["items"][0]["user_id"], &rows["items"][0]["error"]), (&json!("ann"), &json!("550 5.1.1 gone")));
    assert_eq!(app.get("/email/suppressions/ann@example.org").await.ok()["reason"], "bounced");
    assert_eq!(app.post("/mail/events/sns", json!({})).await.problem(404), "no_topic", "no topic is configured");
}

/// Whoever registers fills in these fields: they would have a mail, and a link that is signed here, lead anywhere.
#[tokio::test]
async fn no_field_of_a_person_says_where_a_link_leads_and_what_was_saved_with_one_is_held() {
    let app = public().await;
    for (format, body) in [("html", "<a href=\"{{ user.company }}\">x</a>"), ("markdown", "[x]({{ user.company }})")] {
        let asked = json!({"filter": {}, "subject": "s", "body": body, "bodyFormat": format, "trackClicks": true});
        for path in ["/email/send", "/email/send_emails", "/email/requests", "/email/preview", "/email/preflight"] {
            assert_eq!(app.post(path, asked.clone()).await.faults(), ["body.body: template"], "{path} {body}");
        }
        let template = json!({"name": "n", "subject": "s", "body": body, "bodyFormat": format});
        assert_eq!(app.post("/email/templates", template).await.faults(), ["body.body: template"], "{body}");
    }
    // As an earlier version kept it: the body in the campaign, and nobody had refused it.
    let sent = app.post("/email/send_emails", json!({"filter": {}, "subject": "s", "body": "b", "bodyFormat": "html", "trackClicks": true})).await.ok();
    let id = sent["email_id"].as_str().unwrap();
    reaches(&app, id, "sent").await;
    let mut tx = Transaction::new();
    let stored = app.app.store.campaigns.update_any(&mut tx, &CampaignId::from(id.to_owned()));
    stored.set("body", "<a href=\"{{ user.company }}\">x</a>").remove("bodyDigest").set("status", "paused");
    app.app.store.engine.transact(tx).await.unwrap();
    assert_eq!(post(&app, &format!("/email/requests/{id}/resume")).await.ok()["status"], "sending");
    let held = reaches(&app, id, "paused").await;
    assert!(held["reason"].as_str().unwrap().contains("cannot choose where a link leads"), "{held}");
}
