//! What stands in the form of an event: texts as they were typed, so that nothing is lost, whatever is wrong with them.

use std::collections::BTreeMap;

use emcrm_model::{DateTime, Event, EventDraft, FieldErrors};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::web_form::Form;

/// Texts of one form. A stored event has them too, so what somebody saw, typed, and what is stored now can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EventFields {
    pub title: String,
    pub slug: String,
    pub description: String,
    /// As an input of type `datetime-local` has it: wall-clock time in the event's zone.
    pub start_at: String,
    pub end_at: String,
    pub timezone: String,
    pub venue: String,
    pub max_capacity: String,
    pub owner: String,
    pub hosts: Vec<String>,
    pub public: bool,
}

/// Longest id that is looked at.
const ID_MAX: usize = 50;
/// Hosts that are looked at; the model refuses more than ten with its own words.
const HOSTS_MAX: usize = 50;

/// Name of a field and what it is called.
pub const LABELS: [(&str, &str); 11] = [
    ("title", "Title"),
    ("slug", "Public address"),
    ("description", "Description"),
    ("startAt", "Starts"),
    ("endAt", "Ends"),
    ("timezone", "Time zone"),
    ("venue", "Venue"),
    ("maxCapacity", "Capacity"),
    ("owner", "Owner"),
    ("hosts", "Hosts"),
    ("public", "Public page"),
];

impl EventFields {
    pub fn of(event: &Event, default_zone: &TimeZone) -> Self {
        let zone = event.zone(default_zone);
        let local = |at: &DateTime| {
            let at = at.instant(&zone).to_zoned_datetime(zone.clone());
            at.strftime(if at.second() == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" }).to_string()
        };
        Self {
            title: event.title.clone(),
            slug: event.slug.to_string(),
            description: event.description.clone().unwrap_or_default(),
            start_at: local(&event.start_at),
            end_at: local(&event.end_at),
            timezone: event.timezone.clone().unwrap_or_default(),
            venue: event.venue.clone().unwrap_or_default(),
            max_capacity: event.max_capacity.map(|most| most.to_string()).unwrap_or_default(),
            owner: event.owner.clone(),
            hosts: event.hosts.iter().map(ToString::to_string).collect(),
            public: event.public,
        }
    }

    pub fn typed(form: &Form) -> Self {
        let text = |name: &str| form.value(name).unwrap_or_default().replace("\r\n", "\n");
        let trimmed = |name: &str| text(name).trim().to_owned();
        let mut hosts: Vec<String> = Vec::new();
        for host in form.all("hosts").filter(|host| !host.is_empty() && host.chars().count() <= ID_MAX).take(HOSTS_MAX) {
            if !hosts.iter().any(|have| have == host) {
                hosts.push(host.to_owned());
            }
        }
        Self {
            title: trimmed("title"),
            slug: trimmed("slug"),
            description: trimmed("description"),
            start_at: trimmed("startAt"),
            end_at: trimmed("endAt"),
            timezone: trimmed("timezone"),
            venue: trimmed("venue"),
            max_capacity: trimmed("maxCapacity"),
            owner: trimmed("owner").chars().take(ID_MAX).collect(),
            hosts,
            public: form.value("public").is_some(),
        }
    }

    /// What is to be stored. `old`: the event that the form was made of; a moment that was not touched stays exactly as it is stored.
    pub fn draft(&self, old: Option<&Event>, default_zone: &TimeZone) -> Result<EventDraft, FieldErrors> {
        let some = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
        let number = |text: &str| text.replace([' ', ',', '\u{202f}'], "").parse::<i64>().map_or_else(|_| some(text), Value::from);
        let stored = old.map(|event| (Self::of(event, default_zone), event));
        let untouched = |get: fn(&Self) -> &str, at: fn(&Event) -> &DateTime| {
            let (was, event) = stored.as_ref()?;
            (get(was) == get(self) && was.timezone == self.timezone).then(|| at(event).as_str().to_owned())
        };
        let start = untouched(|fields| &fields.start_at, |event| &event.start_at).unwrap_or_else(|| self.start_at.clone());
        let end = untouched(|fields| &fields.end_at, |event| &event.end_at).unwrap_or_else(|| self.end_at.clone());
        let body = json!({
            "title": self.title,
            "slug": some(&self.slug),
            "description": some(&self.description),
            "startAt": start,
            "endAt": end,
            "timezone": some(&self.timezone),
            "venue": some(&self.venue),
            "maxCapacity": number(&self.max_capacity),
            "owner": some(&self.owner),
            "hosts": self.hosts,
            "public": self.public,
        });
        EventDraft::parse(&body, default_zone)
    }

    /// The text of one field, for comparing and for showing.
    pub fn text(&self, name: &str) -> String {
        match name {
            "title" => self.title.clone(),
            "slug" => self.slug.clone(),
            "description" => self.description.clone(),
            "startAt" => self.start_at.clone(),
            "endAt" => self.end_at.clone(),
            "timezone" => self.timezone.clone(),
            "venue" => self.venue.clone(),
            "maxCapacity" => self.max_capacity.clone(),
            "owner" => self.owner.clone(),
            "hosts" => self.hosts.join(" "),
            "public" => if self.public { "yes" } else { "no" }.to_owned(),
            _ => String::new(),
        }
    }

    /// Takes one field over.
    pub fn take(&mut self, name: &str, from: &Self) {
        match name {
            "title" => self.title.clone_from(&from.title),
            "slug" => self.slug.clone_from(&from.slug),
            "description" => self.description.clone_from(&from.description),
            "startAt" => self.start_at.clone_from(&from.start_at),
            "endAt" => self.end_at.clone_from(&from.end_at),
            "timezone" => self.timezone.clone_from(&from.timezone),
            "venue" => self.venue.clone_from(&from.venue),
            "maxCapacity" => self.max_capacity.clone_from(&from.max_capacity),
            "owner" => self.owner.clone_from(&from.owner),
            "hosts" => self.hosts.clone_from(&from.hosts),
            "public" => self.public = from.public,
            _ => {}
        }
    }
}

/// What somebody else made of a field meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Theirs {
    /// In words.
    pub value: String,
    /// Nobody here had touched the field, so it has their value already.
    pub taken: bool,
}

