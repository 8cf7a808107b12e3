//! `/app/people`: finding people, and what can be done with those that were found.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use emcrm_app::search::{FacetValue, SearchPosition, UserSearch, UserSearchPage};
use emcrm_app::{AppError, UserList};
use emcrm_model::{PageRequest, Position, User};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::query::{FIELDS, PeopleQuery, RANGES, SIZES, values, values_mut};
use super::to_event;
use crate::api::error::ApiError;
use crate::auth::{Auth, Viewer};
use crate::http::QueryReader;
use crate::router::ApiState;
use crate::web::href::with_query;
use crate::web::pages::{page, see_other, wants_part};
use crate::web::shell::{Place, Shell};

/// Pages that the way back leads through; further back it leads to the first.
const TRAIL_MAX: usize = 12;
/// What an address says whose cursor is of the storage.
const STORAGE: &str = "storage";
/// Values of a facet that are shown before "more".
const SHOWN: usize = 6;

#[derive(Serialize)]
struct ListPage {
    shell: Shell,
    /// htmx asked for the results alone.
    part: bool,
    q: String,
    sort: String,
    size: u32,
    sizes: [u32; 3],
    faults: Vec<String>,
    /// The index cannot be asked.
    down: bool,
    total: u64,
    rows: Vec<Row>,
    columns: Vec<Column>,
    sorted: String,
    facets: Vec<Facet>,
    ranges: Vec<Range>,
    chips: Vec<Chip>,
    filters: usize,
    number: usize,
    pages: u64,
    next: Option<String>,
    previous: Option<String>,
    mail: String,
    /// Where all whom the filters find are put on an event's list; nothing where there are too many, or words chose them.
    to_event: Option<String>,
    export: String,
    /// The address without conditions.
    all: String,
    /// The conditions, for forms that carry them along.
    pairs: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub initials: String,
    pub email: String,
    pub job_title: Option<String>,
    pub company: Option<String>,
    pub city: Option<String>,
    pub state: Option<String>,
    pub attended: i64,
    pub hosted: i64,
    pub created_at: Option<String>,
}

#[derive(Serialize)]
struct Column {
    name: &'static str,
    class: &'static str,
    href: String,
    /// `ascending`, `descending` or nothing.
    order: Option<&'static str>,
}

#[derive(Serialize)]
struct Facet {
    name: &'static str,
    label: &'static str,
    values: Vec<Choice>,
    more: Vec<Choice>,
    chosen: bool,
}

#[derive(Serialize)]
struct Choice {
    id: String,
    value: String,
    /// Unknown for a value that is chosen and not among the most frequent.
    count: Option<u64>,
    chosen: bool,
}

#[derive(Serialize)]
struct Range {
    label: &'static str,
    min_name: &'static str,
    max_name: &'static str,
    min: Option<i64>,
    max: Option<i64>,
}

#[derive(Serialize)]
struct Chip {
    label: &'static str,
    text: String,
    /// The address without this condition.
    without: String,
}

impl From<User> for Row {
    fn from(user: User) -> Self {
        let name = name_of(&user);
        Self {
            initials: initials(&name),
            name,
            id: user.id.into(),
            email: user.email.into(),
            job_title: user.job_title,
            company: user.company,
            city: user.city,
            state: user.state,
            attended: user.attended_count,
            hosted: user.hosted_count,
            created_at: user.created_at,
        }
    }
}

/// The name, or the address of somebody who has none.
pub fn name_of(user: &User) -> String {
    let name = user.full_name();
    if name.is_empty() { user.email.to_string() } else { name }
}

/// First letters of the first and the last word.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().next());
    let first = words.next();
    first.into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect()
}

