//! What DynamoDB Local cannot be made to do: throttle, fail inside, leave a part of a batch unread. A server that answers what it is told stands in.

use std::sync::Arc;

use emcrm_store::engine::{Engine, EngineError, Guard, Key, Table, TransactError, Transaction};
use emcrm_store::{Attrs, Item, Rule};
use emcrm_store_dynamodb::{DynamoEngine, DynamoSettings};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{endpoint, settings};

/// Status and body for the nth request of an operation; none passes it on to the real one.
type Answer = Option<(u16, String)>;

/// Stands before the real DynamoDB.
async fn front(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> DynamoSettings {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let upstream = endpoint().trim_start_matches("http://").to_owned();
    let answer = Arc::new(answer);
    let seen = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, upstream.clone(), answer.clone(), seen.clone()));
        }
    });
    DynamoSettings { endpoint: Some(address), ..settings() }
}

async fn serve(
    mut client: TcpStream,
    upstream: String,
    answer: Arc<impl Fn(&str, usize) -> Answer + Send + Sync + 'static>,
    seen: Arc<std::sync::Mutex<Vec<String>>>,
) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = message(&mut client, &mut buffer).await {
        let operation =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("x-amz-target: dynamodb_20120810.").map(str::to_owned)).unwrap_or_default();
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push(operation.clone());
            seen.iter().filter(|other| **other == operation).count() - 1
        };
        let out = if let Some((status, body)) = answer(&operation, before) {
            format!("HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        } else {
            let Ok(mut server) = TcpStream::connect(&upstream).await else { return };
            if server.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
                return;
            }
            let mut buffer = Vec::new();
            let Some((head, body)) = message(&mut server, &mut buffer).await else { return };
            [head.as_bytes(), &body].concat()
        };
        if client.write_all(&out).await.is_err() {
            return;
        }
    }
}

async fn message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(buffer.get(..end)?).into_owned();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()).unwrap_or(0);
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.get(end..end + length)?.to_vec();
    buffer.drain(..end + length);
    Some((head, body))
}

#[expect(clippy::unnecessary_wraps, reason = "it is an answer")]
fn fault(kind: &str) -> Answer {
    let status = if kind == "InternalServerError" { 500 } else { 400 };
    Some((status, json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "not now"}).to_string()))
}

fn item(key: &str) -> Item {
    Item { key: Key::single(key), attrs: Attrs::from_iter([("n".to_owned(), json!(1))]) }
}

async fn open(settings: &DynamoSettings) -> DynamoEngine {
    DynamoEngine::create_tables(settings).await.unwrap();
    DynamoEngine::open(settings.clone()).await.unwrap()
}

#[tokio::test]
async fn throttled_reads_and_writes_are_repeated_and_happen_once() {
    let settings = front(|operation, before| match (operation, before) {
        ("putitem" | "getitem" | "query", 0) => fault("ProvisionedThroughputExceededException"),
        ("putitem" | "transactwriteitems", 1) | ("transactwriteitems", 0) => fault("ThrottlingException"),
        _ => None,
    })
    .await;
    let engine = open(&settings).await;
    let mut one = Transaction::new();
    one.put(Table::Main, item("a")).when(Guard::Absent).or(Rule::IdTaken);
    engine.transact(one).await.unwrap();
    let mut two = Transaction::new();
    two.add(Table::Main, Key::single("a"), "n", 1);
    two.put(Table::Main, item("b"));
    engine.transact(two).await.unwrap();
    assert_eq!(engine.get(Table::Main, &Key::single("a")).await.unwrap().unwrap().attrs["n"], 2);
    let meter = engine.meter().0;
    assert_eq!((meter["PutItem"].repeated, meter["TransactWriteItems"].repeated, meter["GetItem"].repeated), (2, 2, 1));
    DynamoEngine::drop_tables(&settings).await.unwrap();
}

#[tokio::test]
async fn endless_throttling_says_that_nothing_was_done() {
    let settings = front(|operation, _| if operation == "putitem" { fault("ThrottlingException") } else { None }).await;
    let engine = open(&settings).await;
    let mut one = Transaction::new();
    one.put(Table::Main, item("a"));
    let result = engine.transact(one).await;
    assert!(matches!(&result, Err(TransactError::Engine(EngineError::Unavailable(words))) if words.contains("not now")), "{result:?}");
    assert_eq!(engine.get(Table::Main, &Key::single("a")).await, Ok(None));
    DynamoEngine::drop_tables(&settings).await.unwrap();
}

#[tokio::test]
async fn a_fault_inside_leaves_a_plain_write_unknown_and_a_transaction_is_repeated_by_its_token() {
    let settings = front(|operation, before| match (operation, before) {
        ("putitem", _) | ("transactwriteitems", 0) => fault("InternalServerError"),
        _ => None,
    })
    .await;
    let engine = open(&settings).await;
    let mut one = Transaction::new();
    one.put(Table::Main, item("a"));
    assert!(matches!(engine.transact(one).await, Err(TransactError::Engine(EngineError::Unknown(_)))));
    let mut two = Transaction::new();
    two.put(Table::Main, item("b"));
    two.put(Table::Main, item("c"));
    assert_eq!(engine.transact(two).await, Ok(()));
    DynamoEngine::drop_tables(&settings).await.unwrap();
}

#[tokio::test]
async fn what_a_batch_leaves_unread_is_asked_for_again() {
    let settings = front(|operation, before| match (operation, before) {
        ("batchgetitem", 0) => {
            // Nothing was read; all of it is to be asked for again.
            let keys = json!([{"PK": {"S": "a"}, "SK": {"S": "a"}}, {"PK": {"S": "b"}, "SK": {"S": "b"}}]);
            Some((200, json!({"Responses": {}, "UnprocessedKeys": {"any": {"Keys": keys, "ConsistentRead": true}}}).to_string()))
        }
        _ => None,
    })
    .await;
    let engine = open(&settings).await;
    let mut both = Transaction::new();
    both.put(Table::Main, item("a"));
    both.put(Table::Main, item("b"));
    engine.transact(both).await.unwrap();
    let found = engine.get_many(Table::Main, &[Key::single("b"), Key::single("x"), Key::single("a")]).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(engine.meter().0["BatchGetItem"].calls, 2);
    DynamoEngine::drop_tables(&settings).await.unwrap();
}
