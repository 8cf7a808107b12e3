//! `/app/settings` and `/app/outbox`.

use axum::http::Method;
use emcrm_store::{Queue, Transaction};
use serde_json::json;

use crate::helpers::{Answer, Options, TestApp};

const HOSTILE: &str = "\"><script>alert(1)</script>'&";
const URLENCODED: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn send(app: &TestApp, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let csrf = app.app.mark("csrf", "local");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).append_pair("csrf", &csrf).finish();
    app.call(Method::POST, path, &[URLENCODED], body).await
}

#[track_caller]
fn html(answer: &Answer, status: u16) -> String {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(answer.status.as_u16(), status, "{text}");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(!text.contains("<script>alert") && !text.contains("style=\"") && !text.contains("onclick"), "{text}");
    text
}

#[track_caller]
fn leads_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
    answer.header("location").to_owned()
}

#[tokio::test]
async fn the_overview_says_what_the_installation_stands_on() {
    let app = TestApp::new().await;
    let page = html(&app.get("/app/settings").await, 200);
    assert_eq!(page.matches("<span class=\"badge ok\">Ready</span>").count(), 3, "{page}");
    for part in
        ["EMCRM &lt;crm@example.org&gt;", "Nobody has to sign in", "Files in the outbox folder", "does not know its own address", "id=\"keyboard\"", "Gave up"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}

/// A task that was given up. Its id.
async fn buried(app: &TestApp, error: &str) -> String {
    let tasks = &app.app.store.tasks;
    let mut tx = Transaction::new();
    tasks.put(&mut tx, Queue::Default, "x", "unheard_of", json!({ "of": HOSTILE }), 0);
    app.app.store.engine.transact(tx).await.unwrap();
    for shard in 0..emcrm_store::keys::SHARDS {
        if let Some(task) = tasks.first(Queue::Default, shard).await.unwrap() {
            tasks.bury(&task, error).await.unwrap();
            return task.id;
        }
    }
    panic!("no task");
}

#[tokio::test]
async fn tasks_that_gave_up_are_shown_retried_and_thrown_away() {
    let app = TestApp::new().await;
    let id = buried(&app, HOSTILE).await;
    let page = html(&app.get("/app/settings").await, 200);
    assert!(page.contains("unheard_of") && page.contains(&id) && page.contains("Throw away"), "{page}");
    assert_eq!(leads_to(&send(&app, "/app/settings/tasks/retry", &[("queue", "default"), ("id", &id)]).await), "/app/settings#tasks");
    assert!(!html(&app.get("/app/settings").await, 200).contains("unheard_of"));
    html(&send(&app, "/app/settings/tasks/retry", &[("queue", "default"), ("id", &id)]).await, 404);
    html(&send(&app, "/app/settings/tasks/retry", &[("queue", HOSTILE), ("id", HOSTILE)]).await, 404);

    let app = TestApp::new().await;
    let id = buried(&app, "no handler").await;
    let ask = html(&app.get(&format!("/app/settings/tasks/drop?queue=default&id={id}")).await, 200);
    assert!(ask.contains("Throw this task away?") && ask.contains("no handler"));
    assert!(html(&app.get("/app/settings").await, 200).contains("unheard_of"), "asking changes nothing");
    leads_to(&send(&app, "/app/settings/tasks/drop", &[("queue", "default"), ("id", &id)]).await);
    assert!(!html(&app.get("/app/settings").await, 200).contains("unheard_of"));
    html(&app.get(&format!("/app/settings/tasks/drop?queue=default&id={id}")).await, 404);
    buried(&app, "again").await;
    leads_to(&send(&app, "/app/settings/tasks/retry", &[("all", "1")]).await);
    assert!(!html(&app.get("/app/settings").await, 200).contains("unheard_of"));
}

#[tokio::test]
async fn addresses_are_put_on_the_list_and_taken_off_it() {
    const PATH: &str = "/app/settings/suppressions";
    let app = TestApp::new().await;
    assert!(html(&app.get(PATH).await, 200).contains("Nobody is on the list"));
    let wrong = html(&send(&app, PATH, &[("email", HOSTILE), ("reason", HOSTILE), ("note", HOSTILE)]).await, 422);
    assert!(wrong.contains("id=\"email-fault\""), "{wrong}");
    assert_eq!(leads_to(&send(&app, PATH, &[("email", "ann@example.org"), ("reason", "manual"), ("note", HOSTILE)]).await), PATH);
    let page = html(&app.get(PATH).await, 200);
    assert!(page.contains("ann@example.org") && page.contains("Stopped by hand") && page.contains("1 address"), "{page}");
    assert!(html(&app.get(&format!("{PATH}?address=Ann@Example.org")).await, 200).contains("ann@example.org"));
    assert!(html(&app.get(&format!("{PATH}?address=bea@example.org")).await, 200).contains("is not on the list"));

    let imported = html(&send(&app, &format!("{PATH}/import"), &[("text", "bea@example.org,bounced\r\nann@example.org\r\nnobody<script>alert(1)")]).await, 422);
    for part in ["1 address was put on the list", "1 had been on it", "1 line was not taken", "Line 3"] {
        assert!(imported.contains(part), "{part}: {imported}");
    }
    html(&send(&app, &format!("{PATH}/import"), &[("text", " ")]).await, 422);
    html(&send(&app, &format!("{PATH}/import"), &[("text", "cid@example.org")]).await, 200);
    let csv = app.get(&format!("{PATH}.csv")).await;
    assert_eq!(String::from_utf8_lossy(&csv.body).lines().count(), 4);

    let removed = send(&app, &format!("{PATH}/remove"), &[("email", "bea@example.org")]).await;
    assert_eq!(leads_to(&removed), PATH);
    assert_eq!(app.get("/email/suppressions/bea@example.org").await.status, 404);
    html(&send(&app, &format!("{PATH}/remove"), &[("email", "bea@example.org")]).await, 404);
    let undo = format!("{PATH}/restore?email=bea%40example.org&reason=bounced&note=");
    leads_to(&send(&app, &undo, &[]).await);
    assert_eq!(app.get("/email/suppressions/bea@example.org").await.ok()["reason"], "bounced");
}

#[tokio::test]
async fn an_exported_list_is_imported_as_it_is_with_those_who_were_erased() {
    const PATH: &str = "/app/settings/suppressions";
    let import = format!("{PATH}/import");
    let app = TestApp::new().await;
    let hash = "0a".repeat(32);
    // The first line is no head: it is about somebody.
    let faulty = html(&send(&app, &import, &[("text", "sha256:0a,manual")]).await, 422);
    assert!(faulty.contains("0 addresses were put on the list, 1 line was not taken") && faulty.contains("64 hexadecimal digits"), "{faulty}");
    let text = format!("sha256:{hash},complained\r\n'+bea@example.org,bounced");
    html(&send(&app, &import, &[("text", &text)]).await, 200);
    app.post("/email/suppressions", json!({ "email": "cid@example.org", "note": "said:\nevil@example.org" })).await.ok();
    assert!(html(&app.get(PATH).await, 200).contains("erased; a hash of it is kept"));

    let exported = async |app: &TestApp| String::from_utf8(app.get(&format!("{PATH}.csv")).await.body).unwrap();
    let told = |text: &str| {
        let mut told: Vec<String> = text.lines().map(|line| line.splitn(3, ',').take(2).collect::<Vec<_>>().join(",")).collect();
        told.sort_unstable();
        told
    };
    let file = exported(&app).await;
    assert_eq!(told(&file), ["'+bea@example.org,bounced", "cid@example.org,manual", "email,reason", &format!("sha256:{hash},complained")]);
    let other = TestApp::new().await;
    let done = html(&send(&other, &import, &[("text", &file)]).await, 200);
    assert!(done.contains("3 addresses were put on the list."), "{done}");
    assert_eq!(told(&exported(&other).await), told(&file));
    let again = html(&send(&other, &import, &[("text", &file)]).await, 200);
    assert!(again.contains("0 addresses were put on the list, 3 had been on it."), "{again}");
}

#[tokio::test]
async fn templates_are_kept_used_changed_and_deleted() {
    const PATH: &str = "/app/settings/templates";
    let app = TestApp::new().await;
    assert!(html(&app.get(PATH).await, 200).contains("No templates yet"));
    let wrong = html(&send(&app, &format!("{PATH}/new"), &[("name", HOSTILE), ("subject", ""), ("body", "{{ nothing }}"), ("bodyFormat", HOSTILE)]).await, 422);
    assert!(wrong.contains("id=\"subject-fault\"") && wrong.contains("{{ nothing }}"), "{wrong}");
    let fields = [("name", HOSTILE), ("subject", "News"), ("body", "Hello {{ user.firstName }}"), ("bodyFormat", "text")];
    assert_eq!(leads_to(&send(&app, &format!("{PATH}/new"), &fields).await), PATH);
    let list = html(&app.get(PATH).await, 200);
    let id = app.get("/email/templates").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(list.contains(&format!("/app/campaigns/new?template={id}")));
    let composer = html(&app.get(&format!("/app/campaigns/new?template={id}")).await, 200);
    assert!(composer.contains("value=\"News\"") && composer.contains("Hello {{ user.firstName }}"));

    let page = html(&app.get(&format!("{PATH}/{id}")).await, 200);
    assert!(page.contains("name=\"rev\" value=\"1\""));
    let save = [("name", "N"), ("subject", "Theirs"), ("body", "B"), ("bodyFormat", "text"), ("rev", "1")];
    leads_to(&send(&app, &format!("{PATH}/{id}"), &save).await);
    let ours = [("name", "N"), ("subject", "Ours"), ("body", "B"), ("bodyFormat", "text"), ("rev", "1")];
    let conflict = html(&send(&app, &format!("{PATH}/{id}"), &ours).await, 412);
    assert!(
        conflict.contains("value=\"Ours\"") && conflict.contains("<b class=\"break\">Theirs</b>") && conflict.contains("name=\"rev\" value=\"2\""),
        "{conflict}"
    );
    let faulty = [("name", ""), ("subject", "Ours"), ("body", "B"), ("bodyFormat", "text"), ("rev", "1")];
    assert!(html(&send(&app, &format!("{PATH}/{id}"), &faulty).await, 422).contains("name=\"rev\" value=\"1\""), "what was seen stays what was seen");
    // Pressed twice.
    for _ in 0..2 {
        assert_eq!(leads_to(&send(&app, &format!("{PATH}/{id}/delete"), &[]).await), PATH);
    }
    html(&app.get(&format!("{PATH}/{id}")).await, 404);
    let kept = html(&send(&app, &format!("{PATH}/{id}"), &ours).await, 404);
    assert!(kept.contains("was deleted meanwhile") && kept.contains("value=\"Ours\"") && kept.contains(&format!("action=\"{PATH}/new\"")), "{kept}");
    // The form of a new one, sent twice.
    let blank = html(&app.get(&format!("{PATH}/new")).await, 200);
    let once = blank.split_once("name=\"once\" value=\"").unwrap().1.split('"').next().unwrap();
    let fresh = [("name", "Twice"), ("subject", "S"), ("body", "B"), ("bodyFormat", "text"), ("once", once)];
    for _ in 0..2 {
        assert_eq!(leads_to(&send(&app, &format!("{PATH}/new"), &fresh).await), PATH);
    }
    assert_eq!(app.get("/email/templates").await.ok()["total"], 1);
    let changed = [("name", "Thrice"), ("subject", "S"), ("body", "B"), ("bodyFormat", "text"), ("once", once)];
    let changed = html(&send(&app, &format!("{PATH}/new"), &changed).await, 422);
    assert!(changed.contains("was sent before, and made a template") && !changed.contains(once), "{changed}");
}

#[tokio::test]
async fn mails_of_the_outbox_can_be_looked_at_and_nothing_beside_them() {
    let mut app = TestApp::with(Options { public_url: Some("https://crm.example"), ..Options::default() }, emcrm_server::router::router).await;
    assert!(html(&app.get("/app/outbox").await, 200).contains("No mails yet"));
    app.work();
    app.post("/users", json!({"id": "ann", "firstName": "Ann <b>", "lastName": "X", "email": "ann@example.org"})).await.ok();
    app.settled().await;
    let body = "<p>Hi {{ user.firstName }}</p><script>alert(1)</script><img src=https://elsewhere.example/x.png>";
    app.post("/email/send", json!({"filter": {}, "subject": "Hello {{ user.firstName }}", "body": body, "bodyFormat": "html"})).await.ok();
    app.quiet().await;
    let list = html(&app.get("/app/outbox").await, 200);
    assert!(list.contains("ann@example.org") && list.contains("1 of 1 mail"), "{list}");
    let href = list.split("href=\"").find(|part| part.starts_with("/app/outbox/")).unwrap().split('"').next().unwrap().to_owned();
    let page = html(&app.get(&href).await, 200);
    for part in ["List-Unsubscribe", "Hi Ann", "sandbox=\"allow-popups", "?part=html"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let frame = app.get(&format!("{href}?part=html")).await;
    let text = String::from_utf8(frame.body.clone()).unwrap();
    assert!(text.contains("Hi Ann") && !text.contains("alert"), "{text}");
    let policy = frame.header("content-security-policy");
    assert!(policy.contains("img-src data:;") && policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
    std::fs::write(app.folder.path().join("secret.eml"), "Subject: secret").unwrap();
    for no in [
        "..%2Fsecret.eml",
        "secret.eml",
        "%2Fetc%2Fpasswd",
        "..%2F..%2Fetc%2Fpasswd",
        "%00",
        "%3Cscript%3Ealert(1)",
        "20260102T030405678Z-x-0123456789abcdef.eml",
    ] {
        html(&app.get(&format!("/app/outbox/{no}")).await, 404);
    }
    app.stop().await;
}