/// The page, or its results alone for htmx.
pub async fn list(auth: Auth<Viewer>, State(state): State<ApiState>, headers: HeaderMap, mut reader: QueryReader) -> Result<Response, ApiError> {
    let (query, mut faults) = PeopleQuery::read(&mut reader);
    let trail: Vec<&str> = reader.raw("trail").unwrap_or_default().split('.').filter(|cursor| !cursor.is_empty()).collect();
    let cursor = reader.raw("cursor").filter(|cursor| !cursor.is_empty());
    // Of a list that was begun while nothing could be searched.
    let of_storage = cursor.is_some() && reader.raw("from") == Some(STORAGE);
    let shell = Shell::of(&auth, &state, Place::People);
    let mut status = StatusCode::OK;
    let mut down = false;
    let found = if faults.is_empty() {
        match search(&auth, &query, cursor.filter(|_| !of_storage)).await {
            Ok(_) if of_storage => return see_other(&query.address("/app/people", &[])),
            Ok(found) => found,
            // Cursors of an earlier search, or of an index that was made anew: begin at the beginning.
            Err(AppError::BadCursor) => return see_other(&query.address("/app/people", &[])),
            Err(AppError::Invalid(wrong)) => {
                status = StatusCode::UNPROCESSABLE_ENTITY;
                faults.extend(wrong.0.into_iter().map(|fault| fault.message));
                nothing()
            }
            Err(AppError::Search(error)) => {
                tracing::warn!(%error, "people cannot be searched");
                down = true;
                if query.is_unfiltered() {
                    match stored(&auth, &query, cursor).await {
                        Ok(found) => found,
                        // A cursor of the index.
                        Err(AppError::BadCursor) => return see_other(&query.address("/app/people", &[])),
                        Err(other) => return Err(other.into()),
                    }
                } else {
                    status = StatusCode::SERVICE_UNAVAILABLE;
                    nothing()
                }
            }
            Err(other) => return Err(other.into()),
        }
    } else {
        status = StatusCode::UNPROCESSABLE_ENTITY;
        nothing()
    };
    if query.is_unfiltered() && found.total == 0 && status != StatusCode::UNPROCESSABLE_ENTITY && nobody_is_there(&auth).await? {
        return super::start::page_of(shell, auth.app());
    }
    let part = wants_part(&headers);
    let context = context_of(shell, part, &query, faults, down, found, cursor, &trail);
    // htmx puts in what comes with these, and says so when it does not.
    let status = if part && status == StatusCode::SERVICE_UNAVAILABLE { StatusCode::OK } else { status };
    page(status, if part { "people/results.html" } else { "people/list.html" }, context)
}

/// The storage's own count: an index that is new knows nobody.
async fn nobody_is_there(auth: &Auth<Viewer>) -> Result<bool, AppError> {
    let page = PageRequest { position: Position::Number(1), size: 1 };
    Ok(auth.app().user_list(auth.read(), UserList { page, email: None, q: None, sort: None }).await?.total == 0)
}

/// Everybody as the storage has them, while nothing can be searched or put into order.
async fn stored(auth: &Auth<Viewer>, query: &PeopleQuery, cursor: Option<&str>) -> Result<UserSearchPage, AppError> {
    let position = cursor.map_or(Position::Number(1), |cursor| Position::Cursor(cursor.to_owned()));
    let list = UserList { page: PageRequest { position, size: query.size }, email: None, q: None, sort: None };
    let found = auth.app().user_list(auth.read(), list).await?;
    Ok(UserSearchPage { users: found.items, total: found.total, next: found.next, facets: Vec::new() })
}

fn nothing() -> UserSearchPage {
    UserSearchPage { users: Vec::new(), total: 0, next: None, facets: Vec::new() }
}

async fn search(auth: &Auth<Viewer>, query: &PeopleQuery, cursor: Option<&str>) -> Result<UserSearchPage, AppError> {
    // The values of a field that has a condition are counted without it, so that another one can be added.
    let (bound, open): (Vec<&str>, Vec<&str>) = FIELDS.iter().map(|(name, _)| *name).partition(|name| !values(&query.filter, name).is_empty());
    let ask = |filter, facets: Vec<&str>, position, size| UserSearch {
        filter,
        q: query.q.clone(),
        sort: query.sort.clone().or_else(|| query.q.is_none().then(|| "name".to_owned())),
        facets: facets.into_iter().map(str::to_owned).collect(),
        position,
        size,
    };
    let position = cursor.map_or(SearchPosition::Page(0), |cursor| SearchPosition::Cursor(cursor.to_owned()));
    let mut found = auth.app().user_search(auth.read(), ask(query.filter.clone(), open, position, query.size)).await?;
    for name in bound {
        let mut filter = query.filter.clone();
        if let Some(values) = values_mut(&mut filter, name) {
            values.clear();
        }
        found.facets.extend(auth.app().user_search(auth.read(), ask(filter, vec![name], SearchPosition::Page(0), 1)).await?.facets);
    }
    Ok(found)
}

