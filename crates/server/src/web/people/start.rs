//! What is there while nobody is: three ways to begin.

use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::App;
use serde::Serialize;

use crate::api::error::ApiError;
use crate::web::home::{DEMO, Demo};
use crate::web::pages::page;
use crate::web::shell::Shell;

#[derive(Serialize)]
struct Start {
    shell: Shell,
    demo: Demo,
    /// Makes a form that is sent twice act once.
    once: String,
}

/// Instead of an empty list and an empty home.
pub fn page_of(shell: Shell, app: &App) -> Result<Response, ApiError> {
    page(StatusCode::OK, "people/start.html", Start { shell, demo: DEMO, once: app.ids.random().to_string() })
}
