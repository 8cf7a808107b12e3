//! Rate, errors and durations of requests, by route pattern; the recorder that everything in the process reports to.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::RwLock;

/// Upper bounds of the duration buckets, in seconds.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The recorder of this process; the first call installs it.
pub fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Fails only if somebody else was first; then nothing is reported, and nothing breaks.
        let _ = metrics::set_global_recorder(recorder);
        metrics::describe_counter!("emcrm_http_requests_total", "Requests by method, route pattern and status");
        metrics::describe_histogram!("emcrm_http_request_duration_seconds", "Time from the request's head to the answer's head");
        metrics::describe_gauge!("emcrm_http_requests_in_hand", "Requests that are being answered");
        metrics::describe_gauge!("emcrm_http_connections_open", "Connections of clients that are open");
        metrics::describe_histogram!("emcrm_storage_operation_duration_seconds", "Time that calls of the storage take");
        metrics::describe_counter!("emcrm_storage_errors_total", "Calls of the storage that failed");
        metrics::describe_counter!("emcrm_storage_refusals_total", "Transactions that a rule refused");
        metrics::describe_counter!("emcrm_storage_retries_total", "Calls of DynamoDB that were repeated, because they were throttled or met another one");
        metrics::describe_histogram!("emcrm_search_operation_duration_seconds", "Time that calls of the search index take");
        metrics::describe_counter!("emcrm_search_errors_total", "Calls of the search index that failed");
        metrics::describe_counter!("emcrm_mail_handovers_total", "Mails that were handed over, by what became of it");
        metrics::describe_histogram!("emcrm_mail_handover_duration_seconds", "Time that handing over one mail takes");
        metrics::describe_gauge!("emcrm_mail_connections_open", "Connections to the mail server that are open");
        metrics::describe_gauge!("emcrm_mail_connections_max", "Connections to the mail server that may be open");
        metrics::describe_counter!("emcrm_trace_spans_total", "Spans of traces, by what became of them");
        handle
    })
}

/// Handles of metrics, looked up once for each combination.
#[derive(Default)]
pub(super) struct HttpMetrics {
    /// By route pattern; the entries of a route are few.
    by_route: RwLock<HashMap<String, Vec<Series>>>,
    in_hand: OnceLock<Gauge>,
}

struct Series {
    method: &'static str,
    status: StatusCode,
    count: Counter,
    duration: Histogram,
}

impl Series {
    fn new(route: &str, method: &'static str, status: StatusCode) -> Self {
        let duration = metrics::histogram!("emcrm_http_request_duration_seconds", "method" => method, "route" => route.to_owned());
        let count = metrics::counter!("emcrm_http_requests_total", "method" => method, "route" => route.to_owned(), "status" => status.as_u16().to_string());
        Self { method, status, count, duration }
    }
    fn record(&self, took: Duration) {
        self.count.increment(1);
        self.duration.record(took.as_secs_f64());
    }
}

impl HttpMetrics {
    pub(super) fn in_hand(&self) -> &Gauge {
        self.in_hand.get_or_init(|| metrics::gauge!("emcrm_http_requests_in_hand"))
    }

    pub(super) fn record(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = label(method);
        let is_it = |series: &&Series| series.method == method && series.status == status;
        if let Some(series) = self.by_route.read().get(route).and_then(|all| all.iter().find(is_it)) {
            return series.record(took);
        }
        let mut routes = self.by_route.write();
        let all = routes.entry(route.to_owned()).or_default();
        if !all.iter().any(|series| is_it(&series)) {
            all.push(Series::new(route, method, status));
        }
        if let Some(series) = all.iter().find(is_it) {
            series.record(took);
        }
    }
}

/// Methods are the client's choice; only the usual ones get a label of their own.
pub(super) fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
