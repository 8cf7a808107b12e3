//! `/u/{token}`: what readers do by the links in their mails. GET shows and changes nothing, since mail programs and scanners follow links; POST acts.
//! A mail program posts `List-Unsubscribe=One-Click` (RFC 8058); a person presses a button. No sign-in: the token is signed.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::Call;
use emcrm_app::suppressions::Subscriber;
use emcrm_model::SuppressionReason;
use serde::Serialize;

use super::pages::{not_valid, page as render};
use super::templates::{Template, templates};
use crate::api::error::ApiError;
use crate::http::path::PathText;
use crate::http::request::Open;
use crate::router::ApiState;
use crate::web_form::Form;

pub static TEMPLATES: &[Template] = templates!["public/unsubscribe.html"];

#[derive(Serialize)]
struct Page<'a> {
    name: &'a str,
    token: &'a str,
    /// The address with its middle hidden: a forwarded mail must not tell it. None where the person was erased.
    address: Option<String>,
    /// `subscribed`, `unsubscribed`, or `barred` where the reader cannot take it back.
    state: &'static str,
    /// Something was done just now.
    done: bool,
}

/// What the link is for, and how things stand.
pub async fn page(_: Open, State(state): State<ApiState>, PathText(token): PathText) -> Result<Response, ApiError> {
    match state.app.unsubscribe_open(&token).await? {
        Some(subscriber) => show(&state, &token, &subscriber, false),
        None => not_valid(&state.settings.name),
    }
}

/// Unsubscribes, or takes it back where the form says so.
pub async fn act(Open(info): Open, State(state): State<ApiState>, PathText(token): PathText, form: Form) -> Result<Response, ApiError> {
    let Some(subscriber) = state.app.unsubscribe_open(&token).await? else { return not_valid(&state.settings.name) };
    let call = Call::public(info.client, info.id());
    if form.value("wants") == Some("mail") {
        state.app.resubscribe(&call, &subscriber).await?;
    } else {
        state.app.unsubscribe(&call, &subscriber).await?;
    }
    match state.app.unsubscribe_open(&token).await? {
        Some(subscriber) => show(&state, &token, &subscriber, true),
        None => not_valid(&state.settings.name),
    }
}

fn show(state: &ApiState, token: &str, subscriber: &Subscriber, done: bool) -> Result<Response, ApiError> {
    if subscriber.email.is_none() && subscriber.email_hash.is_none() {
        return not_valid(&state.settings.name);
    }
    let stands = match subscriber.suppressed {
        None => "subscribed",
        Some(SuppressionReason::Unsubscribed) => "unsubscribed",
        Some(_) => "barred",
    };
    let context = Page { name: &state.settings.name, token, address: subscriber.email.as_ref().map(|email| masked(email.as_str())), state: stands, done };
    render(StatusCode::OK, "public/unsubscribe.html", context)
}

/// `m•••••o@example.org`
pub(super) fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let mut letters = local.chars();
    let first = letters.next().map(String::from).unwrap_or_default();
    let last = letters.next_back().map(String::from).unwrap_or_default();
    format!("{first}•••••{last}@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_middle() {
        assert_eq!(masked("mara.okonjo@quillmoor.example"), "m•••••o@quillmoor.example");
        assert_eq!(masked("a@b.example"), "a•••••@b.example");
    }
}
