//! Both tables, described once: what `init-db` makes, what the start checks, and what Terraform makes (a test compares).

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, PointInTimeRecoverySpecification, Projection, ProjectionType,
    ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification,
};
use emcrm_store::engine::{EXPIRES, IndexName, Table};
use serde_json::{Value, json};

use crate::calls::describe;
use crate::values::{PK, SK};

/// Longest time that a new table may take to be ready.
const READY: Duration = Duration::from_mins(5);

/// An index as it should be. The range attribute is optional in tables that an earlier service made.
pub struct IndexSpec {
    pub index: IndexName,
    pub name: &'static str,
    pub hash: &'static str,
    pub range: Option<&'static str>,
    /// Nothing that the product does needs it; a table without it opens.
    pub optional: bool,
}

const fn index(index: IndexName, name: &'static str, hash: &'static str, range: Option<&'static str>) -> IndexSpec {
    IndexSpec { index, name, hash, range, optional: false }
}

pub const MAIN: &[IndexSpec] = &[
    index(IndexName::Type, "TypeIndex", "type", Some(PK)),
    index(IndexName::Sk, "SKIndex", SK, Some(PK)),
    index(IndexName::Email, "EmailIndex", "email", None),
    index(IndexName::Slug, "SlugIndex", "slug", None),
];

pub const EMAIL: &[IndexSpec] = &[
    index(IndexName::Type, "TypeIndex", "type", Some(PK)),
    index(IndexName::User, "UserIndex", SK, Some(PK)),
    // An earlier service keyed it by PK and SK, which finds no address.
    IndexSpec { optional: true, ..index(IndexName::Email, "EmailIndex", "email", Some(PK)) },
];

pub fn indexes(table: Table) -> &'static [IndexSpec] {
    match table {
        Table::Main => MAIN,
        Table::Email => EMAIL,
    }
}

/// Keys that a table or an index really has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub hash: &'static str,
    pub range: Option<&'static str>,
}

pub const TABLE_SHAPE: Shape = Shape { hash: PK, range: Some(SK) };

/// The indexes that a table has, by their names in the seam.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shapes(Vec<(IndexName, Shape)>);

impl Shapes {
    pub fn of(&self, index: IndexName) -> Option<Shape> {
        self.0.iter().find(|(name, _)| *name == index).map(|(_, shape)| *shape)
    }

    /// Indexes without the range attribute that they should have.
    pub fn without_range(&self, table: Table) -> Vec<&'static str> {
        let lacks = |spec: &&IndexSpec| spec.range.is_some() && self.of(spec.index).is_some_and(|shape| shape.range.is_none());
        indexes(table).iter().filter(lacks).map(|spec| spec.name).collect()
    }
}

/// What both tables are, for other tools: `emcrm init-db --print`.
pub fn described() -> Value {
    let table = |id: &str, name: &str, table: Table| {
        let indexes: Vec<Value> = indexes(table)
            .iter()
            .map(|spec| match spec.range {
                Some(range) => json!({"name": spec.name, "hash": spec.hash, "range": range}),
                None => json!({"name": spec.name, "hash": spec.hash}),
            })
            .collect();
        json!({"id": id, "defaultName": name, "keys": {"hash": PK, "range": SK}, "ttl": EXPIRES, "indexes": indexes})
    };
    json!({"tables": [table("main", "crm_data", Table::Main), table("email", "email_data", Table::Email)]})
}

/// What is wrong with a table, each a sentence.
pub fn check(table: Table, name: &str, found: &TableDescription) -> Result<Shapes, Vec<String>> {
    let mut faults = Vec::new();
    let keys = |schema: &[KeySchemaElement]| {
        let of = |kind: &KeyType| schema.iter().find(|element| element.key_type() == kind).map(|element| element.attribute_name().to_owned());
        (of(&KeyType::Hash), of(&KeyType::Range))
    };
    let (hash, range) = keys(found.key_schema());
    if hash.as_deref() != Some(PK) || range.as_deref() != Some(SK) {
        faults.push(format!("The table {name} has the keys {} and {}; it needs {PK} and {SK}.", shown(hash), shown(range)));
    }
    for attribute in found.attribute_definitions() {
        if attribute.attribute_type() != &ScalarAttributeType::S {
            faults.push(format!("The key attribute {} of the table {name} is not text.", attribute.attribute_name()));
        }
    }
    let mut shapes = Shapes::default();
    for spec in indexes(table) {
        let index = found.global_secondary_indexes().iter().find(|index| index.index_name() == Some(spec.name));
        let Some(index) = index else {
            if !spec.optional {
                let range = spec.range.map_or_else(String::new, |range| format!(" and {range}"));
                faults.push(format!("The table {name} has no index {} (by {}{range}).", spec.name, spec.hash));
            }
            continue;
        };
        let (hash, range) = keys(index.key_schema());
        if hash.as_deref() != Some(spec.hash) {
            if !spec.optional {
                faults.push(format!("The index {} of the table {name} is by {}; it needs {}.", spec.name, shown(hash), spec.hash));
            }
            continue;
        }
        if index.projection().and_then(Projection::projection_type) != Some(&ProjectionType::All) {
            faults.push(format!("The index {} of the table {name} does not hold all attributes; it needs the projection ALL.", spec.name));
        }
        let range = spec.range.filter(|wanted| range.as_deref() == Some(*wanted));
        shapes.0.push((spec.index, Shape { hash: spec.hash, range }));
    }
    if faults.is_empty() { Ok(shapes) } else { Err(faults) }
}

