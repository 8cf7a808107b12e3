//! `/attend`

use axum::http::HeaderMap;
use emcrm_app::attendance::Attendee;
use emcrm_model::{Attendance, AttendanceDraft, User};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::auth::{Auth, CheckIn, Editor, SeeEvent, Viewer};
use crate::http::answer::{MessageOut, tagged, tagged_unless_known};
use crate::http::path::{AttendanceAt, EventAt, UserAt};
use crate::http::{Answer, JsonBody, NoBody, PageOut, QueryReader, json, schema};

/// A registration.
#[derive(Debug, ToSchema)]
pub struct AttendanceIn {
    #[schema(min_length = 1, max_length = 50)]
    pub user_id: String,
    #[schema(min_length = 1, max_length = 50)]
    pub event_id: String,
    /// Free text; `yes` unless said otherwise.
    #[schema(schema_with = schema::attended_in, required = false)]
    pub attended: Option<String>,
}

/// A change of a registration.
#[derive(Debug, ToSchema)]
#[schema(as = AttendancePatch)]
pub struct AttendancePatchIn {
    #[schema(schema_with = schema::attended, required = false)]
    pub attended: Option<String>,
}

/// One person at one event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventAttendance)]
pub struct AttendanceOut {
    pub user_id: String,
    pub event_id: String,
    pub attended: String,
    #[serde(rename = "createdAt")]
    #[schema(required)]
    pub created_at: Option<String>,
}

impl From<Attendance> for AttendanceOut {
    fn from(attendance: Attendance) -> Self {
        let Attendance { user_id, event_id, attended, created_at, .. } = attendance;
        Self { user_id: user_id.into(), event_id: event_id.into(), attended, created_at }
    }
}

/// An attendance with the person beside it, if that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attendee)]
pub struct AttendeeOut {
    #[serde(flatten)]
    pub attendance: AttendanceOut,
    /// With `expand=user`; `null` when the person was deleted a moment ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub user: Option<Option<PersonOut>>,
}

/// Who attends.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Person)]
pub struct PersonOut {
    pub first_name: String,
    pub last_name: String,
    #[schema(required)]
    pub company: Option<String>,
    pub email: String,
}

impl From<User> for PersonOut {
    fn from(user: User) -> Self {
        Self { first_name: user.first_name, last_name: user.last_name, company: user.company, email: user.email.into() }
    }
}

/// Pages of attendances.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Number of the page, from 1. `page * size` may be at most 10,000.
    #[param(minimum = 1, required = false)]
    pub page: u32,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 100, default = 50, required = false)]
    pub size: u32,
    /// `next` of the page before, instead of a page number.
    #[param(required = false)]
    pub cursor: String,
}

/// What is put beside each attendance.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExpandQuery {
    /// `user` puts name, company and address beside each record.
    #[param(required = false, inline)]
    pub expand: Expand,
}

#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Expand {
    User,
}

/// Register a person for an event.
#[utoipa::path(post, path = "/attend", tag = "Attendance", operation_id = "attendance_register", request_body = AttendanceIn, responses(
    (status = 200, description = "The stored attendance", body = AttendanceOut),
    (status = 400, description = "The person attends already", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 404, description = "The person or the event is unknown", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 409, description = "The event is full", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn create(auth: Auth<Editor>, body: JsonBody) -> Answer {
    let draft = AttendanceDraft::parse(&body.value)?;
    let attendance = auth.app().attendance_register(&auth.write(&body)?, draft).await?;
    tagged(attendance.rev, &AttendanceOut::from(attendance))
}

/// One attendance.
#[utoipa::path(get, path = "/attend/{user_id}/{event_id}", tag = "Attendance", operation_id = "attendance_get",
    params(("user_id" = String, Path, description = "Id of the person"), ("event_id" = String, Path, description = "Id of the event")),
    responses((status = 200, description = "The attendance", body = AttendanceOut)))]
pub async fn get(auth: Auth<SeeEvent>, AttendanceAt(at): AttendanceAt, headers: HeaderMap) -> Answer {
    let attendance = auth.app().attendance_get(auth.read(), &at.0, &at.1).await?;
    tagged_unless_known(&headers, attendance.rev, &AttendanceOut::from(attendance))
}

/// Change `attended`.
#[utoipa::path(patch, path = "/attend/{user_id}/{event_id}", tag = "Attendance", operation_id = "attendance_change", request_body = AttendancePatchIn,
    params(("user_id" = String, Path, description = "Id of the person"), ("event_id" = String, Path, description = "Id of the event")),
    responses((status = 200, description = "The stored attendance", body = AttendanceOut)))]
pub async fn patch(auth: Auth<CheckIn>, AttendanceAt(at): AttendanceAt, body: JsonBody) -> Answer {
    let attended = AttendanceDraft::parse_patch(&body.value)?;
    let attendance = auth.app().attendance_change(&auth.write(&body)?, &at.0, &at.1, attended).await?;
    tagged(attendance.rev, &AttendanceOut::from(attendance))
}

/// Take a registration back.
#[utoipa::path(delete, path = "/attend/{user_id}/{event_id}", tag = "Attendance", operation_id = "attendance_cancel",
    params(("user_id" = String, Path, description = "Id of the person"), ("event_id" = String, Path, description = "Id of the event")),
    responses((status = 200, description = "Taken back", body = MessageOut)))]
pub async fn delete(auth: Auth<Editor>, AttendanceAt(at): AttendanceAt) -> Answer {
    auth.app().attendance_cancel(&auth.write(&NoBody)?, &at.0, &at.1).await?;
    json(&MessageOut { message: "Attendance deleted successfully" })
}

/// Attendances of a person.
#[utoipa::path(get, path = "/attend/user/{user_id}", tag = "Attendance", operation_id = "attendance_of_user",
    params(("user_id" = String, Path, description = "Id of the person"), PageQuery),
    responses((status = 200, description = "A page of attendances", body = PageOut<AttendanceOut>)))]
pub async fn of_user(auth: Auth<Viewer>, UserAt(user): UserAt, mut query: QueryReader) -> Answer {
    let page = query.page();
    query.check_page(&page)?;
    let page = auth.app().attendance_of_user(auth.read(), &user, page).await?;
    json(&PageOut::of(page, AttendanceOut::from))
}

/// Attendances of an event.
#[utoipa::path(get, path = "/attend/event/{event_id}", tag = "Attendance", operation_id = "attendance_of_event",
    params(("event_id" = String, Path, description = "Id of the event"), PageQuery, ExpandQuery),
    responses((status = 200, description = "A page of attendances", body = PageOut<AttendeeOut>)))]
pub async fn of_event(auth: Auth<SeeEvent>, EventAt(event): EventAt, mut query: QueryReader) -> Answer {
    let page = query.page();
    let with_users = query.choice("expand", &[("user", ())]).is_some();
    query.check_page(&page)?;
    let page = auth.app().attendance_of_event(auth.read(), &event, page, with_users).await?;
    let out = |Attendee { attendance, user }| AttendeeOut { attendance: attendance.into(), user: with_users.then(|| user.map(PersonOut::from)) };
    json(&PageOut::of(page, out))
}
