//! `/app/events`: events to come and past ones.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::events::Ends;
use emcrm_app::when::zone_words;
use emcrm_app::{AppError, EventList};
use emcrm_model::{Event, PageRequest, Position, User, UserId};
use jiff::Timestamp;
use serde::Serialize;

use super::view::{EventView, Named, host_order};
use crate::api::error::ApiError;
use crate::auth::{Auth, Viewer};
use crate::http::QueryReader;
use crate::router::ApiState;
use crate::web::format::short_span;
use crate::web::href;
use crate::web::pages::{page as render, see_other};
use crate::web::shell::{Place, Shell};

/// Rows of a page.
const SIZE: u32 = 50;
const TEXT_MAX: usize = 200;
const ID_MAX: usize = 50;
/// Longest cursor that is looked at.
const CURSOR_MAX: usize = 4_096;

#[derive(Serialize)]
struct ListPage {
    shell: Shell,
    /// `coming`, `past`, `calendar`.
    tab: &'static str,
    coming: u64,
    past: u64,
    q: String,
    /// What stands in the field for a host.
    host_text: String,
    host: Option<Named>,
    /// Others who may have been meant.
    others: Vec<Named>,
    /// Nobody was found for the text.
    nobody: bool,
    sort: String,
    groups: Vec<Group>,
    total: u64,
    page: u32,
    pages: u64,
    /// The rest of the address of the page after this one, from its last row on.
    next: Option<String>,
    /// The query of this list without its page.
    query: String,
    /// Where the tabs lead: the same conditions, each in its own order.
    coming_href: String,
    past_href: String,
    /// The same list whoever hosts.
    without_host: String,
    /// There is no event at all.
    empty: bool,
    /// The index does not answer: all events stand here, in the order of the storage.
    down: bool,
}

/// Events of one month, or all of them where they do not come in the order of time.
#[derive(Serialize)]
struct Group {
    title: String,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    event: EventView,
    month: String,
    day: String,
    today: bool,
    time: String,
    hosts: Vec<Named>,
}

pub async fn list(auth: Auth<Viewer>, State(state): State<ApiState>, mut query: QueryReader) -> Result<Response, ApiError> {
    let past = query.choice("view", &[("past", true), ("coming", false)]).unwrap_or(false);
    let q = query.text("q", TEXT_MAX);
    let host_text = query.text("who", TEXT_MAX);
    let host_id = query.text("host", ID_MAX);
    let sort = query.choice("sort", &[("startAt", "startAt"), ("-startAt", "-startAt"), ("title", "title"), ("-createdAt", "-createdAt")]);
    let number = query.integer("page", 1..=u32::MAX).unwrap_or(1);
    let cursor = query.text("cursor", CURSOR_MAX);
    let at = query.raw("at").filter(|_| cursor.is_some()).and_then(|at| Timestamp::from_microsecond(at.parse().ok()?).ok());
    query.check()?;
    let now = at.unwrap_or_else(|| auth.app().now());
    let sort = sort.unwrap_or(if past { "-startAt" } else { "startAt" });
    let asked = Wanted { past, q, host_text, host_id, sort, number, cursor, now };
    let shown = match found(&auth, &state, &asked).await {
        // The events are in the storage, whatever the index does.
        Err(ApiError::App(AppError::Search(error))) => {
            tracing::warn!(%error, "events cannot be searched");
            unsorted(&auth, &state, &asked).await
        }
        other => other,
    };
    match shown {
        // A cursor of another search, of the storage, or of an index that was made anew: begin at the beginning.
        Err(ApiError::App(AppError::BadCursor)) => {
            let query = query_of(asked.past, asked.q.as_deref(), asked.host_id.as_deref(), asked.sort);
            see_other(&format!("/app/events?{query}"))
        }
        other => other,
    }
}

