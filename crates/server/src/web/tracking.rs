//! `/t/o/{token}.gif` and `/t/c/{token}`: pixels and links of campaigns that track. A forged token gets no redirect and is not noted.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use emcrm_app::links::Signed;
use emcrm_app::tracking::HitKind;

use super::pages::not_valid;
use crate::api::error::ApiError;
use crate::http::path::PathText;
use crate::http::request::Open;
use crate::router::ApiState;

/// One transparent pixel.
const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

async fn note(state: &ApiState, signed: &Signed, kind: HitKind, headers: &HeaderMap) {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // The reader gets what was asked for, whatever becomes of the note.
    if let Err(error) = state.app.hit_note(signed, kind, agent).await {
        tracing::warn!(%error, "a hit could not be noted");
    }
}

/// The picture. The same for every token, so that it tells nothing.
pub async fn open(_: Open, State(state): State<ApiState>, PathText(file): PathText, headers: HeaderMap) -> Response {
    let token = file.strip_suffix(".gif").unwrap_or(&file);
    if let Some(signed) = state.app.hit_open(HitKind::Open, token) {
        note(&state, &signed, HitKind::Open, &headers).await;
    }
    ([(header::CONTENT_TYPE, HeaderValue::from_static("image/gif")), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], PIXEL).into_response()
}

/// To where the mail said. Only what was signed here, so nobody can use it to lead people elsewhere.
pub async fn click(_: Open, State(state): State<ApiState>, PathText(token): PathText, headers: HeaderMap) -> Result<Response, ApiError> {
    let signed = state.app.hit_open(HitKind::Click, &token);
    let web = |signed: &Signed| signed.target.starts_with("https://") || signed.target.starts_with("http://");
    let target = signed.filter(web).and_then(|signed| HeaderValue::try_from(signed.target.as_str()).ok().map(|target| (signed, target)));
    if let Some((signed, target)) = target {
        note(&state, &signed, HitKind::Click, &headers).await;
        let headers = [(header::LOCATION, target), (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
        return Ok((StatusCode::FOUND, headers).into_response());
    }
    not_valid(&state.settings.name)
}
