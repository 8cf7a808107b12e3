//! Who may call what: every route of the product, by everybody who could call it. A route that is not in the table fails the test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use axum::body::Body;
use axum::http::Method;
use emcrm_app::Call;
use emcrm_app::sessions::{IssuerTokens, SignedIn};
use emcrm_server::auth::AccessSettings;
use emcrm_server::router::router;
use serde_json::{Value, json};

use crate::access::{closed, token};
use crate::helpers::issuer::Issuer;
use crate::helpers::{Options, TestApp};

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing: it is for everybody.
    Nothing,
    /// Somebody, with or without a role.
    Somebody,
    Viewer,
    /// A viewer, or whoever works at the door of the event in the path.
    SeeEvent,
    /// An editor, or whoever works at the door of the event in the path.
    CheckIn,
    Editor,
    Sender,
    Admin,
}
use Needs::{Admin, CheckIn, Editor, Nothing, SeeEvent, Sender, Somebody, Viewer};

/// Every route: what it needs, method, path.
const TABLE: &[(Needs, &str, &str)] = &include!("authz_table.in");

/// POSTs that change nothing: they are asked like this because their question does not fit into an address. They need no proof that a page of ours asks.
const READING_POSTS: &[&str] = &include!("authz_reading.in");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Anonymous,
    /// A token that was revoked, one that has expired, a session that nobody has, one that was ended, one that is too old.
    Revoked,
    Expired,
    Stranger,
    Ended,
    TooOld,
    /// A token of the issuer's that was good an hour ago, and one that it made for another client.
    SignedLate,
    SignedForOther,
    Door,
    /// Whoever works at the door of another event.
    OtherDoor,
    NoRole,
    Viewer,
    Editor,
    Sender,
    Admin,
    /// A viewer with a token of the issuer's.
    Signed,
    /// The same in a browser, on a page of ours.
    InBrowser(&'static str),
}

const CALLERS: [Caller; 20] = [
    Caller::Anonymous,
    Caller::Revoked,
    Caller::Expired,
    Caller::Stranger,
    Caller::Ended,
    Caller::TooOld,
    Caller::SignedLate,
    Caller::SignedForOther,
    Caller::InBrowser("viewer"),
    Caller::InBrowser("editor"),
    Caller::InBrowser("sender"),
    Caller::InBrowser("admin"),
    Caller::Door,
    Caller::OtherDoor,
    Caller::NoRole,
    Caller::Signed,
    Caller::Viewer,
    Caller::Editor,
    Caller::Sender,
    Caller::Admin,
];

/// What the caller is told: 401, 403, or neither.
fn expected(needs: Needs, caller: Caller, path: &str) -> u16 {
    use Caller::{Anonymous, Ended, Expired, Revoked, SignedForOther, SignedLate, Stranger, TooOld};
    let unknown = matches!(caller, Anonymous | Revoked | Expired | Stranger | Ended | TooOld | SignedLate | SignedForOther);
    let rank = match caller {
        Caller::Viewer | Caller::Signed | Caller::InBrowser("viewer") => 1,
        Caller::Editor | Caller::InBrowser("editor") => 2,
        Caller::Sender | Caller::InBrowser("sender") => 3,
        Caller::Admin | Caller::InBrowser("admin") => 4,
        _ => 0,
    };
    let least = match needs {
        Nothing => return 0,
        _ if unknown => return 401,
        Somebody => return 0,
        Viewer | SeeEvent => 1,
        CheckIn | Editor => 2,
        Sender => 3,
        Admin => 4,
    };
    // Where no event is named, one door is like the other.
    let at_the_door = caller == Caller::Door || caller == Caller::OtherDoor && !path.contains('{');
    let door = at_the_door && matches!(needs, SeeEvent | CheckIn);
    if rank >= least || door { 0 } else { 403 }
}

/// Routes of the API as the document has them, and routes of pages as the sources have them.
fn routes() -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    let document: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|key| ["get", "post", "put", "patch", "delete"].contains(&key.as_str())) {
            routes.insert((method.to_uppercase(), path.clone()));
        }
    }
    routes_of(include_str!("../../src/router.rs"), &mut routes);
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                routes_of(&std::fs::read_to_string(path).unwrap(), &mut routes);
            }
        }
    }
    routes
}

