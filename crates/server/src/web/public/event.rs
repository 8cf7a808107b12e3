//! `/e/{slug}`: a public event, for anybody. The answer to a registration is the same whether the address is known or not.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use emcrm_app::{AppError, Call};
use emcrm_model::{Event, UserDraft};
use serde::Serialize;
use serde_json::json;

use crate::api::error::ApiError;
use crate::http::QueryReader;
use crate::http::path::PathText;
use crate::http::request::Open;
use crate::router::ApiState;
use crate::web::events::view::{EventView, Meter};
use crate::web::format::{Locale, Reader};
use crate::web::pages::{page as render, see_other};
use crate::web_form::Form;

/// A field that people do not see. Programs that fill everything in fill it in too.
const TRAP: &str = "website";

#[derive(Serialize)]
struct EventPage<'a> {
    name: &'a str,
    shell: Reader,
    /// Of the reader's clock: what a script adds is written as the rest.
    hours: u8,
    event: EventView,
    month: String,
    day: String,
    weekday: String,
    /// `event.when` in two parts, so that the times stay on one line.
    when_date: String,
    when_time: String,
    /// What was typed.
    typed: Typed,
    faults: BTreeMap<&'static str, &'static str>,
    /// The form was taken.
    done: bool,
    /// The last place went while the form was filled in.
    missed: bool,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    first_name: String,
    last_name: String,
    email: String,
}

impl Typed {
    fn of(form: &Form) -> Self {
        let text = |name: &str| form.value(name).unwrap_or_default().trim().chars().take(300).collect::<String>();
        Self { first_name: text("firstName"), last_name: text("lastName"), email: text("email") }
    }
}

/// What the form is shown with.
#[derive(Default)]
struct Shown {
    typed: Typed,
    faults: BTreeMap<&'static str, &'static str>,
    done: bool,
    missed: bool,
}

fn show(state: &ApiState, locale: Locale, status: StatusCode, event: &Event, shown: Shown) -> Result<Response, ApiError> {
    let zone = &state.app.settings.default_zone;
    let start = event.starts(zone).to_zoned_datetime(event.zone(zone));
    let view = EventView::of(&state.app, event, locale);
    let (when_date, when_time) = view.when.rsplit_once(", ").unwrap_or_default();
    let context = EventPage {
        name: &state.settings.name,
        shell: locale.into(),
        hours: locale.hours(),
        month: start.strftime("%b").to_string(),
        day: start.strftime("%-d").to_string(),
        weekday: start.strftime("%a").to_string(),
        when_date: when_date.to_owned(),
        when_time: when_time.to_owned(),
        event: view,
        typed: shown.typed,
        faults: shown.faults,
        done: shown.done,
        missed: shown.missed,
    };
    render(status, "public/event.html", context)
}

/// The page, or with `.ics` behind its address the calendar file: a slug has no point in it.
pub async fn page(_: Open, locale: Locale, State(state): State<ApiState>, PathText(slug): PathText, query: QueryReader) -> Result<Response, ApiError> {
    if let Some(slug) = slug.strip_suffix(".ics") {
        let event = state.app.public_event(slug).await?;
        let disposition =
            HeaderValue::try_from(format!("attachment; filename=\"{}.ics\"", event.slug)).map_err(|_| ApiError::internal("a file name that is no header"))?;
        let headers =
            [(header::CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8; method=PUBLISH")), (header::CONTENT_DISPOSITION, disposition)];
        return Ok((headers, state.app.event_calendar(&event)).into_response());
    }
    let event = state.app.public_event(&slug).await?;
    show(&state, locale, StatusCode::OK, &event, Shown { done: query.has("done"), ..Shown::default() })
}

/// Takes a place.
pub async fn register(Open(info): Open, locale: Locale, State(state): State<ApiState>, PathText(slug): PathText, form: Form) -> Result<Response, ApiError> {
    let event = state.app.public_event(&slug).await?;
    let done = || see_other(&format!("/e/{}?done#register", event.slug));
    if form.value(TRAP).is_some_and(|text| !text.is_empty()) {
        // A program: it gets the answer that everybody gets.
        return done();
    }
    let typed = Typed::of(&form);
    let body = json!({ "firstName": typed.first_name, "lastName": typed.last_name, "email": typed.email });
    let draft = match UserDraft::parse(&body) {
        Ok(draft) => draft,
        Err(errors) => {
            let faults = errors.0.iter().filter_map(|error| fault(error.path.first()?, error.kind)).collect();
            return show(&state, locale, StatusCode::UNPROCESSABLE_ENTITY, &event, Shown { typed, faults, ..Shown::default() });
        }
    };
    match state.app.public_register(&Call::public(info.client, info.id()), &slug, &draft).await {
        Ok(()) => done(),
        Err(AppError::EventFull) => {
            let now = state.app.public_event(&slug).await?;
            // The page says that it is full only while it is.
            let missed = !Meter::of(&now).is_full();
            show(&state, locale, StatusCode::CONFLICT, &now, Shown { typed, missed, ..Shown::default() })
        }
        Err(AppError::RegistrationClosed) => show(&state, locale, StatusCode::CONFLICT, &event, Shown { typed, ..Shown::default() }),
        Err(error) => Err(error.into()),
    }
}

fn fault(field: &str, kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match (field, kind) {
        ("firstName", "string_too_long") => ("firstName", "A first name has at most 50 characters."),
        ("firstName", "value_error") => ("firstName", "There is a character in it that cannot be stored."),
        ("firstName", _) => ("firstName", "Fill in your first name."),
        ("lastName", "string_too_long") => ("lastName", "A last name has at most 50 characters."),
        ("lastName", _) => ("lastName", "There is a character in it that cannot be stored."),
        ("email", "string_too_short" | "missing") => ("email", "Fill in your address: the confirmation goes there."),
        ("email", _) => ("email", "This is not an address like name@example.org."),
        _ => return None,
    })
}
