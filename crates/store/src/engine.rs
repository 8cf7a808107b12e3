//! The storage seam: five verbs over two tables, and `scan`, which only moving and checking data may use. What each verb promises is written here and proved by [`crate::conformance`].
//!
//! - A transaction has at most [`OPS_MAX`] operations and [`TX_BYTES_MAX`] bytes, an item at most [`ITEM_BYTES_MAX`] bytes, keys at most
//!   [`PK_BYTES_MAX`] / [`SK_BYTES_MAX`] bytes and never empty; no two operations touch one item. These are DynamoDB's limits
//!   (AWS, "Quotas in Amazon DynamoDB"); every engine enforces them.
//! - All or nothing. A refusal carries one entry for each operation. Conflicts and throttling are retried inside the engine; a failed guard never is.
//! - A missing attribute compares as false, except where the guard says what missing means.
//! - `get`, `get_many` and a `query` without an index see every commit that was answered before they began. A query on an index may lag.
//! - Order is that of UTF-8 bytes. Rows of one index partition whose range attribute is the same, or that has none, come in an order of the engine's
//!   own, which stays.

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::rules::Rule;

pub const OPS_MAX: usize = 100;
pub const TX_BYTES_MAX: usize = 4 * 1024 * 1024;
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// DynamoDB allows 2048 for a partition key, but PK is also the sort key of indexes that hold every item, and a sort key has 1024.
pub const PK_BYTES_MAX: usize = 1024;
pub const SK_BYTES_MAX: usize = 1024;
/// Most rows that one `query` returns.
pub const QUERY_MAX: u32 = 10_000;
/// Attribute with a moment, in whole seconds since 1970, after which the item may vanish by itself. It need not: readers look at the moment.
pub const EXPIRES: &str = "expiresAt";
/// Most keys of one `get_many`.
pub const GET_MANY_MAX: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    Main,
    Email,
}

/// The named indexes. Each is `(attribute, range attribute)`; the range attribute is always part of the table's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexName {
    /// Both tables: (`type`, PK).
    Type,
    /// Main table: (SK, PK).
    Sk,
    /// Email table: (SK, PK).
    User,
    /// Main table: (`email`); email table: (`email`, PK).
    Email,
    /// Main table: (`slug`).
    Slug,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
    /// PK and SK the same.
    pub fn single(key: impl Into<String>) -> Self {
        let pk = key.into();
        Self { sk: pk.clone(), pk }
    }
}

/// Attributes of an item, without PK and SK. Values: text, number (64-bit integer or double), boolean, list, object. Never null.
pub type Attrs = Map<String, Value>;

#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub key: Key,
    pub attrs: Attrs,
}

/// Rows of one partition of a table or of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub table: Table,
    pub index: Option<IndexName>,
    /// Value of the partition key (PK, or the index's attribute).
    pub partition: String,
    /// Limits the sort key: SK on the table; PK on an index with a range attribute.
    pub range: Range,
    pub direction: Direction,
    /// 1..=[`QUERY_MAX`].
    pub limit: u32,
    /// Start after this row: the key of the last row that was returned. The row itself may be gone by now.
    pub after: Option<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Range {
    #[default]
    All,
    /// An empty prefix selects all.
    Prefix(String),
    /// Both ends included. Selects nothing when the first is greater than the second.
    Between(String, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    Forward,
    Backward,
}

impl Query {
    pub fn table(table: Table, partition: impl Into<String>) -> Self {
        Self { table, index: None, partition: partition.into(), range: Range::All, direction: Direction::Forward, limit: 100, after: None }
    }
    pub fn index(table: Table, index: IndexName, partition: impl Into<String>) -> Self {
        Self { index: Some(index), ..Self::table(table, partition) }
    }
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self { range: Range::Prefix(prefix.into()), ..self }
    }
    #[must_use]
    pub fn between(self, low: impl Into<String>, high: impl Into<String>) -> Self {
        Self { range: Range::Between(low.into(), high.into()), ..self }
    }
    #[must_use]
    pub fn backward(self) -> Self {
        Self { direction: Direction::Backward, ..self }
    }
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }
    #[must_use]
    pub fn after(self, after: Option<Key>) -> Self {
        Self { after, ..self }
    }
}

/// Rows in order. `next` is the position to go on from (pass it as `after`); none when the end was reached.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    pub items: Vec<Item>,
    pub next: Option<Key>,
}