/// `.route("/path", get(a).post(b))`
fn routes_of(source: &str, routes: &mut BTreeSet<(String, String)>) {
    for part in source.split(".route(").skip(1) {
        let Some((path, rest)) = part.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) else { continue };
        let (mut depth, mut end) = (1, rest.len());
        for (at, c) in rest.char_indices() {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            if depth == 0 {
                end = at;
                break;
            }
        }
        for method in ["get", "post", "put", "patch", "delete"] {
            let called = format!("{method}(");
            if rest[..end].match_indices(&called).any(|(at, _)| !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
                routes.insert((method.to_uppercase(), path.to_owned()));
            }
        }
    }
}

#[test]
fn every_route_is_in_the_table() {
    let table: BTreeSet<(String, String)> = TABLE.iter().map(|(_, method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    let routes = routes();
    let (missing, gone): (Vec<_>, Vec<_>) = (routes.difference(&table).collect(), table.difference(&routes).collect());
    let mut lines = String::new();
    for (method, path) in &missing {
        let _ = writeln!(lines, "    (?, \"{method}\", \"{path}\"),");
    }
    assert!(missing.is_empty(), "say what these routes need:\n{lines}");
    assert!(gone.is_empty(), "these routes are no more: {gone:?}");
    assert_eq!(table.len(), TABLE.len(), "a route is there twice");
    assert!(READING_POSTS.iter().all(|path| table.contains(&("POST".to_owned(), (*path).to_owned()))));
}

fn concrete(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "tea" } else { part }).collect::<Vec<_>>().join("/")
}

async fn session(app: &TestApp, groups: &[&str]) -> String {
    let who = SignedIn {
        subject: format!("s-{}", groups.join("-")),
        label: "somebody".to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        tokens: IssuerTokens::default(),
        refresh_in: None,
    };
    format!("emcrm={}", app.app.session_start(&Call::system(), who).await.unwrap())
}

