//! `/app/people/{id}`: one person, and changing one fact where it stands.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use emcrm_app::{AppError, Call};
use emcrm_model::{Suppression, User, UserId, UserPatch};
use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::{FIELDS, TAKEN, errors_of, value_of};
use super::list::{initials, name_of};
use super::timeline::{Places, Timeline, timeline};
use crate::api::error::ApiError;
use crate::auth::{Auth, Editor, NeededRole, Viewer};
use crate::http::QueryReader;
use crate::http::path::UserAt;
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::{page, see_other, wants_part};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

#[derive(Serialize)]
struct PersonPage {
    shell: Shell,
    id: String,
    name: String,
    initials: String,
    lede: String,
    attended: i64,
    hosted: i64,
    created_at: Option<String>,
    updated_at: Option<String>,
    facts: Vec<Fact>,
    timeline: Timeline,
    /// `all`, `events` or `mails`.
    show: &'static str,
    /// Why the address is not mailed.
    suppressed: Option<&'static str>,
    /// Where that can be changed.
    suppression: String,
}

/// One fact, shown or being edited.
#[derive(Serialize)]
struct Fact {
    id: String,
    name: &'static str,
    label: &'static str,
    max: usize,
    kind: &'static str,
    value: String,
    editing: Option<Editing>,
}

#[derive(Serialize)]
struct Editing {
    typed: String,
    /// What the field was filled from.
    was: String,
    error: Option<String>,
    theirs: Option<String>,
}

#[derive(Serialize)]
struct FactPart {
    shell: Shell,
    fact: Fact,
}

