//! A form that was sent after a session had ended, or from a page that is too old for its sender. Nothing that was typed is lost: the answer holds the
//! fields, and whoever has signed in again sends them on from there. No script is needed.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::pages::page;
use crate::api::error::{ApiError, Problem};
use crate::auth::origin;
use crate::router::ApiState;
use crate::web_form::FORM_MAX;

/// Fields that say nothing to a person.
const SILENT: [&str; 5] = ["once", "rev", "was", "do", "template"];
/// Bytes of a value that are shown; all of them are sent.
const SHOWN_MAX: usize = 2_000;

/// A form as it came, for as long as nobody knows whether its sender may send it.
#[derive(Debug)]
pub struct Kept {
    /// Path and query.
    action: String,
    cookies: HeaderMap,
    bytes: Bytes,
    /// The content type of a body in parts; none for one that is urlencoded.
    parts: Option<HeaderValue>,
}

#[derive(Serialize)]
struct Again<'a> {
    name: &'a str,
    action: &'a str,
    /// Nobody is signed in.
    signed_out: bool,
    csrf: String,
    /// It came in parts, and goes on in parts: pasted text grows when it is urlencoded.
    in_parts: bool,
    fields: Vec<(String, String)>,
    /// What somebody typed.
    typed: Vec<(String, String)>,
}

impl Kept {
    /// Takes a copy of the body of a form of ours. Files are not kept: they are still where they came from. What another site sends is not kept either: a
    /// browser sends it without its session, and whoever signs in then would be asked to send on what others typed.
    pub async fn of(request: Request, public_url: Option<&str>) -> Result<(Request, Option<Self>), ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let urlencoded = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        // What is larger brings a file, and is read as it comes.
        let parts = kind.filter(|kind| kind.as_bytes().starts_with(b"multipart/form-data") && length(request.headers()) <= FORM_MAX).cloned();
        let is_form = request.method() == Method::POST && (urlencoded || parts.is_some()) && request.uri().path().starts_with("/app");
        if !is_form || !origin::is_ours(request.headers(), public_url) {
            return Ok((request, None));
        }
        let kind = parts;
        let (parts, body) = request.into_parts();
        let too_large = |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("a form has at most {FORM_MAX} bytes"));
        let bytes = to_bytes(body, FORM_MAX).await.map_err(too_large)?;
        let mut cookies = HeaderMap::new();
        for cookie in parts.headers.get_all(header::COOKIE) {
            cookies.append(header::COOKIE, cookie.clone());
        }
        let action = parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string);
        let kept = Self { action, cookies, bytes: bytes.clone(), parts: kind };
        Ok((Request::from_parts(parts, Body::from(bytes)), Some(kept)))
    }

    /// The page that holds the form; none where it brought nothing that could be sent on, such as a file alone.
    pub async fn page(&self, state: &ApiState, status: StatusCode) -> Option<Response> {
        let fields = self.fields().await;
        if self.parts.is_some() && typed(&fields).next().is_none() {
            return None;
        }
        Some(self.render(state, status, fields).await.unwrap_or_else(IntoResponse::into_response))
    }

    /// What it says, without the mark of the page it was on.
    async fn fields(&self) -> Vec<(String, String)> {
        let mut fields: Vec<(String, String)> = match &self.parts {
            None => url::form_urlencoded::parse(&self.bytes).map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            Some(kind) => texts(kind.clone(), self.bytes.clone()).await,
        };
        fields.retain(|(name, _)| name != "csrf");
        fields
    }

    async fn render(&self, state: &ApiState, status: StatusCode, fields: Vec<(String, String)>) -> Result<Response, ApiError> {
        let signed_out = status == StatusCode::UNAUTHORIZED;
        let csrf = match state.access.session(&state.app, &self.cookies).await? {
            Some(open) => state.app.mark("csrf", &open.digest),
            None => state.app.mark("csrf", "local"),
        };
        let typed = typed(&fields).map(|(name, value)| (words(name), shortened(value))).collect();
        let in_parts = self.parts.is_some();
        page(status, "public/again.html", Again { name: &state.settings.name, action: &self.action, signed_out, csrf, in_parts, fields, typed })
    }
}

/// The length that a body says it has; the largest where it says none.
fn length(headers: &HeaderMap) -> usize {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(usize::MAX)
}

/// Fields that say something to a person.
fn typed(fields: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    fields.iter().filter(|(name, value)| !SILENT.contains(&name.as_str()) && !value.trim().is_empty())
}

/// The texts of a body in parts, without its files.
async fn texts(kind: HeaderValue, bytes: Bytes) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut request = Request::new(Body::from(bytes));
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    let Ok(mut parts) = Multipart::from_request(request, &()).await else { return fields };
    while let Ok(Some(part)) = parts.next_field().await {
        // Browsers say of files alone what they are.
        if part.file_name().is_some() || part.content_type().is_some() {
            continue;
        }
        let name = part.name().unwrap_or_default().to_owned();
        match part.text().await {
            Ok(text) => fields.push((name, text)),
            Err(_) => break,
        }
    }
    fields
}

/// `jobTitle` as a person reads it: `Job title`.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if words.is_empty() {
            words.extend(letter.to_uppercase());
        } else if letter.is_uppercase() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

fn shortened(value: &str) -> String {
    let end = value.char_indices().map(|(at, _)| at).take_while(|at| *at <= SHOWN_MAX).last().unwrap_or_default();
    if value.len() <= SHOWN_MAX { value.to_owned() } else { format!("{}…", value.get(..end).unwrap_or_default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_words_and_long_texts_are_cut_between_letters() {
        assert_eq!(words("jobTitle"), "Job title");
        assert_eq!(words("subject"), "Subject");
        assert_eq!(shortened("ü"), "ü");
        let long = shortened(&"ü".repeat(3_000));
        assert!(long.ends_with("ü…") && long.len() < SHOWN_MAX + 10);
    }
}
