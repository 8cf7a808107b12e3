//! The product on the engines that it has on AWS: DynamoDB Local and OpenSearch, on the same cores as the server and the load.

use anyhow::Result;

use crate::Bench;
use crate::campaign;
use crate::children::Emcrm;
use crate::http::{Wanted, create, gets, rate, register, settled};
use crate::report::Report;
use crate::search::{filters, searches, visible};

const CLIENTS: usize = 32;

pub fn run(bench: &Bench, (dynamodb, opensearch): &(String, String), report: &mut Report) -> Result<()> {
    // Tables and an index of this run alone: DynamoDB Local forgets them when it ends.
    let own = format!("bench{:08x}", rand::random::<u32>());
    let settings = [
        ("DB_DYNAMODB_ENDPOINT", dynamodb.clone()),
        ("DB_MAIN_TABLE_NAME", format!("{own}_main")),
        ("DB_EMAIL_TABLE_NAME", format!("{own}_email")),
        ("OPENSEARCH_ENDPOINT", opensearch.clone()),
        ("OPENSEARCH_INDEX", own.clone()),
        ("APP_SECRET_KEY", own.repeat(3)),
    ];
    let mut emcrm = Emcrm { binary: bench.emcrm.binary.clone(), settings: bench.emcrm.settings.clone() };
    emcrm.settings.extend(settings.map(|(key, value)| (key.to_owned(), value)));
    let there = Bench { emcrm, folder: bench.folder.join("aws"), quick: bench.quick, own_import: false, smtp_sink: None, aws: None };
    there.emcrm.run(&there.folder, &["init-db"])?;

    let (server, _) = there.emcrm.serve(&there.folder, &[])?;
    let users = create(&server, bench.seconds(), &Wanted { what: "on DynamoDB Local: create user, 32 clients", clients: CLIENTS, budget: 500.0 }, report)?;
    settled(server.address, users.len() as u64)?;
    let read: Vec<&String> = users.iter().take(10_000).collect();
    let load = gets(server.address, CLIENTS, &read, bench.seconds())?;
    let wanted = Wanted { what: "on DynamoDB Local: GET user, 32 clients", clients: CLIENTS, budget: 4_000.0 };
    report.add(rate(&wanted, load.waits.len(), load, "GET /users/{id}, read strongly consistent"));
    // Each registration at one event waits for the one before.
    let some = users.get(..users.len().min(6_000)).unwrap_or_default();
    register(&server, some, &Wanted { what: "on DynamoDB Local: registrations on ONE event, 32 clients", clients: CLIENTS, budget: 300.0 }, report)?;
    let load = searches(&server, CLIENTS, &filters(&server)?, "/search/query_users?page=0&size=10", if bench.quick { 4_000 } else { 20_000 })?;
    let wanted = Wanted { what: "on OpenSearch: search page, 32 clients", clients: CLIENTS, budget: 1_500.0 };
    report.add(rate(&wanted, load.waits.len(), load, "POST /search/query_users, each row read from DynamoDB"));
    visible(&server, if bench.quick { 20 } else { 60 }, ("on OpenSearch: change visible in search, p95", 1_500.0), report)?;
    let known = how_many(&server)?;
    server.stop()?;

    let people: u64 = if bench.quick { 10_000 } else { 100_000 };
    if let Some(missing @ 1..) = people.checked_sub(known) {
        crate::search::generate(&there, &there.folder, missing)?;
    }
    campaign::on_other_engines(&there, &there.folder, people.max(known), report)
}

/// How many people there are.
fn how_many(server: &crate::children::Running) -> Result<u64> {
    let (status, page) = crate::http_client::get_once(server.address, "/users/?size=1")?;
    page.get("total").and_then(serde_json::Value::as_u64).ok_or_else(|| anyhow::anyhow!("the list was answered {status} {page}"))
}
