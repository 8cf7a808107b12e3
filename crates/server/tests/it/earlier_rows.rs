//! Rows as other programs write them into DynamoDB, with what the product never writes itself: nulls for what is missing, sets of texts. After
//! `adopt` they bear the whole contract.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use emcrm_app::adopt::adopt;
use emcrm_app::verify::verify;
use emcrm_server::router::router;
use emcrm_store_dynamodb::{DynamoEngine, DynamoSettings};
use serde_json::{Value, json};

use crate::helpers::{Options, TestApp, tables};

/// As another program puts it: with DynamoDB's own types.
fn put_raw(tables: &DynamoSettings, key: &str, mut item: Value) {
    for name in ["PK", "SK"] {
        item[name] = json!({ "S": key });
    }
    let body = json!({ "TableName": tables.main_table, "Item": item }).to_string();
    let host = tables.endpoint.as_deref().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
    // A local DynamoDB looks at the form of the signature only; the name is the one that the engine has there.
    let signature = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: DynamoDB_20120810.PutItem\r\nContent-Type: application/x-amz-json-1.0\r\nAuthorization: {signature}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn user(id: &str) -> Value {
    let missing = json!({ "NULL": true });
    json!({
        "type": {"S": "user"}, "id": {"S": id}, "firstName": {"S": "Old"}, "lastName": {"S": id}, "email": {"S": format!("{id}@example.org")},
        "phoneNumber": missing, "avatar": missing, "gender": missing, "jobTitle": missing, "company": missing, "city": missing, "state": missing,
        "attendedCount": missing, "hostedCount": missing, "createdAt": missing, "rev": missing,
    })
}

fn event(id: &str, hosts: Value) -> Value {
    let missing = json!({ "NULL": true });
    json!({
        "type": {"S": "event"}, "id": {"S": id}, "title": {"S": "Talks"}, "slug": {"S": format!("talks-{id}")}, "description": missing, "venue": missing,
        "startAt": {"S": "2026-03-01T18:00:00"}, "endAt": {"S": "2026-03-01T20:00:00"}, "maxCapacity": missing, "attendeeCount": missing,
        "owner": missing, "hosts": hosts, "rev": missing,
    })
}

#[tokio::test]
async fn nulls_and_sets_of_other_programs_bear_the_whole_contract() {
    let tables = tables();
    DynamoEngine::create_tables_as_earlier(&tables).await.unwrap();
    for id in ["u1", "u2", "u3"] {
        put_raw(&tables, &format!("user#{id}"), user(id));
    }
    for id in ["e1", "e2", "e3"] {
        put_raw(&tables, &format!("event#{id}"), event(id, json!({ "SS": ["u1", "u2"] })));
    }
    put_raw(&tables, "event#e4", event("e4", json!({ "NULL": true })));

    let engine = Arc::new(DynamoEngine::open(tables.clone()).await.unwrap());
    let mut app = TestApp::with(Options { engine: Some(engine), ..Options::default() }, router).await;
    let told = adopt(&app.app, true, &|_, _| ()).await.unwrap();
    let adopted = adopt(&app.app, false, &|_, _| ()).await.unwrap();
    assert_eq!((told.changed, adopted.changed), (7, 7));
    assert!(adopted.is_settled(), "{:#?}", adopted.report.findings);
    let again = adopt(&app.app, false, &|_, _| ()).await.unwrap();
    assert_eq!((again.changed, again.report.total()), (0, 0));

    app.work();
    assert_eq!(app.get("/users/u1").await.ok()["hostedCount"], 3);
    // Counting where null stood.
    for event in ["e1", "e4"] {
        app.post("/attend", json!({"user_id": "u3", "event_id": event})).await.ok();
    }
    assert_eq!(app.get("/users/u3").await.ok()["attendedCount"], 2);
    // Changing and deleting what had a set, and somebody who was in it.
    app.patch("/events/e1", json!({"hosts": ["u2", "u3"]})).await.ok();
    assert_eq!(app.delete("/events/e2").await.status, 200);
    assert_eq!(app.delete("/users/u2").await.status, 200);
    app.quiet().await;
    assert_eq!(app.get("/events/e1").await.ok()["hosts"], json!(["u3"]));
    assert_eq!(app.get("/events/e3").await.ok()["hosts"], json!(["u1"]));
    let report = verify(&app.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    app.stop().await;
    DynamoEngine::drop_tables(&tables).await.unwrap();
}
