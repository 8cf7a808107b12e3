//! One storage's archive is that of any other, whatever is in it: the embedded engine beside the pair's own.

use std::path::Path;
use std::sync::Arc;

use emcrm_app::archive::{export, import};
use emcrm_app::verify::verify;
use emcrm_server::router::router;
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Item, Key, Table, Transaction};
use serde_json::{Value, json};

use crate::helpers::{Options, TestApp};

async fn embedded() -> TestApp {
    TestApp::with(Options { engine: Some(Arc::new(SqliteEngine::memory())), ..Options::default() }, router).await
}

async fn put(app: &TestApp, table: Table, key: Key, attrs: Value) {
    let mut tx = Transaction::new();
    tx.put(table, Item { key, attrs: attrs.as_object().unwrap().clone() });
    app.app.store.engine.transact(tx).await.unwrap();
}

async fn exported(app: &TestApp, file: &Path) -> Vec<u8> {
    export(&app.app, file, false, &|_| ()).await.unwrap();
    std::fs::read(file).unwrap()
}

/// What engines may keep in different ways.
fn odd() -> Value {
    json!({
        "whole": 2.0, "minus": -7, "minusZero": -0.0, "fraction": 0.1, "third": 1.0 / 3.0, "tiny": 1.5e-120, "large": 1.25e20, "larger": 9.99e120,
        "most": u64::MAX, "least": i64::MIN, "exact": 9_007_199_254_740_993_u64,
        // Whole numbers that a double cannot tell from their neighbours.
        "above": 9_007_199_254_740_994.0, "rounded": 9.223_372_036_854_776e18, "below": -1.234_567_890_123_456_7e17, "power": 1e19,
        "empty": "", "none": [], "nothing": {}, "yes": true, "no": false,
        "deep": {"b": [1.0, {"z": 1, "a": "", "ä": [[], {}, [2.50]]}], "a": [true, "x"]},
        "text": "\u{0}\u{1f}\u{7f}\"\\/\u{2028}\u{1F600}é e\u{301}", "\u{1F600} name \"quoted\"": "a name",
    })
}

#[tokio::test]
async fn the_same_content_gives_the_same_bytes_from_every_engine() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["one.gz", "two.gz", "three.gz"].map(|name| folder.path().join(name));
    let from = embedded().await;
    for n in 0..30 {
        from.user(&format!("u{n:02}")).await;
    }
    from.event("e").await;
    from.post("/attend", json!({"user_id": "u00", "event_id": "e"})).await.ok();
    // Keys whose order differs between UTF-8 and UTF-16, and one of the largest size.
    for name in ["later\u{1F600}", "later\u{FFFD}", "later \"x\"\\", "later\tx", &"long".repeat(256)] {
        put(&from, Table::Main, Key::new(name, "s/k\u{e9}"), odd()).await;
        put(&from, Table::Email, Key::single(name), odd()).await;
    }
    for n in 0..6 {
        put(&from, Table::Main, Key::new("big", format!("{n}")), json!({"text": "ü".repeat(150_000 + n)})).await;
    }
    let bytes = exported(&from, &files[0]).await;

    let there = TestApp::new().await;
    import(&there.app, &files[0], &|_, _| ()).await.unwrap();
    assert!(verify(&there.app, false, &|_, _| ()).await.unwrap().is_clean());
    assert!(exported(&there, &files[1]).await == bytes, "from the pair's engine");
    assert_eq!(there.get("/users?size=100").await.ok()["total"], 30);

    let back = embedded().await;
    import(&back.app, &files[1], &|_, _| ()).await.unwrap();
    assert!(exported(&back, &files[2]).await == bytes, "and back");
}
