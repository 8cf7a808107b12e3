//! `/users`

use axum::http::HeaderMap;
use emcrm_app::users::UserList;
use emcrm_model::{Gender, PageRequest, User, UserDraft, UserPatch};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::auth::{Auth, Editor, Viewer};
use crate::http::answer::{MessageOut, tagged, tagged_unless_known};
use crate::http::path::UserAt;
use crate::http::{Answer, JsonBody, NoBody, PageOut, QueryReader, json, schema};

/// A person, as a client sends one. Read-only fields in the body are ignored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct UserIn {
    #[schema(schema_with = schema::first_name)]
    pub first_name: String,
    #[schema(schema_with = schema::last_name)]
    pub last_name: String,
    #[schema(schema_with = schema::email)]
    pub email: String,
    #[schema(schema_with = schema::phone, required = false)]
    pub phone_number: Option<String>,
    #[schema(schema_with = schema::avatar, required = false)]
    pub avatar: Option<String>,
    #[schema(schema_with = schema::gender, required = false)]
    pub gender: Option<String>,
    #[schema(schema_with = schema::short, required = false)]
    pub job_title: Option<String>,
    #[schema(schema_with = schema::short, required = false)]
    pub company: Option<String>,
    #[schema(schema_with = schema::short, required = false)]
    pub city: Option<String>,
    #[schema(schema_with = schema::short, required = false)]
    pub state: Option<String>,
}

/// A new person, with an id of the client's choice if there is one.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserNewIn {
    #[serde(flatten)]
    pub user: UserIn,
    /// Chosen by the client; made by the server when absent.
    #[schema(schema_with = schema::new_id, required = false)]
    pub id: Option<String>,
}

/// A JSON merge patch (RFC 7386): an absent field is kept, `null` clears an optional one.
#[derive(Debug, ToSchema)]
#[schema(as = UserPatch, rename_all = "camelCase")]
pub struct UserPatchIn {
    #[schema(schema_with = schema::first_name, required = false)]
    pub first_name: Option<String>,
    #[schema(schema_with = schema::last_name, required = false)]
    pub last_name: Option<String>,
    #[schema(schema_with = schema::email, required = false)]
    pub email: Option<String>,
    #[schema(schema_with = schema::phone, required = false)]
    pub phone_number: Option<String>,
    #[schema(schema_with = schema::avatar, required = false)]
    pub avatar: Option<String>,
    #[schema(schema_with = schema::gender, required = false)]
    pub gender: Option<String>,
    #[schema(schema_with = schema::short, required = false)]
    pub job_title: Option<String>,
    #[schema(schema_with = schema::short, required = false)]
    pub company: Option<String>,
    #[schema(schema_with = schema::short, required = false)]
    pub city: Option<String>,
    #[schema(schema_with = schema::short, required = false)]
    pub state: Option<String>,
}

/// A person. Optional fields that are absent are `null`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserOut {
    pub id: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    #[schema(required)]
    pub phone_number: Option<String>,
    #[schema(required)]
    pub avatar: Option<String>,
    #[schema(required, value_type = Option<String>)]
    pub gender: Option<Gender>,
    #[schema(required)]
    pub job_title: Option<String>,
    #[schema(required)]
    pub company: Option<String>,
    #[schema(required)]
    pub city: Option<String>,
    #[schema(required)]
    pub state: Option<String>,
    /// Events that the person attends.
    pub attended_count: i64,
    /// Events that the person owns or hosts, each event once.
    pub hosted_count: i64,
    #[schema(required)]
    pub created_at: Option<String>,
    #[schema(required)]
    pub updated_at: Option<String>,
}

impl From<User> for UserOut {
    fn from(user: User) -> Self {
        Self {
            id: user.id.into(),
            first_name: user.first_name,
            last_name: user.last_name,
            email: user.email.into(),
            phone_number: user.phone_number,
            avatar: user.avatar,
            gender: user.gender,
            job_title: user.job_title,
            company: user.company,
            city: user.city,
            state: user.state,
            attended_count: user.attended_count,
            hosted_count: user.hosted_count,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// People by the names that older clients know.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsersAfterOut {
    items: Vec<UserOut>,
    /// Where the next part starts; `null` at the end.
    #[schema(required)]
    last_evaluated_key: Option<String>,
}

/// Which people are listed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UserListQuery {
    /// Number of the page, from 1. `page * size` may be at most 10,000.
    #[param(minimum = 1, required = false)]
    pub page: u32,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 100, default = 50, required = false)]
    pub size: u32,
    /// `next` of the page before, instead of a page number.
    #[param(required = false)]
    pub cursor: String,
    /// Exactly this address.
    #[param(required = false, max_length = 254)]
    pub email: String,
    /// Free text.
    #[param(required = false, max_length = 200)]
    pub q: String,
    /// `name`, `company`, `city`, `email`, `createdAt`, `attendedCount`, `hostedCount`; with `-` in front, the other way round.
    #[param(required = false, max_length = 50)]
    pub sort: String,
    /// Rows, for older clients; the answer is then `{items, last_evaluated_key}`.
    #[param(minimum = 1, maximum = 100, required = false)]
    pub limit: u32,
    /// Goes with `limit`.
    #[param(required = false)]
    pub last_evaluated_key: String,
}

