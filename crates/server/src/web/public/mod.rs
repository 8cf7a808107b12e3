//! What anybody sees: the page of a public event, and a place there by its link.
//!
//! | file | holds |
//! |---|---|
//! | `event` | `/e/{slug}`: the event, the form to take a place, the calendar file |
//! | `place` | `/r/{token}`: a place, and how to give it back |

mod event;
mod place;

use axum::Router;
use axum::routing::get;

use super::templates::{Template, templates};
use crate::router::ApiState;

pub static TEMPLATES: &[Template] = templates!["public/event.html", "public/place.html"];

pub fn routes() -> Router<ApiState> {
    Router::new().route("/e/{slug}", get(event::page).post(event::register)).route("/r/{token}", get(place::page).post(place::give_back))
}
