//! The span of one request: the server's end of a trace. It tells method, route and status; never a path, a query or who asked.

use axum::http::{HeaderMap, Method, StatusCode};
use emcrm_trace::{Span, TraceParent, begins, follow, root};
use tracing::field::Empty;

use super::metrics::label;
use super::request::RequestInfo;

/// The span of a request, where its trace is kept. `ratio` is none where nothing is traced. Whoever watches the process asks all the time and is not traced.
pub(super) fn request(ratio: Option<f64>, method: &Method, path: &str, headers: &HeaderMap) -> Span {
    let Some(ratio) = ratio else { return Span::none() };
    if path.starts_with("/health") || path == "/metrics" {
        return Span::none();
    }
    let mut given = headers.get_all("traceparent").iter();
    let caller = match (given.next(), given.next()) {
        (Some(one), None) => one.to_str().ok().and_then(TraceParent::parse),
        _ => None,
    };
    if !begins(ratio, caller.as_ref()) {
        return Span::none();
    }
    let span = root!(
        "request",
        otel.name = known(method),
        otel.kind = "server",
        http.request.method = known(method),
        http.route = Empty,
        http.response.status_code = Empty,
        emcrm.request.id = Empty,
    );
    if let Some(caller) = &caller {
        follow(&span, caller);
    }
    span
}

/// Writes down how it ended; the trace's id, for the log line.
pub(super) fn answered(span: &Span, info: &RequestInfo, method: &Method, status: StatusCode) -> Option<String> {
    let place = TraceParent::of(span)?;
    emcrm_trace::rename(span, format!("{} {}", known(method), info.route()));
    span.record("http.route", info.route());
    span.record("http.response.status_code", status.as_u16());
    span.record("emcrm.request.id", info.id());
    if status.is_server_error() {
        emcrm_trace::failed(span);
    }
    Some(place.trace_id())
}

/// OpenTelemetry writes the others with an underscore.
fn known(method: &Method) -> &'static str {
    match label(method) {
        "OTHER" => "_OTHER",
        usual => usual,
    }
}