/// A condition on the item as it is stored now.
#[derive(Debug, Clone, PartialEq)]
pub enum Guard {
    Present,
    Absent,
    /// The attribute has this value. A missing attribute has none.
    Equals(String, Value),
    /// The attribute has another value or is missing.
    Differs(String, Value),
    /// The attribute is missing.
    Missing(String),
    /// `count < limit`, both attributes; a missing count is 0, a missing limit is unlimited.
    BelowAttr {
        count: String,
        limit: String,
    },
    /// Number attribute <= value; missing counts as 0.
    AtMost(String, i64),
    /// Number attribute >= value; missing counts as 0.
    AtLeast(String, i64),
    /// At least one of them holds.
    Any(Vec<Guard>),
    /// All of them hold.
    All(Vec<Guard>),
}

impl Guard {
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut all) => {
                all.push(other);
                Self::All(all)
            }
            one => Self::All(vec![one, other]),
        }
    }
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Any(mut any) => {
                any.push(other);
                Self::Any(any)
            }
            one => Self::Any(vec![one, other]),
        }
    }
    pub fn equals(attr: &str, value: impl Into<Value>) -> Self {
        Self::Equals(attr.to_owned(), value.into())
    }
    pub fn below_attr(count: &str, limit: &str) -> Self {
        Self::BelowAttr { count: count.to_owned(), limit: limit.to_owned() }
    }

    /// The guard's meaning, for engines that evaluate it themselves.
    pub fn holds(&self, item: Option<&Attrs>) -> bool {
        let attr = |name: &str| item.and_then(|attrs| attrs.get(name));
        let number = |name: &str| attr(name).and_then(Value::as_f64).unwrap_or(0.0);
        match self {
            Self::Present => item.is_some(),
            Self::Absent => item.is_none(),
            Self::Equals(name, value) => attr(name).is_some_and(|found| same(found, value)),
            Self::Differs(name, value) => !attr(name).is_some_and(|found| same(found, value)),
            Self::Missing(name) => attr(name).is_none(),
            Self::BelowAttr { count, limit } => attr(limit).and_then(Value::as_f64).is_none_or(|limit| number(count) < limit),
            Self::AtMost(name, value) => number(name) <= *value as f64,
            Self::AtLeast(name, value) => number(name) >= *value as f64,
            Self::Any(any) => any.iter().any(|guard| guard.holds(item)),
            Self::All(all) => all.iter().all(|guard| guard.holds(item)),
        }
    }
}

/// Equal as values: numbers by what they count, however they were written.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64(),
        _ => one == other,
    }
}

/// What an operation does to its item.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Replace the whole item.
    Put(Attrs),
    /// Set, remove and add to attributes, each attribute in one way only. An item that is not there is made, unless a guard says `Present`.
    /// Adding to something that is not a number breaks a limit.
    Update {
        set: Attrs,
        remove: Vec<String>,
        add: Vec<(String, i64)>,
    },
    Delete,
    /// Only the guards.
    Check,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    pub table: Table,
    pub key: Key,
    pub change: Change,
    /// The first one that does not hold names the broken rule.
    pub guards: Vec<(Guard, Rule)>,
}

/// A change as a value: it can be printed, compared and tested.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transaction {
    pub ops: Vec<Op>,
}

/// Adds guards and attributes to the operation that was added last.
#[derive(Debug)]
pub struct OpBuilder<'a> {
    op: &'a mut Op,
}

/// A guard that waits for its rule.
#[derive(Debug)]
pub struct GuardBuilder<'a> {
    op: &'a mut Op,
    guard: Guard,
}

impl Transaction {
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&mut self, table: Table, key: Key, change: Change) -> OpBuilder<'_> {
        self.ops.push(Op { table, key, change, guards: Vec::new() });
        let last = self.ops.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "just pushed")]
        OpBuilder { op: &mut self.ops[last] }
    }

    pub fn put(&mut self, table: Table, item: Item) -> OpBuilder<'_> {
        self.push(table, item.key, Change::Put(item.attrs))
    }
    pub fn update(&mut self, table: Table, key: Key) -> OpBuilder<'_> {
        self.push(table, key, Change::Update { set: Attrs::new(), remove: Vec::new(), add: Vec::new() })
    }
    /// `attr += by`; a missing attribute (or item) counts as 0.
    pub fn add(&mut self, table: Table, key: Key, attr: &str, by: i64) -> OpBuilder<'_> {
        self.update(table, key).add(attr, by)
    }
    pub fn delete(&mut self, table: Table, key: Key) -> OpBuilder<'_> {
        self.push(table, key, Change::Delete)
    }
    pub fn check(&mut self, table: Table, key: Key) -> OpBuilder<'_> {
        self.push(table, key, Change::Check)
    }
    pub fn len(&self) -> usize {
        self.ops.len()
    }
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

