//! People as CSV: those of the list's conditions, streamed; or those that were selected.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use emcrm_app::{App, AppError, Call};
use emcrm_model::{User, UserId};
use futures::stream;

use super::fields::{FIELDS, value_of};
use super::query::PeopleQuery;
use crate::api::error::ApiError;
use crate::auth::{Auth, Viewer};
use crate::csv_out::Csv;
use crate::http::QueryReader;
use crate::router::ApiState;
use crate::web_form::Form;

/// People of one file that were selected.
const CHOSEN_MAX: usize = 100;

fn head(csv: Csv) -> Vec<u8> {
    // Spreadsheets take a file for UTF-8 only when it says so.
    let mut out = "\u{feff}".as_bytes().to_vec();
    let names: Vec<&str> = ["id"].into_iter().chain(FIELDS.map(|(name, ..)| name)).chain(["attendedCount", "hostedCount", "createdAt"]).collect();
    csv.row(&mut out, &names);
    out
}

fn line(csv: Csv, out: &mut Vec<u8>, user: &User) {
    let values = FIELDS.map(|(name, ..)| value_of(user, name));
    let (attended, hosted) = (user.attended_count.to_string(), user.hosted_count.to_string());
    let created = user.created_at.as_deref().unwrap_or_default();
    let fields: Vec<&str> = [user.id.as_str()].into_iter().chain(values.iter().map(String::as_str)).chain([&attended, &hosted, created]).collect();
    csv.row(out, &fields);
}

fn file(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"people.csv\"")),
    ];
    (headers, body).into_response()
}

struct Walk {
    app: Arc<App>,
    call: Call,
    csv: Csv,
    query: PeopleQuery,
    after: Option<String>,
    end: bool,
}

impl Walk {
    async fn part(mut self) -> Result<Option<(Bytes, Self)>, AppError> {
        if self.end {
            return Ok(None);
        }
        let (users, next) = self.app.user_walk(&self.call, &self.query.filter, self.query.q.as_deref(), self.after.take()).await?;
        let mut out = Vec::new();
        for user in &users {
            line(self.csv, &mut out, user);
        }
        self.end = next.is_none();
        self.after = next;
        Ok(Some((out.into(), self)))
    }
}

pub async fn all(auth: Auth<Viewer>, State(state): State<ApiState>, mut reader: QueryReader) -> Result<Response, ApiError> {
    let (query, faults) = PeopleQuery::read(&mut reader);
    reader.check()?;
    if let Some(fault) = faults.into_iter().next() {
        return Err(emcrm_model::FieldErrors::one("", "value_error", fault).into());
    }
    auth.app().audit_export(auth.read(), "users.listed_as_csv", "").await?;
    let csv = state.csv();
    let walk = Walk { app: state.app.clone(), call: auth.read().clone(), csv, query, after: None, end: false };
    // The first part is read before the answer begins, so that a fault is still an answer of its own.
    let Some((first, walk)) = walk.part().await? else { return Ok(file(Body::from(head(csv)))) };
    let begin = stream::iter([Ok::<Bytes, AppError>(head(csv).into()), Ok(first)]);
    Ok(file(Body::from_stream(futures::StreamExt::chain(begin, stream::try_unfold(walk, Walk::part)))))
}

pub async fn chosen(auth: Auth<Viewer>, State(state): State<ApiState>, form: Form) -> Result<Response, ApiError> {
    auth.app().audit_export(auth.read(), "users.listed_as_csv", "").await?;
    let csv = state.csv();
    let mut out = head(csv);
    for id in form.all("id").filter_map(|id| UserId::lookup(id).ok()).take(CHOSEN_MAX) {
        match auth.app().user_get(auth.read(), &id).await {
            Ok(user) => line(csv, &mut out, &user),
            Err(AppError::UserUnknown) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(file(Body::from(out)))
}
