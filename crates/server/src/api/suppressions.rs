//! `/email/suppressions`: addresses that must not be mailed.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use emcrm_app::{App, AppError, Call};
use emcrm_model::{EmailAddress, FieldErrors, Fields, Listed, PageRequest, Position, Suppression, SuppressionReason};
use futures::stream;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use utoipa::ToSchema;

use super::attendance::PageQuery;
use super::error::ApiError;
use crate::auth::{Auth, Sender, Viewer};
use crate::csv_out::Csv;
use crate::http::answer::MessageOut;
use crate::http::path::PathText;
use crate::http::{Answer, JsonBody, NoBody, PageOut, QueryReader, json, schema};
use crate::router::ApiState;

/// Entries of one import.
const IMPORT_MAX: usize = 5_000;

/// An address that shall not be mailed.
#[derive(Debug, ToSchema)]
#[schema(as = SuppressionIn)]
pub struct SuppressionIn {
    #[schema(schema_with = schema::email)]
    pub email: String,
    /// `manual` by default.
    #[schema(schema_with = schema::suppression_reason, required = false)]
    pub reason: Option<String>,
    #[schema(schema_with = schema::description, required = false)]
    pub note: Option<String>,
}

/// Many addresses at once.
#[derive(Debug, ToSchema)]
#[schema(as = SuppressionImport)]
pub struct ImportIn {
    /// At most 5,000 entries like those put on the list one by one; `email` may be `sha256:` and a hash, as in the CSV. Faulty ones are named and keep no others out.
    #[schema(max_items = 5000, value_type = Vec<Value>)]
    pub items: Vec<Value>,
}

/// An entry of the list. Optional fields that are absent are left out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Suppression)]
pub struct SuppressionOut {
    /// Normalised. Absent when the person was erased: only a hash is kept then, which the CSV has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// `manual`, `unsubscribed`, `bounced` or `complained`.
    pub reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub note: Option<String>,
    #[serde(rename = "email_id", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email_id: Option<String>,
    pub created_at: String,
}

impl From<Suppression> for SuppressionOut {
    fn from(entry: Suppression) -> Self {
        let Suppression { email, reason, note, campaign_id, created_at, .. } = entry;
        Self { email, reason: reason.as_str(), note, email_id: campaign_id, created_at }
    }
}

/// What an import did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SuppressionImportResult)]
pub struct ImportOut {
    /// Addresses that are on the list now.
    #[schema(minimum = 0)]
    pub taken: usize,
    pub faults: Vec<ImportFault>,
}

/// An entry that was not taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SuppressionImportFault)]
pub struct ImportFault {
    /// Place in the list, from 0.
    #[schema(minimum = 0)]
    pub item: usize,
    pub message: String,
}

fn entry_of<T, E: fmt::Display>(value: &Value, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<(T, SuppressionReason, Option<String>), FieldErrors> {
    let mut fields = Fields::new(value)?;
    let email = fields.parsed("email", usize::MAX, parse);
    let reason = fields.optional_choice("reason", &SuppressionReason::ALL.map(|reason| (reason.as_str(), reason))).unwrap_or_default();
    let note = fields.optional_text("note", 0..=500);
    fields.finish(email.map(|email| (email, reason, note)))
}

/// The list, in the order of addresses.
#[utoipa::path(get, path = "/email/suppressions", tag = "Email", operation_id = "suppressions_list", params(PageQuery),
    responses((status = 200, description = "A page of entries", body = PageOut<SuppressionOut>)))]
pub async fn list(auth: Auth<Viewer>, mut query: QueryReader) -> Answer {
    let page = query.page();
    query.check_page(&page)?;
    json(&PageOut::of(auth.app().suppression_list(auth.read(), page).await?, SuppressionOut::from))
}

/// Put an address on the list. The graver reason stays.
#[utoipa::path(post, path = "/email/suppressions", tag = "Email", operation_id = "suppression_add", request_body = SuppressionIn,
    responses((status = 200, description = "The entry", body = SuppressionOut)))]
pub async fn add(auth: Auth<Sender>, body: JsonBody) -> Answer {
    let (email, reason, note) = entry_of(&body.value, EmailAddress::parse)?;
    json(&SuppressionOut::from(auth.app().suppression_add(&auth.write(&body)?, &email, reason, note).await?))
}

/// Put many addresses on the list.
#[utoipa::path(post, path = "/email/suppressions/import", tag = "Email", operation_id = "suppressions_import", request_body = ImportIn,
    responses((status = 200, description = "What was taken, and what was not", body = ImportOut)))]