/// What the query string asks for.
struct Wanted {
    past: bool,
    q: Option<String>,
    host_text: Option<String>,
    host_id: Option<String>,
    sort: &'static str,
    /// Of the page; with a cursor only said, because rows come and go.
    number: u32,
    cursor: Option<String>,
    /// What is over by now: a cursor goes on with the list of the moment that it was given out at.
    now: Timestamp,
}

impl Wanted {
    fn page(&self) -> PageRequest {
        PageRequest { position: self.cursor.clone().map_or(Position::Number(self.number), Position::Cursor), size: SIZE }
    }

    /// What leads to the next page, behind the conditions.
    fn next(&self, cursor: Option<&String>) -> Option<String> {
        let (page, at) = (self.number.saturating_add(1).to_string(), self.now.as_microsecond().to_string());
        let pairs = [("page", page.as_str()), ("at", at.as_str()), ("cursor", cursor?.as_str())];
        Some(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    }
}

async fn found(auth: &Auth<Viewer>, state: &ApiState, wanted: &Wanted) -> Result<Response, ApiError> {
    let Wanted { past, q, host_text, host_id, sort, number, cursor: _, now } = wanted;
    let (past, sort, number, now) = (*past, *sort, *number, *now);
    let (app, call) = (auth.app(), auth.read());
    let (host, others) = match (host_id, host_text) {
        (Some(id), _) => (app.user_get_many(call, &[UserId::from(id.clone())]).await?.into_iter().flatten().next(), Vec::new()),
        (None, Some(text)) => {
            let mut found: Vec<User> = app.user_candidates(call, text).await?.into_iter().filter(|user| user.hosted_count > 0).collect();
            let first = if found.is_empty() { None } else { Some(found.remove(0)) };
            (first, found)
        }
        (None, None) => (None, Vec::new()),
    };
    let nobody = host.is_none() && (host_id.is_some() || host_text.is_some());
    let list = |ends: Ends, page: PageRequest| EventList {
        page,
        from: None,
        to: None,
        ends,
        q: q.clone(),
        owner: None,
        // Nobody hosts nothing.
        host: host.as_ref().map(|user| user.id.to_string()).or_else(|| nobody.then(|| "-".to_owned())),
        sort: Some(sort.to_owned()),
    };
    let (coming, before) = (Ends::After(now), Ends::Before(now));
    let shown = app.event_list(call, list(if past { before } else { coming }, wanted.page())).await.map_err(ApiError::of_query)?;
    let other = app.event_list(call, list(if past { coming } else { before }, PageRequest { size: 1, ..PageRequest::first() })).await?.total;
    let total = shown.total;
    let pages = shown.pages();
    let (coming, past_count) = if past { (other, total) } else { (total, other) };

    let shell = Shell::of(auth, state, Place::Events);
    let groups = groups(auth, &shown.items, sort.ends_with("startAt")).await?;
    // Each tab has an order of time of its own.
    let other_sort = Some(sort).filter(|sort| !sort.ends_with("startAt"));
    let host_of_links = host.as_ref().map(|user| ("host", user.id.as_str())).or_else(|| host_text.as_deref().map(|text| ("who", text)));
    let host_of_links = host_of_links.or_else(|| host_id.as_deref().map(|id| ("host", id)));
    let tab = |past| href::with_query("/app/events", pairs_of(past, q.as_deref(), host_of_links, other_sort));
    let filtered = q.is_some() || host_id.is_some() || host_text.is_some();
    let page = ListPage {
        shell,
        tab: if past { "past" } else { "coming" },
        coming,
        past: past_count,
        query: query_of(past, q.as_deref(), host.as_ref().map(|user| user.id.as_str()), sort),
        coming_href: tab(false),
        past_href: tab(true),
        without_host: href::with_query("/app/events", pairs_of(past, q.as_deref(), None, Some(sort))),
        q: q.clone().unwrap_or_default(),
        host_text: host_text.clone().unwrap_or_default(),
        host: host.as_ref().map(Named::from),
        others: others.iter().map(Named::from).collect(),
        nobody,
        sort: sort.to_owned(),
        groups,
        total,
        page: number,
        pages,
        next: wanted.next(shown.next.as_ref()),
        empty: coming == 0 && past_count == 0 && !filtered,
        down: false,
    };
    render(StatusCode::OK, "events/list.html", page)
}

/// All events as the storage has them, while nothing can be searched or put into order.
async fn unsorted(auth: &Auth<Viewer>, state: &ApiState, wanted: &Wanted) -> Result<Response, ApiError> {
    let all = EventList { page: wanted.page(), from: None, to: None, ends: Ends::Whenever, q: None, owner: None, host: None, sort: None };
    let shown = auth.app().event_list(auth.read(), all).await.map_err(ApiError::of_query)?;
    let (total, pages) = (shown.total, shown.pages());
    let page = ListPage {
        shell: Shell::of(auth, state, Place::Events),
        tab: "",
        coming: 0,
        past: 0,
        query: query_of(wanted.past, wanted.q.as_deref(), wanted.host_id.as_deref(), wanted.sort),
        coming_href: String::new(),
        past_href: String::new(),
        without_host: String::new(),
        q: wanted.q.clone().unwrap_or_default(),
        host_text: wanted.host_text.clone().unwrap_or_default(),
        host: None,
        others: Vec::new(),
        nobody: false,
        sort: wanted.sort.to_owned(),
        groups: groups(auth, &shown.items, false).await?,
        total,
        page: wanted.number,
        pages,
        next: wanted.next(shown.next.as_ref()),
        empty: total == 0,
        down: true,
    };
    render(StatusCode::OK, "events/list.html", page)
}

/// The conditions of a list as they stand in its address. `host`: by id (`host`) or by what was typed (`who`).
fn pairs_of<'a>(past: bool, q: Option<&'a str>, host: Option<(&'a str, &'a str)>, sort: Option<&'a str>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let view = past.then_some(("view", "past"));
    [view, q.map(|q| ("q", q)), host, sort.map(|sort| ("sort", sort))].into_iter().flatten()
}

