//! `/search`

use emcrm_app::AppError;
use emcrm_app::search::{FacetValue, SearchPosition, UserSearch, UserSearchPage};
use emcrm_model::{FieldErrors, Fields, PageRequest, User, UserFilter};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use super::users::{SORT_MAX, TEXT_MAX};
use crate::auth::{Auth, Viewer};
use crate::http::{Answer, JsonBody, QueryReader, json, schema};

/// Conditions that select people; all must hold. Texts are compared as whole values, folded; a list means any of them. `max…` must not
/// be less than `min…`.
#[derive(Debug, ToSchema)]
#[schema(as = UserFilter, rename_all = "camelCase")]
pub struct UserFilterIn {
    #[schema(schema_with = schema::filter_values, required = false)]
    pub company: Option<String>,
    #[schema(schema_with = schema::filter_values, required = false)]
    pub job_title: Option<String>,
    #[schema(schema_with = schema::filter_values, required = false)]
    pub city: Option<String>,
    #[schema(schema_with = schema::filter_values, required = false)]
    pub state: Option<String>,
    #[schema(schema_with = schema::filter_count, required = false)]
    pub min_attended: Option<i64>,
    #[schema(schema_with = schema::filter_count, required = false)]
    pub max_attended: Option<i64>,
    #[schema(schema_with = schema::filter_count, required = false)]
    pub min_hosted: Option<i64>,
    #[schema(schema_with = schema::filter_count, required = false)]
    pub max_hosted: Option<i64>,
}

/// A filter, and how its matches are shown.
#[derive(Debug, ToSchema)]
#[schema(as = UserSearch)]
pub struct UserSearchIn {
    #[schema(inline)]
    #[serde(flatten)]
    pub filter: UserFilterIn,
    /// Free text: every word must occur, the last one may be begun only.
    #[schema(max_length = 200, required = false)]
    pub q: Option<String>,
    /// `name`, `company`, `city`, `createdAt`, `attendedCount`, `hostedCount`; with `-` in front, the other way round.
    #[schema(max_length = 50, required = false)]
    pub sort: Option<String>,
    /// Fields whose most frequent values among the matches are wanted: `company`, `jobTitle`, `city`, `state`.
    #[schema(max_items = 4, required = false)]
    pub facets: Option<Vec<String>>,
    /// `next` of the page before.
    #[schema(required = false)]
    pub cursor: Option<String>,
    /// Rows of a page.
    #[schema(minimum = 1, maximum = 100, default = 50, required = false)]
    pub size: Option<u32>,
}

/// A person. Optional fields that are absent are left out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FoundUser)]
pub struct FoundUserOut {
    pub id: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub avatar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    pub gender: Option<emcrm_model::Gender>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub company: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub state: Option<String>,
    pub attended_count: i64,
    pub hosted_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub updated_at: Option<String>,
}

impl From<User> for FoundUserOut {
    fn from(user: User) -> Self {
        let full = super::users::UserOut::from(user);
        Self {
            id: full.id,
            first_name: full.first_name,
            last_name: full.last_name,
            email: full.email,
            phone_number: full.phone_number,
            avatar: full.avatar,
            gender: full.gender,
            job_title: full.job_title,
            company: full.company,
            city: full.city,
            state: full.state,
            attended_count: full.attended_count,
            hosted_count: full.hosted_count,
            created_at: full.created_at,
            updated_at: full.updated_at,
        }
    }
}

/// Matches, as older clients know them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundUsers)]
pub struct FoundUsersOut {
    /// Exact number of matches.
    #[schema(minimum = 0)]
    pub total: u64,
    pub users: Vec<FoundUserOut>,
}

/// Matches, with a cursor and facets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundUsersPage)]
pub struct FoundUsersPageOut {
    /// Exact number of matches.
    #[schema(minimum = 0)]
    pub total: u64,
    pub users: Vec<FoundUserOut>,
    /// Cursor of the page after this one; `null` at the end.
    #[schema(required)]
    pub next: Option<String>,
    /// By field; only the fields that were asked for.
    #[schema(value_type = std::collections::HashMap<String, Vec<FacetValueOut>>)]
    pub facets: Value,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FacetValue)]
