//! `/app/campaigns` as people use it: by forms alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use emcrm_mail::{Connection, Handover, MailError, Receipt, Transport};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::helpers::{Answer, Options, TestApp};

const HOSTILE: &str = "\"><script>alert(1)</script>'&{{ user.x }}";
const URLENCODED: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A form with the mark that every page of ours has in its forms.
async fn send(app: &TestApp, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let csrf = app.app.mark("csrf", "local");
    app.call(Method::POST, path, &[URLENCODED], encoded(&[pairs, &[("csrf", &csrf)]].concat())).await
}

#[track_caller]
fn html(answer: &Answer, status: u16) -> String {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(answer.status.as_u16(), status, "{text}");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(!text.contains("<script>alert") && !text.contains("style=\"") && !text.contains("onclick"), "{text}");
    text
}

/// A mail in its frame: a document of its own, with the styles that mails have.
#[track_caller]
fn framed(answer: &Answer) -> String {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(answer.status, 200, "{text}");
    assert!(!text.contains("<script") && !text.contains("onclick"), "{text}");
    let policy = answer.header("content-security-policy");
    for part in ["default-src 'none'", "sandbox allow-popups", "frame-ancestors 'self'", "form-action 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("script-src") && !policy.contains("allow-scripts") && !policy.contains("allow-same-origin"), "{policy}");
    text
}

#[track_caller]
fn leads_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
    answer.header("location").to_owned()
}

/// The value of a hidden field.
#[track_caller]
fn hidden(page: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    page.split_once(&mark).unwrap_or_else(|| panic!("no {name} in {page}")).1.split('"').next().unwrap().to_owned()
}

async fn with_people(options: Options) -> TestApp {
    let mut app = TestApp::with(options, emcrm_server::router::router).await;
    app.work();
    for (id, city, company) in [("ann", "York", "Acme"), ("bea", "York", ""), ("cid", "Leeds", "Acme")] {
        let body = json!({"id": id, "firstName": id, "lastName": "X", "email": format!("{id}@example.org"), "city": city, "company": company});
        app.post("/users", body).await.ok();
    }
    app.settled().await;
    app
}

async fn filled() -> TestApp {
    with_people(Options { public_url: Some("https://crm.example"), ..Options::default() }).await
}

const CONTENT: [(&str, &str); 5] =
    [("city", "york"), ("subject", "Hello {{ user.firstName }}"), ("body", "Come **all**."), ("bodyFormat", "markdown"), ("do", "save")];

/// A draft, written by the form. Its address.
async fn draft(app: &TestApp) -> String {
    let to = leads_to(&send(app, "/app/campaigns/new", &CONTENT).await);
    to.strip_suffix("/edit").unwrap().to_owned()
}

fn id(href: &str) -> &str {
    href.rsplit('/').next().unwrap()
}

