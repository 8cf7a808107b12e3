//! People from a file: upload, matching of columns with a look at what would happen, progress, and taking it back.

use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use emcrm_app::AppError;
use emcrm_app::people_import::{Checked, FILE_MAX, ImportCounts, ImportState, Mapping, PeopleImport, ROWS_MAX, RowFault};
use emcrm_model::EventId;
use serde::Serialize;

use crate::api::error::{ApiError, Problem};
use crate::auth::{Auth, Editor, NeededRole, Viewer};
use crate::http::QueryReader;
use crate::http::call::Fingerprint;
use crate::http::path::PathText;
use crate::router::ApiState;
use crate::web::pages::{page, see_other, wants_part};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

/// Faulty rows that the page shows; the file has all.
const FAULTS_SHOWN: usize = 50;

const LABELS: [(&str, &str); 11] = [
    ("firstName", "First name"),
    ("lastName", "Last name"),
    ("fullName", "Whole name"),
    ("email", "Email"),
    ("phoneNumber", "Phone"),
    ("jobTitle", "Job title"),
    ("company", "Company"),
    ("city", "City"),
    ("state", "State"),
    ("gender", "Gender"),
    ("avatar", "Picture, address"),
];

pub fn routes() -> Router<ApiState> {
    Router::new()
        // What multipart adds to the file is small; the file itself is counted while it comes.
        .route("/app/people/import", get(begin).post(upload).layer(DefaultBodyLimit::max(FILE_MAX + 64 * 1024)))
        .route("/app/people/import/{id}", get(show))
        .route("/app/people/import/{id}/start", post(start))
        .route("/app/people/import/{id}/undo", post(undo))
        .route("/app/people/import/{id}/faults.csv", get(faults))
}

#[derive(Serialize)]
struct BeginPage {
    shell: Shell,
    fault: Option<String>,
    megabytes: usize,
    rows_max: usize,
    earlier: Vec<Earlier>,
    event: Option<EventLink>,
}

/// The event whose list the people are put on.
#[derive(Serialize)]
struct EventLink {
    id: String,
    title: String,
}

/// An event that was deleted has an id still.
async fn event_link<R: NeededRole>(auth: &Auth<R>, id: Option<&EventId>) -> Result<Option<EventLink>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    let title = match auth.app().event_get(auth.read(), id.as_str()).await {
        Ok(event) => event.title,
        Err(AppError::EventUnknown) => "an event that was deleted".to_owned(),
        Err(other) => return Err(other.into()),
    };
    Ok(Some(EventLink { id: id.to_string(), title }))
}

#[derive(Serialize)]
struct Earlier {
    id: String,
    name: String,
    rows: u64,
    state: ImportState,
    at: String,
    /// Rows that were left out.
    left_out: u64,
}

async fn begin(auth: Auth<Editor>, State(state): State<ApiState>, query: QueryReader) -> Result<Response, ApiError> {
    let event = query.raw("event").filter(|id| !id.is_empty()).map(|id| EventId::from(id.to_owned()));
    begin_again(&auth, &state, StatusCode::OK, event.as_ref(), None).await
}

async fn begin_again(auth: &Auth<Editor>, state: &ApiState, status: StatusCode, event: Option<&EventId>, fault: Option<String>) -> Result<Response, ApiError> {
    let earlier = auth.app().people_import_list(auth.read()).await?.into_iter();
    let context = BeginPage {
        shell: Shell::of(auth, state, Place::People),
        fault,
        megabytes: FILE_MAX / 1024 / 1024,
        rows_max: ROWS_MAX,
        earlier: earlier
            .map(|one| Earlier { id: one.id, name: one.name, rows: one.rows, state: one.state, at: one.created_at, left_out: one.counts.faulty })
            .collect(),
        event: event_link(auth, event).await?,
    };
    page(status, "people/import.html", context)
}

/// The fields of the form beside the file.
struct UploadForm {
    csrf: Option<String>,
}

impl Fingerprint for UploadForm {
    fn body(&self) -> &[u8] {
        &[]
    }
    fn is_form(&self) -> bool {
        true
    }
    fn csrf(&self) -> Option<&str> {
        self.csrf.as_deref()
    }
}

