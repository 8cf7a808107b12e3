//! Adding somebody to an event, taking somebody off, checking in.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use emcrm_app::AppError;
use emcrm_app::roster::{HERE, REGISTERED, RosterRequest};
use emcrm_model::{AttendanceDraft, EventId, FieldErrors, UserId};
use serde::Serialize;

use super::show;
use super::view::{AttendeeView, EventView, Named, event_path};
use crate::api::error::ApiError;
use crate::auth::{Auth, CheckIn, Editor};
use crate::http::QueryReader;
use crate::http::path::{AttendanceAt, EventAt};
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::{page as render, see_other, wants_part};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

/// Longest `attended` that is put back.
const ATTENDED_MAX: usize = 50;
/// Longest cursor that a form brings back.
const CURSOR_MAX: usize = 4_096;

/// In the paths of this place the event stands before the person.
pub struct EventPerson(EventId, UserId);

impl<S: Sync> axum::extract::FromRequestParts<S> for EventPerson {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, ApiError> {
        // `AttendanceAt` names the first part the person and the second the event; here they stand the other way round.
        let AttendanceAt((first, second)) = AttendanceAt::from_request_parts(parts, state).await?;
        Ok(Self(EventId::from(String::from(first)), UserId::from(String::from(second))))
    }
}

/// What a refusal says beside the list.
fn refusal(error: &AppError, name: &str) -> Option<String> {
    match error {
        AppError::EventFull => Some(format!("{name} was not added: all places are taken. Raise the capacity, or take somebody off the list first.")),
        AppError::UserUnknown => Some("The person was deleted in the meantime.".to_owned()),
        _ => None,
    }
}

/// Registers a person who was chosen.
pub async fn add(auth: Auth<Editor>, State(state): State<ApiState>, EventAt(id): EventAt, form: Form) -> Result<Response, ApiError> {
    let (app, call) = (auth.app(), auth.read());
    let event = app.event_get(call, id.as_str()).await?;
    let user = form.value("user").and_then(|id| UserId::lookup(id).ok()).ok_or_else(|| FieldErrors::one("user", "missing", "choose a person"))?;
    let name = app.user_get(call, &user).await.map(|user| Named::from(&user).name).unwrap_or_default();
    let draft = AttendanceDraft { user_id: user.clone(), event_id: event.id.clone(), attended: REGISTERED.to_owned() };
    let back = event_path(&event.id, &[]);
    match app.attendance_register(&auth.write(&form)?, draft).await {
        Ok(_) => Ok(flash(see_other(&back)?, &format!("{name} is on the list"), Some(event_path(&event.id, &["attendees", user.as_str(), "remove"])))),
        Err(AppError::AlreadyAttending) => Ok(flash(see_other(&back)?, &format!("{name} was on the list already"), None)),
        Err(error) => match refusal(&error, &name) {
            Some(words) => {
                let status = if matches!(error, AppError::EventFull) { StatusCode::CONFLICT } else { StatusCode::NOT_FOUND };
                show::page(&auth, &state, &event.id, QueryReader::default(), status, Some(words)).await
            }
            None => Err(error.into()),
        },
    }
}

/// Takes somebody off the list. The toast puts them back.
pub async fn remove(auth: Auth<Editor>, EventPerson(event, user): EventPerson, form: Form) -> Result<Response, ApiError> {
    let (app, call, write) = (auth.app(), auth.read(), auth.write(&form)?);
    let back = Back::of(&form).url(&event);
    let row = match app.roster_row(call, &event, &user).await {
        Ok(row) => row,
        Err(AppError::AttendanceUnknown) => return Ok(flash(see_other(&back)?, "This person is not on the list any more", None)),
        Err(error) => return Err(error.into()),
    };
    match app.attendance_cancel(&write, &user, &event).await {
        Ok(()) | Err(AppError::AttendanceUnknown) => {}
        Err(error) => return Err(error.into()),
    }
    let attended = url::form_urlencoded::Serializer::new(String::new()).append_pair("attended", &row.attendance.attended).finish();
    let undo = row.user.is_some().then(|| format!("{}?{attended}", event_path(&event, &["attendees", user.as_str(), "restore"])));
    Ok(flash(see_other(&back)?, &format!("{} is off the list", row.name()), undo))
}