#[expect(clippy::return_self_not_must_use, reason = "the operation is in the transaction already")]
impl<'a> OpBuilder<'a> {
    /// A guard; say its rule with [`GuardBuilder::or`].
    #[must_use]
    pub fn when(self, guard: Guard) -> GuardBuilder<'a> {
        GuardBuilder { op: self.op, guard }
    }
    pub fn set(self, attr: &str, value: impl Into<Value>) -> Self {
        if let Change::Update { set, .. } = &mut self.op.change {
            set.insert(attr.to_owned(), value.into());
        }
        self
    }
    /// Sets the value, or removes the attribute.
    pub fn set_or_remove(self, attr: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(attr, value),
            None => self.remove(attr),
        }
    }
    pub fn remove(self, attr: &str) -> Self {
        if let Change::Update { remove, .. } = &mut self.op.change {
            remove.push(attr.to_owned());
        }
        self
    }
    pub fn add(self, attr: &str, by: i64) -> Self {
        if let Change::Update { add, .. } = &mut self.op.change {
            add.push((attr.to_owned(), by));
        }
        self
    }
}

impl<'a> GuardBuilder<'a> {
    pub fn or(self, rule: Rule) -> OpBuilder<'a> {
        self.op.guards.push((self.guard, rule));
        OpBuilder { op: self.op }
    }
}

/// Why a transaction did not happen, or may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactError {
    /// One entry for each operation: the rule that its item broke, if any. Nothing was changed.
    #[error("refused: {0:?}")]
    Refused(Vec<Option<Rule>>),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl TransactError {
    /// The first broken rule.
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::Refused(rules) => rules.iter().flatten().next().copied(),
            Self::Engine(_) => None,
        }
    }
}

/// A fault of the engine itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A bug of ours: the request breaks a limit of section "limits" above. Nothing was changed.
    #[error("the request breaks a limit of the storage: {0}")]
    Limit(String),
    /// Nothing was changed, and trying again later may work.
    #[error("the storage is not available: {0}")]
    Unavailable(String),
    /// The answer was lost: the change may have happened or not.
    #[error("the storage did not answer in time, the change may have happened: {0}")]
    Unknown(String),
    /// The disk is full. Nothing was changed.
    #[error("the disk that holds the data is full")]
    Full,
    /// What is stored cannot be read.
    #[error("the stored data cannot be read: {0}")]
    Corrupt(String),
}

#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// One item, strongly consistent.
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError>;
    /// Up to [`GET_MANY_MAX`] items, in the order of the keys, strongly consistent each (not as a snapshot).
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError>;
    /// [`Engine::get_many`] with each item's attributes as JSON text. An engine that stores text gives it as it is, and spares its callers a detour.
    async fn get_many_json(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<String>>, EngineError> {
        let items = self.get_many(table, keys).await?;
        Ok(items.into_iter().map(|item| item.map(|item| Value::Object(item.attrs).to_string())).collect())
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError>;
    async fn transact(&self, transaction: Transaction) -> Result<(), TransactError>;
    /// Items of a whole table, at most `limit` (1..=[`QUERY_MAX`]), in an order of the engine's own, from behind `after`. Each item that is
    /// there all the time comes once; what is written meanwhile may come or not. For moving and checking data (`emcrm export`, `adopt`): it reads
    /// everything there is, so no request and no task may ask for it.
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError>;
    /// Whether rows of an index come in the order of its range attribute. A table that an earlier service made may lack it.
    fn is_ordered(&self, _table: Table, _index: IndexName) -> bool {
        true
    }
    /// Grows with each change that may decide whether somebody is mailed: of the main table, and of the suppression list. A change is counted before it is answered,
    /// so what was read after a version was asked for holds as long as the version stays. None where others write too, whose changes it would not see.
    fn people_version(&self) -> Option<u64> {
        None
    }
    /// What it has only so many of, for whoever watches it.
    fn pools(&self) -> Vec<Pool> {
        Vec::new()
    }
    /// What it keeps of its storage in memory, if it keeps something there.
    fn cache(&self) -> Option<CacheUse> {
        None
    }
    /// Whether reads and writes work now.
    async fn health(&self) -> Result<(), EngineError>;
    /// `sqlite`, `dynamodb`, …
    fn name(&self) -> &'static str;
}

/// Something an engine has only so many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    pub name: &'static str,
    pub in_use: usize,
    pub max: usize,
}

