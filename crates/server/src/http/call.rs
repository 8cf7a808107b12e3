//! What a write carries besides its body: `Idempotency-Key` and `If-Match`, or what stands for them in a form.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_app::Idempotency;
use emcrm_model::Rev;
use sha2::{Digest, Sha256};

use super::body::{JsonBody, NoBody};
use crate::api::error::{ApiError, Problem};

/// The headers and the line of a request that matter to a write.
#[derive(Debug, Clone)]
pub(crate) struct WriteHeaders {
    method: Method,
    uri: Uri,
    key: Option<HeaderValue>,
    if_match: Option<HeaderValue>,
    if_match_many: bool,
}

/// What a fingerprint is taken over.
pub trait Fingerprint {
    fn body(&self) -> &[u8];
    /// The idempotency key, where the body carries it: forms cannot send headers.
    fn key(&self) -> Option<&str> {
        None
    }
    /// The revision that was seen, where the body carries it.
    fn rev(&self) -> Option<&str> {
        None
    }
    /// Whether a page of another site could have sent it without asking first.
    fn is_form(&self) -> bool {
        false
    }
    /// What a form of our pages shows.
    fn csrf(&self) -> Option<&str> {
        None
    }
}

impl Fingerprint for JsonBody {
    fn body(&self) -> &[u8] {
        &self.bytes
    }
}

impl Fingerprint for NoBody {
    fn body(&self) -> &[u8] {
        &[]
    }
}

impl WriteHeaders {
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let mut if_match = headers.get_all(header::IF_MATCH).iter();
        Self {
            method: method.clone(),
            uri: uri.clone(),
            key: headers.get("idempotency-key").cloned(),
            if_match: if_match.next().cloned(),
            if_match_many: if_match.next().is_some(),
        }
    }

    /// The key with a digest over method, path and body: the same key with another request is refused.
    pub(crate) fn idempotency(&self, body: &impl Fingerprint) -> Result<Option<Idempotency>, ApiError> {
        let header = self.key.as_ref().map(|value| value.to_str().unwrap_or_default());
        let Some(key) = header.or(body.key()).map(str::trim) else { return Ok(None) };
        if !(1..=255).contains(&key.len()) {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_idempotency_key", "Idempotency-Key has 1 to 255 printable ASCII characters").into());
        }
        let mut digest = Sha256::new();
        for part in [self.method.as_str().as_bytes(), self.uri.path().as_bytes(), body.body()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Ok(Some(Idempotency { key: key.to_owned(), fingerprint: URL_SAFE_NO_PAD.encode(digest.finalize()) }))
    }

    /// `"7"` is revision 7; `*` is any revision, so no condition beyond the object's being there. A weak tag never matches (RFC 9110 13.1.1).
    pub(crate) fn if_match(&self, body: &impl Fingerprint) -> Result<Option<Rev>, ApiError> {
        let Some(value) = &self.if_match else {
            return body.rev().map(|rev| rev.parse().map(Rev).map_err(|_| emcrm_app::AppError::StaleRev.into())).transpose();
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        let rev = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|_| !self.if_match_many);
        match rev {
            Some(rev) if !rev.contains('"') => match rev.parse::<i64>() {
                Ok(rev) if rev >= 0 => Ok(Some(Rev(rev))),
                // A tag of some other making: well-formed, and surely not the present one.
                _ => Err(emcrm_app::AppError::StaleRev.into()),
            },
            _ if text.starts_with("W/\"") => Err(emcrm_app::AppError::StaleRev.into()),
            _ => Err(Problem::new(StatusCode::BAD_REQUEST, "bad_if_match", "If-Match takes one ETag as it was given, such as \"7\", or *").into()),
        }
    }
}
