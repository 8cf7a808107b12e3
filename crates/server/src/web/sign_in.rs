//! `/app/signin` and signing out by a page. The page is for everybody: it says where to go, and nothing about who exists.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::pages::page as render;
use super::templates::{Template, templates};
use crate::api::auth::{safe_return, sign_out, signed_out};
use crate::api::error::ApiError;
use crate::http::QueryReader;
use crate::http::request::Open;
use crate::router::ApiState;
use crate::web_form::Form;

pub static TEMPLATES: &[Template] =
    templates!["public/again.html", "public/signin.html", "public/signedin.html", "public/signout.html", "public/signedout.html"];

pub fn routes() -> Router<ApiState> {
    Router::new().route("/app/signin", get(page)).route("/app/signedin", get(arrived)).route("/app/signout", get(leave).post(sign_out_form))
}

#[derive(Serialize)]
struct SignInPage<'a> {
    name: &'a str,
    /// Where to go after signing in, as it stands in the link.
    back: String,
    /// Why it did not work before, as a code.
    failed: Option<&'a str>,
}

#[derive(Serialize)]
struct SignOutPage<'a> {
    name: &'a str,
    label: &'a str,
    csrf: String,
}

#[derive(Serialize)]
struct SignedOutPage<'a> {
    name: &'a str,
    /// Where to sign out at the issuer too.
    url: &'a str,
}

fn see_other(to: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, HeaderValue::from_static(to))]).into_response()
}

/// Where to sign in.
pub async fn page(_: Open, State(state): State<ApiState>, query: QueryReader) -> Result<Response, ApiError> {
    if state.access.sign_in.is_none() {
        return Ok(see_other("/app"));
    }
    let back = safe_return(query.raw("return").unwrap_or_default());
    let back = url::form_urlencoded::byte_serialize(back.as_bytes()).collect();
    render(StatusCode::OK, "public/signin.html", SignInPage { name: &state.settings.name, back, failed: query.raw("failed") })
}

/// Where a tab ends that was opened to sign in for the sake of another one.
pub async fn arrived(_: Open, State(state): State<ApiState>) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct SignedIn<'a> {
        name: &'a str,
    }
    render(StatusCode::OK, "public/signedin.html", SignedIn { name: &state.settings.name })
}

/// Asks whether to sign out: a link must not do it.
pub async fn leave(_: Open, State(state): State<ApiState>, headers: HeaderMap) -> Result<Response, ApiError> {
    let Some(open) = state.access.session(&state.app, &headers).await? else { return Ok(see_other("/app/signin")) };
    let csrf = state.app.mark("csrf", &open.digest);
    render(StatusCode::OK, "public/signout.html", SignOutPage { name: &state.settings.name, label: &open.session.label, csrf })
}

/// Signs out, in all browsers where the form says so.
pub async fn sign_out_form(Open(info): Open, State(state): State<ApiState>, headers: HeaderMap, form: Form) -> Result<Response, ApiError> {
    let everywhere = form.value("everywhere").is_some();
    let to = sign_out(&state, &info, &headers, form.value("csrf"), everywhere).await?;
    // A page in between, because a form may not lead to another site here.
    let response = match &to {
        Some(url) => render(StatusCode::OK, "public/signedout.html", SignedOutPage { name: &state.settings.name, url })?,
        None => see_other("/app/signin"),
    };
    Ok(signed_out(&state, response))
}
