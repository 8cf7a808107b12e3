//! Who may call what: every route of the product, by everybody who could call it. A route that is not in the table fails the test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use axum::body::Body;
use axum::http::Method;
use emcrm_app::Call;
use emcrm_app::sessions::{IssuerTokens, SignedIn};
use emcrm_model::Grant;
use emcrm_server::auth::AccessSettings;
use emcrm_server::auth::roles::Roles;
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
    /// Somebody of this group in a browser, on a page of ours.
    InBrowser(&'static str),
}

const CALLERS: [Caller; 21] = [
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
    Caller::InBrowser("door"),
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
    let at_the_door = [Caller::Door, Caller::InBrowser("door")].contains(&caller) || caller == Caller::OtherDoor && !path.contains('{');
    let door = at_the_door && matches!(needs, SeeEvent | CheckIn);
    if rank >= least || door { 0 } else { 403 }
}

/// Routes of the API as the router describes them, and routes of pages as the sources have them.
fn routes() -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    let document: Value = serde_json::from_str(&emcrm_server::openapi::document("EMCRM").to_json().unwrap()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|key| ["get", "post", "put", "patch", "delete"].contains(&key.as_str())) {
            routes.insert((method.to_uppercase(), path.clone()));
        }
    }
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
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

/// `.route("/path", get(a).post(b))`. What is written in another way would be a route that nobody sees here, so it is refused.
fn routes_of(source: &str, routes: &mut BTreeSet<(String, String)>) {
    for other in [".route_service(", ".nest(", ".nest_service("] {
        assert!(!source.contains(other), "the paths behind {other} cannot be read");
    }
    for part in source.split(".route(").skip(1) {
        let Some((path, rest)) = part.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
            // The name of the route that a request took, and a request on its way.
            let other = part.starts_with(')') || part.starts_with("request,");
            assert!(other, "the path of a route cannot be read: {}", part.lines().next().unwrap_or_default());
            continue;
        };
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
        let mut read = false;
        for method in ["get", "post", "put", "patch", "delete"] {
            let called = format!("{method}(");
            if rest[..end].match_indices(&called).any(|(at, _)| !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
                routes.insert((method.to_uppercase(), path.to_owned()));
                read = true;
            }
        }
        assert!(read, "the methods of {path} cannot be read");
    }
}

#[test]
#[should_panic(expected = "the path of a route cannot be read")]
fn a_route_whose_path_has_a_name_is_not_passed_over() {
    routes_of("Router::new().route(PATH, get(page))", &mut BTreeSet::new());
}

