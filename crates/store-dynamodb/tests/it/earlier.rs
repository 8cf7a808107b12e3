//! Tables as an earlier service made them: indexes without some range keys.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use emcrm_aws::{AwsSettings, sdk_config};
use emcrm_store::engine::{Engine, IndexName, Query, Table};
use emcrm_store_dynamodb::DynamoEngine;

use super::{endpoint, settings};

pub async fn client() -> Client {
    let settings = AwsSettings {
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint()),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(10),
        connections: 4,
    };
    Client::new(&sdk_config(&settings).await)
}

fn schema(hash: &str, range: Option<&str>) -> Vec<KeySchemaElement> {
    let element = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    [Some(element(hash, KeyType::Hash)), range.map(|range| element(range, KeyType::Range))].into_iter().flatten().collect()
}

pub async fn table(name: &str, keys: (&str, Option<&str>), indexes: &[(&str, &str, Option<&str>)]) {
    let mut attributes: Vec<&str> = [Some(keys.0), keys.1].into_iter().flatten().collect();
    attributes.extend(indexes.iter().flat_map(|(_, hash, range)| [Some(*hash), *range]).flatten());
    attributes.sort_unstable();
    attributes.dedup();
    let definition = |name: &&str| AttributeDefinition::builder().attribute_name(*name).attribute_type(ScalarAttributeType::S).build().unwrap();
    let index = |(name, hash, range): &(&str, &str, Option<&str>)| {
        let all = Projection::builder().projection_type(ProjectionType::All).build();
        GlobalSecondaryIndex::builder().index_name(*name).set_key_schema(Some(schema(hash, *range))).projection(all).build().unwrap()
    };
    client()
        .await
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes.iter().map(definition).collect()))
        .set_key_schema(Some(schema(keys.0, keys.1)))
        .set_global_secondary_indexes(Some(indexes.iter().map(index).collect()))
        .send()
        .await
        .unwrap();
}

pub async fn time_to_live(table: &str) -> Option<String> {
    let answer = client().await.describe_time_to_live().table_name(table).send().await.unwrap();
    answer.time_to_live_description.and_then(|description| description.attribute_name)
}

/// As the earlier service made them, by the description of its layout.
pub async fn both(main: &str, email: &str) {
    let keys = ("PK", Some("SK"));
    table(main, keys, &[("TypeIndex", "type", None), ("SKIndex", "SK", None), ("EmailIndex", "email", None), ("SlugIndex", "slug", None)]).await;
    table(email, keys, &[("TypeIndex", "type", None), ("UserIndex", "SK", None), ("EmailIndex", "PK", Some("SK"))]).await;
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

#[tokio::test]
async fn tables_with_indexes_without_range_keys_open_and_are_read_by_range() {
    let settings = settings();
    both(&settings.main_table, &settings.email_table).await;
    let engine = DynamoEngine::open(settings.clone()).await.unwrap();
    let lacking = ["TypeIndex", "SKIndex"].map(|name| format!("{}/{name}", settings.main_table));
    assert_eq!(engine.indexes_without_range()[..2], lacking);

    let client = client().await;
    for pk in ["user#1", "user#2", "user#3", "host#9", "event#7"] {
        let item = HashMap::from([("PK".to_owned(), text(pk)), ("SK".to_owned(), text("event#7")), ("gap".to_owned(), AttributeValue::Null(true))]);
        client.put_item().table_name(&settings.main_table).set_item(Some(item)).send().await.unwrap();
    }
    // Only the users, whatever the size of a page.
    for limit in [1, 2, 100] {
        let mut query = Query::index(Table::Main, IndexName::Sk, "event#7").prefix("user#").limit(limit);
        let mut found = Vec::new();
        loop {
            let rows = engine.query(query.clone()).await.unwrap();
            assert!(rows.items.iter().all(|item| item.attrs.is_empty()), "null is missing");
            found.extend(rows.items.into_iter().map(|item| item.key.pk));
            match rows.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        found.sort();
        assert_eq!(found, ["user#1", "user#2", "user#3"], "limit {limit}");
    }
    // The index by PK finds no address; asking it is an error, not an empty answer.
    assert!(engine.query(Query::index(Table::Email, IndexName::Email, "ann@example.org")).await.is_err());
    DynamoEngine::drop_tables(&settings).await.unwrap();
}
