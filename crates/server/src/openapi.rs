//! The OpenAPI document: what the handlers say, plus what is true of all of them.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::info::InfoBuilder;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, HttpMethod, OpenApi};
use utoipa::{PartialSchema, ToSchema};

use crate::api::error::{FieldFaultOut, ProblemOut};
use crate::http::schema;
use crate::router::described_api;

const ABOUT: &str = "People, events, attendance, search and campaigns. A path works with and without a trailing slash. Writes accept \
    `Idempotency-Key` (24 hours) and `If-Match`; reads of one object carry an `ETag`. Every answer carries `X-Request-Id`.";

/// The complete document. `name` is what this installation is called.
pub fn document(name: &str) -> OpenApi {
    let mut api = described_api();
    api.info = InfoBuilder::new().title(format!("{name} API")).version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT)).build();
    let components = api.components.get_or_insert_with(Components::new);
    for (name, problem) in [(ProblemOut::name(), ProblemOut::schema()), (FieldFaultOut::name(), FieldFaultOut::schema())] {
        components.schemas.insert(name.into_owned(), problem);
    }
    api.tags = Some(["Users", "Events", "Attendance", "Search", "Email", "Health", "Auth"].map(|tag| TagBuilder::new().name(tag).build()).to_vec());
    for item in api.paths.paths.values_mut() {
        for (method, operation) in operations(item) {
            complete(operation, &method);
        }
    }
    api
}

/// The operations of a path.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let PathItem { get, put, post, patch, delete, .. } = item;
    [
        (HttpMethod::Get, get.as_mut()),
        (HttpMethod::Put, put.as_mut()),
        (HttpMethod::Post, post.as_mut()),
        (HttpMethod::Patch, patch.as_mut()),
        (HttpMethod::Delete, delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// Adds the answers that follow from what an operation takes.
fn complete(operation: &mut Operation, method: &HttpMethod) {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let takes =
        |place: &ParameterIn| parameters.iter().any(|parameter| matches!(parameter, utoipa::openapi::RefOr::T(parameter) if parameter.parameter_in == *place));
    let (in_path, in_query, body) = (takes(&ParameterIn::Path), takes(&ParameterIn::Query), operation.request_body.is_some());
    let has_tag = |name: &str| operation.tags.as_ref().is_some_and(|tags| tags.iter().any(|tag| tag == name));
    let open = has_tag("Health") || has_tag("Auth");
    let write = !matches!(method, HttpMethod::Get) && !open;

    let mut answers: Vec<(&str, &str)> = Vec::new();
    if in_path {
        answers.push(("404", "There is no such object"));
    }
    if in_query {
        answers.push(("400", "The cursor is not of this list, or the page is too deep"));
    }
    if in_query || body || write {
        answers.push(("422", "Faulty fields, all of them; or an Idempotency-Key that was used with another request"));
    }
    if body {
        answers.push(("413", "The body is larger than 1 MiB"));
        answers.push(("415", "The body is not JSON"));
    }
    if write {
        answers.push(("400", "A header cannot be read"));
        answers.push(("409", "Many are changing the same object at once"));
        answers.push(("412", "If-Match is stale"));
    }
    if !open {
        answers.push(("503", "The storage or the search is not available, or there are too many requests"));
    }
    for (status, description) in answers {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem(description).into());
    }
    operation.responses.responses.entry("default".to_owned()).or_insert_with(|| problem("Any other error").into());
}

fn problem(description: &str) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(schema::reference("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}