const EMAIL_MAX: usize = 254;
pub(crate) const TEXT_MAX: usize = 200;
pub(crate) const SORT_MAX: usize = 50;

/// Create a person.
#[utoipa::path(post, path = "/users", tag = "Users", operation_id = "user_create", request_body = UserNewIn, responses(
    (status = 200, description = "The stored person", body = UserOut),
    (status = 400, description = "The id or the address is taken", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn create(auth: Auth<Editor>, body: JsonBody) -> Answer {
    let (id, draft) = UserDraft::parse_with_id(&body.value)?;
    let user = auth.app().user_create(&auth.write(&body)?, id, draft).await?;
    tagged(user.rev, &UserOut::from(user))
}

/// One person.
#[utoipa::path(get, path = "/users/{id}", tag = "Users", operation_id = "user_get", params(("id" = String, Path, description = "Id of the person")),
    responses((status = 200, description = "The person", body = UserOut)))]
pub async fn get(auth: Auth<Viewer>, UserAt(id): UserAt, headers: HeaderMap) -> Answer {
    let user = auth.app().user_get(auth.read(), &id).await?;
    tagged_unless_known(&headers, user.rev, &UserOut::from(user))
}

/// Replace a person. The path's id wins over the body's.
#[utoipa::path(put, path = "/users/{id}", tag = "Users", operation_id = "user_replace", request_body = UserIn,
    params(("id" = String, Path, description = "Id of the person")), responses(
    (status = 200, description = "The stored person", body = UserOut),
    (status = 400, description = "The address is taken", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn replace(auth: Auth<Editor>, UserAt(id): UserAt, body: JsonBody) -> Answer {
    let draft = UserDraft::parse(&body.value)?;
    let user = auth.app().user_replace(&auth.write(&body)?, &id, draft).await?;
    tagged(user.rev, &UserOut::from(user))
}

/// Change some fields of a person.
#[utoipa::path(patch, path = "/users/{id}", tag = "Users", operation_id = "user_patch", request_body = UserPatchIn,
    params(("id" = String, Path, description = "Id of the person")), responses(
    (status = 200, description = "The stored person", body = UserOut),
    (status = 400, description = "The address is taken", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn patch(auth: Auth<Editor>, UserAt(id): UserAt, body: JsonBody) -> Answer {
    let patch = UserPatch::parse(&body.value)?;
    let user = auth.app().user_patch(&auth.write(&body)?, &id, patch).await?;
    tagged(user.rev, &UserOut::from(user))
}

/// Delete a person. Gone at once; attendances, host entries and counters follow.
#[utoipa::path(delete, path = "/users/{id}", tag = "Users", operation_id = "user_delete", params(("id" = String, Path, description = "Id of the person")),
    responses((status = 200, description = "Deleted", body = MessageOut)))]
pub async fn delete(auth: Auth<Editor>, UserAt(id): UserAt) -> Answer {
    auth.app().user_delete(&auth.write(&NoBody)?, &id).await?;
    json(&MessageOut { message: "User deleted successfully" })
}

/// List people.
#[utoipa::path(get, path = "/users", tag = "Users", operation_id = "user_list", params(UserListQuery), responses(
    (status = 200, description = "A page; with `limit` or `last_evaluated_key` a part by these", body = inline(UserListOut)),
))]
pub async fn list(auth: Auth<Viewer>, mut query: QueryReader) -> Answer {
    let page = query.page();
    let email = query.text("email", EMAIL_MAX);
    let q = query.text("q", TEXT_MAX);
    let sort = query.text("sort", SORT_MAX);
    if query.has("limit") || query.has("last_evaluated_key") {
        // The other parameters say nothing here; what is wrong with them is told all the same.
        return list_after(&auth, query).await;
    }
    query.check_page(&page)?;
    let page = auth.app().user_list(auth.read(), UserList { page, email, q, sort }).await.map_err(ApiError::of_query)?;
    json(&PageOut::of(page, UserOut::from))
}

async fn list_after(auth: &Auth<Viewer>, mut query: QueryReader) -> Answer {
    let limit = query.integer("limit", 1..=PageRequest::SIZE_MAX).unwrap_or(PageRequest::SIZE_DEFAULT);
    let after = query.raw("last_evaluated_key").map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned);
    query.check()?;
    let (users, last_evaluated_key) = auth.app().user_list_after(auth.read(), limit, after).await?;
    json(&UsersAfterOut { items: users.into_iter().map(UserOut::from).collect(), last_evaluated_key })
}

/// Either shape of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum UserListOut {
    Page(PageOut<UserOut>),
    After(UsersAfterOut),
}
