//! `/health…` and `/metrics`: for whoever watches the process.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::error::{ApiError, Problem, not_found};
use crate::http::gate::Class;
use crate::http::request::Open;
use crate::http::{Answer, RequestInfo, json, metrics};
use crate::measured::process as measured;
use crate::router::ApiState;

/// The two dependencies by names that older clients know: the storage and the search, whatever they are made of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthOut {
    pub dynamodb: &'static str,
    pub opensearch: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Live)]
pub struct LiveOut {
    pub status: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ready)]
pub struct ReadyOut {
    /// `ready`, `not ready` or `stopping`.
    pub status: &'static str,
    pub storage: &'static str,
    pub search: &'static str,
}

const FAILING: &str = "error: not available";
/// How long it is good what storage and search have said. Anybody may ask how they are, as often as they like: that must not be work for them.
const KEPT: Duration = Duration::from_secs(1);

/// What storage and search said last, and when.
#[derive(Debug, Default)]
pub(crate) struct LastHealth(Mutex<Option<(Instant, (&'static str, &'static str))>>);

/// Words without addresses; the cause goes to the log.
fn word(what: &str, health: &Result<(), String>) -> &'static str {
    match health {
        Ok(()) => "ok",
        Err(cause) => {
            tracing::warn!(target: "emcrm::health", what, cause, "a dependency is failing");
            FAILING
        }
    }
}

fn with_status<T: Serialize>(good: bool, value: &T) -> Answer {
    let mut response = json(value)?;
    if !good {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    Ok(response)
}

async fn dependencies(state: &ApiState) -> (&'static str, &'static str) {
    // Whoever comes meanwhile waits for the same answer.
    let mut last = state.last_health.0.lock().await;
    if let Some((at, words)) = *last
        && at.elapsed() < KEPT
    {
        return words;
    }
    let health = state.app.health().await;
    let words = (word("storage", &health.storage), word("search", &health.search));
    *last = Some((Instant::now(), words));
    words
}

/// Whether storage and search work.
#[utoipa::path(get, path = "/health", tag = "Health", operation_id = "health", responses(
    (status = 200, description = "Both work", body = HealthOut),
    (status = 503, description = "One fails", body = HealthOut),
))]
pub async fn health(_: Open, State(state): State<ApiState>) -> Answer {
    let (dynamodb, opensearch) = dependencies(&state).await;
    with_status(dynamodb == "ok" && opensearch == "ok", &HealthOut { dynamodb, opensearch })
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/health/live", tag = "Health", operation_id = "health_live", responses((status = 200, description = "It does", body = LiveOut)))]
pub async fn live(_: Open) -> Answer {
    json(&LiveOut { status: "ok" })
}

/// Whether requests should be sent here.
#[utoipa::path(get, path = "/health/ready", tag = "Health", operation_id = "health_ready", responses(
    (status = 200, description = "Yes", body = ReadyOut),
    (status = 503, description = "Not now", body = ReadyOut),
))]
pub async fn ready(_: Open, State(state): State<ApiState>) -> Answer {
    let (storage, search) = dependencies(&state).await;
    let good = storage == "ok" && search == "ok";
    let status = match (state.is_stopping(), good) {
        (true, _) => "stopping",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    with_status(status == "ready", &ReadyOut { status, storage, search })
}

/// Metrics for Prometheus, with the token or from this machine.
#[utoipa::path(get, path = "/metrics", tag = "Health", operation_id = "metrics", responses(
    (status = 200, description = "Metrics in the text format of Prometheus", body = String, content_type = "text/plain; version=0.0.4"),
    (status = 401, description = "The token is missing or wrong", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 403, description = "Without a configured token only loopback callers get an answer", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn metrics(Open(info): Open, State(state): State<ApiState>, headers: HeaderMap) -> Answer {
    may_see_metrics(&info, &state, &headers)?;
    let mut text = metrics::recorder().render();
    measured::process(&mut text);
    measured::storage(&state.app, &mut text);
    measured::campaigns(&state.app, &mut text).await;
    if let Ok(backlog) = state.app.backlog().await {
        for (metric, help) in [("waiting", "Tasks that are waiting"), ("oldest_seconds", "Age of the oldest task"), ("dead", "Tasks that were given up")] {
            let _ = writeln!(text, "# HELP emcrm_tasks_{metric} {help}\n# TYPE emcrm_tasks_{metric} gauge");
            for queue in &backlog.queues {
                let value = match metric {
                    "waiting" => queue.waiting,
                    "oldest_seconds" => queue.oldest_seconds,
                    _ => queue.dead,
                };
                let _ = writeln!(text, "emcrm_tasks_{metric}{{queue=\"{}\"}} {value}", queue.queue);
            }
        }
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], Body::from(text)).into_response())
}

fn may_see_metrics(info: &RequestInfo, state: &ApiState, headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some(token) = &state.settings.metrics_token {
        let given =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // Digests have one length, so that comparing them tells nothing.
        let same: bool = Sha256::digest(given.trim()).ct_eq(&Sha256::digest(token.reveal())).into();
        return if same { Ok(()) } else { Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "The metrics need their token.").into()) };
    }
    // A proxy on this machine is a loopback caller too, but speaks for others.
    let speaks_for_others = headers.contains_key("forwarded") || headers.contains_key("x-forwarded-for");
    let local = info.peer.is_none_or(|peer| peer.to_canonical().is_loopback());
    if local && !speaks_for_others {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "Without APP_METRICS_TOKEN the metrics are for callers on this machine only.").into())
}

/// Counts by its address what nobody answers, where the gate has not counted it.
fn count_stray(state: &ApiState, info: &RequestInfo) -> Result<(), Problem> {
    if info.allowance.get().is_none() {
        let _ = info.allowance.set(state.access.gate.count_address(Class::Public, info.client)?);
    }
    Ok(())
}

/// 404 for whatever has no route.
pub async fn unknown_route(State(state): State<ApiState>, Open(info): Open) -> Answer {
    count_stray(&state, &info)?;
    Err(not_found())
}

/// 405; `Allow` is added by the router.
pub async fn wrong_method(State(state): State<ApiState>, Open(info): Open) -> Answer {
    count_stray(&state, &info)?;
    Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed").into())
}