fn shown(attribute: Option<String>) -> String {
    attribute.unwrap_or_else(|| "nothing".to_owned())
}

/// None: there is no such table.
pub async fn find(client: &Client, name: &str) -> Result<Option<TableDescription>, String> {
    match client.describe_table().table_name(name).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(describe(&error)),
    }
}

/// Makes the table unless it is there, and waits until it can be used. True when it was made.
pub async fn create(client: &Client, table: Table, name: &str) -> Result<bool, String> {
    if !create_with(client, name, indexes(table)).await? {
        return Ok(false);
    }
    let expires = TimeToLiveSpecification::builder().attribute_name(EXPIRES).enabled(true).build().map_err(|error| error.to_string())?;
    client.update_time_to_live().table_name(name).time_to_live_specification(expires).send().await.map_err(|error| describe(&error))?;
    let recovery = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build().map_err(|error| error.to_string())?;
    match client.update_continuous_backups().table_name(name).point_in_time_recovery_specification(recovery).send().await {
        Ok(_) => {}
        Err(error) if unsupported(&error) => tracing::info!(table = name, "this DynamoDB has no point-in-time recovery"),
        Err(error) => return Err(describe(&error)),
    }
    Ok(true)
}

/// Indexes as an earlier service made them: without range attributes; the one of addresses, in the table of mails, by the table's own keys.
pub async fn create_as_earlier(client: &Client, table: Table, name: &str) -> Result<(), String> {
    let earlier = |spec: &IndexSpec| match (table, spec.index) {
        (Table::Email, IndexName::Email) => IndexSpec { hash: PK, range: Some(SK), ..*spec },
        _ => IndexSpec { range: None, ..*spec },
    };
    let specs: Vec<IndexSpec> = indexes(table).iter().map(earlier).collect();
    create_with(client, name, &specs).await.map(drop)
}

/// False when it was there.
async fn create_with(client: &Client, name: &str, specs: &[IndexSpec]) -> Result<bool, String> {
    let mut attributes = vec![PK, SK];
    attributes.extend(specs.iter().map(|spec| spec.hash).filter(|hash| ![PK, SK].contains(hash)));
    let definition = |attribute: &str| AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S).build();
    let request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes.into_iter().map(definition).collect::<Result<_, _>>().map_err(|error| error.to_string())?))
        .set_key_schema(Some(key_schema(PK, Some(SK))?))
        .set_global_secondary_indexes(Some(specs.iter().map(index_request).collect::<Result<_, _>>()?));
    match request.send().await {
        Ok(_) => {}
        // Made by somebody else at this moment, or before.
        Err(error) if error.code() == Some("ResourceInUseException") => {
            wait_until_active(client, name).await?;
            return Ok(false);
        }
        Err(error) => return Err(describe(&error)),
    }
    wait_until_active(client, name).await?;
    Ok(true)
}

/// Stand-ins for development lack some operations.
fn unsupported<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(error.code(), Some("UnknownOperationException" | "UnsupportedOperationException" | "ValidationException"))
}

fn key_schema(hash: &str, range: Option<&str>) -> Result<Vec<KeySchemaElement>, String> {
    let element = |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(|error| error.to_string());
    let mut schema = vec![element(hash, KeyType::Hash)?];
    if let Some(range) = range {
        schema.push(element(range, KeyType::Range)?);
    }
    Ok(schema)
}

fn index_request(spec: &IndexSpec) -> Result<GlobalSecondaryIndex, String> {
    GlobalSecondaryIndex::builder()
        .index_name(spec.name)
        .set_key_schema(Some(key_schema(spec.hash, spec.range)?))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .map_err(|error| error.to_string())
}

async fn wait_until_active(client: &Client, name: &str) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + READY;
    loop {
        if find(client, name).await?.is_some_and(|table| table.table_status() == Some(&TableStatus::Active)) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(format!("the table {name} was not ready within {} seconds", READY.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
