//! `/app`: what is coming up, what is under way, what needs somebody. While nothing is stored, how to begin.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use emcrm_app::events::{Ends, EventList};
use emcrm_app::generate::{GeneratePlan, demo_make};
use emcrm_app::people_import::{ImportState, PeopleImport};
use emcrm_app::when::{zone_name, zone_words};
use emcrm_app::{App, AppError, UserList};
use emcrm_model::{Campaign, CampaignState, Event, Page, PageRequest, Position};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::format::{Locale, clock, clocks, day_and_time};
use super::href;
use super::pages::{page, see_other};
use super::people::start;
use super::shell::{Place, Shell, flash};
use super::templates::{Template, templates};
use crate::api::error::{ApiError, Problem};
use crate::auth::{Admin, Auth, Viewer};
use crate::router::ApiState;
use crate::web_form::Form;

pub static TEMPLATES: &[Template] = templates!["home/home.html"];

/// Rows of the page's lists.
const ROWS: u32 = 5;
/// Campaigns that are looked through for those under way.
const CAMPAIGNS: u32 = 50;

/// Notices of one kind.
const NOTICED: usize = 3;
/// How long an import that left rows out is spoken of.
const IMPORT_FRESH: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Looks at an index that is being filled, a tenth of a second apart.
const INDEX_LOOKS: u32 = 100;

/// What the demo data holds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Demo {
    pub people: u64,
    pub events: u64,
    registrations: u64,
}

pub const DEMO: Demo = Demo { people: 300, events: 12, registrations: 900 };

pub fn routes() -> Router<ApiState> {
    Router::new().route("/app", get(home)).route("/app/demo", post(demo))
}

#[derive(Serialize)]
struct Home {
    shell: Shell,
    today: String,
    people: u64,
    events: u64,
    campaigns: u64,
    upcoming: Vec<Upcoming>,
    upcoming_total: u64,
    /// Events cannot be looked up right now.
    down: bool,
    running: Vec<Running>,
    notices: Vec<Notice>,
    storage: bool,
    search: bool,
    waiting: u64,
    dead: u64,
}

#[derive(Serialize)]
struct Upcoming {
    id: String,
    title: String,
    month: String,
    day: String,
    today: bool,
    running: bool,
    /// When and where.
    line: String,
    taken: i64,
    capacity: Option<i64>,
    left: i64,
    /// `full`, `near` or nothing.
    fill: &'static str,
}

