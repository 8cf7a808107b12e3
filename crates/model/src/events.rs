//! Something that takes place.

use std::collections::BTreeSet;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DateTime, EventId, FieldErrors, Fields, Patch, Rev, Slug, UserId};

/// Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub id: EventId,
    pub slug: Slug,
    #[serde(default)]
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub start_at: DateTime,
    pub end_at: DateTime,
    /// IANA name; absent: the configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue: Option<String>,
    /// Absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_capacity: Option<i64>,
    /// A user's id; empty: none.
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub hosts: Vec<UserId>,
    /// Anybody may see the event's page and register there. Left out where it is false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Attendances. Kept by the product, never by a client.
    #[serde(default)]
    pub attendee_count: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    #[serde(default)]
    pub rev: Rev,
}

impl Event {
    /// Owner and hosts, each user once: whose `hostedCount` this event is in.
    pub fn host_ids(&self) -> BTreeSet<UserId> {
        host_ids(&self.owner, &self.hosts)
    }
    /// None: there is no limit.
    pub fn places_left(&self) -> Option<i64> {
        self.max_capacity.map(|most| (most - self.attendee_count).max(0))
    }
    pub fn zone(&self, default: &TimeZone) -> TimeZone {
        self.timezone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(|| default.clone())
    }
    pub fn starts(&self, default: &TimeZone) -> Timestamp {
        self.start_at.instant(&self.zone(default))
    }
    pub fn ends(&self, default: &TimeZone) -> Timestamp {
        self.end_at.instant(&self.zone(default))
    }
}

/// Owner and hosts, each user once.
pub fn host_ids(owner: &str, hosts: &[UserId]) -> BTreeSet<UserId> {
    let owner = UserId::lookup(owner).ok();
    hosts.iter().cloned().chain(owner).collect()
}

/// Limits in characters (text) or entries, from the HTTP contract.
pub mod limits {
    use std::ops::RangeInclusive;
    pub const TITLE: RangeInclusive<usize> = 3..=100;
    pub const DESCRIPTION: RangeInclusive<usize> = 0..=500;
    pub const VENUE: RangeInclusive<usize> = 0..=200;
    pub const CAPACITY: RangeInclusive<i64> = 1..=1_000_000_000;
    pub const HOSTS: usize = 10;
}

/// Everything of an event that a client may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDraft {
    /// None: made from the title.
    pub slug: Option<Slug>,
    pub title: String,
    pub description: Option<String>,
    pub start_at: DateTime,
    pub end_at: DateTime,
    pub timezone: Option<String>,
    pub venue: Option<String>,
    pub max_capacity: Option<i64>,
    pub owner: Option<UserId>,
    pub hosts: Vec<UserId>,
    /// None: as it was; a new event is not public. So clients that do not know the field never take a page away.
    pub public: Option<bool>,
}

pub(crate) fn parse_zone(name: &str) -> Result<String, &'static str> {
    // A name of the IANA database, not an offset and not a POSIX rule: those do not survive a change of law.
    if TimeZone::get(name).is_ok() { Ok(name.to_owned()) } else { Err("not a time zone name like Europe/Berlin") }
}

fn is_after(end: &DateTime, start: &DateTime, zone: Option<&str>, default_zone: &TimeZone) -> bool {
    let zone = zone.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(|| default_zone.clone());
    end.instant(&zone) > start.instant(&zone)
}

