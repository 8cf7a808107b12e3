//! The verbs of the seam on DynamoDB.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, ConsumedCapacity, Delete, KeysAndAttributes, Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use emcrm_aws::{AwsSettings, sdk_config};
use emcrm_store::engine::{
    Change, Direction, Engine, EngineError, GET_MANY_MAX, Guard, IndexName, Item, Key, Op, Pool, Query, Rows, Table, TransactError, Transaction, check_key,
    check_limits, check_query, check_scan,
};
use emcrm_store::{Rule, keys};

use crate::DynamoSettings;
use crate::calls::{Calls, Failure, Meter, Repeat, failure, limit};
use crate::expressions::Expressions;
use crate::order::Order;
use crate::query::{admits, plan};
use crate::tables::{self, Shapes, TABLE_SHAPE};
use crate::values::{self, Stored};

/// Rows that one call reads where most of them may be left out.
const FILTERED_READ: i32 = 500;
/// Times that what a batch left out is asked for again.
const UNPROCESSED_ROUNDS: u32 = 12;

const CAPACITY: ReturnConsumedCapacity = ReturnConsumedCapacity::Total;
const OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

/// Layout of the items. It counts up when a program that knows only the one before would read them wrongly.
pub const FORMAT: i64 = 2;

/// Why the tables cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("DynamoDB cannot be reached: {0}")]
    Unreachable(String),
    #[error("The table {0} does not exist.")]
    Missing(String),
    #[error("{}", .0.join(" "))]
    Wrong(Vec<String>),
    #[error("The table {table} could not be made: {cause}")]
    NotMade { table: String, cause: String },
    #[error("The table {table} was written by a newer version (layout {found}, this version knows {FORMAT}); use that version")]
    Newer { table: String, found: i64 },
}

pub struct DynamoEngine {
    client: Client,
    settings: DynamoSettings,
    calls: Calls,
    order: Order,
    main: Shapes,
    email: Shapes,
}

async fn client(settings: &DynamoSettings) -> Client {
    let aws = AwsSettings {
        region: settings.region.clone(),
        endpoint: settings.endpoint.clone(),
        connect_timeout: settings.connect_timeout,
        read_timeout: settings.read_timeout,
        connections: settings.connections,
    };
    Client::new(&sdk_config(&aws).await)
}

/// Notes the layout in tables that have no note of it yet, or that of an earlier one: from now on a program that knows only that one refuses them.
pub async fn note_format(engine: &dyn Engine) -> Result<(), EngineError> {
    let mut tx = Transaction::new();
    let attrs = [("version".to_owned(), FORMAT.into())].into_iter().collect();
    tx.put(Table::Main, Item { key: keys::format(), attrs }).when(Guard::AtMost("version".to_owned(), FORMAT - 1)).or(Rule::Changed);
    match engine.transact(tx).await {
        Ok(()) | Err(TransactError::Refused(_)) => Ok(()),
        Err(TransactError::Engine(error)) => Err(error),
    }
}

impl DynamoEngine {
    /// Checks both tables; makes nothing.
    pub async fn open(settings: DynamoSettings) -> Result<Self, OpenError> {
        let client = client(&settings).await;
        let calls = Calls::new(settings.connections, settings.retries);
        let mut shapes = Vec::with_capacity(2);
        let mut faults = Vec::new();
        for (table, name) in [(Table::Main, &settings.main_table), (Table::Email, &settings.email_table)] {
            let found = calls.run("describe", Repeat::Harmless, false, || async { tables::find(&client, name).await.map_err(Failure::NotSent) }).await;
            let found = found.map_err(|error| OpenError::Unreachable(error.to_string()))?.ok_or_else(|| OpenError::Missing(name.clone()))?;
            match tables::check(table, name, &found) {
                Ok(found) => shapes.push(found),
                Err(found) => faults.extend(found),
            }
        }
        let (Some(email), Some(main)) = (shapes.pop(), shapes.pop()) else { return Err(OpenError::Wrong(faults)) };
        let engine = Self { client, calls, order: Order::default(), main, email, settings };
        let format = engine.get(Table::Main, &keys::format()).await.map_err(|error| OpenError::Unreachable(error.to_string()))?;
        match format.and_then(|item| item.attrs.get("version").and_then(serde_json::Value::as_i64)) {
            Some(found) if found > FORMAT => Err(OpenError::Newer { table: engine.settings.main_table, found }),
            _ => Ok(engine),
        }
    }

