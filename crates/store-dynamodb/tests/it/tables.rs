//! Making tables, and saying what is wrong with those that are there.

use emcrm_store::{Engine, Table, Transaction, keys};
use emcrm_store_dynamodb::{DynamoEngine, FORMAT, OpenError, note_format, tables};
use serde_json::Value;

use super::{earlier, settings};

#[tokio::test]
async fn tables_are_made_once_and_open() {
    let settings = settings();
    assert_eq!(DynamoEngine::open(settings.clone()).await.err(), Some(OpenError::Missing(settings.main_table.clone())));
    let made = DynamoEngine::create_tables(&settings).await.unwrap();
    assert_eq!(made, [settings.main_table.clone(), settings.email_table.clone()]);
    assert_eq!(DynamoEngine::create_tables(&settings).await.unwrap(), Vec::<String>::new());
    let engine = DynamoEngine::open(settings.clone()).await.unwrap();
    assert_eq!(engine.health().await, Ok(()));
    assert_eq!(engine.indexes_without_range(), Vec::<String>::new());
    DynamoEngine::drop_tables(&settings).await.unwrap();
    assert!(engine.health().await.is_err());
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let settings = settings();
    DynamoEngine::create_tables(&settings).await.unwrap();
    let engine = DynamoEngine::open(settings.clone()).await.unwrap();
    let stored = async || engine.get(Table::Main, &keys::format()).await.unwrap().and_then(|item| item.attrs["version"].as_i64());
    assert_eq!(stored().await, None, "opening writes nothing");
    note_format(&engine).await.unwrap();
    assert_eq!(stored().await, Some(FORMAT));
    assert!(DynamoEngine::open(settings.clone()).await.is_ok());
    let mut tx = Transaction::new();
    tx.update(Table::Main, keys::format()).set("version", FORMAT + 1);
    engine.transact(tx).await.unwrap();
    assert_eq!(DynamoEngine::open(settings.clone()).await.err(), Some(OpenError::Newer { table: settings.main_table.clone(), found: FORMAT + 1 }));
    note_format(&engine).await.unwrap();
    assert_eq!(stored().await, Some(FORMAT + 1));
    DynamoEngine::drop_tables(&settings).await.unwrap();
}

#[tokio::test]
async fn tables_of_an_earlier_version_open_and_are_noted_as_of_this_one() {
    let settings = settings();
    DynamoEngine::create_tables(&settings).await.unwrap();
    let engine = DynamoEngine::open(settings.clone()).await.unwrap();
    let mut tx = Transaction::new();
    tx.update(Table::Main, keys::format()).set("version", FORMAT - 1);
    engine.transact(tx).await.unwrap();
    let engine = DynamoEngine::open(settings.clone()).await.unwrap();
    let stored = async || engine.get(Table::Main, &keys::format()).await.unwrap().and_then(|item| item.attrs["version"].as_i64());
    assert_eq!(stored().await, Some(FORMAT - 1), "opening writes nothing");
    note_format(&engine).await.unwrap();
    assert_eq!(stored().await, Some(FORMAT));
    DynamoEngine::drop_tables(&settings).await.unwrap();
}

#[tokio::test]
async fn two_processes_may_make_the_tables_at_once() {
    let settings = settings();
    let (one, two) = tokio::join!(DynamoEngine::create_tables(&settings), DynamoEngine::create_tables(&settings));
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 2);
    DynamoEngine::drop_tables(&settings).await.unwrap();
}

#[tokio::test]
async fn a_table_with_other_keys_or_without_an_index_says_so() {
    let settings = settings();
    earlier::table(&settings.main_table, ("id", None), &[("TypeIndex", "type", None)]).await;
    earlier::table(&settings.email_table, ("PK", Some("SK")), &[("TypeIndex", "status", None), ("UserIndex", "SK", None)]).await;
    let Some(OpenError::Wrong(faults)) = DynamoEngine::open(settings.clone()).await.err() else { panic!("opened") };
    let (main, email) = (&settings.main_table, &settings.email_table);
    assert_eq!(
        faults,
        [
            format!("The table {main} has the keys id and nothing; it needs PK and SK."),
            format!("The table {main} has no index SKIndex (by SK and PK)."),
            format!("The table {main} has no index EmailIndex (by email)."),
            format!("The table {main} has no index SlugIndex (by slug)."),
            format!("The index TypeIndex of the table {email} is by status; it needs type."),
        ]
    );
    DynamoEngine::drop_tables(&settings).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_told_by_name() {
    let mut settings = settings();
    settings.endpoint = Some("http://127.0.0.1:1".to_owned());
    settings.retries = 1;
    assert!(matches!(DynamoEngine::open(settings).await.err(), Some(OpenError::Unreachable(_))));
}

/// Terraform makes the tables from a file; it must say what the code says.
#[test]
fn terraform_makes_the_tables_that_the_code_expects() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/terraform/modules/dynamodb/tables.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(file, tables::described());
}

#[tokio::test]
async fn every_row_that_expires_is_in_a_table_that_lets_it() {
    let settings = settings();
    DynamoEngine::create_tables(&settings).await.unwrap();
    for table in [&settings.main_table, &settings.email_table] {
        assert_eq!(earlier::time_to_live(table).await.as_deref(), Some("expiresAt"), "{table}");
    }
    let engine = DynamoEngine::open(settings.clone()).await.unwrap();
    assert!(engine.scan(Table::Main, None, 10).await.unwrap().items.is_empty());
    DynamoEngine::drop_tables(&settings).await.unwrap();
}
