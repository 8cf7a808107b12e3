//! What every page has around it, and errors that people read.

use axum::body::Body;
use axum::http::Method;

use crate::helpers::{Answer, TestApp};

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

#[tokio::test]
async fn the_root_leads_to_the_application() {
    let app = TestApp::new().await;
    let answer = app.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (307, "/app"));
    app.user("ann").await;
    let home = app.get("/app").await;
    assert_eq!((home.status.as_u16(), home.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(home.header("content-security-policy").contains("script-src 'self'"));
    let html = text(&home);
    assert!(html.contains("<title>Home · EMCRM</title>") && html.contains(r#"href="/app" aria-current="page""#));
    assert!(!html.contains("style=") && !html.contains("onclick") && !html.contains("<script>"), "nothing inline");
}

#[tokio::test]
async fn files_of_pages_are_kept_for_ever() {
    let app = TestApp::new().await;
    let html = text(&app.get("/app").await);
    let files: Vec<_> = html.split('"').filter(|part| part.starts_with("/assets/")).map(|part| part.split('#').next().unwrap()).collect();
    assert!(files.iter().any(|file| file.contains("htmx-")) && files.iter().any(|file| file.contains("app-")));
    for file in files {
        let answer = app.get(file).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "public, max-age=31536000, immutable"), "{file}");
    }
}

#[tokio::test]
async fn errors_are_pages_for_people_and_json_for_programs() {
    let app = TestApp::new().await;
    for path in ["/app/nothing", "/e/nothing-here", "/r/a/b", "/app/../x/%3Cscript%3E", "/app/%3Cscript%3E"] {
        let answer = app.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (404, "text/html; charset=utf-8"), "{path}");
        let html = text(&answer);
        assert!(html.contains("<code class=\"break\">") && !html.contains("<script>"), "{html}");
    }
    let part = app.call(Method::GET, "/app/nothing", &[("hx-request", "true")], Body::empty()).await;
    assert_eq!(part.status, 404);
    assert!(text(&part).starts_with("<div class=\"notice bad\""));
    let wrong = app.call(Method::DELETE, "/app", &[], Body::empty()).await;
    assert_eq!((wrong.status.as_u16(), wrong.header("content-type"), wrong.header("allow")), (405, "text/html; charset=utf-8", "GET,HEAD"));
    for path in ["/nothing", "/apple", "/users/nobody"] {
        assert!(!app.get(path).await.problem(404).is_empty(), "{path}");
    }
}

#[tokio::test]
async fn an_error_stands_inside_the_application() {
    let app = TestApp::new().await;
    for path in ["/app/nothing", "/app/people/nobody", "/app/people/nobody?show=mails"] {
        let html = text(&app.get(path).await);
        assert!(html.contains("<nav class=\"nav primary\"") && html.contains("There is no page at this address · EMCRM</title>"), "{path}: {html}");
        assert_eq!(html.contains("href=\"/app/people\" aria-current=\"page\""), path.contains("people"), "{path}");
    }
    // A toast that was on its way is shown there, once.
    let flash = emcrm_server::web::shell::flash(axum::response::Response::default(), "Saved", None);
    let cookie = flash.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let shown = app.call(Method::GET, "/app/nothing", &[("cookie", &cookie)], Body::empty()).await;
    assert!(text(&shown).contains("<span>Saved</span>") && shown.header("set-cookie").starts_with("flash=; "));
    for outside in ["/e/nothing-here", "/r/a/b"] {
        assert!(!text(&app.get(outside).await).contains("<nav"), "{outside}");
    }
}

#[tokio::test]
async fn the_theme_is_chosen_by_a_form_and_leads_back() {
    let app = TestApp::new().await;
    let mark = app.app.mark("csrf", "local");
    let form = [("content-type", "application/x-www-form-urlencoded"), ("referer", "http://crm.example/app/people?q=ann")];
    let dark = app.call(Method::POST, "/app/theme", &form, format!("theme=dark&csrf={mark}")).await;
    assert_eq!((dark.status.as_u16(), dark.header("location")), (303, "/app/people?q=ann"));
    assert!(dark.header("set-cookie").starts_with("theme=dark; Path=/; "));
    let page = app.call(Method::GET, "/app", &[("cookie", "a=b; theme=dark")], Body::empty()).await;
    assert!(text(&page).contains(r#"<html lang="en" data-theme="dark">"#));
    let auto = app.call(Method::POST, "/app/theme", &[form[0], ("referer", "https://evil.example/")], format!("theme=%22%3E&csrf={mark}")).await;
    assert_eq!((auto.header("location"), auto.header("set-cookie").starts_with("theme=; ")), ("/app", true));
    let odd = app.call(Method::GET, "/app", &[("cookie", "theme=\"><script>; tz=No/Where; flash=%%%")], Body::empty()).await;
    assert!(odd.status == 200 && !text(&odd).contains("data-theme"));
}
