//! `/app/events`: the list, an event with its attendees, the form, the door.
//!
//! | file | holds |
//! |---|---|
//! | `list`, `calendar` | events to come, past ones, a month |
//! | `fields`, `edit` | the form, what stands in it, and what happens when somebody else saved first |
//! | `show` | one event and its attendees; the list on paper |
//! | `attendees` | adding, taking off, checking in |
//! | `door` | checking in at the entrance, on a phone |
//! | `csv` | attendees as a file, and from one |
//! | `view` | what the templates know of events and people |

mod attendees;
mod calendar;
mod csv;
mod door;
mod edit;
mod fields;
mod list;
mod show;
pub mod view;

use axum::Router;
use axum::routing::{get, post};

use super::templates::{Template, templates};
use crate::router::ApiState;

pub static TEMPLATES: &[Template] = templates![
    "events/list.html",
    "events/calendar.html",
    "events/tabs.html",
    "events/meter.html",
    "events/edit.html",
    "events/notes.html",
    "events/finder.html",
    "events/found.html",
    "events/delete.html",
    "events/show.html",
    "events/row.html",
    "events/back.html",
    "events/here.html",
    "events/candidates.html",
    "events/print.html",
    "events/door.html",
    "events/door-row.html",
    "events/import.html",
];

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/app/events", get(list::list))
        .route("/app/events/calendar", get(calendar::month))
        .route("/app/events/new", get(edit::blank).post(edit::create))
        .route("/app/events/people", get(edit::people))
        .route("/app/events/{id}", get(show::show))
        .route("/app/events/{id}/edit", get(edit::form).post(edit::save))
        .route("/app/events/{id}/delete", get(edit::ask_delete).post(edit::delete))
        .route("/app/events/{id}/print", get(show::print))
        .route("/app/events/{id}/candidates", get(show::candidates))
        .route("/app/events/{id}/attendees", post(attendees::add))
        .route("/app/events/{id}/attendees.csv", get(csv::export))
        .route("/app/events/{id}/import", get(csv::ask).post(csv::import))
        .route("/app/events/{id}/attendees/{user}/remove", post(attendees::remove))
        .route("/app/events/{id}/attendees/{user}/restore", post(attendees::restore))
        .route("/app/events/{id}/attendees/{user}/here", post(attendees::here))
        .route("/app/events/{id}/door", get(door::door))
}
