//! Importing people from a file, as a browser without JavaScript does it.

use axum::body::Body;
use axum::http::Method;
use emcrm_app::Call;
use emcrm_app::people_import::ImportState;
use serde_json::json;

use crate::helpers::{Answer, TestApp};

fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

async fn send(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = app.app.mark("csrf", "local");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).append_pair("csrf", &csrf).finish();
    app.call(Method::POST, path, &[("content-type", "application/x-www-form-urlencoded")], body).await
}

async fn upload(app: &TestApp, csrf: &str, bytes: &[u8]) -> Answer {
    upload_for(app, csrf, "", bytes).await
}

/// For an event's list.
async fn upload_for(app: &TestApp, csrf: &str, event: &str, bytes: &[u8]) -> Answer {
    let field = |name: &str, value: &str| format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let mut body = (field("csrf", csrf) + &field("event", event)).into_bytes();
    body.extend(b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"<b>list.csv\"\r\nContent-Type: text/csv\r\n\r\n");
    body.extend(bytes);
    body.extend(b"\r\n--XX--\r\n");
    app.call(Method::POST, "/app/people/import", &[("content-type", "multipart/form-data; boundary=XX")], body).await
}

/// Uploads, and says where the import is.
async fn uploaded(app: &TestApp, bytes: &[u8]) -> String {
    let answer = upload(app, &app.app.mark("csrf", "local"), bytes).await;
    assert_eq!(answer.status, 303, "{}", html(&answer));
    answer.header("location").to_owned()
}

