//! The edge: what happens to every request before and after its handler. One service around the router instead of a stack of layers,
//! because each layer costs an allocation or two, and their order is easier to read as one function.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use emcrm_trace::{Instrument as _, Span};
use futures::FutureExt;
use tower::Service;

use super::body::BODY_MAX;
use super::gate::{Gate, class_of_path, is_of_sns};
use super::gzip;
use super::metrics::HttpMetrics;
use super::request::RequestInfo;
use super::trace;
use crate::api::error::{Cause, Problem};
use crate::auth::Without;
use crate::web::frame::{Asked, of_edge};
use crate::web_form::FORM_MAX;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What browsers are told about pages, besides what a page says itself.
const PAGE_HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("permissions-policy"), HeaderValue::from_static("camera=(), microphone=(), geolocation=(), payment=(), usb=()")),
];
/// Two years, as browsers' lists ask for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Limits of the edge.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// After so long a request is given up.
    pub time: Duration,
    /// Requests in hand at once; more are answered 503.
    pub requests: usize,
    /// Largest JSON body, in bytes.
    pub body: usize,
    /// Largest form, in bytes. Forms under `/app` are at most [`FORM_MAX`] whatever stands here.
    pub form: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(30), requests: 1024, body: BODY_MAX, form: FORM_MAX }
    }
}

/// The router with everything around it. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    router: Router,
    gate: Arc<Gate>,
    without: Without,
    shared: Arc<Shared>,
}

struct Shared {
    /// Of the installation, for pages.
    name: String,
    limits: Limits,
    in_hand: AtomicUsize,
    stopping: AtomicBool,
    metrics: HttpMetrics,
    /// Part of the requests whose traces are kept; none where nothing is traced.
    traced: Option<f64>,
    /// Ids of requests: the first half tells processes apart, the second counts.
    id_prefix: u32,
    id_next: AtomicU64,
}

/// Counts a request for as long as it lives, also when the client goes away.
struct InHand<'a>(&'a Shared);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.in_hand().decrement(1.0);
    }
}

impl Edge {
    /// `id_prefix` tells this process's request ids from those of others; `traced` is the part of the requests whose traces are kept.
    pub fn new(router: Router, name: String, limits: Limits, gate: Arc<Gate>, id_prefix: u32, traced: Option<f64>) -> Self {
        let shared = Shared {
            name,
            limits,
            in_hand: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            metrics: HttpMetrics::default(),
            traced,
            id_prefix,
            id_next: AtomicU64::new(1),
        };
        Self { router, gate, without: Without::Nothing, shared: Arc::new(shared) }
    }

    /// Without one of its defences, for tests.
    #[must_use]
    pub fn lacking(self, without: Without) -> Self {
        Self { without, ..self }
    }

    /// From now on connections are closed after the answer in hand.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
    }

    /// Answers one request. Never fails and never panics.
    pub async fn answer<B>(&self, request: Request<B>, peer: Option<SocketAddr>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let started = Instant::now();
        let shared = &*self.shared;
        let id = sane_id(request.headers()).unwrap_or_else(|| shared.next_id());
        let client = self.gate.client(peer, request.headers());
        let info = Arc::new(RequestInfo::new(id, peer.map(|peer| peer.ip()), client, shared.limits, self.without));
        let method = request.method().clone();
        let gzip_accepted = gzip::is_accepted(request.headers());
        let span = trace::request(shared.traced, &method, request.uri().path(), request.headers());

        let address = (self.without == Without::Route).then(|| request.uri().to_string());
        let asked = Asked::by_people(&request, info.id());
        let mut response = match shared.enter(&request).and_then(|in_hand| self.admit(&request, &info).map(|()| in_hand)) {
            Ok(_in_hand) => self.route(request, &info).instrument(span.clone()).await,
            Err(problem) => problem.into_response(),
        };
        response = of_edge(asked, &shared.name, response);
        if gzip::is_worth_it(&response) {
            response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
            if gzip_accepted && method != Method::HEAD {
                response = gzip::compressed(response).await;
            }
        }
        shared.finish(&mut response, &info, self.gate.https());
        shared.note(&response, &info, address.as_deref(), &method, &span, started.elapsed());
        response
    }

    /// Whoever watches the process knows it by its address.
    fn admit<B>(&self, request: &Request<B>, info: &RequestInfo) -> Result<(), Problem> {
        let path = request.uri().path();
        if !path.starts_with("/health") {
            self.gate.check_host(request.headers(), request.uri())?;
        }
        if let Some(class) = class_of_path(path) {
            let counted = self.gate.count_address(class, info.client);
            let _ = info.allowance.set(if is_of_sns(path) { counted.map_err(Problem::into_unavailable)? } else { counted? });
        }
        Ok(())
    }

    async fn route<B>(&self, request: Request<B>, info: &Arc<RequestInfo>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut request = request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
        if let Some(uri) = without_trailing_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        request.extensions_mut().insert(info.clone());
        let mut router = self.router.clone();
        let answer = AssertUnwindSafe(async move { router.call(request).await }).catch_unwind();
        match tokio::time::timeout(self.shared.limits.time, answer).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(panic)) => Problem::internal(format!("panic: {}", panic_text(panic.as_ref()))).into_response(),
            Err(_) => {
                let detail = "The request took too long and was given up. A change may have happened: read before you repeat it.";
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
            }
        }
    }
}

