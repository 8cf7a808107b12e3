//! Attacks, one for each class, each with a control that shows that the test would see it succeed.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request};
use emcrm_app::people_import::FILE_MAX;
use emcrm_mail::{Notification, NotificationError, Notifications, Report, ReportKind};
use emcrm_model::DeliveryState;
use emcrm_server::auth::{AccessSettings, Without};
use emcrm_server::config::LogFormat;
use emcrm_server::http::edge::Limits;
use emcrm_server::http::gate::{GateLimits, GateSettings};
use emcrm_server::router::router;
use futures::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::access::{closed, token};
use crate::email_life::{mail_to, reaches};
use crate::helpers::{Options, TestApp};

fn person() -> Value {
    json!({ "firstName": "Ann", "lastName": "B", "email": "ann@example.org" })
}

/// DNS rebinding: a page is made to believe that we are its own server, so its origin and ours are the same.
#[tokio::test]
async fn a_name_that_is_not_ours_is_not_answered_to() {
    let rebound = [("host", "evil.example:8080"), ("origin", "http://evil.example:8080"), ("sec-fetch-site", "same-origin")];
    let app = TestApp::new().await;
    for path in ["/users", "/app", "/docs"] {
        assert_eq!(app.call(Method::GET, path, &rebound, Body::empty()).await.problem(421), "unknown_host");
    }
    assert_eq!(app.json(Method::POST, "/users", &rebound, person()).await.problem(421), "unknown_host");
    // Whoever balances load knows us by an address of its own.
    assert_eq!(app.call(Method::GET, "/health", &rebound, Body::empty()).await.status, 200);
    // The control: without the list of names the attack works.
    let gate = GateSettings { hosts: vec!["*".to_owned()], ..GateSettings::default() };
    let open = TestApp::with(Options { gate, ..Options::default() }, router).await;
    open.json(Method::POST, "/users", &rebound, person()).await.ok();
}