impl Fact {
    fn of(user: &User, (name, label, max, kind): (&'static str, &'static str, usize, &'static str)) -> Self {
        Self { id: user.id.to_string(), name, label, max, kind, value: value_of(user, name), editing: None }
    }

    fn edited(mut self) -> Self {
        self.editing = Some(Editing { typed: self.value.clone(), was: self.value.clone(), error: None, theirs: None });
        self
    }
}

fn field(name: &str) -> Option<(&'static str, &'static str, usize, &'static str)> {
    FIELDS.into_iter().find(|(have, ..)| *have == name)
}

pub async fn show(auth: Auth<Viewer>, State(state): State<ApiState>, UserAt(id): UserAt, headers: HeaderMap, query: QueryReader) -> Result<Response, ApiError> {
    let user = auth.app().user_get(auth.read(), &id).await?;
    let shell = Shell::of(&auth, &state, Place::People);
    let edit = query.raw("edit").and_then(field).filter(|_| shell.may.edit);
    if wants_part(&headers)
        && let Some(field) = edit.or_else(|| query.raw("fact").and_then(field))
    {
        let fact = Fact::of(&user, field);
        return part(shell, if edit.is_some() { fact.edited() } else { fact });
    }
    let facts = facts(&user, edit.map(|field| Fact::of(&user, field).edited()));
    let show = match query.raw("show") {
        Some("events") => "events",
        Some("mails") => "mails",
        _ => "all",
    };
    let from = Places::read(&query);
    let begin = format!("{}?show={show}", href::person(id.as_str()));
    match person(&auth, shell, StatusCode::OK, user, facts, show, &from).await {
        // Cursors of an index that was made anew, or of somebody else: begin at the beginning.
        Err(ApiError::App(AppError::BadCursor)) => see_other(&begin),
        shown => shown,
    }
}

fn facts(user: &User, edited: Option<Fact>) -> Vec<Fact> {
    let mut facts: Vec<Fact> = FIELDS.into_iter().map(|field| Fact::of(user, field)).collect();
    if let Some(edited) = edited
        && let Some(place) = facts.iter_mut().find(|fact| fact.name == edited.name)
    {
        *place = edited;
    }
    facts
}

async fn person<R: NeededRole>(
    auth: &Auth<R>,
    shell: Shell,
    status: StatusCode,
    user: User,
    facts: Vec<Fact>,
    show: &'static str,
    from: &Places,
) -> Result<Response, ApiError> {
    let timeline = timeline(auth.app(), auth.read(), &user, show, from).await?;
    let suppressed = match auth.app().suppression_get(auth.read(), &user.email).await {
        Ok(Suppression { reason, .. }) => Some(reason.words()),
        Err(AppError::SuppressionUnknown) => None,
        Err(other) => return Err(other.into()),
    };
    let suppression = href::with_query("/app/settings/suppressions", [("address", user.email.as_str())]);
    let name = name_of(&user);
    let work = match (&user.job_title, &user.company) {
        (Some(title), Some(company)) => format!("{title} at {company}"),
        (one, other) => one.clone().or_else(|| other.clone()).unwrap_or_default(),
    };
    let place = [&user.city, &user.state].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
    let lede = [work, place].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ");
    let context = PersonPage {
        shell,
        id: user.id.to_string(),
        initials: initials(&name),
        name,
        lede,
        attended: user.attended_count,
        hosted: user.hosted_count,
        created_at: user.created_at,
        updated_at: user.updated_at,
        facts,
        timeline,
        show,
        suppressed,
        suppression,
    };
    page(status, "people/person.html", context)
}

fn part(shell: Shell, fact: Fact) -> Result<Response, ApiError> {
    page(StatusCode::OK, "people/fact.html", FactPart { shell, fact })
}

/// Changes one fact: `field`, its new `value`, and `was`, what the form was filled from.
pub async fn change(auth: Auth<Editor>, State(state): State<ApiState>, UserAt(id): UserAt, headers: HeaderMap, form: Form) -> Result<Response, ApiError> {
    let Some(field) = form.value("field").and_then(field) else { return Err(crate::api::error::not_found()) };
    let typed = form.value("value").unwrap_or_default().to_owned();
    let was = form.value("was").unwrap_or_default().to_owned();
    let (status, editing, user) = match patched(&auth, &form, &id, field.0, &typed, &was).await? {
        Ok(user) if wants_part(&headers) => return part(Shell::of(&auth, &state, Place::People), Fact::of(&user, field)),
        Ok(user) => return Ok(flash(see_other(&format!("/app/people/{}", user.id))?, &format!("Saved: {}", field.1.to_lowercase()), None)),
        Err(Refused::Faulty(error, user)) => (StatusCode::UNPROCESSABLE_ENTITY, Editing { typed, was, error: Some(error), theirs: None }, user),
        Err(Refused::Changed(user)) => {
            let theirs = value_of(&user, field.0);
            let shown = if theirs.is_empty() { "not given".to_owned() } else { theirs.clone() };
            (StatusCode::PRECONDITION_FAILED, Editing { typed, was: theirs, error: None, theirs: Some(shown) }, user)
        }
    };
    let shell = Shell::of(&auth, &state, Place::People);
    let fact = Fact { editing: Some(editing), ..Fact::of(&user, field) };
    if wants_part(&headers) {
        return part(shell, fact);
    }
    let facts = facts(&user, Some(fact));
    person(&auth, shell, status, *user, facts, "all", &Places::default()).await
}

enum Refused {
    Faulty(String, Box<User>),
    /// Somebody else has changed this fact.
    Changed(Box<User>),
}

async fn patched(auth: &Auth<Editor>, form: &Form, id: &UserId, name: &str, typed: &str, was: &str) -> Result<Result<User, Refused>, ApiError> {
    let stored = Box::new(auth.app().user_get(auth.read(), id).await?);
    let typed = typed.trim();
    let now = value_of(&stored, name);
    if now != was && now != typed {
        return Ok(Err(Refused::Changed(stored)));
    }
    let empty = if name == "lastName" { Value::from("") } else { Value::Null };
    let value = if typed.is_empty() { empty } else { Value::from(typed) };
    let body: Map<String, Value> = [(name.to_owned(), value)].into_iter().collect();
    let patch = match UserPatch::parse(&Value::Object(body)) {
        Ok(patch) => patch,
        Err(faults) => {
            let error = errors_of(&faults).into_iter().next().map_or_else(String::new, |(_, error)| error);
            let error = if typed.is_empty() { "is needed".to_owned() } else { error };
            return Ok(Err(Refused::Faulty(error, stored)));
        }
    };
    let call = Call { if_match: Some(stored.rev), ..auth.write(form)? };
    match auth.app().user_patch(&call, id, patch).await {
        Ok(user) => Ok(Ok(user)),
        Err(AppError::EmailTaken) => Ok(Err(Refused::Faulty(TAKEN.to_owned(), stored))),
        Err(AppError::StaleRev) => Ok(Err(Refused::Changed(Box::new(auth.app().user_get(auth.read(), id).await?)))),
        Err(other) => Err(other.into()),
    }
}
