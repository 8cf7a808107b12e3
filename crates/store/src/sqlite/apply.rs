//! One transaction on one connection: all guards first, then the writes.

use std::borrow::Cow;

use rusqlite::{Connection, params};
use serde_json::{Number, Value};

use super::{
    fault::fault,
    lately::{Lately, Stored},
    read,
};
use crate::{
    engine::{Attrs, Change, EXPIRES, EngineError, ITEM_BYTES_MAX, Key, Op, Table, TransactError, Transaction, attrs_bytes},
    rules::Rule,
};

/// Items are kept in rooms of so many bytes; how much more those of the ledger get at first (a claim names who made it, an outcome says when); and how
/// much too large a room may be before it is given up.
const ROOM_STEP: usize = 32;
const ROOM_TO_SPARE: usize = 64;
const ROOM_KEPT: usize = 256;

/// What is to be done to one row.
pub enum Write<'a> {
    Insert {
        table: Table,
        key: &'a Key,
        json: String,
        columns: Columns,
    },
    /// The indexed columns stay: no index is touched.
    Update {
        table: Table,
        key: &'a Key,
        json: String,
        attrs: Cow<'a, Attrs>,
    },
    UpdateAll {
        table: Table,
        key: &'a Key,
        json: String,
        columns: Columns,
    },
    Delete {
        table: Table,
        key: &'a Key,
    },
}

impl<'a> Write<'a> {
    /// The item that is not as it was, or gone, after this. None where there was no item.
    pub fn replaced(&self) -> Option<(Table, &'a Key)> {
        match self {
            Self::Insert { .. } => None,
            Self::Update { table, key, .. } | Self::UpdateAll { table, key, .. } | Self::Delete { table, key } => Some((*table, *key)),
        }
    }
}

/// Attributes that are columns of their own, for the indexes.
const COLUMNS: [&str; 4] = ["type", "email", "slug", EXPIRES];

/// Their values.
#[derive(PartialEq)]
pub struct Columns {
    kind: Option<String>,
    email: Option<String>,
    slug: Option<String>,
    expires: Option<i64>,
}

impl Columns {
    fn of(attrs: &Attrs) -> Self {
        let text = |name| attrs.get(name).and_then(Value::as_str).map(str::to_owned);
        Self { kind: text("type"), email: text("email"), slug: text("slug"), expires: attrs.get(EXPIRES).and_then(Value::as_i64) }
    }
}

/// Evaluates all guards against what is stored now and computes the writes; changes nothing.
///
/// Operations touch distinct items, so none of them can see another's write.
pub fn plan<'a>(connection: &Connection, transaction: &'a Transaction, lately: &mut Lately) -> Result<Vec<Write<'a>>, TransactError> {
    let mut writes = Vec::with_capacity(transaction.ops.len());
    let mut reasons: Vec<Option<Rule>> = Vec::with_capacity(transaction.ops.len());
    let mut refused = false;
    for op in &transaction.ops {
        let now = stored(connection, op, lately)?;
        let broken = op.guards.iter().find(|(guard, _)| !guard.holds(now.as_ref().map(|(attrs, _)| attrs))).map(|(_, rule)| *rule);
        refused |= broken.is_some();
        reasons.push(broken);
        if !refused && let Some(write) = write_of(op, now)? {
            writes.push(write);
        }
    }
    if refused { Err(TransactError::Refused(reasons)) } else { Ok(writes) }
}

/// What is stored for the item of an operation. Whatever becomes of it, only [`perform`] keeps it again.
fn stored(connection: &Connection, op: &Op, lately: &mut Lately) -> Result<Option<Stored>, EngineError> {
    let kept = if op.table == Table::Email { lately.take(&op.key) } else { None };
    kept.map_or_else(|| read::attrs(connection, op.table, &op.key), |kept| Ok(Some(kept)))
}

fn write_of(op: &Op, now: Option<Stored>) -> Result<Option<Write<'_>>, EngineError> {
    let (table, key) = (op.table, &op.key);
    let (now, room) = now.unzip();
    let there = now.is_some();
    let same_columns = there && keeps_columns(&op.change);
    let old = if same_columns { None } else { now.as_ref().map(Columns::of) };
    let attrs = match &op.change {
        Change::Check => return Ok(None),
        Change::Delete => return Ok(old.map(|_| Write::Delete { table, key })),
        Change::Put(attrs) => Cow::Borrowed(attrs),
        Change::Update { set, remove, add } => Cow::Owned(updated(now, set, remove, add)?),
    };
    let mut json = serde_json::to_string(&attrs).map_err(|error| EngineError::Limit(format!("the item {}: {error}", key.pk)))?;
    fill(&mut json, table, room);
    if same_columns {
        return Ok(Some(Write::Update { table, key, json, attrs }));
    }
    let columns = Columns::of(&attrs);
    Ok(Some(match old {
        None => Write::Insert { table, key, json, columns },
        Some(old) if old == columns => Write::Update { table, key, json, attrs },
        Some(_) => Write::UpdateAll { table, key, json, columns },
    }))
}

/// Whether it changes nothing that is a column of its own.
fn keeps_columns(change: &Change) -> bool {
    match change {
        Change::Update { set, remove, add } => !set.keys().chain(remove).chain(add.iter().map(|(name, _)| name)).any(|name| COLUMNS.contains(&name.as_str())),
        Change::Put(_) | Change::Delete | Change::Check => false,
    }
}

