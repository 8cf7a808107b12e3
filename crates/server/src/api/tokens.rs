//! `/tokens`: tokens of programs.

use emcrm_model::{ApiToken, ApiTokenDraft};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::auth::{Admin, Auth};
use crate::http::path::PathText;
use crate::http::{Answer, JsonBody, NoBody, json};

/// A token to be made.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenIn {
    /// What you call it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// `viewer`, `editor`, `sender`, `admin`, or `checkin:{event id}` for the door of one event.
    #[schema(min_length = 1, max_length = 100, pattern = "^(viewer|editor|sender|admin|checkin:[A-Za-z0-9._-]{1,50})$")]
    pub grant: String,
    /// Days until it expires; without it: never.
    #[schema(minimum = 1, maximum = 3660, required = false)]
    pub days: Option<i64>,
}

/// A token, without the token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiToken)]
pub struct TokenOut {
    pub id: String,
    pub name: String,
    pub grant: String,
    /// Its first characters.
    pub hint: String,
    pub created_at: String,
    pub created_by: String,
    #[schema(required)]
    pub expires_at: Option<String>,
    /// To the minute.
    #[schema(required)]
    pub last_used_at: Option<String>,
    #[schema(required)]
    pub revoked_at: Option<String>,
}

/// A new token: the only time that it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewApiToken)]
pub struct NewTokenOut {
    #[serde(flatten)]
    kept: TokenOut,
    token: String,
}

impl From<ApiToken> for TokenOut {
    fn from(token: ApiToken) -> Self {
        let ApiToken { id, name, grant, hint, created_at, created_by, valid_until, last_used_at, revoked_at } = token;
        Self { id, name, grant, hint, created_at, created_by, expires_at: valid_until, last_used_at, revoked_at }
    }
}

/// All of them, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiTokens)]
pub struct TokensOut {
    items: Vec<TokenOut>,
}

/// Make a token. It is in the answer, and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "Auth", operation_id = "token_create", request_body = TokenIn, responses((status = 200, description = "The token", body = NewTokenOut)))]
pub async fn create(auth: Auth<Admin>, body: JsonBody) -> Answer {
    let draft = ApiTokenDraft::parse(&body.value)?;
    let (kept, token) = auth.app().token_create(&auth.write(&body)?, draft).await?;
    json(&NewTokenOut { kept: kept.into(), token })
}

/// List the tokens.
#[utoipa::path(get, path = "/tokens", tag = "Auth", operation_id = "token_list", responses((status = 200, description = "All of them, newest first", body = TokensOut)))]
pub async fn list(auth: Auth<Admin>) -> Answer {
    let tokens = auth.app().token_list(auth.read()).await?;
    json(&TokensOut { items: tokens.into_iter().map(TokenOut::from).collect() })
}

/// Revoke a token: it is refused from now on.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "Auth", operation_id = "token_revoke", params(("id" = String, Path, description = "Id of the token")),
    responses((status = 200, description = "The token, revoked", body = TokenOut)))]
pub async fn revoke(auth: Auth<Admin>, PathText(id): PathText) -> Result<axum::response::Response, ApiError> {
    json(&TokenOut::from(auth.app().token_revoke(&auth.write(&NoBody)?, &id).await?))
}
