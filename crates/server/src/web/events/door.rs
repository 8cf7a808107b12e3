//! `/app/events/{id}/door`: checking in at the entrance. Made for a phone in one hand; works without scripts.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_model::Role;
use serde::Serialize;

use super::attendees::Back;
use super::show::{ListQuery, roster};
use super::view::{AttendeeView, EventView};
use crate::api::error::ApiError;
use crate::auth::{Auth, SeeEvent};
use crate::http::QueryReader;
use crate::http::path::EventAt;
use crate::router::ApiState;
use crate::web::pages::page as render;
use crate::web::shell::{Place, Shell};

/// People of a page: a thumb does not scroll further, it searches.
const SIZE: u32 = 100;

#[expect(clippy::struct_excessive_bools, reason = "each says whether a part of the page is there")]
#[derive(Serialize)]
struct DoorPage {
    shell: Shell,
    event: EventView,
    rows: Vec<AttendeeView>,
    s: &'static str,
    q: String,
    whole: bool,
    here: u64,
    away: u64,
    total: Option<u64>,
    next: Option<String>,
    previous: Option<String>,
    /// From which row, to which row.
    first: u64,
    last: u64,
    /// The list cannot be searched, so it is shown as it is.
    unsearched: bool,
    back: Back,
    /// May check people in.
    check: bool,
    /// May see more than the door.
    may_see: bool,
    /// Only of a single row that is sent by itself.
    counts: bool,
    reason: Option<&'static str>,
}

pub async fn door(auth: Auth<SeeEvent>, State(state): State<ApiState>, EventAt(id): EventAt, mut query: QueryReader) -> Result<Response, ApiError> {
    // Whoever searches for somebody wants to find them, here or not.
    let searching = query.raw("q").is_some_and(|q| !q.trim().is_empty());
    let list = ListQuery::read(&mut query, SIZE, if searching { "all" } else { "away" });
    query.check()?;
    let (app, call) = (auth.app(), auth.read());
    let back = list.back(true);
    let event = app.event_get(call, id.as_str()).await?;
    let (roster, unsearched) = roster(app, call, &event.id, list.request).await?;
    let here = roster.here.unwrap_or(0);
    let page = DoorPage {
        shell: Shell::of(&auth, &state, Place::Events),
        rows: roster.rows.iter().map(AttendeeView::from).collect(),
        s: list.presence,
        whole: roster.is_whole(),
        here,
        away: (roster.event.attendee_count.max(0) as u64).saturating_sub(here),
        total: roster.total,
        first: roster.first,
        last: roster.first + (roster.rows.len() as u64).saturating_sub(1),
        next: roster.next,
        previous: roster.previous,
        unsearched,
        back,
        q: list.q,
        may_see: auth.actor().may(Role::Viewer),
        check: auth.actor().may_check_in(&event.id),
        counts: false,
        reason: None,
        event: EventView::of(app, &roster.event, auth.locale()),
    };
    render(StatusCode::OK, "events/door.html", page)
}