async fn reaches(app: &TestApp, at: &str, state: ImportState) {
    let id = at.rsplit('/').next().unwrap();
    for _ in 0..6_000 {
        if app.app.people_import_get(&Call::system(), id).await.unwrap().state == state {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the import did not end");
}

const FILE: &str = "First name;Surname;E-Mail;Firma;Notes\n\
    Mara;Okonjo;mara@example.org;Quillmoor;\"x\ny\"\n\
    Ann;Changed;ANN@example.org;New Ltd;y\n\
    ;;nobody@example.org;;\n\
    Teo;;no address;;\n\
    Mara;Again;mara@example.org;;\n\
    <img src=x>;;'=nonsense;;\n";

#[tokio::test]
async fn an_import_is_looked_at_done_and_taken_back() {
    let app = TestApp::working().await;
    app.post("/users", json!({"id": "ann", "firstName": "Ann", "lastName": "Old", "email": "ann@example.org", "company": "Old Ltd", "city": "Austin"}))
        .await
        .ok();
    app.user("ben").await;
    let at = uploaded(&app, FILE.as_bytes()).await;
    let look = html(&app.get(&at).await);
    assert!(look.contains("6 rows, 5 columns, UTF-8 with semicolons"), "{look}");
    assert!(look.contains("<dt>New people</dt><dd>1</dd>") && look.contains("<dt>Known people who change</dt><dd>1</dd>"), "{look}");
    assert!(look.contains("<dt>Rows that are left out</dt><dd>4</dd>") && look.contains("the same address is in line 2 already"), "{look}");
    assert!(look.contains("&lt;b&gt;list.csv") && !look.contains("<b>list") && !look.contains("<img src"));
    let faults = app.get(&format!("{at}/faults.csv")).await;
    assert_eq!(faults.header("content-type"), "text/csv; charset=utf-8");
    let faults = html(&faults);
    assert!(
        faults.contains("line,what is wrong,First name") && faults.contains("First name is needed for somebody who is new") && faults.contains("'=nonsense"),
        "{faults}"
    );
    assert_eq!(app.get("/users").await.ok()["total"], 2, "nothing is stored by looking");

    // What stands in a column is shown beside its name.
    assert!(look.contains("Mara · Ann · Teo</p>") && look.contains("mara@example.org · ANN@example.org · nobody@example.org</p>"), "{look}");

    let other = html(&app.get(&format!("{at}?c0=firstName&c1=&c2=email&c3=email&c4=")).await);
    assert!(other.contains("two columns are email"));
    let none = html(&app.get(&format!("{at}?c0=firstName&c1=&c2=&c3=&c4=")).await);
    assert!(none.contains("one column has to be the e-mail address"));

    let started = send(&app, &format!("{at}/start"), &[]).await;
    assert_eq!(started.status, 303);
    // Pressed twice.
    assert_eq!(send(&app, &format!("{at}/start"), &[]).await.status, 303);
    reaches(&app, &at, ImportState::Done).await;
    let done = html(&app.get(&at).await);
    assert!(
        done.contains("<dt>People added</dt><dd>1</dd>")
            && done.contains("<dt>People changed</dt><dd>1</dd>")
            && done.contains("<dt>Rows left out</dt><dd>4</dd>"),
        "{done}"
    );
    let ann = app.get("/users/ann").await.ok();
    assert_eq!((&ann["lastName"], &ann["company"], &ann["city"]), (&json!("Changed"), &json!("New Ltd"), &json!("Austin")));
    // Where work begins, it is said that rows are missing.
    let home = html(&app.get("/app").await);
    assert!(home.contains("4 rows of &lt;b&gt;list.csv left out") && home.contains(&format!("href=\"{at}\"")), "{home}");
    let mara = app.get("/users?email=mara@example.org").await.ok()["items"][0].clone();
    assert_eq!(mara["company"], "Quillmoor");

    // What somebody changed since stays; the rest goes back.
    app.patch("/users/ann", json!({"company": "Newest Ltd"})).await.ok();
    assert_eq!(send(&app, &format!("{at}/undo"), &[]).await.status, 303);
    reaches(&app, &at, ImportState::Undone).await;
    let ann = app.get("/users/ann").await.ok();
    assert_eq!((&ann["lastName"], &ann["company"], &ann["email"]), (&json!("Old"), &json!("Newest Ltd"), &json!("ann@example.org")));
    assert_eq!(app.get("/users").await.ok()["total"], 2);
    let undone = html(&app.get(&at).await);
    assert!(undone.contains("<dt>Added people deleted again</dt><dd>1</dd>") && undone.contains("<dt>Changed people put back</dt><dd>1</dd>"), "{undone}");
    let earlier = html(&app.get("/app/people/import").await);
    assert!(earlier.contains("6 rows") && earlier.contains(&format!("<a href=\"{at}/faults.csv\">4 rows left out</a>")), "{earlier}");
}

#[tokio::test]
async fn a_file_for_an_event_is_looked_at_put_on_the_list_and_taken_back() {
    let app = TestApp::working().await;
    for id in ["ann", "ben", "eve"] {
        app.post("/users", json!({"id": id, "firstName": "X", "lastName": "Y", "email": format!("{id}@example.org")})).await.ok();
    }
    let event = json!({"id": "e1", "title": "By file", "slug": "by-file", "startAt": "2031-05-08T18:00:00", "endAt": "2031-05-08T21:00:00", "maxCapacity": 4});
    app.post("/events", event).await.ok();
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    // Ann is on the list, Ben changes, Cem and Dora are new; then all four places are taken, so nobody is made of the fifth, and Eve stays as she is.
    let file = "email,first name,last name\nann@example.org,X,Y\nben@example.org,Ben,\ncem@example.org,Cem,\ndora@example.org,Dora,\n\
        emil@example.org,Emil,\neve@example.org,Eve,\n";
    let csrf = app.app.mark("csrf", "local");
    assert_eq!(upload_for(&app, &csrf, "none", file.as_bytes()).await.status, 404);
    let answer = upload_for(&app, &csrf, "e1", file.as_bytes()).await;
    assert_eq!(answer.status, 303, "{}", html(&answer));
    let at = answer.header("location").to_owned();
    let look = html(&app.get(&at).await);
    for text in [
        "<a href=\"/app/events/e1\">By file</a>",
        "<dt>New people</dt><dd>2</dd>",
        "<dt>Known people who change</dt><dd>1</dd>",
        "<dt>Put on the event’s list</dt><dd>3</dd>",
        "<dt>On the list already</dt><dd>1</dd>",
        "<dt>Rows that are left out</dt><dd>2</dd>",
        "All places are taken",
    ] {
        assert!(look.contains(text), "{text}: {look}");
    }
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 1, "nothing is stored by looking");

    send(&app, &format!("{at}/start"), &[]).await;
    reaches(&app, &at, ImportState::Done).await;
    let done = html(&app.get(&at).await);
    assert!(done.contains("<dt>Put on the event’s list</dt><dd>3</dd>") && done.contains("<dt>Rows left out</dt><dd>2</dd>"), "{done}");
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 4);
    assert_eq!(app.get("/users").await.ok()["total"], 5);
    assert_eq!(app.get("/users/eve").await.ok()["firstName"], "X");

    // Whoever has come stays on the list, and stays at all; who was there before the import is not touched.
    let id = |page: serde_json::Value| page["items"][0]["id"].as_str().unwrap().to_owned();
    let cem = id(app.get("/users?email=cem@example.org").await.ok());
    app.patch(&format!("/attend/{cem}/e1"), json!({"attended": "here"})).await.ok();
    send(&app, &format!("{at}/undo"), &[]).await;
    reaches(&app, &at, ImportState::Undone).await;
    let undone = html(&app.get(&at).await);
    for text in [
        "<dt>Taken off the event’s list</dt><dd>2</dd>",
        "<dt>Added people deleted again</dt><dd>1</dd>",
        "<dt>Changed people put back</dt><dd>1</dd>",
        "since</dt><dd>1</dd>",
    ] {
        assert!(undone.contains(text), "{text}: {undone}");
    }
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 2);
    app.get("/attend/ann/e1").await.ok();
    app.get(&format!("/attend/{cem}/e1")).await.ok();
    assert_eq!(app.get("/users").await.ok()["total"], 4);
}

