//! Events: create, read, change, delete, list.

use std::collections::BTreeSet;

use emcrm_model::{DateTime, Event, EventDraft, EventId, EventPatch, Page, PageRequest, Rev, Role, Slug, UserId};
use emcrm_search::{Condition, Field, Kind};
use emcrm_store::{CountKind, Events, Guard, Item, Queue, Rule, Table, Transaction, from_item, keys, unchanged};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::search::ListSearch;
use crate::users::{json_attrs, rev_is, unexpected};
use crate::{App, AppError, Call};

/// Which events are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventList {
    pub page: PageRequest,
    /// Starts at or after.
    pub from: Option<DateTime>,
    /// Starts at or before.
    pub to: Option<DateTime>,
    pub ends: Ends,
    pub q: Option<String>,
    pub owner: Option<String>,
    /// Owner or host.
    pub host: Option<String>,
    pub sort: Option<String>,
}

/// Whether events are listed that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ends {
    #[default]
    Whenever,
    /// Running or still to come at this moment.
    After(Timestamp),
    /// Over at this moment.
    Before(Timestamp),
}

/// What became of a change that was made on what somebody had seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSave {
    Saved(Box<Event>),
    /// Somebody else was quicker; this is how the event is now, and nothing was changed.
    Moved(Box<Event>),
}

/// Numbered slugs that are tried for a title before a random one is made.
const NUMBERED_SLUGS: u32 = 20;