    /// Makes the tables that are not there. Names of those that were made.
    pub async fn create_tables(settings: &DynamoSettings) -> Result<Vec<String>, OpenError> {
        let client = client(settings).await;
        let mut made = Vec::new();
        for (table, name) in [(Table::Main, &settings.main_table), (Table::Email, &settings.email_table)] {
            let found = tables::find(&client, name).await.map_err(OpenError::Unreachable)?;
            if found.is_none() && tables::create(&client, table, name).await.map_err(|cause| OpenError::NotMade { table: name.clone(), cause })? {
                made.push(name.clone());
            }
        }
        Ok(made)
    }

    /// Makes the tables as an earlier service made them: some indexes have no range attribute. For tests of what is adopted.
    pub async fn create_tables_as_earlier(settings: &DynamoSettings) -> Result<(), OpenError> {
        let client = client(settings).await;
        for (table, name) in [(Table::Main, &settings.main_table), (Table::Email, &settings.email_table)] {
            tables::create_as_earlier(&client, table, name).await.map_err(|cause| OpenError::NotMade { table: name.clone(), cause })?;
        }
        Ok(())
    }

    /// Deletes both tables with all that is in them. For tests.
    pub async fn drop_tables(settings: &DynamoSettings) -> Result<(), OpenError> {
        let client = client(settings).await;
        for name in [&settings.main_table, &settings.email_table] {
            if let Err(error) = client.delete_table().table_name(name).send().await
                && error.code() != Some("ResourceNotFoundException")
            {
                return Err(OpenError::Unreachable(crate::calls::describe(&error)));
            }
        }
        Ok(())
    }

    /// Calls and consumed capacity since the start.
    pub fn meter(&self) -> Meter {
        self.calls.meter()
    }

    /// Indexes without the range attribute that tables made today have: their order is DynamoDB's own.
    pub fn indexes_without_range(&self) -> Vec<String> {
        let named = |table, shapes: &Shapes, name: &str| shapes.without_range(table).into_iter().map(|index| format!("{name}/{index}")).collect::<Vec<_>>();
        let mut found = named(Table::Main, &self.main, &self.settings.main_table);
        found.extend(named(Table::Email, &self.email, &self.settings.email_table));
        found
    }

    fn name_of(&self, table: Table) -> &str {
        match table {
            Table::Main => &self.settings.main_table,
            Table::Email => &self.settings.email_table,
        }
    }

    fn consumed(&self, operation: &'static str, capacity: &[ConsumedCapacity]) {
        self.calls.consumed(operation, capacity.iter().filter_map(ConsumedCapacity::capacity_units).sum());
    }

    /// A write that happened.
    #[expect(clippy::unnecessary_wraps, reason = "one of the two ends of an attempt")]
    fn done(&self, operation: &'static str, capacity: &[ConsumedCapacity]) -> Result<Result<(), Refusal>, Failure> {
        self.consumed(operation, capacity);
        Ok(Ok(()))
    }

    async fn get_batch(&self, table: Table, keys: Vec<Stored>) -> Result<Vec<Stored>, EngineError> {
        let name = self.name_of(table);
        let mut found = Vec::with_capacity(keys.len());
        let mut wanted = keys;
        for round in 0..UNPROCESSED_ROUNDS {
            let batch = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build().map_err(limit)?;
            let request = self.client.batch_get_item().request_items(name, batch).return_consumed_capacity(CAPACITY);
            let answer =
                self.calls.run("BatchGetItem", Repeat::Harmless, false, || async { request.clone().send().await.map_err(|error| failure(&error)) }).await?;
            self.consumed("BatchGetItem", answer.consumed_capacity());
            found.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
            wanted = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
            if wanted.is_empty() {
                return Ok(found);
            }
            let pause = 10_u64 << round.min(7);
            tokio::time::sleep(std::time::Duration::from_millis(rand::random_range(pause / 2..=pause))).await;
        }
        Err(EngineError::Unavailable("DynamoDB left keys of a batch unread, again and again: it is throttling".to_owned()))
    }

