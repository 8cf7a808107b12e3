//! Compression of large answers. Small ones are not worth the time, and answers with an `ETag` keep their one form.

use std::io::Write;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;

/// Smallest and largest body that is compressed, in bytes. Larger ones do not occur, except files that are compressed already.
const SIZES: std::ops::RangeInclusive<u64> = 8 * 1024..=4 * 1024 * 1024;

/// Whether the client takes gzip.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)));
        (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
    })
}

/// Whether this answer has two forms.
pub(super) fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json") || value.starts_with("text/"));
    let size = response.body().size_hint().exact().unwrap_or(0);
    text && SIZES.contains(&size) && !headers.contains_key(header::CONTENT_ENCODING) && !headers.contains_key(header::ETAG)
}

/// The compressed answer.
pub(super) async fn compressed(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // The body is in memory: its exact size is known.
    let Ok(bytes) = body.collect().await.map(http_body_util::Collected::to_bytes) else { return Response::from_parts(parts, Body::empty()) };
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    let done = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    let Ok(small) = done else { return Response::from_parts(parts, Body::from(bytes)) };
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(small))
}