/// A form of another site, sent by a browser that is on this machine. Nobody has to sign in here, so there is no cookie that could be missing.
#[tokio::test]
async fn a_form_of_another_site_changes_nothing_even_where_nobody_signs_in() {
    let app = TestApp::new().await;
    let theme = |headers: &[(&'static str, &'static str)], body: String| {
        let headers: Vec<_> = [("content-type", "application/x-www-form-urlencoded")].into_iter().chain(headers.iter().copied()).collect();
        let app = &app;
        async move { app.call(Method::POST, "/app/theme", &headers, Body::from(body)).await.status.as_u16() }
    };
    let mark = app.app.mark("csrf", "local");
    // An old browser that says nothing about where the form came from.
    assert_eq!(theme(&[], "theme=dark".to_owned()).await, 403);
    assert_eq!(theme(&[], format!("theme=dark&csrf={}x", &mark[..21])).await, 403);
    for elsewhere in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")] {
        assert_eq!(theme(&[elsewhere, ("host", "127.0.0.1:8080")], format!("theme=dark&csrf={mark}")).await, 403, "{elsewhere:?}");
    }
    // The control: the same form, from a page of ours.
    assert_eq!(theme(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], format!("theme=dark&csrf={mark}")).await, 303);
    // Without one of the two defences the attack that it stops works. (What says itself that it is from another site is stopped before, by the edge.)
    for (without, headers, mark) in [
        (Without::Mark, vec![], String::new()),
        (Without::Origin, vec![("origin", "https://evil.example"), ("host", "127.0.0.1:8080")], format!("&csrf={mark}")),
        (Without::Origin, vec![("sec-fetch-site", "same-site")], format!("&csrf={mark}")),
    ] {
        let open = TestApp::with(Options { access: AccessSettings { without, ..AccessSettings::default() }, ..Options::default() }, router).await;
        let headers: Vec<_> = [("content-type", "application/x-www-form-urlencoded")].into_iter().chain(headers).collect();
        let answer = open.call(Method::POST, "/app/theme", &headers, Body::from(format!("theme=dark{mark}"))).await;
        assert_eq!(answer.status, 303, "{without:?}");
    }
    // A body that needs no question before it is sent is not taken for JSON.
    let answer = app.call(Method::POST, "/users", &[("content-type", "text/plain")], Body::from(person().to_string())).await;
    assert_eq!(answer.problem(415), "unsupported_media_type");
    // Neither are bytes of no type, which a page sends as a `Blob`: not by a browser. A program may leave the type out, as older ones do.
    let blob = async |app: &TestApp, headers: &[(&str, &str)]| app.call(Method::POST, "/users", headers, Body::from(person().to_string())).await;
    let elsewhere = [("origin", "https://evil.example"), ("host", "127.0.0.1:8080")];
    assert_eq!(blob(&app, &elsewhere).await.problem(403), "cross_site");
    let ours: [&[(&str, &str)]; 2] = [&[("sec-fetch-site", "same-origin")], &[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")]];
    for headers in ours {
        assert_eq!(blob(&app, headers).await.problem(415), "unsupported_media_type", "{headers:?}");
    }
    let lacking =
        async |without| TestApp::with(Options { access: AccessSettings { without, ..AccessSettings::default() }, ..Options::default() }, router).await;
    assert_eq!(blob(&lacking(Without::Origin).await, &elsewhere).await.problem(415), "unsupported_media_type", "each of the two stops it");
    for headers in ours {
        assert_eq!(blob(&lacking(Without::Type).await, headers).await.status, 200, "{headers:?}");
    }
    assert_eq!(blob(&app, &[]).await.status, 200, "a program");
}

/// What a client must not set: counters, revisions, keys, times.
#[tokio::test]
async fn fields_that_are_ours_cannot_be_set_from_outside() {
    let app = TestApp::new().await;
    let hostile = json!({
        "id": "ann", "attendedCount": 99, "hostedCount": 99, "rev": 99, "createdAt": "1999-01-01T00:00:00Z", "updatedAt": "1999-01-01T00:00:00Z",
        "type": "event", "PK": "event#x", "SK": "event#x", "expiresAt": 1, "role": "admin", "firstName": "Ann", "lastName": "B", "email": "ann@example.org"
    });
    let sent = hostile.to_string();
    for answer in
        [app.post("/users", hostile.clone()).await.ok(), app.put("/users/ann", hostile.clone()).await.ok(), app.patch("/users/ann", hostile).await.ok()]
    {
        assert_eq!((&answer["attendedCount"], &answer["hostedCount"]), (&json!(0), &json!(0)));
        assert!(answer["createdAt"].as_str().unwrap().starts_with("2026-01-02"));
        assert!(answer.get("role").is_none() && answer.get("PK").is_none() && answer.get("type").is_none());
    }
    let stored = app.app.store.users.item(&"ann".to_owned().into()).await.unwrap().unwrap();
    assert_eq!((stored.key.pk.as_str(), &stored.attrs["type"], &stored.attrs["rev"]), ("user#ann", &json!("user"), &json!(3)));
    assert!(!stored.attrs.contains_key("role") && !stored.attrs.contains_key("expiresAt"));
    // The control: a server that stores what it is sent, and the same look at what is stored.
    let store = app.app.clone();
    let naive = move |body: axum::Json<Value>| async move {
        let mut attrs = body.0.as_object().unwrap().clone();
        attrs.retain(|name, _| name != "PK" && name != "SK");
        let mut tx = emcrm_store::Transaction::new();
        tx.put(emcrm_store::Table::Main, emcrm_store::Item { key: emcrm_store::keys::user(&"naive".to_owned().into()), attrs });
        store.store.engine.transact(tx).await.unwrap();
    };
    let route = axum::Router::new().route("/naive", axum::routing::post(naive));
    tower::ServiceExt::oneshot(route, Request::post("/naive").header("content-type", "application/json").body(Body::from(sent)).unwrap()).await.unwrap();
    let stored = app.app.store.users.item(&"naive".to_owned().into()).await.unwrap().unwrap();
    assert_eq!((&stored.attrs["attendedCount"], &stored.attrs["role"]), (&json!(99), &json!("admin")));
    let event = json!({ "id": "tea", "title": "Tea", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00", "attendeeCount": 99, "rev": 99 });
    assert_eq!(app.post("/events", event).await.ok()["attendeeCount"], 0);
}

/// With sign-in on, and without one of the defences.
fn lacking(without: Without) -> Options {
    let options = closed();
    Options { access: AccessSettings { without, ..options.access }, ..options }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Secrets come by headers, cookies, addresses and bodies; none of them is in a line of the log, and no line can be made up by a caller.
#[test]
fn no_secret_reaches_the_log_and_no_caller_writes_lines_of_it() {
    let lines = Lines::default();
    let (subscriber, writer) = emcrm_server::log::start(LogFormat::Text, "debug", Arc::new(emcrm_model::SystemClock), lines.clone(), None);
    tracing::subscriber::with_default(subscriber, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let app = TestApp::with(closed(), router).await;
            let good = token(&app, "admin").await;
            // Tests beside this one have no log. A place in the code that one of them came to first would be silent here too.
            app.get("/health").await;
            tracing::callsite::rebuild_interest_cache();
            let session = "S".repeat(43);
            let headers = [("authorization", format!("Bearer {good}")), ("cookie", format!("emcrm={session}"))];
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            app.call(Method::GET, "/users?token=in-the-address&email=secret%40example.org", &headers, Body::empty()).await;
            app.call(Method::GET, "/auth/callback?code=the-code&state=the-state", &headers, Body::empty()).await;
            app.call(Method::GET, "/users", &[("authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.wrong-token.x")], Body::empty()).await;
            app.json(Method::POST, "/users", &headers, json!({ "firstName": "in-the-body", "email": "x" })).await;
            app.call(Method::GET, "/users/%0A2026-01-01%20forged%20line", &headers, Body::empty()).await;
            // The control: what is logged is found.
            tracing::info!(planted = "a-planted-word", "a line");
            let text = || String::from_utf8_lossy(&lines.0.lock()).into_owned();
            for _ in 0..6_000 {
                if text().contains("a-planted-word") {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let text = text();
            assert!(["a-planted-word", "route=/users", "route=/auth/callback"].iter().all(|logged| text.contains(logged)), "{text}");
            let secrets = [
                good.as_str(),
                good.rsplit('_').next().unwrap(),
                &session,
                "in-the-address",
                "secret%40example.org",
                "the-code",
                "the-state",
                "wrong-token",
                "in-the-body",
            ];
            for secret in secrets {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
            assert!(text.lines().all(|line| !line.starts_with("2026-01-01 forged")), "{text}");
            let found = async |secrets: &[&str]| {
                for _ in 0..6_000 {
                    if secrets.iter().all(|secret| String::from_utf8_lossy(&lines.0.lock()).contains(secret)) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                panic!("what was logged is not found");
            };
            // Where the log has addresses instead of routes, the same requests leave their secrets in it.
            let open = TestApp::with(lacking(Without::Route), router).await;
            open.call(Method::GET, "/users?token=in-the-address&email=secret%40example.org", &headers, Body::empty()).await;
            open.call(Method::GET, "/auth/callback?code=the-code&state=the-state", &headers, Body::empty()).await;
            found(&["in-the-address", "secret%40example.org", "the-code", "the-state"]).await;
            // Headers and bodies are nowhere near the log, so there is nothing to switch off. A server that logs them as they come would be found out.
            for secret in secrets {
                tracing::info!(header = secret, "GET");
            }
            found(&secrets).await;
        });
    });
    drop(writer);
}

/// Stands for SNS: what it is told is surely the service's, and names its message.
struct Told;

#[async_trait::async_trait]
impl Notifications for Told {
    async fn receive(&self, body: &[u8]) -> Result<Notification, NotificationError> {
        let (id, token) = std::str::from_utf8(body).unwrap().split_once(' ').unwrap();
        let report =
            Report { kind: ReportKind::Bounced, delivery: Some(token.to_owned()), address: Some("ann@example.org".to_owned()), words: "550 gone".to_owned() };
        Ok(Notification { id: id.to_owned(), reports: vec![report] })
    }
}

/// A message of the mail service that somebody kept, and sends again after staff have decided otherwise.
#[tokio::test]
async fn a_bounce_that_is_sent_again_puts_no_address_back_on_the_list() {
    for without in [Without::Nothing, Without::Once] {
        let access = AccessSettings { without, ..AccessSettings::default() };
        let options = Options { access, public_url: Some("https://crm.example"), ..Options::default() };
        let mut app = TestApp::with(options, |state| router(state.with_notifications(Some(Arc::new(Told))))).await;
        app.work();
        app.user("ann").await;
        app.settled().await;
        let made = app.post("/email/send", json!({ "filter": {}, "subject": "Hello", "body": "Come all." })).await.ok();
        let id = made["email_id"].as_str().unwrap();
        reaches(&app, id, "sent").await;
        let mail = mail_to(&app, "ann@example.org");
        let token = mail.split_once("X-EMCRM-Delivery: ").unwrap().1.split_once("\r\n").unwrap().0.to_owned();
        let tell = async |message: &str| app.call(Method::POST, "/mail/events/sns", &[], Body::from(format!("{message} {token}"))).await;
        let listed = async || app.get("/email/suppressions/ann@example.org").await.status == 200;
        let becomes = async |from: DeliveryState, to: DeliveryState| {
            let mut tx = emcrm_store::Transaction::new();
            app.app.store.campaigns.delivery_step(&mut tx, &id.to_owned().into(), &"ann".to_owned().into(), from, to);
            app.app.store.engine.transact(tx).await.unwrap();
        };
        // The mail is on its way this moment, so nothing can be said about it yet.
        becomes(DeliveryState::Sent, DeliveryState::Sending).await;
        assert_eq!(tell("m1").await.problem(503), "contended", "SNS would not send again what is answered by 409");
        assert!(!listed().await);
        becomes(DeliveryState::Sending, DeliveryState::Sent).await;
        assert_eq!(tell("m1").await.ok()["recorded"], 1, "what could not be worked on is worked on when it comes again");
        assert!(listed().await);
        app.delete("/email/suppressions/ann@example.org").await.ok();
        assert_eq!(tell("m1").await.ok()["known"], 1);
        // The control: without the memory of messages she is on the list again.
        assert_eq!(listed().await, without == Without::Once);
        if listed().await {
            app.delete("/email/suppressions/ann@example.org").await.ok();
        }
        // Another message counts: she got another mail, or complained.
        tell("m2").await.ok();
        assert!(listed().await);
        app.stop().await;
    }
}

/// What comes from outside and goes back in a header.
#[tokio::test]
async fn nobody_adds_headers_to_an_answer() {
    let app = TestApp::new().await;
    for path in [
        "/auth/login?return=%0D%0Aset-cookie:%20x=y",
        "/app/signin?return=/a%0D%0Aset-cookie:%20x=y",
        "/users/a%0D%0Aset-cookie:%20x=y",
        "/u/a%0D%0Aset-cookie:%20x=y",
        "/t/c/a%0D%0Aset-cookie:%20x=y",
        "/events?sort=%0D%0Aset-cookie:%20x=y",
    ] {
        let answer = app.get(path).await;
        assert!(answer.headers.get("set-cookie").is_none(), "{path}");
        assert!(answer.headers.values().all(|value| !value.as_bytes().contains(&b'\r') && !value.as_bytes().contains(&b'\n')));
    }
    // Without a type that refuses line breaks the same value is one more header.
    let hostile = "x\r\nset-cookie: x=y";
    assert!(axum::http::HeaderValue::from_str(hostile).is_err());
    assert!(format!("HTTP/1.1 303 See Other\r\nlocation: {hostile}\r\n\r\n").lines().any(|line| line.starts_with("set-cookie: ")));
    // The control: a header that does come from outside comes back.
    assert_eq!(app.call(Method::GET, "/health", &[("x-request-id", "mine")], Body::empty()).await.header("x-request-id"), "mine");
    assert_ne!(app.call(Method::GET, "/health", &[("x-request-id", "a b\"c")], Body::empty()).await.header("x-request-id"), "a b\"c");
}

/// Files are looked up by their names among those that are compiled in; no path leads anywhere.
#[tokio::test]
async fn no_path_leads_out_of_what_is_served() {
    let app = TestApp::new().await;
    std::fs::write(app.folder.path().join("secret.key"), "the key").unwrap();
    for path in [
        "/assets/..%2F..%2Fsecret.key",
        "/assets/%2e%2e/secret.key",
        "/assets/..%5Csecret.key",
        "/docs/..%2Findex.html",
        "/redoc/..%2F..%2Fetc%2Fpasswd",
        "/assets/%00",
        "/app/outbox/..%2Fsecret.key",
        "/t/o/..%2Fsecret.key",
    ] {
        let answer = app.get(path).await;
        assert!(
            answer.status == 404 || answer.status == 400 || answer.status == 200 && answer.header("content-type") == "image/gif",
            "{path}: {}",
            answer.status
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains("the key"));
    }
    // A server that joins folder and path hands the file out.
    let folder = app.folder.path().join("assets");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("../secret.key")).unwrap(), "the key");
    // The control: what is there is found by its name.
    assert_eq!(app.get("/docs").await.status, 200);
}

/// What a spreadsheet would take for a formula leaves as text; without the apostrophes the same lists hold formulas.
#[tokio::test]
async fn exported_lists_hold_no_formulas() {
    let formulas = |text: &str| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader
            .records()
            .flat_map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
            .filter(|field| field.starts_with(['=', '+', '-', '@', '\t', '\r']))
            .count()
    };
    for without in [Without::Nothing, Without::Apostrophe] {
        let mut app = TestApp::with(Options { access: AccessSettings { without, ..AccessSettings::default() }, ..Options::default() }, router).await;
        app.work();
        app.post("/users", json!({ "id": "ann", "firstName": "=cmd|' /C calc'!A0", "lastName": "B", "email": "+a@example.org" })).await.ok();
        let event = json!({ "id": "tea", "title": "Tea", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00" });
        app.post("/events", event).await.ok();
        app.post("/attend", json!({ "user_id": "ann", "event_id": "tea" })).await.ok();
        app.post("/email/suppressions", json!({ "email": "+b@example.org", "reason": "manual", "note": "=1+1" })).await.ok();
        app.settled().await;
        let made = app.post("/email/send", json!({ "filter": {}, "subject": "Hello", "body": "Hello" })).await.ok();
        app.quiet().await;
        let ledger = format!("/email/requests/{}/deliveries.csv", made["email_id"].as_str().unwrap());
        for (path, hostile) in [(ledger.as_str(), 1), ("/app/people/export.csv", 2), ("/app/events/tea/attendees.csv", 2), ("/email/suppressions.csv", 2)] {
            let text = String::from_utf8(app.get(path).await.body).unwrap();
            assert!(text.contains("+a@example.org") || text.contains("+b@example.org"), "{text}");
            assert_eq!(formulas(&text), if without == Without::Nothing { 0 } else { hostile }, "{path}: {text}");
        }
        app.stop().await;
    }
}

/// Whoever may not see people learns neither from an answer nor from its form whether somebody is there.
#[tokio::test]
async fn what_exists_and_what_does_not_is_told_alike_to_those_who_may_not_know() {
    let app = TestApp::with(closed(), router).await;
    let admin = format!("Bearer {}", token(&app, "admin").await);
    app.json(Method::POST, "/users", &[("authorization", &admin)], json!({ "id": "ann", "firstName": "Ann", "lastName": "B", "email": "ann@example.org" }))
        .await
        .ok();
    let door = format!("Bearer {}", token(&app, "checkin:tea").await);
    for headers in [vec![], vec![("authorization", door.as_str())]] {
        let mut answers = Vec::new();
        for path in ["/users/ann", "/users/nobody"] {
            let answer = app.call(Method::GET, path, &headers, Body::empty()).await;
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0], answers[1]);
    }
    // The control: who may know is told.
    let seen = [("authorization", admin.as_str())];
    for (path, status) in [("/users/ann", 200), ("/users/nobody", 404)] {
        assert_eq!(app.call(Method::GET, path, &seen, Body::empty()).await.status, status);
    }
}

/// A body that never ends, and one that is too large.
#[tokio::test]
async fn slow_and_oversized_requests_are_given_up() {
    let limits = Limits { time: Duration::from_millis(300), requests: 100, ..Limits::default() };
    let app = TestApp::with(Options { limits, ..Options::default() }, router).await;
    let endless = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, std::io::Error>(axum::body::Bytes::from_static(b" ")), ()))
    });
    let request = Request::builder().method("POST").uri("/users").header("content-type", "application/json").body(Body::from_stream(endless)).unwrap();
    assert_eq!(app.send(request).await.problem(504), "timeout");
    let megabytes = |n: usize| format!("{{\"firstName\": \"{}\"}}", "a".repeat(n * 1024 * 1024));
    let json = async |app: &TestApp, body: String| app.call(Method::POST, "/users", &[("content-type", "application/json")], Body::from(body)).await;
    let app = TestApp::new().await;
    assert_eq!(json(&app, megabytes(3)).await.problem(413), "body_too_large");
    // Forms, of anybody and of staff, and files.
    let form = async |app: &TestApp, path: &str| {
        let body = format!("theme=dark&x={}&csrf={}", "a".repeat(600 * 1024), app.app.mark("csrf", "local"));
        app.call(Method::POST, path, &[("content-type", "application/x-www-form-urlencoded")], Body::from(body)).await.status.as_u16()
    };
    assert_eq!((form(&app, "/e/nothing").await, form(&app, "/app/theme").await), (413, 413));
    let file = async |app: &TestApp, bytes: usize| {
        let mut body = format!("--XX\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{}\r\n", app.app.mark("csrf", "local")).into_bytes();
        body.extend(b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"list.csv\"\r\nContent-Type: text/csv\r\n\r\nEmail\r\n");
        body.extend(std::iter::repeat_n(b'a', bytes));
        body.extend(b"\r\n--XX--\r\n");
        let answer = app.call(Method::POST, "/app/people/import", &[("content-type", "multipart/form-data; boundary=XX")], body).await;
        answer.status.as_u16()
    };
    assert_eq!((file(&app, FILE_MAX).await, file(&app, FILE_MAX + 1024 * 1024).await), (413, 413));
    assert_eq!(file(&app, FILE_MAX - 1024).await, 303, "the largest that is taken is taken");
    // The control: without these limits the parsers get to see the same bodies, and refuse them for what they say.
    let limits = Limits { body: usize::MAX, form: usize::MAX, ..Limits::default() };
    let open = TestApp::with(Options { limits, ..Options::default() }, router).await;
    assert_eq!(json(&open, megabytes(3)).await.problem(422), "validation_error");
    assert_eq!(form(&open, "/e/nothing").await, 404);
    // With patience the slow request is held on to, and the largest body that is taken is looked at.
    let app = TestApp::new().await;
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(axum::body::Bytes::new())).then(|bytes| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        bytes
    });
    let request = Request::builder().method("POST").uri("/users").header("content-type", "application/json").body(Body::from_stream(endless)).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), app.send(request)).await.is_err());
    let fits = format!("{{\"firstName\": \"{}\"}}", "a".repeat(1024 * 1024 - 17));
    assert_eq!(app.call(Method::POST, "/users", &[("content-type", "application/json")], Body::from(fits)).await.problem(422), "validation_error");
    // The control: with patience the same request is read to its end, and refused for what it says.
    let app = TestApp::new().await;
    let finite = futures::stream::iter([Ok::<_, std::io::Error>(axum::body::Bytes::from_static(b"{}"))]);
    let request = Request::builder().method("POST").uri("/users").header("content-type", "application/json").body(Body::from_stream(finite)).unwrap();
    assert_eq!(app.send(request).await.problem(422), "validation_error");
}

