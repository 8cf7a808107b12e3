//! Signing in with a real OpenID provider, end to end, without a browser: the test follows the redirects itself.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use emcrm_app::sessions::{IssuerTokens, OpenSession, REFRESH_LEASE, SignedIn};
use emcrm_model::{Clock as _, SystemClock};
use emcrm_server::auth::roles::Roles;
use emcrm_server::auth::{AccessSettings, Without};
use emcrm_server::http::gate::{GateLimits, GateSettings};
use emcrm_server::router::router;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::helpers::{Answer, Options, TestApp, http_client, part};

const HOST: &str = "127.0.0.1:8231";

/// Tests that change the provider for all keep others out.
static PROVIDER: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

fn options() -> Options {
    let issuer = emcrm_oidc::IssuerSettings {
        scopes: ["openid", "email", "profile", "groups", "offline_access"].map(str::to_owned).to_vec(),
        ..emcrm_oidc::IssuerSettings::of(&part("EMCRM_OIDC"), "crm", Some("crm-secret".to_owned()))
    };
    let grant = |name: &str, grant: &str| (name.to_owned(), emcrm_model::Grant::parse(grant).unwrap());
    let groups = vec![grant("admins", "admin"), grant("senders", "sender"), grant("editors", "editor"), grant("viewers", "viewer")];
    Options {
        access: AccessSettings { issuer: Some(issuer), roles: Roles { groups, default: None }, ..AccessSettings::default() },
        now: Some(SystemClock.now()),
        ..Options::default()
    }
}

async fn app() -> TestApp {
    TestApp::with(options(), router).await
}

/// A browser: its cookies for us, and its cookies for the provider.
struct Browser<'a> {
    app: &'a TestApp,
    ours: BTreeMap<String, String>,
    theirs: BTreeMap<String, String>,
    http: reqwest::Client,
}

fn take(cookies: &mut BTreeMap<String, String>, line: &str) {
    let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
    if value.is_empty() || line.contains("Max-Age=0") || line.contains("expires=Thu, 01 Jan 1970") {
        cookies.remove(name);
    } else {
        cookies.insert(name.to_owned(), value.to_owned());
    }
}

