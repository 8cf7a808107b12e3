//! One call to DynamoDB: bounded in number, measured, and repeated where that is right.
//!
//! What a failure means for the change that was asked for is decided here, once:
//!
//! | failure | meaning | repeated |
//! |---|---|---|
//! | throttled | nothing was done | yes, [`Calls::retries`] times |
//! | conflict with another transaction | nothing was done | yes, for [`CONFLICT_PATIENCE`] |
//! | no connection could be made | nothing was done | yes, as throttled |
//! | time-out, broken connection, status 5xx | nobody knows | as throttled, where repeating does no harm: reads, and transactions with their token |
//! | anything else | nothing was done | no |

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use emcrm_aws::{chain, never_connected};
use emcrm_store::engine::EngineError;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long a transaction that meets others on the same items is repeated.
pub const CONFLICT_PATIENCE: Duration = Duration::from_secs(10);
const CONFLICT_PAUSE: Duration = Duration::from_millis(8);
const THROTTLE_PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What became of one attempt.
#[derive(Debug)]
pub enum Failure {
    Throttled(String),
    Conflict(String),
    /// Nothing reached the service.
    NotSent(String),
    /// The answer was lost or says nothing.
    Ambiguous(String),
    Final(EngineError),
}

/// Whether a call whose answer was lost may be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing, or carries a token that makes it happen once.
    Harmless,
    /// It could be done twice.
    Never,
}

/// Calls and consumed capacity since the start, by operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meter(pub BTreeMap<&'static str, Metered>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Metered {
    pub calls: u64,
    /// Calls that were repeated because of throttling or a conflict.
    pub repeated: u64,
    /// Capacity units as DynamoDB counts them: read units for reads, write units for writes.
    pub units: f64,
}

pub struct Calls {
    permits: Semaphore,
    most: usize,
    retries: u32,
    conflict_patience: Duration,
    meter: Mutex<Meter>,
}

impl Calls {
    pub fn new(connections: usize, retries: u32) -> Self {
        let most = connections.max(1);
        Self { permits: Semaphore::new(most), most, retries, conflict_patience: CONFLICT_PATIENCE, meter: Mutex::default() }
    }

    /// Calls that are on their way, and how many may be.
    pub fn in_use(&self) -> (usize, usize) {
        (self.most - self.permits.available_permits(), self.most)
    }

    pub fn meter(&self) -> Meter {
        self.meter.lock().clone()
    }

    pub fn consumed(&self, operation: &'static str, units: f64) {
        self.meter.lock().0.entry(operation).or_default().units += units;
    }

    /// Runs `attempt` until it succeeds or must not be repeated. A failure that leaves the outcome open is `Unknown` for [`Repeat::Never`] at once,
    /// and for writes after the last attempt.
    pub async fn run<T, F>(&self, operation: &'static str, repeat: Repeat, writes: bool, attempt: impl Fn() -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let began = Instant::now();
        let (mut failed, mut conflicts, mut open) = (0, 0, None);
        loop {
            let result = {
                let _permit = self.permits.acquire().await.map_err(|error| EngineError::Unavailable(error.to_string()))?;
                self.meter.lock().0.entry(operation).or_default().calls += 1;
                attempt().await
            };
            let failure = match result {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let reason = match &failure {
                Failure::Final(_) => None,
                Failure::Conflict(_) => Some("conflict"),
                Failure::Throttled(_) => Some("throttled"),
                Failure::NotSent(_) => Some("not_sent"),
                Failure::Ambiguous(_) => Some("no_answer"),
            };
            if let Some(reason) = reason {
                // Also the last one, after which nothing is repeated any more: it is the same trouble.
                metrics::counter!("emcrm_storage_retries_total", "reason" => reason).increment(1);
            }
            let (pause, again, why) = match failure {
                Failure::Final(error) => return Err(error),
                Failure::Conflict(why) => {
                    conflicts += 1;
                    (jittered(CONFLICT_PAUSE, conflicts), began.elapsed() < self.conflict_patience, why)
                }
                Failure::Throttled(why) | Failure::NotSent(why) => {
                    failed += 1;
                    (jittered(THROTTLE_PAUSE, failed), failed <= self.retries, why)
                }
                Failure::Ambiguous(why) => {
                    failed += 1;
                    if writes {
                        open = Some(why.clone());
                    }
                    (jittered(THROTTLE_PAUSE, failed), repeat == Repeat::Harmless && failed <= self.retries, why)
                }
            };
            if !again {
                // One attempt whose outcome is open leaves the whole open.
                return Err(open.map_or(EngineError::Unavailable(why), EngineError::Unknown));
            }
            self.meter.lock().0.entry(operation).or_default().repeated += 1;
            tracing::debug!(operation, why, "a call to DynamoDB is repeated");
            tokio::time::sleep(pause).await;
        }
    }
}

/// Between a quarter of the pause and all of it; it doubles with each attempt.
fn jittered(first: Duration, attempt: u32) -> Duration {
    let pause = first.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(PAUSE_MAX);
    pause.mul_f64(rand::random_range(0.25..=1.0))
}

/// What a failed call means. The caller has looked for its own kinds (a failed condition, a cancelled transaction) before.
pub fn failure<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let why = describe(error);
    match error {
        SdkError::ConstructionFailure(_) => Failure::Final(EngineError::Unavailable(why)),
        SdkError::DispatchFailure(dispatch) => {
            // The only time-out below the whole attempt's is that of connecting.
            if dispatch.is_timeout() || dispatch.as_connector_error().is_some_and(|error| never_connected(error)) {
                Failure::NotSent(why)
            } else if dispatch.is_user() {
                Failure::Final(EngineError::Unavailable(why))
            } else {
                Failure::Ambiguous(why)
            }
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            match error.code().unwrap_or_default() {
                "ProvisionedThroughputExceededException" | "ThrottlingException" | "ThrottledException" | "Throttling" | "RequestLimitExceeded" => {
                    Failure::Throttled(why)
                }
                "TransactionConflictException" | "TransactionInProgressException" | "ReplicatedWriteConflictException" => Failure::Conflict(why),
                _ if status == 429 => Failure::Throttled(why),
                _ if status >= 500 => Failure::Ambiguous(why),
                "ValidationException" | "SerializationException" | "ItemCollectionSizeLimitExceededException" => Failure::Final(EngineError::Limit(why)),
                _ => Failure::Final(EngineError::Unavailable(why)),
            }
        }
        // A time-out, or an answer that cannot be read.
        _ => Failure::Ambiguous(why),
    }
}

