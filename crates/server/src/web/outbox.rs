//! `/app/outbox`: mails that became files, for installations that send nothing.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use emcrm_app::outbox::{OutboxMail, OutboxPage};
use serde::Serialize;

use super::href;
use super::mail_frame::{Pictures, mail_frame};
use super::pages::page as render;
use super::shell::{Place, Shell};
use super::templates::{Template, templates};
use crate::auth::{Auth, Sender};
use crate::http::path::PathText;
use crate::http::{Answer, QueryReader};
use crate::router::ApiState;

pub static TEMPLATES: &[Template] = templates!["outbox/list.html", "outbox/mail.html"];

const PATH: &str = "/app/outbox";
const SIZE: usize = 50;
/// Longest name of a file that is asked for.
const NAME_MAX: usize = 255;
/// Headers that a person reads first; the others stand under them.
const FIRST: [&str; 4] = ["From", "To", "Subject", "Date"];

pub fn routes() -> Router<ApiState> {
    Router::new().route("/app/outbox", get(list)).route("/app/outbox/{name}", get(mail))
}

#[derive(Serialize)]
struct List {
    shell: Shell,
    outbox: bool,
    total: usize,
    rows: Vec<Row>,
    next: Option<String>,
    first: bool,
}

#[derive(Serialize)]
struct Row {
    href: String,
    to: String,
    subject: String,
    date: String,
}

async fn list(auth: Auth<Sender>, State(state): State<ApiState>, mut query: QueryReader) -> Answer {
    let before = query.text("before", NAME_MAX);
    query.check()?;
    let first = before.is_none();
    let OutboxPage { mails, total, more } = auth.app().outbox_list(auth.read(), before, SIZE).await?;
    let next = mails.last().filter(|_| more).map(|last| href::with_query(PATH, [("before", last.name.as_str())]));
    let row = |OutboxMail { name, to, subject, date }| Row { href: format!("{PATH}/{}", href::segment(&name)), to, subject, date };
    let context = List { shell: Shell::of(&auth, &state, Place::Settings), outbox: true, total, rows: mails.into_iter().map(row).collect(), next, first };
    render(StatusCode::OK, "outbox/list.html", context)
}

#[derive(Serialize)]
struct Mail {
    shell: Shell,
    outbox: bool,
    name: String,
    subject: String,
    first: Vec<Header>,
    others: Vec<Header>,
    text: Option<String>,
    frame: Option<String>,
    attachments: Vec<String>,
}

#[derive(Serialize)]
struct Header {
    name: String,
    value: String,
}

/// One mail: the page, or with `?part=html` what its frame shows.
async fn mail(auth: Auth<Sender>, State(state): State<ApiState>, PathText(name): PathText, query: QueryReader) -> Answer {
    let opened = auth.app().outbox_get(auth.read(), &name).await?;
    if query.raw("part") == Some("html") {
        return Ok(mail_frame(opened.html.as_deref().unwrap_or_default(), Pictures::Hidden));
    }
    let is_first = |name: &str| FIRST.iter().any(|first| first.eq_ignore_ascii_case(name));
    let subject = opened.header("Subject").unwrap_or_default().to_owned();
    let (first, others): (Vec<_>, Vec<_>) = opened.headers.into_iter().map(|(name, value)| Header { name, value }).partition(|header| is_first(&header.name));
    let context = Mail {
        shell: Shell::of(&auth, &state, Place::Settings),
        outbox: true,
        frame: opened.html.map(|_| format!("{PATH}/{}?part=html", href::segment(&name))),
        name,
        subject,
        first,
        others,
        text: opened.text,
        attachments: opened.attachments,
    };
    render(StatusCode::OK, "outbox/mail.html", context)
}