#[test]
#[should_panic(expected = "the methods of /app/new cannot be read")]
fn a_route_for_any_method_is_not_passed_over() {
    routes_of("Router::new().route(\"/app/new\", any(page))", &mut BTreeSet::new());
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

/// Files of the server that take the application from what all handlers share instead of from `Auth`, or act as the product itself, and why they may. No type
/// forbids it, so whoever adds one says so here. Commands (`cli`) are given by whoever has the machine.
const BESIDE_AUTH: &[(&str, &str)] = &[
    ("api/auth.rs", "signing in and out: about the caller's own session"),
    ("api/campaigns.rs", "rows and progress that are sent while they are read, after Auth"),
    ("api/health.rs", "whether storage and search work"),
    ("api/mail_events.rs", "messages of SNS, which are signed"),
    ("api/suppressions.rs", "rows that are sent while they are read, after Auth"),
    ("auth/access.rs", "ends sessions that the issuer does not vouch for"),
    ("auth/mod.rs", "is Auth"),
    ("web/again.rs", "the mark of a form that is shown again"),
    ("web/events/csv.rs", "rows that are sent while they are read, after Auth"),
    ("web/home.rs", "fills an empty installation, after Auth"),
    ("web/people/export.rs", "rows that are sent while they are read, after Auth"),
    ("web/people/fields.rs", "makes up the id of a form"),
    ("web/people/import.rs", "what was left out, after Auth"),
    ("web/public/event.rs", "public events, and registering for them"),
    ("web/public/place.rs", "giving a place back, by a signed link"),
    ("web/shell.rs", "who reads a page, the time and the zone"),
    ("web/sign_in.rs", "the pages of signing in and out"),
    ("web/tracking.rs", "signed links in mails"),
    ("web/unsubscribe.rs", "signed links in mails"),
];

#[test]
fn whatever_goes_past_auth_is_on_a_list() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut folders) = (BTreeSet::new(), vec![sources.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
                if code.any(|line| line.contains("state.app") || line.contains("Call::system()")) {
                    found.insert(path.strip_prefix(&sources).unwrap().to_str().unwrap().replace('\\', "/"));
                }
            }
        }
    }
    found.retain(|file| !file.starts_with("cli/"));
    let listed: BTreeSet<String> = BESIDE_AUTH.iter().map(|(file, _)| (*file).to_owned()).collect();
    let (new, gone): (Vec<_>, Vec<_>) = (found.difference(&listed).collect(), listed.difference(&found).collect());
    assert!(new.is_empty(), "say why these files go past Auth, or take Auth: {new:?}");
    assert!(gone.is_empty(), "these files do not any more: {gone:?}");
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
async fn asked(app: &TestApp, method: &str, place: &str, (kind, body): (&str, &'static str), shown: &[(&'static str, String)]) -> (u16, String) {
    let headers: Vec<(&str, &str)> = [("content-type", kind)].into_iter().chain(shown.iter().map(|(name, value)| (*name, value.as_str()))).collect();
    let call = app.call(Method::from_bytes(method.as_bytes()).unwrap(), place, &headers, Body::from(body));
    // A stream that goes on is an answer too.
    let Ok(answer) = tokio::time::timeout(std::time::Duration::from_secs(20), call).await else { return (200, String::new()) };
    let to_sign_in = answer.status == 303 && answer.header("location").starts_with("/app/signin");
    let status = if to_sign_in { 401 } else { answer.status.as_u16() };
    (status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// With an issuer whose groups have the roles that they are called after; who is in `door` works at one.
fn signing(issuer: &Issuer) -> Options {
    let grant = |group: &str, grant: &str| (group.to_owned(), Grant::parse(grant).unwrap());
    let mut groups: Vec<_> = ["viewer", "editor", "sender", "admin"].into_iter().map(|role| grant(role, role)).collect();
    groups.push(grant("door", "checkin:tea"));
    let access = AccessSettings { issuer: Some(issuer.settings()), roles: Roles { groups, default: None }, ..AccessSettings::default() };
    Options { access, ..Options::default() }
}

/// The headers that callers are known by.
struct Credentials(Vec<(Caller, &'static str, String)>);

impl Credentials {
    /// A day passes meanwhile.
    async fn made(app: &TestApp, issuer: &Issuer) -> Self {
        let call = Call::system();
        let draft = |days: Option<i64>| emcrm_model::ApiTokenDraft::parse(&json!({ "name": "x", "grant": "admin", "days": days })).unwrap();
        let (_, expired) = app.app.token_create(&call, draft(Some(1))).await.unwrap();
        let too_old = session(app, &["admin"]).await;
        app.clock.advance(jiff::SignedDuration::from_hours(25));
        let ended = session(app, &["admin"]).await;
        let open = app.app.session_open(ended.trim_start_matches("emcrm=")).await.unwrap().unwrap();
        app.app.session_end(&call, &open).await.unwrap();
        let (revoked_kept, revoked) = app.app.token_create(&call, draft(None)).await.unwrap();
        app.app.token_revoke(&call, &revoked_kept.id).await.unwrap();
        let now = app.app.now().as_second();
        let mut all = vec![
            (Caller::Stranger, "cookie", format!("emcrm={}", "A".repeat(43))),
            (Caller::Ended, "cookie", ended),
            (Caller::TooOld, "cookie", too_old),
            (Caller::NoRole, "cookie", session(app, &[]).await),
        ];
        let mut bearers = vec![
            (Caller::Revoked, revoked),
            (Caller::Expired, expired),
            (Caller::Signed, issuer.token(now, json!({}))),
            (Caller::SignedLate, issuer.token(now, json!({ "iat": now - 7_200, "exp": now - 3_600 }))),
            (Caller::SignedForOther, issuer.token(now, json!({ "aud": "other" }))),
        ];
        for (caller, grant) in [
            (Caller::Door, "checkin:tea"),
            (Caller::OtherDoor, "checkin:beer"),
            (Caller::Viewer, "viewer"),
            (Caller::Editor, "editor"),
            (Caller::Sender, "sender"),
            (Caller::Admin, "admin"),
        ] {
            bearers.push((caller, token(app, grant).await));
        }
        all.extend(bearers.into_iter().map(|(caller, token)| (caller, "authorization", format!("Bearer {token}"))));
        Self(all)
    }

    async fn of(&self, app: &TestApp, caller: Caller) -> Vec<(&'static str, String)> {
        match caller {
            Caller::Anonymous => Vec::new(),
            // A new one each time: some routes end it.
            Caller::InBrowser(group) => {
                let cookie = session(app, &[group]).await;
                let open = app.app.session_open(cookie.trim_start_matches("emcrm=")).await.unwrap().unwrap();
                vec![("cookie", cookie), ("x-csrf-token", app.app.mark("csrf", &open.digest))]
            }
            _ => {
                let (_, name, value) = self.0.iter().find(|(who, ..)| *who == caller).unwrap();
                vec![(*name, value.clone())]
            }
        }
    }
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let issuer = Issuer::start().await;
    let mut app = TestApp::with(signing(&issuer), router).await;
    // Searches answer once the index is filled.
    app.work();
    app.settled().await;
    let credentials = Credentials::made(&app, &issuer).await;
    let mut wrong = String::new();
    for (needs, method, path) in TABLE {
        for caller in CALLERS {
            // Which event it is about is looked at after the body, so that must be one that is taken.
            let form = caller == Caller::OtherDoor && path.starts_with("/app/");
            let body = if form { ("application/x-www-form-urlencoded", "here=yes") } else { ("application/json", "{}") };
            let (status, body) = asked(&app, method, &concrete(path), body, &credentials.of(&app, caller).await).await;
            let got = if [401, 403].contains(&status) && *needs != Nothing { status } else { 0 };
            let want = expected(*needs, caller, path);
            if got != want || (status >= 500 && *path != "/auth/login") {
                let _ = writeln!(wrong, "{method} {path} by {caller:?}: {status}, expected {want}: {}", body.chars().take(120).collect::<String>());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What there is for the rows of the table to be about. A person, an event and whatever else can be named are called `tea`; these are named by the product.
struct Seeds {
    campaign: String,
    import: String,
    template: String,
    mail: String,
}

const MULTIPART: &str = "multipart/form-data; boundary=XX";
/// A file of people with a row that is left out, and nothing that shows who sends it.
const FILE: &str = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"list.csv\"\r\nContent-Type: text/csv\r\n\r\n\
    Email,First name\r\nbea@example.org,Bea\r\nno address,Ann\r\n\r\n--XX--\r\n";

impl Seeds {
    async fn sown(app: &TestApp) -> Self {
        let admin = format!("Bearer {}", token(app, "admin").await);
        let make = async |path: &str, body: Value| app.json(Method::POST, path, &[("authorization", admin.as_str())], body).await.ok();
        make("/users", json!({ "id": "tea", "firstName": "Tea", "lastName": "B", "email": "tea@example.org" })).await;
        make("/events", json!({ "id": "tea", "title": "Tea", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00" })).await;
        make("/attend", json!({ "user_id": "tea", "event_id": "tea" })).await;
        make("/email/suppressions", json!({ "email": "gone@example.org" })).await;
        let campaign = make("/email/requests", json!({ "filter": {}, "subject": "Hello", "body": "Come." })).await["email_id"].as_str().unwrap().to_owned();
        let template = make("/email/templates", json!({ "name": "x", "subject": "Hello", "body": "Come." })).await["id"].as_str().unwrap().to_owned();
        let answer = app.call(Method::POST, "/app/people/import", &[("authorization", admin.as_str()), ("content-type", MULTIPART)], FILE).await;
        let import = answer.header("location").strip_prefix("/app/people/import/").unwrap().to_owned();
        Self { campaign, import, template, mail: String::new() }
    }

    /// The path with what is there in it.
    fn in_path(&self, path: &str) -> String {
        let named: &str = if path.starts_with("/app/people/import/") {
            &self.import
        } else if path.starts_with("/app/settings/templates/") || path.starts_with("/email/templates/") {
            &self.template
        } else if path.starts_with("/app/campaigns/") || path.starts_with("/email/") && !path.starts_with("/email/status/user/") {
            &self.campaign
        } else {
            "tea"
        };
        let parts = path.split('/').map(|part| match part {
            "{id}" | "{email_id}" => named,
            "{name}" => self.mail.as_str(),
            "{email}" => "gone@example.org",
            other if other.starts_with('{') => "tea",
            other => other,
        });
        parts.collect::<Vec<&str>>().join("/")
    }
}

/// What a row is asked with, so that nothing can be wrong with it but what is missing. `was`: what the form of a person was filled from.
fn right(path: &str, was: &str) -> (&'static str, String) {
    if path == "/app/people/import" {
        return (MULTIPART, FILE.to_owned());
    }
    if path.starts_with("/app/") {
        let fields = [
            ("firstName", "Ann"),
            ("lastName", "B"),
            ("email", "gone@example.org"),
            ("title", "Tea"),
            ("startAt", "2026-03-01T18:00:00"),
            ("endAt", "2026-03-01T20:00:00"),
            ("subject", "Hello"),
            ("body", "Come."),
            ("bodyFormat", "markdown"),
            ("name", "x"),
            ("grant", "viewer"),
            ("to", "ann@example.org"),
            ("scheduledAt", "2026-03-01T18:00:00"),
            ("timezone", "UTC"),
            ("expected", "0"),
            ("rows", "ann@example.org"),
            ("text", "ann@example.org"),
            ("user", "tea"),
            ("address", "tea@example.org"),
            ("field", "company"),
            ("value", "Acme"),
            ("was", if path.ends_with("/edit") { was } else { "" }),
            ("queue", "default"),
            ("id", "x"),
            ("theme", "dark"),
        ];
        return ("application/x-www-form-urlencoded", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish());
    }
    let body = json!({
        "firstName": "Ann", "lastName": "B", "email": "new@example.org", "title": "Tea", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00",
        "user_id": "tea", "event_id": "tea", "attended": "yes", "filter": {}, "subject": "Hello", "body": "Come.", "name": "x", "grant": "viewer",
        "to": "ann@example.org", "scheduledAt": "2026-03-01T18:00:00Z", "timezone": "UTC", "items": [],
    });
    ("application/json", body.to_string())
}

/// Everything that is stored, as text.
async fn stored(app: &TestApp) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for table in [emcrm_store::Table::Main, emcrm_store::Table::Email] {
        let mut after = None;
        loop {
            let rows = app.app.store.engine.scan(table, after, 100).await.unwrap();
            all.extend(rows.items.iter().map(|item| format!("{} / {} {}", item.key.pk, item.key.sk, serde_json::to_string(&item.attrs).unwrap())));
            match rows.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    all
}

#[tokio::test]
async fn a_browser_changes_nothing_without_showing_that_a_page_of_ours_asks() {
    let app = TestApp::with(closed(), router).await;
    let seeds = Seeds::sown(&app).await;
    let (admin, another) = (session(&app, &["admin"]).await, session(&app, &["admin", "editor"]).await);
    let mark_of = async |cookie: &str| app.app.mark("csrf", &app.app.session_open(cookie.trim_start_matches("emcrm=")).await.unwrap().unwrap().digest);
    let (mark, anothers) = (mark_of(&admin).await, mark_of(&another).await);
    let form = app.call(Method::GET, "/app/people/tea/edit", &[("cookie", admin.as_str())], Body::empty()).await;
    let form = String::from_utf8(form.body).unwrap();
    let was = form.split_once("name=\"was\" value=\"").unwrap().1.split('"').next().unwrap();
    let ask = async |method: &str, path: &str, more: Option<(&str, &str)>| {
        let (kind, body) = right(path, was);
        let query = if path == "/app/settings/suppressions/restore" { "?email=ann%40example.org&reason=manual" } else { "" };
        // As a script of our pages asks: pages then say in words what is wrong.
        let headers: Vec<(&str, &str)> = [("content-type", kind), ("cookie", admin.as_str()), ("hx-request", "true")].into_iter().chain(more).collect();
        let place = format!("{}{query}", seeds.in_path(path));
        let answer = app.call(Method::from_bytes(method.as_bytes()).unwrap(), &place, &headers, Body::from(body)).await;
        (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
    };
    let rows: Vec<_> = TABLE.iter().filter(|&&(needs, method, _)| method != "GET" && !matches!(needs, Nothing | Somebody)).copied().collect();
    let before = stored(&app).await;
    let mut wrong = String::new();
    for &(needs, method, path) in &rows {
        if !READING_POSTS.contains(&path) {
            for (what, shown) in [("without a mark", None), ("with the mark of another session", Some(("x-csrf-token", anothers.as_str())))] {
                let (status, body) = ask(method, path, shown).await;
                if status != 403 || !body.contains("it is not one of ours") {
                    let _ = writeln!(wrong, "{method} {path} ({needs:?}) {what}: {status} {body}");
                }
            }
        }
        let (status, body) = ask(method, path, Some(("origin", "https://evil.example"))).await;
        if status != 403 {
            let _ = writeln!(wrong, "{method} {path} from another site: {status} {body}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(stored(&app).await, before, "and nothing was done");
    // The control: with its mark each of them gets beyond that, and what they do is done, and noted.
    let mut known = before.clone();
    for &(_, method, path) in &rows {
        let (status, body) = ask(method, path, Some(("x-csrf-token", &mark))).await;
        if status == 403 || status == 401 {
            let _ = writeln!(wrong, "{method} {path} with its mark: {status} {body}");
        }
        let now = stored(&app).await;
        if unnoted(&known, &now) {
            let _ = writeln!(wrong, "{method} {path} changes something, and the audit trail does not say so: {status}");
        }
        known = now;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_ne!(known, before);
    // The control of that: something that is stored by the way.
    let mut tx = emcrm_store::Transaction::new();
    let attrs = json!({ "type": "user" }).as_object().unwrap().clone();
    tx.put(emcrm_store::Table::Main, emcrm_store::Item { key: emcrm_store::keys::user(&"naive".to_owned().into()), attrs });
    app.app.store.engine.transact(tx).await.unwrap();
    assert!(unnoted(&known, &stored(&app).await));
}

/// Whether something was changed that no new entry of the audit trail is about.
fn unnoted(before: &BTreeSet<String>, after: &BTreeSet<String>) -> bool {
    let (mut changed, mut noted) = (false, false);
    for row in before.symmetric_difference(after) {
        let entry = row.starts_with(emcrm_store::keys::AUDIT_NEW_PREFIX);
        (changed, noted) = (changed || !entry, noted || entry);
    }
    changed && !noted
}

/// What the audit trail calls it when a file leaves.
const EXPORTS: [&str; 6] = ["attendees.exported", "import.faults_exported", "ledger.exported", "suppressions.exported", "user.exported", "users.listed_as_csv"];

/// What is made of things that are there: ledgers, lists, archives, what was left out of a file. Those who may have it get it, and nobody else gets a line of it.
#[tokio::test]
async fn what_is_there_is_given_to_those_who_may_have_it() {
    let issuer = Issuer::start().await;
    let mut app = TestApp::with(signing(&issuer), router).await;
    app.work();
    let mut seeds = Seeds::sown(&app).await;
    app.settled().await;
    let admin = format!("Bearer {}", token(&app, "admin").await);
    let mail = json!({ "filter": {}, "subject": "Hello", "body": "Come." });
    let sent = app.json(Method::POST, "/email/send", &[("authorization", &admin)], mail).await.ok();
    app.quiet().await;
    sent["email_id"].as_str().unwrap().clone_into(&mut seeds.campaign);
    let file = std::fs::read_dir(app.folder.path().join("outbox")).unwrap().next().unwrap().unwrap();
    seeds.mail = file.file_name().into_string().unwrap();
    let credentials = Credentials::made(&app, &issuer).await;
    let file = |path: &str| path.rsplit('.').next() == Some("csv");
    let archive = |path: &str| ["/users/{id}/export", "/app/people/{id}/archive"].contains(&path);
    let about_something = TABLE
        .iter()
        .filter(|&&(needs, method, path)| !matches!(needs, Nothing | Somebody) && (method == "GET" && (path.contains('{') || file(path)) || archive(path)));
    let (mut wrong, mut left) = (String::new(), 0);
    for &(needs, method, path) in about_something {
        for caller in CALLERS {
            let (status, body) = asked(&app, method, &seeds.in_path(path), ("application/json", "{}"), &credentials.of(&app, caller).await).await;
            left += usize::from(status == 200 && (file(path) || archive(path)));
            let good = match expected(needs, caller, path) {
                // A state may be in the way, such as of a campaign that went out and shall be edited. That it is there is told.
                0 if !file(path) && !archive(path) => ![401, 403, 404].contains(&status) && status < 500,
                0 => status == 200 && !body.is_empty(),
                refused => status == refused && !body.contains("tea@example.org"),
            };
            if !good {
                let _ = writeln!(wrong, "{method} {path} by {caller:?}: {status} {}", body.chars().take(120).collect::<String>());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // Each that left is in the audit trail, once.
    let is_export = |row: &str| row.starts_with("audit_log#") && EXPORTS.iter().any(|what| row.contains(&format!("\"what\":\"{what}\"")));
    let mut noted = 0;
    for _ in 0..2_400 {
        noted = stored(&app).await.iter().filter(|row| is_export(row.as_str())).count();
        if noted == left {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!((noted, left > EXPORTS.len()), (left, true));
    app.stop().await;
}
