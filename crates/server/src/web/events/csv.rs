//! Attendees as a file, and from one.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use emcrm_app::roster_import::{ImportOutcome, ImportRow, ROWS_MAX, read_rows};
use emcrm_app::{App, Call};
use emcrm_model::{EventId, PageRequest, Position};
use futures::stream;
use serde::Serialize;

use super::view::EventView;
use crate::api::error::ApiError;
use crate::auth::{Auth, Editor, Viewer};
use crate::csv_out::Csv;
use crate::http::path::EventAt;
use crate::router::ApiState;
use crate::web::pages::page as render;
use crate::web::shell::{Place, Shell};
use crate::web_form::Form;

/// All attendees, one line each, made while it is read.
pub async fn export(auth: Auth<Viewer>, State(state): State<ApiState>, EventAt(id): EventAt) -> Result<Response, ApiError> {
    let event = auth.app().event_get(auth.read(), id.as_str()).await?;
    auth.app().audit_export(auth.read(), "attendees.exported", &emcrm_store::keys::event_part(&event.id)).await?;
    let start =
        Rows { app: state.app.clone(), call: auth.read().clone(), csv: state.csv(), event: event.id, position: Some(Position::Number(1)), begun: false };
    let body = Body::from_stream(stream::unfold(start, |mut rows| async move { rows.next().await.map(|bytes| (bytes, rows)) }));
    // A slug is made of letters that a header takes.
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"attendees-{}.csv\"", event.slug))
        .map_err(|_| ApiError::internal("a file name that is no header"))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")), (header::CONTENT_DISPOSITION, disposition)], body).into_response())
}

struct Rows {
    app: Arc<App>,
    call: Call,
    csv: Csv,
    event: EventId,
    /// None: that was all.
    position: Option<Position>,
    begun: bool,
}

impl Rows {
    /// The next lines; an error cuts the answer off, so that nobody takes a part for the whole.
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        let position = self.position.take()?;
        let mut text = Vec::new();
        if !self.begun {
            self.begun = true;
            // Spreadsheets take a file for UTF-8 only when it says so.
            text.extend_from_slice("\u{feff}".as_bytes());
            self.csv.row(&mut text, &["user_id", "firstName", "lastName", "email", "company", "attended", "registeredAt"]);
        }
        let request = PageRequest { position, size: PageRequest::SIZE_MAX };
        match self.app.attendance_of_event(&self.call, &self.event, request, true).await {
            Ok(page) => {
                for attendee in &page.items {
                    let user = attendee.user.as_ref();
                    self.csv.row(
                        &mut text,
                        &[
                            attendee.attendance.user_id.as_str(),
                            user.map_or("", |user| &user.first_name),
                            user.map_or("", |user| &user.last_name),
                            user.map_or("", |user| user.email.as_str()),
                            user.and_then(|user| user.company.as_deref()).unwrap_or_default(),
                            &attendee.attendance.attended,
                            attendee.attendance.created_at.as_deref().unwrap_or_default(),
                        ],
                    );
                }
                self.position = page.next.map(Position::Cursor);
                Some(Ok(Bytes::from(text)))
            }
            Err(error) => Some(Err(error.to_string())),
        }
    }
}

#[derive(Serialize)]
struct ImportPage {
    shell: Shell,
    event: EventView,
    text: String,
    fault: Option<String>,
    results: Option<Vec<ResultView>>,
    added: usize,
    made: usize,
    already: usize,
    refused: usize,
    rows_max: usize,
}

#[derive(Serialize)]
struct ResultView {
    line: u64,
    what: String,
    /// `ok`, `mute`, `bad`.
    tone: &'static str,
    words: String,
}

fn import_page<R: crate::auth::NeededRole>(auth: &Auth<R>, state: &ApiState, event: EventView) -> ImportPage {
    ImportPage {
        shell: Shell::of(auth, state, Place::Events),
        event,
        text: String::new(),
        fault: None,
        results: None,
        added: 0,
        made: 0,
        already: 0,
        refused: 0,
        rows_max: ROWS_MAX,
    }
}

/// Rows as a table that can be mended and sent again; nothing where there are none.
fn once_more(rows: &[&ImportRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    // What goes back into a form is not neutralised: no spreadsheet opens it.
    let mut out = csv::Writer::from_writer(Vec::new());
    let head = ["address", "first name", "last name"];
    let lines = rows.iter().map(|row| [row.email.as_str(), row.first_name.as_str(), row.last_name.as_str()]);
    for line in [head].into_iter().chain(lines) {
        // Writing to memory cannot fail.
        let _ = out.write_record(line);
    }
    out.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

pub async fn ask(auth: Auth<Editor>, State(state): State<ApiState>, EventAt(id): EventAt) -> Result<Response, ApiError> {
    let event = auth.app().event_get(auth.read(), id.as_str()).await?;
    let page = import_page(&auth, &state, EventView::of(auth.app(), &event, auth.locale()));
    render(StatusCode::OK, "events/import.html", page)
}

pub async fn import(auth: Auth<Editor>, State(state): State<ApiState>, EventAt(id): EventAt, form: Form) -> Result<Response, ApiError> {
    let (app, call) = (auth.app(), auth.read());
    let event = app.event_get(call, id.as_str()).await?;
    let text = form.value("rows").unwrap_or_default();
    let rows = match read_rows(text) {
        Ok(rows) => rows,
        Err(fault) => {
            let page = ImportPage { text: text.to_owned(), fault: Some(fault), ..import_page(&auth, &state, EventView::of(app, &event, auth.locale())) };
            return render(StatusCode::UNPROCESSABLE_ENTITY, "events/import.html", page);
        }
    };
    let outcomes = app.attendees_import(&auth.write(&form)?, &event.id, &rows).await?;
    let count = |which: fn(&ImportOutcome) -> bool| outcomes.iter().filter(|outcome| which(outcome)).count();
    let pairs = rows.iter().zip(&outcomes);
    let refused: Vec<&ImportRow> = pairs.filter(|(_, outcome)| matches!(outcome, ImportOutcome::Full | ImportOutcome::Faulty(_))).map(|(row, _)| row).collect();
    let results = rows.iter().zip(&outcomes).map(|(row, outcome)| {
        let (tone, words) = match outcome {
            ImportOutcome::Added => ("ok", "Added; was in the people already".to_owned()),
            ImportOutcome::Made => ("ok", "Added, and new among the people".to_owned()),
            ImportOutcome::Already => ("mute", "Was on the list already".to_owned()),
            ImportOutcome::Full => ("bad", "Not added: all places are taken".to_owned()),
            ImportOutcome::Faulty(words) => ("bad", format!("Not added: {words}")),
        };
        ResultView { line: row.line, what: row.email.chars().take(254).collect(), tone, words }
    });
    let results = Some(results.collect());
    let now = app.event_get(call, event.id.as_str()).await?;
    let page = ImportPage {
        results,
        added: count(|outcome| matches!(outcome, ImportOutcome::Added | ImportOutcome::Made)),
        made: count(|outcome| matches!(outcome, ImportOutcome::Made)),
        already: count(|outcome| matches!(outcome, ImportOutcome::Already)),
        refused: refused.len(),
        text: once_more(&refused),
        ..import_page(&auth, &state, EventView::of(app, &now, auth.locale()))
    };
    render(StatusCode::OK, "events/import.html", page)
}