/// Puts somebody back who was taken off, checked in or not as before.
pub async fn restore(
    auth: Auth<Editor>,
    State(state): State<ApiState>,
    EventPerson(event, user): EventPerson,
    mut query: QueryReader,
    form: Form,
) -> Result<Response, ApiError> {
    let attended = query.text("attended", ATTENDED_MAX).unwrap_or_else(|| REGISTERED.to_owned());
    query.check()?;
    let (app, call) = (auth.app(), auth.read());
    let name = app.user_get(call, &user).await.map(|user| Named::from(&user).name).unwrap_or_default();
    let draft = AttendanceDraft { user_id: user.clone(), event_id: event.clone(), attended };
    match app.attendance_register(&auth.write(&form)?, draft).await {
        Ok(_) | Err(AppError::AlreadyAttending) => Ok(flash(see_other(&event_path(&event, &[]))?, &format!("{name} is back on the list"), None)),
        Err(error) => match refusal(&error, &name) {
            Some(words) => show::page(&auth, &state, &event, QueryReader::default(), StatusCode::CONFLICT, Some(words)).await,
            None => Err(error.into()),
        },
    }
}

/// A row after a check-in, with the counts above it.
#[derive(Serialize)]
struct RowPart {
    shell: Shell,
    event: EventView,
    row: Option<AttendeeView>,
    whole: bool,
    /// May check people in.
    check: bool,
    here: u64,
    away: u64,
    /// Part of the answer to a script that changes the counts as well.
    counts: bool,
    /// What the list that the row stands in shows, to come back to it.
    back: Back,
    reason: Option<&'static str>,
}

/// Where a row stands: needed to return there without scripts.
#[derive(Debug, Clone, Serialize)]
pub struct Back {
    pub door: bool,
    pub s: String,
    pub q: String,
    pub sort: String,
    /// The number of the page; nothing for the first.
    pub page: String,
    /// Of a list that is paged by cursors.
    pub cursor: String,
}

impl Back {
    fn of(form: &Form) -> Self {
        let text = |name: &str, most: usize| form.value(name).unwrap_or_default().chars().take(most).collect::<String>();
        Self {
            door: form.value("door").is_some(),
            s: text("s", 200),
            q: text("q", 200),
            sort: text("sort", 20),
            page: text("page", 10),
            cursor: text("cursor", CURSOR_MAX),
        }
    }
    fn url(&self, event: &EventId) -> String {
        let pairs = [("s", &self.s), ("q", &self.q), ("sort", &self.sort), ("page", &self.page), ("cursor", &self.cursor)];
        let place = event_path(event, if self.door { &["door"] } else { &[] });
        href::with_query(&place, pairs.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.as_str())))
    }
}

/// Somebody has come, or has not after all.
pub async fn here(
    auth: Auth<CheckIn>,
    State(state): State<ApiState>,
    EventPerson(event, user): EventPerson,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    let (app, call) = (auth.app(), auth.read());
    let here = form.value("here") != Some("no");
    let attended = if here { HERE } else { REGISTERED };
    let changed = app.attendance_change(&auth.write(&form)?, &user, &event, Some(attended.to_owned())).await;
    let back = Back::of(&form);
    let gone = matches!(changed, Err(AppError::AttendanceUnknown));
    if let Err(error) = changed
        && !gone
    {
        return Err(error.into());
    }
    if !wants_part(&headers) {
        let response = see_other(&back.url(&event))?;
        return Ok(if gone { flash(response, "This person is not on the list any more", None) } else { response });
    }
    let row = if gone { None } else { Some(app.roster_row(call, &event, &user).await?) };
    let roster = app.roster(call, &event, RosterRequest::all(1)).await?;
    let part = RowPart {
        shell: Shell::of(&auth, &state, Place::Events),
        whole: roster.is_whole(),
        check: auth.actor().may_check_in(&event),
        here: roster.here.unwrap_or(0),
        away: (roster.event.attendee_count.max(0) as u64).saturating_sub(roster.here.unwrap_or(0)),
        event: EventView::of(app, &roster.event, auth.locale()),
        row: row.as_ref().map(AttendeeView::from),
        counts: true,
        reason: gone.then_some("This person is not on the list any more."),
        back,
    };
    let template = if part.back.door { "events/door-row.html" } else { "events/row.html" };
    render(StatusCode::OK, template, part)
}