/// The failure in words: the service's own, or the chain of causes.
pub fn describe<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if let (Some(code), message) = (error.code(), error.message()) {
        return message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"));
    }
    chain(error)
}

pub fn limit(error: impl Display) -> EngineError {
    EngineError::Limit(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn attempts(repeat: Repeat, writes: bool, failures: &[fn() -> Failure]) -> (Result<u32, EngineError>, u32) {
        let calls = Calls { conflict_patience: Duration::from_secs(4), ..Calls::new(4, 2) };
        let count = AtomicU32::new(0);
        let result = calls
            .run("test", repeat, writes, || async {
                let attempt = count.fetch_add(1, Ordering::Relaxed);
                failures.get(attempt as usize).map_or(Ok(attempt), |failure| Err(failure()))
            })
            .await;
        (result, count.load(Ordering::Relaxed))
    }

    fn throttled() -> Failure {
        Failure::Throttled("slow down".to_owned())
    }
    fn ambiguous() -> Failure {
        Failure::Ambiguous("lost".to_owned())
    }
    fn conflict() -> Failure {
        Failure::Conflict("meeting".to_owned())
    }
    fn refused() -> Failure {
        Failure::NotSent("refused".to_owned())
    }

    #[tokio::test]
    async fn throttling_is_repeated_as_often_as_configured() {
        assert_eq!(attempts(Repeat::Never, true, &[throttled, throttled]).await, (Ok(2), 3));
        let (result, count) = attempts(Repeat::Never, true, &[throttled, throttled, throttled]).await;
        assert_eq!((result, count), (Err(EngineError::Unavailable("slow down".to_owned())), 3));
    }

    #[test]
    fn each_attempt_that_failed_is_counted_by_its_reason() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        metrics::with_local_recorder(&recorder, || {
            for failures in [&[throttled as fn() -> Failure, throttled][..], &[conflict], &[refused], &[ambiguous]] {
                let _ = runtime.block_on(attempts(Repeat::Harmless, true, failures));
            }
        });
        let text = handle.render();
        for (reason, times) in [("throttled", 2), ("conflict", 1), ("not_sent", 1), ("no_answer", 1)] {
            assert!(text.contains(&format!("emcrm_storage_retries_total{{reason=\"{reason}\"}} {times}\n")), "{text}");
        }
    }

    #[tokio::test]
    async fn permits_of_calls_on_their_way_are_seen() {
        let calls = Calls::new(3, 0);
        assert_eq!(calls.in_use(), (0, 3));
        let seen = calls.run("test", Repeat::Never, false, || async { Ok(calls.in_use()) }).await;
        assert_eq!((seen, calls.in_use()), (Ok((1, 3)), (0, 3)));
    }

    #[tokio::test]
    async fn a_lost_answer_of_a_plain_write_is_unknown_at_once() {
        assert_eq!(attempts(Repeat::Never, true, &[ambiguous]).await, (Err(EngineError::Unknown("lost".to_owned())), 1));
    }

    #[tokio::test]
    async fn a_lost_answer_stays_open_when_later_attempts_fail_otherwise() {
        let (result, _) = attempts(Repeat::Harmless, true, &[ambiguous, refused, refused]).await;
        assert_eq!(result, Err(EngineError::Unknown("lost".to_owned())));
    }

    #[tokio::test]
    async fn a_read_whose_answers_are_lost_is_unavailable() {
        assert_eq!(attempts(Repeat::Harmless, false, &[ambiguous]).await, (Ok(1), 2));
        let (result, count) = attempts(Repeat::Harmless, false, &[ambiguous, ambiguous, ambiguous]).await;
        assert_eq!((result, count), (Err(EngineError::Unavailable("lost".to_owned())), 3));
    }

    #[tokio::test]
    async fn conflicts_are_repeated_by_time_and_not_by_count() {
        assert_eq!(attempts(Repeat::Never, true, &[conflict as fn() -> Failure; 5]).await, (Ok(5), 6));
        let (result, count) = attempts(Repeat::Never, true, &[conflict as fn() -> Failure; 100]).await;
        assert_eq!(result, Err(EngineError::Unavailable("meeting".to_owned())));
        assert!(count > 5, "{count}");
    }
}
