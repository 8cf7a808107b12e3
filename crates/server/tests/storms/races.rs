//! Sixteen clients at once, fifty rounds each: exactly one winner, and counters that equal a recount. With the guards removed, the same rounds fail.

use std::sync::Arc;

use emcrm_app::{App, AppParts, AppSettings};
use emcrm_mail::{Mailbox, Outbox};
use emcrm_model::{RandomIds, SystemClock};
use emcrm_search::TantivyIndex;
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Engine, EngineError, Item, Key, Query, Rows, Table, TransactError, Transaction};
use serde_json::{Value, json};

use crate::support::{Process, assert_verified, client, folder, get, post_ok, rounds};

const CLIENTS: usize = 16;

/// What one kind of race found wrong, over all rounds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wrong {
    /// Rounds without exactly one winner.
    winners: usize,
    /// Rounds whose counters are not those of a recount.
    counters: usize,
}

/// Sends all requests at once, to the servers in turn; the statuses of the answers.
async fn at_once(client: &reqwest::Client, bases: &[&str], requests: Vec<(reqwest::Method, String, Value)>) -> Vec<u16> {
    let start = Arc::new(tokio::sync::Barrier::new(requests.len()));
    let mut running = tokio::task::JoinSet::new();
    for (i, (method, url, body)) in requests.into_iter().enumerate() {
        let url = url.replacen(bases[0], bases[i % bases.len()], 1);
        let (client, start) = (client.clone(), start.clone());
        running.spawn(async move {
            start.wait().await;
            client.request(method, url).json(&body).send().await.unwrap().status().as_u16()
        });
    }
    running.join_all().await
}

fn won(statuses: &[u16]) -> usize {
    assert!(statuses.iter().all(|status| [200, 400, 409].contains(status)), "{statuses:?}");
    statuses.iter().filter(|status| **status == 200).count()
}

async fn user(client: &reqwest::Client, base: &str, name: &str) -> String {
    let body = json!({ "firstName": "Ra", "lastName": "Ce", "email": format!("{name}@example.org") });
    post_ok(client, format!("{base}/users/"), &body).await["id"].as_str().unwrap().to_owned()
}

async fn event(client: &reqwest::Client, base: &str, capacity: Option<i64>) -> String {
    let body = json!({ "title": "Race", "startAt": "2026-12-01T18:00:00Z", "endAt": "2026-12-01T20:00:00Z", "maxCapacity": capacity });
    post_ok(client, format!("{base}/events/"), &body).await["id"].as_str().unwrap().to_owned()
}

async fn same_address(bases: &[&str], rounds: usize) -> Wrong {
    let base = bases[0];
    let client = client();
    let mut wrong = Wrong::default();
    for round in 0..rounds {
        let before = get(&client, format!("{base}/users/?size=1")).await["total"].as_u64().unwrap();
        let body = |i: usize| json!({ "firstName": format!("N{i}"), "lastName": "", "email": format!("same{round}@example.org") });
        let requests = (0..CLIENTS).map(|i| (reqwest::Method::POST, format!("{base}/users/"), body(i))).collect();
        wrong.winners += usize::from(won(&at_once(&client, bases, requests).await) != 1);
        let after = get(&client, format!("{base}/users/?size=1")).await["total"].as_u64().unwrap();
        wrong.counters += usize::from(after != before + 1);
    }
    wrong
}

async fn same_pair(bases: &[&str], rounds: usize) -> Wrong {
    let base = bases[0];
    let client = client();
    let mut wrong = Wrong::default();
    let event = event(&client, base, None).await;
    for round in 0..rounds {
        let user = user(&client, base, &format!("pair{round}")).await;
        let body = json!({ "user_id": user, "event_id": event });
        let requests = (0..CLIENTS).map(|_| (reqwest::Method::POST, format!("{base}/attend/"), body.clone())).collect();
        wrong.winners += usize::from(won(&at_once(&client, bases, requests).await) != 1);
        let stored = get(&client, format!("{base}/users/{user}")).await;
        let listed = get(&client, format!("{base}/attend/user/{user}")).await;
        let seats = get(&client, format!("{base}/events/{event}")).await;
        let recount = listed["items"].as_array().unwrap().len();
        wrong.counters += usize::from(stored["attendedCount"] != recount || seats["attendeeCount"] != round + 1);
    }
    wrong
}

async fn last_seat(bases: &[&str], rounds: usize) -> Wrong {
    let base = bases[0];
    let client = client();
    let mut wrong = Wrong::default();
    let mut users = Vec::new();
    for i in 0..CLIENTS {
        users.push(user(&client, base, &format!("seat{i}")).await);
    }
    for _ in 0..rounds {
        let event = event(&client, base, Some(1)).await;
        let body = |user: &String| json!({ "user_id": user, "event_id": event });
        let requests = users.iter().map(|user| (reqwest::Method::POST, format!("{base}/attend/"), body(user))).collect();
        wrong.winners += usize::from(won(&at_once(&client, bases, requests).await) != 1);
        let stored = get(&client, format!("{base}/events/{event}")).await;
        let listed = get(&client, format!("{base}/attend/event/{event}")).await;
        let recount = listed["items"].as_array().unwrap().len();
        wrong.counters += usize::from(recount != 1 || stored["attendeeCount"] != recount);
    }
    wrong
}

