//! Putting several people on an event's list: those who were selected, or all whom the list's filters find. A page asks for which event.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::bulk::PutOnList;
use emcrm_app::events::Ends;
use emcrm_app::{AppError, EventList};
use emcrm_model::{Event, FieldErrors, PageRequest, User, UserId, fold};
use serde::Serialize;

use super::list::name_of;
use super::query::PeopleQuery;
use crate::api::error::ApiError;
use crate::auth::{Auth, Editor};
use crate::http::QueryReader;
use crate::router::ApiState;
use crate::web::events::view::{EventView, Named, event_path};
use crate::web::format::{Locale, number};
use crate::web::pages::{page, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

/// People of one go: it is answered when it is done.
pub const MOST: usize = 2_000;

#[derive(Serialize)]
struct ToEventPage {
    shell: Shell,
    people: Vec<Named>,
    /// All whom the filters find, instead of those who are named.
    all: bool,
    events: Vec<EventView>,
    told: Told,
    back: String,
    /// The list's conditions, to come back to.
    pairs: Vec<(&'static str, String)>,
}

/// What the page says besides.
#[derive(Default, Serialize)]
struct Told {
    fault: Option<&'static str>,
    /// Not as many are found as the page showed that was answered.
    changed: bool,
    /// What was done for others, where no place was left for these.
    done: Option<String>,
    /// The event that was chosen already.
    chosen: Option<String>,
}

/// Asks about all whom the filters find.
pub async fn ask(auth: Auth<Editor>, State(state): State<ApiState>, mut reader: QueryReader) -> Result<Response, ApiError> {
    let (query, faults) = PeopleQuery::read(&mut reader);
    reader.check()?;
    if let Some(fault) = faults.into_iter().next() {
        return Err(FieldErrors::one("", "value_error", fault).into());
    }
    match found(&auth, &query).await? {
        Ok(people) if people.is_empty() => see_other(&query.address("/app/people", &[])),
        Ok(people) => show(&auth, &state, &query, people, true, StatusCode::OK, Told::default()).await,
        Err(why) => Ok(flash(see_other(&query.address("/app/people", &[]))?, why, None)),
    }
}

/// Asks for which event; with `event` it adds them.
pub async fn add(auth: Auth<Editor>, State(state): State<ApiState>, form: Form) -> Result<Response, ApiError> {
    let call = auth.write(&form)?;
    let (query, faults) = PeopleQuery::read_form(&form);
    let back = query.address("/app/people", &[]);
    let all = form.value("all").is_some();
    if let Some(fault) = faults.into_iter().next().filter(|_| all) {
        return Err(FieldErrors::one("", "value_error", fault).into());
    }
    let people = if all { found(&auth, &query).await? } else { selected(&auth, &form).await.map(Ok)? };
    let people = match people {
        Ok(people) if people.is_empty() => return Ok(flash(see_other(&back)?, "Nobody was selected", None)),
        Ok(people) => people,
        Err(why) => return Ok(flash(see_other(&back)?, why, None)),
    };
    // Whoever sees a number adds so many. A campaign asks again in the same way.
    if all && form.value("expected") != Some(people.len().to_string().as_str()) {
        let told = Told { changed: true, chosen: form.value("event").map(str::to_owned), ..Told::default() };
        return show(&auth, &state, &query, people, all, StatusCode::CONFLICT, told).await;
    }
    let Some(chosen) = form.value("event") else { return show(&auth, &state, &query, people, all, StatusCode::OK, Told::default()).await };
    let event = match auth.app().event_get(auth.read(), chosen).await {
        Ok(event) => event,
        Err(AppError::EventUnknown) => {
            let fault = if chosen.is_empty() { "Choose an event." } else { "This event was deleted meanwhile. Choose another one." };
            return show(&auth, &state, &query, people, all, StatusCode::UNPROCESSABLE_ENTITY, Told { fault: Some(fault), ..Told::default() }).await;
        }
        Err(other) => return Err(other.into()),
    };
    let ids: Vec<UserId> = people.iter().map(|user| user.id.clone()).collect();
    let done = auth.app().attendances_add(&call, &event.id, &ids).await?;
    let words = words(&done, &event, auth.locale());
    if done.unplaced.is_empty() {
        return Ok(flash(see_other(&event_path(&event.id, &[]))?, &words, None));
    }
    let unplaced: HashSet<&UserId> = done.unplaced.iter().collect();
    let left = people.into_iter().filter(|user| unplaced.contains(&user.id)).collect();
    show(&auth, &state, &query, left, false, StatusCode::OK, Told { done: Some(words), ..Told::default() }).await
}

/// Everybody whom the filters find, by name; or why they cannot be taken.
async fn found(auth: &Auth<Editor>, query: &PeopleQuery) -> Result<Result<Vec<User>, &'static str>, AppError> {
    if query.q.is_some() {
        return Ok(Err("Free text never chooses who is added. Use the filters, or select people"));
    }
    let (mut people, mut after) = (Vec::new(), None);
    loop {
        let (users, next) = auth.app().user_walk(auth.read(), &query.filter, None, after).await?;
        people.extend(users);
        if people.len() > MOST {
            return Ok(Err("At most 2,000 people are added at once. Use the filters to find fewer"));
        }
        let Some(next) = next else { break };
        after = Some(next);
    }
    people.sort_by_cached_key(|user| (fold(&name_of(user)), user.id.clone()));
    Ok(Ok(people))
}

/// Those who were selected, in the order of the list.
async fn selected(auth: &Auth<Editor>, form: &Form) -> Result<Vec<User>, AppError> {
    let ids: Vec<UserId> = form.all("id").filter_map(|id| UserId::lookup(id).ok()).take(MOST).collect();
    Ok(auth.app().user_get_many(auth.read(), &ids).await?.into_iter().flatten().collect())
}

async fn show(
    auth: &Auth<Editor>,
    state: &ApiState,
    query: &PeopleQuery,
    people: Vec<User>,
    all: bool,
    status: StatusCode,
    told: Told,
) -> Result<Response, ApiError> {
    let context = ToEventPage {
        shell: Shell::of(auth, state, Place::People),
        people: people.iter().map(Named::from).collect(),
        all,
        events: events(auth).await?.iter().map(|event| EventView::of(auth.app(), event, auth.locale())).collect(),
        told,
        back: query.address("/app/people", &[]),
        pairs: query.pairs(),
    };
    page(status, "people/to-event.html", context)
}

/// Events that are not over, the next first.
async fn events(auth: &Auth<Editor>) -> Result<Vec<Event>, AppError> {
    let now = auth.app().now();
    let first = PageRequest { size: PageRequest::SIZE_MAX, ..PageRequest::first() };
    let list = |ends, sort| EventList { page: first.clone(), from: None, to: None, ends, q: None, owner: None, host: None, sort };
    match auth.app().event_list(auth.read(), list(Ends::After(now), Some("startAt".to_owned()))).await {
        // They are in the storage, whatever the index does.
        Err(AppError::Search(error)) => {
            tracing::warn!(%error, "events cannot be searched");
            let zone = &auth.app().settings.default_zone;
            let all = auth.app().event_list(auth.read(), list(Ends::Whenever, None)).await?;
            Ok(all.items.into_iter().filter(|event| event.ends(zone) > now).collect())
        }
        found => Ok(found?.items),
    }
}

/// What became of them, in numbers.
fn words(done: &PutOnList, event: &Event, locale: Locale) -> String {
    let said = |count: usize, one: &str, many: &str| if count == 1 { format!("1 {one}") } else { format!("{} {many}", number(count as i64, locale)) };
    let mut words = vec![match done.added {
        0 => format!("Nobody was added to “{}”.", event.title),
        added => format!("{} on the list of “{}” now.", said(added, "person is", "people are"), event.title),
    }];
    let more = [
        (done.already, ("was on it already.", "were on it already.")),
        (done.unplaced.len(), ("found no place.", "found no place.")),
        (done.gone, ("was deleted meanwhile.", "were deleted meanwhile.")),
    ];
    words.extend(more.into_iter().filter(|(count, _)| *count > 0).map(|(count, (one, many))| said(count, one, many)));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_became_of_each_is_said_in_numbers() {
        let event = serde_json::json!({"id": "e", "slug": "e", "title": "Talks", "startAt": "2026-01-01T10:00", "endAt": "2026-01-01T11:00"});
        let event: Event = serde_json::from_value(event).unwrap();
        let said = |added, already, unplaced, gone| {
            let unplaced = vec![UserId::lookup("u").unwrap(); unplaced];
            words(&PutOnList { added, already, unplaced, gone }, &event, Locale::EnUs)
        };
        assert_eq!(said(1, 0, 0, 0), "1 person is on the list of “Talks” now.");
        assert_eq!(said(1284, 1, 2, 1), "1,284 people are on the list of “Talks” now. 1 was on it already. 2 found no place. 1 was deleted meanwhile.");
        assert_eq!(said(0, 3, 1, 2), "Nobody was added to “Talks”. 3 were on it already. 1 found no place. 2 were deleted meanwhile.");
    }
}
