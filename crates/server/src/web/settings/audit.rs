//! Who did what, newest first; with `object` to one thing only.

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_model::ChainedEntry;
use serde::Serialize;

use crate::api::error::ApiError;
use crate::auth::{Admin, Auth};
use crate::http::{Answer, QueryReader};
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::page as render;
use crate::web::paging::Paging;
use crate::web::shell::{Place, Shell};

const PATH: &str = "/app/settings/audit";
const OBJECT_MAX: usize = 200;

#[derive(Serialize)]
struct Page {
    shell: Shell,
    outbox: bool,
    object: Option<String>,
    rows: Vec<Row>,
    paging: Option<Paging>,
}

#[derive(Serialize)]
struct Row {
    seq: u64,
    at: String,
    who: String,
    what: String,
    objects: Vec<Object>,
    note: Option<String>,
    from: Option<String>,
}

/// A thing, and where its own history is.
#[derive(Serialize)]
struct Object {
    name: String,
    history: String,
}

fn object(name: &str) -> Object {
    Object { name: name.to_owned(), history: href::history(name) }
}

fn row(ChainedEntry { seq, entry, .. }: ChainedEntry) -> Row {
    let objects = entry.objects().map(object).collect();
    Row { seq, at: entry.at, who: entry.label, what: entry.what, objects, note: entry.note, from: entry.from }
}

pub async fn page(auth: Auth<Admin>, State(state): State<ApiState>, mut query: QueryReader) -> Answer {
    let page = query.page();
    let by_cursor = query.has("cursor");
    let object = query.text("object", OBJECT_MAX);
    query.check_page(&page)?;
    let found = auth.app().audit_list(auth.read(), object.as_deref(), &page).await.map_err(ApiError::of_query)?;
    let kept: Vec<(&str, &str)> = object.as_deref().map(|object| ("object", object)).into_iter().collect();
    let paging = (found.total > 0).then(|| Paging::of(&found, by_cursor, PATH, &kept));
    let rows = found.items.into_iter().map(row).collect();
    let shell = Shell::of(&auth, &state, Place::Settings);
    render(StatusCode::OK, "settings/audit.html", Page { shell, outbox: auth.app().has_outbox(), object, rows, paging })
}