pub async fn import(auth: Auth<Sender>, body: JsonBody) -> Answer {
    let mut fields = Fields::new(&body.value)?;
    let items = match fields.raw("items") {
        Some(Value::Array(items)) if items.len() <= IMPORT_MAX => Some(items),
        Some(Value::Array(_)) => {
            fields.fault("items", "too_long", format!("must have at most {IMPORT_MAX} entries"));
            None
        }
        Some(_) => {
            fields.fault("items", "list_type", "must be a list");
            None
        }
        None => {
            fields.fault("items", "missing", "this field is required");
            None
        }
    };
    let items = fields.finish(items)?;
    let call = auth.write(&body)?;
    let (mut taken, mut faults) = (0, Vec::new());
    for (item, value) in items.iter().enumerate() {
        match entry_of(value, Listed::parse) {
            Ok((listed, reason, note)) => {
                auth.app().suppression_take(&call, &listed, reason, note).await?;
                taken += 1;
            }
            Err(error) => faults.push(ImportFault { item, message: error.to_string() }),
        }
    }
    json(&ImportOut { taken, faults })
}

/// The whole list as CSV.
#[utoipa::path(get, path = "/email/suppressions.csv", tag = "Email", operation_id = "suppressions_csv",
    responses((status = 200, description = "One line for each entry; `email` is `sha256:` and a hash where the person was erased", body = String,
        content_type = "text/csv")))]
pub async fn export(auth: Auth<Viewer>, State(state): State<ApiState>) -> Answer {
    auth.app().audit_export(auth.read(), "suppressions.exported", "").await?;
    let start = Rows { app: state.app.clone(), call: auth.read().clone(), csv: state.csv(), position: Position::Number(1), begun: false, ended: false };
    let body = Body::from_stream(stream::unfold(start, |mut rows| async move { rows.next().await.map(|bytes| (bytes, rows)) }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"suppressions.csv\"")),
    ];
    Ok((headers, body).into_response())
}

struct Rows {
    app: Arc<App>,
    call: Call,
    csv: Csv,
    position: Position,
    begun: bool,
    ended: bool,
}

impl Rows {
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        if self.ended {
            return None;
        }
        let mut text = Vec::new();
        if !self.begun {
            self.begun = true;
            self.csv.row(&mut text, &["email", "reason", "createdAt", "email_id", "note"]);
        }
        let request = PageRequest { position: self.position.clone(), size: PageRequest::SIZE_MAX };
        match self.app.suppression_list(&self.call, request).await {
            Ok(page) => {
                for entry in &page.items {
                    let campaign = entry.campaign_id.as_deref().unwrap_or_default();
                    // An import reads line by line.
                    let note = entry.note.as_deref().unwrap_or_default().replace(['\r', '\n'], " ");
                    self.csv.row(&mut text, &[&entry.listed(), entry.reason.as_str(), &entry.created_at, campaign, &note]);
                }
                match page.next {
                    Some(next) => self.position = Position::Cursor(next),
                    None => self.ended = true,
                }
                Some(Ok(text.into()))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error.to_string()))
            }
        }
    }
}

/// Whatever may be on the list, so not as strict as an address that is to be mailed.
fn address(text: &str) -> Result<EmailAddress, ApiError> {
    let text = text.trim();
    let sane = (1..=EmailAddress::MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if sane { Ok(EmailAddress::from(text.to_owned())) } else { Err(AppError::SuppressionUnknown.into()) }
}

/// Whether an address is on the list, and why.
#[utoipa::path(get, path = "/email/suppressions/{email}", tag = "Email", operation_id = "suppression_get",
    params(("email" = String, Path, description = "The address, or `sha256:` and its hash")),
    responses((status = 200, description = "The entry", body = SuppressionOut)))]
pub async fn get(auth: Auth<Viewer>, PathText(email): PathText) -> Answer {
    json(&SuppressionOut::from(auth.app().suppression_get(auth.read(), &address(&email)?).await?))
}

/// Take an address off the list: it may be mailed again.
#[utoipa::path(delete, path = "/email/suppressions/{email}", tag = "Email", operation_id = "suppression_remove",
    params(("email" = String, Path, description = "The address, or `sha256:` and its hash")),
    responses((status = 200, description = "It is gone", body = MessageOut)))]
pub async fn remove(auth: Auth<Sender>, PathText(email): PathText) -> Answer {
    auth.app().suppression_remove(&auth.write(&NoBody)?, &address(&email)?).await?;
    json(&MessageOut { message: "Suppression removed successfully" })
}
