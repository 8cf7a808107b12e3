//! Tasks that were given up: why, and what to do about them.

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::AppError;
use emcrm_store::{Queue, Task};
use serde::Serialize;

use crate::api::error::ApiError;
use crate::auth::{Admin, Auth, NeededRole};
use crate::http::{Answer, QueryReader};
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::{page as render, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

/// Characters of a task's subject that are shown.
const SHOWN: usize = 120;
const BACK: &str = "/app/settings#tasks";

#[derive(Debug, Serialize)]
pub struct Dead {
    queue: &'static str,
    id: String,
    kind: String,
    /// What it was about.
    about: String,
    attempts: u32,
    created: i64,
    error: String,
    /// The page that asks whether to throw it away.
    drop: String,
}

impl From<Task> for Dead {
    fn from(task: Task) -> Self {
        let about = match &task.payload {
            serde_json::Value::Null => String::new(),
            payload => payload.to_string().chars().take(SHOWN).collect(),
        };
        Self {
            queue: task.queue.as_str(),
            drop: href::with_query("/app/settings/tasks/drop", [("queue", task.queue.as_str()), ("id", task.id.as_str())]),
            id: task.id,
            kind: task.kind,
            about,
            attempts: task.attempts,
            created: task.created,
            error: task.error.unwrap_or_else(|| "no reason was kept".to_owned()),
        }
    }
}

pub async fn dead<R: NeededRole>(auth: &Auth<R>) -> Result<Vec<Dead>, AppError> {
    Ok(auth.app().dead_letters(auth.read()).await?.into_iter().map(Dead::from).collect())
}

fn place<'a>(queue: Option<&'a str>, id: Option<&'a str>) -> Result<(Queue, &'a str), ApiError> {
    let gone = || AppError::NothingThere("The task is not among those that were given up any more").into();
    queue.and_then(Queue::parse).zip(id).ok_or_else(gone)
}

/// One, or with `all` every one that is listed.
pub async fn retry(auth: Auth<Admin>, form: Form) -> Answer {
    let call = auth.write(&form)?;
    let text = if form.value("all").is_some() {
        let count = auth.app().dead_letters_retry(&call).await?;
        format!("Put back to work: {count}.")
    } else {
        let (queue, id) = place(form.value("queue"), form.value("id"))?;
        auth.app().dead_letter_retry(&call, queue, id).await?;
        "It is put back to work.".to_owned()
    };
    Ok(flash(see_other(BACK)?, &text, None))
}

pub async fn ask_drop(auth: Auth<Admin>, State(state): State<ApiState>, query: QueryReader) -> Answer {
    #[derive(Serialize)]
    struct Ask {
        shell: Shell,
        task: Dead,
    }
    let (queue, id) = place(query.raw("queue"), query.raw("id"))?;
    let gone = AppError::NothingThere("The task is not among those that were given up any more");
    let task = dead(&auth).await?.into_iter().find(|task| task.queue == queue.as_str() && task.id == id).ok_or(gone)?;
    render(StatusCode::OK, "settings/drop.html", Ask { shell: Shell::of(&auth, &state, Place::Settings), task })
}

pub async fn drop(auth: Auth<Admin>, form: Form) -> Answer {
    let (queue, id) = place(form.value("queue"), form.value("id"))?;
    let task = auth.app().dead_letter_drop(&auth.write(&form)?, queue, id).await?;
    Ok(flash(see_other(BACK)?, &format!("The task “{}” was thrown away.", task.kind), None))
}
