//! Bodies of HTML forms: `application/x-www-form-urlencoded` and, without files, `multipart/form-data` as RFC 8058 allows it.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};

use crate::api::error::{ApiError, Problem};

/// Largest form, in bytes: a mail's body and what stands beside it.
const FORM_MAX: usize = 512 * 1024;

/// Fields in the order in which they were sent; a name may be there more than once.
#[derive(Debug, Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// The last value of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
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
            let pairs = url::form_urlencoded::parse(&bytes).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            return Ok(Self(pairs));
        }
        // One-click senders may use multipart; what they say is always the same, so nothing in it is read.
        Ok(Self::default())
    }
}