#[expect(clippy::too_many_arguments, reason = "called once")]
fn context_of(
    shell: Shell,
    part: bool,
    query: &PeopleQuery,
    faults: Vec<String>,
    down: bool,
    found: UserSearchPage,
    cursor: Option<&str>,
    trail: &[&str],
) -> ListPage {
    let number = trail.len() + 1 + usize::from(cursor.is_some());
    let at = |cursor: &str, trail: &[&str]| {
        let place = [("cursor", cursor), ("trail", &trail.join(".")), ("from", STORAGE)];
        query.address("/app/people", place.get(..if down { 3 } else { 2 }).unwrap_or_default())
    };
    let previous = cursor.map(|_| match trail.split_last() {
        Some((last, rest)) => at(last, rest),
        None => query.address("/app/people", &[]),
    });
    let next = found.next.map(|next| {
        let passed: Vec<&str> = trail.iter().copied().chain(cursor).collect();
        let kept = passed.get(passed.len().saturating_sub(TRAIL_MAX)..).unwrap_or_default();
        at(&next, kept)
    });
    let filter_pairs = query.filter_pairs();
    let chips = chips(query);
    ListPage {
        shell,
        part,
        q: query.q.clone().unwrap_or_default(),
        sort: query.sort.clone().unwrap_or_default(),
        size: query.size,
        sizes: SIZES,
        faults,
        down,
        total: found.total,
        rows: found.users.into_iter().map(Row::from).collect(),
        columns: columns(query, down),
        sorted: if down { "in no order".to_owned() } else { sorted(query) },
        facets: FIELDS.iter().map(|(name, label)| facet(name, label, values(&query.filter, name), &found.facets)).collect(),
        ranges: ranges(query),
        filters: chips.len(),
        chips,
        number,
        pages: found.total.div_ceil(u64::from(query.size.max(1))),
        next,
        previous,
        mail: with_query("/app/campaigns/new", filter_pairs.iter().map(|(name, value)| (*name, value.as_str()))),
        to_event: (query.q.is_none() && !down && (1..=to_event::MOST as u64).contains(&found.total)).then(|| query.address("/app/people/to-event", &[])),
        export: PeopleQuery { size: 50, ..query.clone() }.address("/app/people/export.csv", &[]),
        all: "/app/people".to_owned(),
        pairs: query.pairs(),
    }
}

const COLUMNS: [(&str, &str, &str, bool); 8] = [
    ("name", "Name", "", false),
    ("jobTitle", "Job title", "p2", false),
    ("company", "Company", "p2", false),
    ("city", "City", "p3", false),
    ("state", "State", "p4", false),
    ("attendedCount", "Attended", "num", true),
    ("hostedCount", "Hosted", "num p2", true),
    ("createdAt", "Added", "num p4", true),
];

/// Counts and moments begin with the largest. `unsorted`: the list is in no order, whatever was asked for.
fn columns(query: &PeopleQuery, unsorted: bool) -> Vec<Column> {
    let now = if unsorted { "" } else { query.sort.as_deref().unwrap_or(if query.q.is_none() { "name" } else { "" }) };
    let column = |(field, name, class, big_first): (&str, &'static str, &'static str, bool)| {
        let (up, down) = (field.to_owned(), format!("-{field}"));
        let order = if now == up {
            Some("ascending")
        } else if now == down {
            Some("descending")
        } else {
            None
        };
        let sort = match (order, big_first) {
            (Some("ascending"), _) | (None, true) => down,
            _ => up,
        };
        Column { name, class, href: PeopleQuery { sort: Some(sort), ..query.clone() }.address("/app/people", &[]), order }
    };
    COLUMNS.into_iter().map(column).collect()
}

