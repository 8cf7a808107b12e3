//! Answers that are pages, and what pages do after a form was sent.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::templates::{Template, render, templates};
use crate::api::error::ApiError;

pub static TEMPLATES: &[Template] = templates!["public/base.html", "public/gone.html", "error.html", "error-body.html", "error-part.html", "app/error.html"];

/// Nothing inline, nothing from elsewhere.
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// A page with a status. `context` is what the template knows.
pub fn page<C: Serialize>(status: StatusCode, template: &str, context: C) -> Result<Response, ApiError> {
    let html = render(template, context)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    Ok((status, headers, html).into_response())
}

/// To another page of ours after a form did what it says (Post/Redirect/Get).
pub fn see_other(target: &str) -> Result<Response, ApiError> {
    let target = HeaderValue::try_from(target).map_err(|_| ApiError::internal("an address that cannot be a header"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response())
}

/// Whether htmx asks: it wants the part that changes, not the page. (A page that comes back out of its history is wanted whole.)
pub fn wants_part(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request") && !headers.contains_key("hx-history-restore-request")
}

/// The answer to a link that was forged, cut off, or that leads to what is gone.
pub fn not_valid(name: &str) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Gone<'a> {
        name: &'a str,
    }
    page(StatusCode::NOT_FOUND, "public/gone.html", Gone { name })
}
