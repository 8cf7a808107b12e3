//! Pages. Made on the server from typed contexts; they work without scripts.
//!
//! | file | holds |
//! |---|---|
//! | `assets` | stylesheet, icons, scripts, under addresses that change with their content |
//! | `pages` | the template environment, and answers that are pages |
//! | `unsubscribe` | what readers do by the links in their mails |
//! | `tracking` | pixels and links of campaigns that track |

pub mod assets;
pub mod pages;
pub mod tracking;
pub mod unsubscribe;

use axum::Router;
use axum::routing::get;

use crate::router::ApiState;

/// Routes of pages; the OpenAPI document does not describe them.
pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/assets/{file}", get(assets::file))
        .route("/u/{token}", get(unsubscribe::page).post(unsubscribe::act))
        .route("/t/o/{file}", get(tracking::open))
        .route("/t/c/{token}", get(tracking::click))
}
