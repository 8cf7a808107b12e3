//! `/app/events/{id}`: one event, and who comes. Also the list on paper.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::roster::{Presence, Roster, RosterRequest, RosterSort, WHOLE_MAX};
use emcrm_app::{App, AppError, Call};
use emcrm_model::{EventId, PageRequest, Position, UserId};
use serde::Serialize;

use super::attendees::Back;
use super::view::{AttendeeView, EventView, Meant, Named, host_order, meant, named};
use crate::api::error::ApiError;
use crate::auth::{Auth, NeededRole, Viewer};
use crate::http::QueryReader;
use crate::http::path::EventAt;
use crate::router::ApiState;
use crate::web::pages::page as render;
use crate::web::people::fields::new_as;
use crate::web::shell::{Place, Shell};

/// Rows of a page.
const SIZE: u32 = 50;
const TEXT_MAX: usize = 200;
const PRESENCE: [(&str, Presence); 3] = [("all", Presence::All), ("here", Presence::Here), ("away", Presence::Away)];
const SORTS: [(&str, (RosterSort, bool)); 6] = [
    ("name", (RosterSort::Name, false)),
    ("-name", (RosterSort::Name, true)),
    ("company", (RosterSort::Company, false)),
    ("-company", (RosterSort::Company, true)),
    ("registered", (RosterSort::Registered, false)),
    ("-registered", (RosterSort::Registered, true)),
];

/// What a list of attendees shows: the parts of its address.
pub struct ListQuery {
    pub request: RosterRequest,
    pub presence: &'static str,
    pub sort: &'static str,
    pub q: String,
    /// The number of the page; nothing for the first.
    pub page: String,
    pub cursor: String,
}

impl ListQuery {
    pub fn read(query: &mut QueryReader, size: u32, without: &'static str) -> Self {
        let presence = query.choice("s", &PRESENCE.map(|(word, _)| (word, word))).unwrap_or(without);
        let sort = query.choice("sort", &SORTS.map(|(word, _)| (word, word))).unwrap_or("name");
        let q = query.text("q", TEXT_MAX);
        let page = PageRequest { size, ..query.page() };
        let (number, cursor) = match &page.position {
            Position::Number(1) => (String::new(), String::new()),
            Position::Number(number) => (number.to_string(), String::new()),
            Position::Cursor(cursor) => (String::new(), cursor.clone()),
        };
        let found = SORTS.iter().find(|(word, _)| *word == sort).map_or((RosterSort::Name, false), |(_, sort)| *sort);
        let shown = PRESENCE.iter().find(|(word, _)| *word == presence).map_or(Presence::All, |(_, presence)| *presence);
        let request = RosterRequest { presence: shown, sort: found.0, descending: found.1, q: q.clone(), page };
        Self { request, presence, sort, q: q.unwrap_or_default(), page: number, cursor }
    }

    /// What a form needs to come back here.
    pub fn back(&self, door: bool) -> Back {
        let sort = if self.sort == "name" { "" } else { self.sort };
        let (s, q, page, cursor) = (self.presence.to_owned(), self.q.clone(), self.page.clone(), self.cursor.clone());
        Back { door, s, q, sort: sort.to_owned(), page, cursor }
    }
}

/// Somebody who may be added.
#[derive(Serialize)]
struct Candidate {
    person: Named,
    /// Is on the list already.
    attends: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "each says whether a part of the page is there")]
#[derive(Serialize)]
struct ShowPage {
    shell: Shell,
    event: EventView,
    hosts: Vec<Named>,
    rows: Vec<AttendeeView>,
    s: &'static str,
    sort: &'static str,
    q: String,
    /// Where the forms of the rows lead back to.
    back: Back,
    /// What was typed to add somebody.
    who: String,
    /// Where somebody becomes one of the people by what was typed.
    newcomer: String,
    candidates: Option<Vec<Candidate>>,
    /// Only who has exactly the address can be found.
    candidates_down: bool,
    /// The list cannot be searched, so it is shown as it is.
    unsearched: bool,
    /// Why the last change was refused.
    refused: Option<String>,
    /// The list is sorted, counted and searched as a whole.
    whole: bool,
    here: u64,
    away: u64,
    total: Option<u64>,
    next: Option<String>,
    previous: Option<String>,
    /// From which row, to which row.
    first: u64,
    last: u64,
    /// The installation knows its own address, so that pages and mails can have links.
    has_address: bool,
}

pub async fn show(auth: Auth<Viewer>, State(state): State<ApiState>, EventAt(id): EventAt, query: QueryReader) -> Result<Response, ApiError> {
    page(&auth, &state, &id, query, StatusCode::OK, None).await
}

