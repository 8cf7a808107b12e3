//! Forms that come at a bad moment: twice, after the session has ended, while the server is too busy. Nothing that was typed is lost, and what people
//! read is a page.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use axum::routing::{get, post};
use emcrm_app::Call;
use emcrm_app::sessions::{IssuerTokens, SignedIn};
use emcrm_server::auth::AccessSettings;
use emcrm_server::auth::roles::Roles;
use emcrm_server::http::edge::Limits;
use emcrm_server::router::router;

use crate::access::closed;
use crate::helpers::{Answer, Options, TestApp};

const URLENCODED: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const BODY: &str = "Dear {{ user.firstName }},\r\n\r\n<b>\"come\"</b> & bring <i>tea</i>.";

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[track_caller]
fn html(answer: &Answer, status: u16) -> String {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(answer.status.as_u16(), status, "{text}");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.header("content-security-policy").contains("script-src 'self'"));
    text
}

/// The hidden fields of the page's form, as a browser would send them.
fn fields(page: &str) -> Vec<(String, String)> {
    let unescaped = |text: &str| {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#34;", "\"")
            .replace("&#x2f;", "/")
            .replace("&#x27;", "'")
            .replace("&amp;", "&")
    };
    let field = |part: &str| {
        let (name, rest) = part.split_once("\" value=\"")?;
        Some((name.to_owned(), unescaped(rest.split_once("\">")?.0)))
    };
    page.split("<input type=\"hidden\" name=\"").skip(1).filter_map(field).collect()
}

async fn with_sign_in() -> TestApp {
    let sender = ("senders".to_owned(), emcrm_model::Grant::parse("sender").unwrap());
    let roles = Roles { groups: vec![sender], default: None };
    TestApp::with(Options { access: AccessSettings { roles, ..closed().access }, ..Options::default() }, router).await
}

async fn session(app: &TestApp) -> String {
    let who =
        SignedIn { subject: "ann".to_owned(), label: "Ann".to_owned(), groups: vec!["senders".to_owned()], tokens: IssuerTokens::default(), refresh_in: None };
    format!("emcrm={}", app.app.session_start(&Call::system(), who).await.unwrap())
}

async fn campaigns(app: &TestApp, cookie: &str) -> usize {
    let list = app.call(Method::GET, "/app/campaigns", &[("cookie", cookie)], Body::empty()).await;
    html(&list, 200).matches("Tea on Thursday").count()
}

#[tokio::test]
async fn what_was_typed_outlives_the_session_it_was_typed_in() {
    let app = with_sign_in().await;
    let typed =
        [("subject", "Tea on Thursday"), ("body", BODY), ("bodyFormat", "markdown"), ("city", "York"), ("city", "Leeds"), ("do", "save"), ("once", "k1")];
    let ended = "emcrm=0123456789abcdef";
    let old = encoded(&[&typed[..], &[("csrf", "of-the-old-session")]].concat());
    let answer = app.call(Method::POST, "/app/campaigns/new?from=x", &[URLENCODED, ("cookie", ended)], old.clone()).await;
    let page = html(&answer, 401);
    assert!(page.contains("action=\"/app/campaigns/new?from=x\"") || page.contains("action=\"&#x2f;app&#x2f;campaigns&#x2f;new?from=x\""), "{page}");
    assert!(page.contains("You were signed out") && page.contains("Tea on Thursday") && !page.contains("<i>tea</i>"), "{page}");
    let kept = fields(&page);
    let expected: Vec<(String, String)> = typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(kept, expected, "every field is kept, and the old mark is not");

    // Signed in again, in another tab: the form goes on, and asks once whether it is meant.
    let cookie = session(&app).await;
    let headers = [URLENCODED, ("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let pairs: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = html(&app.call(Method::POST, "/app/campaigns/new", &headers, encoded(&pairs)).await, 403);
    assert!(page.contains("This was not saved yet"), "{page}");
    assert_eq!(campaigns(&app, &cookie).await, 0, "nothing happens unasked");
    let kept = fields(&page);
    let pairs: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let saved = app.call(Method::POST, "/app/campaigns/new", &headers, encoded(&pairs)).await;
    assert_eq!(saved.status, 303, "{}", String::from_utf8_lossy(&saved.body));
    let edit = html(&app.call(Method::GET, saved.header("location"), &[("cookie", &cookie)], Body::empty()).await, 200);
    assert!(edit.contains("Tea on Thursday") && edit.contains("York") && edit.contains("Leeds"), "{edit}");

    // From another site the same form gets no such page.
    let elsewhere = [URLENCODED, ("cookie", cookie.as_str()), ("origin", "https://evil.example"), ("host", "127.0.0.1")];
    let refused = html(&app.call(Method::POST, "/app/campaigns/new", &elsewhere, old.clone()).await, 403);
    assert!(!refused.contains("name=\"csrf\"") && !refused.contains("Tea on Thursday"), "{refused}");
    // Nor does it when the browser holds the session back, as it does for other sites: nobody who signs in is asked to send on what others typed.
    for from in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "same-site"), ("sec-fetch-site", "cross-site")] {
        let answer = app.call(Method::POST, "/app/campaigns/new", &[URLENCODED, from, ("host", "127.0.0.1")], old.clone()).await;
        let page = String::from_utf8(answer.body.clone()).unwrap();
        assert!([401, 403].contains(&answer.status.as_u16()) && !page.contains("Tea on Thursday") && !page.contains("value=\"k1\""), "{from:?}: {page}");
    }
}