/// Puts theirs beside ours. What was not touched here takes their value; where both changed a field, ours stays and theirs is shown.
pub fn merge(ours: &mut EventFields, seen: &EventFields, now: &EventFields) -> BTreeMap<&'static str, Theirs> {
    let mut theirs = BTreeMap::new();
    for (name, _) in LABELS {
        let (our, was, is) = (ours.text(name), seen.text(name), now.text(name));
        if is == was || is == our {
            continue;
        }
        let taken = our == was;
        if taken {
            ours.take(name, now);
        }
        theirs.insert(name, Theirs { value: is, taken });
    }
    theirs
}

/// Faults by field, in the words of a form.
pub fn faults(errors: &FieldErrors) -> BTreeMap<String, String> {
    let mut by_field = BTreeMap::new();
    for error in &errors.0 {
        let name = error.path.first().cloned().unwrap_or_default();
        let words = match (name.as_str(), error.kind) {
            ("startAt" | "endAt", "string_too_short" | "missing") => "Choose a day and a time.".to_owned(),
            ("startAt" | "endAt", "value_error") if !error.message.starts_with("must") => "This is not a day and a time.".to_owned(),
            ("endAt", _) if error.message.starts_with("must be after") => "The end must be after the start.".to_owned(),
            ("slug", _) => "3 to 50 small letters and digits, in groups joined by single hyphens.".to_owned(),
            ("title", "string_too_short") => "A title has at least 3 characters.".to_owned(),
            (_, "int_type") => "This is not a whole number.".to_owned(),
            _ => sentence(&error.message),
        };
        by_field.entry(name).or_insert(words);
    }
    by_field
}

/// `must be…` as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        serde_json::from_value(json!({
            "id": "e1", "slug": "talks", "title": "Talks", "startAt": "2026-11-28T10:00:00.123+01:00", "endAt": "2026-11-28T15:30:00Z",
            "timezone": "America/Chicago", "maxCapacity": 20, "hosts": ["u1", "u2"],
        }))
        .unwrap()
    }

    #[test]
    fn times_are_shown_in_the_events_zone_and_stay_exact_when_they_are_not_touched() {
        let fields = EventFields::of(&event(), &TimeZone::UTC);
        assert_eq!((fields.start_at.as_str(), fields.end_at.as_str()), ("2026-11-28T03:00", "2026-11-28T09:30"));
        let draft = fields.draft(Some(&event()), &TimeZone::UTC).unwrap();
        assert_eq!(draft, EventDraft::of(&event()));
        // Another zone means the same hour of the clock there.
        let moved = EventFields { timezone: "Europe/Berlin".to_owned(), ..fields.clone() }.draft(Some(&event()), &TimeZone::UTC).unwrap();
        assert_eq!(moved.start_at.as_str(), "2026-11-28T03:00");
        let later = EventFields { end_at: "2026-11-28T10:00".to_owned(), ..fields }.draft(Some(&event()), &TimeZone::UTC).unwrap();
        assert_eq!((later.start_at.as_str(), later.end_at.as_str()), ("2026-11-28T10:00:00.123+01:00", "2026-11-28T10:00"));
    }

    #[test]
    fn what_only_they_changed_is_taken_over_and_what_both_changed_is_shown() {
        let seen = EventFields::of(&event(), &TimeZone::UTC);
        let now = EventFields { venue: "Room 5".to_owned(), title: "Talks II".to_owned(), max_capacity: "30".to_owned(), ..seen.clone() };
        let mut ours = EventFields { title: "Our talks".to_owned(), max_capacity: "30".to_owned(), description: "New".to_owned(), ..seen.clone() };
        let theirs = merge(&mut ours, &seen, &now);
        assert_eq!(ours, EventFields { title: "Our talks".to_owned(), description: "New".to_owned(), ..now.clone() });
        assert_eq!(
            theirs.into_iter().collect::<Vec<_>>(),
            [("title", Theirs { value: "Talks II".to_owned(), taken: false }), ("venue", Theirs { value: "Room 5".to_owned(), taken: true }),]
        );
    }

    #[test]
    fn every_fault_has_words_for_people() {
        let faulty = EventFields {
            title: "x".to_owned(),
            slug: "A B".to_owned(),
            start_at: "soon".to_owned(),
            max_capacity: "many".to_owned(),
            ..EventFields::default()
        };
        let found = faults(&faulty.draft(None, &TimeZone::UTC).unwrap_err());
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["endAt", "maxCapacity", "slug", "startAt", "title"]);
        assert!(found.values().all(|words| words.ends_with('.') && words.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit())), "{found:?}");
    }
}