async fn upload(auth: Auth<Editor>, State(state): State<ApiState>, request: Request) -> Result<Response, ApiError> {
    let bad = |error: axum::extract::multipart::MultipartError| ApiError::from(Problem::new(error.status(), "bad_upload", "The file did not arrive whole."));
    let mut parts = Multipart::from_request(request, &()).await.map_err(|error| Problem::new(error.status(), "bad_upload", "A form with a file is needed."))?;
    let mut form = UploadForm { csrf: None };
    let mut event = None;
    let mut file = None;
    while let Some(mut part) = parts.next_field().await.map_err(bad)? {
        match part.name() {
            Some("csrf") => form.csrf = Some(part.text().await.map_err(bad)?),
            Some("event") => event = Some(part.text().await.map_err(bad)?).filter(|id| !id.is_empty()).map(EventId::from),
            Some("file") => {
                // Nothing of a file is read before it is known to come from a page of ours.
                auth.write(&form)?;
                let name = part.file_name().unwrap_or("people.csv").to_owned();
                let mut kept = tempfile::tempfile().map_err(|error| ApiError::internal(&format!("no file for an upload: {error}")))?;
                let mut size = 0;
                while let Some(bytes) = part.chunk().await.map_err(bad)? {
                    size += bytes.len();
                    if size > FILE_MAX {
                        let text = format!("The file is larger than {} MB. Split it, or take columns out that are not needed.", FILE_MAX / 1024 / 1024);
                        return begin_again(&auth, &state, StatusCode::PAYLOAD_TOO_LARGE, event.as_ref(), Some(text)).await;
                    }
                    kept.write_all(&bytes).map_err(|error| ApiError::internal(&format!("an upload cannot be kept: {error}")))?;
                }
                file = Some((name, kept, size));
            }
            _ => {}
        }
    }
    let Some((name, mut kept, size)) = file.filter(|(_, _, size)| *size > 0) else {
        return begin_again(&auth, &state, StatusCode::UNPROCESSABLE_ENTITY, event.as_ref(), Some("Choose a file first.".to_owned())).await;
    };
    let mut bytes = Vec::with_capacity(size);
    let read = kept.rewind().and_then(|()| std::io::Read::read_to_end(&mut kept, &mut bytes));
    read.map_err(|error| ApiError::internal(&format!("an upload cannot be read: {error}")))?;
    match auth.app().people_import_upload(&auth.write(&form)?, &name, bytes, event.clone()).await {
        Ok(import) => see_other(&format!("/app/people/import/{}", import.id)),
        Err(AppError::Invalid(faults)) => {
            let text = faults.0.first().map_or_else(String::new, |fault| fault.message.clone());
            begin_again(&auth, &state, StatusCode::UNPROCESSABLE_ENTITY, event.as_ref(), Some(text)).await
        }
        Err(other) => Err(other.into()),
    }
}

#[derive(Serialize)]
struct ImportPage {
    shell: Shell,
    import: PeopleImport,
    event: Option<EventLink>,
    delimiter: &'static str,
    columns: Vec<Column>,
    fields: [(&'static str, &'static str); 11],
    fault: Option<String>,
    checked: Option<ImportCounts>,
    faults: Vec<RowFault>,
    faults_href: String,
    /// Rows that are done, or left when it is taken back.
    done: u64,
    /// Pieces that are done: of importing, or of taking it back.
    pieces_done: u32,
    percent: u64,
    busy: bool,
}

/// A fault with the field as people know it: `email: is needed` is `Address is needed`.
fn in_words(fault: &str) -> String {
    let Some((key, text)) = fault.split_once(": ") else { return fault.to_owned() };
    let label = if key == "email" { "Address" } else { LABELS.iter().find(|(field, _)| *field == key).map_or(key, |(_, label)| *label) };
    let between = if text.starts_with("is ") || text.starts_with("must ") { " " } else { ": " };
    format!("{label}{between}{text}")
}

/// Every fault of a row.
fn all_in_words(faults: &[String]) -> Vec<String> {
    faults.iter().map(|fault| in_words(fault)).collect()
}

/// Pieces of the work that is under way, or was: while an import is taken back, `next` says how many are left.
fn pieces_done(state: ImportState, next: u32, pieces: u32) -> u32 {
    match state {
        ImportState::Undoing | ImportState::Undone => pieces.saturating_sub(next),
        ImportState::Uploaded | ImportState::Running | ImportState::Done => next,
    }
}

#[derive(Serialize)]
struct Column {
    number: usize,
    name: String,
    field: String,
    /// The first values in it.
    samples: Vec<String>,
}

/// Values that are shown of a column, and how many letters of each.
const SAMPLES: usize = 3;
const SAMPLE_MAX: usize = 40;

fn shortened(value: &str) -> String {
    let mut letters = value.chars();
    let start: String = letters.by_ref().take(SAMPLE_MAX).collect();
    if letters.next().is_some() { format!("{start}…") } else { start }
}

/// `c0`, `c1`, …: the field of each column. Where none is there, the guess.
fn mapping_of(import: &PeopleImport, value: impl Fn(&str) -> Option<String>) -> Mapping {
    let chosen: Vec<Option<String>> = (0..import.header.len()).map(|n| value(&format!("c{n}"))).collect();
    if chosen.iter().all(Option::is_none) {
        return import.mapping.clone();
    }
    chosen.into_iter().map(|field| field.filter(|field| !field.is_empty())).collect()
}

