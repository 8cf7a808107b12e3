//! Writes: in bounded requests, each item's answer looked at, repeated where the cluster is busy.

use std::time::Duration;

use emcrm_search::{Doc, DocChange, SearchError};
use serde_json::{Value, json};

use crate::client::Client;
use crate::mapping;

/// Most bytes and most items of one request.
const BYTES_MAX: usize = 4 * 1024 * 1024;
const ITEMS_MAX: usize = 2_000;
/// Times that busy items are sent again: the waits add up to about eight seconds.
const BUSY_ROUNDS: u32 = 7;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// One line of a request, or two.
#[derive(Clone)]
pub struct Item {
    key: String,
    lines: Vec<u8>,
}

/// What becomes of deletions, and of documents that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The index in use: deletions delete.
    Current,
    /// The index that is being filled: deletions leave a tombstone.
    Next,
}

/// What happened to the whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    All,
    /// There is no such alias, or its index is gone.
    NoIndex,
}

fn item(action: &str, key: String, document: Option<&Value>) -> Item {
    let mut lines = json!({action: {"_id": key}}).to_string().into_bytes();
    lines.push(b'\n');
    if let Some(document) = document {
        lines.extend(document.to_string().into_bytes());
        lines.push(b'\n');
    }
    Item { key, lines }
}

pub fn change(change: &DocChange, into: Target) -> Item {
    match (change, into) {
        (DocChange::Upsert(doc), _) => item("index", mapping::key(doc.kind, &doc.id), Some(&mapping::document(doc))),
        (DocChange::Delete(kind, id), Target::Current) => item("delete", mapping::key(*kind, id), None),
        (DocChange::Delete(kind, id), Target::Next) => item("index", mapping::key(*kind, id), Some(&mapping::tombstone(id))),
    }
}

/// A document that does not replace what is there.
pub fn create(doc: &Doc) -> Item {
    item("create", mapping::key(doc.kind, &doc.id), Some(&mapping::document(doc)))
}

/// Writes the items, in order for each document. They are durable when this returns.
pub async fn write(client: &Client, alias: &str, items: Vec<Item>) -> Result<Written, SearchError> {
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while let Some(item) = items.next_if(|item| chunk.is_empty() || (bytes + item.lines.len() <= BYTES_MAX && chunk.len() < ITEMS_MAX)) {
            bytes += item.lines.len();
            chunk.push(item);
        }
        if write_chunk(client, alias, chunk).await? == Written::NoIndex {
            return Ok(Written::NoIndex);
        }
    }
    Ok(Written::All)
}

async fn write_chunk(client: &Client, alias: &str, mut chunk: Vec<Item>) -> Result<Written, SearchError> {
    let path = format!("/{alias}/_bulk?require_alias=true&filter_path=errors,items.*.status,items.*.error");
    let mut why = String::new();
    for round in 0..=BUSY_ROUNDS {
        if round > 0 {
            let pause = BUSY_PAUSE * (1 << (round - 1));
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..=1.0)).min(Duration::from_secs(3))).await;
        }
        let lines: Vec<u8> = chunk.iter().flat_map(|item| item.lines.iter().copied()).collect();
        let answer = client.lines(&path, lines).await?;
        match answer.status.as_u16() {
            429 | 503 => {
                why = answer.error().to_string();
                continue;
            }
            404 => return Ok(Written::NoIndex),
            _ => {}
        }
        let body = answer.ok()?;
        if body.get("errors").and_then(Value::as_bool) == Some(false) {
            return Ok(Written::All);
        }
        let answers = body.get("items").and_then(Value::as_array).ok_or_else(|| SearchError::Corrupt("a bulk answer without items".to_owned()))?;
        if answers.len() != chunk.len() {
            return Err(SearchError::Corrupt("a bulk answer with another number of items".to_owned()));
        }
        let mut busy = Vec::new();
        for (item, answer) in chunk.iter().zip(answers) {
            let answer = answer.as_object().and_then(|answer| answer.values().next()).unwrap_or(&Value::Null);
            let status = answer.get("status").and_then(Value::as_u64).unwrap_or(500);
            let kind = answer.pointer("/error/type").and_then(Value::as_str).unwrap_or_default();
            match status {
                // Done; made already; deleting what is not there.
                200..=299 | 409 => {}
                404 if kind.is_empty() => {}
                404 if kind == "index_not_found_exception" => return Ok(Written::NoIndex),
                429 | 503 => {
                    kind.clone_into(&mut why);
                    busy.push(item.clone());
                }
                _ => {
                    let reason = answer.pointer("/error/reason").and_then(Value::as_str).unwrap_or("no reason given");
                    return Err(SearchError::Unavailable(format!("OpenSearch did not take the document {}: {kind} {reason}", item.key)));
                }
            }
        }
        if busy.is_empty() {
            return Ok(Written::All);
        }
        chunk = busy;
    }
    Err(SearchError::Unavailable(format!("OpenSearch is too busy to take {} documents: {why}", chunk.len())))
}
