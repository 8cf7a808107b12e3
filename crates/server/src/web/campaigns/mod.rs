//! `/app/campaigns`: write, check, send and watch bulk mail. The rules are those of `emcrm_app::campaigns`; here they become pages and forms.
//!
//! | file | holds |
//! |---|---|
//! | `list` | all campaigns, newest first |
//! | `composer` | the form of a draft: from a campaign, a query string or what was sent, and back |
//! | `compose` | writing and editing drafts |
//! | `look` | audience and mail of what is being written |
//! | `preflight` | what sending would do; test mail, schedule, send |
//! | `live` | a campaign that was sent or is being sent |
//! | `ledger` | its rows |
//! | `steps` | pause, resume, cancel, retry, duplicate, delete |
//! | `words` | states, durations and logs for people |

mod compose;
mod composer;
mod ledger;
mod list;
mod live;
mod look;
mod preflight;
mod steps;
pub mod words;

use axum::Router;
use axum::routing::{get, post};

use super::templates::{Template, templates};
use crate::router::ApiState;

/// Who mails come from, as mail programs show it.
pub use look::from as sender;

pub static TEMPLATES: &[Template] = templates![
    "campaigns/list.html",
    "campaigns/edit.html",
    "campaigns/_fault.html",
    "campaigns/_values.html",
    "campaigns/_look.html",
    "campaigns/_audience.html",
    "campaigns/_preview.html",
    "campaigns/preflight.html",
    "campaigns/show.html",
    "campaigns/_progress.html",
    "campaigns/cancel.html",
    "campaigns/_pages.html",
    "campaigns/_stack.html",
    "campaigns/mail.html",
];

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/app/campaigns", get(list::page))
        .route("/app/campaigns/new", get(compose::new).post(compose::create))
        .route("/app/campaigns/check", post(look::check))
        .route("/app/campaigns/frame", post(look::frame))
        .route("/app/campaigns/{id}", get(live::page))
        .route("/app/campaigns/{id}/edit", get(compose::edit).post(compose::save))
        .route("/app/campaigns/{id}/preflight", get(preflight::page))
        .route("/app/campaigns/{id}/mail/{user}", get(look::mail))
        .route("/app/campaigns/{id}/test", post(preflight::test))
        .route("/app/campaigns/{id}/schedule", post(preflight::schedule))
        .route("/app/campaigns/{id}/send", post(preflight::send))
        .route("/app/campaigns/{id}/progress", get(live::progress))
        .route("/app/campaigns/{id}/ledger.csv", get(crate::api::campaigns::ledger_for_spreadsheets))
        .route("/app/campaigns/{id}/cancel", get(steps::ask_cancel).post(steps::cancel))
        .route("/app/campaigns/{id}/pause", post(steps::pause))
        .route("/app/campaigns/{id}/resume", post(steps::resume))
        .route("/app/campaigns/{id}/retry", post(steps::retry))
        .route("/app/campaigns/{id}/unschedule", post(steps::unschedule))
        .route("/app/campaigns/{id}/duplicate", post(steps::duplicate))
        .route("/app/campaigns/{id}/delete", post(steps::delete))
}
