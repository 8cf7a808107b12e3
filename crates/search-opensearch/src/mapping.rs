//! Fields and settings of an index, and a document as OpenSearch takes it.

use std::collections::{BTreeMap, BTreeSet};

use emcrm_model::fold;
use emcrm_search::words::words;
use emcrm_search::{Doc, Field, FieldType, Kind};
use serde_json::{Map, Value, json};

use crate::OpenSearchSettings;

/// Raise it when fields or the meaning of their values change: an index of another version is rebuilt.
pub const VERSION: u64 = 1;

/// How long a write may stay unseen. Said explicitly, because an index without searches would stop to refresh by itself.
pub const REFRESH: &str = "500ms";

/// Deepest row that a request may reach: one more than the seam's window, to know whether there are more.
const WINDOW: u32 = emcrm_search::WINDOW_MAX + 1;

/// Of documents that are there for the index's own sake.
pub const GONE: &str = "gone";
pub const BEAT: &str = "beat";

/// Longest `_id` that OpenSearch takes, in bytes.
const KEY_MAX: usize = 512;

pub fn index_body(settings: &OpenSearchSettings, alias: &str) -> Value {
    let mut fields = Map::new();
    for field in Field::ALL {
        let of_type = match field.field_type() {
            FieldType::Exact => json!({"type": "keyword"}),
            FieldType::Number => json!({"type": "long"}),
        };
        fields.insert(field.as_str().to_owned(), of_type);
    }
    for (name, of_type) in [
        ("kind", json!({"type": "keyword"})),
        ("id", json!({"type": "keyword"})),
        ("words", json!({"type": "keyword", "doc_values": false})),
        // 64 bits without a sign; as text it stays exact.
        ("digest", json!({"type": "keyword", "index": false})),
    ] {
        fields.insert(name.to_owned(), of_type);
    }
    json!({
        "settings": {"index": {
            "number_of_shards": settings.shards,
            // One copy where there is a second node to hold it.
            "auto_expand_replicas": "0-1",
            "refresh_interval": REFRESH,
            "max_result_window": WINDOW,
            "translog.durability": "request",
        }},
        "mappings": {"dynamic": "strict", "_source": {"enabled": true}, "_meta": meta(false), "properties": fields},
        "aliases": {alias: {}},
    })
}

pub fn meta(complete: bool) -> Value {
    json!({"version": VERSION, "complete": complete})
}

/// `_id` of a document. Ids that would not fit, which this product does not make, are told apart by a digest.
pub fn key(kind: Kind, id: &str) -> String {
    let key = format!("{}#{id}", kind.as_str());
    if key.len() <= KEY_MAX {
        return key;
    }
    let cut = key.get(..key.floor_char_boundary(KEY_MAX - 20)).unwrap_or_default();
    let doc = Doc { kind, id: id.to_owned(), exact: Vec::new(), numbers: Vec::new(), text: Vec::new() };
    format!("{cut}#{:016x}", doc.digest())
}

pub fn document(doc: &Doc) -> Value {
    let mut out = Map::new();
    out.insert("kind".to_owned(), doc.kind.as_str().into());
    out.insert("id".to_owned(), doc.id.as_str().into());
    out.insert("digest".to_owned(), doc.digest().to_string().into());
    // A value counts once, however often it is given.
    let mut exact: BTreeMap<Field, BTreeSet<String>> = BTreeMap::new();
    for (field, value) in &doc.exact {
        exact.entry(*field).or_default().insert(fold(value));
    }
    for (field, values) in exact {
        out.insert(field.as_str().to_owned(), json!(values));
    }
    for (field, value) in &doc.numbers {
        out.insert(field.as_str().to_owned(), (*value).into());
    }
    let words: BTreeSet<String> = doc.text.iter().flat_map(|text| words(text)).collect();
    out.insert("words".to_owned(), json!(words));
    Value::Object(out)
}

/// What stands for a deleted document while an index is being filled: an older state that comes later finds its place taken.
pub fn tombstone(id: &str) -> Value {
    json!({"kind": GONE, "id": id})
}
