//! `/app/search`: people, events and campaigns in one place. The key `/` leads here, and typing shows what is found.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use emcrm_app::events::{Ends, EventList};
use emcrm_app::{App, AppError, Call, UserList};
use emcrm_model::{Campaign, Event, Page, PageRequest, Position, User, fold};
use serde::Serialize;

use super::campaigns::words::{Badge, campaign_badge};
use super::href;
use super::pages::{page, wants_part};
use super::people::list::Row;
use super::shell::{Place, Shell};
use super::templates::{Template, templates};
use crate::api::error::ApiError;
use crate::api::users::TEXT_MAX;
use crate::auth::{Auth, Viewer};
use crate::http::QueryReader;
use crate::router::ApiState;

pub static TEMPLATES: &[Template] = templates!["search/search.html", "search/results.html"];

/// Rows of each kind.
const ROWS: u32 = 8;
/// Campaigns that are looked through, newest first: they are in no index.
const CAMPAIGNS: u32 = PageRequest::SIZE_MAX;

pub fn routes() -> Router<ApiState> {
    Router::new().route("/app/search", get(search))
}

#[derive(Serialize)]
struct SearchPage {
    shell: Shell,
    q: String,
    people: Vec<Row>,
    people_total: u64,
    events: Vec<Found>,
    events_total: u64,
    campaigns: Vec<Mailing>,
    /// There are older ones, which were not looked at.
    campaigns_cut: bool,
    down: bool,
}

#[derive(Serialize)]
struct Mailing {
    href: String,
    subject: String,
    badge: Badge,
    at: String,
}

#[derive(Serialize)]
struct Found {
    id: String,
    title: String,
    venue: Option<String>,
    at: i64,
    zone: Option<String>,
}

async fn search(auth: Auth<Viewer>, State(state): State<ApiState>, headers: HeaderMap, mut query: QueryReader) -> Result<Response, ApiError> {
    let q = query.text("q", TEXT_MAX);
    query.check()?;
    let shell = Shell::of(&auth, &state, Place::Nowhere);
    let (mut people, mut events, mut down) = (nothing::<User>(), nothing::<Event>(), false);
    let (mut campaigns, mut campaigns_cut) = (Vec::new(), false);
    if let Some(q) = &q {
        let first = || PageRequest { position: Position::Number(1), size: ROWS };
        let found = async {
            let people = auth.app().user_list(auth.read(), UserList { page: first(), email: None, q: Some(q.clone()), sort: None });
            let list = EventList { page: first(), from: None, to: None, ends: Ends::Whenever, q: Some(q.clone()), owner: None, host: None, sort: None };
            futures::try_join!(people, auth.app().event_list(auth.read(), list))
        };
        match found.await {
            Ok(found) => (people, events) = found,
            Err(AppError::Search(error)) => {
                tracing::warn!(%error, "people and events cannot be searched");
                down = true;
                // Whoever has exactly this address is found without the index.
                people = auth.app().user_list(auth.read(), UserList { page: first(), email: Some(q.clone()), q: None, sort: None }).await?;
            }
            Err(other) => return Err(ApiError::of_query(other)),
        }
        (campaigns, campaigns_cut) = mailings(auth.app(), auth.read(), q).await?;
    }
    let default = &auth.app().settings.default_zone;
    let context = SearchPage {
        shell,
        q: q.unwrap_or_default(),
        people_total: people.total,
        people: people.items.into_iter().map(Row::from).collect(),
        events_total: events.total,
        events: events.items.into_iter().map(|event| found(event, default)).collect(),
        campaigns,
        campaigns_cut,
        down,
    };
    page(StatusCode::OK, if wants_part(&headers) { "search/results.html" } else { "search/search.html" }, context)
}

/// Campaigns whose subject has every word, the newest first, and whether older ones were not looked at.
async fn mailings(app: &App, call: &Call, q: &str) -> Result<(Vec<Mailing>, bool), AppError> {
    let words: Vec<String> = fold(q).split_whitespace().map(str::to_owned).collect();
    let newest = app.campaign_heads(call, PageRequest { position: Position::Number(1), size: CAMPAIGNS }).await?;
    let fits = |campaign: &Campaign| {
        let subject = fold(&campaign.subject);
        words.iter().all(|word| subject.contains(word.as_str()))
    };
    let mailing = |campaign: Campaign| Mailing {
        href: href::campaign(campaign.id.as_str()),
        badge: campaign_badge(campaign.status),
        at: campaign.started_at.unwrap_or(campaign.created_at),
        subject: campaign.subject,
    };
    Ok((newest.items.into_iter().filter(fits).take(ROWS as usize).map(mailing).collect(), newest.next.is_some()))
}

fn nothing<T>() -> Page<T> {
    Page { items: Vec::new(), total: 0, page: 1, size: ROWS, next: None }
}

fn found(event: Event, default: &jiff::tz::TimeZone) -> Found {
    let zone = event.zone(default).iana_name().map(str::to_owned);
    Found { at: event.starts(default).as_millisecond(), zone, id: event.id.into(), title: event.title, venue: event.venue }
}