impl App {
    pub async fn event_create(&self, call: &Call, id: Option<EventId>, draft: EventDraft) -> Result<Event, AppError> {
        call.require(Role::Editor)?;
        if let Some(event) = self.replayed(call).await? {
            return Ok(event);
        }
        let chosen = id.is_some();
        let id = id.unwrap_or_else(|| self.ids.ordered().into());
        let hosts = emcrm_model::events::host_ids(draft.owner.as_ref().map_or("", UserId::as_str), &draft.hosts);
        self.hosts_must_exist(&hosts).await?;
        for attempt in 0..ATTEMPTS {
            let slug = match &draft.slug {
                Some(slug) => slug.clone(),
                None => self.slug_free(&draft.title, attempt).await?,
            };
            let mut tx = Transaction::new();
            let event = self.event_insert(&mut tx, id.clone(), slug, draft.clone());
            if chosen {
                tx.check(Table::Main, keys::event_tombstone(&id)).when(Guard::Absent).or(Rule::IdTaken);
            }
            self.store.counts.add(&mut tx, CountKind::Events, id.as_str(), 1);
            self.reindex_later(&mut tx, &docs_of(&id, hosts.iter()));
            match self.commit(call, Deed::new("event.created", keys::event_part(&event.id)), tx, event).await? {
                Ok(event) => return Ok(event),
                Err(Rule::SlugTaken) if draft.slug.is_none() => {}
                Err(Rule::SlugTaken) => return Err(AppError::SlugTaken),
                Err(Rule::IdTaken) => return Err(AppError::EventIdTaken),
                Err(Rule::HostUnknown) => self.hosts_must_exist(&hosts).await?,
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    /// The operations that make an event, without the counter and the index task.
    pub(crate) fn event_insert(&self, tx: &mut Transaction, id: EventId, slug: Slug, draft: EventDraft) -> Event {
        let stamp = self.stamp();
        let EventDraft { slug: _, title, description, start_at, end_at, timezone, venue, max_capacity, owner, hosts, public } = draft;
        let event = Event {
            id,
            slug,
            title,
            description,
            start_at,
            end_at,
            timezone,
            venue,
            max_capacity,
            hosts,
            owner: owner.map(String::from).unwrap_or_default(),
            public: public.unwrap_or(false),
            attendee_count: 0,
            created_at: Some(stamp.clone()),
            updated_at: Some(stamp),
            rev: Rev(1),
        };
        self.store.events.put(tx, &event);
        self.store.events.claim_slug(tx, &event.slug, &event.id);
        for host in event.host_ids() {
            self.store.events.host_add(tx, &host, &event.id);
        }
        event
    }

    /// A slug for the title that is free now; somebody may still be quicker.
    async fn slug_free(&self, title: &str, attempt: u32) -> Result<Slug, AppError> {
        for number in 0..NUMBERED_SLUGS.saturating_sub(attempt) {
            let slug = Slug::from_title(title, number);
            if self.store.engine.get(Table::Main, &keys::slug_claim(&slug)).await?.is_none() {
                return Ok(slug);
            }
        }
        let random = self.ids.random().as_u128() % 1_000_000_000;
        Ok(Slug::from_title(title, random as u32))
    }

    async fn hosts_must_exist(&self, hosts: &BTreeSet<UserId>) -> Result<(), AppError> {
        let ids: Vec<UserId> = hosts.iter().cloned().collect();
        let users = self.store.users.get_many(&ids).await?;
        let unknown: Vec<String> = ids.iter().zip(&users).filter(|(_, user)| user.is_none()).map(|(id, _)| id.to_string()).collect();
        if unknown.is_empty() { Ok(()) } else { Err(AppError::HostsUnknown(unknown)) }
    }

    /// By id, or by slug when no id matches.
    pub async fn event_get(&self, call: &Call, id_or_slug: &str) -> Result<Event, AppError> {
        let Ok(id) = EventId::lookup(id_or_slug) else {
            call.require(Role::Viewer)?;
            return Err(AppError::EventUnknown);
        };
        // By its slug an event is for those who may see all events.
        call.require_event(&id)?;
        if let Some(event) = self.store.events.get(&id).await? {
            return Ok(event);
        }
        // Whoever works at one door knows its id; behind a slug of the same letters may stand another event.
        call.require(Role::Viewer).map_err(|_| AppError::EventUnknown)?;
        let slug = Slug::parse(id_or_slug).map_err(|_| AppError::EventUnknown)?;
        self.store.events.by_slug(&slug).await?.ok_or(AppError::EventUnknown)
    }

    /// Full replacement of what a client may set. A draft without a slug keeps the old one.
    pub async fn event_replace(&self, call: &Call, id: &EventId, draft: EventDraft) -> Result<Event, AppError> {
        self.event_change(call, id, |_| Ok(draft.clone())).await
    }

    pub async fn event_patch(&self, call: &Call, id: &EventId, patch: EventPatch) -> Result<Event, AppError> {
        let zone = &self.settings.default_zone;
        self.event_change(call, id, |old| Ok(patch.clone().apply(EventDraft::of(old), zone)?)).await
    }

    async fn event_change(&self, call: &Call, id: &EventId, change: impl Fn(&Event) -> Result<EventDraft, AppError>) -> Result<Event, AppError> {
        call.require(Role::Editor)?;
        if let Some(event) = self.replayed(call).await? {
            return Ok(event);
        }
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let item = self.store.events.item(id).await?.ok_or(AppError::EventUnknown)?;
            let old: Event = from_item(item.clone())?;
            let draft = change(&old)?;
            let was = old.host_ids();
            let will = emcrm_model::events::host_ids(draft.owner.as_ref().map_or("", UserId::as_str), &draft.hosts);
            let joined: BTreeSet<UserId> = will.difference(&was).cloned().collect();
            self.hosts_must_exist(&joined).await?;
            let left: Vec<UserId> = was.difference(&will).cloned().collect();
            let left_users = self.store.users.get_many(&left).await?;

            let attendees = old.attendee_count;
            let mut tx = Transaction::new();
            let event = self.event_update(&mut tx, call, &item, old, draft);
            for host in &joined {
                self.store.events.host_add(&mut tx, host, id);
            }
            for (host, user) in left.iter().zip(left_users) {
                if user.is_some() { self.store.events.host_remove(&mut tx, host, id) } else { self.store.events.host_forget(&mut tx, host, id) }
            }
            self.reindex_later(&mut tx, &docs_of(id, joined.iter().chain(&left)));
            self.leave_claims_of_others(&mut tx, attempt, id.as_str()).await?;
            match self.commit(call, Deed::new("event.changed", keys::event_part(&event.id)), tx, event).await? {
                Ok(event) => return Ok(event),
                Err(Rule::Changed) => {}
                Err(Rule::HostUnknown) => self.hosts_must_exist(&joined).await?,
                Err(Rule::SlugTaken) => return Err(AppError::SlugTaken),
                Err(Rule::CapacityTooLow) => return Err(AppError::CapacityTooLow { attendees }),
                Err(Rule::StaleRev) => return Err(AppError::StaleRev),
                Err(Rule::EventUnknown) => return Err(AppError::EventUnknown),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    /// A change that was made on what somebody saw: `seen` says whether an event still is what was seen. Registrations, which change the event many times
    /// a second, are no reason to refuse it.
    pub async fn event_save(&self, call: &Call, id: &EventId, draft: EventDraft, seen: impl Fn(&Event) -> bool) -> Result<EventSave, AppError> {
        call.require(Role::Editor)?;
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let now = self.store.events.get(id).await?.ok_or(AppError::EventUnknown)?;
            if !seen(&now) {
                return Ok(EventSave::Moved(Box::new(now)));
            }
            let one = Call { if_match: Some(now.rev), ..call.clone() };
            match self.event_replace(&one, id, draft.clone()).await {
                Ok(event) => return Ok(EventSave::Saved(Box::new(event))),
                Err(AppError::StaleRev) => {}
                Err(error) => return Err(error),
            }
        }
        Err(AppError::Contended)
    }

    /// Another slug than `taken`, which is free now.
    pub async fn event_slug_offer(&self, call: &Call, taken: &Slug) -> Result<Slug, AppError> {
        call.require(Role::Viewer)?;
        self.slug_free(taken.as_str(), 0).await
    }

    /// Guarded by the fields that the change was computed from, not by `rev`: registrations move `rev` thousands of times a second, and must not
    /// keep an editor out.
    fn event_update(&self, tx: &mut Transaction, call: &Call, item: &Item, old: Event, draft: EventDraft) -> Event {
        let EventDraft { slug, title, description, start_at, end_at, timezone, venue, max_capacity, owner, hosts, public } = draft;
        let slug = slug.unwrap_or_else(|| old.slug.clone());
        if slug != old.slug {
            self.store.events.claim_slug(tx, &slug, &old.id);
            self.store.events.release_slug(tx, &old.slug, &old.id);
        }
        let event = Event {
            slug,
            title,
            description,
            start_at,
            end_at,
            timezone,
            venue,
            max_capacity,
            hosts,
            owner: owner.map(String::from).unwrap_or_default(),
            public: public.unwrap_or(old.public),
            updated_at: Some(self.stamp()),
            rev: Rev(old.rev.0 + 1),
            ..old
        };
        let mut op = tx.update(Table::Main, keys::event(&event.id)).when(Guard::Present).or(Rule::EventUnknown);
        if let Some(rev) = call.if_match {
            op = op.when(rev_is(rev)).or(Rule::StaleRev);
        }
        let as_read = ["slug", "owner", "hosts", "startAt", "endAt", "timezone"].into_iter().map(|attr| unchanged(item, attr)).collect();
        op = op.when(Guard::All(as_read)).or(Rule::Changed);
        if let Some(capacity) = event.max_capacity {
            op = op.when(Guard::AtMost("attendeeCount".to_owned(), capacity)).or(Rule::CapacityTooLow);
        }
        op.set("slug", event.slug.as_str())
            .set("title", event.title.as_str())
            .set_or_remove("description", event.description.as_deref())
            .set("startAt", event.start_at.as_str())
            .set("endAt", event.end_at.as_str())
            .set_or_remove("timezone", event.timezone.as_deref())
            .set_or_remove("venue", event.venue.as_deref())
            .set_or_remove("maxCapacity", event.max_capacity)
            .set("owner", event.owner.as_str())
            .set("hosts", event.hosts.iter().map(|host| Value::from(host.as_str())).collect::<Vec<_>>())
            .set_or_remove("public", event.public.then_some(true))
            .set_or_remove("updatedAt", event.updated_at.as_deref())
            .add("rev", 1);
        event
    }

    /// The event is gone at once and the slug is free; attendances and their counters follow as a task.
    pub async fn event_delete(&self, call: &Call, id: &EventId) -> Result<(), AppError> {
        call.require(Role::Editor)?;
        if self.replayed::<Value>(call).await?.is_some() {
            return Ok(());
        }
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let item = self.store.events.item(id).await?.ok_or(AppError::EventUnknown)?;
            let old: Event = from_item(item.clone())?;
            let hosts: Vec<UserId> = old.host_ids().into_iter().collect();
            let users = self.store.users.get_many(&hosts).await?;
            let mut tx = Transaction::new();
            let mut op = tx.delete(Table::Main, keys::event(id)).when(Guard::Present).or(Rule::EventUnknown);
            if let Some(rev) = call.if_match {
                op = op.when(rev_is(rev)).or(Rule::StaleRev);
            }
            let as_read = ["slug", "owner", "hosts"].into_iter().map(|attr| unchanged(&item, attr)).collect();
            let _ = op.when(Guard::All(as_read)).or(Rule::Changed);
            self.store.events.release_slug(&mut tx, &old.slug, id);
            for (host, user) in hosts.iter().zip(users) {
                if user.is_some() { self.store.events.host_remove(&mut tx, host, id) } else { self.store.events.host_forget(&mut tx, host, id) }
            }
            tx.put(Table::Main, Item { key: keys::event_tombstone(id), attrs: json_attrs(json!({ "deletedAt": self.stamp() })) });
            self.store.counts.add(&mut tx, CountKind::Events, id.as_str(), -1);
            self.reindex_later(&mut tx, &docs_of(id, hosts.iter()));
            self.store.tasks.put(&mut tx, Queue::Default, &keys::event_part(id), "event_gone", json!({ "event": id.as_str() }), self.now_ms());
            self.leave_claims_of_others(&mut tx, attempt, id.as_str()).await?;
            match self.commit(call, Deed::new("event.deleted", keys::event_part(id)), tx, json!({ "deleted": id.as_str() })).await? {
                Ok(_) => return Ok(()),
                Err(Rule::Changed) => {}
                Err(Rule::EventUnknown) => return Err(AppError::EventUnknown),
                Err(Rule::StaleRev) => return Err(AppError::StaleRev),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    pub async fn event_list(&self, call: &Call, list: EventList) -> Result<Page<Event>, AppError> {
        call.require(Role::Viewer)?;
        let EventList { page, from, to, ends, q, owner, host, sort } = list;
        if [&q, &owner, &host, &sort].iter().all(|value| value.is_none()) && from.is_none() && to.is_none() && ends == Ends::Whenever {
            let total = self.store.counts.total(CountKind::Events).await?;
            return self.page("events", Events::list(), &page, total, from_item).await;
        }
        let mut all = Vec::new();
        let micros = |at: DateTime| at.instant(&self.settings.default_zone).as_microsecond();
        if from.is_some() || to.is_some() {
            all.push(Condition::Between(Field::StartAt, from.map(micros), to.map(micros)));
        }
        match ends {
            Ends::Whenever => {}
            Ends::After(now) => all.push(Condition::Between(Field::EndAt, Some(now.as_microsecond()), None)),
            Ends::Before(now) => all.push(Condition::Between(Field::EndAt, None, Some(now.as_microsecond() - 1))),
        }
        all.extend(owner.map(|owner| Condition::AnyOf(Field::Owner, vec![owner])));
        all.extend(host.map(|host| Condition::AnyOf(Field::Host, vec![host])));
        let found = self.list_search(ListSearch { kind: Kind::Event, all, q, sort }, &page).await?;
        let ids: Vec<EventId> = found.items.iter().map(|id| EventId::from(id.clone())).collect();
        let events = self.store.events.get_many(&ids).await?;
        Ok(Page { items: events.into_iter().flatten().collect(), total: found.total, page: found.page, size: found.size, next: found.next })
    }
}

/// Names of the documents that an event and its hosts have in the index.
fn docs_of<'a>(event: &EventId, hosts: impl Iterator<Item = &'a UserId>) -> Vec<String> {
    std::iter::once(keys::event_part(event)).chain(hosts.map(keys::user_part)).collect()
}
