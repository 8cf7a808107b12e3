//! Storage, search and mail as the application sees them, with how long each call takes and how it ends. What each metric means is a
//! table in docs/OPERATIONS.md; a test compares it with what there is.
//!
//! | file | measures |
//! |---|---|
//! | `engine` | the storage |
//! | `index` | the search |
//! | `transport` | handing mails over |
//! | `process` | the process itself, and what is read only when somebody asks |

mod engine;
mod index;
pub mod process;
mod transport;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use emcrm_mail::Transport;
use emcrm_search::Index;
use emcrm_store::Engine;
use emcrm_trace::Instrument as _;
use metrics::Histogram;

use crate::http::metrics::recorder;

pub fn engine(inner: Arc<dyn Engine>) -> Arc<dyn Engine> {
    recorder();
    Arc::new(engine::Measured::new(inner))
}

pub fn index(inner: Arc<dyn Index>) -> Arc<dyn Index> {
    recorder();
    Arc::new(index::Measured::new(inner))
}

pub fn transport(inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
    recorder();
    Arc::new(transport::Measured::new(inner))
}

/// One call: its time, and its span where somebody follows what led to it.
async fn called<T>((part, engine): (&'static str, &'static str), operation: &'static str, histogram: &Histogram, call: impl Future<Output = T>) -> T {
    timed(histogram, call.instrument(emcrm_trace::call(part, engine, operation))).await
}

async fn timed<T>(histogram: &Histogram, call: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let answer = call.await;
    histogram.record(begin.elapsed().as_secs_f64());
    answer
}