async fn reaches(app: &TestApp, href: &str, state: &str) -> Value {
    for _ in 0..24_000 {
        let campaign = app.get(&format!("/email/requests/{}", id(href))).await.ok();
        if campaign["status"] == state {
            return campaign;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the campaign did not get {state}");
}

/// Waits until so many of its mails are in this state.
async fn counted(app: &TestApp, href: &str, state: &str, count: u64) {
    for _ in 0..24_000 {
        if app.get(&format!("/email/requests/{}", id(href))).await.ok()["counts"][state] == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("there were never {count} mails {state}");
}

#[tokio::test]
async fn a_campaign_is_written_checked_sent_and_proven_by_forms_alone() {
    let app = filled().await;
    let empty = html(&app.get("/app/campaigns").await, 200);
    assert!(empty.contains("No campaigns yet"));

    // Written.
    let form = html(&app.get("/app/campaigns/new?city=York&minAttended=0").await, 200);
    assert!(form.contains("name=\"city\" value=\"York\" checked") && form.contains("<b>2</b> people match"), "{form}");
    let checked = html(&send(&app, "/app/campaigns/new", &[&CONTENT[..4], &[("do", "check")]].concat()).await, 200);
    assert!(checked.contains("<b>Hello ann</b>") && checked.contains("ann@example.org"), "{checked}");
    assert_eq!(app.get("/email").await.status, 404, "looking saves nothing");
    app.event("tea").await;
    let to = leads_to(&send(&app, "/app/campaigns/new", &[&CONTENT[..4], &[("do", "review")]].concat()).await);
    let href = to.strip_suffix("/preflight").unwrap();
    assert_eq!(leads_to(&app.get(href).await), format!("{href}/edit"), "a draft is for editing");

    // Checked.
    let review = html(&app.get(&to).await, 200);
    assert!(review.contains("Send 2 mails…") && review.contains("<b>2</b> people get it"), "{review}");
    assert!(review.contains("is not known yet: no campaign was sent"), "{review}");
    assert!(framed(&app.get(&format!("{href}/mail/ann?part=html")).await).contains("Come <strong>all</strong>."));
    assert!(html(&app.get(&format!("{href}/mail/ann")).await, 200).contains("sandbox=\"allow-popups"));

    // A test mail.
    let tested = send(&app, &format!("{href}/test"), &[("to", "me@example.org")]).await;
    assert_eq!(leads_to(&tested), to);
    assert!(tested.header("set-cookie").starts_with("flash="));
    assert!(html(&send(&app, &format!("{href}/test"), &[("to", HOSTILE)]).await, 422).contains("not an e-mail address"));

    // Sent, to as many as were named.
    let (rev, expected) = (hidden(&review, "rev"), hidden(&review, "expected"));
    assert_eq!(expected, "2");
    assert!(html(&send(&app, &format!("{href}/send"), &[("rev", &rev)]).await, 422).contains("Nothing was sent"));
    let other = html(&send(&app, &format!("{href}/send"), &[("rev", &rev), ("expected", "7")]).await, 409);
    assert!(other.contains("2 people match now, and not 7"), "{other}");
    assert_eq!(leads_to(&send(&app, &format!("{href}/send"), &[("rev", &rev), ("expected", &expected)]).await), href);
    reaches(&app, href, "sent").await;

    // Proven.
    let live = html(&app.get(href).await, 200);
    assert!(live.contains("<b>2</b> of 2 sent") && live.contains("ann@example.org") && !live.contains("data-hx-trigger"), "{live}");
    let refused = html(&app.get(&format!("{href}?s=error")).await, 200);
    assert!(refused.contains("No rows in this state"));
    // Rows leave a state while somebody reads on: that goes by a cursor. All of them stay in their places.
    assert!(html(&app.get(&format!("{href}?s=sent&size=1")).await, 200).contains(&format!("href=\"{href}?s=sent&amp;cursor=")));
    assert!(html(&app.get(&format!("{href}?size=1")).await, 200).contains(&format!("href=\"{href}?page=2\"")));
    let found = html(&app.get(&format!("{href}?address=BEA@example.org")).await, 200);
    assert!(found.contains("bea@example.org") && !found.contains("ann@example.org"), "{found}");
    assert!(html(&app.get(&format!("{href}?address=cid@example.org")).await, 200).contains("Nothing went to"));
    let person = html(&app.get("/app/people/ann").await, 200);
    assert!(person.contains(">Hello ann</a>") && !person.contains("{{"), "the subject as it was read: {person}");
    let csv = app.get(&format!("{href}/ledger.csv")).await;
    assert_eq!((csv.header("content-type"), String::from_utf8_lossy(&csv.body).lines().count()), ("text/csv; charset=utf-8", 3));
    assert!(String::from_utf8_lossy(&csv.body).starts_with("\u{feff}user_id,"), "spreadsheets are told what it is written in");
    let api = app.get(&format!("/email/requests/{}/deliveries.csv", id(href))).await;
    assert!(api.body.starts_with(b"user_id,"), "programs need no mark");
    let list = html(&app.get("/app/campaigns").await, 200);
    assert!(list.contains("Hello {{ user.firstName }}") && list.contains("2 sent"), "{list}");
    app.stop().await;
}

#[tokio::test]
async fn an_events_page_leads_to_a_mail_for_those_on_its_list() {
    let app = filled().await;
    app.event("tea").await;
    app.post("/attend", json!({ "user_id": "ann", "event_id": "tea" })).await.ok();
    app.post("/attend", json!({ "user_id": "cid", "event_id": "tea", "attended": "here" })).await.ok();
    let new = "/app/campaigns/new?audience=attendees&event=tea";
    assert!(html(&app.get("/app/events/tea").await, 200).contains(&new.replace('&', "&amp;")));
    assert!(html(&app.get("/app/events/tea?s=away").await, 200).contains("new?audience=away&amp;event=tea"));
    let form = html(&app.get(new).await, 200);
    for part in ["<option value=\"attendees\" selected", "<option value=\"tea\" selected", "<b>2</b> people match", "Everybody on the list of"] {
        assert!(form.contains(part), "{part}: {form}");
    }
    let without = html(&send(&app, "/app/campaigns/new", &[("audience", "here"), ("subject", "S"), ("body", "B"), ("do", "save")]).await, 422);
    assert!(without.contains("id=\"eventId-fault\"") && without.contains("must be named"), "{without}");
    assert_eq!(app.get("/email").await.status, 404, "nothing was saved, and nobody was mailed");

    let away = [("audience", "away"), ("eventId", "tea"), ("subject", "We miss you"), ("body", "Come."), ("bodyFormat", "text"), ("do", "review")];
    let to = leads_to(&send(&app, "/app/campaigns/new", &away).await);
    let href = to.strip_suffix("/preflight").unwrap();
    let review = html(&app.get(&to).await, 200);
    assert!(review.contains("Send 1 mail") && review.contains("and has not come"), "{review}");
    let form = [("rev", hidden(&review, "rev")), ("expected", hidden(&review, "expected"))];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(leads_to(&send(&app, &format!("{href}/send"), &form).await), href);
    let done = reaches(&app, href, "sent").await;
    assert_eq!((&done["audience"], &done["eventId"], &done["totalRecipients"]), (&json!("away"), &json!("tea"), &json!(1)));
    let live = html(&app.get(href).await, 200);
    assert!(live.contains("ann@example.org") && !live.contains("cid@example.org") && live.contains("and has not come"), "{live}");
    app.stop().await;
}

#[tokio::test]
async fn faults_stand_beside_their_fields_and_nothing_typed_is_lost() {
    let app = filled().await;
    let wrong =
        [("city", "York"), ("minAttended", "two"), ("subject", ""), ("body", "Hello {{ user.nobody }}"), ("bodyFormat", "text"), ("rate", "0"), ("do", "save")];
    let page = html(&send(&app, "/app/campaigns/new", &wrong).await, 422);
    for part in [
        "id=\"minAttended-fault\"",
        "id=\"subject-fault\"",
        "id=\"rate-fault\"",
        "value=\"two\"",
        "Hello {{ user.nobody }}",
        "name=\"city\" value=\"York\" checked",
        "data-focus",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let unknown = html(&send(&app, "/app/campaigns/new", &[("subject", "S"), ("body", "Hello {{ user.nobody }}"), ("do", "save")]).await, 422);
    assert!(unknown.contains("id=\"body-fault\""), "{unknown}");
    assert_eq!(app.get("/email").await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn hostile_text_is_text_everywhere() {
    let app = filled().await;
    let hostile = |name: &'static str| (name, HOSTILE);
    let fields = ["company", "jobTitle", "city", "state", "minAttended", "maxHosted", "subject", "body", "bodyFormat", "kind", "eventId", "rate", "template"];
    let all: Vec<_> = fields.into_iter().map(hostile).collect();
    let page = html(&send(&app, "/app/campaigns/new", &all).await, 422);
    assert!(page.contains("&lt;script&gt;") || page.contains("&#x3c;script"), "{page}");
    html(&app.get(&format!("/app/campaigns/new?{}", encoded(&all[..12]))).await, 200);
    html(&send(&app, "/app/campaigns/check", &all).await, 200);
    framed(&send(&app, "/app/campaigns/frame", &all).await);
    // What can be stored, stored.
    let raw = "{% raw %}\"><script>alert(1)</script>{% endraw %}";
    let kept = [("subject", raw), ("body", raw), ("bodyFormat", "html"), ("company", "<script>alert(2)"), ("do", "save")];
    let href = leads_to(&send(&app, "/app/campaigns/new", &kept).await);
    let href = href.strip_suffix("/edit").unwrap();
    for path in ["/app/campaigns".to_owned(), format!("{href}/edit"), format!("{href}/preflight"), format!("{href}/mail/ann")] {
        html(&app.get(&path).await, 200);
    }
    framed(&app.get(&format!("{href}/mail/ann?part=html")).await);
    let zone = [("scheduledAt", HOSTILE), ("timezone", HOSTILE)];
    html(&send(&app, &format!("{href}/schedule"), &zone).await, 422);
    for path in ["/app/campaigns/%3Cscript%3Ealert", "/app/campaigns/x/mail/%3Cscript%3Ealert", "/app/campaigns/%00"] {
        html(&app.get(path).await, 404);
    }
    app.stop().await;
}

#[tokio::test]
async fn every_form_has_its_mark_and_does_nothing_without_it() {
    let app = filled().await;
    let href = draft(&app).await;
    let csrf = app.app.mark("csrf", "local");
    for path in ["/app/campaigns/new".to_owned(), format!("{href}/edit"), format!("{href}/preflight")] {
        let page = html(&app.get(&path).await, 200);
        let forms = page.matches("<form").count() - page.matches("<form id=\"parts\">").count();
        assert_eq!(page.matches(&format!("name=\"csrf\" value=\"{csrf}\"")).count(), forms, "{path}: {page}");
    }
    for step in ["edit", "test", "schedule", "duplicate", "delete"] {
        let fields = [("to", "me@example.org"), ("scheduledAt", "2026-01-05T09:00"), ("subject", "S"), ("body", "B")];
        let answer = app.call(Method::POST, &format!("{href}/{step}"), &[URLENCODED], encoded(&fields)).await;
        html(&answer, 403);
    }
    assert_eq!(app.get(&format!("/email/requests/{}", id(&href))).await.ok()["subject"], "Hello {{ user.firstName }}");
    app.stop().await;
}

#[tokio::test]
async fn the_review_names_what_each_person_lacks() {
    let app = filled().await;
    let content = [("subject", "Hello"), ("body", "At {{ user.company }}"), ("bodyFormat", "text"), ("do", "review")];
    let review = html(&app.get(&leads_to(&send(&app, "/app/campaigns/new", &content).await)).await, 200);
    assert!(review.contains("<b>2</b> people get it") && review.contains("A value is missing: who"), "{review}");
    assert!(review.contains("bea@example.org · has no user.company</span>") && !review.contains("ann@example.org · has no"), "{review}");
    app.stop().await;
}

#[tokio::test]
async fn free_text_never_chooses_recipients() {
    let app = filled().await;
    let page = html(&app.get("/app/campaigns/new?q=ann&city=York").await, 200);
    assert!(page.contains("never chooses who gets mail") && page.contains("<b>2</b> people match") && !page.contains("name=\"q\""));
    app.stop().await;
}

#[tokio::test]
async fn who_saves_second_sees_theirs_beside_ours() {
    let app = filled().await;
    let href = draft(&app).await;
    let rev = hidden(&html(&app.get(&format!("{href}/edit")).await, 200), "rev");
    let save = |subject: &'static str, city: &'static str, rev: String| {
        let app = &app;
        let href = &href;
        async move {
            send(app, &format!("{href}/edit"), &[("subject", subject), ("body", "Come **all**."), ("bodyFormat", "markdown"), ("city", city), ("rev", &rev)])
                .await
        }
    };
    assert_eq!(leads_to(&save("Theirs", "Leeds", rev.clone()).await), format!("{href}/edit"));
    let conflict = html(&save("Ours", "York", rev).await, 412);
    for part in ["value=\"Ours\"", "Saved meanwhile by somebody else: <b class=\"break\">Theirs</b>", "City Leeds", "name=\"city\" value=\"York\" checked"] {
        assert!(conflict.contains(part), "{part}: {conflict}");
    }
    assert_eq!(leads_to(&save("Ours", "York", hidden(&conflict, "rev")).await), format!("{href}/edit"));
    assert_eq!(app.get(&format!("/email/requests/{}", id(&href))).await.ok()["subject"], "Ours");
    // What was reviewed is what is sent.
    let review = html(&app.get(&format!("{href}/preflight")).await, 200);
    leads_to(&save("Changed", "York", hidden(&review, "rev")).await);
    let stale = send(&app, &format!("{href}/send"), &[("rev", &hidden(&review, "rev")), ("expected", "2")]).await;
    assert!(html(&stale, 412).contains("Somebody changed the campaign meanwhile"));
    app.stop().await;
}

#[tokio::test]
async fn the_computed_half_comes_alone_for_a_script() {
    let app = filled().await;
    let part = send(&app, "/app/campaigns/check", &CONTENT).await;
    let text = html(&part, 200);
    assert!(!text.contains("<html") && text.contains("id=\"audience\"") && text.contains("id=\"preview\""), "{text}");
    assert_eq!(text.matches("data-hx-swap-oob=\"true\"").count(), 2);
    assert!(framed(&send(&app, "/app/campaigns/frame", &CONTENT).await).contains("<strong>all</strong>"));
    app.stop().await;
}

#[tokio::test]
async fn a_draft_is_written_and_saved_while_nobody_can_be_counted() {
    let app = filled().await;
    let href = draft(&app).await;
    app.index.take_away(true);
    for path in ["/app/campaigns/new?city=York".to_owned(), format!("{href}/edit"), format!("{href}/preflight")] {
        let page = html(&app.get(&path).await, 200);
        assert!(page.contains("The audience cannot be counted right now") && !page.contains("people match"), "{path}: {page}");
    }
    let typed = [&CONTENT[..4], &[("do", "check")]].concat();
    let checked = html(&send(&app, "/app/campaigns/new", &typed).await, 200);
    assert!(checked.contains("cannot be counted right now") && checked.contains("Come **all**.") && checked.contains("value=\"york\" checked"), "{checked}");
    assert!(html(&send(&app, "/app/campaigns/check", &CONTENT).await, 200).contains("cannot be counted right now"));
    assert!(framed(&send(&app, "/app/campaigns/frame", &CONTENT).await).contains("cannot be shown right now"));
    let faulty = [("subject", ""), ("body", "Still here"), ("rate", "0"), ("do", "save")];
    let faulty = html(&send(&app, &format!("{href}/edit"), &faulty).await, 422);
    assert!(faulty.contains("id=\"rate-fault\"") && faulty.contains("Still here"), "{faulty}");
    let rev = hidden(&html(&app.get(&format!("{href}/edit")).await, 200), "rev");
    let fields = [&CONTENT[..], &[("subject", "While it was away"), ("rev", rev.as_str())]].concat();
    leads_to(&send(&app, &format!("{href}/edit"), &fields).await);
    assert_eq!(app.get(&format!("/email/requests/{}", id(&href))).await.ok()["subject"], "While it was away");
    let test = html(&send(&app, &format!("{href}/test"), &[("to", "me@example.org")]).await, 503);
    assert!(test.contains("Nothing was sent") && test.contains("cannot be counted right now"), "{test}");
    html(&send(&app, &format!("{href}/send"), &[("expected", "2")]).await, 503);
    app.index.take_away(false);
    assert!(html(&app.get(&format!("{href}/preflight")).await, 200).contains("Send 2 mails…"));
    app.stop().await;
}

#[tokio::test]
async fn a_step_that_is_asked_for_twice_is_done_once() {
    let app = filled().await;
    let href = draft(&app).await;
    let rev = hidden(&html(&app.get(&format!("{href}/preflight")).await, 200), "rev");
    let moment = [("scheduledAt", "2026-01-05T09:00"), ("timezone", "Europe/Berlin"), ("rev", rev.as_str())];
    for _ in 0..2 {
        assert_eq!(leads_to(&send(&app, &format!("{href}/schedule"), &moment).await), href);
    }
    let other = [("scheduledAt", "2026-01-06T09:00"), ("timezone", "Europe/Berlin"), ("rev", rev.as_str())];
    assert!(html(&send(&app, &format!("{href}/schedule"), &other).await, 412).contains("Somebody changed the campaign meanwhile"));
    for step in ["unschedule", "unschedule"] {
        assert_eq!(leads_to(&send(&app, &format!("{href}/{step}"), &[]).await), href);
    }
    let page = html(&app.get(&format!("{href}/preflight")).await, 200);
    let fields = [("rev", hidden(&page, "rev")), ("expected", hidden(&page, "expected"))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for _ in 0..2 {
        assert_eq!(leads_to(&send(&app, &format!("{href}/send"), &fields).await), href);
    }
    reaches(&app, &href, "sent").await;
    assert_eq!(leads_to(&send(&app, &format!("{href}/send"), &fields).await), href);

    let waits = draft(&app).await;
    leads_to(&send(&app, &format!("{waits}/schedule"), &[("scheduledAt", "2026-01-05T09:00"), ("timezone", "Europe/Berlin")]).await);
    for _ in 0..2 {
        assert_eq!(leads_to(&send(&app, &format!("{waits}/cancel"), &[]).await), waits);
    }
    // Campaigns are found where everything is looked for.
    let found = html(&app.get("/app/search?q=hello+USER").await, 200);
    assert!(found.contains("id=\"h-campaigns\"") && found.contains(&format!("href=\"{href}\"")), "{found}");
    assert!(!html(&app.get("/app/search?q=goodbye").await, 200).contains("h-campaigns"));
    // A test mail goes out once, and a copy is made once.
    let away = draft(&app).await;
    let once = hidden(&html(&app.get(&format!("{away}/preflight")).await, 200), "once");
    let test = [("to", "me@example.org"), ("once", once.as_str())];
    for _ in 0..2 {
        assert_eq!(leads_to(&send(&app, &format!("{away}/test"), &test).await), format!("{away}/preflight"));
    }
    let outbox = html(&app.get("/app/outbox").await, 200);
    assert!(outbox.contains("of 3 mails"), "two of the campaign, and one test: {outbox}");
    let once = hidden(&html(&app.get(&waits).await, 200), "once");
    let copy = leads_to(&send(&app, &format!("{waits}/duplicate"), &[("once", once.as_str())]).await);
    assert_eq!(leads_to(&send(&app, &format!("{waits}/duplicate"), &[("once", once.as_str())]).await), copy);
    for _ in 0..2 {
        assert_eq!(leads_to(&send(&app, &format!("{away}/delete"), &[]).await), "/app/campaigns");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_was_typed_outlives_the_campaign_it_was_typed_for() {
    let app = filled().await;
    let sent = draft(&app).await;
    let page = html(&app.get(&format!("{sent}/preflight")).await, 200);
    leads_to(&send(&app, &format!("{sent}/send"), &[("expected", &hidden(&page, "expected"))]).await);
    reaches(&app, &sent, "sent").await;
    let deleted = draft(&app).await;
    leads_to(&send(&app, &format!("{deleted}/delete"), &[]).await);
    for (href, status, words) in [(&sent, 409, "cannot be edited any more"), (&deleted, 404, "was deleted meanwhile")] {
        let form = html(&send(&app, &format!("{href}/edit"), &CONTENT).await, status);
        assert!(form.contains(words) && form.contains("Come **all**.") && form.contains("action=\"/app/campaigns/new\""), "{form}");
        assert!(form.contains("name=\"once\"") && !form.contains("name=\"rev\""), "{form}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_scheduled_campaign_says_when_and_can_be_a_draft_again() {
    let app = filled().await;
    let href = draft(&app).await;
    let past = html(&send(&app, &format!("{href}/schedule"), &[("scheduledAt", "2020-01-01T09:00"), ("timezone", "Europe/Berlin")]).await, 422);
    assert!(past.contains("lies in the past") && past.contains("value=\"2020-01-01T09:00\""), "{past}");
    assert!(html(&send(&app, &format!("{href}/schedule"), &[("timezone", "No/Where")]).await, 422).contains("id=\"timezone-fault\""));
    let done = send(&app, &format!("{href}/schedule"), &[("scheduledAt", "2026-01-05T09:00"), ("timezone", "Europe/Berlin")]).await;
    assert_eq!(leads_to(&done), href);
    let page = html(&app.get(&href).await, 200);
    assert!(page.contains("5 Jan 2026, 09:00 (Europe/Berlin)") && page.contains("Make it a draft"), "{page}");
    let list = html(&app.get("/app/campaigns").await, 200);
    assert!(list.contains("due <time datetime=\"2026-01-05T08:00:00Z\""), "the moment, in the reader's words: {list}");
    html(&app.get(&format!("{href}/cancel")).await, 200);
    leads_to(&send(&app, &format!("{href}/unschedule"), &[]).await);
    assert_eq!(app.get(&format!("/email/requests/{}", id(&href))).await.ok()["status"], "draft");
    let copy = leads_to(&send(&app, &format!("{href}/duplicate"), &[]).await);
    assert_ne!(copy, href);
    assert_eq!(leads_to(&send(&app, &format!("{copy}/delete"), &[]).await), "/app/campaigns");
    html(&app.get(&copy).await, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_step_at_the_wrong_moment_is_a_page_that_says_so() {
    let app = filled().await;
    let href = draft(&app).await;
    for step in ["pause", "resume", "cancel"] {
        let page = html(&send(&app, &format!("{href}/{step}"), &[]).await, 409);
        assert!(page.contains("The campaign stands at “draft”, so it cannot be") && page.contains("Nothing was changed"), "{page}");
    }
    html(&app.get(&format!("{href}/cancel")).await, 409);
    let expected = hidden(&html(&app.get(&format!("{href}/preflight")).await, 200), "expected");
    leads_to(&send(&app, &format!("{href}/send"), &[("expected", &expected)]).await);
    reaches(&app, &href, "sent").await;
    for path in ["edit", "preflight"] {
        assert!(html(&app.get(&format!("{href}/{path}")).await, 409).contains("stands at “sent”"));
    }
    // The same press once more: it was done.
    assert_eq!(leads_to(&send(&app, &format!("{href}/send"), &[("expected", &expected)]).await), href);
    html(&send(&app, &format!("{href}/pause"), &[]).await, 409);
    html(&send(&app, &format!("{href}/delete"), &[]).await, 409);
    html(&send(&app, &format!("{href}/retry"), &[("states", "sent")]).await, 422);
    html(&app.get("/app/campaigns/nothing").await, 404);
    app.stop().await;
}

/// Takes no mail, for now.
struct Busy;

#[async_trait::async_trait]
impl Transport for Busy {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        Err(MailError::Unavailable { cause: "busy <b>today</b>".to_owned() })
    }
    fn connections_max(&self) -> usize {
        1
    }
    fn rate(&self) -> Option<u32> {
        Some(2)
    }
    async fn health(&self) -> Result<(), MailError> {
        Err(MailError::Unavailable { cause: "busy <b>today</b>".to_owned() })
    }
    fn name(&self) -> &'static str {
        "busy"
    }
}

#[tokio::test]
async fn a_campaign_that_does_not_end_is_watched_paused_and_cancelled_with_its_count() {
    let app = with_people(Options { transport: Some(Arc::new(Busy)), ..Options::default() }).await;
    let href = draft(&app).await;
    let review = html(&app.get(&format!("{href}/preflight")).await, 200);
    assert!(review.contains("Mail cannot be handed over now") && review.contains("disabled"), "{review}");
    assert!(review.contains("SPF and DMARC stand in the DNS of the domain") && review.contains("None of them is looked at here"), "{review}");
    let test = html(&send(&app, &format!("{href}/test"), &[("to", "me@example.org")]).await, 502);
    assert!(test.contains("was not sent") && !test.contains("<b>today"), "{test}");
    // Somebody sends it all the same, by the API.
    app.call(Method::POST, &format!("/email/requests/{}/send", id(&href)), &[], Body::empty()).await.ok();
    reaches(&app, &href, "sending").await;
    let page = html(&app.get(&href).await, 200);
    assert!(page.contains("data-hx-trigger=\"every 2s\"") && page.contains("<b>0</b> of 2 sent"), "{page}");
    assert!(page.contains("<dt>Mails a second</dt><dd><span class=\"muted\">not yet</span></dd>") && !page.contains("Left, about"), "{page}");
    let same = app.get(&format!("{href}/progress?state=sending&at=0&handled=0")).await;
    assert_eq!(same.header("hx-refresh"), "");
    assert!(html(&same, 200).starts_with("<section class=\"live-panel\" id=\"progress\""));
    let other = app.get(&format!("{href}/progress?state=draft&at=x&handled=-5")).await;
    assert_eq!((other.status.as_u16(), other.header("hx-refresh")), (200, "true"));
    // Pressed twice, it is paused once; and home says that it waits for somebody.
    for _ in 0..2 {
        leads_to(&send(&app, &format!("{href}/pause"), &[]).await);
    }
    let home = html(&app.get("/app").await, 200);
    assert!(home.contains("” is paused</a>") && home.contains(&format!("<a class=\"title\" href=\"{href}\">“")), "{home}");
    counted(&app, &href, "pending", 2).await;
    let ask = html(&app.get(&format!("{href}/cancel")).await, 200);
    assert!(ask.contains("Cancel 2 mails"), "{ask}");
    leads_to(&send(&app, &format!("{href}/cancel"), &[]).await);
    app.quiet().await;
    let page = html(&app.get(&href).await, 200);
    assert!(page.contains("Cancelled <small>2</small>") && !page.contains("every 2s"), "{page}");
    app.stop().await;
}

/// A mail server with one connection, which answers a mail for each permit. It refuses the first one to Bea, and of the first one to Cid nobody learns
/// what became.
#[derive(Clone)]
struct Moody {
    gate: Arc<Semaphore>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Moody {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Transport for Moody {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        Ok(Box::new(self.clone()))
    }
    fn connections_max(&self) -> usize {
        1
    }
    fn rate(&self) -> Option<u32> {
        None
    }
    async fn health(&self) -> Result<(), MailError> {
        Ok(())
    }
    fn name(&self) -> &'static str {
        "moody"
    }
}

#[async_trait::async_trait]
impl Connection for Moody {
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        let first = !self.asked().contains(&handover.to);
        self.asked.lock().unwrap().push(handover.to.clone());
        self.gate.acquire().await.unwrap().forget();
        match handover.to.as_str() {
            "bea@example.org" if first => Err(MailError::Permanent { reply: "550 5.1.1 no such user".to_owned() }),
            "cid@example.org" if first => Err(MailError::Unknown { cause: "reset".to_owned() }),
            _ => Ok(Receipt { reply: "250 ok".to_owned() }),
        }
    }
    async fn close(self: Box<Self>) {}
}

/// Which of the steps a campaign's page has a button for.
fn buttons(page: &str, href: &str) -> Vec<&'static str> {
    ["pause", "resume", "retry", "cancel"].into_iter().filter(|step| page.contains(&format!("{href}/{step}\""))).collect()
}

#[tokio::test]
async fn a_campaign_is_paused_and_resumed_and_what_was_lost_is_sent_again_by_buttons() {
    let moody = Moody { gate: Arc::new(Semaphore::new(0)), asked: Arc::default() };
    let app = with_people(Options { public_url: Some("https://crm.example"), transport: Some(Arc::new(moody.clone())), ..Options::default() }).await;
    let content = [("subject", "Hello {{ user.firstName }}"), ("body", "Come all."), ("bodyFormat", "text"), ("do", "review")];
    let to = leads_to(&send(&app, "/app/campaigns/new", &content).await);
    let href = to.strip_suffix("/preflight").unwrap();
    let expected = hidden(&html(&app.get(&to).await, 200), "expected");
    leads_to(&send(&app, &format!("{href}/send"), &[("expected", &expected)]).await);
    reaches(&app, href, "sending").await;

    // It runs: how fast, and until when.
    moody.gate.add_permits(1);
    counted(&app, href, "sent", 1).await;
    app.clock.advance(jiff::SignedDuration::from_secs(2));
    let page = html(&app.get(href).await, 200);
    for part in ["<b>1</b> of 3 sent", "<dt>Mails a second</dt><dd>0.5</dd>", "<dt>Left, about</dt><dd>4 s</dd>", "badge filled live now\">Sending</span>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(buttons(&page, href), ["pause", "cancel"]);

    // Paused: what is in hand is recorded, and nobody else's turn comes, however willing the mail server is.
    assert_eq!(leads_to(&send(&app, &format!("{href}/pause"), &[]).await), href);
    moody.gate.add_permits(100);
    counted(&app, href, "error", 1).await;
    app.quiet().await;
    assert_eq!(moody.asked(), ["ann@example.org", "bea@example.org"]);
    let page = html(&app.get(href).await, 200);
    assert!(page.contains("<b>1</b> of 3 sent") && page.contains("badge filled warn\">Paused</span>") && !page.contains("Left, about"), "{page}");
    assert_eq!(buttons(&page, href), ["resume", "retry", "cancel"]);
    html(&send(&app, &format!("{href}/unschedule"), &[]).await, 409);

    // Resumed, however often that is pressed, it goes to its end.
    for _ in 0..2 {
        assert_eq!(leads_to(&send(&app, &format!("{href}/resume"), &[]).await), href);
    }
    app.quiet().await;
    assert_eq!(moody.asked().len(), 3, "{:?}", moody.asked());
    let page = html(&app.get(href).await, 200);
    for part in
        ["<b>1</b> of 3 sent", "badge filled ok\">Sent</span>", "1 mail that was refused", "1 mail whose fate is unknown", "name=\"states\" value=\"unknown\">"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("data-hx-trigger") && !page.contains("Left, about"), "nothing happens any more: {page}");
    assert_eq!(buttons(&page, href), ["retry"]);

    // Sent again, first what is ticked, then the rest.
    assert_eq!(leads_to(&send(&app, &format!("{href}/retry"), &[("states", "error")]).await), href);
    app.quiet().await;
    assert!(html(&app.get(href).await, 200).contains("<b>2</b> of 3 sent"));
    assert_eq!(moody.asked()[3..], ["bea@example.org"]);
    assert_eq!(leads_to(&send(&app, &format!("{href}/retry"), &[("states", "error"), ("states", "unknown")]).await), href);
    app.quiet().await;
    let page = html(&app.get(href).await, 200);
    assert!(page.contains("<b>3</b> of 3 sent") && page.contains("badge filled ok\">Sent</span>"), "{page}");
    assert!(buttons(&page, href).is_empty(), "{page}");
    assert_eq!(moody.asked()[3..], ["bea@example.org", "cid@example.org"]);
    for words in ["Paused", "Resumed", "Sent again what was refused or unknown"] {
        assert!(page.contains(&format!("<span class=\"break\">{words}</span>")), "{words}: {page}");
    }
    app.stop().await;
}
