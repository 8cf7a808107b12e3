//! `/auth/status`

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::request::Open;
use crate::http::{Answer, json};
use crate::router::ApiState;

/// Whether one has to sign in here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthStatus)]
pub struct AuthStatusOut {
    pub authentication_enabled: bool,
    pub cognito_configured: bool,
    pub region: String,
}

/// Whether one has to sign in here.
#[utoipa::path(get, path = "/auth/status", tag = "Auth", operation_id = "auth_status", responses((status = 200, description = "The settings of sign-in", body = AuthStatusOut)))]
pub async fn status(_: Open, State(state): State<ApiState>) -> Answer {
    json(&AuthStatusOut { authentication_enabled: false, cognito_configured: false, region: state.settings.auth_region.clone() })
}
