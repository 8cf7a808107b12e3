//! JSON bodies: content type, size, syntax. What the fields mean is the model's business.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;

use super::request::RequestInfo;
use crate::api::error::{ApiError, Problem};
use crate::auth::Without;

/// Largest body, in bytes, where no [`super::edge::Limits`] say another one.
pub const BODY_MAX: usize = 1024 * 1024;
/// Bytes of a body that is too large which are read and thrown away, so that the client sees the answer and not a reset connection.
const DRAIN_MAX: usize = 16 * 1024 * 1024;

/// A JSON value and the bytes that it came as.
#[derive(Debug, Clone)]
pub struct JsonBody {
    pub value: Value,
    pub bytes: Bytes,
}

/// For handlers without a body, where a fingerprint of one is wanted.
#[derive(Debug, Clone, Copy)]
pub struct NoBody;

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let rules = Rules::of(&request);
        check_content_type(request.headers(), rules)?;
        let bytes = read(request.into_body(), rules.most).await?;
        Ok(Self { value: parse(&bytes)?, bytes })
    }
}

/// A body that may be left out.
#[derive(Debug, Clone)]
pub struct OptionalJsonBody(pub JsonBody);

impl<S: Sync> FromRequest<S> for OptionalJsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let rules = Rules::of(&request);
        let content_type = check_content_type(request.headers(), rules);
        let bytes = read(request.into_body(), rules.most).await?;
        if bytes.is_empty() {
            return Ok(Self(JsonBody { value: Value::Object(serde_json::Map::new()), bytes }));
        }
        content_type?;
        Ok(Self(JsonBody { value: parse(&bytes)?, bytes }))
    }
}

/// What the edge says about bodies.
#[derive(Clone, Copy)]
struct Rules {
    /// Most bytes.
    most: usize,
    /// Browsers must say that they send JSON.
    named: bool,
}

impl Rules {
    fn of(request: &Request) -> Self {
        let info = request.extensions().get::<Arc<RequestInfo>>();
        Self { most: info.map_or(BODY_MAX, |info| info.limits.body), named: info.is_none_or(|info| info.without != Without::Type) }
    }
}

/// `application/json` and `application/*+json`. A body that does not say what it is is taken as JSON, as older clients expect, but not from a browser: a page of
/// another site can send bytes of no type without asking first. Browsers say where a request comes from; programs do not.
fn check_content_type(headers: &HeaderMap, rules: Rules) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        let by_a_browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
        return if by_a_browser && rules.named { Err(not_json()) } else { Ok(()) };
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if json { Ok(()) } else { Err(not_json()) }
}

fn not_json() -> ApiError {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "the body must be application/json").into()
}

async fn read(mut body: Body, most: usize) -> Result<Bytes, ApiError> {
    use axum::body::HttpBody;
    let announced = body.size_hint().lower();
    let mut over = announced > most as u64;
    let mut first: Option<Bytes> = None;
    let mut rest: Vec<u8> = Vec::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "incomplete_body", "the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        over |= seen > most;
        if over {
            if seen > DRAIN_MAX || announced > DRAIN_MAX as u64 {
                break;
            }
        } else if let Some(first) = &first {
            if rest.is_empty() {
                rest.reserve(first.len() + data.len());
                rest.extend_from_slice(first);
            }
            rest.extend_from_slice(&data);
        } else {
            first = Some(data);
        }
    }
    if over {
        let detail = format!("the body may have at most {most} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).into());
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.into() })
}

fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Err(ApiError::bad_body("missing", "a JSON body is required"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ApiError::bad_body("json_invalid", format!("not UTF-8 from byte {} on", error.valid_up_to())))?;
    serde_json::from_str(text).map_err(|error| ApiError::bad_body("json_invalid", format!("not valid JSON: {error}")))
}
