//! What happens around every page of people: errors become pages, whoever is not signed in is sent to the sign-in page and comes back, and a toast
//! that was shown is gone.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::again::Kept;
use super::pages::{page, see_other, wants_part};
use super::shell::{FLASH, Place, Shell, clear_flash};
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
    /// Whoever asks has no role at all, and every other place would refuse them too.
    nowhere: bool,
    /// Around the page, for those who may see the application.
    shell: Option<Shell>,
}

/// Headers of an error that its page keeps.
const KEPT: [header::HeaderName; 2] = [header::RETRY_AFTER, header::ALLOW];

/// What somebody can do who followed a link to nothing.
const ASK: &str = "Check the address, or ask whoever sent you the link.";

/// Paths whose errors people read.
pub fn is_for_people(path: &str) -> bool {
    ["/app", "/e", "/r"].into_iter().any(|place| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Goes around every route of `web` and around the answer for unknown addresses.
pub async fn frame(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if !is_for_people(request.uri().path()) {
        return next.run(request).await;
    }
    let asked = Asked::of(&request);
    let reader = of_reader(request.headers());
    let (mut response, kept) = match Kept::of(request, state.access.public_url.as_deref()).await {
        Ok((request, kept)) => (next.run(request).await, kept),
        Err(error) => (error.into_response(), None),
    };
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        let again = match kept.filter(|_| !asked.part && is_unproved(&response, &told)) {
            Some(kept) => kept.page(&state, response.status()).await,
            None => None,
        };
        response = if let Some(again) = again {
            again
        } else {
            let shell = if asked.has_shell(response.status(), &told) { Shell::of_reader(&state, &reader, Place::of_path(&asked.path)).await } else { None };
            asked.error(&state.settings.name, shell, &response, &told)
        };
    }
    if asked.shows_toast && response.status() != StatusCode::SEE_OTHER && is_html(&response) {
        clear_flash(response.headers_mut());
    }
    response
}

/// What of a request's headers says who reads the answer.
fn of_reader(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [header::COOKIE, header::ACCEPT_LANGUAGE] {
        for value in headers.get_all(&name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// The sender of a form is not signed in any more, or was not yet when its page was made.
fn is_unproved(response: &Response, told: &Told) -> bool {
    response.status() == StatusCode::UNAUTHORIZED || told.code == "csrf"
}

/// What the edge answers by itself (it is too busy, something took too long or broke), as a page where people read it. `asked` is of the request.
pub fn of_edge(asked: Option<Asked>, name: &str, mut response: Response) -> Response {
    // Who calls us by a name that is not ours is shown nothing of us.
    let Some(asked) = asked.filter(|_| response.status() != StatusCode::MISDIRECTED_REQUEST) else { return response };
    match response.extensions_mut().remove::<Told>() {
        Some(told) => asked.error(name, None, &response, &told),
        None => response,
    }
}

/// What of a request matters to its answer's frame.
pub struct Asked {
    method: Method,
    path: String,
    query: Option<String>,
    request_id: String,
    part: bool,
    /// On the page that a part is asked for, something may have been typed.
    typed: bool,
    shows_toast: bool,
}

impl Asked {
    /// Only for paths that people look at.
    pub fn by_people<B>(request: &axum::http::Request<B>, request_id: &str) -> Option<Self> {
        is_for_people(request.uri().path()).then(|| Self { request_id: request_id.to_owned(), ..Self::of(request) })
    }

    fn of<B>(request: &axum::http::Request<B>) -> Self {
        let uri = request.uri();
        let part = wants_part(request.headers());
        Self {
            method: request.method().clone(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            request_id: request.extensions().get::<std::sync::Arc<crate::http::RequestInfo>>().map(|info| info.id().to_owned()).unwrap_or_default(),
            part,
            typed: part && is_typed_on(request.headers()),
            shows_toast: !part && cookie(request.headers(), FLASH).is_some(),
        }
    }

    /// Whether the application stands around an error. Where something broke, nothing more is asked of what may be broken; what another site made a browser
    /// send is answered with nothing of the application.
    fn has_shell(&self, status: StatusCode, told: &Told) -> bool {
        !self.part && self.path.starts_with("/app") && status.is_client_error() && status != StatusCode::UNAUTHORIZED && told.code != "cross_site"
    }

    fn error(&self, name: &str, shell: Option<Shell>, response: &Response, told: &Told) -> Response {
        let status = response.status();
        let inside = self.path.starts_with("/app");
        if status == StatusCode::UNAUTHORIZED && inside && self.method == Method::GET && !self.typed {
            return self.sign_in();
        }
        let text = sentence(status, told, inside);
        let template = match (self.part, &shell) {
            (true, _) => "error-part.html",
            (false, Some(_)) => "app/error.html",
            (false, None) => "error.html",
        };
        let context = ErrorPage {
            name,
            status: status.as_u16(),
            title: title(status),
            text: &text,
            faults: told.faults.clone(),
            request_id: &self.request_id,
            inside,
            nowhere: inside && shell.is_none() && told.code == "forbidden",
            shell,
        };
        let mut shown = page(status, template, context).unwrap_or_else(IntoResponse::into_response);
        for (name, value) in response.headers() {
            if KEPT.contains(name) || name.as_str().starts_with("ratelimit") {
                shown.headers_mut().insert(name.clone(), value.clone());
            }
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

/// Whether htmx asks from a page with a form that is filled in for a while: nobody is led away from it.
fn is_typed_on(headers: &HeaderMap) -> bool {
    let page = headers.get("hx-current-url").and_then(|url| url.to_str().ok()).and_then(|url| url::Url::parse(url).ok());
    page.is_some_and(|page| page.path().ends_with("/new") || page.path().ends_with("/edit"))
}

fn is_html(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|one| one.trim().strip_prefix(name)?.strip_prefix('='))
}

/// What happened, as sentences.
fn sentence(status: StatusCode, told: &Told, inside: bool) -> String {
    if status == StatusCode::METHOD_NOT_ALLOWED {
        return "This page cannot be used that way.".to_owned();
    }
    let stop = if told.text.ends_with(['.', '!', '?']) { "" } else { "." };
    let text = format!("{}{stop}", told.text);
    match (status, told.code) {
        (StatusCode::NOT_FOUND, "not_found") if !inside => ASK.to_owned(),
        (StatusCode::NOT_FOUND, _) if !inside => format!("{text} {ASK}"),
        _ => text,
    }
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
