//! What the templates know of events and people.

use emcrm_app::when::{zone_name, zone_words};
use emcrm_app::{App, AppError, Attendee, Call, UserList};
use emcrm_model::{Event, EventId, PageRequest, User, UserId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::web::format::{Locale, span};
use crate::web::href;

/// How much of an event is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meter {
    pub taken: i64,
    /// None: no limit.
    pub most: Option<i64>,
    pub left: i64,
    /// `near` from nine tenths, `full`, or nothing.
    pub level: &'static str,
}

impl Meter {
    pub fn of(event: &Event) -> Self {
        let taken = event.attendee_count.max(0);
        let left = event.max_capacity.map_or(i64::MAX, |most| (most - taken).max(0));
        let level = match event.max_capacity {
            Some(_) if left == 0 => "full",
            // A limit has at most ten digits.
            Some(most) if taken * 10 >= most * 9 => "near",
            _ => "",
        };
        Self { taken, most: event.max_capacity, left: if event.max_capacity.is_some() { left } else { 0 }, level }
    }

    pub fn is_full(&self) -> bool {
        self.level == "full"
    }
}

/// A person, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    pub id: String,
    pub name: String,
    pub initials: String,
    pub email: String,
    pub company: Option<String>,
}

impl From<&User> for Named {
    fn from(user: &User) -> Self {
        let full = user.full_name();
        let name = if full.is_empty() { user.email.to_string() } else { full };
        Self { id: user.id.to_string(), initials: initials(&name), name, email: user.email.to_string(), company: user.company.clone() }
    }
}

/// The address of an event's page, and of what lies under it. Ids that an earlier service made may hold anything.
pub fn event_path(id: &EventId, under: &[&str]) -> String {
    under.iter().fold(href::event(id.as_str()), |path, part| format!("{path}/{}", href::segment(part)))
}

/// The first letters of the first and the last word.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let first = words.next();
    first.into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect()
}

/// Owner and hosts, the owner first, each once. Who was deleted is not among them.
pub fn host_order(event: &Event) -> Vec<UserId> {
    let mut ids: Vec<UserId> = Vec::new();
    for id in UserId::lookup(&event.owner).ok().into_iter().chain(event.hosts.iter().cloned()) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

pub async fn named(app: &App, call: &Call, ids: &[UserId]) -> Result<Vec<Named>, AppError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(app.user_get_many(call, ids).await?.iter().flatten().map(Named::from).collect())
}

/// People who may be meant by a few letters.
pub struct Meant {
    pub people: Vec<User>,
    /// The index cannot be asked: only who has exactly this address is found.
    pub down: bool,
}

pub async fn meant(app: &App, call: &Call, text: &str) -> Result<Meant, AppError> {
    match app.user_candidates(call, text).await {
        Ok(people) => Ok(Meant { people, down: false }),
        Err(AppError::Search(error)) => {
            tracing::warn!(%error, "people cannot be searched");
            let by_address = UserList { page: PageRequest::first(), email: Some(text.to_owned()), q: None, sort: None };
            Ok(Meant { people: app.user_list(call, by_address).await?.items, down: true })
        }
        Err(other) => Err(other),
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventView {
    pub id: String,
    pub slug: String,
    pub title: String,
    pub description: Option<String>,
    /// In words, where the event takes place, as the reader writes it.
    pub when: String,
    pub zone: String,
    /// The zone as people write it: `America/New York`.
    pub zone_words: String,
    /// UTC.
    pub starts: String,
    pub ends: String,
    /// `coming`, `running`, `over`.
    pub stands: &'static str,
    pub venue: Option<String>,
    pub public: bool,
    /// Where anybody sees it; a path where the installation does not know its own address.
    pub page: String,
    pub meter: Meter,
}

impl EventView {
    pub fn of(app: &App, event: &Event, locale: Locale) -> Self {
        let zone = &app.settings.default_zone;
        let there = |at: Timestamp| at.to_zoned_datetime(event.zone(zone));
        Self {
            id: event.id.to_string(),
            slug: event.slug.to_string(),
            title: event.title.clone(),
            description: event.description.clone(),
            when: span(&there(event.starts(zone)), &there(event.ends(zone)), locale),
            zone_words: zone_words(&zone_name(event, zone)),
            zone: zone_name(event, zone),
            starts: event.starts(zone).to_string(),
            ends: event.ends(zone).to_string(),
            stands: stands(event, zone, app.now()),
            venue: event.venue.clone(),
            public: event.public,
            page: app.event_url(event).unwrap_or_else(|| format!("/e/{}", event.slug)),
            meter: Meter::of(event),
        }
    }
}

pub fn stands(event: &Event, zone: &TimeZone, now: Timestamp) -> &'static str {
    if event.ends(zone) <= now {
        "over"
    } else if event.starts(zone) <= now {
        "running"
    } else {
        "coming"
    }
}

/// One person at an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttendeeView {
    pub id: String,
    pub name: String,
    pub initials: String,
    pub email: String,
    pub company: Option<String>,
    pub registered: Option<String>,
    pub attended: String,
    pub here: bool,
    /// When the check-in was.
    pub since: Option<String>,
    /// The person was deleted; the place follows in a moment.
    pub gone: bool,
}

impl From<&Attendee> for AttendeeView {
    fn from(attendee: &Attendee) -> Self {
        let name = attendee.name();
        let here = attendee.is_here();
        Self {
            id: attendee.attendance.user_id.to_string(),
            initials: initials(&name),
            name,
            email: attendee.user.as_ref().map(|user| user.email.to_string()).unwrap_or_default(),
            company: attendee.user.as_ref().and_then(|user| user.company.clone()),
            registered: attendee.attendance.created_at.clone(),
            attended: attendee.attendance.attended.clone(),
            here,
            since: attendee.attendance.updated_at.clone().filter(|_| here),
            gone: attendee.user.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_any_id() {
        assert_eq!(event_path(&EventId::from("ä /?".to_owned()), &["attendees", "a.b-c_d"]), "/app/events/%C3%A4%20%2F%3F/attendees/a.b-c_d");
    }

    #[test]
    fn initials_are_those_of_the_first_and_the_last_word() {
        assert_eq!(initials("Mara Okonjo"), "MO");
        assert_eq!(initials("Amara de Nwosu-Bell"), "AN");
        assert_eq!(initials("élodie"), "É");
        assert_eq!(initials("<script> \"x\""), "SX");
        assert_eq!(initials(""), "");
    }

    #[test]
    fn a_meter_is_near_from_nine_tenths_and_full_at_the_limit() {
        let event = |taken: i64, most: Option<i64>| {
            let value = serde_json::json!({"id": "e", "slug": "e", "startAt": "2026-01-01T10:00", "endAt": "2026-01-01T11:00", "attendeeCount": taken, "maxCapacity": most});
            Meter::of(&serde_json::from_value(value).unwrap())
        };
        assert_eq!((event(8, Some(10)).level, event(9, Some(10)).level, event(10, Some(10)).level, event(11, Some(10)).left), ("", "near", "full", 0));
        assert_eq!(event(3, None), Meter { taken: 3, most: None, left: 0, level: "" });
    }
}
