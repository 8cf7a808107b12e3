//! What the edge tells handlers about a request, and what they tell it back for the log line.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use emcrm_model::Actor;

use super::edge::Limits;
use super::gate::Allowance;
use crate::api::error::ApiError;
use crate::auth::Without;

/// Shared between the edge and the handler of one request.
#[derive(Debug)]
pub struct RequestInfo {
    /// 1..=128 of `A-Za-z0-9._-`.
    pub id: HeaderValue,
    /// Who is connected; none in tests without a socket.
    pub peer: Option<IpAddr>,
    /// Who asks: the same, or whom a proxy of ours speaks for.
    pub client: Option<IpAddr>,
    /// How large a body may be.
    pub(crate) limits: Limits,
    pub(crate) without: Without,
    /// Set by the first extractor of a handler.
    pub(crate) route: OnceLock<MatchedPath>,
    pub(crate) actor: OnceLock<Actor>,
    /// How the caller stands against the limits.
    pub(crate) allowance: OnceLock<Option<Allowance>>,
}

impl RequestInfo {
    pub(crate) fn new(id: HeaderValue, peer: Option<IpAddr>, client: Option<IpAddr>, limits: Limits, without: Without) -> Self {
        Self { id, peer, client, limits, without, route: OnceLock::new(), actor: OnceLock::new(), allowance: OnceLock::new() }
    }
    pub fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
    /// Pattern of the route, or `unmatched`.
    pub fn route(&self) -> &str {
        self.route.get().map_or("unmatched", MatchedPath::as_str)
    }
    pub fn actor(&self) -> &str {
        self.actor.get().map_or("-", Actor::name)
    }
}

/// For handlers that anybody may call: health, documents. Everything else takes [`crate::auth::Auth`].
#[derive(Debug, Clone)]
pub struct Open(pub Arc<RequestInfo>);

impl<S: Sync> FromRequestParts<S> for Open {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        noted(parts).map(Self)
    }
}

/// The request's info, with its route noted.
pub(crate) fn noted(parts: &Parts) -> Result<Arc<RequestInfo>, ApiError> {
    let info = parts.extensions.get::<Arc<RequestInfo>>().ok_or_else(|| ApiError::internal("a request that did not come through the edge"))?;
    if let Some(route) = parts.extensions.get::<MatchedPath>() {
        let _ = info.route.set(route.clone());
    }
    Ok(info.clone())
}
