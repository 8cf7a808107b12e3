//! What is held about a person: all of it as a file, and none of it. Erasing asks for the address to be typed, because nothing brings a person back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
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
    email: String,
    typed: String,
    fault: bool,
}

async fn show(auth: &Auth<Admin>, state: &ApiState, id: &emcrm_model::UserId, status: StatusCode, typed: String) -> Result<Response, ApiError> {
    let user = auth.app().user_get(auth.read(), id).await?;
    let fault = status != StatusCode::OK;
    let shell = Shell::of(auth, state, Place::People);
    page(status, "people/erase.html", ErasePage { shell, id: id.to_string(), name: name_of(&user), email: user.email.to_string(), typed, fault })
}

pub async fn ask(auth: Auth<Admin>, State(state): State<ApiState>, UserAt(id): UserAt) -> Result<Response, ApiError> {
    show(&auth, &state, &id, StatusCode::OK, String::new()).await
}

pub async fn erase(auth: Auth<Admin>, State(state): State<ApiState>, UserAt(id): UserAt, form: Form) -> Result<Response, ApiError> {
    let call = auth.write(&form)?;
    let user = auth.app().user_get(auth.read(), &id).await?;
    let typed = form.value("address").unwrap_or_default().trim();
    if !typed.eq_ignore_ascii_case(user.email.as_str()) {
        return show(&auth, &state, &id, StatusCode::UNPROCESSABLE_ENTITY, typed.to_owned()).await;
    }
    auth.app().user_erase(&call, &id).await?;
    Ok(flash(see_other("/app/people")?, &format!("Erased {}", name_of(&user)), None))
}

/// Everything that is held about the person, as a file.
pub async fn export(auth: Auth<Admin>, UserAt(id): UserAt, form: Form) -> Result<Response, ApiError> {
    archive(auth.app(), &auth.write(&form)?, &id).await
}
