//! Pages. Made on the server from typed contexts; they work without scripts.
//!
//! | file | holds |
//! |---|---|
//! | `assets` | stylesheet, icons, scripts, under addresses that change with their content |
//! | `templates` | the template environment |
//! | `format` | how numbers and moments are written |
//! | `pages` | answers that are pages |
//! | `again` | forms whose sender has to sign in first |
//! | `frame` | what happens around every page: errors, sign-in, toasts |
//! | `shell` | what every page of the application has around it |
//! | `home` | the first page |
//! | `people` | finding, adding, changing, deleting people |
//! | `search` | people and events in one place |
//! | `sign_in` | signing in and out |
//! | `campaigns` | write, check, send and watch bulk mail |
//! | `settings` | what the installation stands on; suppression list, templates |
//! | `outbox`, `mail_frame` | mails that became files; a mail's HTML in a frame of its own |
//! | `href`, `paging`, `stack` | addresses, pages of lists, bars |
//! | `events` | events, their attendees, the door |
//! | `public` | what anybody sees of a public event |
//! | `unsubscribe` | what readers do by the links in their mails |
//! | `tracking` | pixels and links of campaigns that track |

pub mod again;
pub mod assets;
pub mod campaigns;
pub mod events;
pub mod format;
pub mod frame;
pub mod home;
pub mod href;
pub mod mail_frame;
pub mod outbox;
pub mod pages;
pub mod paging;
pub mod people;
pub mod public;
pub mod search;
pub mod settings;
pub mod shell;
pub mod sign_in;
pub mod stack;
pub mod templates;
pub mod tracking;
pub mod unsubscribe;

use axum::Router;
use axum::routing::get;

use crate::router::ApiState;
use templates::Template;

/// Templates by place, one line each; the lists stand beside the code that uses them.
#[rustfmt::skip]
static TEMPLATES: &[&[Template]] = &[
    pages::TEMPLATES,
    shell::TEMPLATES,
    home::TEMPLATES,
    sign_in::TEMPLATES,
    events::TEMPLATES,
    campaigns::TEMPLATES,
    settings::TEMPLATES,
    outbox::TEMPLATES,
    public::TEMPLATES,
    people::TEMPLATES,
    search::TEMPLATES,
    unsubscribe::TEMPLATES,
];

/// Routes of pages, one line for each place; the OpenAPI document does not describe them.
pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/assets/{file}", get(assets::file))
        .route("/u/{token}", get(unsubscribe::page).post(unsubscribe::act))
        .route("/t/o/{file}", get(tracking::open))
        .route("/t/c/{token}", get(tracking::click))
        .merge(shell::routes())
        .merge(home::routes())
        .merge(people::routes())
        .merge(search::routes())
        .merge(sign_in::routes())
        .merge(campaigns::routes())
        .merge(settings::routes())
        .merge(outbox::routes())
        .merge(events::routes())
        .merge(public::routes())
}