pub struct FacetValueOut {
    pub value: String,
    #[schema(minimum = 0)]
    pub count: u64,
}

impl From<FacetValue> for FacetValueOut {
    fn from(FacetValue { value, count }: FacetValue) -> Self {
        Self { value, count }
    }
}

/// The most frequent values of a field.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Facet)]
pub struct FacetOut {
    pub field: String,
    pub values: Vec<FacetValueOut>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QueryUsersQuery {
    /// Number of the page, from 0. `(page + 1) * size` may be at most 10,000.
    #[param(minimum = 0, default = 0, required = false)]
    pub page: u32,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 100, default = 10, required = false)]
    pub size: u32,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct SearchUsersQuery {
    /// May be repeated: any of the values.
    #[param(required = false)]
    pub company: Vec<String>,
    #[param(required = false)]
    pub job_title: Vec<String>,
    #[param(required = false)]
    pub city: Vec<String>,
    #[param(required = false)]
    pub state: Vec<String>,
    #[param(required = false, schema_with = schema::query_count)]
    pub min_attended: i64,
    #[param(required = false, schema_with = schema::query_count)]
    pub max_attended: i64,
    #[param(required = false, schema_with = schema::query_count)]
    pub min_hosted: i64,
    #[param(required = false, schema_with = schema::query_count)]
    pub max_hosted: i64,
    /// Free text.
    #[param(required = false, max_length = 200)]
    pub q: String,
    #[param(required = false, max_length = 50)]
    pub sort: String,
    /// May be repeated.
    #[param(required = false)]
    pub facets: Vec<String>,
    #[param(required = false)]
    pub cursor: String,
    #[param(minimum = 1, maximum = 100, default = 50, required = false)]
    pub size: u32,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FacetQuery {
    /// `company`, `jobTitle`, `city` or `state`.
    pub field: String,
    /// How the values begin.
    #[param(required = false, max_length = 50)]
    pub prefix: String,
    #[param(minimum = 1, maximum = 100, default = 20, required = false)]
    pub limit: u32,
}

const VALUE_MAX: usize = UserFilter::VALUE_MAX;
const FACETS_MAX: usize = 4;
const CURSOR_MAX: usize = 4096;

/// People who match a filter.
#[utoipa::path(post, path = "/search/query_users", tag = "Search", operation_id = "search_query_users", request_body = UserFilterIn, params(QueryUsersQuery),
    responses((status = 200, description = "A page of matches", body = FoundUsersOut)))]
pub async fn query_users(auth: Auth<Viewer>, mut query: QueryReader, body: JsonBody) -> Answer {
    let page = query.integer("page", 0..=u32::MAX).unwrap_or(0);
    let size = query.integer("size", 1..=PageRequest::SIZE_MAX).unwrap_or(10);
    query.check()?;
    let filter = UserFilter::parse(&body.value)?;
    if (u64::from(page) + 1) * u64::from(size) > u64::from(PageRequest::DEEPEST) {
        return Err(AppError::TooDeep.into());
    }
    let search = UserSearch { filter, q: None, sort: None, facets: Vec::new(), position: SearchPosition::Page(page), size };
    let UserSearchPage { users, total, .. } = auth.app().user_search(auth.read(), search).await?;
    json(&FoundUsersOut { total, users: users.into_iter().map(FoundUserOut::from).collect() })
}

/// People who match, with free text, sorting, facets and a cursor.
#[utoipa::path(post, path = "/search/users", tag = "Search", operation_id = "search_users", request_body = UserSearchIn,
    responses((status = 200, description = "A page of matches", body = FoundUsersPageOut)))]
