//! `/app`: the first page.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::pages::page;
use super::shell::{Place, Shell};
use super::templates::{Template, templates};
use crate::api::error::ApiError;
use crate::auth::{Auth, Viewer};
use crate::router::ApiState;

pub static TEMPLATES: &[Template] = templates!["home/home.html"];

pub fn routes() -> Router<ApiState> {
    Router::new().route("/app", get(home))
}

#[derive(Serialize)]
struct Home {
    shell: Shell,
}

async fn home(auth: Auth<Viewer>, State(state): State<ApiState>) -> Result<Response, ApiError> {
    page(StatusCode::OK, "home/home.html", Home { shell: Shell::of(&auth, &state, Place::Home) })
}