/// A form in parts, as a browser sends one with a field for a file in which none was chosen.
fn in_parts(fields: &[(&str, &str)], file: &str) -> String {
    let text = |(name, value): &(&str, &str)| format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let texts: String = fields.iter().map(text).collect();
    let file = format!("--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n{file}\r\n");
    format!("{texts}{file}--XX--\r\n")
}

#[tokio::test]
async fn what_was_pasted_into_a_form_with_a_file_outlives_the_session_too() {
    const PATH: &str = "/app/settings/suppressions/import";
    let app = with_sign_in().await;
    let send = async |cookie: &str, body: String| {
        let length = body.len().to_string();
        let kind = ("content-type", "multipart/form-data; boundary=XX");
        let headers = [kind, ("content-length", length.as_str()), ("cookie", cookie), ("sec-fetch-site", "same-origin")];
        app.call(Method::POST, PATH, &headers, body).await
    };
    let pasted = "bea@example.org\r\n<cid>@example.org";
    let ended = "emcrm=0123456789abcdef";
    let page = html(&send(ended, in_parts(&[("csrf", "of-the-old-session"), ("text", pasted)], "")).await, 401);
    assert!(page.contains("You were signed out") && page.contains("enctype=\"multipart/form-data\"") && !page.contains("<cid>"), "{page}");
    assert_eq!(fields(&page), [("text".to_owned(), pasted.to_owned())]);
    // Signed in again, it goes on.
    let cookie = session(&app).await;
    let page = html(&send(&cookie, in_parts(&[("text", pasted)], "")).await, 403);
    assert!(page.contains("This was not saved yet"), "{page}");
    let kept = fields(&page);
    let pairs: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let done = html(&send(&cookie, in_parts(&pairs, "")).await, 422);
    assert!(done.contains("1 address was put on the list, 1 line was not taken"), "{done}");
    // A file is still where it came from: there is nothing to send on.
    let file = html(&send(ended, in_parts(&[("csrf", "x"), ("text", "")], "bea@example.org")).await, 401);
    assert!(!file.contains("You were signed out") && !file.contains("bea@example.org"), "{file}");
}

#[tokio::test]
async fn nobody_is_led_away_from_a_page_on_which_something_is_typed() {
    let app = with_sign_in().await;
    let ask = async |from: &str| {
        let headers = [("hx-request", "true"), ("hx-current-url", from)];
        app.call(Method::GET, "/app/events/people?hostText=a", &headers, Body::empty()).await
    };
    let typing = ask("http://127.0.0.1/app/events/new").await;
    assert!(html(&typing, 401).contains("Sign in in a new tab"));
    assert!(!typing.headers.contains_key("hx-redirect"));
    assert!(ask("http://127.0.0.1/app/events/tea").await.header("hx-redirect").starts_with("/app/signin?return="));
}

