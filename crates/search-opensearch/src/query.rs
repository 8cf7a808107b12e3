//! Conditions and pages as OpenSearch's queries. Everything is a filter: nothing is scored, and orders are by values.

use emcrm_model::fold;
use emcrm_search::words::words;
use emcrm_search::{After, Condition, Conditions, Field, FieldType, Kind, SearchError, SearchRequest, SortValue};
use serde_json::{Value, json};

/// Words of a free text that are looked for: a query of OpenSearch has at most 1,024 clauses.
const WORDS_MAX: usize = 500;

pub fn query(kind: Kind, conditions: &Conditions) -> Value {
    let mut filters = vec![json!({"term": {"kind": kind.as_str()}})];
    for condition in &conditions.all {
        filters.push(match condition {
            Condition::AnyOf(field, values) => {
                let values: Vec<String> = values.iter().map(|value| fold(value)).collect();
                json!({"terms": {field.as_str(): values}})
            }
            Condition::Between(field, min, max) => {
                let mut range = serde_json::Map::new();
                range.extend(min.map(|min| ("gte".to_owned(), min.into())));
                range.extend(max.map(|max| ("lte".to_owned(), max.into())));
                json!({"range": {field.as_str(): range}})
            }
        });
    }
    if let Some(text) = &conditions.text {
        let mut whole = words(text);
        if let Some(last) = whole.pop() {
            whole.sort_unstable();
            whole.dedup();
            whole.truncate(WORDS_MAX);
            filters.extend(whole.into_iter().map(|word| json!({"term": {"words": word}})));
            filters.push(json!({"prefix": {"words": last}}));
        }
    }
    json!({"bool": {"filter": filters}})
}

/// Sets a member of an object.
pub fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// Rows of the answer that stand before the page: behind a position OpenSearch skips none by itself.
pub fn rows_before(request: &SearchRequest) -> u32 {
    if request.after.is_some() { request.offset } else { 0 }
}

/// One row more than asked for tells whether there are more.
pub fn search(request: &SearchRequest) -> Value {
    let mut sort = Vec::with_capacity(2);
    if let Some(by) = request.sort {
        sort.push(json!({by.field.as_str(): {"order": if by.descending { "desc" } else { "asc" }, "missing": "_last"}}));
    }
    sort.push(json!({"id": "asc"}));
    let mut body = json!({
        "query": query(request.kind, &request.conditions),
        "size": rows_before(request) + request.limit + 1,
        "sort": sort,
        "track_total_hits": true,
        "_source": false,
    });
    match &request.after {
        Some(after) => set(&mut body, "search_after", position(after, request.sort.map(|sort| sort.field))),
        None => set(&mut body, "from", request.offset.into()),
    }
    body
}

fn position(after: &After, field: Option<Field>) -> Value {
    let Some(field) = field else { return json!([after.id]) };
    let value = match (&after.value, field.field_type()) {
        (SortValue::Number(number), _) => json!(number),
        (SortValue::Text(text), _) => json!(text),
        (SortValue::Missing, _) => Value::Null,
    };
    json!([value, after.id])
}

/// Ids, and what else is asked for, in ascending order.
pub fn walk(query: &Value, after: Option<&str>, limit: u32) -> Value {
    let mut body = json!({"query": query, "size": limit, "sort": [{"id": "asc"}], "track_total_hits": false, "_source": false});
    if let Some(after) = after {
        set(&mut body, "search_after", json!([after]));
    }
    body
}

/// Where a row stands in its order, from the values that OpenSearch sorted it by.
pub fn after(sort: &[Value], field: Option<Field>) -> Result<After, SearchError> {
    let corrupt = || SearchError::Corrupt("a row without its sort values".to_owned());
    let id = sort.last().and_then(Value::as_str).ok_or_else(corrupt)?.to_owned();
    let Some(field) = field else { return Ok(After { value: SortValue::Missing, id }) };
    let value = match (sort.first().ok_or_else(corrupt)?, field.field_type()) {
        (Value::String(text), FieldType::Exact) => SortValue::Text(text.clone()),
        (Value::Number(number), FieldType::Number) => SortValue::Number(number.as_i64().ok_or_else(corrupt)?),
        _ => SortValue::Missing,
    };
    Ok(After { value, id })
}

pub fn facets(query: &Value, field: Field, prefix: &str, limit: u32, shards: u32) -> Value {
    let mut terms = json!({"field": field.as_str(), "size": limit, "order": [{"_count": "desc"}, {"_key": "asc"}]});
    if shards > 1 {
        // Each shard's most frequent values are not the whole's; with this many, they are for all practical sizes.
        set(&mut terms, "shard_size", json!(20_000.max(limit)));
    }
    let prefix = fold(prefix);
    if !prefix.is_empty() {
        // Said in two ways, because OpenSearch 2.19 fails on a plain `prefix.*` that is greater than all values.
        let prefix = escaped(&prefix);
        set(&mut terms, "include", json!(format!("{prefix}|{prefix}.*")));
    }
    json!({"query": query, "size": 0, "track_total_hits": false, "aggs": {"values": {"terms": terms}}})
}

/// One match for each value, all in one request.
pub fn one_of_each(query: &Value, field: Field, values: &[String]) -> Value {
    let filters: Vec<Value> = values.iter().map(|value| json!({"term": {field.as_str(): fold(value)}})).collect();
    let one = json!({"top_hits": {"size": 1, "sort": [{"id": "asc"}], "_source": false}});
    json!({"query": query, "size": 0, "track_total_hits": false, "aggs": {"each": {"filters": {"filters": filters}, "aggs": {"one": one}}}})
}

/// A text as a regular expression of Lucene that matches just it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if ".?+*|{}[]()\"\\#@&<>~^$-/".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