    /// A plain conditional write.
    async fn write_one(&self, op: &Op) -> Result<(), TransactError> {
        let name = self.name_of(op.table);
        let mut expressions = Expressions::default();
        let condition = expressions.condition(&op.guards)?;
        let refused = |item: Option<&Stored>| Refusal { rules: vec![broken(op, item)] };
        // A refusal is an answer, so it is an `Ok` for the repeating.
        let done: Result<(), Refusal> = match &op.change {
            Change::Put(attrs) => {
                let request = self
                    .client
                    .put_item()
                    .table_name(name)
                    .set_item(Some(values::stored(&op.key, attrs)?))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(expressions.names())
                    .set_expression_attribute_values(expressions.values())
                    .return_values_on_condition_check_failure(OLD)
                    .return_consumed_capacity(CAPACITY);
                self.calls
                    .run("PutItem", Repeat::Never, true, || async {
                        match request.clone().send().await {
                            Ok(answer) => self.done("PutItem", answer.consumed_capacity.as_slice()),
                            Err(error) => match error.as_service_error() {
                                Some(aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(check)) => {
                                    Ok(Err(refused(check.item())))
                                }
                                _ => Err(failure(&error)),
                            },
                        }
                    })
                    .await?
            }
            Change::Update { set, remove, add } => {
                let update = expressions.update(set, remove, add)?;
                let request = self
                    .client
                    .update_item()
                    .table_name(name)
                    .set_key(Some(values::key(&op.key)))
                    .set_update_expression(update)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(expressions.names())
                    .set_expression_attribute_values(expressions.values())
                    .return_values_on_condition_check_failure(OLD)
                    .return_consumed_capacity(CAPACITY);
                self.calls
                    .run("UpdateItem", Repeat::Never, true, || async {
                        match request.clone().send().await {
                            Ok(answer) => self.done("UpdateItem", answer.consumed_capacity.as_slice()),
                            Err(error) => match error.as_service_error() {
                                Some(aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(check)) => {
                                    Ok(Err(refused(check.item())))
                                }
                                _ => Err(failure(&error)),
                            },
                        }
                    })
                    .await?
            }
            Change::Delete => {
                let request = self
                    .client
                    .delete_item()
                    .table_name(name)
                    .set_key(Some(values::key(&op.key)))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(expressions.names())
                    .set_expression_attribute_values(expressions.values())
                    .return_values_on_condition_check_failure(OLD)
                    .return_consumed_capacity(CAPACITY);
                self.calls
                    .run("DeleteItem", Repeat::Never, true, || async {
                        match request.clone().send().await {
                            Ok(answer) => self.done("DeleteItem", answer.consumed_capacity.as_slice()),
                            Err(error) => match error.as_service_error() {
                                Some(aws_sdk_dynamodb::operation::delete_item::DeleteItemError::ConditionalCheckFailedException(check)) => {
                                    Ok(Err(refused(check.item())))
                                }
                                _ => Err(failure(&error)),
                            },
                        }
                    })
                    .await?
            }
            Change::Check => return self.write_many(std::slice::from_ref(op)).await,
        };
        done.map_err(|refusal| TransactError::Refused(refusal.rules))
    }

    async fn write_many(&self, ops: &[Op]) -> Result<(), TransactError> {
        let items = ops.iter().map(|op| self.transact_item(op)).collect::<Result<Vec<_>, _>>()?;
        // The same at every attempt: DynamoDB does the change once, and answers the repeats as it answered the first (for ten minutes).
        let token = format!("{:032x}", rand::random::<u128>());
        let request = self.client.transact_write_items().set_transact_items(Some(items)).client_request_token(token).return_consumed_capacity(CAPACITY);
        let done: Result<(), Refusal> = self
            .calls
            .run("TransactWriteItems", Repeat::Harmless, true, || async {
                match request.clone().send().await {
                    Ok(answer) => self.done("TransactWriteItems", answer.consumed_capacity()),
                    Err(error) => match cancelled(&error) {
                        Some(reasons) => refusal(ops, reasons).map(Err),
                        None => Err(failure(&error)),
                    },
                }
            })
            .await?;
        done.map_err(|refusal| TransactError::Refused(refusal.rules))
    }

