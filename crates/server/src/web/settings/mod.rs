//! `/app/settings`: what the installation stands on and how it is, the suppression list, templates of mails.
//!
//! | file | holds |
//! |---|---|
//! | `overview` | engines and health, mail, sign-in, waiting work |
//! | `tokens`, `audit` | tokens of programs, and who did what |
//! | `tasks` | tasks that were given up: retry and drop |
//! | `suppressions` | addresses that must not be mailed |
//! | `templates` | reusable content of mails |

mod audit;
mod overview;
mod suppressions;
mod tasks;
mod templates;
mod tokens;

use axum::Router;
use axum::routing::{get, post};

use super::templates::{Template, templates};
use crate::router::ApiState;

pub static TEMPLATES: &[Template] = templates![
    "settings/_nav.html",
    "settings/overview.html",
    "settings/drop.html",
    "settings/suppressions.html",
    "settings/templates.html",
    "settings/template.html",
    "settings/tokens.html",
    "settings/audit.html",
];

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/app/settings", get(overview::page))
        .route("/app/settings/tokens", get(tokens::page).post(tokens::create))
        .route("/app/settings/tokens/{id}/revoke", post(tokens::revoke))
        .route("/app/settings/audit", get(audit::page))
        .route("/app/settings/tasks/retry", post(tasks::retry))
        .route("/app/settings/tasks/drop", get(tasks::ask_drop).post(tasks::drop))
        .route("/app/settings/suppressions", get(suppressions::page).post(suppressions::add))
        .route("/app/settings/suppressions.csv", get(crate::api::suppressions::export))
        .route("/app/settings/suppressions/import", post(suppressions::import))
        .route("/app/settings/suppressions/remove", post(suppressions::remove))
        .route("/app/settings/suppressions/restore", post(suppressions::restore))
        .route("/app/settings/templates", get(templates::list))
        .route("/app/settings/templates/new", get(templates::new).post(templates::create))
        .route("/app/settings/templates/{id}", get(templates::edit).post(templates::save))
        .route("/app/settings/templates/{id}/delete", post(templates::delete))
}
