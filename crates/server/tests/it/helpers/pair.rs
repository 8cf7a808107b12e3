//! What the product stands on in a test: SQLite and tantivy in memory, or, with `EMCRM_TEST_PAIR=aws`, DynamoDB and OpenSearch, with tables
//! and an index of the test's own. The tests know nothing of it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use emcrm_search::{Index, TantivyIndex};
use emcrm_search_opensearch::{Auth, OpenSearchIndex, OpenSearchSettings};
use emcrm_store::Engine;
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store_dynamodb::{DynamoEngine, DynamoSettings};

/// What has to live as long as the test, and is thrown away after it.
pub type Kept = Box<dyn Any + Send + Sync>;

pub struct Pair {
    pub engine: Arc<dyn Engine>,
    pub index: Arc<dyn Index>,
    pub kept: Kept,
}

fn variable(name: &str) -> Option<String> {
    std::env::vars().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// Where a part of the tests is.
pub fn part(name: &str) -> String {
    variable(name).unwrap_or_else(|| panic!("{name} is not set: run the tests with ./dev.sh test, or start the parts with ./dev.sh parts"))
}

/// Names and settings of tables of a test's own, which are not made yet.
pub fn tables() -> DynamoSettings {
    let own = format!("t{:016x}", rand::random::<u64>());
    DynamoSettings {
        region: "us-east-1".to_owned(),
        endpoint: Some(part("EMCRM_DYNAMODB")),
        main_table: format!("{own}_main"),
        email_table: format!("{own}_email"),
        retries: 3,
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(10),
        connections: 20,
    }
}

impl Pair {
    pub async fn open() -> Self {
        Self::with_tables(false).await
    }

    /// With tables as an earlier service made them, where there are tables.
    pub async fn earlier() -> Self {
        Self::with_tables(true).await
    }

    async fn with_tables(earlier: bool) -> Self {
        match variable("EMCRM_TEST_PAIR").as_deref() {
            None | Some("embedded") => Self { engine: Arc::new(SqliteEngine::memory()), index: Arc::new(TantivyIndex::memory().unwrap()), kept: Box::new(()) },
            Some("aws") => Self::aws(earlier).await,
            Some(other) => panic!("EMCRM_TEST_PAIR={other}: there are the pairs embedded and aws"),
        }
    }

    async fn aws(earlier: bool) -> Self {
        let settings = tables();
        if earlier {
            DynamoEngine::create_tables_as_earlier(&settings).await.unwrap();
        } else {
            DynamoEngine::create_tables(&settings).await.unwrap();
        }
        let engine = Arc::new(DynamoEngine::open(settings.clone()).await.unwrap());
        let search = OpenSearchSettings {
            endpoint: part("EMCRM_OPENSEARCH"),
            auth: Auth::None,
            verify_certs: true,
            name: format!("t{:016x}", rand::random::<u64>()),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            connections: 10,
            shards: 1,
            announce: Duration::ZERO,
        };
        let index = Arc::new(OpenSearchIndex::new(search.clone()).unwrap());
        Self { engine, index, kept: Box::new(Own { tables: settings, search }) }
    }
}

/// Tables and index of one test.
struct Own {
    tables: DynamoSettings,
    search: OpenSearchSettings,
}

impl Drop for Own {
    fn drop(&mut self) {
        let (tables, search) = (self.tables.clone(), self.search.clone());
        // The test's own runtime is in the middle of something.
        let thrown_away = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                DynamoEngine::drop_tables(&tables).await.unwrap();
                OpenSearchIndex::new(search).unwrap().remove_all().await.unwrap();
            });
        });
        let _ = thrown_away.join();
    }
}
