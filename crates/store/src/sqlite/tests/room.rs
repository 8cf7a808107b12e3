//! Items keep their room: what changes a little is changed where it stands.

use serde_json::{Value, json};

use super::faults::on_writer;
use crate::{
    engine::{Engine, Item, Key, Table, Transaction},
    sqlite::{SqliteEngine, schema::table_name},
};

async fn store(engine: &SqliteEngine, table: Table, value: Value) {
    let mut tx = Transaction::new();
    let Value::Object(attrs) = value else { panic!("not an object") };
    tx.put(table, Item { key: Key::single("a"), attrs });
    engine.transact(tx).await.unwrap();
}

/// Bytes that are kept for the item.
async fn room(engine: &SqliteEngine, table: Table) -> i64 {
    let sql = format!("SELECT length(CAST(item AS BLOB)) FROM {}", table_name(table));
    on_writer(engine, move |connection| connection.query_row(&sql, [], |row| row.get(0)).unwrap()).await
}

#[tokio::test]
async fn a_row_of_the_ledger_goes_through_its_states_in_one_place() {
    let engine = SqliteEngine::memory();
    let (user, email) = ("0199b2a4-1111-7000-8000-000000000001", "somebody.with.a.name@mail.example.org");
    store(&engine, Table::Email, json!({ "user_id": user, "email": email, "status": "pending", "attempts": 0 })).await;
    let kept = room(&engine, Table::Email).await;
    for state in [
        json!({ "user_id": user, "email": email, "status": "sending", "attempts": 1, "worker": "embedded/0123456789ab" }),
        json!({ "user_id": user, "email": email, "status": "sent", "attempts": 1, "sentAt": "2026-01-02T03:04:05.678901Z" }),
        json!({ "user_id": user, "email": email, "status": "pending", "attempts": 1 }),
    ] {
        store(&engine, Table::Email, state.clone()).await;
        assert_eq!(room(&engine, Table::Email).await, kept, "{state}");
        let read = engine.get_many_json(Table::Email, &[Key::single("a")]).await.unwrap();
        assert_eq!(read, [Some(state.to_string())], "the blanks are nobody's business");
    }
}

#[tokio::test]
async fn room_is_found_for_what_grows_and_given_up_by_what_shrinks_much() {
    let engine = SqliteEngine::memory();
    let mut before = 0;
    for length in [10, 100, 1_000, 10_000] {
        let value = json!({ "text": "x".repeat(length) });
        store(&engine, Table::Main, value.clone()).await;
        let kept = room(&engine, Table::Main).await;
        let needed = value.to_string().len() as i64;
        assert!(kept > before && (needed..needed + 32).contains(&kept), "{length}: {kept}");
        before = kept;
    }
    store(&engine, Table::Main, json!({ "text": "x".repeat(9_900) })).await;
    assert_eq!(room(&engine, Table::Main).await, before, "a little less");
    store(&engine, Table::Main, json!({ "text": "é" })).await;
    assert_eq!(room(&engine, Table::Main).await, 32, "much less");
}
