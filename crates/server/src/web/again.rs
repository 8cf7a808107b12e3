//! A form that was sent after a session had ended, or from a page that is too old for its sender. Nothing that was typed is lost: the answer holds the
//! fields, and whoever has signed in again sends them on from there. No script is needed.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
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
}

#[derive(Serialize)]
struct Again<'a> {
    name: &'a str,
    action: &'a str,
    /// Nobody is signed in.
    signed_out: bool,
    csrf: String,
    fields: Vec<(String, String)>,
    /// What somebody typed.
    typed: Vec<(String, String)>,
}

impl Kept {
    /// Takes a copy of the body of a form of ours. Files are not kept: they are still where they came from. What another site sends is not kept either: a
    /// browser sends it without its session, and whoever signs in then would be asked to send on what others typed.
    pub async fn of(request: Request, public_url: Option<&str>) -> Result<(Request, Option<Self>), ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        let is_form = request.method() == Method::POST && kind == Some(true) && request.uri().path().starts_with("/app");
        if !is_form || !origin::is_ours(request.headers(), public_url) {
            return Ok((request, None));
        }
        let (parts, body) = request.into_parts();
        let too_large = |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("a form has at most {FORM_MAX} bytes"));
        let bytes = to_bytes(body, FORM_MAX).await.map_err(too_large)?;
        let mut cookies = HeaderMap::new();
        for cookie in parts.headers.get_all(header::COOKIE) {
            cookies.append(header::COOKIE, cookie.clone());
        }
        let action = parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string);
        let kept = Self { action, cookies, bytes: bytes.clone() };
        Ok((Request::from_parts(parts, Body::from(bytes)), Some(kept)))
    }

    /// The page that holds the form.
    pub async fn page(&self, state: &ApiState, status: StatusCode) -> Response {
        self.render(state, status).await.unwrap_or_else(IntoResponse::into_response)
    }

    async fn render(&self, state: &ApiState, status: StatusCode) -> Result<Response, ApiError> {
        let signed_out = status == StatusCode::UNAUTHORIZED;
        let csrf = match state.access.session(&state.app, &self.cookies).await? {
            Some(open) => state.app.mark("csrf", &open.digest),
            None => state.app.mark("csrf", "local"),
        };
        let fields: Vec<(String, String)> =
            url::form_urlencoded::parse(&self.bytes).filter(|(name, _)| name != "csrf").map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let typed = fields.iter().filter(|(name, value)| !SILENT.contains(&name.as_str()) && !value.trim().is_empty());
        let typed = typed.map(|(name, value)| (words(name), shortened(value))).collect();
        page(status, "public/again.html", Again { name: &state.settings.name, action: &self.action, signed_out, csrf, fields, typed })
    }
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
