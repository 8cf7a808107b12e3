//! Addresses that must not be mailed: the list, one by one, and many at once.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::AppError;
use emcrm_app::suppressions::{IMPORT_MAX, SuppressionImport};
use emcrm_model::{EmailAddress, Fields, Page, PageRequest, Suppression, SuppressionReason};
use serde::Serialize;
use serde_json::Value;

use crate::api::error::ApiError;
use crate::auth::{Auth, NeededRole, Sender, Viewer};
use crate::http::{Answer, QueryReader};
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::{page as render, see_other};
use crate::web::paging::Paging;
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

const PATH: &str = "/app/settings/suppressions";
/// Longest note, in characters.
const NOTE_MAX: usize = 500;

#[derive(Serialize)]
struct List {
    shell: Shell,
    outbox: bool,
    total: u64,
    rows: Vec<Row>,
    paging: Option<Paging>,
    /// The address that was looked for.
    address: String,
    reasons: Vec<Choice>,
    import_max: usize,
    #[serde(flatten)]
    told: Told,
}

#[derive(Serialize)]
struct Choice {
    value: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
struct Row {
    /// None where the person was erased and only a hash is kept.
    email: Option<String>,
    reason: &'static str,
    tone: &'static str,
    note: Option<String>,
    campaign: Option<String>,
    created_at: String,
}

fn words(reason: SuppressionReason) -> (&'static str, &'static str) {
    match reason {
        SuppressionReason::Manual => ("Stopped by hand", "mute"),
        SuppressionReason::Unsubscribed => ("Unsubscribed", "mute"),
        SuppressionReason::Bounced => ("Came back for good", "warn"),
        SuppressionReason::Complained => ("Reported as unwanted", "bad"),
    }
}

impl From<Suppression> for Row {
    fn from(entry: Suppression) -> Self {
        let (reason, tone) = words(entry.reason);
        let campaign = entry.campaign_id.map(|id| href::campaign(&id));
        Self { email: entry.email, reason, tone, note: entry.note, campaign, created_at: entry.created_at }
    }
}

/// What became of a form, and what was typed into it.
#[derive(Default, Serialize)]
struct Told {
    #[serde(skip)]
    status: StatusCode,
    faults: BTreeMap<String, String>,
    typed_email: String,
    typed_note: String,
    typed_reason: String,
    typed_text: String,
    import: Option<Import>,
}

#[derive(Serialize)]
struct Import {
    taken: usize,
    known: usize,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct Fault {
    line: usize,
    text: String,
    message: String,
}

impl From<SuppressionImport> for Import {
    fn from(done: SuppressionImport) -> Self {
        let faults = done.faults.into_iter().map(|fault| Fault { line: fault.line, text: fault.text, message: fault.message }).collect();
        Self { taken: done.taken, known: done.known, faults }
    }
}

async fn show<R: NeededRole>(auth: &Auth<R>, state: &ApiState, page: PageRequest, by_cursor: bool, address: Option<String>, told: Told) -> Answer {
    let size = page.size;
    let (found, paging) = if let Some(address) = &address {
        let entry = match auth.app().suppression_get(auth.read(), &EmailAddress::from(address.clone())).await {
            Ok(entry) => vec![entry],
            Err(AppError::SuppressionUnknown) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let all = auth.app().suppression_list(auth.read(), PageRequest { size: 1, ..PageRequest::first() }).await?.total;
        (Page { items: entry, total: all, page: 1, size, next: None }, None)
    } else {
        let found = auth.app().suppression_list(auth.read(), page).await?;
        let paging = (found.total > 0).then(|| Paging::walking(&found, by_cursor, PATH, &[]));
        (found, paging)
    };
    let context = List {
        shell: Shell::of(auth, state, Place::Settings),
        outbox: auth.app().has_outbox(),
        total: found.total,
        rows: found.items.into_iter().map(Row::from).collect(),
        paging,
        address: address.unwrap_or_default(),
        reasons: SuppressionReason::ALL.map(|reason| Choice { value: reason.as_str(), name: words(reason).0 }).into_iter().collect(),
        import_max: IMPORT_MAX,
        told,
    };
    let status = context.told.status;
    render(status, "settings/suppressions.html", context)
}

pub async fn page(auth: Auth<Viewer>, State(state): State<ApiState>, mut query: QueryReader) -> Answer {
    let address = query.text("address", EmailAddress::MAX);
    let page = query.page();
    let by_cursor = query.has("cursor");
    query.check_page(&page)?;
    show(&auth, &state, page, by_cursor, address, Told::default()).await
}

/// An entry, read as the API reads it.
fn entry(body: &Value) -> Result<(EmailAddress, SuppressionReason, Option<String>), emcrm_model::FieldErrors> {
    let mut fields = Fields::new(body)?;
    let email = fields.parsed("email", usize::MAX, EmailAddress::parse);
    let reason = fields.optional_choice("reason", &SuppressionReason::ALL.map(|reason| (reason.as_str(), reason))).unwrap_or_default();
    let note = fields.optional_text("note", 0..=NOTE_MAX);
    fields.finish(email.map(|email| (email, reason, note)))
}

pub async fn add(auth: Auth<Sender>, State(state): State<ApiState>, form: Form) -> Answer {
    match entry(&form.object(&["email", "reason", "note"])) {
        Ok((email, reason, note)) => {
            auth.app().suppression_add(&auth.write(&form)?, &email, reason, note).await?;
            Ok(flash(see_other(PATH)?, &format!("{} is not mailed any more.", email.as_str()), None))
        }
        Err(faults) => {
            let typed = |name: &str| form.value(name).unwrap_or_default().to_owned();
            let told = Told {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                faults: faults.0.into_iter().map(|fault| (fault.path.join("."), fault.message)).collect(),
                typed_email: typed("email"),
                typed_note: typed("note"),
                typed_reason: typed("reason"),
                ..Told::default()
            };
            show(&auth, &state, PageRequest::first(), false, None, told).await
        }
    }
}

/// Many, one a line. What was not taken stays in the field, so that it can be mended.
pub async fn import(auth: Auth<Sender>, State(state): State<ApiState>, form: Form) -> Answer {
    // A file that was chosen, or what was pasted.
    let text = form.value("file").or_else(|| form.value("text")).unwrap_or_default().trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        let faults = BTreeMap::from([("text".to_owned(), "choose a file, or write or paste at least one address".to_owned())]);
        return show(&auth, &state, PageRequest::first(), false, None, Told { status: StatusCode::UNPROCESSABLE_ENTITY, faults, ..Told::default() }).await;
    }
    let told = match auth.app().suppression_import(&auth.write(&form)?, text).await {
        Ok(done) => {
            let typed_text = done.faults.iter().map(|fault| fault.text.as_str()).collect::<Vec<_>>().join("\n");
            let status = if done.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
            Told { status, typed_text, import: Some(done.into()), ..Told::default() }
        }
        Err(AppError::Invalid(faults)) => Told {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            faults: faults.0.into_iter().map(|fault| (fault.path.join("."), fault.message)).collect(),
            typed_text: text.to_owned(),
            ..Told::default()
        },
        Err(error) => return Err(error.into()),
    };
    show(&auth, &state, PageRequest::first(), false, None, told).await
}

/// Takes an address off the list. The toast can put it back.
pub async fn remove(auth: Auth<Sender>, form: Form) -> Answer {
    let email = form.value("email").unwrap_or_default().trim().to_owned();
    if email.is_empty() || email.len() > EmailAddress::MAX {
        return Err(AppError::SuppressionUnknown.into());
    }
    let address = EmailAddress::from(email);
    let old = auth.app().suppression_get(auth.read(), &address).await?;
    auth.app().suppression_remove(&auth.write(&form)?, &address).await?;
    let note = old.note.unwrap_or_default();
    let undo = href::with_query(&format!("{PATH}/restore"), [("email", address.as_str()), ("reason", old.reason.as_str()), ("note", note.as_str())]);
    Ok(flash(see_other(PATH)?, &format!("{} can be mailed again.", address.as_str()), Some(undo)))
}

/// Puts back what was taken off just now.
pub async fn restore(auth: Auth<Sender>, query: QueryReader, form: Form) -> Answer {
    let value = |name: &str| query.raw(name).map_or(Value::Null, Value::from);
    let body = serde_json::json!({ "email": value("email"), "reason": value("reason"), "note": value("note") });
    let (email, reason, note) = entry(&body).map_err(ApiError::from)?;
    auth.app().suppression_add(&auth.write(&form)?, &email, reason, note).await?;
    Ok(flash(see_other(PATH)?, &format!("{} is on the list again.", email.as_str()), None))
}