/// Each signed-in caller has limits of their own; without them the same requests go through.
#[tokio::test]
async fn who_asks_too_often_has_to_wait() {
    let limits = GateLimits { reads: 1, writes: 1, ..GateLimits::default() };
    let app = TestApp::with(Options { gate: GateSettings { limits, ..GateSettings::default() }, ..closed() }, router).await;
    let two = format!("Bearer {}", token(&app, "viewer").await);
    let ask = |who: &str| {
        let who = who.to_owned();
        let app = &app;
        async move { app.call(Method::GET, "/users", &[("authorization", &who)], Body::empty()).await }
    };
    // A second after the first there is room for one more: whoever was so slow begins anew, as somebody else.
    let mut answers = Vec::new();
    for _ in 0..60 {
        let one = format!("Bearer {}", token(&app, "viewer").await);
        let began = Instant::now();
        answers.clear();
        for _ in 0..6 {
            answers.push(ask(&one).await);
        }
        if began.elapsed() < Duration::from_secs(1) {
            break;
        }
    }
    for (answer, left) in answers.iter().zip((0..5).rev()) {
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")), (200, "5", left.to_string().as_str()));
    }
    let answer = &answers[5];
    assert_eq!((answer.problem(429).as_str(), answer.header("ratelimit-remaining")), ("too_many_requests", "0"));
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(ask(&two).await.status, 200, "another caller");
    // Who asks who he is reads too.
    let three = format!("Bearer {}", token(&app, "viewer").await);
    for path in ["/auth/me", "/auth/user", "/auth/userinfo"] {
        let answer = app.call(Method::GET, path, &[("authorization", &three)], Body::empty()).await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit-limit")), (200, "5"), "{path}");
    }
    let mut refused = false;
    for _ in 0..200 {
        refused = app.call(Method::GET, "/auth/me", &[("authorization", &three)], Body::empty()).await.status == 429;
        if refused {
            break;
        }
    }
    assert!(refused);
    let app = TestApp::with(closed(), router).await;
    let who = format!("Bearer {}", token(&app, "viewer").await);
    for _ in 0..20 {
        assert_eq!(app.call(Method::GET, "/users", &[("authorization", &who)], Body::empty()).await.status, 200, "the control: without a limit");
    }
}

/// What browsers are told.
#[tokio::test]
async fn pages_say_what_browsers_may_do_with_them() {
    let app = TestApp::with(Options { public_url: Some("https://crm.example.org"), ..Options::default() }, router).await;
    for path in ["/app", "/app/nothing", "/u/x", "/docs", "/redoc", "/e/nothing"] {
        let answer = app.get(path).await;
        for (name, part) in [
            ("content-security-policy", "default-src"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
            ("permissions-policy", "camera=()"),
        ] {
            assert!(answer.header(name).contains(part), "{path} {name}: {}", answer.header(name));
        }
        assert!(!answer.header("content-security-policy").contains("script-src 'unsafe-inline'"), "{path}");
        assert!(!answer.header("referrer-policy").is_empty());
    }
}
