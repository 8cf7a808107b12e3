//! Deleting one person or several. A page asks first and names what goes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::{AppError, Call};
use emcrm_model::UserId;
use serde::Serialize;

use super::list::name_of;
use super::query::PeopleQuery;
use crate::api::error::ApiError;
use crate::auth::{Auth, Editor};
use crate::http::path::UserAt;
use crate::router::ApiState;
use crate::web::pages::{page, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

/// People that are deleted at once: as many as a page shows.
const MOST: usize = 100;

#[derive(Serialize)]
struct DeletePage {
    shell: Shell,
    people: Vec<Person>,
    registrations: i64,
    hosted: i64,
    action: String,
    back: String,
    /// The list's conditions, to come back to.
    pairs: Vec<(&'static str, String)>,
    one: bool,
}

#[derive(Serialize)]
struct Person {
    id: String,
    name: String,
    email: String,
}

pub async fn ask(auth: Auth<Editor>, State(state): State<ApiState>, UserAt(id): UserAt) -> Result<Response, ApiError> {
    let user = auth.app().user_get(auth.read(), &id).await?;
    let context = DeletePage {
        shell: Shell::of(&auth, &state, Place::People),
        registrations: user.attended_count,
        hosted: user.hosted_count,
        action: format!("/app/people/{id}/delete"),
        back: format!("/app/people/{id}"),
        people: vec![Person { name: name_of(&user), email: user.email.to_string(), id: user.id.into() }],
        pairs: Vec::new(),
        one: true,
    };
    page(StatusCode::OK, "people/delete.html", context)
}

pub async fn one(auth: Auth<Editor>, UserAt(id): UserAt, form: Form) -> Result<Response, ApiError> {
    let call = auth.write(&form)?;
    let name = match auth.app().user_get(auth.read(), &id).await {
        Ok(user) => name_of(&user),
        // The back button, and the same form again: done is done.
        Err(AppError::UserUnknown) => return Ok(flash(see_other("/app/people")?, "This person is deleted already", None)),
        Err(other) => return Err(other.into()),
    };
    auth.app().user_delete(&call, &id).await?;
    Ok(flash(see_other("/app/people")?, &format!("Deleted {name}"), None))
}

/// Asks first; with `sure` it deletes.
pub async fn many(auth: Auth<Editor>, State(state): State<ApiState>, form: Form) -> Result<Response, ApiError> {
    let write = auth.write(&form)?;
    let query = PeopleQuery::of_form(&form);
    let back = query.address("/app/people", &[]);
    let ids: Vec<UserId> = form.all("id").filter_map(|id| UserId::lookup(id).ok()).take(MOST).collect();
    if ids.is_empty() {
        return Ok(flash(see_other(&back)?, "Nobody was selected", None));
    }
    if form.value("sure").is_some() {
        let mut deleted = 0_u32;
        for id in &ids {
            // One key stands for one change; the whole form has none.
            let call = Call { idempotency: None, ..write.clone() };
            match auth.app().user_delete(&call, id).await {
                Ok(()) => deleted += 1,
                Err(AppError::UserUnknown) => {}
                Err(other) => return Err(other.into()),
            }
        }
        let people = if deleted == 1 { "person" } else { "people" };
        return Ok(flash(see_other(&back)?, &format!("Deleted {deleted} {people}"), None));
    }
    let mut people = Vec::new();
    let (mut registrations, mut hosted) = (0, 0);
    for id in &ids {
        match auth.app().user_get(auth.read(), id).await {
            Ok(user) => {
                registrations += user.attended_count;
                hosted += user.hosted_count;
                people.push(Person { name: name_of(&user), email: user.email.to_string(), id: user.id.into() });
            }
            Err(AppError::UserUnknown) => {}
            Err(other) => return Err(other.into()),
        }
    }
    if people.is_empty() {
        return Ok(flash(see_other(&back)?, "Whoever was selected is deleted already", None));
    }
    let context = DeletePage {
        shell: Shell::of(&auth, &state, Place::People),
        people,
        registrations,
        hosted,
        action: "/app/people/delete".to_owned(),
        back,
        pairs: query.pairs(),
        one: false,
    };
    page(StatusCode::OK, "people/delete.html", context)
}