    fn transact_item(&self, op: &Op) -> Result<TransactWriteItem, EngineError> {
        let name = self.name_of(op.table);
        let mut expressions = Expressions::default();
        let condition = expressions.condition(&op.guards)?;
        let item = TransactWriteItem::builder();
        Ok(match &op.change {
            Change::Put(attrs) => item.put(
                Put::builder()
                    .table_name(name)
                    .set_item(Some(values::stored(&op.key, attrs)?))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(expressions.names())
                    .set_expression_attribute_values(expressions.values())
                    .return_values_on_condition_check_failure(OLD)
                    .build()
                    .map_err(limit)?,
            ),
            Change::Update { set, remove, add } => {
                // A transaction insists on an expression; removing what is not there changes nothing.
                let update = expressions
                    .update(set, remove, add)?
                    .map_or_else(|| expressions.update(&emcrm_store::Attrs::new(), &["_".to_owned()], &[]), |update| Ok(Some(update)))?;
                item.update(
                    Update::builder()
                        .table_name(name)
                        .set_key(Some(values::key(&op.key)))
                        .set_update_expression(update)
                        .set_condition_expression(condition)
                        .set_expression_attribute_names(expressions.names())
                        .set_expression_attribute_values(expressions.values())
                        .return_values_on_condition_check_failure(OLD)
                        .build()
                        .map_err(limit)?,
                )
            }
            Change::Delete => item.delete(
                Delete::builder()
                    .table_name(name)
                    .set_key(Some(values::key(&op.key)))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(expressions.names())
                    .set_expression_attribute_values(expressions.values())
                    .return_values_on_condition_check_failure(OLD)
                    .build()
                    .map_err(limit)?,
            ),
            Change::Check => {
                let condition = condition.unwrap_or_else(|| expressions.always());
                item.condition_check(
                    ConditionCheck::builder()
                        .table_name(name)
                        .set_key(Some(values::key(&op.key)))
                        .condition_expression(condition)
                        .set_expression_attribute_names(expressions.names())
                        .set_expression_attribute_values(expressions.values())
                        .return_values_on_condition_check_failure(OLD)
                        .build()
                        .map_err(limit)?,
                )
            }
        }
        .build())
    }
}

/// A failed condition, as an answer.
struct Refusal {
    rules: Vec<Option<Rule>>,
}

/// The first guard that does not hold on the item as it was found. DynamoDB says only that the condition failed.
fn broken(op: &Op, found: Option<&Stored>) -> Option<Rule> {
    let attrs = found.filter(|found| !found.is_empty()).and_then(|found| values::attrs(found.clone()).ok());
    let first = op.guards.iter().find(|(guard, _)| !guard.holds(attrs.as_ref()));
    // It failed, so one of them does not hold; the last one where our reckoning differs.
    first.or(op.guards.last()).map(|(_, rule)| *rule)
}

fn cancelled(error: &SdkError<aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError, HttpResponse>) -> Option<&[CancellationReason]> {
    use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError as E;
    match error.as_service_error() {
        Some(E::TransactionCanceledException(cancelled)) => Some(cancelled.cancellation_reasons()),
        _ => None,
    }
}

/// Why a transaction was cancelled: by a guard, which is an answer, or by something that may pass.
fn refusal(ops: &[Op], reasons: &[CancellationReason]) -> Result<Refusal, Failure> {
    let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
    if reasons.iter().any(|reason| code(reason) == "ConditionalCheckFailed") {
        let rules = ops.iter().zip(reasons).map(|(op, reason)| if code(reason) == "ConditionalCheckFailed" { broken(op, reason.item()) } else { None });
        return Ok(Refusal { rules: rules.collect() });
    }
    let words = || {
        let words: Vec<String> =
            reasons.iter().filter(|reason| code(reason) != "None").map(|reason| reason.message().map_or_else(|| code(reason), str::to_owned)).collect();
        words.join("; ")
    };
    let has = |wanted: &[&str]| reasons.iter().any(|reason| wanted.contains(&code(reason).as_str()));
    Err(if has(&["ValidationError", "ItemCollectionSizeLimitExceeded"]) {
        Failure::Final(EngineError::Limit(words()))
    } else if has(&["TransactionConflict"]) {
        Failure::Conflict(words())
    } else if has(&["ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"]) {
        Failure::Throttled(words())
    } else {
        Failure::Final(EngineError::Unavailable(words()))
    })
}

