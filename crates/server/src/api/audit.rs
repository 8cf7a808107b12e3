//! `/audit`: who did what.

use emcrm_model::ChainedEntry;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::auth::{Admin, Auth};
use crate::http::{Answer, PageOut, QueryReader, json};

/// An entry of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub struct AuditOut {
    /// Its place: 1, 2, 3, … without a gap.
    #[schema(minimum = 1)]
    pub seq: u64,
    pub at: String,
    /// Stable name of who did it.
    pub actor: String,
    pub label: String,
    /// Such as `user.created`.
    pub what: String,
    /// Such as `user#{id}`; empty when nothing in particular.
    pub object: String,
    #[schema(required)]
    pub also: Option<String>,
    #[schema(required)]
    pub note: Option<String>,
    /// Address of the caller.
    #[schema(required)]
    pub from: Option<String>,
    #[schema(required)]
    pub request_id: Option<String>,
}

impl From<ChainedEntry> for AuditOut {
    fn from(ChainedEntry { seq, entry, .. }: ChainedEntry) -> Self {
        let emcrm_model::AuditEntry { id: _, at, actor, label, what, object, also, note, from, request_id } = entry;
        Self { seq, at, actor, label, what, object, also, note, from, request_id }
    }
}

/// Which entries are listed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Number of the page, from 1. `page * size` may be at most 10,000.
    #[param(minimum = 1, required = false)]
    pub page: u32,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 100, default = 50, required = false)]
    pub size: u32,
    /// `next` of the page before, instead of a page number.
    #[param(required = false)]
    pub cursor: String,
    /// Only what was done to this, such as `user#{id}`, `event#{id}`, `email#{id}`.
    #[param(required = false, max_length = 200)]
    pub object: String,
}

const OBJECT_MAX: usize = 200;

/// Who did what, newest first. Entries come into the list within seconds of the deed.
#[utoipa::path(get, path = "/audit", tag = "Auth", operation_id = "audit_list", params(AuditQuery), responses((status = 200, description = "A page", body = PageOut<AuditOut>)))]
pub async fn list(auth: Auth<Admin>, mut query: QueryReader) -> Answer {
    let page = query.page();
    let object = query.text("object", OBJECT_MAX);
    query.check_page(&page)?;
    let page = auth.app().audit_list(auth.read(), object.as_deref(), &page).await.map_err(ApiError::of_query)?;
    json(&PageOut::of(page, AuditOut::from))
}