#[tokio::test]
async fn of_an_event_that_is_deleted_meanwhile_nobody_is_imported() {
    let app = TestApp::working().await;
    app.event("e1").await;
    let csrf = app.app.mark("csrf", "local");
    let answer = upload_for(&app, &csrf, "e1", b"email,first name\nann@example.org,Ann\n").await;
    let at = answer.header("location").to_owned();
    app.delete("/events/e1").await.ok();
    assert!(html(&app.get(&at).await).contains("the event was deleted"));
    send(&app, &format!("{at}/start"), &[]).await;
    reaches(&app, &at, ImportState::Done).await;
    assert!(html(&app.get(&at).await).contains("<dt>Rows left out</dt><dd>1</dd>"));
    assert_eq!(app.get("/users").await.ok()["total"], 0);
}

#[tokio::test]
async fn whoever_takes_the_rows_that_are_left_out_stands_in_the_trail() {
    let app = TestApp::new().await;
    let at = uploaded(&app, FILE.as_bytes()).await;
    app.get(&format!("{at}/faults.csv")).await;
    while app.app.audit_chain().await.unwrap() > 0 {}
    let list = app.get(&format!("/audit?object=import%23{}", at.rsplit('/').next().unwrap())).await.ok();
    let what: Vec<&str> = list["items"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["import.faults_exported", "import.uploaded"]);
    assert!(!list.to_string().contains("mara@example.org") && !list.to_string().contains("list.csv"), "{list}");
}

#[tokio::test]
async fn an_import_under_way_is_looked_at_again_by_a_script_or_by_the_page() {
    // Nobody works at it here.
    let app = TestApp::new().await;
    let at = uploaded(&app, FILE.as_bytes()).await;
    assert!(!html(&app.get(&at).await).contains("http-equiv=\"refresh\""));
    assert_eq!(send(&app, &format!("{at}/start"), &[]).await.status, 303);
    let page = app.get(&at).await;
    assert!(!page.headers.contains_key("refresh"), "with a script the page stays");
    let text = html(&page);
    assert!(text.contains("<noscript><meta http-equiv=\"refresh\" content=\"1\"></noscript>") && text.contains("data-hx-trigger=\"every 1s\""), "{text}");
    let part = html(&app.call(Method::GET, &at, &[("hx-request", "true")], Body::empty()).await);
    assert!(part.starts_with("<div class=\"stack loose\" id=\"state\" data-hx-get=") && part.contains("0 %") && !part.contains("<html"), "{part}");
}

#[tokio::test]
async fn who_registered_since_is_kept_when_an_import_is_taken_back() {
    let app = TestApp::working().await;
    let mut file = "email,first name\n".to_owned();
    for n in 0..120 {
        file.push_str(&format!("p{n}@example.org,P{n}\n"));
    }
    let at = uploaded(&app, file.as_bytes()).await;
    send(&app, &format!("{at}/start"), &[]).await;
    reaches(&app, &at, ImportState::Done).await;
    assert_eq!(app.get("/users").await.ok()["total"], 120);
    let kept = app.get("/users?email=p7@example.org").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    app.event("e1").await;
    app.post("/attend", json!({"user_id": kept, "event_id": "e1"})).await.ok();
    send(&app, &format!("{at}/undo"), &[]).await;
    reaches(&app, &at, ImportState::Undone).await;
    assert_eq!(app.get("/users").await.ok()["total"], 1);
    assert!(html(&app.get(&at).await).contains("<dt>Added people deleted again</dt><dd>119</dd>"));
}

#[tokio::test]
async fn files_that_are_none_are_refused_with_a_reason() {
    let app = TestApp::new().await;
    let csrf = app.app.mark("csrf", "local");
    for (bytes, text) in [(&b""[..], "Choose a file first."), (b"a,b\n", "nothing under it")] {
        let answer = upload(&app, &csrf, bytes).await;
        assert_eq!(answer.status, 422);
        assert!(html(&answer).contains(text), "{}", html(&answer));
    }
    assert_eq!(upload(&app, "forged", b"email\na@example.org\n").await.status, 403);
    let large = "x".repeat(26 * 1024 * 1024);
    assert_eq!(upload(&app, &csrf, large.as_bytes()).await.status, 413);
    assert_eq!(app.call(Method::POST, "/app/people/import", &[], Body::empty()).await.status, 400);
    assert_eq!(app.get("/app/people/import/none").await.status, 404);
    assert!(html(&app.get("/app/people/import").await).contains("<h1>Import people</h1>"));
}
