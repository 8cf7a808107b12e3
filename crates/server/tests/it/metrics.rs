//! Every metric there is stands in the table of docs/OPERATIONS.md, and every metric of the table is seen here.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use emcrm_model::{CampaignId, CampaignState};
use emcrm_server::router::router;
use emcrm_store::faulty::{Fault, FaultPlan, FaultyEngine};
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Attrs, Item, Key, Query, Queue, Table, Transaction, keys};
use serde_json::json;

use crate::helpers::process::{emcrm, start};
use crate::helpers::{Options, TestApp};

/// Seen by tests of their own: `log.rs`, `store-dynamodb/src/calls.rs`, `it/traces.rs`.
const NOT_HERE: [&str; 3] = ["emcrm_log_lines_dropped_total", "emcrm_storage_retries_total", "emcrm_trace_spans_total"];

/// The names in the first column of the table.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/OPERATIONS.md")).unwrap();
    let (_, table) = page.split_once("<!-- metrics: checked by a test -->").unwrap();
    let rows = table.trim_start().lines().take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
}

fn names(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next()).map(str::to_owned).collect()
}

/// The value of one line.
fn value(text: &str, series: &str) -> f64 {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0.0)
}

async fn scrape(app: &TestApp) -> String {
    String::from_utf8(app.get("/metrics").await.body).unwrap()
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_moves() {
    let mut app = TestApp::new().await;
    let engine = app.app.store.engine.name();
    let before = scrape(&app).await;
    // Nobody works yet: what waits is counted, and so is what was given up.
    app.post("/users", json!({"id": "abe", "firstName": "Abe", "lastName": "X", "email": "abe@metrics.example"})).await.ok();
    let given_up = app.app.store.tasks.due(Queue::Index, keys::shard_of("user#abe"), i64::MAX - 1, 1).await.unwrap().remove(0);
    app.clock.advance(jiff::SignedDuration::from_secs(5));
    let waiting = scrape(&app).await;
    let queue = |metric: &str| value(&waiting, &format!("emcrm_tasks_{metric}{{queue=\"index\"}}"));
    assert!(queue("waiting") >= 1.0 && queue("oldest_seconds") >= 1.0, "{waiting}");
    assert!(value(&waiting, "emcrm_http_requests_in_hand ") >= 1.0, "the request that asks is one");
    app.app.store.tasks.bury(&given_up, "a test gave it up").await.unwrap();
    app.work();
    for id in ["ann", "bea"] {
        app.post("/users", json!({"id": id, "firstName": id, "lastName": "X", "email": format!("{id}@metrics.example"), "city": "Metricton"})).await.ok();
    }
    // The second time from memory, where the storage keeps something there.
    for _ in 0..2 {
        app.get("/users/ann").await.ok();
    }
    // A rule says no, and a call that no engine takes.
    app.post("/users", json!({"id": "cat", "firstName": "C", "lastName": "X", "email": "ann@metrics.example"})).await.problem(400);
    app.app.store.engine.query(Query::table(Table::Main, "x").limit(0)).await.unwrap_err();
    app.app.index.walk(emcrm_search::Kind::User, emcrm_search::conditions_of(&emcrm_model::UserFilter::default()), None, 0).await.unwrap_err();
    app.settled().await;
    app.post("/search/query_users", json!({"city": "metricton"})).await.ok();
    let campaign = app.post("/email/send_emails", json!({"filter": {"city": "metricton"}, "subject": "Hello", "body": "Come."})).await.ok();
    let id = campaign["email_id"].as_str().unwrap().to_owned();
    while app.get(&format!("/email/requests/{id}")).await.ok()["status"] != "sent" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // One that is being sent, and then one that the product itself pauses.
    let held = CampaignId::from(id);
    let mut tx = Transaction::new();
    app.app.store.campaigns.update_any(&mut tx, &held).set("status", "sending");
    let state = "emcrm_campaigns{state=\"sending\"}";
    let sent = scrape(&app).await;
    app.app.store.engine.transact(tx).await.unwrap();
    let sending = scrape(&app).await;
    assert!(value(&sent, state).abs() < 0.1 && value(&sending, state) >= 1.0, "{sending}");
    let mut tx = Transaction::new();
    let paused = app.app.store.campaigns.update_any(&mut tx, &held).set("status", "paused");
    paused.set("reason", "the mail server cannot be used");
    app.app.store.engine.transact(tx).await.unwrap();
    let after = format!("{}\n{}", sent.lines().filter(|line| line.starts_with("emcrm_campaigns{")).collect::<Vec<_>>().join("\n"), scrape(&app).await);
    for (series, least) in [
        (format!("emcrm_storage_operation_duration_seconds_count{{engine=\"{engine}\",operation=\"transact\"}}"), 3.0),
        (format!("emcrm_storage_refusals_total{{engine=\"{engine}\",rule=\"EmailTaken\"}}"), 1.0),
        (format!("emcrm_storage_errors_total{{engine=\"{engine}\",operation=\"query\",kind=\"limit\"}}"), 1.0),
        (format!("emcrm_search_operation_duration_seconds_count{{engine=\"{}\",operation=\"search\"}}", app.app.index.name()), 1.0),
        (format!("emcrm_search_errors_total{{engine=\"{}\",operation=\"walk\",kind=\"invalid\"}}", app.app.index.name()), 1.0),
        ("emcrm_mail_handovers_total{transport=\"outbox\",outcome=\"accepted\"}".to_owned(), 2.0),
        ("emcrm_http_requests_total{method=\"POST\",route=\"/users\",status=\"400\"}".to_owned(), 1.0),
        ("emcrm_campaigns{state=\"sent\"}".to_owned(), 1.0),
        ("emcrm_campaigns_held".to_owned(), 1.0),
        ("emcrm_tasks_dead{queue=\"index\"}".to_owned(), 1.0),
        ("emcrm_mail_handover_duration_seconds_count{transport=\"outbox\"}".to_owned(), 2.0),
        ("emcrm_http_request_duration_seconds_count{method=\"POST\",route=\"/users\"}".to_owned(), 3.0),
    ] {
        // Other tests of this process may add to it; none takes away.
        let moved = value(&after, &series) - value(&before, &series);
        assert!(moved >= least, "{series} moved by {moved}:\n{}", after.lines().filter(|line| line.contains("emcrm_storage_refus")).collect::<String>());
    }
    if app.app.store.engine.cache().is_some() {
        for metric in ["hits_total", "misses_total"] {
            let series = format!("emcrm_storage_cache_{metric}{{engine=\"{engine}\"}}");
            assert!(value(&after, &series) > value(&before, &series), "{series}");
        }
        // What is kept is counted a moment later.
        let series = format!("emcrm_storage_cache_bytes{{engine=\"{engine}\"}}");
        let mut kept = 0.0;
        for _ in 0..6_000 {
            app.get("/users/ann").await.ok();
            kept = value(&scrape(&app).await, &series);
            if kept > 0.0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(kept > 0.0, "{series}");
    }
    let program = after.lines().find(|line| line.starts_with("emcrm_build_info{")).unwrap();
    assert!(program.contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")) && program.contains("commit=\"") && program.ends_with("} 1"), "{program}");
    let pools: Vec<&str> = after.lines().filter(|line| line.starts_with("emcrm_storage_pool_max{")).collect();
    assert!(!pools.is_empty() && pools.iter().all(|line| line.contains(engine) && !line.ends_with(" 0")), "{pools:?}");
    assert!(value(&after, "emcrm_mail_connections_max{transport=\"outbox\"}") >= 1.0);
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_threads", "process_cpu_seconds_total"] {
        assert!(value(&after, &format!("{name} ")) > 0.0, "{name}");
    }

    // Connections are counted by a real process only.
    let folder = tempfile::tempdir().unwrap();
    let server = start(emcrm(folder.path()));
    let mut stream = std::net::TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut real = String::new();
    stream.read_to_string(&mut real).unwrap();
    assert!(value(&real, "emcrm_http_connections_open ") >= 1.0, "{real}");

    let seen: BTreeSet<String> = names(&after).union(&names(&real)).cloned().collect();
    let documented = documented();
    let unsaid: Vec<_> = seen.difference(&documented).collect();
    assert!(unsaid.is_empty(), "docs/OPERATIONS.md does not say what these are: {unsaid:?}");
    let unseen: Vec<_> = documented.difference(&seen).filter(|name| !NOT_HERE.contains(&name.as_str())).collect();
    assert!(unseen.is_empty(), "docs/OPERATIONS.md speaks of metrics that there are not: {unseen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_pool_of_the_storage_is_seen_in_use() {
    let app = TestApp::new().await;
    let engine = app.app.store.engine.clone();
    let stop = Arc::new(AtomicBool::new(false));
    // Many write and read without a pause, until a look has fallen into the midst of each.
    let crowd: Vec<_> = (0..8)
        .map(|n| {
            let (engine, stop) = (engine.clone(), stop.clone());
            tokio::spawn(async move {
                let item = Item { key: Key::single(format!("crowd#{n}")), attrs: Attrs::new() };
                while !stop.load(Ordering::Relaxed) {
                    let mut tx = Transaction::new();
                    tx.put(Table::Main, item.clone());
                    engine.transact(tx).await.unwrap();
                    engine.query(Query::table(Table::Main, &item.key.pk).limit(1)).await.unwrap();
                    engine.scan(Table::Main, None, 100).await.unwrap();
                }
            })
        })
        .collect();
    let mut unseen: BTreeSet<String> = engine.pools().iter().map(|pool| pool.name.to_owned()).collect();
    assert!(!unseen.is_empty(), "{} has nothing that can run out", engine.name());
    let begin = Instant::now();
    while !unseen.is_empty() && begin.elapsed() < Duration::from_mins(3) {
        let text = scrape(&app).await;
        unseen.retain(|pool| value(&text, &format!("emcrm_storage_pool_in_use{{engine=\"{}\",pool=\"{pool}\"}}", engine.name())) < 1.0);
    }
    stop.store(true, Ordering::Relaxed);
    futures::future::try_join_all(crowd).await.unwrap();
    assert!(unseen.is_empty(), "never seen in use: {unseen:?}");
}

#[tokio::test]
async fn a_campaign_is_counted_in_the_state_that_it_is_in_and_in_no_other() {
    let app = TestApp::new().await;
    let draft = app.post("/email/requests", json!({"filter": {}, "subject": "Tea", "body": "Come."})).await.ok();
    let id = CampaignId::from(draft["email_id"].as_str().unwrap().to_owned());
    for state in CampaignState::ALL {
        let mut tx = Transaction::new();
        app.app.store.campaigns.update_any(&mut tx, &id).set("status", state.as_str());
        app.app.store.engine.transact(tx).await.unwrap();
        let text = scrape(&app).await;
        for other in CampaignState::ALL {
            let counted = value(&text, &format!("emcrm_campaigns{{state=\"{other}\"}}"));
            assert!((counted - f64::from(state == other)).abs() < 0.1, "{counted} campaigns are {other} when one is {state}");
        }
    }
}

#[tokio::test]
async fn each_queue_tells_what_waits_for_how_long_and_what_was_given_up() {
    let app = TestApp::new().await;
    let tasks = &app.app.store.tasks;
    let due = app.app.now().as_millisecond() - 5_000;
    let of = |text: &str| {
        let metric = |queue: Queue, name: &str| value(text, &format!("emcrm_tasks_{name}{{queue=\"{}\"}}", queue.as_str())) as u64;
        Queue::ALL.map(|queue| ["waiting", "oldest_seconds", "dead"].map(|name| metric(queue, name)))
    };
    assert_eq!(of(&scrape(&app).await), [[0, 0, 0]; 3]);
    for queue in Queue::ALL {
        let mut tx = Transaction::new();
        tasks.put(&mut tx, queue, "a test", "poem", json!({}), due);
        app.app.store.engine.transact(tx).await.unwrap();
    }
    assert_eq!(of(&scrape(&app).await), [[1, 5, 0]; 3]);
    for queue in Queue::ALL {
        let task = tasks.first(queue, keys::shard_of("a test")).await.unwrap().unwrap();
        tasks.bury(&task, "nobody can do it").await.unwrap();
    }
    assert_eq!(of(&scrape(&app).await), [[0, 0, 1]; 3]);
}

#[tokio::test]
async fn a_storage_that_is_away_an_answer_that_is_lost_and_an_index_that_is_gone_are_counted_as_what_they_are() {
    let faulty = Arc::new(FaultyEngine::new(Arc::new(SqliteEngine::memory()), 1, FaultPlan { unavailable: 1.0, ..FaultPlan::default() }));
    faulty.switch(false);
    let app = TestApp::with(Options { engine: Some(faulty.clone()), ..Options::default() }, router).await;
    let before = scrape(&app).await;
    faulty.switch(true);
    app.get("/users/nobody").await.problem(503);
    faulty.script([Some(Fault::UnknownBefore)]);
    let mut tx = Transaction::new();
    tx.put(Table::Main, Item { key: Key::single("somebody"), attrs: Attrs::new() });
    app.app.store.engine.transact(tx).await.unwrap_err();
    faulty.switch(false);
    app.index.take_away(true);
    let everybody = emcrm_search::conditions_of(&emcrm_model::UserFilter::default());
    app.app.index.count(emcrm_search::Kind::User, everybody).await.unwrap_err();
    app.index.take_away(false);
    let after = scrape(&app).await;
    let (engine, index) = (app.app.store.engine.name(), app.app.index.name());
    for series in [
        format!("emcrm_storage_errors_total{{engine=\"{engine}\",operation=\"get_many\",kind=\"unavailable\"}}"),
        format!("emcrm_storage_errors_total{{engine=\"{engine}\",operation=\"transact\",kind=\"unknown\"}}"),
        format!("emcrm_search_errors_total{{engine=\"{index}\",operation=\"count\",kind=\"unavailable\"}}"),
        "emcrm_http_requests_total{method=\"GET\",route=\"/users/{id}\",status=\"503\"}".to_owned(),
    ] {
        // Other tests of this process may add to it; none takes away.
        assert!(value(&after, &series) - value(&before, &series) >= 1.0, "{series}");
    }
}