async fn same_slug(bases: &[&str], rounds: usize) -> Wrong {
    let base = bases[0];
    let client = client();
    let mut wrong = Wrong::default();
    for round in 0..rounds {
        let before = get(&client, format!("{base}/events/?size=1")).await["total"].as_u64().unwrap();
        let body = json!({ "title": "Race", "slug": format!("contested-{round}"), "startAt": "2026-12-01T18:00:00Z", "endAt": "2026-12-01T20:00:00Z" });
        let requests = (0..CLIENTS).map(|_| (reqwest::Method::POST, format!("{base}/events/"), body.clone())).collect();
        wrong.winners += usize::from(won(&at_once(&client, bases, requests).await) != 1);
        let after = get(&client, format!("{base}/events/?size=1")).await["total"].as_u64().unwrap();
        wrong.counters += usize::from(after != before + 1);
    }
    wrong
}

async fn one_new_address(bases: &[&str], rounds: usize) -> Wrong {
    let base = bases[0];
    let client = client();
    let mut wrong = Wrong::default();
    let mut users = Vec::new();
    for i in 0..8 {
        users.push(user(&client, base, &format!("mover{i}")).await);
    }
    for round in 0..rounds {
        let target = format!("target{round}@example.org");
        let body = json!({ "firstName": "Mo", "lastName": "Ver", "email": target });
        let requests = users.iter().map(|user| (reqwest::Method::PUT, format!("{base}/users/{user}"), body.clone())).collect();
        wrong.winners += usize::from(won(&at_once(&client, bases, requests).await) != 1);
        let mut holders = 0;
        for user in &users {
            holders += usize::from(get(&client, format!("{base}/users/{user}")).await["email"] == target.as_str());
        }
        wrong.counters += usize::from(holders != 1);
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_wins_each_race() {
    let folder = folder();
    let server = Process::start(folder.path(), None).await;
    all_races(&[&server.base], rounds(50, 1_000)).await;
    server.stop();
    assert_verified(folder.path());
}

/// On servers that stand on the same data.
pub async fn all_races(bases: &[&str], n: usize) {
    assert_eq!(same_address(bases, n).await, Wrong::default(), "the same address");
    assert_eq!(same_pair(bases, n).await, Wrong::default(), "the same pair");
    assert_eq!(last_seat(bases, n).await, Wrong::default(), "the last seat");
    assert_eq!(same_slug(bases, n).await, Wrong::default(), "the same slug");
    assert_eq!(one_new_address(bases, n).await, Wrong::default(), "eight people change to one address");
}

/// The engine without its guards: every transaction goes through.
struct Unguarded(SqliteEngine);

#[async_trait::async_trait]
impl Engine for Unguarded {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.0.get(table, key).await
    }
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.0.get_many(table, keys).await
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.0.query(query).await
    }
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.0.scan(table, after, limit).await
    }
    async fn transact(&self, mut transaction: Transaction) -> Result<(), TransactError> {
        transaction.ops.iter_mut().for_each(|op| op.guards.clear());
        self.0.transact(transaction).await
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.0.health().await
    }
    fn name(&self) -> &'static str {
        "unguarded"
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_guards_every_race_goes_wrong() {
    let folder = folder();
    let settings = AppSettings {
        secret_key: [1; 32],
        default_zone: jiff::tz::TimeZone::UTC,
        mail_from: Mailbox { name: None, address: "crm@example.org".to_owned() },
        public_url: None,
        worker_name: "test".to_owned(),
        shared: false,
        lease_seconds: 30,
        mail_retry_seconds: 60,
        freeze_wait: std::time::Duration::from_secs(2),
        domain_limits: emcrm_app::DomainLimits::default(),
        access: emcrm_app::AccessSettings::default(),
    };
    let clock = Arc::new(SystemClock);
    let parts = AppParts {
        engine: Arc::new(Unguarded(SqliteEngine::memory())),
        index: Arc::new(TantivyIndex::memory().unwrap()),
        transport: Arc::new(Outbox::new(folder.path().join("outbox"), clock.clone())),
        clock,
        ids: Arc::new(RandomIds),
        settings,
    };
    let listener = emcrm_server::serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = emcrm_server::config::Config::defaults().unwrap();
    let server = emcrm_server::serve::Server::start(App::new(parts), listener, emcrm_server::serve::ServeSettings::of(&config)).unwrap();
    let base = format!("http://{}", server.address);
    assert!(same_address(&[&base], 5).await.winners > 0, "the same address");
    assert!(same_pair(&[&base], 5).await.winners > 0, "the same pair");
    assert!(last_seat(&[&base], 5).await.winners > 0, "the last seat");
    assert!(same_slug(&[&base], 5).await.winners > 0, "the same slug");
    assert!(one_new_address(&[&base], 5).await.winners > 0, "eight people change to one address");
    server.stop().await;
}
