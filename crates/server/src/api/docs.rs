//! `/openapi.json`, `/docs`, `/redoc`: the documentation of the API, all of it from this binary.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, not_found};
use crate::http::path::PathText;
use crate::http::request::Open;
use crate::router::ApiState;

const REDOC: &[u8] = include_bytes!("../../assets/redoc/redoc.standalone.js.gz");

/// Scripts come from here only; the two viewers write styles of their own.
const SWAGGER_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const REDOC_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
    connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SWAGGER_PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>EMCRM API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/index.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png" sizes="32x32">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/swagger-ui-standalone-preset.js"></script>
<script src="/docs/swagger-initializer.js"></script>
</body>
</html>
"#;

const REDOC_PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>EMCRM API</title>
</head>
<body>
<redoc spec-url="/openapi.json"></redoc>
<noscript>This page needs JavaScript. The document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/redoc/redoc.standalone.js"></script>
</body>
</html>
"#;

fn page(html: &'static str, policy: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)], html).into_response()
}

/// The OpenAPI document.
pub async fn openapi(_: Open, State(state): State<ApiState>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Body::from(Bytes::clone(&state.openapi))).into_response()
}

/// Swagger UI.
pub async fn swagger(_: Open) -> Response {
    page(SWAGGER_PAGE, SWAGGER_CSP)
}

/// Redoc.
pub async fn redoc(_: Open) -> Response {
    page(REDOC_PAGE, REDOC_CSP)
}

/// Files of Swagger UI.
pub async fn swagger_file(_: Open, PathText(file): PathText) -> Result<Response, ApiError> {
    let config = utoipa_swagger_ui::Config::from("/openapi.json");
    let found = utoipa_swagger_ui::serve(&file, Arc::new(config)).map_err(|error| ApiError::internal(&error.to_string()))?;
    let found = found.filter(|_| file != "index.html").ok_or_else(not_found)?;
    let mut response = Body::from(found.bytes.into_owned()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(found.content_type).unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    if found.gzpipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// The bundle of Redoc, stored compressed; every browser takes it so.
pub async fn redoc_file(_: Open, PathText(file): PathText) -> Result<Response, ApiError> {
    if file != "redoc.standalone.js" {
        return Err(not_found());
    }
    let headers =
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CONTENT_ENCODING, "gzip"), (header::CACHE_CONTROL, "public, max-age=3600")];
    Ok((headers, Body::from(Bytes::from_static(REDOC))).into_response())
}
