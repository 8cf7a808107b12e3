//! `TestApp`: the product in memory, with a clock that stands still and ids from a seed, so that bodies can be snapshots.

mod away;
pub mod issuer;
pub mod otlp;
mod pair;
pub mod process;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use emcrm_app::{App, AppParts, AppSettings, Worker};
use emcrm_mail::{Mailbox, Outbox, Transport};
use emcrm_model::{FixedClock, SeededIds};
use emcrm_server::auth::{Access, AccessSettings};
use emcrm_server::http::edge::{Edge, Limits};
use emcrm_server::http::gate::{Gate, GateSettings};
use emcrm_server::measured;
use emcrm_server::router::{ApiSettings, ApiState, router};
use emcrm_store::Engine;
use http_body_util::BodyExt;
use pair::{Kept, Pair};
pub use pair::{part, tables};
use serde_json::{Value, json};
use tempfile::TempDir;

/// When all tests take place.
pub const NOW: &str = "2026-01-02T03:04:05.678901Z";

/// For calls over the network. Takes no redirect by itself.
pub fn http_client() -> reqwest::Client {
    // The first one wins, and all of them are the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub struct TestApp {
    pub app: Arc<App>,
    pub state: ApiState,
    pub edge: Edge,
    worker: Option<Worker>,
    /// Mails end up here.
    pub folder: TempDir,
    pub clock: Arc<FixedClock>,
    pub index: Arc<away::Removable>,
    _kept: Kept,
}