/// Fills an item up with blanks, which JSON does not mind. One that is as long as before is changed where it stands; one that grew would move its
/// neighbours to other pages, each time. So an item keeps its room as long as it fits, and rows that go through states (the ledger's) begin with some to spare.
fn fill(json: &mut String, table: Table, room: Option<usize>) {
    let spare = if table == Table::Email { ROOM_TO_SPARE } else { 0 };
    let fresh = (json.len() + spare).next_multiple_of(ROOM_STEP);
    let len = match room {
        Some(room) if room >= json.len() && room <= fresh + ROOM_KEPT => room,
        _ => fresh,
    };
    json.extend(std::iter::repeat_n(' ', len - json.len()));
}

/// The item after an update. Its size is checked here, because only now it is known.
fn updated(now: Option<Attrs>, set: &Attrs, remove: &[String], add: &[(String, i64)]) -> Result<Attrs, EngineError> {
    let mut attrs = now.unwrap_or_default();
    for name in remove {
        attrs.shift_remove(name);
    }
    for (name, value) in set {
        attrs.insert(name.clone(), value.clone());
    }
    for (name, by) in add {
        let sum = sum(attrs.get(name), *by).map_err(|reason| EngineError::Limit(format!("{name}: {reason}")))?;
        attrs.insert(name.clone(), sum);
    }
    let bytes = attrs_bytes(&attrs);
    if bytes > ITEM_BYTES_MAX {
        return Err(EngineError::Limit(format!("an item of {bytes} bytes, at most {ITEM_BYTES_MAX}")));
    }
    Ok(attrs)
}

fn sum(now: Option<&Value>, by: i64) -> Result<Value, &'static str> {
    match now {
        None => Ok(by.into()),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(number) => number.checked_add(by).map(Value::from).ok_or("the sum is too great"),
            None => number.as_f64().and_then(|number| Number::from_f64(number + by as f64)).map(Value::Number).ok_or("the sum is too great"),
        },
        Some(_) => Err("adding to something that is not a number"),
    }
}

pub fn perform(connection: &Connection, write: Write<'_>, lately: &mut Lately) -> Result<(), EngineError> {
    execute(connection, &write).map_err(|error| fault(&error))?;
    if let Write::Update { table: Table::Email, key, json, attrs: Cow::Owned(attrs) } = write {
        lately.keep(key, (attrs, json.len()));
    }
    Ok(())
}

fn execute(connection: &Connection, write: &Write<'_>) -> rusqlite::Result<usize> {
    match write {
        Write::Insert { table, key, json, columns } => {
            let sql = match table {
                Table::Main => "INSERT INTO main_items (pk, sk, item, type, email, slug, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                Table::Email => "INSERT INTO email_items (pk, sk, item, type, email, slug, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            };
            connection.prepare_cached(sql)?.execute(params![key.pk, key.sk, json, columns.kind, columns.email, columns.slug, columns.expires])
        }
        Write::Update { table, key, json, .. } => {
            let sql = match table {
                Table::Main => "UPDATE main_items SET item = ?3 WHERE pk = ?1 AND sk = ?2",
                Table::Email => "UPDATE email_items SET item = ?3 WHERE pk = ?1 AND sk = ?2",
            };
            connection.prepare_cached(sql)?.execute(params![key.pk, key.sk, json])
        }
        Write::UpdateAll { table, key, json, columns } => {
            let sql = match table {
                Table::Main => "UPDATE main_items SET item = ?3, type = ?4, email = ?5, slug = ?6, expires = ?7 WHERE pk = ?1 AND sk = ?2",
                Table::Email => "UPDATE email_items SET item = ?3, type = ?4, email = ?5, slug = ?6, expires = ?7 WHERE pk = ?1 AND sk = ?2",
            };
            connection.prepare_cached(sql)?.execute(params![key.pk, key.sk, json, columns.kind, columns.email, columns.slug, columns.expires])
        }
        Write::Delete { table, key } => {
            let sql = match table {
                Table::Main => "DELETE FROM main_items WHERE pk = ?1 AND sk = ?2",
                Table::Email => "DELETE FROM email_items WHERE pk = ?1 AND sk = ?2",
            };
            connection.prepare_cached(sql)?.execute(params![key.pk, key.sk])
        }
    }
}

/// Deletes items of both tables that have expired, oldest first, at most `most` of each. Gives their keys.
pub fn forget_expired(connection: &Connection, most: u32) -> rusqlite::Result<Vec<(Table, Key)>> {
    let mut forgotten = Vec::new();
    for (table, sql) in [
        (
            Table::Main,
            "DELETE FROM main_items WHERE (pk, sk) IN (SELECT pk, sk FROM main_items WHERE expires < unixepoch() ORDER BY expires LIMIT ?1) RETURNING pk, sk",
        ),
        (
            Table::Email,
            "DELETE FROM email_items WHERE (pk, sk) IN (SELECT pk, sk FROM email_items WHERE expires < unixepoch() ORDER BY expires LIMIT ?1) RETURNING pk, sk",
        ),
    ] {
        let mut statement = connection.prepare_cached(sql)?;
        for key in statement.query_map([most], |row| Ok(Key { pk: row.get(0)?, sk: row.get(1)? }))? {
            forgotten.push((table, key?));
        }
    }
    Ok(forgotten)
}
