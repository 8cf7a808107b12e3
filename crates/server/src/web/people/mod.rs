//! `/app/people`: finding, adding, changing, deleting people.
//!
//! | file | holds |
//! |---|---|
//! | `query` | which people a page shows, in addresses |
//! | `list` | the list with its filters |
//! | `start` | what is there while nobody is |
//! | `fields` | the form of a person: adding, changing |
//! | `person` | one person: facts, timeline, mails |
//! | `timeline` | what a person did and got |
//! | `delete` | deleting one or several, with a question first |
//! | `to_event` | putting several on an event's list |
//! | `privacy` | everything about a person as a file, and erasing a person |
//! | `import` | people from a file |
//! | `export` | people as CSV |

mod delete;
mod export;
pub mod fields;
mod import;
pub mod list;
mod person;
mod privacy;
pub mod query;
pub mod start;
mod timeline;
mod to_event;

use axum::Router;
use axum::routing::get;

use super::templates::{Template, templates};
use crate::router::ApiState;

pub static TEMPLATES: &[Template] = templates![
    "people/list.html",
    "people/results.html",
    "people/export.html",
    "people/filter-count.html",
    "people/choice.html",
    "people/start.html",
    "people/fields.html",
    "people/form.html",
    "people/person.html",
    "people/fact.html",
    "people/delete.html",
    "people/to-event.html",
    "people/erase.html",
    "people/import.html",
    "people/import-one.html",
    "people/import-state.html",
];

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/app/people", get(list::list))
        .route("/app/people/new", get(fields::new).post(fields::create))
        .route("/app/people/export.csv", get(export::all).post(export::chosen))
        .route("/app/people/delete", axum::routing::post(delete::many))
        .route("/app/people/to-event", get(to_event::ask).post(to_event::add))
        .merge(import::routes())
        .route("/app/people/{id}", get(person::show).post(person::change))
        .route("/app/people/{id}/edit", get(fields::edit).post(fields::replace))
        .route("/app/people/{id}/erase", get(privacy::ask).post(privacy::erase))
        .route("/app/people/{id}/archive", axum::routing::post(privacy::export))
        .route("/app/people/{id}/delete", get(delete::ask).post(delete::one))
}
