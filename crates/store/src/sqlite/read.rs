//! Reads: one item by its key, and the rows of one partition.

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value as SqlValue};

use super::{
    fault::fault,
    schema::{partition_column, table_name},
};
use crate::engine::{Attrs, Direction, EngineError, IndexName, Item, Key, Query, Range, Rows, Table};

/// The attributes of one item, and how many bytes are kept for them.
pub fn attrs(connection: &Connection, table: Table, key: &Key) -> Result<Option<(Attrs, usize)>, EngineError> {
    stored(connection, table, key, |text| Ok((parse(text, key)?, text.len())))
}

/// The attributes of one item, as they are stored.
pub fn json(connection: &Connection, table: Table, key: &Key) -> Result<Option<String>, EngineError> {
    stored(connection, table, key, |text| Ok(text.trim_end().to_owned()))
}

fn stored<T>(connection: &Connection, table: Table, key: &Key, read: impl FnOnce(&str) -> Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    let sql = match table {
        Table::Main => "SELECT item FROM main_items WHERE pk = ?1 AND sk = ?2",
        Table::Email => "SELECT item FROM email_items WHERE pk = ?1 AND sk = ?2",
    };
    let mut statement = connection.prepare_cached(sql).map_err(|error| fault(&error))?;
    statement.query_row([&key.pk, &key.sk], |row| Ok(read(row.get_ref(0)?.as_str()?))).optional().map_err(|error| fault(&error))?.transpose()
}

/// One value for each key, all as they stood at one moment. A reader looks for the end of the log, and forgets its pages, once for all of them.
pub fn each<T>(connection: &Connection, keys: &[Key], read: impl Fn(&Key) -> Result<T, EngineError>) -> Result<Vec<T>, EngineError> {
    let moment = if keys.len() > 1 { Some(connection.unchecked_transaction().map_err(|error| fault(&error))?) } else { None };
    let found = keys.iter().map(read).collect::<Result<_, _>>()?;
    moment.map_or(Ok(()), rusqlite::Transaction::finish).map_err(|error| fault(&error))?;
    Ok(found)
}

pub fn get(connection: &Connection, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
    Ok(attrs(connection, table, key)?.map(|(attrs, _)| Item { key: key.clone(), attrs }))
}

/// An item from the text that is stored for it.
pub fn from_text(key: &Key, text: &str) -> Result<Item, EngineError> {
    Ok(Item { key: key.clone(), attrs: parse(text, key)? })
}

pub fn query(connection: &Connection, query: &Query) -> Result<Rows, EngineError> {
    let Some(select) = select(query) else { return Ok(Rows::default()) };
    let limit = query.limit as usize;
    let mut statement = connection.prepare_cached(&select.sql).map_err(|error| fault(&error))?;
    let mut found = statement.query(params_from_iter(&select.values)).map_err(|error| fault(&error))?;
    let mut rows = Rows::default();
    while let Some(row) = found.next().map_err(|error| fault(&error))? {
        if rows.items.len() == limit {
            rows.next = rows.items.last().map(|item| item.key.clone());
            break;
        }
        rows.items.push(item(row)?);
    }
    Ok(rows)
}