/// How a cache of items is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// Reads that were answered from memory.
    pub hits: u64,
    /// Reads that went to the storage, also those of what is not there.
    pub misses: u64,
    /// What is kept now, about.
    pub bytes: u64,
}

/// Checks the limits of a transaction; every engine calls this first.
pub fn check_limits(transaction: &Transaction) -> Result<(), EngineError> {
    let limit = |text: String| Err(EngineError::Limit(text));
    if transaction.ops.is_empty() {
        return limit("a transaction needs an operation".to_owned());
    }
    if transaction.ops.len() > OPS_MAX {
        return limit(format!("{} operations in a transaction, at most {OPS_MAX}", transaction.ops.len()));
    }
    let mut seen = std::collections::HashSet::with_capacity(transaction.ops.len());
    let mut total = 0;
    for op in &transaction.ops {
        check_key(&op.key)?;
        if !seen.insert((op.table, &op.key)) {
            return limit(format!("two operations on {}", op.key.pk));
        }
        let bytes = op.key.pk.len()
            + op.key.sk.len()
            + match &op.change {
                Change::Put(attrs) => attrs_bytes(attrs),
                Change::Update { set, .. } => attrs_bytes(set),
                Change::Delete | Change::Check => 0,
            };
        if bytes > ITEM_BYTES_MAX {
            return limit(format!("an item of {bytes} bytes, at most {ITEM_BYTES_MAX}"));
        }
        if let Change::Put(attrs) | Change::Update { set: attrs, .. } = &op.change
            && attrs.values().any(Value::is_null)
        {
            return limit("a null attribute; leave it out".to_owned());
        }
        if let Change::Update { set, remove, add } = &op.change {
            let mut names = std::collections::HashSet::new();
            let mut all = set.keys().chain(remove).chain(add.iter().map(|(name, _)| name));
            if let Some(name) = all.find(|name| !names.insert(*name)) {
                return limit(format!("two changes of the attribute {name}"));
            }
        }
        total += bytes;
    }
    if total > TX_BYTES_MAX {
        return limit(format!("a transaction of {total} bytes, at most {TX_BYTES_MAX}"));
    }
    Ok(())
}

/// Checks the limits of a query; every engine calls this first.
pub fn check_query(query: &Query) -> Result<(), EngineError> {
    let limit = |text: String| Err(EngineError::Limit(text));
    if query.limit == 0 || query.limit > QUERY_MAX {
        return limit(format!("a query for {} rows, at least 1 and at most {QUERY_MAX}", query.limit));
    }
    if query.partition.is_empty() {
        return limit("a query for an empty partition".to_owned());
    }
    match (query.table, query.index) {
        (Table::Main, Some(IndexName::User)) | (Table::Email, Some(IndexName::Sk | IndexName::Slug)) => {
            limit(format!("the table {:?} has no index {:?}", query.table, query.index))
        }
        (Table::Main, Some(IndexName::Email | IndexName::Slug)) if query.range != Range::All => {
            limit("a range on an index without a range attribute".to_owned())
        }
        _ => Ok(()),
    }
}

/// Checks the limits of a scan; every engine calls this first.
pub fn check_scan(limit: u32) -> Result<(), EngineError> {
    if limit == 0 || limit > QUERY_MAX {
        return Err(EngineError::Limit(format!("a scan for {limit} rows, at least 1 and at most {QUERY_MAX}")));
    }
    Ok(())
}

pub fn check_key(key: &Key) -> Result<(), EngineError> {
    if key.pk.is_empty() || key.sk.is_empty() {
        return Err(EngineError::Limit("an empty key".to_owned()));
    }
    if key.pk.len() > PK_BYTES_MAX || key.sk.len() > SK_BYTES_MAX {
        return Err(EngineError::Limit(format!("a key of {} and {} bytes, at most {PK_BYTES_MAX} and {SK_BYTES_MAX}", key.pk.len(), key.sk.len())));
    }
    Ok(())
}

/// Size by DynamoDB's reckoning: names and values in UTF-8 bytes, a little for each number and each nesting.
pub fn attrs_bytes(attrs: &Attrs) -> usize {
    attrs.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 11,
        Value::String(text) => text.len(),
        Value::Array(entries) => 3 + entries.iter().map(|entry| 1 + value_bytes(entry)).sum::<usize>(),
        Value::Object(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>(),
    }
}
