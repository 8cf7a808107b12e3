//! What happens around every page of people: errors become pages, whoever is not signed in is sent to the sign-in page and comes back, and a toast
//! that was shown is gone.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::pages::{page, see_other, wants_part};
use super::shell::{FLASH, clear_flash};
use crate::api::error::{Cause, Told};
use crate::router::ApiState;

#[derive(Serialize)]
struct ErrorPage<'a> {
    name: &'a str,
    status: u16,
    title: &'a str,
    text: &'a str,
    /// Faulty fields, each as a sentence.
    faults: Vec<String>,
    request_id: &'a str,
    /// The application, not a page of the public.
    inside: bool,
}

/// Paths whose errors people read.
pub fn is_for_people(path: &str) -> bool {
    ["/app", "/e", "/r"].into_iter().any(|place| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Goes around every route of `web` and around the answer for unknown addresses.
pub async fn frame(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !is_for_people(path) {
        return next.run(request).await;
    }
    let asked = Asked::of(&request);
    let mut response = next.run(request).await;
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        response = asked.error(&state, &response, &told);
    }
    if asked.shows_toast && response.status() != StatusCode::SEE_OTHER && is_html(&response) {
        clear_flash(response.headers_mut());
    }
    response
}

/// What of a request matters to its answer's frame.
struct Asked {
    method: Method,
    path: String,
    query: Option<String>,
    request_id: String,
    part: bool,
    shows_toast: bool,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let uri = request.uri();
        let part = wants_part(request.headers());
        Self {
            method: request.method().clone(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            request_id: request.extensions().get::<std::sync::Arc<crate::http::RequestInfo>>().map(|info| info.id().to_owned()).unwrap_or_default(),
            part,
            shows_toast: !part && cookie(request.headers(), FLASH).is_some(),
        }
    }

    fn error(&self, state: &ApiState, response: &Response, told: &Told) -> Response {
        let status = response.status();
        let inside = self.path.starts_with("/app");
        if status == StatusCode::UNAUTHORIZED && inside && self.method == Method::GET {
            return self.sign_in();
        }
        let context = ErrorPage {
            name: &state.settings.name,
            status: status.as_u16(),
            title: title(status),
            text: &told.text,
            faults: told.faults.clone(),
            request_id: &self.request_id,
            inside,
        };
        let template = if self.part { "error-part.html" } else { "error.html" };
        let mut shown = page(status, template, context).unwrap_or_else(IntoResponse::into_response);
        if let Some(seconds) = response.headers().get(header::RETRY_AFTER) {
            shown.headers_mut().insert(header::RETRY_AFTER, seconds.clone());
        }
        if let Some(allow) = response.headers().get(header::ALLOW) {
            shown.headers_mut().insert(header::ALLOW, allow.clone());
        }
        if let Some(cause) = response.extensions().get::<Cause>() {
            shown.extensions_mut().insert(cause.clone());
        }
        shown
    }

    /// To the sign-in page, and back to here afterwards. htmx is told to leave the page instead of putting the other one into it.
    fn sign_in(&self) -> Response {
        let here = self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path));
        let target: String = format!("/app/signin?{}", url::form_urlencoded::Serializer::new(String::new()).append_pair("return", &here).finish());
        if !self.part {
            return see_other(&target).unwrap_or_else(IntoResponse::into_response);
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        if let Ok(target) = HeaderValue::try_from(target) {
            response.headers_mut().insert("hx-redirect", target);
        }
        response
    }
}

fn is_html(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|one| one.trim().strip_prefix(name)?.strip_prefix('='))
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        404 => "There is no page at this address",
        403 => "You may not do this",
        401 => "Sign in first",
        409 => "This cannot be done as things stand",
        412 => "Somebody else was faster",
        413 => "This is too large",
        422 => "Something in what was sent is wrong",
        429 => "Too many requests",
        503 => "This is not possible right now",
        504 => "This took too long",
        500..=599 => "Something broke on our side",
        _ => "This did not work",
    }
}