/// All items of a table in the order of their keys.
pub fn scan(connection: &Connection, table: Table, after: Option<&Key>, limit: u32) -> Result<Rows, EngineError> {
    let name = table_name(table);
    let sql = format!("SELECT pk, sk, item FROM {name} WHERE (pk, sk) > (?1, ?2) ORDER BY pk, sk LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql).map_err(|error| fault(&error))?;
    // Every key is greater than the empty one.
    let (pk, sk) = after.map_or(("", ""), |key| (key.pk.as_str(), key.sk.as_str()));
    let mut found = statement.query((pk, sk, limit + 1)).map_err(|error| fault(&error))?;
    let mut rows = Rows::default();
    while let Some(row) = found.next().map_err(|error| fault(&error))? {
        if rows.items.len() == limit as usize {
            rows.next = rows.items.last().map(|item| item.key.clone());
            break;
        }
        rows.items.push(item(row)?);
    }
    Ok(rows)
}

fn item(row: &Row<'_>) -> Result<Item, EngineError> {
    let text = |column| row.get::<_, String>(column).map_err(|error| fault(&error));
    let key = Key { pk: text(0)?, sk: text(1)? };
    let json = row.get_ref(2).map_err(|error| fault(&error))?;
    let attrs = parse(json.as_str().map_err(|error| EngineError::Corrupt(error.to_string()))?, &key)?;
    Ok(Item { key, attrs })
}

fn parse(json: &str, key: &Key) -> Result<Attrs, EngineError> {
    serde_json::from_str(json).map_err(|error| EngineError::Corrupt(format!("the item {} / {}: {error}", key.pk, key.sk)))
}

/// A statement of one of few shapes (so that it stays prepared), and its values.
pub struct Select {
    pub sql: String,
    pub values: Vec<SqlValue>,
}

/// None when the range holds nothing.
///
/// There is at most one lower and one upper bound, the tighter of the range's and the cursor's. So SQLite seeks to the page's first row,
/// and a page costs the same however deep it lies.
pub fn select(query: &Query) -> Option<Select> {
    let mut values = Vec::with_capacity(6);
    let mut bind = |value: SqlValue| {
        values.push(value);
        format!("?{}", values.len())
    };
    let mut text = |value: &str| bind(SqlValue::Text(value.to_owned()));
    let order = Order::of(query.index);
    let partition = partition_column(query.index);
    let mut conditions = vec![format!("{partition} = {}", text(&query.partition))];

    let (low, high) = bounds(&query.range)?;
    let column = order.first();
    // The cursor stands for the bound of its side when it lies within the range.
    let (cursor, from, to) = match (&query.after, query.direction) {
        (None, _) => (None, low, high),
        (Some(after), Direction::Forward) => match low {
            Some(low) if order.position(after) < low.as_str() => (None, Some(low), high),
            _ => (Some((after, ">")), None, high),
        },
        (Some(after), Direction::Backward) => match high {
            Some(high) if !high.admits(order.position(after)) => (None, low, Some(high)),
            _ => (Some((after, "<")), low, None),
        },
    };
    if let Some(from) = from {
        conditions.push(format!("{column} >= {}", text(&from)));
    }
    match to {
        Some(Upper::Included(to)) => conditions.push(format!("{column} <= {}", text(&to))),
        Some(Upper::Excluded(to)) => conditions.push(format!("{column} < {}", text(&to))),
        None => {}
    }
    if let Some((after, sign)) = cursor {
        conditions.push(match order {
            Order::Sk => format!("sk {sign} {}", text(&after.sk)),
            Order::Pk => format!("pk {sign} {}", text(&after.pk)),
            Order::PkSk => format!("(pk, sk) {sign} ({}, {})", text(&after.pk), text(&after.sk)),
        });
    }
    let sql = format!(
        "SELECT pk, sk, item FROM {} WHERE {} ORDER BY {} LIMIT {}",
        table_name(query.table),
        conditions.join(" AND "),
        order.clause(query.direction),
        // One more, to know whether there are more.
        bind(SqlValue::Integer(i64::from(query.limit) + 1)),
    );
    Some(Select { sql, values })
}

/// What orders the rows of one partition.
#[derive(Clone, Copy)]
enum Order {
    Sk,
    Pk,
    PkSk,
}

impl Order {
    fn of(index: Option<IndexName>) -> Self {
        match index {
            None => Self::Sk,
            Some(IndexName::Sk | IndexName::User) => Self::Pk,
            Some(IndexName::Type | IndexName::Email | IndexName::Slug) => Self::PkSk,
        }
    }
    /// The column that a range limits.
    fn first(self) -> &'static str {
        match self {
            Self::Sk => "sk",
            Self::Pk | Self::PkSk => "pk",
        }
    }
    fn clause(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Self::Sk, Direction::Forward) => "sk",
            (Self::Sk, Direction::Backward) => "sk DESC",
            (Self::Pk, Direction::Forward) => "pk",
            (Self::Pk, Direction::Backward) => "pk DESC",
            (Self::PkSk, Direction::Forward) => "pk, sk",
            (Self::PkSk, Direction::Backward) => "pk DESC, sk DESC",
        }
    }
    fn position(self, key: &Key) -> &str {
        match self {
            Self::Sk => &key.sk,
            Self::Pk | Self::PkSk => &key.pk,
        }
    }
}

enum Upper {
    Included(String),
    Excluded(String),
}

impl Upper {
    fn admits(&self, position: &str) -> bool {
        match self {
            Self::Included(text) => position <= text.as_str(),
            Self::Excluded(text) => position < text.as_str(),
        }
    }
}

/// Lower and upper bound; none when nothing can lie between them.
fn bounds(range: &Range) -> Option<(Option<String>, Option<Upper>)> {
    match range {
        Range::All => Some((None, None)),
        Range::Prefix(prefix) if prefix.is_empty() => Some((None, None)),
        Range::Prefix(prefix) => Some((Some(prefix.clone()), after_prefix(prefix).map(Upper::Excluded))),
        Range::Between(low, high) if low > high => None,
        Range::Between(low, high) => Some((Some(low.clone()), Some(Upper::Included(high.clone())))),
    }
}

/// The first text after all that start with the prefix, if there is one. The order of UTF-8 bytes is that of code points, so it is the
/// prefix with its last character (that has a next one) replaced by the next.
pub fn after_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            char::MAX => continue,
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        text.push(next?);
        return Some(text);
    }
    None
}