/// The order in words.
fn sorted(query: &PeopleQuery) -> String {
    let Some(sort) = query.sort.as_deref() else { return if query.q.is_none() { "by name" } else { "best match first" }.to_owned() };
    let (field, down) = sort.strip_prefix('-').map_or((sort, false), |field| (field, true));
    let name = COLUMNS.iter().find(|(have, ..)| *have == field).map_or("name", |(_, name, ..)| name).to_lowercase();
    match (field, down) {
        ("attendedCount" | "hostedCount", true) => format!("most {name} first"),
        ("attendedCount" | "hostedCount", false) => format!("least {name} first"),
        ("createdAt", true) => "newest first".to_owned(),
        ("createdAt", false) => "oldest first".to_owned(),
        (_, true) => format!("by {name}, backwards"),
        (_, false) => format!("by {name}"),
    }
}

fn facet(name: &'static str, label: &'static str, chosen: &[String], found: &[(String, Vec<FacetValue>)]) -> Facet {
    let counted = found.iter().find(|(have, _)| have == name).map(|(_, values)| values.as_slice()).unwrap_or_default();
    let is_chosen = |value: &str| chosen.iter().any(|one| emcrm_model::fold(one) == emcrm_model::fold(value));
    let choice = |value: &str, count| Choice { id: choice_id(name, value), value: value.to_owned(), count, chosen: is_chosen(value) };
    let missing = chosen.iter().filter(|one| !counted.iter().any(|have| emcrm_model::fold(&have.value) == emcrm_model::fold(one)));
    let mut values: Vec<Choice> = missing.map(|value| choice(value, None)).collect();
    values.extend(counted.iter().map(|have| choice(&have.value, Some(have.count))));
    // What is chosen is in sight.
    values.sort_by_key(|one| !one.chosen);
    let more = values.split_off(values.len().min(SHOWN.max(chosen.len())));
    Facet { name, label, values, more, chosen: !chosen.is_empty() }
}

/// The same for the same value on every page, so that the focus stays where it was when the list is replaced.
fn choice_id(name: &str, value: &str) -> String {
    let digest = Sha256::digest(value.as_bytes());
    digest.iter().take(5).fold(format!("f-{name}-"), |id, byte| format!("{id}{byte:02x}"))
}

fn ranges(query: &PeopleQuery) -> Vec<Range> {
    let filter = &query.filter;
    let bounds = [(filter.min_attended, filter.max_attended), (filter.min_hosted, filter.max_hosted)];
    RANGES.into_iter().zip(bounds).map(|((min_name, max_name, label), (min, max))| Range { label, min_name, max_name, min, max }).collect()
}

fn chips(query: &PeopleQuery) -> Vec<Chip> {
    let mut chips = Vec::new();
    for (name, label) in FIELDS {
        if let [first, rest @ ..] = values(&query.filter, name) {
            let mut without = query.clone();
            if let Some(values) = values_mut(&mut without.filter, name) {
                values.clear();
            }
            let text = if rest.is_empty() { first.clone() } else { format!("{first} +{}", rest.len()) };
            chips.push(Chip { label, text, without: without.address("/app/people", &[]) });
        }
    }
    for range in ranges(query) {
        let text = match (range.min, range.max) {
            (None, None) => continue,
            (Some(min), None) => format!("{min} or more"),
            (None, Some(max)) => format!("{max} or fewer"),
            (Some(min), Some(max)) if min == max => format!("{min}"),
            (Some(min), Some(max)) => format!("{min} to {max}"),
        };
        let mut without = query.clone();
        if range.label == "Attended" {
            (without.filter.min_attended, without.filter.max_attended) = (None, None);
        } else {
            (without.filter.min_hosted, without.filter.max_hosted) = (None, None);
        }
        chips.push(Chip { label: range.label, text, without: without.address("/app/people", &[]) });
    }
    chips
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_the_first_and_the_last_word() {
        assert_eq!(initials("Mara Okonjo"), "MO");
        assert_eq!(initials("amara de nwosu-bell"), "AN");
        assert_eq!(initials("Teo"), "T");
        assert_eq!(initials("  "), "");
    }
}