/// The page of an event, also after a change that was refused.
pub async fn page<R: NeededRole>(
    auth: &Auth<R>,
    state: &ApiState,
    id: &EventId,
    mut query: QueryReader,
    status: StatusCode,
    refused: Option<String>,
) -> Result<Response, ApiError> {
    let list = ListQuery::read(&mut query, SIZE, "all");
    let who = query.text("who", TEXT_MAX);
    query.check()?;
    let (app, call) = (auth.app(), auth.read());
    let back = list.back(false);
    let event = app.event_get(call, id.as_str()).await?;
    let (roster, unsearched) = roster(app, call, &event.id, list.request).await?;
    let (candidates, candidates_down) = match &who {
        Some(who) => {
            let (candidates, down) = candidates_for(app, call, &event.id, who).await?;
            (Some(candidates), down)
        }
        None => (None, false),
    };
    let here = roster.here.unwrap_or(0);
    let page = ShowPage {
        shell: Shell::of(auth, state, Place::Events),
        hosts: named(app, call, &host_order(&event)).await?,
        rows: roster.rows.iter().map(AttendeeView::from).collect(),
        s: list.presence,
        sort: list.sort,
        q: list.q,
        back,
        newcomer: new_as(who.as_deref().unwrap_or_default(), event.id.as_str()),
        who: who.unwrap_or_default(),
        candidates,
        candidates_down,
        unsearched,
        refused,
        whole: roster.is_whole(),
        here,
        away: (roster.event.attendee_count.max(0) as u64).saturating_sub(here),
        total: roster.total,
        first: roster.first,
        last: roster.first + (roster.rows.len() as u64).saturating_sub(1),
        next: roster.next,
        previous: roster.previous,
        has_address: app.settings.public_url.is_some(),
        event: EventView::of(app, &roster.event, auth.locale()),
    };
    render(status, "events/show.html", page)
}

/// A part of an event's list. The list of a large event is searched by the index: where that cannot be asked, the list comes without the search, and true.
pub async fn roster(app: &App, call: &Call, event: &EventId, request: RosterRequest) -> Result<(Roster, bool), ApiError> {
    match app.roster(call, event, request.clone()).await {
        Ok(roster) => Ok((roster, false)),
        Err(AppError::Search(error)) => {
            tracing::warn!(%error, "attendees cannot be searched");
            Ok((app.roster(call, event, RosterRequest { q: None, ..request }).await.map_err(ApiError::of_query)?, true))
        }
        Err(other) => Err(ApiError::of_query(other)),
    }
}

/// Who may be meant, and whether only their exact address could be looked for.
async fn candidates_for(app: &App, call: &Call, event: &EventId, text: &str) -> Result<(Vec<Candidate>, bool), AppError> {
    let Meant { people, down } = meant(app, call, text).await?;
    let ids: Vec<UserId> = people.iter().map(|user| user.id.clone()).collect();
    let attending: HashSet<UserId> = app.attending(call, event, &ids).await?;
    Ok((people.iter().map(|user| Candidate { person: Named::from(user), attends: attending.contains(&user.id) }).collect(), down))
}

/// People who may be added, while somebody types.
pub async fn candidates(auth: Auth<Viewer>, State(state): State<ApiState>, EventAt(id): EventAt, mut query: QueryReader) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Part {
        shell: Shell,
        event: EventView,
        who: String,
        newcomer: String,
        candidates: Vec<Candidate>,
        candidates_down: bool,
    }
    let who = query.text("who", TEXT_MAX).unwrap_or_default();
    query.check()?;
    let (app, call) = (auth.app(), auth.read());
    let event = app.event_get(call, id.as_str()).await?;
    let (candidates, candidates_down) = if who.is_empty() { (Vec::new(), false) } else { candidates_for(app, call, &event.id, &who).await? };
    let part = Part {
        shell: Shell::of(&auth, &state, Place::Events),
        event: EventView::of(app, &event, auth.locale()),
        newcomer: new_as(&who, event.id.as_str()),
        who,
        candidates,
        candidates_down,
    };
    render(StatusCode::OK, "events/candidates.html", part)
}

/// The list on paper.
pub async fn print(auth: Auth<Viewer>, State(state): State<ApiState>, EventAt(id): EventAt) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct PrintPage {
        shell: Shell,
        event: EventView,
        rows: Vec<AttendeeView>,
        whole: bool,
    }
    let (app, call) = (auth.app(), auth.read());
    let event = app.event_get(call, id.as_str()).await?;
    let whole = event.attendee_count <= WHOLE_MAX;
    // A longer list would not be in the order of names, and nobody finds anybody in it.
    let rows = if whole { app.roster(call, &event.id, RosterRequest::all(2 * WHOLE_MAX as u32)).await?.rows } else { Vec::new() };
    let page = PrintPage {
        shell: Shell::of(&auth, &state, Place::Events),
        event: EventView::of(app, &event, auth.locale()),
        rows: rows.iter().map(AttendeeView::from).collect(),
        whole,
    };
    render(StatusCode::OK, "events/print.html", page)
}
