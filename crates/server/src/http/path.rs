//! Ids in paths, parsed. What cannot be an id is not found.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use emcrm_app::AppError;
use emcrm_model::{CampaignId, EventId, UserId};

use crate::api::error::{ApiError, not_found};

/// The value in the path, decoded.
pub struct PathText(pub String);
/// A person in the path.
pub struct UserAt(pub UserId);
/// An event in the path, by id or slug.
pub struct EventAt(pub EventId);
/// A campaign in the path.
pub struct CampaignAt(pub CampaignId);
/// A person and an event in the path.
pub struct AttendanceAt(pub (UserId, EventId));

async fn values<const N: usize>(parts: &mut Parts) -> Result<[String; N], ApiError> {
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| not_found())?;
    let values: Vec<String> = params.iter().map(|(_, value)| value.to_owned()).collect();
    values.try_into().map_err(|_| ApiError::internal("a handler that expects other path parameters than its route has"))
}

fn user(text: &str) -> Result<UserId, ApiError> {
    UserId::lookup(text).map_err(|_| AppError::UserUnknown.into())
}

fn event(text: &str) -> Result<EventId, ApiError> {
    EventId::lookup(text).map_err(|_| AppError::EventUnknown.into())
}

impl<S: Sync> FromRequestParts<S> for PathText {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        values(parts).await.map(|[text]| Self(text))
    }
}

impl<S: Sync> FromRequestParts<S> for UserAt {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let [id] = values(parts).await?;
        user(&id).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for EventAt {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let [id] = values(parts).await?;
        event(&id).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for CampaignAt {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let [id] = values(parts).await?;
        CampaignId::lookup(&id).map(Self).map_err(|_| AppError::CampaignUnknown.into())
    }
}

impl<S: Sync> FromRequestParts<S> for AttendanceAt {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let [user_id, event_id] = values(parts).await?;
        Ok(Self((user(&user_id)?, event(&event_id)?)))
    }
}