async fn show(auth: Auth<Viewer>, State(state): State<ApiState>, PathText(id): PathText, headers: HeaderMap, query: QueryReader) -> Result<Response, ApiError> {
    let import = auth.app().people_import_get(auth.read(), &id).await?;
    let mapping = mapping_of(&import, |name| query.raw(name).map(str::to_owned));
    let mut fault = None;
    let mut checked = Checked::default();
    let looking = import.state == ImportState::Uploaded;
    if looking {
        match auth.app().people_import_check(auth.read(), &import, &mapping, FAULTS_SHOWN).await {
            Ok(found) => checked = found,
            Err(AppError::Invalid(faults)) => fault = faults.0.into_iter().next().map(|fault| fault.message),
            Err(other) => return Err(other.into()),
        }
    }
    for row in &mut checked.faults {
        row.faults = all_in_words(&row.faults);
    }
    let pairs: Vec<(String, String)> = (0..).zip(&mapping).map(|(n, field): (usize, _)| (format!("c{n}"), field.clone().unwrap_or_default())).collect();
    let path = format!("/app/people/import/{id}/faults.csv");
    let faults_href = crate::web::href::with_query(&path, pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let samples = if looking { auth.app().people_import_samples(auth.read(), &import, SAMPLES).await? } else { Vec::new() };
    let samples = samples.iter().map(|values| values.iter().map(|value| shortened(value)).collect::<Vec<String>>());
    let samples = samples.chain(std::iter::repeat_with(Vec::<String>::new));
    let columns = import.header.iter().zip(&mapping).zip(samples).enumerate();
    let busy = matches!(import.state, ImportState::Running | ImportState::Undoing);
    let pieces_done = pieces_done(import.state, import.next, import.pieces);
    let context = ImportPage {
        shell: Shell::of(&auth, &state, Place::People),
        event: event_link(&auth, import.event.as_ref()).await?,
        delimiter: match import.delimiter.as_str() {
            ";" => "semicolons",
            "\t" => "tabs",
            "|" => "bars",
            _ => "commas",
        },
        columns: columns
            .map(|(number, ((name, field), samples))| Column { number, name: name.clone(), field: field.clone().unwrap_or_default(), samples })
            .collect(),
        fields: LABELS,
        checked: (looking && fault.is_none()).then_some(checked.counts),
        fault,
        faults: checked.faults,
        faults_href,
        done: import.counts.rows().min(import.rows),
        pieces_done,
        percent: u64::from(pieces_done) * 100 / u64::from(import.pieces.max(1)),
        busy,
        import,
    };
    // A script looks again at the part that changes; without one the page does so by itself.
    let template = if wants_part(&headers) && !looking { "people/import-state.html" } else { "people/import-one.html" };
    page(StatusCode::OK, template, context)
}

async fn start(auth: Auth<Editor>, PathText(id): PathText, form: Form) -> Result<Response, ApiError> {
    let import = auth.app().people_import_get(auth.read(), &id).await?;
    let mapping = mapping_of(&import, |name| form.value(name).map(str::to_owned));
    auth.app().people_import_start(&auth.write(&form)?, &id, mapping).await?;
    see_other(&format!("/app/people/import/{id}"))
}

async fn undo(auth: Auth<Editor>, PathText(id): PathText, form: Form) -> Result<Response, ApiError> {
    auth.app().people_import_undo(&auth.write(&form)?, &id).await?;
    Ok(flash(see_other(&format!("/app/people/import/{id}"))?, "The import is being taken back", None))
}

/// Rows that are left out, as they stood in the file, with the reasons.
async fn faults(auth: Auth<Viewer>, State(state): State<ApiState>, PathText(id): PathText, query: QueryReader) -> Result<Response, ApiError> {
    let app = Arc::clone(&state.app);
    let import = app.people_import_get(auth.read(), &id).await?;
    let mapping = mapping_of(&import, |name| query.raw(name).map(str::to_owned));
    let checked = app.people_import_check(auth.read(), &import, &mapping, ROWS_MAX).await?;
    app.audit_export(auth.read(), "import.faults_exported", &import.object()).await?;
    let (csv, mut out) = (state.csv(), "\u{feff}".as_bytes().to_vec());
    let names: Vec<&str> = ["line", "what is wrong"].into_iter().chain(import.header.iter().map(String::as_str)).collect();
    csv.row(&mut out, &names);
    for fault in checked.faults {
        let (line, why) = (fault.line.to_string(), all_in_words(&fault.faults).join("; "));
        let cells: Vec<&str> = [line.as_str(), why.as_str()].into_iter().chain(fault.cells.iter().map(String::as_str)).collect();
        csv.row(&mut out, &cells);
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"left-out.csv\"")),
    ];
    Ok((headers, Body::from(out)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_grows_while_an_import_is_taken_back() {
        let done = |state, next| pieces_done(state, next, 4);
        assert_eq!([0, 1, 4].map(|next| done(ImportState::Running, next)), [0, 1, 4]);
        assert_eq!([4, 3, 0].map(|next| done(ImportState::Undoing, next)), [0, 1, 4]);
        assert_eq!((done(ImportState::Done, 4), done(ImportState::Undone, 0)), (4, 4));
    }
}