#[derive(Serialize)]
struct Running {
    id: String,
    subject: String,
    badge: &'static str,
    tone: &'static str,
    total: u64,
    sent: i64,
    refused: i64,
    /// Parts of the whole: class, begin and width in per cent.
    parts: Vec<(&'static str, String, String)>,
    /// Something to say besides the counts.
    note: Option<String>,
    /// Milliseconds since 1970.
    due: Option<i64>,
    waits: bool,
}

#[derive(Serialize)]
struct Notice {
    tone: &'static str,
    icon: &'static str,
    title: String,
    text: String,
    href: String,
}

fn first(size: u32) -> PageRequest {
    PageRequest { position: Position::Number(1), size }
}

fn nothing<T>() -> Page<T> {
    Page { items: Vec::new(), total: 0, page: 1, size: 0, next: None }
}

async fn home(auth: Auth<Viewer>, State(state): State<ApiState>) -> Result<Response, ApiError> {
    let (app, call) = (auth.app(), auth.read());
    let shell = Shell::of(&auth, &state, Place::Home);
    // All at once: none needs what another one finds.
    let (people, events, campaigns, upcoming, health, backlog, imports) = tokio::join!(
        app.user_list(call, UserList { page: first(1), email: None, q: None, sort: None }),
        app.event_list(call, all_events(1, Ends::Whenever)),
        app.campaign_list(call, first(CAMPAIGNS)),
        app.event_list(call, all_events(ROWS, Ends::After(app.now()))),
        app.health(),
        app.backlog(),
        app.people_import_list(call),
    );
    let (people, events, backlog, imports) = (people?.total, events?.total, backlog?, imports?);
    let campaigns = match campaigns {
        Err(AppError::NothingThere(_)) => nothing(),
        other => other?,
    };
    if people == 0 && events == 0 && campaigns.total == 0 {
        return start::page_of(shell, app);
    }
    let (upcoming, down) = match upcoming {
        Ok(page) => (page, false),
        Err(AppError::Search(_)) => (nothing(), true),
        Err(other) => return Err(other.into()),
    };
    let dead = backlog.queues.iter().map(|queue| queue.dead).sum();
    let locale = auth.locale();
    let mut notices = notices(health.storage.is_ok(), health.search.is_ok(), dead);
    notices.extend(campaigns.items.iter().filter(|campaign| campaign.status == CampaignState::Paused).take(NOTICED).map(paused));
    notices.extend(imports.iter().filter(|import| is_worth_saying(import, app.now())).take(NOTICED).map(left_out));
    let context = Home {
        today: app.now().to_zoned_datetime(shell.time_zone()).strftime(locale.weekday_and_day()).to_string(),
        people,
        events,
        campaigns: campaigns.total,
        upcoming_total: upcoming.total,
        upcoming: upcoming.items.into_iter().map(|event| upcoming_of(app, event, locale)).collect(),
        down,
        running: campaigns.items.into_iter().filter(is_under_way).map(|campaign| running_of(app, campaign)).collect(),
        notices,
        storage: health.storage.is_ok(),
        search: health.search.is_ok(),
        waiting: backlog.queues.iter().map(|queue| queue.waiting).sum(),
        dead,
        shell,
    };
    page(StatusCode::OK, "home/home.html", context)
}

/// Those that have not ended come in the order of time; all of them as the storage has them.
fn all_events(size: u32, ends: Ends) -> EventList {
    let sort = (ends != Ends::Whenever).then(|| "startAt".to_owned());
    EventList { page: first(size), from: None, to: None, ends, q: None, owner: None, host: None, sort }
}

fn upcoming_of(app: &App, event: Event, locale: Locale) -> Upcoming {
    let default = &app.settings.default_zone;
    let zone = event.zone(default);
    let starts = event.starts(default).to_zoned_datetime(zone.clone());
    let ends = event.ends(default).to_zoned_datetime(zone.clone());
    let now = app.now().to_zoned_datetime(zone);
    let times =
        if starts.date() == ends.date() { clocks(&starts, &ends, locale) } else { format!("{}–{}", clock(&starts, locale), day_and_time(&ends, locale)) };
    let mut when = format!("{}, {times}", starts.strftime("%a"));
    if event.zone(default) != *default {
        when = format!("{when} ({})", zone_words(&zone_name(&event, default)));
    }
    let left = event.max_capacity.map_or(0, |capacity| (capacity - event.attendee_count).max(0));
    let fill = match event.max_capacity {
        Some(_) if left == 0 => "full",
        Some(capacity) if event.attendee_count * 10 >= capacity * 9 => "near",
        _ => "",
    };
    Upcoming {
        id: event.id.to_string(),
        title: event.title,
        month: starts.strftime("%b").to_string(),
        day: starts.strftime("%-d").to_string(),
        today: starts.date() == now.date(),
        running: starts <= now,
        line: [Some(when), event.venue].into_iter().flatten().collect::<Vec<_>>().join(" · "),
        taken: event.attendee_count,
        capacity: event.max_capacity,
        left,
        fill,
    }
}

fn is_under_way(campaign: &Campaign) -> bool {
    !campaign.status.is_final() && campaign.status != CampaignState::Draft
}

fn running_of(app: &App, campaign: Campaign) -> Running {
    let (badge, tone) = match campaign.status {
        CampaignState::Scheduled => ("Scheduled", "hollow"),
        CampaignState::Pending | CampaignState::Freezing => ("Choosing recipients", "live now"),
        CampaignState::Paused => ("Paused", "warn"),
        _ => ("Sending", "live now"),
    };
    let counts = campaign.counts;
    let left_out = counts.suppressed_count + counts.skipped_count + counts.cancelled_count;
    let refused = counts.error_count + counts.bounced_count + counts.complained_count;
    let whole = campaign.total_recipients.max(1) as f64;
    let mut begin = 0.0;
    let mut parts = Vec::new();
    for (class, count) in [
        ("f-sent", counts.sent_count),
        ("f-sending", counts.sending_count),
        ("f-error", refused),
        ("f-unknown", counts.unknown_count),
        ("f-left-out", left_out),
        ("f-pending", counts.pending_count),
    ] {
        let width = count.max(0) as f64 * 100.0 / whole;
        if width > 0.0 {
            parts.push((class, format!("{begin:.2}%"), format!("{width:.2}%")));
        }
        begin += width;
    }
    Running {
        id: campaign.id.to_string(),
        waits: campaign.status == CampaignState::Scheduled,
        due: campaign.due(&app.settings.default_zone).filter(|_| campaign.status == CampaignState::Scheduled).map(Timestamp::as_millisecond),
        subject: campaign.subject,
        badge,
        tone,
        total: campaign.total_recipients,
        sent: counts.sent_count,
        refused,
        parts,
        note: campaign.reason,
    }
}

fn notices(storage: bool, search: bool, dead: u64) -> Vec<Notice> {
    let mut notices = Vec::new();
    if !storage {
        notices.push(Notice {
            tone: "bad",
            icon: "error",
            title: "The storage does not answer".to_owned(),
            text: "Nothing can be changed until it does.".to_owned(),
            href: "/app/settings".to_owned(),
        });
    }
    if !search {
        notices.push(Notice {
            tone: "bad",
            icon: "error",
            title: "Searching is not possible right now".to_owned(),
            text: "What is changed meanwhile is found later.".to_owned(),
            href: "/app/settings".to_owned(),
        });
    }
    if dead > 0 {
        let title = if dead == 1 { "1 task gave up".to_owned() } else { format!("{dead} tasks gave up") };
        let text = "Somebody has to look at them and try again.".to_owned();
        notices.push(Notice { tone: "bad", icon: "error", title, text, href: "/app/settings#tasks".to_owned() });
    }
    notices
}

/// A campaign that waits for somebody: paused by a person, or held by the product.
fn paused(campaign: &Campaign) -> Notice {
    let text = campaign.reason.clone().unwrap_or_else(|| "Nothing of it is sent until somebody resumes or cancels it.".to_owned());
    Notice { tone: "warn", icon: "pause", title: format!("“{}” is paused", campaign.subject), text, href: href::campaign(campaign.id.as_str()) }
}

/// An import that left rows out, some days ago at most.
fn is_worth_saying(import: &PeopleImport, now: Timestamp) -> bool {
    let fresh = import.created_at.parse::<Timestamp>().is_ok_and(|at| now.duration_since(at) < IMPORT_FRESH);
    import.state == ImportState::Done && import.counts.faulty > 0 && fresh
}

fn left_out(import: &PeopleImport) -> Notice {
    let rows = if import.counts.faulty == 1 { "1 row".to_owned() } else { format!("{} rows", import.counts.faulty) };
    Notice {
        tone: "warn",
        icon: "upload",
        title: format!("{rows} of {} left out", import.name),
        text: "They can be taken as a file, mended, and imported again.".to_owned(),
        href: format!("/app/people/import/{}", href::segment(&import.id)),
    }
}

/// Fills an empty installation with made-up people and events. Refused where there is somebody already.
async fn demo(auth: Auth<Admin>, State(state): State<ApiState>, form: Form) -> Result<Response, ApiError> {
    let app: &Arc<App> = &state.app;
    let call = auth.write(&form)?;
    if app.user_list(&call, UserList { page: first(1), email: None, q: None, sort: None }).await?.total > 0 {
        return Err(Problem::new(StatusCode::CONFLICT, "not_empty", "Demo data is for an empty installation; here are people already.").into());
    }
    // The worker may be filling a new index just now; making one beside it would be in its way.
    for _ in 0..INDEX_LOOKS {
        if app.index.is_complete().await.map_err(AppError::from)? {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let plan = GeneratePlan { users: DEMO.people, events: DEMO.events, attendance: DEMO.registrations, seed: 1, base: None };
    let made = demo_make(app, &call, &plan).await?;
    Ok(flash(see_other("/app")?, &format!("Made up {} people and {} events", made.users, made.events), None))
}
