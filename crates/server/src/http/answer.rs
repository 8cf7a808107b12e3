//! Answers: JSON, pages, objects with their `ETag`.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use emcrm_model::{Page, Rev};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::error::ApiError;

pub type Answer = Result<Response, ApiError>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// 200 with a JSON body.
pub fn json<T: Serialize>(value: &T) -> Answer {
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, JSON)], Body::from(to_bytes(value)?)).into_response())
}

fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::with_capacity(512);
    serde_json::to_writer(&mut bytes, value).map_err(|error| ApiError::internal(&format!("an answer cannot be written: {error}")))?;
    Ok(bytes)
}

/// 200 with one object and its `ETag`.
pub fn tagged<T: Serialize>(rev: Rev, value: &T) -> Answer {
    let mut response = json(value)?;
    put_tag(response.headers_mut(), &tag(rev));
    Ok(response)
}

/// The same for a GET: 304 without a body when the caller has this revision already.
pub fn tagged_unless_known<T: Serialize>(headers: &HeaderMap, rev: Rev, value: &T) -> Answer {
    let tag = tag(rev);
    if !is_known(headers, &tag) {
        let mut response = json(value)?;
        put_tag(response.headers_mut(), &tag);
        return Ok(response);
    }
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    put_tag(response.headers_mut(), &tag);
    Ok(response)
}

fn put_tag(headers: &mut HeaderMap, tag: &str) {
    if let Ok(value) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, value);
    }
    // It may be kept, but must be asked for again each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

fn tag(rev: Rev) -> String {
    format!("\"{}\"", rev.0)
}

/// `If-None-Match` compares weakly (RFC 9110 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag))
}

/// A part of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PageOut<T> {
    pub items: Vec<T>,
    /// Rows in the whole list.
    #[schema(minimum = 0)]
    pub total: u64,
    /// Number of this page, from 1.
    #[schema(minimum = 1)]
    pub page: u32,
    #[schema(minimum = 1, maximum = 100)]
    pub size: u32,
    /// `total / size`, rounded up.
    #[schema(minimum = 0)]
    pub pages: u64,
    /// Cursor of the page after this one; `null` at the end.
    #[schema(required)]
    pub next: Option<String>,
}

impl<T> PageOut<T> {
    pub fn of<U>(page: Page<U>, out: impl FnMut(U) -> T) -> Self {
        let pages = page.pages();
        let Page { items, total, page, size, next } = page.map(out);
        Self { items, total, page, size, pages, next }
    }
}

/// `{"message": "…"}`
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MessageOut {
    pub message: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_takes_lists_weak_tags_and_stars() {
        let known = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, "\"7\"")
        };
        assert!(known("\"7\"") && known("W/\"7\"") && known("\"1\", \"7\"") && known("*"));
        assert!(!known("\"70\"") && !known("7") && !known("\"6\"") && !known(""));
    }
}
