//! Bodies of HTML forms: `application/x-www-form-urlencoded` and, without files, `multipart/form-data` as RFC 8058 allows it.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde_json::Value;

use crate::api::error::{ApiError, Problem};
use crate::http::call::Fingerprint;

/// Largest form, in bytes: a mail's body and what stands beside it.
pub const FORM_MAX: usize = 512 * 1024;

/// Fields in the order in which they were sent; a name may be there more than once.
#[derive(Debug, Clone, Default)]
pub struct Form {
    fields: Vec<(String, String)>,
    bytes: Bytes,
}

/// The field `once` of a form is its idempotency key (a form that is sent twice acts once), and `rev` the revision that it was filled from.
impl Fingerprint for Form {
    fn body(&self) -> &[u8] {
        &self.bytes
    }
    fn key(&self) -> Option<&str> {
        self.value("once").filter(|key| !key.is_empty())
    }
    fn rev(&self) -> Option<&str> {
        self.value("rev").filter(|rev| !rev.is_empty())
    }
    fn is_form(&self) -> bool {
        true
    }
    fn csrf(&self) -> Option<&str> {
        self.value("csrf")
    }
}

impl Form {
    /// The last value of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }
    /// These fields as a JSON object, as the parsers of the model take it: trimmed, and `null` where nothing was filled in.
    pub fn object(&self, names: &[&str]) -> Value {
        let field = |name: &str| self.value(name).map(str::trim).filter(|text| !text.is_empty()).map_or(Value::Null, Value::from);
        Value::Object(names.iter().map(|name| ((*name).to_owned(), field(name))).collect())
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        let bytes = to_bytes(request.into_body(), FORM_MAX)
            .await
            .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("a form has at most {FORM_MAX} bytes")))?;
        if kind.starts_with("application/x-www-form-urlencoded") {
            let fields = url::form_urlencoded::parse(&bytes).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            return Ok(Self { fields, bytes });
        }
        // One-click senders may use multipart; what they say is always the same, so nothing in it is read.
        Ok(Self::default())
    }
}
