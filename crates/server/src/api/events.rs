//! `/events`

use axum::http::HeaderMap;
use emcrm_app::events::{Ends, EventList};
use emcrm_model::{Event, EventDraft, EventPatch};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use super::users::{SORT_MAX, TEXT_MAX};
use crate::auth::{Auth, Editor, SeeEvent, Viewer};
use crate::http::answer::{MessageOut, tagged, tagged_unless_known};
use crate::http::path::EventAt;
use crate::http::{Answer, JsonBody, NoBody, PageOut, QueryReader, json, schema};

/// An event, as a client sends one. `endAt` must be after `startAt`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct EventIn {
    #[schema(schema_with = schema::new_slug, required = false)]
    pub slug: Option<String>,
    #[schema(schema_with = schema::title)]
    pub title: String,
    #[schema(schema_with = schema::description, required = false)]
    pub description: Option<String>,
    #[schema(schema_with = schema::date_time)]
    pub start_at: String,
    #[schema(schema_with = schema::date_time)]
    pub end_at: String,
    /// IANA name; what times without an offset mean. Without it the configured zone counts.
    #[schema(schema_with = schema::zone, required = false)]
    pub timezone: Option<String>,
    #[schema(schema_with = schema::venue, required = false)]
    pub venue: Option<String>,
    /// Most attendances; without it there is no limit.
    #[schema(schema_with = schema::capacity, required = false)]
    pub max_capacity: Option<i64>,
    /// Id of a person; empty means none.
    #[schema(schema_with = schema::owner, required = false)]
    pub owner: Option<String>,
    #[schema(schema_with = schema::hosts, required = false)]
    pub hosts: Vec<String>,
    /// Anybody may see the event's page and register there. Without it a new event is not public, and an old one stays as it is.
    #[schema(schema_with = schema::flag, required = false)]
    pub public: Option<bool>,
}

/// A new event, with an id of the client's choice if there is one.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventNewIn {
    #[serde(flatten)]
    pub event: EventIn,
    /// Chosen by the client; made by the server when absent.
    #[schema(schema_with = schema::new_id, required = false)]
    pub id: Option<String>,
}

/// A JSON merge patch (RFC 7386): an absent field is kept, `null` clears an optional one.
#[derive(Debug, ToSchema)]
#[schema(as = EventPatch, rename_all = "camelCase")]
pub struct EventPatchIn {
    #[schema(schema_with = schema::slug, required = false)]
    pub slug: Option<String>,
    #[schema(schema_with = schema::title, required = false)]
    pub title: Option<String>,
    #[schema(schema_with = schema::description, required = false)]
    pub description: Option<String>,
    #[schema(schema_with = schema::date_time, required = false)]
    pub start_at: Option<String>,
    #[schema(schema_with = schema::date_time, required = false)]
    pub end_at: Option<String>,
    #[schema(schema_with = schema::zone, required = false)]
    pub timezone: Option<String>,
    #[schema(schema_with = schema::venue, required = false)]
    pub venue: Option<String>,
    #[schema(schema_with = schema::capacity, required = false)]
    pub max_capacity: Option<i64>,
    #[schema(schema_with = schema::owner, required = false)]
    pub owner: Option<String>,
    #[schema(schema_with = schema::hosts, required = false)]
    pub hosts: Vec<String>,
    #[schema(required = false)]
    pub public: bool,
}

/// An event. Optional fields that are absent are `null`; `owner` is empty when there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct EventOut {
    pub id: String,
    pub slug: String,
    pub title: String,
    #[schema(required)]
    pub description: Option<String>,
    /// As it was sent.
    pub start_at: String,
    /// As it was sent.
    pub end_at: String,
    #[schema(required)]
    pub timezone: Option<String>,
    #[schema(required)]
    pub venue: Option<String>,
    #[schema(required)]
    pub max_capacity: Option<i64>,
    pub owner: String,
    pub hosts: Vec<String>,
    /// Anybody may see the event's page and register there.
    pub public: bool,
    /// Attendances.
    pub attendee_count: i64,
    #[schema(required)]
    pub created_at: Option<String>,
    #[schema(required)]
    pub updated_at: Option<String>,
}

impl From<Event> for EventOut {
    fn from(event: Event) -> Self {
        Self {
            id: event.id.into(),
            slug: event.slug.into(),
            title: event.title,
            description: event.description,
            start_at: event.start_at.into(),
            end_at: event.end_at.into(),
            timezone: event.timezone,
            venue: event.venue,
            max_capacity: event.max_capacity,
            owner: event.owner,
            hosts: event.hosts.into_iter().map(String::from).collect(),
            public: event.public,
            attendee_count: event.attendee_count,
            created_at: event.created_at,
            updated_at: event.updated_at,
        }
    }
}