/// What can differ between tests.
pub struct Options {
    pub limits: Limits,
    pub metrics_token: Option<&'static str>,
    /// Instead of the pair's own.
    pub engine: Option<Arc<dyn Engine>>,
    /// Instead of files in a folder.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where people reach this installation.
    pub public_url: Option<&'static str>,
    /// On tables as an earlier service made them.
    pub earlier: bool,
    /// Names that are answered to, and how often somebody may ask.
    pub gate: GateSettings,
    /// Whom people sign in with.
    pub access: AccessSettings,
    /// No public registration is answered before.
    pub answer_after: Duration,
    /// What a public registration does not hide.
    pub registering: emcrm_app::registrations::Without,
    pub session_idle_minutes: u32,
    /// Instead of [`NOW`].
    pub now: Option<jiff::Timestamp>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits { time: Duration::from_secs(30), requests: 100, ..Limits::default() },
            metrics_token: None,
            engine: None,
            transport: None,
            public_url: None,
            earlier: false,
            gate: GateSettings::default(),
            access: AccessSettings::default(),
            answer_after: emcrm_app::registrations::ANSWER_AFTER,
            registering: emcrm_app::registrations::Without::Nothing,
            session_idle_minutes: 120,
            now: None,
        }
    }
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with(Options::default(), router).await
    }

    /// `routes` may add routes of a test's own.
    pub async fn with(options: Options, routes: impl FnOnce(ApiState) -> Router) -> Self {
        let pair = if options.earlier { Pair::earlier().await } else { Pair::open().await };
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock::new(options.now.unwrap_or_else(|| NOW.parse().unwrap())));
        let kept_clock = clock.clone();
        let settings = AppSettings {
            secret_key: [7; 32],
            default_zone: jiff::tz::TimeZone::UTC,
            mail_from: Mailbox { name: Some("EMCRM".to_owned()), address: "crm@example.org".to_owned() },
            public_url: options.public_url.map(str::to_owned),
            worker_name: "test".to_owned(),
            shared: false,
            lease_seconds: 15,
            mail_retry_seconds: 1,
            // Longer than the product waits: on a slow machine the audience is in the answer, too.
            freeze_wait: Duration::from_secs(10),
            domain_limits: emcrm_app::DomainLimits::default(),
            access: emcrm_app::AccessSettings {
                answer_after: options.answer_after,
                without: options.registering,
                session_idle_minutes: options.session_idle_minutes,
                ..emcrm_app::AccessSettings::default()
            },
        };
        let index = away::Removable::new(pair.index);
        let app = App::new(AppParts {
            engine: measured::engine(options.engine.unwrap_or(pair.engine)),
            index: measured::index(index.clone()),
            transport: measured::transport(options.transport.unwrap_or_else(|| Arc::new(Outbox::new(folder.path().join("outbox"), clock.clone())))),
            clock,
            ids: Arc::new(SeededIds::new(1)),
            settings,
        });
        let metrics_token = options.metrics_token.map(|token| emcrm_server::config::Setting::parse(token).unwrap());
        let settings = ApiSettings { name: "EMCRM".to_owned(), metrics_token, auth_region: "us-east-1".to_owned() };
        let gate = Arc::new(Gate::new(options.gate));
        let without = options.access.without;
        let access = Access::new(AccessSettings { public_url: options.public_url.map(str::to_owned), ..options.access }, gate.clone(), &app).unwrap();
        let state = ApiState::new(app.clone(), settings, Arc::new(access));
        let edge = Edge::new(routes(state.clone()), "EMCRM".to_owned(), options.limits, gate, 7, None).lacking(without);
        Self { app, state, edge, worker: None, folder, clock: kept_clock, index, _kept: pair.kept }
    }

    /// With the worker running, so that searches and mails happen.
    pub async fn working() -> Self {
        let mut this = Self::new().await;
        this.work();
        this
    }

    /// Starts the worker.
    pub fn work(&mut self) {
        self.worker = Some(Worker::spawn(self.app.clone()));
    }

    /// Returns when no task is left. Time passes for those that wait for another try.
    pub async fn quiet(&self) {
        for _ in 0..3_000 {
            let now = self.app.now().as_millisecond();
            let (mut due, mut waiting) = (0, 0);
            for (queue, shard) in emcrm_store::Queue::ALL.into_iter().flat_map(|queue| (0..emcrm_store::keys::SHARDS).map(move |shard| (queue, shard))) {
                due += self.app.store.tasks.due(queue, shard, now, 10).await.unwrap().len();
                waiting += self.app.store.tasks.waiting(queue, shard, 10).await.unwrap();
            }
            match (due, waiting) {
                (0, 0) => return,
                (0, _) => self.clock.advance(jiff::SignedDuration::from_mins(1)),
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("tasks are left: {:?}", self.app.backlog().await);
    }

    /// Returns when everything that was changed so far can be found.
    pub async fn settled(&self) {
        assert!(self.app.index_settled(Duration::from_mins(1)).await.unwrap(), "the index did not settle");
    }

    pub async fn stop(mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop().await;
        }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.edge.answer(request, None).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], Body::empty()).await
    }
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], Body::empty()).await
    }
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.json(Method::POST, path, &[], body).await
    }
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.json(Method::PUT, path, &[], body).await
    }
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.json(Method::PATCH, path, &[], body).await
    }
    pub async fn json(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let headers: Vec<_> = [("content-type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
        self.call(method, path, &headers, body.to_string()).await
    }

    /// A person with a given id.
    pub async fn user(&self, id: &str) -> Value {
        self.post("/users", json!({"id": id, "firstName": "Ann", "lastName": id, "email": format!("{id}@example.org")})).await.ok()
    }
    /// An event with a given id.
    pub async fn event(&self, id: &str) -> Value {
        self.post("/events", json!({"id": id, "title": format!("Event {id}"), "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00"})).await.ok()
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?} {}", self.status, String::from_utf8_lossy(&self.body)))
    }
    /// The body of a 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/json");
        self.value()
    }
    /// The code of a problem, checked for its form.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        let value = self.value();
        assert_eq!(self.status.as_u16(), status, "{value}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(value["status"], status);
        let code = value["code"].as_str().unwrap();
        assert_eq!(value["type"], format!("urn:emcrm:problem:{code}"));
        assert!(value["title"].is_string());
        assert!(value["detail"].is_string() || value["detail"].is_array());
        code.to_owned()
    }
    /// Faulty fields of a 422, as `place: type`.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        assert_eq!(self.problem(422), "validation_error");
        let value = self.value();
        value["detail"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| {
                assert!(fault["msg"].as_str().is_some_and(|text| !text.is_empty()));
                let loc: Vec<String> =
                    fault["loc"].as_array().unwrap().iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
                format!("{}: {}", loc.join("."), fault["type"].as_str().unwrap())
            })
            .collect()
    }
}