#[async_trait]
impl Engine for DynamoEngine {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        check_key(key)?;
        let request =
            self.client.get_item().table_name(self.name_of(table)).set_key(Some(values::key(key))).consistent_read(true).return_consumed_capacity(CAPACITY);
        let answer = self.calls.run("GetItem", Repeat::Harmless, false, || async { request.clone().send().await.map_err(|error| failure(&error)) }).await?;
        self.consumed("GetItem", answer.consumed_capacity.as_slice());
        answer.item.map(values::item).transpose()
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        if keys.len() > GET_MANY_MAX {
            return Err(EngineError::Limit(format!("{} keys at once, at most {GET_MANY_MAX}", keys.len())));
        }
        keys.iter().try_for_each(check_key)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut unique = keys.to_vec();
        unique.sort_unstable();
        unique.dedup();
        let found = self.get_batch(table, unique.iter().map(values::key).collect()).await?;
        let mut items = HashMap::with_capacity(found.len());
        for stored in found {
            let item = values::item(stored)?;
            items.insert(item.key.clone(), item);
        }
        Ok(keys.iter().map(|key| items.get(key).cloned()).collect())
    }

    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        check_query(&query)?;
        let shape = match query.index {
            None => TABLE_SHAPE,
            Some(index) => match query.table {
                Table::Main => self.main.of(index),
                Table::Email => self.email.of(index),
            }
            .ok_or_else(|| EngineError::Unavailable(format!("the table {} has no index for this question", self.name_of(query.table))))?,
        };
        let Some(plan) = plan(&query, shape) else { return Ok(Rows::default()) };
        let limit = query.limit as usize;
        let index = query.index.and_then(|index| tables::indexes(query.table).iter().find(|spec| spec.index == index)).map(|spec| spec.name.to_owned());
        let request = self
            .client
            .query()
            .table_name(self.name_of(query.table))
            .set_index_name(index)
            .consistent_read(query.index.is_none())
            .scan_index_forward(query.direction == Direction::Forward)
            .key_condition_expression(plan.condition)
            .set_expression_attribute_names(Some(plan.names))
            .set_expression_attribute_values(Some(plan.values))
            .return_consumed_capacity(CAPACITY);
        let mut rows = Rows::default();
        let mut start = plan.start;
        loop {
            // One more than wanted, to know whether there are more.
            let missing = (limit + 1 - rows.items.len()) as i32;
            let page = if plan.filter.is_some() { missing.max(FILTERED_READ) } else { missing };
            let request = request.clone().limit(page).set_exclusive_start_key(start);
            let answer = self.calls.run("Query", Repeat::Harmless, false, || async { request.clone().send().await.map_err(|error| failure(&error)) }).await?;
            self.consumed("Query", answer.consumed_capacity.as_slice());
            for stored in answer.items.into_iter().flatten() {
                let item = values::item(stored)?;
                if plan.filter.as_ref().is_none_or(|range| admits(range, &item.key.pk)) {
                    rows.items.push(item);
                }
            }
            if rows.items.len() > limit {
                rows.items.truncate(limit);
                rows.next = rows.items.last().map(|item| item.key.clone());
                return Ok(rows);
            }
            match answer.last_evaluated_key.filter(|key| !key.is_empty()) {
                Some(key) => start = Some(key),
                None => return Ok(rows),
            }
        }
    }

    async fn transact(&self, transaction: Transaction) -> Result<(), TransactError> {
        check_limits(&transaction)?;
        let _turn = self.order.turn(&transaction).await;
        match transaction.ops.as_slice() {
            [op] => self.write_one(op).await,
            ops => self.write_many(ops).await,
        }
    }

    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        check_scan(limit)?;
        let mut rows = Rows::default();
        let mut start = after.as_ref().map(values::key);
        loop {
            let missing = limit as usize - rows.items.len();
            let request = self
                .client
                .scan()
                .table_name(self.name_of(table))
                .consistent_read(true)
                .limit(missing as i32)
                .set_exclusive_start_key(start)
                .return_consumed_capacity(CAPACITY);
            let answer = self.calls.run("Scan", Repeat::Harmless, false, || async { request.clone().send().await.map_err(|error| failure(&error)) }).await?;
            self.consumed("Scan", answer.consumed_capacity.as_slice());
            for stored in answer.items.into_iter().flatten() {
                rows.items.push(values::item(stored)?);
            }
            let last = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if last.is_none() {
                return Ok(rows);
            }
            if rows.items.len() >= limit as usize {
                rows.next = rows.items.last().map(|item| item.key.clone());
                return Ok(rows);
            }
            start = last;
        }
    }

    fn is_ordered(&self, table: Table, index: IndexName) -> bool {
        let shapes = match table {
            Table::Main => &self.main,
            Table::Email => &self.email,
        };
        shapes.of(index).is_none_or(|shape| shape.range.is_some())
    }

    async fn health(&self) -> Result<(), EngineError> {
        for table in [Table::Main, Table::Email] {
            self.get(table, &Key::single("health")).await?;
        }
        Ok(())
    }

    fn pools(&self) -> Vec<Pool> {
        let (in_use, max) = self.calls.in_use();
        vec![Pool { name: "calls", in_use, max }]
    }
    fn name(&self) -> &'static str {
        "dynamodb"
    }
}
