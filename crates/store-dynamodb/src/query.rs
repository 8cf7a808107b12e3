//! A query of the seam as a request to DynamoDB.
//!
//! A table that an earlier service made may lack the range attribute of an index. Then the range is applied here, row by row, and the order
//! inside the index is DynamoDB's own.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use emcrm_store::engine::{Direction, Key, PK_BYTES_MAX, Query, Range};

use crate::tables::Shape;
use crate::values::{PK, SK, Stored, text};

pub struct Plan {
    pub condition: String,
    pub names: HashMap<String, String>,
    pub values: HashMap<String, AttributeValue>,
    pub start: Option<Stored>,
    /// What rows have to be filtered by here.
    pub filter: Option<Range>,
}

/// Where a position lies, seen in the direction of reading.
#[derive(PartialEq)]
enum Place {
    Before,
    Within,
    Behind,
}

/// None when no row can match.
pub fn plan(query: &Query, shape: Shape) -> Option<Plan> {
    let hash_max = if shape.hash == SK { emcrm_store::engine::SK_BYTES_MAX } else { PK_BYTES_MAX };
    if query.partition.len() > hash_max {
        return None;
    }
    let mut names = HashMap::from([("#h".to_owned(), shape.hash.to_owned())]);
    let mut values = HashMap::from([(":h".to_owned(), text(&query.partition))]);
    let mut condition = "#h = :h".to_owned();
    let mut filter = None;
    match (shape.range, &query.range) {
        (_, Range::All) => {}
        (_, Range::Prefix(prefix)) if prefix.is_empty() => {}
        (_, Range::Between(low, high)) if low > high => return None,
        (None, range) => filter = Some(range.clone()),
        (Some(range), Range::Prefix(prefix)) => {
            names.insert("#r".to_owned(), range.to_owned());
            values.insert(":p".to_owned(), text(prefix));
            condition += " AND begins_with(#r, :p)";
        }
        (Some(range), Range::Between(low, high)) => {
            names.insert("#r".to_owned(), range.to_owned());
            if low.is_empty() {
                // An empty text is no key; every key is greater.
                values.insert(":b".to_owned(), text(high));
                condition += " AND #r <= :b";
                if high.is_empty() {
                    return None;
                }
            } else {
                values.insert(":a".to_owned(), text(low));
                values.insert(":b".to_owned(), text(high));
                condition += " AND #r BETWEEN :a AND :b";
            }
        }
    }
    let start = match &query.after {
        None => None,
        Some(after) => match shape.range.map_or(Place::Within, |range| place(if range == PK { &after.pk } else { &after.sk }, query)) {
            Place::Before => None,
            Place::Within => Some(position(after, query, shape)),
            Place::Behind => return None,
        },
    };
    Some(Plan { condition, names, values, start, filter })
}

/// DynamoDB refuses a start outside of the range; a reader that stands there has all of it before him, or nothing.
fn place(position: &str, query: &Query) -> Place {
    let (below, above) = match &query.range {
        Range::All => (false, false),
        Range::Prefix(prefix) => (position < prefix.as_str(), position > prefix.as_str() && !position.starts_with(prefix.as_str())),
        Range::Between(low, high) => (position < low.as_str(), position > high.as_str()),
    };
    match (below, above, query.direction) {
        (false, false, _) => Place::Within,
        (true, _, Direction::Forward) | (_, true, Direction::Backward) => Place::Before,
        _ => Place::Behind,
    }
}

fn position(after: &Key, query: &Query, shape: Shape) -> Stored {
    let mut position = HashMap::from([(PK.to_owned(), text(&after.pk)), (SK.to_owned(), text(&after.sk))]);
    position.insert(shape.hash.to_owned(), text(&query.partition));
    position
}

/// Whether a row of an index without a range attribute is in the range.
pub fn admits(range: &Range, pk: &str) -> bool {
    match range {
        Range::All => true,
        Range::Prefix(prefix) => pk.starts_with(prefix.as_str()),
        Range::Between(low, high) => (low.as_str()..=high.as_str()).contains(&pk),
    }
}