#[tokio::test]
async fn an_error_has_the_application_around_it_for_whoever_is_signed_in() {
    let app = with_sign_in().await;
    let cookie = session(&app).await;
    let inside = html(&app.call(Method::GET, "/app/nothing", &[("cookie", &cookie)], Body::empty()).await, 404);
    assert!(inside.contains("<nav class=\"nav primary\"") && inside.contains("<small>sender</small>"), "{inside}");
    let outside = html(&app.get("/app/nothing").await, 404);
    assert!(!outside.contains("<nav class") && !outside.contains("sender"), "{outside}");
}

#[tokio::test]
async fn the_form_of_a_draft_that_is_sent_twice_makes_one_draft() {
    let app = TestApp::with(Options::default(), router).await;
    let csrf = app.app.mark("csrf", "local");
    let blank = html(&app.get("/app/campaigns/new").await, 200);
    let once = blank.split_once("name=\"once\" value=\"").unwrap().1.split('"').next().unwrap();
    let form = |subject: &str| encoded(&[("once", once), ("csrf", &csrf), ("subject", subject), ("body", "Come."), ("do", "save")]);
    let send = async |body: String| app.call(Method::POST, "/app/campaigns/new", &[URLENCODED], body).await;
    let (first, second) = tokio::join!(send(form("Tea on Thursday")), send(form("Tea on Thursday")));
    let third = send(form("Tea on Thursday")).await;
    for answer in [&first, &second, &third] {
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, first.header("location")));
    }
    assert_eq!(campaigns(&app, "").await, 1);
    // Changed and sent again, as after the back button: it says what is there already, and loses nothing.
    let changed = html(&send(form("Tea on Friday")).await, 422);
    assert!(changed.contains("made a draft") && changed.contains("Tea on Friday"), "{changed}");
    assert!(!changed.contains(once), "saving it once more makes another one");
}

async fn bad_routes(limits: Limits) -> TestApp {
    async fn bug() -> &'static str {
        panic!("secret detail");
    }
    let routes = Router::new().route("/app/bug", get(bug)).route("/app/slow", post(std::future::pending::<&'static str>));
    TestApp::with(Options { limits, ..Options::default() }, |state| router(state).merge(routes)).await
}

#[tokio::test]
async fn what_the_edge_says_is_a_page_where_people_read_it() {
    let app = bad_routes(Limits { time: Duration::from_secs(30), requests: 1, ..Limits::default() }).await;
    let answer = app.get("/app/bug").await;
    let broken = html(&answer, 500);
    assert!(broken.contains("Something broke on our side") && broken.contains(answer.header("x-request-id")) && !broken.contains("secret detail"), "{broken}");
    let others =
        async { (app.get("/app/people").await, app.call(Method::GET, "/app/people", &[("hx-request", "true")], Body::empty()).await, app.get("/users").await) };
    // The slow one comes first, and is in hand until the others have been answered.
    let (page, part, program) = tokio::select! {
        biased;
        slow = app.call(Method::POST, "/app/slow", &[], Body::empty()) => panic!("{slow:?}"),
        answers = others => answers,
    };
    assert!(html(&page, 503).contains("Too many requests at once"));
    assert_eq!(page.header("retry-after"), "1");
    assert!(html(&part, 503).starts_with("<div class=\"notice"), "htmx puts a part into the page it has");
    assert_eq!(program.problem(503), "overloaded");
    assert!(html(&app.call(Method::POST, "/app/theme", &[("sec-fetch-site", "cross-site")], Body::empty()).await, 403).contains("other sites"));
    let app = bad_routes(Limits { time: Duration::from_millis(200), ..Limits::default() }).await;
    assert!(html(&app.call(Method::POST, "/app/slow", &[], Body::empty()).await, 504).contains("This took too long"));
}
