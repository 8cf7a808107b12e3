//! The template environment, and answers that are pages.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use super::assets;
use crate::api::error::ApiError;

/// Nothing inline, nothing from elsewhere.
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

static TEMPLATES: [(&str, &str); 3] = [
    ("public/base.html", include_str!("../../templates/public/base.html")),
    ("public/unsubscribe.html", include_str!("../../templates/public/unsubscribe.html")),
    ("public/gone.html", include_str!("../../templates/public/gone.html")),
];

static PAGES: LazyLock<Result<Environment<'static>, String>> = LazyLock::new(|| environment().map_err(|error| error.to_string()));

fn environment() -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.add_function("asset", |name: &str| assets::url(name).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("there is no file {name}"))));
    for (name, source) in TEMPLATES {
        env.add_template(name, source)?;
    }
    Ok(env)
}

/// A page with a status. `context` is what the template knows.
pub fn page<C: Serialize>(status: StatusCode, template: &str, context: C) -> Result<Response, ApiError> {
    let fault = |error: &str| ApiError::internal(&format!("a page cannot be made: {error}"));
    let env = PAGES.as_ref().map_err(|error| fault(error))?;
    let html =
        env.get_template(template).and_then(|template| template.render(minijinja::value::Serde(context))).map_err(|error| fault(&format!("{error:#}")))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    Ok((status, headers, html).into_response())
}

/// The answer to a link that was forged, cut off, or that leads to what is gone.
pub fn not_valid(name: &str) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Gone<'a> {
        name: &'a str,
    }
    page(StatusCode::NOT_FOUND, "public/gone.html", Gone { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_read() {
        environment().unwrap();
    }
}
