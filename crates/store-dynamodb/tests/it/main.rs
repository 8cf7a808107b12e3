//! The engine on a real DynamoDB: the whole conformance suite, tables, and what is DynamoDB's own.
//!
//! `EMCRM_DYNAMODB` says where it is. `./dev.sh test` starts one.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod earlier;
mod tables;
mod throttling;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use emcrm_store::Engine;
use emcrm_store_dynamodb::{DynamoEngine, DynamoSettings};
use tokio::sync::OnceCell;

pub fn endpoint() -> String {
    std::env::vars()
        .find(|(name, _)| name == "EMCRM_DYNAMODB")
        .map(|(_, value)| value)
        .expect("EMCRM_DYNAMODB is not set: run the tests with ./dev.sh test, or start the parts with ./dev.sh parts")
}

/// Tables of one's own.
pub fn settings() -> DynamoSettings {
    let own = format!("t{:016x}", rand::random::<u64>());
    DynamoSettings {
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint()),
        main_table: format!("{own}_main"),
        email_table: format!("{own}_email"),
        retries: 3,
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(10),
        connections: 50,
    }
}

/// A new engine on tables that all tests share: their keys do not meet.
async fn shared() -> (Arc<dyn Engine>, ()) {
    static SETTINGS: OnceCell<DynamoSettings> = OnceCell::const_new();
    let settings = SETTINGS
        .get_or_init(|| async {
            let settings = settings();
            DynamoEngine::create_tables(&settings).await.unwrap();
            settings
        })
        .await;
    (Arc::new(DynamoEngine::open(settings.clone()).await.unwrap()), ())
}

emcrm_store::engine_conformance!(dynamodb, shared);