fn query_of(past: bool, q: Option<&str>, host: Option<&str>, sort: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs_of(past, q, host.map(|host| ("host", host)), Some(sort))).finish()
}

async fn groups(auth: &Auth<Viewer>, events: &[Event], by_month: bool) -> Result<Vec<Group>, AppError> {
    let (app, call) = (auth.app(), auth.read());
    let mut ids: Vec<UserId> = events.iter().flat_map(host_order).collect();
    ids.sort();
    ids.dedup();
    let people: Vec<Named> = if ids.is_empty() { Vec::new() } else { app.user_get_many(call, &ids).await?.iter().flatten().map(Named::from).collect() };
    let default = &app.settings.default_zone;
    let mut groups: Vec<Group> = Vec::new();
    for event in events {
        let zone = event.zone(default);
        let (start, end) = (event.starts(default).to_zoned_datetime(zone.clone()), event.ends(default).to_zoned_datetime(zone.clone()));
        let today = app.now().to_zoned_datetime(zone).date() == start.date();
        let hosts = host_order(event).iter().filter_map(|id| people.iter().find(|person| person.id == id.as_str()).cloned()).collect();
        let mut time = short_span(&start, &end, auth.locale());
        if event.zone(default) != *default {
            time = format!("{time} ({})", zone_words(start.time_zone().iana_name().unwrap_or("UTC")));
        }
        let row = Row {
            month: start.strftime("%b").to_string(),
            day: start.strftime("%-d").to_string(),
            today,
            time,
            hosts,
            event: EventView::of(app, event, auth.locale()),
        };
        let title = if by_month { start.strftime("%B %Y").to_string() } else { String::new() };
        match groups.last_mut().filter(|group| group.title == title) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { title, rows: vec![row] }),
        }
    }
    Ok(groups)
}
