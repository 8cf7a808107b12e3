//! The index on a real OpenSearch: the whole conformance suite, and what is OpenSearch's own.
//!
//! `EMCRM_OPENSEARCH` says where it is. `./dev.sh test` starts one.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod fake;
mod generations;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use emcrm_search::conformance::Fixture;
use emcrm_search_opensearch::{Auth, OpenSearchIndex, OpenSearchSettings};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Indexes at once: the cluster of a test is small.
static PLACES: std::sync::LazyLock<Arc<Semaphore>> = std::sync::LazyLock::new(|| Arc::new(Semaphore::new(6)));

pub fn endpoint() -> String {
    std::env::vars()
        .find(|(name, _)| name == "EMCRM_OPENSEARCH")
        .map(|(_, value)| value)
        .expect("EMCRM_OPENSEARCH is not set: run the tests with ./dev.sh test, or start the parts with ./dev.sh parts")
}

/// A name of one's own.
pub fn settings() -> OpenSearchSettings {
    OpenSearchSettings {
        endpoint: endpoint(),
        auth: Auth::None,
        verify_certs: true,
        name: format!("t{:016x}", rand::random::<u64>()),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(30),
        connections: 10,
        shards: 1,
        announce: Duration::ZERO,
    }
}

/// Removes what the test made.
pub struct Kept {
    settings: OpenSearchSettings,
    _place: OwnedSemaphorePermit,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let settings = self.settings.clone();
        // The test's own runtime is in the middle of something.
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { OpenSearchIndex::new(settings).unwrap().remove_all().await }).unwrap();
        });
        let _ = removed.join();
    }
}

pub async fn keep(settings: &OpenSearchSettings) -> Kept {
    Kept { settings: settings.clone(), _place: PLACES.clone().acquire_owned().await.unwrap() }
}

async fn fresh() -> Fixture {
    let settings = settings();
    let kept = keep(&settings).await;
    (Arc::new(OpenSearchIndex::new(settings).unwrap()), Box::new(kept))
}

emcrm_search::index_conformance!(fresh);
