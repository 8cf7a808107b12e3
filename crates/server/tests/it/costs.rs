//! What each use case costs on DynamoDB: calls and consumed capacity, as DynamoDB counts them (`ReturnConsumedCapacity`). The table in
//! docs/PERFORMANCE.md is this test's; a change that makes something dearer shows there. With `UPDATE_DOCS=1` the page is brought up to date.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use axum::http::Method;
use emcrm_server::router::router;
use emcrm_store_dynamodb::{DynamoEngine, DynamoSettings, Meter};
use serde_json::json;

use crate::helpers::{Options, TestApp, tables};

const START: &str = "<!-- costs: made from the code, checked by a test -->\n";
const END: &str = "<!-- end of costs -->";

struct Costs {
    engine: Arc<DynamoEngine>,
    before: Meter,
    table: String,
}

impl Costs {
    /// What was consumed since the last note.
    fn note(&mut self, use_case: &str) {
        let now = self.engine.meter();
        let (mut calls, mut read, mut written) = (Vec::new(), 0.0, 0.0);
        for (operation, metered) in &now.0 {
            let before = self.before.0.get(operation).copied().unwrap_or_default();
            let n = metered.calls - before.calls;
            if n == 0 {
                continue;
            }
            calls.push(if n == 1 { (*operation).to_owned() } else { format!("{n} {operation}") });
            let units = metered.units - before.units;
            if operation.contains("Get") || operation.contains("Query") { read += units } else { written += units }
        }
        let _ = writeln!(self.table, "| {use_case} | {} | {read} | {written} |", calls.join(", "));
        self.before = now;
    }
}

#[tokio::test]
async fn the_documentation_says_what_each_use_case_costs() {
    let settings = DynamoSettings { connections: 8, ..tables() };
    DynamoEngine::create_tables(&settings).await.unwrap();
    let engine = Arc::new(DynamoEngine::open(settings.clone()).await.unwrap());
    let app = TestApp::with(Options { engine: Some(engine.clone()), ..Options::default() }, router).await;
    let mut costs = Costs { before: engine.meter(), engine, table: "\n| use case | calls | read units | write units |\n|---|---|---|---|\n".to_owned() };

    let person = |id: &str| json!({"id": id, "firstName": "Ann", "lastName": "Person", "email": format!("{id}@example.org"), "company": "Example & Sons", "city": "Austin", "state": "TX", "jobTitle": "Engineer"});
    let mut anonymous = person("");
    anonymous.as_object_mut().unwrap().remove("id");
    anonymous["email"] = json!("nobody@example.org");
    app.post("/users", anonymous).await.ok();
    costs.note("create a user");
    app.post("/users", person("ann")).await.ok();
    costs.note("create a user with a chosen id");
    app.get("/users/ann").await.ok();
    costs.note("read a user");
    app.patch("/users/ann", json!({"city": "Houston"})).await.ok();
    costs.note("change a user");
    app.patch("/users/ann", json!({"email": "ann.new@example.org"})).await.ok();
    costs.note("change a user's address");
    for n in 0..60 {
        app.post("/users", person(&format!("p{n}"))).await.ok();
    }
    costs.before = costs.engine.meter();
    app.get("/users?size=50").await.ok();
    costs.note("list 50 users");
    let event = json!({"id": "gala", "title": "Gala", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00", "maxCapacity": 500, "hosts": ["ann"]});
    app.post("/events", event).await.ok();
    costs.note("create an event with one host");
    app.get("/events/gala").await.ok();
    costs.note("read an event");
    app.patch("/events/gala", json!({"venue": "Hall"})).await.ok();
    costs.note("change an event");
    app.post("/attend", json!({"user_id": "p1", "event_id": "gala"})).await.ok();
    costs.note("register a person at an event");
    app.json(Method::POST, "/attend", &[("idempotency-key", "once")], json!({"user_id": "p2", "event_id": "gala"})).await.ok();
    costs.note("the same with an idempotency key");
    app.post("/attend", json!({"user_id": "p1", "event_id": "gala"})).await;
    costs.note("a registration that is refused: registered already");
    app.get("/attend/p1/gala").await.ok();
    costs.note("read an attendance");
    app.delete("/attend/p2/gala").await;
    costs.note("cancel a registration");
    app.get("/attend/event/gala").await.ok();
    costs.note("list the attendees of an event (one)");
    app.delete("/users/p3").await;
    costs.note("delete a user without attendances");
    DynamoEngine::drop_tables(&settings).await.unwrap();

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/PERFORMANCE.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(START).unwrap();
    let (have, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{START}{}\n{END}{after}", costs.table)).unwrap();
        return;
    }
    assert_eq!(have.trim(), costs.table.trim(), "run this test with UPDATE_DOCS=1 to bring docs/PERFORMANCE.md up to date");
}
