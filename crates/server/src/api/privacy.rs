//! `/users/{id}/export` and `/users/{id}/erase`: what is held about a person, all of it, and none of it.

use axum::http::{HeaderValue, header};

use emcrm_app::{App, Call};
use emcrm_model::UserId;

use crate::auth::{Admin, Auth};
use crate::http::answer::MessageOut;
use crate::http::path::UserAt;
use crate::http::{Answer, NoBody, json};

/// Everything that is held about a person, as one file.
#[utoipa::path(post, path = "/users/{id}/export", tag = "Users", operation_id = "user_export", params(("id" = String, Path, description = "Id of the person")),
    responses((status = 200, description = "The archive", body = serde_json::Value)))]
pub async fn export(auth: Auth<Admin>, UserAt(id): UserAt) -> Answer {
    archive(auth.app(), &auth.write(&NoBody)?, &id).await
}

/// The archive as an answer.
pub(crate) async fn archive(app: &App, call: &Call, id: &UserId) -> Answer {
    let mut response = json(&app.user_export(call, id).await?)?;
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"person.json\""));
    Ok(response)
}

/// Erase a person. Gone at once; what is left of them loses whom it was about within seconds, as soon as nothing is being mailed to them.
#[utoipa::path(post, path = "/users/{id}/erase", tag = "Users", operation_id = "user_erase", params(("id" = String, Path, description = "Id of the person")),
    responses((status = 200, description = "Erased", body = MessageOut)))]
pub async fn erase(auth: Auth<Admin>, UserAt(id): UserAt) -> Answer {
    auth.app().user_erase(&auth.write(&NoBody)?, &id).await?;
    json(&MessageOut { message: "User erased successfully" })
}