/// What came back, reduced to what this test is about.
async fn asked(app: &TestApp, method: &str, path: &str, (kind, body): (&str, &'static str), header: Vec<(&str, &str)>) -> (u16, String) {
    let headers: Vec<(&str, &str)> = [("content-type", kind)].into_iter().chain(header).collect();
    let path = concrete(path);
    let call = app.call(Method::from_bytes(method.as_bytes()).unwrap(), &path, &headers, Body::from(body));
    // A stream that goes on is an answer too.
    let Ok(answer) = tokio::time::timeout(std::time::Duration::from_secs(20), call).await else { return (200, String::new()) };
    let to_sign_in = answer.status == 303 && answer.header("location").starts_with("/app/signin");
    let status = if to_sign_in { 401 } else { answer.status.as_u16() };
    (status, String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let (issuer, options) = (Issuer::start().await, closed());
    let access = AccessSettings { issuer: Some(issuer.settings()), ..options.access };
    let mut app = TestApp::with(Options { access, ..options }, router).await;
    // Searches answer once the index is filled.
    app.work();
    app.settled().await;
    let call = Call::system();
    let draft = |days: Option<i64>| emcrm_model::ApiTokenDraft::parse(&json!({ "name": "x", "grant": "admin", "days": days })).unwrap();
    let (_, expired) = app.app.token_create(&call, draft(Some(1))).await.unwrap();
    let too_old = session(&app, &["admin"]).await;
    app.clock.advance(jiff::SignedDuration::from_hours(25));
    let ended = session(&app, &["admin"]).await;
    let open = app.app.session_open(ended.trim_start_matches("emcrm=")).await.unwrap().unwrap();
    app.app.session_end(&call, &open).await.unwrap();
    let (revoked_kept, revoked) = app.app.token_create(&call, draft(None)).await.unwrap();
    app.app.token_revoke(&call, &revoked_kept.id).await.unwrap();
    let mut bearers = Vec::new();
    for grant in ["checkin:tea", "viewer", "editor", "sender", "admin", "checkin:beer"] {
        bearers.push(format!("Bearer {}", token(&app, grant).await));
    }
    let (expired, revoked) = (format!("Bearer {expired}"), format!("Bearer {revoked}"));
    let now = app.app.now().as_second();
    let signed = |instead: Value| format!("Bearer {}", issuer.token(now, instead));
    let (good, late, other) = (signed(json!({})), signed(json!({ "iat": now - 7_200, "exp": now - 3_600 })), signed(json!({ "aud": "other" })));
    let (no_role, stranger) = (session(&app, &[]).await, format!("emcrm={}", "A".repeat(43)));
    let mut wrong = String::new();
    for (needs, method, path) in TABLE {
        for caller in CALLERS {
            let mut mark = None;
            let header = match caller {
                Caller::Anonymous => None,
                Caller::Revoked => Some(("authorization", revoked.clone())),
                Caller::Expired => Some(("authorization", expired.clone())),
                Caller::Stranger => Some(("cookie", stranger.clone())),
                Caller::Ended => Some(("cookie", ended.clone())),
                Caller::TooOld => Some(("cookie", too_old.clone())),
                Caller::SignedLate => Some(("authorization", late.clone())),
                Caller::SignedForOther => Some(("authorization", other.clone())),
                Caller::Signed => Some(("authorization", good.clone())),
                Caller::OtherDoor => Some(("authorization", bearers[5].clone())),
                Caller::NoRole => Some(("cookie", no_role.clone())),
                Caller::Door => Some(("authorization", bearers[0].clone())),
                Caller::Viewer => Some(("authorization", bearers[1].clone())),
                Caller::Editor => Some(("authorization", bearers[2].clone())),
                Caller::Sender => Some(("authorization", bearers[3].clone())),
                Caller::Admin => Some(("authorization", bearers[4].clone())),
                // A new one each time: some of these routes end it.
                Caller::InBrowser(role) => {
                    let cookie = session(&app, &[role]).await;
                    let open = app.app.session_open(cookie.trim_start_matches("emcrm=")).await.unwrap().unwrap();
                    mark = Some(app.app.mark("csrf", &open.digest));
                    Some(("cookie", cookie))
                }
            };
            let header = header.iter().map(|(name, value)| (*name, value.as_str())).chain(mark.as_deref().map(|mark| ("x-csrf-token", mark))).collect();
            // Which event it is about is looked at after the body, so that must be one that is taken.
            let form = caller == Caller::OtherDoor && path.starts_with("/app/");
            let body = if form { ("application/x-www-form-urlencoded", "here=yes") } else { ("application/json", "{}") };
            let (status, body) = asked(&app, method, path, body, header).await;
            let got = if [401, 403].contains(&status) && *needs != Nothing { status } else { 0 };
            let want = expected(*needs, caller, path);
            if got != want || (status >= 500 && *path != "/auth/login") {
                let _ = writeln!(wrong, "{method} {path} by {caller:?}: {status}, expected {want}: {}", body.chars().take(120).collect::<String>());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn a_browser_changes_nothing_without_showing_that_a_page_of_ours_asks() {
    let app = TestApp::with(closed(), router).await;
    let admin = session(&app, &["admin"]).await;
    let mark = app.app.mark("csrf", &app.app.session_open(admin.trim_start_matches("emcrm=")).await.unwrap().unwrap().digest);
    let mut wrong = String::new();
    for (needs, method, path) in TABLE.iter().filter(|(needs, method, _)| *method != "GET" && !matches!(needs, Nothing | Somebody)) {
        let headers = [("content-type", "application/json"), ("cookie", admin.as_str())];
        let ask = async |more: Option<(&str, &str)>| {
            let headers: Vec<(&str, &str)> = headers.into_iter().chain(more).collect();
            let answer = app.call(Method::from_bytes(method.as_bytes()).unwrap(), &concrete(path), &headers, Body::from("{}")).await;
            (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
        };
        // A body that is wrong may be told first; but nothing may be done.
        let (status, _) = ask(None).await;
        let reading = READING_POSTS.contains(path);
        if !reading && ![400, 403, 404, 413, 415, 422].contains(&status) {
            let _ = writeln!(wrong, "{method} {path} ({needs:?}) without a mark: {status}");
        }
        let (status, body) = ask(Some(("origin", "https://evil.example"))).await;
        if status != 403 {
            let _ = writeln!(wrong, "{method} {path} from another site: {status} {body}");
        }
        let (status, body) = ask(Some(("x-csrf-token", &mark))).await;
        if status == 403 || status == 401 {
            let _ = writeln!(wrong, "{method} {path} with its mark: {status} {body}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
