//! The form of a person: adding somebody, and changing everything at once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_app::{AppError, Call};
use emcrm_model::{EventId, FieldErrors, User, UserDraft};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::list::name_of;
use crate::api::error::ApiError;
use crate::auth::{Auth, Editor};
use crate::http::QueryReader;
use crate::http::path::UserAt;
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::{page, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

/// Name in forms, label, longest text, kind of input.
pub const FIELDS: [(&str, &str, usize, &str); 10] = [
    ("firstName", "First name", 50, "text"),
    ("lastName", "Last name", 50, "text"),
    ("email", "Email", 254, "email"),
    ("phoneNumber", "Phone", 20, "tel"),
    ("jobTitle", "Job title", 50, "text"),
    ("company", "Company", 50, "text"),
    ("city", "City", 50, "text"),
    ("state", "State", 50, "text"),
    ("gender", "Gender", 10, "gender"),
    ("avatar", "Picture, address", 2048, "url"),
];

/// Fields that an address of the form can fill.
const ASKED: [&str; 3] = ["firstName", "lastName", "email"];

pub const TAKEN: &str = "Somebody else has this address already.";

/// What stands in the fields.
#[derive(Debug, Clone)]
pub struct Filled([String; 10]);

#[derive(Debug, Clone, Serialize)]
pub struct FieldsPart {
    pub fields: Vec<Field>,
    /// Faults that belong to no field.
    pub faults: Vec<String>,
    pub faulty: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct Field {
    pub name: &'static str,
    pub label: &'static str,
    pub max: usize,
    pub kind: &'static str,
    pub required: bool,
    pub value: String,
    pub error: Option<String>,
    /// What somebody else stored meanwhile, where it is something else.
    pub theirs: Option<String>,
}

impl Filled {
    pub fn of_form(form: &Form) -> Self {
        Self(FIELDS.map(|(name, ..)| form.value(name).unwrap_or_default().to_owned()))
    }
    /// Who somebody looked for and did not find: a name, an address. What is too long is left out.
    fn of_query(query: &QueryReader) -> Self {
        let asked = |name: &str, max: usize| query.raw(name).map(str::trim).filter(|text| text.chars().count() <= max).unwrap_or_default().to_owned();
        Self(FIELDS.map(|(name, _, max, _)| if ASKED.contains(&name) { asked(name, max) } else { String::new() }))
    }
    pub fn of_user(user: &User) -> Self {
        Self(FIELDS.map(|(name, ..)| value_of(user, name)))
    }
}

/// A stored value as a text; nothing where there is none.
pub fn value_of(user: &User, name: &str) -> String {
    let optional = |value: &Option<String>| value.clone().unwrap_or_default();
    match name {
        "firstName" => user.first_name.clone(),
        "lastName" => user.last_name.clone(),
        "email" => user.email.to_string(),
        "phoneNumber" => optional(&user.phone_number),
        "jobTitle" => optional(&user.job_title),
        "company" => optional(&user.company),
        "city" => optional(&user.city),
        "state" => optional(&user.state),
        "avatar" => optional(&user.avatar),
        "gender" => user.gender.and_then(|gender| serde_json::to_value(gender).ok()).and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default(),
        _ => String::new(),
    }
}

impl FieldsPart {
    pub fn of(filled: Filled, errors: &[(String, String)]) -> Self {
        let known = |name: &str| FIELDS.iter().any(|(have, ..)| *have == name);
        let faults: Vec<String> = errors.iter().filter(|(name, _)| !known(name)).map(|(_, text)| text.clone()).collect();
        let fields = FIELDS.iter().zip(filled.0).map(|(&(name, label, max, kind), value)| Field {
            name,
            label,
            max,
            kind,
            required: matches!(name, "firstName" | "email"),
            value,
            error: errors.iter().find(|(have, _)| have == name).map(|(_, text)| text.clone()),
            theirs: None,
        });
        Self { fields: fields.collect(), faults, faulty: errors.len() }
    }

    /// Shows beside each field what is stored, where that is something else.
    fn beside(mut self, stored: &User) -> Self {
        for field in &mut self.fields {
            let theirs = value_of(stored, field.name);
            if theirs != field.value.trim() {
                field.theirs = Some(if theirs.is_empty() { "not given".to_owned() } else { theirs });
            }
        }
        self
    }
}

/// Faults by field, as sentences.
pub fn errors_of(faults: &FieldErrors) -> Vec<(String, String)> {
    let text = |fault: &emcrm_model::FieldError| match fault.kind {
        "missing" | "string_type" => "is needed".to_owned(),
        _ => fault.message.clone(),
    };
    faults.0.iter().map(|fault| (fault.path.first().cloned().unwrap_or_default(), text(fault))).collect()
}

/// What a form says, by the model's own rules.
pub fn draft_of(form: &Form) -> Result<UserDraft, FieldErrors> {
    let mut body = form.object(&FIELDS.map(|(name, ..)| name));
    if let Some(last) = body.get_mut("lastName").filter(|last| last.is_null()) {
        // A last name may be empty, but not absent.
        *last = "".into();
    }
    UserDraft::parse(&body)
}

#[derive(Serialize)]
struct FormPage {
    shell: Shell,
    title: String,
    /// Who is changed, where somebody is.
    name: Option<String>,
    /// The event whose list somebody was not found for: the way back leads there.
    event: Option<String>,
    /// Where the form goes.
    action: String,
    back: String,
    button: &'static str,
    fields: FieldsPart,
    /// Digest of what the fields were filled from.
    was: String,
    /// Makes sending it twice harmless.
    once: String,
    /// Somebody else stored something meanwhile.
    conflict: bool,
    /// Who was to be changed was deleted meanwhile.
    gone: bool,
}

fn once(state: &ApiState) -> String {
    state.app.ids.random().to_string()
}

/// Where adding somebody begins who was looked for as `text`, a name or an address, for the list of `event`.
pub fn new_as(text: &str, event: &str) -> String {
    let text = text.trim();
    let (first, last) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let pairs = if text.contains('@') { vec![("email", text)] } else { vec![("firstName", first), ("lastName", last.trim_start())] };
    href::with_query("/app/people/new", pairs.into_iter().chain([("event", event)]).filter(|(_, value)| !value.is_empty()))
}

pub async fn new(auth: Auth<Editor>, State(state): State<ApiState>, query: QueryReader) -> Result<Response, ApiError> {
    show_new(&auth, &state, StatusCode::OK, FieldsPart::of(Filled::of_query(&query), &[]), query.raw("event"), None)
}

fn show_new(
    auth: &Auth<Editor>,
    state: &ApiState,
    status: StatusCode,
    fields: FieldsPart,
    event: Option<&str>,
    sent: Option<&Form>,
) -> Result<Response, ApiError> {
    let event = event.filter(|id| EventId::lookup(id).is_ok());
    let shell = Shell::of(auth, state, Place::People);
    let once = sent.and_then(|form| form.value("once")).map_or_else(|| once(state), str::to_owned);
    let context = FormPage {
        shell,
        title: "Add a person".to_owned(),
        name: None,
        action: "/app/people/new".to_owned(),
        back: event.map_or_else(|| "/app/people".to_owned(), href::event),
        event: event.map(str::to_owned),
        button: "Add person",
        fields,
        was: String::new(),
        once,
        conflict: false,
        gone: status == StatusCode::NOT_FOUND,
    };
    page(status, "people/form.html", context)
}

pub async fn create(auth: Auth<Editor>, State(state): State<ApiState>, form: Form) -> Result<Response, ApiError> {
    let event = form.value("event");
    let again = |errors: Vec<(String, String)>| {
        show_new(&auth, &state, StatusCode::UNPROCESSABLE_ENTITY, FieldsPart::of(Filled::of_form(&form), &errors), event, Some(&form))
    };
    let draft = match draft_of(&form) {
        Ok(draft) => draft,
        Err(faults) => return again(errors_of(&faults)),
    };
    match auth.app().user_create(&auth.write(&form)?, None, draft).await {
        Ok(user) => match event.filter(|id| EventId::lookup(id).is_ok()) {
            // Found by the address: one press from being on the list.
            Some(event) => {
                let back = href::with_query(&href::event(event), [("who", user.email.as_str())]);
                Ok(flash(see_other(&format!("{back}#add"))?, &format!("Added {}. Choose them to put them on the list.", name_of(&user)), None))
            }
            None => Ok(flash(see_other(&format!("/app/people/{}", user.id))?, &format!("Added {}", name_of(&user)), None)),
        },
        Err(AppError::EmailTaken) => again(vec![("email".to_owned(), TAKEN.to_owned())]),
        Err(other) => Err(other.into()),
    }
}

pub async fn edit(auth: Auth<Editor>, State(state): State<ApiState>, UserAt(id): UserAt) -> Result<Response, ApiError> {
    let user = auth.app().user_get(auth.read(), &id).await?;
    let fields = FieldsPart::of(Filled::of_user(&user), &[]);
    show_edit(&auth, &state, StatusCode::OK, &user, fields, seen(&user), false)
}

fn show_edit(
    auth: &Auth<Editor>,
    state: &ApiState,
    status: StatusCode,
    user: &User,
    fields: FieldsPart,
    was: String,
    conflict: bool,
) -> Result<Response, ApiError> {
    let context = FormPage {
        shell: Shell::of(auth, state, Place::People),
        title: format!("Edit {}", name_of(user)),
        name: Some(name_of(user)),
        event: None,
        action: format!("/app/people/{}/edit", user.id),
        back: format!("/app/people/{}", user.id),
        button: if conflict { "Save mine" } else { "Save" },
        fields,
        was,
        once: once(state),
        conflict,
        gone: false,
    };
    page(status, "people/form.html", context)
}

/// Changes everything at once. Somebody else's change meanwhile is shown beside what was typed, and nothing typed is lost.
pub async fn replace(auth: Auth<Editor>, State(state): State<ApiState>, UserAt(id): UserAt, form: Form) -> Result<Response, ApiError> {
    // Whoever is gone can be added anew, by what was typed.
    let gone = || show_new(&auth, &state, StatusCode::NOT_FOUND, FieldsPart::of(Filled::of_form(&form), &[]), None, None);
    let stored = match auth.app().user_get(auth.read(), &id).await {
        Err(AppError::UserUnknown) => return gone(),
        stored => stored?,
    };
    let was = form.value("was").unwrap_or_default();
    let faulty = |errors: Vec<(String, String)>| {
        let fields = FieldsPart::of(Filled::of_form(&form), &errors);
        show_edit(&auth, &state, StatusCode::UNPROCESSABLE_ENTITY, &stored, fields, was.to_owned(), false)
    };
    let draft = match draft_of(&form) {
        Ok(draft) => draft,
        Err(faults) => return faulty(errors_of(&faults)),
    };
    let saved = if was == seen(&stored) {
        // The revision moves with counters too, so it guards this moment, and the digest the time since the form was shown.
        let call = Call { if_match: Some(stored.rev), ..auth.write(&form)? };
        auth.app().user_replace(&call, &id, draft).await
    } else {
        Err(AppError::StaleRev)
    };
    match saved {
        Ok(user) => Ok(flash(see_other(&format!("/app/people/{}", user.id))?, "Saved", None)),
        Err(AppError::EmailTaken) => faulty(vec![("email".to_owned(), TAKEN.to_owned())]),
        Err(AppError::StaleRev) => {
            let theirs = match auth.app().user_get(auth.read(), &id).await {
                Err(AppError::UserUnknown) => return gone(),
                theirs => theirs?,
            };
            let fields = FieldsPart::of(Filled::of_form(&form), &[]).beside(&theirs);
            show_edit(&auth, &state, StatusCode::PRECONDITION_FAILED, &theirs, fields, seen(&theirs), true)
        }
        Err(AppError::UserUnknown) => gone(),
        Err(other) => Err(other.into()),
    }
}

/// A digest of what the form shows of a person.
fn seen(user: &User) -> String {
    let text = FIELDS.map(|(name, ..)| value_of(user, name)).join("\u{1f}");
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_looked_for_is_a_name_or_an_address() {
        assert_eq!(new_as(" Ann  van Dyk ", "e 1"), "/app/people/new?firstName=Ann&lastName=van+Dyk&event=e+1");
        assert_eq!(new_as("Ann", ""), "/app/people/new?firstName=Ann");
        assert_eq!(new_as("ann@example.org", ""), "/app/people/new?email=ann%40example.org");
        assert_eq!(new_as(" ", ""), "/app/people/new");
    }
}
