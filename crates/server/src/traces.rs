//! Traces, exported by OTLP over HTTP. Nothing here waits for the collector, and nothing elsewhere does: spans stand in a bounded queue, what does not fit is
//! dropped and counted, and at the end the queue has a bounded time to become empty.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use crate::config::TracesConfig;

/// Spans that wait to be exported, or are on their way. A span is about half a kilobyte.
const QUEUE_MAX: usize = 8_192;
/// Spans of one request to the collector.
const BATCH: usize = 512;
/// Spans are collected for so long before they are exported together.
const COLLECT: Duration = Duration::from_secs(2);
/// Patience with the collector, repeated requests included.
const EXPORT: Duration = Duration::from_secs(5);
/// Patience at the end of the process.
const STOP: Duration = Duration::from_secs(2);
/// Longest answer of the collector that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// Where spans go, until it is stopped.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// The collector cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("OTEL_EXPORTER_OTLP_ENDPOINT: traces cannot be exported: {0}")]
pub struct BadTraces(String);

impl Traces {
    /// None without an endpoint. Connects to nothing yet. To be called inside a runtime, which does the exporting.
    pub fn start(config: &TracesConfig) -> Result<Option<Self>, BadTraces> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        // The first one wins, and all of them are the same.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(EXPORT)
            .timeout(EXPORT)
            // A redirect could lead the collector's headers elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| BadTraces(error.to_string()))?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Client { http, runtime: Handle::current() })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.as_str()))
            .with_headers(config.headers.as_ref().map(|headers| pairs(headers.reveal())).unwrap_or_default())
            .with_timeout(EXPORT)
            .build()
            .map_err(|error| BadTraces(error.to_string()))?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let exporter = Counted { inner: exporter, waiting: waiting.clone(), away: AtomicBool::new(false) };
        let batches =
            BatchConfigBuilder::default().with_max_queue_size(QUEUE_MAX + BATCH).with_max_export_batch_size(BATCH).with_scheduled_delay(COLLECT).build();
        let inner = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let resource = Resource::builder_empty()
            .with_service_name(config.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", format!("{:016x}", rand::random::<u64>())))
            .build();
        // Whether a trace is kept is decided where it begins; a span that is made is kept.
        let provider =
            SdkTracerProvider::builder().with_span_processor(Bounded { inner, waiting }).with_sampler(Sampler::AlwaysOn).with_resource(resource).build();
        let tracer = provider.tracer("emcrm");
        Ok(Some(Self { provider, tracer }))
    }

    /// What takes spans of ours, and nothing else: no events, and no spans of libraries, which may say anything.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + Send + Sync + for<'a> LookupSpan<'a>,
    {
        OpenTelemetryLayer::new(self.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == emcrm_trace::TARGET).with_max_level_hint(LevelFilter::INFO))
    }

    /// Exports what waits, for a bounded time.
    pub async fn stop(self) {
        let stopped = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(STOP)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the last spans of traces could not be exported in time");
        }
    }
}

/// `name=value,name=value`, as OpenTelemetry writes headers.
fn pairs(text: &str) -> HashMap<String, String> {
    let pair = |part: &str| part.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    text.split(',').filter_map(pair).collect()
}

/// The product's HTTP client as the exporter wants it. The exporter has a thread of its own, without a runtime.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let call = self.runtime.spawn(async move {
            let mut response = http.execute(request.try_into()?).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if bytes.len() + chunk.len() > ANSWER_MAX {
                    break;
                }
                bytes.extend_from_slice(&chunk);
            }
            let mut answer = Response::new(Bytes::from(bytes));
            *answer.status_mut() = response.status();
            *answer.headers_mut() = std::mem::take(response.headers_mut());
            Ok(answer)
        });
        call.await?
    }
}

/// Counts what became of spans, and says once that the collector is away and once that it is back.
#[derive(Debug)]
struct Counted<E> {
    inner: E,
    waiting: Arc<AtomicUsize>,
    away: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        count(if result.is_ok() { "exported" } else { "failed" }, spans as u64);
        match (&result, self.away.swap(result.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(%error, "traces cannot be exported; spans are dropped until the collector answers"),
            (Ok(()), true) => tracing::info!("traces are exported again"),
            _ => {}
        }
        result
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }
    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Drops and counts what the queue has no room for. The processor inside has room for all that gets through.
#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }
    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            count("dropped", 1);
            return;
        }
        self.inner.on_end(span);
    }
    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

fn count(outcome: &'static str, spans: u64) {
    metrics::counter!("emcrm_trace_spans_total", "outcome" => outcome).increment(spans);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let headers = pairs("authorization=Bearer a=b, x-team = crm,,nonsense");
        assert_eq!(headers.len(), 2);
        assert_eq!((headers["authorization"].as_str(), headers["x-team"].as_str()), ("Bearer a=b", "crm"));
    }
}
