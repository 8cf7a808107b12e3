//! The form of an event: new, edit, delete.
//!
//! People are chosen inside the form by buttons that send it and get it back with everything that was typed, so it works without scripts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::{App, AppError, Call, EventSave};
use emcrm_model::{Event, EventId, Slug, UserId};
use serde::Serialize;

use super::fields::{EventFields, LABELS, Theirs, faults, merge};
use super::view::{Meant, Meter, Named, event_path, meant, named};
use crate::api::error::ApiError;
use crate::auth::{Auth, Editor, NeededRole, Viewer};
use crate::http::QueryReader;
use crate::http::path::EventAt;
use crate::router::ApiState;
use crate::web::pages::{page as render, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

/// Longest text that is searched for.
const TEXT_MAX: usize = 200;

/// Zones by their area.
#[derive(Debug, Serialize)]
struct Area {
    name: String,
    zones: Vec<String>,
}

static AREAS: LazyLock<Vec<Area>> = LazyLock::new(|| {
    const AREAS: [&str; 10] = ["Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"];
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let zones = |area: &str| names.iter().filter(|name| name.strip_prefix(area).is_some_and(|rest| rest.starts_with('/'))).cloned().collect();
    AREAS.iter().map(|area| Area { name: (*area).to_owned(), zones: zones(area) }).collect()
});

#[derive(Serialize)]
struct Fault {
    field: String,
    label: &'static str,
    words: String,
}

/// People who were found for a text in the form.
#[derive(Serialize)]
pub struct Finder {
    /// `owner` or `host`.
    role: &'static str,
    text: String,
    found: Vec<Named>,
    /// Only who has exactly this address can be found.
    down: bool,
}

impl Finder {
    async fn of(app: &App, call: &Call, role: &'static str, text: String) -> Result<Self, AppError> {
        let Meant { people, down } = meant(app, call, &text).await?;
        Ok(Self { role, text, found: people.iter().map(Named::from).collect(), down })
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each says whether a part of the page is there")]
#[derive(Serialize)]
struct EditPage {
    shell: Shell,
    /// None for a new event.
    id: Option<String>,
    /// As it is stored.
    title: String,
    fields: EventFields,
    /// What was seen when the form was made, to be sent back.
    was: String,
    summary: Vec<Fault>,
    faults: BTreeMap<String, String>,
    theirs: BTreeMap<&'static str, Theirs>,
    /// When somebody else saved.
    moved_at: Option<String>,
    /// Theirs stands beside ours somewhere.
    conflict: bool,
    areas: &'static [Area],
    default_zone: String,
    /// A stored zone that is not in the list.
    other_zone: bool,
    owner: Option<Named>,
    hosts: Vec<Named>,
    finder: Option<Finder>,
    meter: Option<Meter>,
    base: String,
    /// Makes a form that is sent twice act once.
    once: String,
    /// The form came back with what was typed.
    typed: bool,
    /// The event was deleted after the form had been made.
    gone: bool,
}

/// What a form is shown with, besides its fields.
#[derive(Default)]
struct Shown {
    faults: BTreeMap<String, String>,
    theirs: BTreeMap<&'static str, Theirs>,
    finder: Option<Finder>,
    moved_at: Option<String>,
    /// The event was deleted after the form had been made.
    gone: bool,
}

async fn show<R: NeededRole>(
    auth: &Auth<R>,
    state: &ApiState,
    status: StatusCode,
    event: Option<&Event>,
    fields: EventFields,
    seen: &EventFields,
    shown: Shown,
) -> Result<Response, ApiError> {
    let (app, call) = (auth.app(), auth.read());
    let ids = |texts: &[String]| texts.iter().filter_map(|id| UserId::lookup(id).ok()).collect::<Vec<_>>();
    let owner = named(app, call, &ids(std::slice::from_ref(&fields.owner))).await?.into_iter().next();
    let hosts = named(app, call, &ids(&fields.hosts)).await?;
    let mut theirs = shown.theirs;
    // People are shown by name.
    for (name, theirs) in &mut theirs {
        if matches!(*name, "owner" | "hosts") {
            let people: Vec<String> = theirs.value.split(' ').filter(|id| !id.is_empty()).map(str::to_owned).collect();
            theirs.value = named(app, call, &ids(&people)).await?.into_iter().map(|person| person.name).collect::<Vec<_>>().join(", ");
        }
    }
    let label = |field: &str| LABELS.iter().find(|(name, _)| *name == field).map_or("The form", |(_, label)| *label);
    let mut summary: Vec<Fault> = shown.faults.iter().map(|(field, words)| Fault { field: field.clone(), label: label(field), words: words.clone() }).collect();
    // In the order of the form.
    summary.sort_by_key(|fault| LABELS.iter().position(|(name, _)| *name == fault.field).unwrap_or(LABELS.len()));
    let page = EditPage {
        shell: Shell::of(auth, state, Place::Events),
        id: event.map(|event| event.id.to_string()),
        title: event.map(|event| event.title.clone()).unwrap_or_default(),
        was: serde_json::to_string(seen).unwrap_or_default(),
        summary,
        faults: shown.faults,
        conflict: theirs.values().any(|theirs| !theirs.taken),
        theirs,
        moved_at: shown.moved_at,
        areas: &AREAS,
        default_zone: app.settings.default_zone.iana_name().unwrap_or("UTC").to_owned(),
        other_zone: !fields.timezone.is_empty() && !AREAS.iter().any(|area| area.zones.contains(&fields.timezone)),
        owner,
        hosts,
        finder: shown.finder,
        meter: event.map(Meter::of),
        base: app.settings.public_url.clone().unwrap_or_default(),
        once: app.ids.random().to_string(),
        typed: fields != *seen || status != StatusCode::OK,
        gone: shown.gone,
        fields,
    };
    render(status, "events/edit.html", page)
}

/// An empty form.
pub async fn blank(auth: Auth<Editor>, State(state): State<ApiState>) -> Result<Response, ApiError> {
    show(&auth, &state, StatusCode::OK, None, EventFields::default(), &EventFields::default(), Shown::default()).await
}

/// The form of a stored event.
pub async fn form(auth: Auth<Editor>, State(state): State<ApiState>, EventAt(id): EventAt) -> Result<Response, ApiError> {
    let event = auth.app().event_get(auth.read(), id.as_str()).await?;
    let fields = EventFields::of(&event, &auth.app().settings.default_zone);
    show(&auth, &state, StatusCode::OK, Some(&event), fields.clone(), &fields, Shown::default()).await
}

/// A button inside the form was pressed that does not save: fields change, and the form is shown again. None: it is to be saved.
async fn pressed(app: &App, call: &Call, form: &Form, fields: &mut EventFields, theirs: &EventFields) -> Result<Option<Option<Finder>>, AppError> {
    if let Some(id) = form.value("pickOwner") {
        id.clone_into(&mut fields.owner);
        return Ok(Some(None));
    }
    if let Some(id) = form.value("pickHost") {
        if !fields.hosts.iter().any(|host| host == id) {
            fields.hosts.push(id.to_owned());
        }
        return Ok(Some(None));
    }
    if form.value("dropOwner").is_some() {
        fields.owner.clear();
        return Ok(Some(None));
    }
    if let Some(id) = form.value("dropHost") {
        fields.hosts.retain(|host| host != id);
        return Ok(Some(None));
    }
    if let Some(name) = form.value("take") {
        fields.take(name, theirs);
        return Ok(Some(None));
    }
    // A name that was typed and not chosen is not forgotten when the form is sent.
    let text = |name: &str| form.value(name).map(str::trim).filter(|text| !text.is_empty()).map(|text| text.chars().take(TEXT_MAX).collect::<String>());
    for (role, field) in [("owner", "ownerText"), ("host", "hostText")] {
        if let Some(text) = text(field) {
            return Ok(Some(Some(Finder::of(app, call, role, text).await?)));
        }
    }
    if form.value("find").is_some() { Ok(Some(None)) } else { Ok(None) }
}

/// Words for refusals that belong to a field; other errors stay errors.
async fn refusal(app: &App, call: &Call, error: AppError, fields: &EventFields) -> Result<BTreeMap<String, String>, AppError> {
    let one = |field: &str, words: String| Ok(BTreeMap::from([(field.to_owned(), words)]));
    match error {
        AppError::Invalid(errors) => Ok(faults(&errors)),
        AppError::SlugTaken => {
            let slug = Slug::parse(&fields.slug).map_err(|_| AppError::SlugTaken)?;
            let holder = app.event_get(call, slug.as_str()).await;
            let holder = holder.map_or_else(|_| " is taken".to_owned(), |event| format!(" belongs to {}", event.title));
            let offer = app.event_slug_offer(call, &slug).await?;
            one("slug", format!("“{slug}”{holder}. Free: {offer}."))
        }
        AppError::CapacityTooLow { attendees } => {
            let people = if attendees == 1 { "1 person is".to_owned() } else { format!("{attendees} people are") };
            one("maxCapacity", format!("{people} on the list. Take some off it first, or keep at least {attendees}."))
        }
        AppError::HostsUnknown(ids) => {
            let field = if ids.contains(&fields.owner) { "owner" } else { "hosts" };
            one(field, "Somebody who is chosen here was deleted. Choose anew.".to_owned())
        }
        AppError::KeyReused => one("title", "This form was sent before, and made an event. Send it once more to make another one.".to_owned()),
        other => Err(other),
    }
}

pub async fn create(auth: Auth<Editor>, State(state): State<ApiState>, form: Form) -> Result<Response, ApiError> {
    let (app, call) = (auth.app(), auth.read());
    let mut fields = EventFields::typed(&form);
    let seen = EventFields::default();
    if let Some(finder) = pressed(app, call, &form, &mut fields, &seen).await? {
        fields = without_gone(app, call, fields).await?;
        return show(&auth, &state, StatusCode::OK, None, fields, &seen, Shown { finder, ..Shown::default() }).await;
    }
    let made = match fields.draft(None, &app.settings.default_zone) {
        Ok(draft) => app.event_create(&auth.write(&form)?, None, draft).await,
        Err(errors) => Err(errors.into()),
    };
    match made {
        Ok(event) => Ok(flash(see_other(&event_path(&event.id, &[]))?, &format!("“{}” is in the calendar", event.title), None)),
        Err(error) => {
            let faults = refusal(app, call, error, &fields).await?;
            fields = without_gone(app, call, fields).await?;
            show(&auth, &state, StatusCode::UNPROCESSABLE_ENTITY, None, fields, &seen, Shown { faults, ..Shown::default() }).await
        }
    }
}

/// Owner and hosts who were deleted leave the form; the fault beside the field says so.
async fn without_gone(app: &App, call: &Call, fields: EventFields) -> Result<EventFields, AppError> {
    let ids: Vec<UserId> = fields.hosts.iter().chain([&fields.owner]).filter_map(|id| UserId::lookup(id).ok()).collect();
    let known: Vec<String> = app.user_get_many(call, &ids).await?.into_iter().flatten().map(|user| user.id.to_string()).collect();
    let hosts = fields.hosts.into_iter().filter(|id| known.contains(id)).collect();
    let owner = Some(fields.owner).filter(|id| known.contains(id)).unwrap_or_default();
    Ok(EventFields { owner, hosts, ..fields })
}

pub async fn save(auth: Auth<Editor>, State(state): State<ApiState>, EventAt(id): EventAt, form: Form) -> Result<Response, ApiError> {
    let (app, call) = (auth.app(), auth.read());
    let default = app.settings.default_zone.clone();
    let mut fields = EventFields::typed(&form);
    let event = match app.event_get(call, id.as_str()).await {
        Err(AppError::EventUnknown) => return gone(&auth, &state, fields).await,
        event => event?,
    };
    // A form that does not say what it was made of counts as one that saw nothing: whatever is stored is then somebody else's.
    let seen: EventFields = form.value("was").and_then(|was| serde_json::from_str(was).ok()).unwrap_or_default();
    if let Some(finder) = pressed(app, call, &form, &mut fields, &seen).await? {
        fields = without_gone(app, call, fields).await?;
        return show(&auth, &state, StatusCode::OK, Some(&event), fields, &seen, Shown { finder, ..Shown::default() }).await;
    }
    let saved = match fields.draft(Some(&event), &default) {
        Ok(draft) => app.event_save(&auth.write(&form)?, &event.id, draft, |now| EventFields::of(now, &default) == seen).await,
        Err(errors) => Err(errors.into()),
    };
    match saved {
        Ok(EventSave::Saved(event)) => Ok(flash(see_other(&event_path(&event.id, &[]))?, "Saved", None)),
        Ok(EventSave::Moved(now)) => {
            let is = EventFields::of(&now, &default);
            if is == fields {
                // The same form was sent twice, or somebody else had the same idea.
                return Ok(flash(see_other(&event_path(&now.id, &[]))?, "Saved", None));
            }
            let theirs = merge(&mut fields, &seen, &is);
            let shown = Shown { theirs, moved_at: now.updated_at.clone(), ..Shown::default() };
            show(&auth, &state, StatusCode::CONFLICT, Some(&now), fields, &is, shown).await
        }
        Err(AppError::EventUnknown) => gone(&auth, &state, fields).await,
        Err(error) => {
            let faults = refusal(app, call, error, &fields).await?;
            fields = without_gone(app, call, fields).await?;
            show(&auth, &state, StatusCode::UNPROCESSABLE_ENTITY, Some(&event), fields, &seen, Shown { faults, ..Shown::default() }).await
        }
    }
}

/// The event was deleted while somebody filled in its form: what they typed can become another one.
async fn gone(auth: &Auth<Editor>, state: &ApiState, fields: EventFields) -> Result<Response, ApiError> {
    let fields = without_gone(auth.app(), auth.read(), fields).await?;
    let shown = Shown { gone: true, ..Shown::default() };
    show(auth, state, StatusCode::NOT_FOUND, None, fields, &EventFields::default(), shown).await
}

/// People for the fields of owner and hosts, as buttons of the form they are put into.
pub async fn people(auth: Auth<Viewer>, mut query: QueryReader) -> Result<Response, ApiError> {
    let host = query.raw("hostText").is_some();
    let text = query.text(if host { "hostText" } else { "ownerText" }, TEXT_MAX).unwrap_or_default();
    query.check()?;
    let role = if host { "host" } else { "owner" };
    let finder = if text.is_empty() { Finder { role, text, found: Vec::new(), down: false } } else { Finder::of(auth.app(), auth.read(), role, text).await? };
    #[derive(Serialize)]
    struct Part {
        finder: Finder,
    }
    render(StatusCode::OK, "events/found.html", Part { finder })
}

#[derive(Serialize)]
struct DeletePage {
    shell: Shell,
    id: String,
    title: String,
    attendees: i64,
    public: bool,
}

pub async fn ask_delete(auth: Auth<Editor>, State(state): State<ApiState>, EventAt(id): EventAt) -> Result<Response, ApiError> {
    let event = auth.app().event_get(auth.read(), id.as_str()).await?;
    let page = DeletePage {
        shell: Shell::of(&auth, &state, Place::Events),
        id: event.id.to_string(),
        title: event.title,
        attendees: event.attendee_count,
        public: event.public,
    };
    render(StatusCode::OK, "events/delete.html", page)
}

pub async fn delete(auth: Auth<Editor>, EventAt(id): EventAt, form: Form) -> Result<Response, ApiError> {
    let call = auth.write(&form)?;
    // The back button, and the same form again: done is done.
    let already = || -> Result<Response, ApiError> { Ok(flash(see_other("/app/events")?, "This event is deleted already", None)) };
    let event = match auth.app().event_get(auth.read(), id.as_str()).await {
        Err(AppError::EventUnknown) => return already(),
        event => event?,
    };
    let id: EventId = event.id;
    match auth.app().event_delete(&call, &id).await {
        Err(AppError::EventUnknown) => return already(),
        done => done?,
    }
    Ok(flash(see_other("/app/events")?, &format!("“{}” is deleted", event.title), None))
}