fn line(cookies: &BTreeMap<String, String>) -> String {
    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

impl<'a> Browser<'a> {
    fn new(app: &'a TestApp) -> Self {
        let http = http_client();
        Self { app, ours: BTreeMap::new(), theirs: BTreeMap::new(), http }
    }

    async fn call(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let cookie = line(&self.ours);
        let headers: Vec<(&str, &str)> = [("host", HOST), ("cookie", cookie.as_str())].into_iter().chain(headers.iter().copied()).collect();
        let answer = self.app.call(method, path, &headers, Body::from(body.to_owned())).await;
        for value in answer.headers.get_all("set-cookie") {
            take(&mut self.ours, value.to_str().unwrap());
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let headers: Vec<(&str, &str)> = [("content-type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
        self.call(Method::POST, path, &headers, &body.to_string()).await
    }

    /// One request to the provider; where it sends us next.
    async fn theirs(&mut self, method: reqwest::Method, url: &str, form: Option<&[(&str, &str)]>) -> Option<String> {
        let mut request = self.http.request(method, url).header("cookie", line(&self.theirs));
        if let Some(form) = form {
            let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await.unwrap();
        for value in answer.headers().get_all("set-cookie") {
            take(&mut self.theirs, value.to_str().unwrap());
        }
        let next = answer.headers().get("location")?.to_str().unwrap();
        Some(url::Url::parse(url).unwrap().join(next).unwrap().to_string())
    }

    /// Goes to the provider and signs in there; the address that it sends the browser back to.
    async fn answer_of_provider(&mut self, login: &str, name: &str) -> String {
        self.answer_to(login, name, |asked| asked).await
    }

    /// The same when somebody changes what the provider is asked.
    async fn answer_to(&mut self, login: &str, name: &str, change: impl FnOnce(String) -> String) -> String {
        let answer = self.get(login).await;
        assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
        let mut url = change(answer.header("location").to_owned());
        for _ in 0..10 {
            let back = url::Url::parse(&url).unwrap();
            if back.path() == "/auth/callback" {
                return format!("{}?{}", back.path(), back.query().unwrap_or_default());
            }
            let form = [("login", name), ("password", &format!("pw-{name}"))];
            let asks = back.path().starts_with("/interaction/");
            let next = if asks { self.theirs(reqwest::Method::POST, &url, Some(&form)).await } else { self.theirs(reqwest::Method::GET, &url, None).await };
            url = next.unwrap();
        }
        panic!("the provider never sent us back");
    }

    async fn sign_in(&mut self, name: &str) {
        let back = self.answer_of_provider("/auth/login?return=%2Fapp%2Fpeople", name).await;
        let answer = self.get(&back).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/app/people"), "{}", String::from_utf8_lossy(&answer.body));
    }

    /// A session without a refresh token: nobody asks the provider, whose clock stands still while ours runs.
    async fn hold_session(&mut self) {
        self.hold_session_with(IssuerTokens::default()).await;
    }

    async fn hold_session_with(&mut self, tokens: IssuerTokens) {
        let cookie = self.app.app.session_start(&emcrm_app::Call::system(), bob(tokens)).await.unwrap();
        self.ours.insert("emcrm".to_owned(), cookie);
    }

    async fn open_session(&self) -> Option<OpenSession> {
        self.app.app.session_open(&self.ours["emcrm"]).await.unwrap()
    }

    async fn tokens(&self) -> IssuerTokens {
        self.app.app.session_tokens(&self.open_session().await.unwrap()).unwrap()
    }

    async fn csrf(&mut self) -> String {
        self.get("/auth/session").await.ok()["csrf_token"].as_str().unwrap().to_owned()
    }
}

fn bob(tokens: IssuerTokens) -> SignedIn {
    SignedIn { subject: "bob".to_owned(), label: "bob@example.org".to_owned(), groups: vec!["viewers".to_owned()], tokens, refresh_in: Some(3_600) }
}

fn refreshable(refresh: &str) -> IssuerTokens {
    IssuerTokens { id: "the-id-token".to_owned(), access: "a".to_owned(), refresh: Some(refresh.to_owned()) }
}

/// An issuer of whom nothing but this answer to a refresh token can be had; none: it never comes.
async fn issuer_answering(answer: Option<(u16, Value)>) -> emcrm_oidc::IssuerSettings {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let document = json!({
        "issuer": url, "authorization_endpoint": format!("{url}/a"), "token_endpoint": format!("{url}/t"), "jwks_uri": format!("{url}/k"),
        "end_session_endpoint": format!("{url}/out"),
    });
    let token = move || {
        let answer = answer.clone();
        async move {
            match answer {
                Some((status, body)) => (StatusCode::from_u16(status).unwrap(), axum::Json(body)),
                None => std::future::pending().await,
            }
        }
    };
    let routes = axum::Router::new()
        .route("/.well-known/openid-configuration", axum::routing::get(move || std::future::ready(axum::Json(document.clone()))))
        .route("/t", axum::routing::post(token));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    emcrm_oidc::IssuerSettings::of(&url, "crm", None)
}

/// The product with another issuer than the provider.
async fn app_with(issuer: emcrm_oidc::IssuerSettings) -> TestApp {
    let groups = vec![("viewers".to_owned(), emcrm_model::Grant::parse("viewer").unwrap())];
    let access = AccessSettings { issuer: Some(issuer), roles: Roles { groups, default: None }, ..AccessSettings::default() };
    TestApp::with(Options { access, ..Options::default() }, router).await
}

async fn provider(path: &str, body: Value) {
    let url = format!("{}/test/{path}", part("EMCRM_OIDC"));
    let client = reqwest::Client::builder().build().unwrap();
    let answer = client.post(url).header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
}

#[tokio::test]
async fn somebody_signs_in_works_and_signs_out() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let mut eve = Browser::new(&app);
    assert_eq!(eve.get("/app?city=York").await.header("location"), "/app/signin?return=%2Fapp%3Fcity%3DYork");
    eve.sign_in("eve").await;
    let me = eve.get("/auth/me").await.ok();
    assert_eq!((me["label"].as_str().unwrap(), me["grant"].as_str().unwrap(), &me["groups"]), ("eve@example.org", "editor", &json!(["editors"])));
    for same in ["/auth/user", "/auth/userinfo"] {
        assert_eq!(eve.get(same).await.ok(), me);
    }
    let session = eve.get("/auth/session").await.ok();
    assert_eq!((session["authenticated"].as_bool(), session["idle_seconds"].as_i64()), (Some(true), Some(7_200)));
    let csrf = eve.csrf().await;
    let user = json!({ "id": "ann", "firstName": "Ann", "lastName": "B", "email": "ann@example.org" });
    assert_eq!(eve.post("/users", &[], user.clone()).await.problem(403), "csrf");
    assert_eq!(eve.post("/users", &[("x-csrf-token", "x")], user.clone()).await.problem(403), "csrf");
    assert_eq!(eve.post("/users", &[("x-csrf-token", &csrf), ("origin", "https://evil.example")], user.clone()).await.problem(403), "cross_site");
    eve.post("/users", &[("x-csrf-token", &csrf)], user).await.ok();
    assert_eq!(eve.get("/tokens").await.problem(403), "forbidden");
    let token = eve.get("/auth/token").await.ok();
    assert!(token["access_token"].as_str().is_some_and(|token| !token.is_empty()));
    // A link alone signs nobody out.
    assert_eq!(eve.get("/auth/logout").await.header("location"), "/app/signout");
    assert_eq!(eve.get("/app/signout").await.status, 200);
    eve.get("/auth/me").await.ok();
    assert_eq!(eve.post("/auth/logout", &[], json!({})).await.problem(403), "csrf");
    let kept = eve.ours.clone();
    let out = eve.post("/auth/logout", &[("x-csrf-token", &csrf)], json!({})).await.ok();
    assert!(out["logout_url"].as_str().unwrap().starts_with(&part("EMCRM_OIDC")));
    assert_eq!(eve.get("/auth/me").await.problem(401), "unauthorized");
    eve.ours = kept;
    assert_eq!(eve.get("/auth/me").await.problem(401), "unauthorized", "what the browser held is worth nothing any more");
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
    let app = app().await;
    let mut bob = Browser::new(&app);
    bob.hold_session().await;
    app.clock.advance(SignedDuration::from_mins(119));
    bob.get("/users").await.ok();
    app.clock.advance(SignedDuration::from_mins(121));
    assert_eq!(bob.get("/users").await.problem(401), "unauthorized", "idle");
    let app = self::app().await;
    let mut bob = Browser::new(&app);
    bob.hold_session().await;
    for _ in 0..23 {
        app.clock.advance(SignedDuration::from_hours(1));
        bob.get("/users").await.ok();
    }
    app.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(bob.get("/users").await.problem(401), "unauthorized", "old");
}

#[tokio::test]
async fn a_session_in_use_goes_on_however_short_it_may_lie_idle() {
    let app = TestApp::with(Options { session_idle_minutes: 1, ..options() }, router).await;
    let mut bob = Browser::new(&app);
    bob.hold_session().await;
    for _ in 0..5 {
        app.clock.advance(SignedDuration::from_secs(40));
        bob.get("/users").await.ok();
    }
    app.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(bob.get("/users").await.problem(401), "unauthorized");
}

/// Two requests read the session before either has asked the issuer. Whoever comes second must not use the refresh token that the first has used.
#[tokio::test]
async fn a_session_that_was_read_before_it_was_refreshed_asks_nobody() {
    let app = app().await;
    let mut bob = Browser::new(&app);
    bob.hold_session().await;
    let before = bob.open_session().await.unwrap();
    assert!(app.app.session_refresh_begin(&before).await.unwrap());
    app.app.session_refreshed(&before, self::bob(refreshable("the next"))).await.unwrap();
    assert!(!app.app.session_refresh_begin(&before).await.unwrap());
    // The control: whoever has read it since may.
    let now = bob.open_session().await.unwrap();
    assert!(app.app.session_refresh_begin(&now).await.unwrap());
}

/// Somebody asked the issuer, was slow, and lost the turn. Whoever came next is told that the token was used, or nothing at all; the first answer counts.
#[tokio::test]
async fn what_is_said_about_a_token_that_the_session_no_longer_has_ends_nothing_and_changes_nothing() {
    let app = app_with(issuer_answering(None).await).await;
    let mut bob = Browser::new(&app);
    bob.hold_session_with(refreshable("the first")).await;
    let before = bob.open_session().await.unwrap();
    assert!(app.app.session_refresh_begin(&before).await.unwrap());
    app.clock.advance(SignedDuration::from_secs(REFRESH_LEASE));
    assert!(app.app.session_refresh_begin(&before).await.unwrap(), "the turn is over");
    app.app.session_refreshed(&before, self::bob(refreshable("the next"))).await.unwrap();
    assert!(!app.app.session_refused(&emcrm_app::Call::system(), &before).await.unwrap());
    app.app.session_refresh_later(&before).await.unwrap();
    app.app.session_refreshed(&before, self::bob(refreshable("too late"))).await.unwrap();
    assert_eq!(bob.tokens().await.refresh.as_deref(), Some("the next"));
    // The control: what is said about the token that it has ends it.
    let now = bob.open_session().await.unwrap();
    assert!(app.app.session_refused(&emcrm_app::Call::system(), &now).await.unwrap());
    assert!(bob.open_session().await.is_none());
    assert!(!app.app.session_refused(&emcrm_app::Call::system(), &now).await.unwrap(), "it is over already");
}

/// The issuer takes the question and never answers. Whoever asked gives up, and gives the turn back, long before anybody else may ask.
#[tokio::test]
async fn a_refresh_that_the_issuer_does_not_answer_is_given_up_and_the_session_goes_on() {
    let silent = issuer_answering(None).await;
    let app = app_with(emcrm_oidc::IssuerSettings { refresh_time: Duration::from_millis(200), ..silent.clone() }).await;
    let mut bob = Browser::new(&app);
    bob.hold_session_with(refreshable("the first")).await;
    let csrf = bob.csrf().await;
    assert_eq!(bob.post("/auth/refresh", &[("x-csrf-token", &csrf)], json!({})).await.ok()["authenticated"], true);
    let open = bob.open_session().await.unwrap();
    assert_eq!((open.session.refreshing_until, open.session.refresh_at), (None, Some(app.app.now().as_second() + 60)));
    assert_eq!(bob.tokens().await.refresh.as_deref(), Some("the first"));
    // The control: with the time that it has as a rule it still waits.
    let app = app_with(silent).await;
    let mut bob = Browser::new(&app);
    bob.hold_session_with(refreshable("the first")).await;
    let csrf = bob.csrf().await;
    let headers = [("x-csrf-token", csrf.as_str())];
    assert!(tokio::time::timeout(Duration::from_secs(1), bob.post("/auth/refresh", &headers, json!({}))).await.is_err());
}

/// The id token may be left out of the answer to a refresh token. Signing out at the issuer needs it; an empty one would be a wrong one.
#[tokio::test]
async fn signing_out_names_the_id_token_that_is_known_and_none_where_none_is() {
    let issuer = issuer_answering(Some((200, json!({ "access_token": "the-next", "token_type": "Bearer", "expires_in": 3_600 })))).await;
    let app = app_with(issuer).await;
    let mut bob = Browser::new(&app);
    let left_to = async |bob: &mut Browser<'_>| {
        let csrf = bob.csrf().await;
        bob.post("/auth/logout", &[("x-csrf-token", &csrf)], json!({})).await.ok()["logout_url"].as_str().unwrap().to_owned()
    };
    bob.hold_session_with(refreshable("the first")).await;
    let csrf = bob.csrf().await;
    bob.post("/auth/refresh", &[("x-csrf-token", &csrf)], json!({})).await.ok();
    let tokens = bob.tokens().await;
    assert_eq!((tokens.access.as_str(), tokens.id.as_str(), tokens.refresh.as_deref()), ("the-next", "the-id-token", Some("the first")));
    let url = left_to(&mut bob).await;
    assert!(url.contains("id_token_hint=the-id-token&client_id=crm"), "{url}");
    bob.hold_session().await;
    let url = left_to(&mut bob).await;
    assert!(!url.contains("id_token_hint") && url.contains("client_id=crm"), "{url}");
}

/// Whoever could not sign in begins again, and comes to the page that was asked for.
#[tokio::test]
async fn a_sign_in_that_failed_forgets_nothing_of_where_it_led() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let mut eve = Browser::new(&app);
    let back = eve.answer_of_provider("/auth/login?return=%2Fapp%2Fpeople%3Fq%3Da", "eve").await;
    let answer = eve.call(Method::GET, &format!("{back}&error=access_denied"), &[("accept", "text/html")], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/app/signin?failed=sign_in_refused&return=%2Fapp%2Fpeople%3Fq%3Da"));
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_here_signs_nobody_in() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let (mut eve, mut mallory) = (Browser::new(&app), Browser::new(&app));
    let back = eve.answer_of_provider("/auth/login", "eve").await;
    let changed = |name: &str, value: &str| {
        let url = url::Url::parse(&format!("http://x{back}")).unwrap();
        let pairs = url.query_pairs().map(|(n, v)| (n.to_string(), if n == name { value.to_owned() } else { v.to_string() }));
        format!("/auth/callback?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    };
    // In a browser that asked for nothing, and in one that asked for something else.
    assert_eq!(mallory.get(&back).await.problem(400), "sign_in_stale");
    mallory.answer_of_provider("/auth/login", "bob").await;
    assert_eq!(mallory.get(&back).await.problem(400), "sign_in_stale");
    // With a state, an issuer or a code of one's own.
    for (name, value) in [("state", "x"), ("iss", "https://evil.example"), ("code", "x")] {
        assert_eq!(eve.get(&changed(name, value)).await.problem(400), "sign_in_stale", "{name}");
    }
    assert_eq!(eve.get("/auth/callback").await.problem(400), "sign_in_stale");
    assert_eq!(eve.get(&format!("{back}&error=access_denied")).await.problem(403), "sign_in_refused");
    // Too late.
    let mut late = Browser::new(&app);
    let back = late.answer_of_provider("/auth/login", "eve").await;
    app.clock.advance(SignedDuration::from_mins(11));
    assert_eq!(late.get(&back).await.problem(400), "sign_in_stale");
    assert!(!late.ours.contains_key("emcrm"));
}

/// A token that was made for another sign-in: state, code and verifier are right, the nonce in the signed token is not ours.
#[tokio::test]
async fn a_token_with_a_nonce_of_somebody_elses_signs_nobody_in() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let with_nonce = |asked: String, nonce: Option<&str>| {
        let mut url = url::Url::parse(&asked).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        assert!(pairs.iter().any(|(name, _)| name == "nonce"));
        url.query_pairs_mut().clear().extend_pairs(pairs.iter().filter(|(name, _)| name != "nonce")).extend_pairs(nonce.map(|nonce| ("nonce", nonce)));
        url.to_string()
    };
    for nonce in [Some("of-another-sign-in"), None] {
        let mut eve = Browser::new(&app);
        let back = eve.answer_to("/auth/login", "eve", |asked| with_nonce(asked, nonce)).await;
        assert_eq!(eve.get(&back).await.problem(400), "sign_in_stale", "{nonce:?}");
        assert!(!eve.ours.contains_key("emcrm"));
    }
    // The control: what is asked unchanged signs in.
    Browser::new(&app).sign_in("eve").await;
}

/// The attacks of the tests above, each with its defence taken away: these tests would see them succeed.
#[tokio::test]
async fn without_their_defences_links_lead_anywhere_planted_sessions_live_and_made_up_answers_count() {
    let _shared = PROVIDER.read().await;
    let lacking = |without| {
        let options = options();
        TestApp::with(Options { access: AccessSettings { without, ..options.access }, ..options }, router)
    };
    let app = lacking(Without::SafeReturn).await;
    let mut eve = Browser::new(&app);
    let back = eve.answer_of_provider("/auth/login?return=https%3A%2F%2Fevil.example%2F", "eve").await;
    assert_eq!(eve.get(&back).await.header("location"), "https://evil.example/");
    let app = lacking(Without::NewSession).await;
    let (mut mallory, mut eve) = (Browser::new(&app), Browser::new(&app));
    mallory.sign_in("bob").await;
    eve.ours = mallory.ours.clone();
    eve.sign_in("eve").await;
    mallory.get("/auth/me").await.ok();
    let app = lacking(Without::State).await;
    let mut eve = Browser::new(&app);
    let back = eve.answer_of_provider("/auth/login", "eve").await;
    let (path, state) = back.split_once("state=").unwrap();
    let rest = state.split_once('&').map_or("", |(_, rest)| rest);
    assert_eq!(eve.get(&format!("{path}state=x&{rest}")).await.status, 303);
    eve.get("/auth/me").await.ok();
}

#[tokio::test]
async fn a_code_is_good_once() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let mut eve = Browser::new(&app);
    let back = eve.answer_of_provider("/auth/login", "eve").await;
    let before = eve.ours.clone();
    assert_eq!(eve.get(&back).await.status, 303);
    let mut again = Browser::new(&app);
    again.ours = before;
    assert_eq!(again.get(&back).await.problem(400), "sign_in_stale");
}

#[tokio::test]
async fn nobody_can_plant_a_session_and_everybody_is_sent_home() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let (mut mallory, mut eve) = (Browser::new(&app), Browser::new(&app));
    mallory.sign_in("bob").await;
    // The victim's browser holds the attacker's session and signs in.
    eve.ours = mallory.ours.clone();
    let planted = eve.ours["emcrm"].clone();
    let back = eve.answer_of_provider("/auth/login?return=https%3A%2F%2Fevil.example%2F", "eve").await;
    let answer = eve.get(&back).await;
    assert_eq!(answer.header("location"), "/app", "and not to where the link said");
    assert_ne!(eve.ours["emcrm"], planted);
    assert_eq!(eve.get("/auth/me").await.ok()["label"], "eve@example.org");
    assert_eq!(mallory.get("/auth/me").await.problem(401), "unauthorized", "what was planted is dead");
    // An id of one's own choice is no session.
    mallory.ours.insert("emcrm".to_owned(), "A".repeat(43));
    assert_eq!(mallory.get("/auth/me").await.problem(401), "unauthorized");
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_of_that_person_and_of_nobody_else() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let (mut here, mut there, mut other) = (Browser::new(&app), Browser::new(&app), Browser::new(&app));
    here.sign_in("sam").await;
    there.sign_in("sam").await;
    other.sign_in("eve").await;
    let csrf = here.csrf().await;
    here.post("/auth/logout?everywhere=true", &[("x-csrf-token", &csrf)], json!({})).await.ok();
    assert_eq!(there.get("/auth/me").await.problem(401), "unauthorized");
    other.get("/auth/me").await.ok();
}

#[tokio::test]
async fn somebody_without_a_role_is_told_so_and_may_do_nothing() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let mut zoe = Browser::new(&app);
    zoe.sign_in("zoe").await;
    assert_eq!(zoe.get("/auth/me").await.ok()["grant"], Value::Null);
    assert_eq!(zoe.get("/users").await.problem(403), "forbidden");
    assert_eq!(zoe.get("/app").await.status, 403);
}

#[tokio::test]
async fn tokens_of_the_issuer_are_accepted_from_programs() {
    let _shared = PROVIDER.read().await;
    let app = app().await;
    let mut eve = Browser::new(&app);
    eve.sign_in("eve").await;
    let open = app.app.session_open(&eve.ours["emcrm"]).await.unwrap().unwrap();
    let tokens = app.app.session_tokens(&open).unwrap();
    let bearer = format!("Bearer {}", tokens.id);
    let answer = app.call(Method::GET, "/auth/me", &[("authorization", &bearer)], Body::empty()).await.ok();
    assert_eq!((answer["grant"].as_str(), answer["label"].as_str()), (Some("editor"), Some("eve@example.org")));
    // A program needs no csrf token: no page of another site can send the header.
    let user = json!({ "firstName": "Ann", "lastName": "B", "email": "ann@example.org" });
    app.json(Method::POST, "/users", &[("authorization", &bearer)], user).await.ok();
    let forged = format!("Bearer {}x", &tokens.id[..tokens.id.len() - 1]);
    assert_eq!(app.call(Method::GET, "/auth/me", &[("authorization", &forged)], Body::empty()).await.problem(401), "unauthorized");
    app.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(app.call(Method::GET, "/auth/me", &[("authorization", &bearer)], Body::empty()).await.problem(401), "unauthorized");
    // What the issuer gave is kept, and cannot be read by whoever reads the storage.
    let rows = app.app.store.engine.scan(emcrm_store::Table::Main, None, 100).await.unwrap().items;
    let text: String = rows.iter().map(|row| serde_json::to_string(&row.attrs).unwrap()).collect();
    for secret in [tokens.id.as_str(), tokens.access.as_str(), tokens.refresh.as_deref().unwrap(), eve.ours["emcrm"].as_str()] {
        assert!(!text.contains(secret));
    }
}

/// Changes the provider for everybody, so it runs alone.
#[tokio::test]
async fn the_issuer_is_asked_again_and_what_it_says_counts() {
    let _alone = PROVIDER.write().await;
    provider("reset", json!({})).await;
    // Our clock runs ahead of the provider's in this test, so its id tokens must last.
    provider("ttl", json!({ "AccessToken": 60, "IdToken": 86_400 })).await;
    let app = app().await;
    let mut sam = Browser::new(&app);
    sam.sign_in("sam").await;
    assert_eq!(sam.get("/auth/me").await.ok()["grant"], "sender");
    // Another group: known as soon as the access token has run out, without anybody waiting.
    provider("people", json!({ "name": "sam", "groups": ["viewers"] })).await;
    assert_eq!(sam.get("/auth/me").await.ok()["grant"], "sender");
    app.clock.advance(SignedDuration::from_secs(61));
    let granted = async |sam: &mut Browser<'_>, wanted: &str| {
        for _ in 0..3_000 {
            let me = sam.get("/auth/me").await;
            if me.status == 200 && me.value()["grant"] == wanted {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    };
    assert!(granted(&mut sam, "viewer").await);
    // By hand.
    let csrf = sam.csrf().await;
    sam.post("/auth/refresh", &[("x-csrf-token", &csrf)], json!({})).await.ok();
    // New keys: whoever signs in now, and whoever is refreshed, is known by them.
    provider("rotate", json!({})).await;
    let mut eve = Browser::new(&app);
    eve.sign_in("eve").await;
    // The provider is down: who is signed in goes on, who is not has to wait.
    provider("down", json!({ "down": true })).await;
    app.clock.advance(SignedDuration::from_secs(61));
    sam.get("/users").await.ok();
    // The question is over, and the next one comes in a minute.
    for _ in 0..3_000 {
        let session = sam.open_session().await.unwrap().session;
        if (session.refreshing_until, session.refresh_at) == (None, Some(app.app.now().as_second() + 60)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sam.get("/users").await.ok();
    let fresh = TestApp::with(options(), router).await;
    assert_eq!(Browser::new(&fresh).get("/auth/login").await.problem(503), "sign_in_unavailable");
    provider("down", json!({ "down": false })).await;
    // The person is gone: so is the session.
    provider("people", json!({ "name": "sam", "gone": true })).await;
    app.clock.advance(SignedDuration::from_secs(61));
    let mut gone = false;
    for _ in 0..3_000 {
        gone = sam.get("/auth/me").await.status == 401;
        if gone {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(gone);
    provider("reset", json!({})).await;
}

/// A refresh token can be used once: who uses it a second time loses everything that the provider gave, and the session with it.
#[tokio::test]
async fn a_session_that_is_refreshed_twice_at_once_asks_the_issuer_once() {
    let _shared = PROVIDER.read().await;
    let tokens_of = async |sam: &Browser<'_>| {
        let open = sam.app.app.session_open(&sam.ours["emcrm"]).await.unwrap().unwrap();
        sam.app.app.session_tokens(&open).unwrap()
    };
    let refreshed_twice = async |sam: &mut Browser<'_>| {
        let csrf = sam.csrf().await;
        let headers = [("x-csrf-token", csrf.as_str())];
        let mut again = Browser::new(sam.app);
        again.ours.clone_from(&sam.ours);
        tokio::join!(sam.post("/auth/refresh", &headers, json!({})), again.post("/auth/refresh", &headers, json!({})))
    };
    let app = app().await;
    let mut sam = Browser::new(&app);
    sam.sign_in("sam").await;
    let first = tokens_of(&sam).await;
    let (one, other) = refreshed_twice(&mut sam).await;
    assert_eq!((one.ok()["authenticated"].as_bool(), other.ok()["authenticated"].as_bool()), (Some(true), Some(true)));
    assert_ne!(tokens_of(&sam).await.refresh, first.refresh, "the provider was asked");
    // What it gave is good, so nobody has used a token twice.
    let csrf = sam.csrf().await;
    assert_eq!(sam.post("/auth/refresh", &[("x-csrf-token", &csrf)], json!({})).await.ok()["authenticated"], true);
    assert_eq!(sam.get("/auth/me").await.ok()["grant"], "sender");
    // The control: without turns both use the same token, and the session is over.
    let options = options();
    let app = TestApp::with(Options { access: AccessSettings { without: Without::Turn, ..options.access }, ..options }, router).await;
    let mut sam = Browser::new(&app);
    sam.sign_in("sam").await;
    refreshed_twice(&mut sam).await;
    // At once, or when the provider is asked the next time: it has taken back what it gave to either.
    let csrf = sam.csrf().await;
    sam.post("/auth/refresh", &[("x-csrf-token", &csrf)], json!({})).await;
    assert_eq!(sam.get("/auth/me").await.problem(401), "unauthorized");
}

#[tokio::test]
async fn attempts_to_sign_in_are_counted() {
    let _shared = PROVIDER.read().await;
    let limits = GateLimits { sign_ins: 3, ..GateLimits::default() };
    let app = TestApp::with(Options { gate: GateSettings { limits, ..GateSettings::default() }, ..options() }, router).await;
    let mut eve = Browser::new(&app);
    for (path, left) in [("/auth/login", "2"), ("/auth/login/", "1"), ("/auth/login", "0")] {
        let answer = eve.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit-remaining")), (303, left));
    }
    for path in ["/auth/callback", "/auth/callback/", "/auth/login/"] {
        assert_eq!(eve.get(path).await.problem(429), "too_many_requests", "{path}");
    }
    let answer = eve.get("/auth/login").await;
    assert_eq!(answer.problem(429), "too_many_requests");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    // Wrong tokens count with them.
    assert_eq!(app.call(Method::GET, "/users", &[("authorization", "Bearer x")], Body::empty()).await.problem(429), "too_many_requests");
}

#[tokio::test]
async fn who_does_not_say_who_he_is_is_counted_by_his_address() {
    let limits = GateLimits { public: 1, ..GateLimits::default() };
    let app = TestApp::with(Options { gate: GateSettings { limits, ..GateSettings::default() }, ..options() }, router).await;
    // Five in a burst, and one a second: sooner or later it is too much, whatever is asked and however slow this machine is.
    let public = [
        (Method::GET, "/users"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/docs"),
        (Method::GET, "/app"),
        (Method::GET, "/app/signin"),
        (Method::GET, "/app/signedin"),
        (Method::GET, "/app/signout"),
        (Method::POST, "/app/signout"),
        (Method::GET, "/auth/status"),
        (Method::GET, "/auth/session"),
        (Method::GET, "/auth/logout"),
        (Method::POST, "/auth/logout"),
        (Method::GET, "/auth/me"),
        (Method::GET, "/nowhere"),
        (Method::GET, "/users/a/b"),
        (Method::DELETE, "/health"),
    ];
    for (method, path) in public.clone() {
        let mut refused = false;
        for _ in 0..200 {
            refused = app.call(method.clone(), path, &[], Body::empty()).await.status == 429;
            if refused {
                break;
            }
        }
        assert!(refused, "{method} {path}");
    }
    // SNS sends again what is answered by 503, but nothing that is answered by 429.
    let mut answer = app.post("/mail/events/sns", json!({})).await;
    for _ in 0..200 {
        if answer.status == 503 {
            break;
        }
        answer = app.post("/mail/events/sns", json!({})).await;
    }
    assert_eq!(answer.problem(503), "too_many_requests");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    // Whoever watches the process is answered also then, and as often as he asks.
    for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
        for _ in 0..10 {
            assert_eq!(app.get(path).await.status, 200, "{path}");
        }
    }
    // The control: without a limit nobody is refused.
    let app = self::app().await;
    for (method, path) in public {
        for _ in 0..10 {
            assert_ne!(app.call(method.clone(), path, &[], Body::empty()).await.status, 429, "{method} {path}");
        }
    }
}
