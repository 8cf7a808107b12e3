//! A collector: takes traces by OTLP over HTTP and keeps them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::Message as _;

#[derive(Clone, Default)]
pub struct Collector {
    pub endpoint: String,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

/// One span as it arrived; ids in hexadecimal digits.
#[derive(Debug, Clone)]
pub struct Seen {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub kind: i32,
    /// 2 is an error.
    pub status: i32,
    pub attributes: BTreeMap<String, String>,
}

impl Seen {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    list.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

impl Collector {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self { endpoint: format!("http://{}", listener.local_addr().unwrap()), ..Self::default() };
        let take = async |State(this): State<Self>, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            this.received.lock().unwrap().push(request);
        };
        let routes = Router::new().route("/v1/traces", post(take)).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        this
    }

    pub fn spans(&self) -> Vec<Seen> {
        let mut spans = Vec::new();
        for of_resource in self.received.lock().unwrap().iter().flat_map(|request| &request.resource_spans) {
            let resource = attributes(of_resource.resource.as_ref().map_or(&[], |resource| &resource.attributes));
            for span in of_resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                assert!(span.events.is_empty() && span.links.is_empty(), "{span:?}");
                spans.push(Seen {
                    service: resource.get("service.name").cloned().unwrap_or_default(),
                    name: span.name.clone(),
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    kind: span.kind,
                    status: span.status.as_ref().map_or(0, |status| status.code),
                    attributes: attributes(&span.attributes),
                });
            }
        }
        spans
    }

    /// Everything that arrived, as one text, to look for what must not be in it.
    pub fn everything(&self) -> String {
        format!("{:?}", self.received.lock().unwrap())
    }
}