/// Which events are listed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventListQuery {
    /// Number of the page, from 1. `page * size` may be at most 10,000.
    #[param(minimum = 1, required = false)]
    pub page: u32,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 100, default = 50, required = false)]
    pub size: u32,
    /// `next` of the page before, instead of a page number.
    #[param(required = false)]
    pub cursor: String,
    /// Events that start then or later.
    #[param(required = false, schema_with = schema::date_time)]
    pub from: String,
    /// Events that start then or earlier.
    #[param(required = false, schema_with = schema::date_time)]
    pub to: String,
    /// Free text.
    #[param(required = false, max_length = 200)]
    pub q: String,
    /// Id of the owner.
    #[param(required = false, max_length = 50)]
    pub owner: String,
    /// Id of somebody who owns or hosts.
    #[param(required = false, max_length = 50)]
    pub host: String,
    /// `startAt`, `-startAt`, `title`.
    #[param(required = false, max_length = 50)]
    pub sort: String,
}

const ID_MAX: usize = 50;

/// Create an event.
#[utoipa::path(post, path = "/events", tag = "Events", operation_id = "event_create", request_body = EventNewIn, responses(
    (status = 200, description = "The stored event", body = EventOut),
    (status = 400, description = "The id or the slug is taken, or the owner or a host is unknown", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn create(auth: Auth<Editor>, body: JsonBody) -> Answer {
    let (id, draft) = EventDraft::parse_with_id(&body.value, &auth.app().settings.default_zone)?;
    let event = auth.app().event_create(&auth.write(&body)?, id, draft).await?;
    tagged(event.rev, &EventOut::from(event))
}

/// One event, by id or slug.
#[utoipa::path(get, path = "/events/{id}", tag = "Events", operation_id = "event_get",
    params(("id" = String, Path, description = "Id or slug of the event")), responses((status = 200, description = "The event", body = EventOut)))]
pub async fn get(auth: Auth<SeeEvent>, EventAt(id): EventAt, headers: HeaderMap) -> Answer {
    let event = auth.app().event_get(auth.read(), id.as_str()).await?;
    tagged_unless_known(&headers, event.rev, &EventOut::from(event))
}

/// Replace an event. The path's id wins over the body's.
#[utoipa::path(put, path = "/events/{id}", tag = "Events", operation_id = "event_replace", request_body = EventIn,
    params(("id" = String, Path, description = "Id of the event")), responses(
    (status = 200, description = "The stored event", body = EventOut),
    (status = 400, description = "The slug is taken, the owner or a host is unknown, or the capacity is too low", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn replace(auth: Auth<Editor>, EventAt(id): EventAt, body: JsonBody) -> Answer {
    let draft = EventDraft::parse(&body.value, &auth.app().settings.default_zone)?;
    let event = auth.app().event_replace(&auth.write(&body)?, &id, draft).await?;
    tagged(event.rev, &EventOut::from(event))
}

/// Change some fields of an event.
#[utoipa::path(patch, path = "/events/{id}", tag = "Events", operation_id = "event_patch", request_body = EventPatchIn,
    params(("id" = String, Path, description = "Id of the event")), responses(
    (status = 200, description = "The stored event", body = EventOut),
    (status = 400, description = "The slug is taken, the owner or a host is unknown, or the capacity is too low", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn patch(auth: Auth<Editor>, EventAt(id): EventAt, body: JsonBody) -> Answer {
    let patch = EventPatch::parse(&body.value)?;
    let event = auth.app().event_patch(&auth.write(&body)?, &id, patch).await?;
    tagged(event.rev, &EventOut::from(event))
}

/// Delete an event. Gone at once; attendances and counters follow.
#[utoipa::path(delete, path = "/events/{id}", tag = "Events", operation_id = "event_delete", params(("id" = String, Path, description = "Id of the event")),
    responses((status = 200, description = "Deleted", body = MessageOut)))]
pub async fn delete(auth: Auth<Editor>, EventAt(id): EventAt) -> Answer {
    auth.app().event_delete(&auth.write(&NoBody)?, &id).await?;
    json(&MessageOut { message: "Event deleted successfully" })
}

/// List events.
#[utoipa::path(get, path = "/events", tag = "Events", operation_id = "event_list", params(EventListQuery),
    responses((status = 200, description = "A page of events", body = PageOut<EventOut>)))]
pub async fn list(auth: Auth<Viewer>, mut query: QueryReader) -> Answer {
    let page = query.page();
    let (from, to) = (query.date_time("from"), query.date_time("to"));
    let q = query.text("q", TEXT_MAX);
    let (owner, host) = (query.text("owner", ID_MAX), query.text("host", ID_MAX));
    let sort = query.text("sort", SORT_MAX);
    query.check_page(&page)?;
    let list = EventList { page, from, to, ends: Ends::Whenever, q, owner, host, sort };
    let page = auth.app().event_list(auth.read(), list).await.map_err(ApiError::of_query)?;
    json(&PageOut::of(page, EventOut::from))
}