pub async fn users(auth: Auth<Viewer>, body: JsonBody) -> Answer {
    let search = read_search(&body.value)?;
    answer(auth.app().user_search(auth.read(), search).await?)
}

/// The same by query string.
#[utoipa::path(get, path = "/search/users", tag = "Search", operation_id = "search_users_by_query", params(SearchUsersQuery),
    responses((status = 200, description = "A page of matches", body = FoundUsersPageOut)))]
pub async fn users_by_query(auth: Auth<Viewer>, query: QueryReader) -> Answer {
    let search = read_search(&as_body(&query)).map_err(ApiError::Query)?;
    answer(auth.app().user_search(auth.read(), search).await.map_err(ApiError::of_query)?)
}

/// The most frequent values of a field.
#[utoipa::path(get, path = "/search/facets", tag = "Search", operation_id = "search_facets", params(FacetQuery),
    responses((status = 200, description = "Values with counts, most frequent first", body = FacetOut)))]
pub async fn facets(auth: Auth<Viewer>, mut query: QueryReader) -> Answer {
    let field = query.text("field", VALUE_MAX);
    if field.is_none() && query.raw("field").is_none_or(|text| text.trim().is_empty()) {
        query.fault("field", "missing", "this parameter is required: company, jobTitle, city or state");
    }
    let prefix = query.text("prefix", VALUE_MAX).unwrap_or_default();
    let limit = query.integer("limit", 1..=100).unwrap_or(20);
    query.check()?;
    let field = field.unwrap_or_default();
    let values = auth.app().facet_values(auth.read(), &field, &prefix, limit).await.map_err(ApiError::of_query)?;
    json(&FacetOut { field, values: values.into_iter().map(FacetValueOut::from).collect() })
}

fn answer(page: UserSearchPage) -> Answer {
    let UserSearchPage { users, total, next, facets } = page;
    let mut by_field = Map::new();
    for (field, values) in facets {
        let values: Vec<_> = values.into_iter().map(FacetValueOut::from).collect();
        by_field.insert(field, serde_json::to_value(values).unwrap_or_default());
    }
    json(&FoundUsersPageOut { total, users: users.into_iter().map(FoundUserOut::from).collect(), next, facets: Value::Object(by_field) })
}

fn read_search(body: &Value) -> Result<UserSearch, FieldErrors> {
    let mut f = Fields::new(body)?;
    let filter = UserFilter::read(&mut f);
    let q = f.optional_text("q", 0..=TEXT_MAX);
    let sort = f.optional_text("sort", 0..=SORT_MAX);
    let facets = f.list("facets", FACETS_MAX, |text| Ok::<_, std::convert::Infallible>(text.to_owned()));
    let cursor = f.optional_text("cursor", 0..=CURSOR_MAX);
    let size = f.optional_integer("size", 1..=i64::from(PageRequest::SIZE_MAX)).map_or(PageRequest::SIZE_DEFAULT, |size| size as u32);
    let position = cursor.map_or(SearchPosition::Page(0), SearchPosition::Cursor);
    f.finish(Some(UserSearch { filter, q, sort, facets, position, size }))
}

/// A query string as the body that would say the same.
fn as_body(query: &QueryReader) -> Value {
    let mut body = Map::new();
    for name in ["company", "jobTitle", "city", "state", "facets"] {
        let values: Vec<Value> = query.all(name).filter(|value| !value.trim().is_empty()).map(Value::from).collect();
        if !values.is_empty() {
            body.insert(name.to_owned(), Value::Array(values));
        }
    }
    for name in ["minAttended", "maxAttended", "minHosted", "maxHosted", "size"] {
        if let Some(text) = query.raw(name) {
            body.insert(name.to_owned(), text.trim().parse::<i64>().map_or_else(|_| Value::from(text), Value::from));
        }
    }
    for name in ["q", "sort", "cursor"] {
        if let Some(text) = query.raw(name) {
            body.insert(name.to_owned(), Value::from(text));
        }
    }
    Value::Object(body)
}
