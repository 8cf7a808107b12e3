//! Events: total, slug claims, host rows, seats.

use std::collections::{HashMap, HashSet};

use emcrm_model::{Event, UserId};
use emcrm_store::{Attendances, CountKind, EngineError, Events, Guard, IndexName, Item, Key, Query, Rule, Table, from_item, keys, rows_count, unchanged};
use serde_json::Value;

use super::walk::Rows;
use super::{Check, FindingKind, NoteKind, RECOUNTS, Repair, number, text};
use crate::AppError;
use crate::users::json_attrs;

/// Events that are looked at together.
const BATCH: usize = 50;
/// Begins the keys of host rows.
const HOST_PREFIX: &str = "host#";

impl Check<'_> {
    pub(super) async fn events(&mut self) -> Result<(), AppError> {
        let engine = self.app.store.engine.clone();
        let before = self.sum(CountKind::Events).await?;
        let mut rows = Rows::new(engine.as_ref(), Events::list());
        loop {
            let items = rows.take(BATCH).await?;
            if items.is_empty() {
                break;
            }
            self.report.counted.events += items.len() as u64;
            (self.progress)("events", self.report.counted.events);
            let mut events = Vec::with_capacity(items.len());
            for item in items {
                let place = item.key.pk.clone();
                match from_item::<Event>(item) {
                    Ok(event) => events.push(event),
                    Err(error) => self.found(FindingKind::Unreadable, place, error.to_string(), Repair::NotPossible),
                }
            }
            self.event_batch(&events).await?;
        }
        self.total(FindingKind::EventTotal, CountKind::Events, before, self.report.counted.events).await
    }

    async fn event_batch(&mut self, events: &[Event]) -> Result<(), AppError> {
        let mut wanted: Vec<Key> = Vec::new();
        for event in events {
            wanted.extend([keys::slug_claim(&event.slug), keys::event_tombstone(&event.id)]);
            for host in event.host_ids() {
                wanted.extend([keys::user(&host), keys::hosting(&host, &event.id)]);
                *self.hosted.entry(host).or_default() += 1;
            }
        }
        let items = self.fetch(Table::Main, wanted).await?;
        for event in events {
            self.slug_claim(event, items.get(&keys::slug_claim(&event.slug))).await?;
            if items.contains_key(&keys::event_tombstone(&event.id)) && !self.waiting.events.contains(event.id.as_str()) {
                let repair = self
                    .mend(|tx| {
                        tx.delete(Table::Main, keys::event_tombstone(&event.id));
                    })
                    .await?;
                self.found(FindingKind::TombstoneLeft, keys::event_part(&event.id), "the mark of a deletion stands, but the event exists", repair);
            }
            self.host_rows(event, &items).await?;
            self.seats(event).await?;
        }
        Ok(())
    }

    async fn slug_claim(&mut self, event: &Event, claim: Option<&Item>) -> Result<(), AppError> {
        let place = keys::event_part(&event.id);
        let slug = &event.slug;
        let Some(claim) = claim else {
            let repair = self.mend(|tx| self.app.store.events.claim_slug(tx, slug, &event.id)).await?;
            self.found(FindingKind::SlugClaimMissing, place, format!("the slug {slug} is not claimed for this event"), repair);
            return Ok(());
        };
        let holder = text(claim, "event_id").unwrap_or_default().to_owned();
        if holder == event.id.as_str() {
            return Ok(());
        }
        let now = self.event_now(&event.id).await?;
        if now.is_none_or(|now| now.slug != *slug) {
            return Ok(());
        }
        let other = self.app.store.events.item(&holder.clone().into()).await?;
        if other.is_some_and(|other| text(&other, "slug").is_none_or(|have| have == slug.as_str())) {
            self.found(FindingKind::SlugShared, place, format!("the slug {slug} is also that of event#{holder}"), Repair::NotPossible);
            return Ok(());
        }
        let repair = self
            .mend(|tx| {
                let op = tx.update(Table::Main, keys::slug_claim(slug)).set("event_id", event.id.as_str());
                op.when(unchanged(claim, "event_id")).or(Rule::Changed);
            })
            .await?;
        self.found(FindingKind::SlugClaimWrong, place, format!("the slug {slug} is claimed for event#{holder}, which does not have it"), repair);
        Ok(())
    }

    /// Hosts exist and have their rows; no other rows name this event.
    async fn host_rows(&mut self, event: &Event, items: &HashMap<Key, Item>) -> Result<(), AppError> {
        let hosts = event.host_ids();
        for host in &hosts {
            let row = keys::hosting(host, &event.id);
            let place = format!("{}/{}", row.pk, row.sk);
            if !items.contains_key(&keys::user(host)) {
                if self.waiting.users.contains(host.as_str()) || !self.still_hosts(event, host).await? {
                    continue;
                }
                // The clean-up of a deleted user finds its events by these rows.
                let mut repair = self
                    .mend(|tx| {
                        tx.put(Table::Main, Item { key: row, attrs: json_attrs(Value::Null) });
                    })
                    .await?;
                if repair == Repair::Done {
                    repair = self.clean_up_user(host).await?;
                }
                self.found(
                    FindingKind::HostWithoutUser,
                    keys::event_part(&event.id),
                    format!("its owner or host {} does not exist", keys::user_part(host)),
                    repair,
                );
            } else if !items.contains_key(&row) && self.still_hosts(event, host).await? && self.app.store.engine.get(Table::Main, &row).await?.is_none() {
                let repair = self
                    .mend(|tx| {
                        tx.check(Table::Main, keys::user(host)).when(Guard::Present).or(Rule::Changed);
                        tx.put(Table::Main, Item { key: row, attrs: json_attrs(Value::Null) });
                    })
                    .await?;
                self.found(FindingKind::HostRowMissing, place, "the event has this host, the row that says so is missing", repair);
            }
        }
        let query = Query::index(Table::Main, IndexName::Sk, keys::event_part(&event.id)).prefix(HOST_PREFIX);
        let engine = self.app.store.engine.clone();
        let mut rows = Rows::new(engine.as_ref(), query);
        while let Some(row) = rows.next().await? {
            let Some(user) = row.key.pk.strip_prefix(HOST_PREFIX).map(|id| UserId::from(id.to_owned())) else { continue };
            if !hosts.contains(&user) {
                self.host_row_left(&row.key, &user).await?;
            }
        }
        Ok(())
    }

    async fn still_hosts(&self, event: &Event, host: &UserId) -> Result<bool, EngineError> {
        Ok(self.event_now(&event.id).await?.is_some_and(|event| event.host_ids().contains(host)))
    }

    /// A row that says that somebody hosts an event: reported when the event, read again, does not have that host.
    pub(super) async fn host_row_left(&mut self, row: &Key, user: &UserId) -> Result<(), AppError> {
        if self.waiting.users.contains(user.as_str()) {
            return Ok(());
        }
        let Some(event) = emcrm_store::events::event_of(row) else { return Ok(()) };
        if self.app.store.engine.get(Table::Main, row).await?.is_none() {
            return Ok(());
        }
        // An event that cannot be read may have the host.
        let stored = self.app.store.events.item(&event).await?.map(from_item::<Event>);
        if stored.is_some_and(|event| event.map_or(true, |event| event.host_ids().contains(user))) {
            return Ok(());
        }
        let repair = self
            .mend(|tx| {
                tx.delete(Table::Main, row.clone());
            })
            .await?;
        let detail = format!("a row says that {} hosts {}, the event does not", keys::user_part(user), keys::event_part(&event));
        self.found(FindingKind::HostRowLeft, format!("{}/{}", row.pk, row.sk), detail, repair);
        Ok(())
    }

    async fn seats(&mut self, event: &Event) -> Result<(), AppError> {
        let engine = self.app.store.engine.clone();
        let mut known = event.clone();
        let mut seats = rows_count(engine.as_ref(), Attendances::of_event(&event.id)).await? as i64;
        let fits = |event: &Event, seats: i64| event.attendee_count == seats && event.max_capacity.is_none_or(|most| seats <= most);
        if fits(&known, seats) {
            return Ok(());
        }
        // Registrations move the revision, so a recount between two equal revisions is of one state.
        for _ in 0..RECOUNTS {
            let Some(item) = self.app.store.events.item(&event.id).await? else { return Ok(()) };
            seats = rows_count(engine.as_ref(), Attendances::of_event(&event.id)).await? as i64;
            let Some(again) = self.app.store.events.item(&event.id).await? else { return Ok(()) };
            if number(&item, "rev") != number(&again, "rev") {
                continue;
            }
            let Ok(read) = from_item::<Event>(again.clone()) else { return Ok(()) };
            known = read;
            if fits(&known, seats) {
                return Ok(());
            }
            let place = keys::event_part(&event.id);
            if known.attendee_count != seats {
                let repair = self
                    .mend(|tx| {
                        let op = tx.update(Table::Main, keys::event(&event.id)).set("attendeeCount", seats).add("rev", 1);
                        op.when(Guard::Present).or(Rule::Changed).when(unchanged(&again, "rev")).or(Rule::Changed);
                    })
                    .await?;
                let detail = format!("attendeeCount is {}, there are {seats} attendances", known.attendee_count);
                self.found(FindingKind::AttendeeCount, place.clone(), detail, repair);
            }
            if let Some(most) = known.max_capacity.filter(|most| seats > *most) {
                self.found(FindingKind::OverCapacity, place, format!("maxCapacity is {most}, there are {seats} attendances"), Repair::NotPossible);
            }
            return Ok(());
        }
        self.note(NoteKind::ChangedMeanwhile, 1, keys::event_part(&event.id), "people registered while they were counted; verify again when it is quiet");
        Ok(())
    }

    /// Which of these events exist, of those that are not in `known`; the ones that do are added to it.
    pub(super) async fn events_missing(&self, wanted: HashSet<String>, known: &mut HashSet<String>) -> Result<HashSet<String>, EngineError> {
        let asked: Vec<Key> = wanted.iter().filter(|id| !known.contains(*id)).map(|id| keys::event(&id.clone().into())).collect();
        let found = self.fetch(Table::Main, asked).await?;
        let (there, missing): (HashSet<String>, HashSet<String>) =
            wanted.into_iter().filter(|id| !known.contains(id)).partition(|id| found.contains_key(&keys::event(&id.clone().into())));
        known.extend(there);
        Ok(missing)
    }
}
