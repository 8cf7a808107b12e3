//! `OTEL_…`: where traces go. The names are those of OpenTelemetry, so that what runs beside this program is configured alike.

use super::section;
use super::setting::{HttpUrl, Ratio, Secret};

section! {
    /// Traces by OTLP over HTTP. Without an endpoint there are none.
    TracesConfig {
        /// Collector that takes traces by OTLP over HTTP (protobuf), such as `http://127.0.0.1:4318`; `/v1/traces` is added. Without it nothing is traced.
        "OTEL_EXPORTER_OTLP_ENDPOINT" => endpoint: Option<HttpUrl> = "",
        /// Headers that the collector wants, such as `authorization=Bearer abc,x-team=crm`.
        "OTEL_EXPORTER_OTLP_HEADERS" => headers: Option<Secret> = "",
        /// Part of the requests whose traces are kept, 0 to 1. A caller whose `traceparent` says "not sampled" is heard; one that says "sampled" gets no more than this.
        "OTEL_TRACES_SAMPLER_ARG" => ratio: Ratio = "1",
        /// Name under which the collector knows this program.
        "OTEL_SERVICE_NAME" => service: String = "emcrm",
    }
}