impl Shared {
    fn next_id(&self) -> HeaderValue {
        let number = self.id_next.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{:08x}-{number:08x}", self.id_prefix)).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }

    fn enter<B>(&self, request: &Request<B>) -> Result<InHand<'_>, Problem> {
        let before = self.in_hand.fetch_add(1, Ordering::Relaxed);
        self.metrics.in_hand().increment(1.0);
        let in_hand = InHand(self);
        // Whoever watches the process must get an answer when it is busy most of all.
        if before >= self.limits.requests && !request.uri().path().starts_with("/health") {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too many requests at once.").retry_after(1));
        }
        // Browsers say where a request comes from. Another site's pages have no business in here, and without sign-in nothing else stops them.
        if !request.method().is_safe() && request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", "Pages of other sites may not change anything here."));
        }
        Ok(in_hand)
    }

    fn finish(&self, response: &mut Response, info: &RequestInfo, https: bool) {
        let headers = response.headers_mut();
        if let Some(Some(allowance)) = info.allowance.get() {
            allowance.write(headers);
        }
        if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
            for (name, value) in PAGE_HEADERS {
                headers.entry(name).or_insert(value);
            }
        }
        if https {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        headers.insert(X_REQUEST_ID, info.id.clone());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if self.stopping.load(Ordering::Relaxed) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    fn note(&self, response: &Response, info: &RequestInfo, address: Option<&str>, method: &Method, span: &Span, took: Duration) {
        let status = response.status();
        self.metrics.record(info.route(), method, status, took);
        let trace_id = trace::answered(span, info, method, status);
        let bytes = response.body().size_hint().exact().unwrap_or(0);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (id, route, actor, method, status) = (info.id(), address.unwrap_or(info.route()), info.actor(), method.as_str(), status.as_u16());
        if let Some(Cause(cause)) = response.extensions().get() {
            tracing::error!(target: "emcrm::http", method, route, status, took_us, bytes, actor, request_id = id, trace_id, cause, "request failed");
        } else {
            tracing::info!(target: "emcrm::http", method, route, status, took_us, bytes, actor, request_id = id, trace_id, "request");
        }
    }
}

fn sane_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(X_REQUEST_ID)?;
    let sane = (1..=128).contains(&value.len()) && value.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    sane.then(|| value.clone())
}

/// A path works with and without one trailing slash; inside there is only the one without.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty())?;
    let target: PathAndQuery = match uri.query() {
        Some(query) => format!("{path}?{query}").parse().ok()?,
        None => path.parse().ok()?,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).ok()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_slash_is_taken_off_and_the_query_stays() {
        let rewritten = |uri: &str| without_trailing_slash(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(rewritten("/users/"), Some("/users".to_owned()));
        assert_eq!(rewritten("/users/?size=1"), Some("/users?size=1".to_owned()));
        assert_eq!(rewritten("/"), None);
        assert_eq!(rewritten("/users"), None);
        assert_eq!(rewritten("/users?next=/a/"), None);
    }

    #[test]
    fn a_request_id_is_taken_only_if_it_is_harmless_in_a_log() {
        let taken = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            sane_id(&headers).is_some()
        };
        assert!(taken(b"a-B_9.z") && taken(&[b'a'; 128]));
        assert!(!taken(b"") && !taken(&[b'a'; 129]) && !taken(b"a b") && !taken(b"a\"b") && !taken("ä".as_bytes()));
    }
}
