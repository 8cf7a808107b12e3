//! What is held about a person: all of it as a file, and none of it. Erasing asks for the address to be typed, because nothing brings a person back. Somebody who
//! was deleted before has no page and no address any more, but an id.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::AppError;
use emcrm_model::UserId;
use serde::Serialize;

use super::list::name_of;
use crate::api::error::ApiError;
use crate::api::privacy::archive;
use crate::auth::{Admin, Auth};
use crate::http::path::UserAt;
use crate::router::ApiState;
use crate::web::pages::{page, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

#[derive(Serialize)]
struct ErasePage {
    shell: Shell,
    id: String,
    name: String,
    /// What has to be typed.
    wanted: String,
    /// The person was deleted before.
    deleted: bool,
    typed: String,
    fault: bool,
}

/// Whom it is about.
struct Whom {
    name: String,
    /// What has to be typed: the address, or the id where nothing else is known any more.
    wanted: String,
    deleted: bool,
}

async fn whom(auth: &Auth<Admin>, id: &UserId) -> Result<Whom, ApiError> {
    match auth.app().user_get(auth.read(), id).await {
        Ok(user) => Ok(Whom { name: name_of(&user), wanted: user.email.to_string(), deleted: false }),
        Err(AppError::UserUnknown) => {
            if auth.app().user_is_left(auth.read(), id).await? {
                Ok(Whom { name: id.to_string(), wanted: id.to_string(), deleted: true })
            } else {
                Err(AppError::UserUnknown.into())
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn show(auth: &Auth<Admin>, state: &ApiState, id: &UserId, whom: Whom, status: StatusCode, typed: String) -> Result<Response, ApiError> {
    let Whom { name, wanted, deleted } = whom;
    let fault = status != StatusCode::OK;
    let shell = Shell::of(auth, state, Place::People);
    page(status, "people/erase.html", ErasePage { shell, id: id.to_string(), name, wanted, deleted, typed, fault })
}

pub async fn ask(auth: Auth<Admin>, State(state): State<ApiState>, UserAt(id): UserAt) -> Result<Response, ApiError> {
    let whom = whom(&auth, &id).await?;
    show(&auth, &state, &id, whom, StatusCode::OK, String::new())
}

pub async fn erase(auth: Auth<Admin>, State(state): State<ApiState>, UserAt(id): UserAt, form: Form) -> Result<Response, ApiError> {
    let call = auth.write(&form)?;
    let whom = whom(&auth, &id).await?;
    let typed = form.value("address").unwrap_or_default().trim();
    if !typed.eq_ignore_ascii_case(&whom.wanted) {
        return show(&auth, &state, &id, whom, StatusCode::UNPROCESSABLE_ENTITY, typed.to_owned());
    }
    auth.app().user_erase(&call, &id).await?;
    Ok(flash(see_other("/app/people")?, &format!("Erased {}", whom.name), None))
}

/// Everything that is held about the person, as a file.
pub async fn export(auth: Auth<Admin>, UserAt(id): UserAt, form: Form) -> Result<Response, ApiError> {
    archive(auth.app(), &auth.write(&form)?, &id).await
}
