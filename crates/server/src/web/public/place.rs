//! `/r/{token}`: a place at an event. GET shows and changes nothing, since mail programs and scanners follow links; POST gives it back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::Call;
use emcrm_app::registrations::{Place, PlaceState};
use serde::Serialize;

use crate::api::error::ApiError;
use crate::http::path::PathText;
use crate::http::request::Open;
use crate::router::ApiState;
use crate::web::events::view::EventView;
use crate::web::format::Locale;
use crate::web::pages::{not_valid, page as render, see_other};
use crate::web::unsubscribe::masked;

#[derive(Serialize)]
struct PlacePage<'a> {
    name: &'a str,
    token: &'a str,
    event: EventView,
    /// Without its middle: a forwarded mail must not tell it.
    address: String,
    /// `held`, `given`, `over`.
    state: &'static str,
}

fn show(state: &ApiState, locale: Locale, token: &str, place: &Place) -> Result<Response, ApiError> {
    let stands = match place.state {
        PlaceState::Held => "held",
        PlaceState::GivenBack => "given",
        PlaceState::Over => "over",
    };
    let event = EventView::of(&state.app, &place.event, locale);
    let context = PlacePage { name: &state.settings.name, token, event, address: masked(place.email.as_str()), state: stands };
    render(StatusCode::OK, "public/place.html", context)
}

pub async fn page(_: Open, locale: Locale, State(state): State<ApiState>, PathText(token): PathText) -> Result<Response, ApiError> {
    match state.app.place_open(&token).await? {
        Some(place) => show(&state, locale, &token, &place),
        None => not_valid(&state.settings.name),
    }
}

pub async fn give_back(Open(info): Open, State(state): State<ApiState>, PathText(token): PathText) -> Result<Response, ApiError> {
    match state.app.place_give_back(&Call::public(info.client, info.id()), &token).await? {
        // What opened a place is written in letters that an address takes.
        Some(_) => see_other(&format!("/r/{token}")),
        None => not_valid(&state.settings.name),
    }
}