impl EventDraft {
    /// `default_zone` is where a time without offset and without `timezone` is meant.
    pub fn parse(body: &Value, default_zone: &TimeZone) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let draft = Self::read(&mut f, default_zone);
        f.finish(draft)
    }

    /// Body of create: the same, and an id of the client's choice if one is given.
    pub fn parse_with_id(body: &Value, default_zone: &TimeZone) -> Result<(Option<EventId>, Self), FieldErrors> {
        let mut f = Fields::new(body)?;
        let id = f.optional_parsed("id", usize::MAX, EventId::parse);
        let draft = Self::read(&mut f, default_zone);
        f.finish(draft.map(|draft| (id, draft)))
    }

    fn read(f: &mut Fields<'_>, default_zone: &TimeZone) -> Option<Self> {
        let slug = f.optional_parsed("slug", usize::MAX, Slug::parse);
        let title = f.text("title", limits::TITLE);
        let description = f.optional_text("description", limits::DESCRIPTION);
        let start_at = f.parsed("startAt", DateTime::MAX, DateTime::parse);
        let end_at = f.parsed("endAt", DateTime::MAX, DateTime::parse);
        let timezone = f.optional_parsed("timezone", 64, parse_zone);
        let venue = f.optional_text("venue", limits::VENUE);
        let max_capacity = f.optional_integer("maxCapacity", limits::CAPACITY);
        let owner = f.optional_parsed("owner", usize::MAX, UserId::parse);
        let hosts = f.list("hosts", limits::HOSTS, UserId::parse);
        let public = f.optional_bool("public");
        // Said with the other faults, not when those are mended.
        if let (Some(start), Some(end)) = (&start_at, &end_at)
            && !is_after(end, start, timezone.as_deref(), default_zone)
        {
            f.fault("endAt", "value_error", "must be after startAt");
        }
        Some(Self { slug, title: title?, description, start_at: start_at?, end_at: end_at?, timezone, venue, max_capacity, owner, hosts, public })
    }

    /// What a stored event would be replaced with.
    pub fn of(event: &Event) -> Self {
        Self {
            slug: Some(event.slug.clone()),
            title: event.title.clone(),
            description: event.description.clone(),
            start_at: event.start_at.clone(),
            end_at: event.end_at.clone(),
            timezone: event.timezone.clone(),
            venue: event.venue.clone(),
            max_capacity: event.max_capacity,
            owner: UserId::lookup(&event.owner).ok(),
            hosts: event.hosts.clone(),
            public: Some(event.public),
        }
    }
}

/// A merge patch of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPatch {
    pub slug: Option<Slug>,
    pub title: Option<String>,
    pub description: Patch<String>,
    pub start_at: Option<DateTime>,
    pub end_at: Option<DateTime>,
    pub timezone: Patch<String>,
    pub venue: Patch<String>,
    pub max_capacity: Patch<i64>,
    pub owner: Patch<UserId>,
    pub hosts: Patch<Vec<UserId>>,
    pub public: Option<bool>,
}

impl EventPatch {
    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let patch = Self {
            slug: f.patch_required("slug", |f| f.parsed("slug", usize::MAX, Slug::parse)),
            title: f.patch_required("title", |f| f.text("title", limits::TITLE)),
            description: f.patch("description", |f| f.optional_text("description", limits::DESCRIPTION)),
            start_at: f.patch_required("startAt", |f| f.parsed("startAt", DateTime::MAX, DateTime::parse)),
            end_at: f.patch_required("endAt", |f| f.parsed("endAt", DateTime::MAX, DateTime::parse)),
            timezone: f.patch("timezone", |f| f.optional_parsed("timezone", 64, parse_zone)),
            venue: f.patch("venue", |f| f.optional_text("venue", limits::VENUE)),
            max_capacity: f.patch("maxCapacity", |f| f.optional_integer("maxCapacity", limits::CAPACITY)),
            owner: f.patch("owner", |f| f.optional_parsed("owner", usize::MAX, UserId::parse)),
            hosts: f.patch("hosts", |f| f.raw("hosts").is_some().then(|| f.list("hosts", limits::HOSTS, UserId::parse))),
            public: f.patch_required("public", |f| f.optional_bool("public")),
        };
        f.finish(Some(patch))
    }

    /// The patched draft, or the fault that only shows in the whole: an end that is not after the start.
    pub fn apply(self, old: EventDraft, default_zone: &TimeZone) -> Result<EventDraft, FieldErrors> {
        let draft = EventDraft {
            slug: self.slug.or(old.slug),
            title: self.title.unwrap_or(old.title),
            description: self.description.over(old.description),
            start_at: self.start_at.unwrap_or(old.start_at),
            end_at: self.end_at.unwrap_or(old.end_at),
            timezone: self.timezone.over(old.timezone),
            venue: self.venue.over(old.venue),
            max_capacity: self.max_capacity.over(old.max_capacity),
            owner: self.owner.over(old.owner),
            hosts: self.hosts.over(Some(old.hosts)).unwrap_or_default(),
            public: self.public.or(old.public),
        };
        if is_after(&draft.end_at, &draft.start_at, draft.timezone.as_deref(), default_zone) {
            Ok(draft)
        } else {
            Err(FieldErrors::one("endAt", "value_error", "must be after startAt"))
        }
    }
}
