//! Users and attendances: total, address claims, counters, and attendances whose other side is gone.

use std::collections::HashSet;

use emcrm_model::{Event, EventId, User, UserId};
use emcrm_store::{Attendances, CountKind, Events, Guard, IndexName, Item, Key, Query, Rule, Table, Users, from_item, keys, rows_count, unchanged};

use super::walk::Rows;
use super::{Check, FindingKind, NoteKind, RECOUNTS, Repair, has_address, number, text};
use crate::AppError;

/// Users that are looked at together.
const BATCH: usize = 100;
/// Events that are remembered as existing; then the memory is begun anew.
const KNOWN_MAX: usize = 100_000;

/// A user as read, and the attendances that were counted beside it.
struct Seen {
    user: User,
    attended: i64,
}

impl Check<'_> {
    /// Both lists are in the order of the users' keys, so the attendances of a user stand beside the user.
    pub(super) async fn users(&mut self) -> Result<(), AppError> {
        let engine = self.app.store.engine.clone();
        let before = self.sum(CountKind::Users).await?;
        let mut users = Rows::new(engine.as_ref(), Users::list());
        let mut attendances = Rows::new(engine.as_ref(), Query::index(Table::Main, IndexName::Type, keys::TYPE_ATTENDANCE));
        let mut known = HashSet::new();
        let mut gone = HashSet::new();
        loop {
            let items = users.take(BATCH).await?;
            if items.is_empty() {
                break;
            }
            self.report.counted.users += items.len() as u64;
            (self.progress)("users", self.report.counted.users);
            let mut seen = Vec::with_capacity(items.len());
            let mut events = HashSet::new();
            for item in items {
                self.orphans(&mut attendances, Some(&item.key.pk)).await?;
                let mut attended = 0;
                while let Some(row) = attendances.peek().await?.filter(|row| row.key.pk == item.key.pk) {
                    attended += 1;
                    events.extend(emcrm_store::events::event_of(&row.key).map(String::from));
                    attendances.next().await?;
                }
                self.report.counted.attendances += attended as u64;
                let place = item.key.pk.clone();
                match from_item::<User>(item) {
                    Ok(user) => seen.push(Seen { user, attended }),
                    Err(error) => self.found(FindingKind::Unreadable, place, error.to_string(), Repair::NotPossible),
                }
            }
            if known.len() > KNOWN_MAX {
                known.clear();
            }
            for event in self.events_missing(events, &mut known).await? {
                // Once for each event: its clean-up finds all of them.
                if gone.insert(event.clone()) {
                    self.event_gone(&event.into()).await?;
                }
            }
            self.user_batch(&seen).await?;
        }
        self.orphans(&mut attendances, None).await?;
        self.total(FindingKind::UserTotal, CountKind::Users, before, self.report.counted.users).await
    }

    /// Attendances that stand before this user, so nobody has them.
    async fn orphans(&mut self, attendances: &mut Rows<'_>, before: Option<&str>) -> Result<(), AppError> {
        let mut last = None;
        while let Some(row) = attendances.peek().await?.filter(|row| before.is_none_or(|before| row.key.pk.as_str() < before)) {
            let pk = row.key.pk.clone();
            attendances.next().await?;
            self.report.counted.attendances += 1;
            let Some(user) = pk.strip_prefix(keys::USER_PREFIX).filter(|_| last.as_ref() != Some(&pk)).map(|id| UserId::from(id.to_owned())) else { continue };
            last = Some(pk.clone());
            let rows = rows_count(self.app.store.engine.as_ref(), Attendances::of_user(&user)).await?;
            if rows == 0 || self.waiting.users.contains(user.as_str()) || self.app.store.users.item(&user).await?.is_some() {
                continue;
            }
            let repair = self.clean_up_user(&user).await?;
            self.found(FindingKind::AttendanceWithoutUser, pk, format!("{rows} attendances of a user who does not exist"), repair);
        }
        Ok(())
    }

    async fn event_gone(&mut self, event: &EventId) -> Result<(), AppError> {
        if self.waiting.events.contains(event.as_str()) || self.app.store.events.item(event).await?.is_some() {
            return Ok(());
        }
        let rows = rows_count(self.app.store.engine.as_ref(), Attendances::of_event(event)).await?;
        if rows == 0 {
            return Ok(());
        }
        let repair = self.clean_up_event(event).await?;
        self.found(FindingKind::AttendanceWithoutEvent, keys::event_part(event), format!("{rows} attendances of an event that does not exist"), repair);
        Ok(())
    }

    async fn user_batch(&mut self, seen: &[Seen]) -> Result<(), AppError> {
        let wanted: Vec<Key> = seen.iter().flat_map(|seen| [keys::email_claim(&seen.user.email), keys::user_tombstone(&seen.user.id)]).collect();
        let items = self.fetch(Table::Main, wanted).await?;
        for Seen { user, attended } in seen {
            self.email_claim(user, items.get(&keys::email_claim(&user.email))).await?;
            if items.contains_key(&keys::user_tombstone(&user.id)) && !self.waiting.users.contains(user.id.as_str()) {
                let repair = self
                    .mend(|tx| {
                        tx.delete(Table::Main, keys::user_tombstone(&user.id));
                    })
                    .await?;
                self.found(FindingKind::TombstoneLeft, keys::user_part(&user.id), "the mark of a deletion stands, but the user exists", repair);
            }
            let hosted = self.hosted.get(&user.id).copied().unwrap_or(0);
            if hosted != 0 || user.hosted_count != 0 {
                self.rows_of_host(&user.id, hosted).await?;
            }
            if user.attended_count != *attended || user.hosted_count != hosted {
                self.counters(&user.id).await?;
            }
        }
        Ok(())
    }

    async fn email_claim(&mut self, user: &User, claim: Option<&Item>) -> Result<(), AppError> {
        let place = keys::user_part(&user.id);
        let address = &user.email;
        let holder = claim.and_then(|claim| text(claim, "user_id")).unwrap_or_default().to_owned();
        if holder == user.id.as_str() {
            return Ok(());
        }
        let now = self.user_now(&user.id).await?;
        if now.is_none_or(|now| now.email.normalised() != address.normalised()) {
            return Ok(());
        }
        let Some(claim) = claim else {
            let repair = self.mend(|tx| self.app.store.users.claim_email(tx, address, &user.id)).await?;
            if repair == Repair::Overtaken
                && let Some(claim) = self.app.store.engine.get(Table::Main, &keys::email_claim(address)).await?
            {
                // Somebody else of this batch has the same address and was quicker.
                return Box::pin(self.email_claim(user, Some(&claim))).await;
            }
            self.found(FindingKind::EmailClaimMissing, place, format!("the address {address} is not claimed for this user"), repair);
            return Ok(());
        };
        let other = self.app.store.users.item(&holder.clone().into()).await?;
        if other.is_some_and(|other| has_address(&other, address)) {
            self.found(FindingKind::EmailShared, place, format!("the address {address} is also that of user#{holder}"), Repair::NotPossible);
            return Ok(());
        }
        let repair = self
            .mend(|tx| {
                let op = tx.update(Table::Main, keys::email_claim(address)).set("user_id", user.id.as_str());
                op.when(unchanged(claim, "user_id")).or(Rule::Changed);
            })
            .await?;
        self.found(FindingKind::EmailClaimWrong, place, format!("the address {address} is claimed for user#{holder}, who does not have it"), repair);
        Ok(())
    }

    /// Rows that say that the user hosts something, where there are not as many as events.
    async fn rows_of_host(&mut self, user: &UserId, hosted: i64) -> Result<(), AppError> {
        let engine = self.app.store.engine.clone();
        if rows_count(engine.as_ref(), Events::hosted_by(user)).await? as i64 == hosted {
            return Ok(());
        }
        let mut rows = Rows::new(engine.as_ref(), Events::hosted_by(user));
        while let Some(row) = rows.next().await? {
            self.host_row_left(&row.key, user).await?;
        }
        Ok(())
    }

    /// Counts the user's attendances and events again, strongly consistent, and compares.
    async fn counters(&mut self, id: &UserId) -> Result<(), AppError> {
        let engine = self.app.store.engine.clone();
        for _ in 0..RECOUNTS {
            let Some(before) = self.app.store.users.item(id).await? else { return Ok(()) };
            let attended = rows_count(engine.as_ref(), Attendances::of_user(id)).await? as i64;
            let hosted = self.hosted_now(id).await?;
            let Some(item) = self.app.store.users.item(id).await? else { return Ok(()) };
            if number(&before, "rev") != number(&item, "rev") {
                continue;
            }
            for (kind, attr, right, of) in [
                (FindingKind::AttendedCount, "attendedCount", attended, "attendances"),
                (FindingKind::HostedCount, "hostedCount", hosted, "events that the user owns or hosts"),
            ] {
                let stored = number(&item, attr);
                if stored == right {
                    continue;
                }
                let repair = self
                    .mend(|tx| {
                        let op = tx.update(Table::Main, keys::user(id)).set(attr, right).add("rev", 1);
                        op.when(Guard::Present).or(Rule::Changed).when(unchanged(&item, attr)).or(Rule::Changed);
                        self.app.reindex_later(tx, &[keys::user_part(id)]);
                    })
                    .await?;
                self.found(kind, keys::user_part(id), format!("{attr} is {stored}, there are {right} {of}"), repair);
            }
            return Ok(());
        }
        self.note(NoteKind::ChangedMeanwhile, 1, keys::user_part(id), "the user changed while it was counted; verify again when it is quiet");
        Ok(())
    }

    /// Events that have this host: those that its rows name, and those that were met before without a row.
    async fn hosted_now(&self, user: &UserId) -> Result<i64, AppError> {
        let engine = self.app.store.engine.clone();
        let mut rows = Rows::new(engine.as_ref(), Events::hosted_by(user));
        let mut hosted = 0;
        loop {
            let page = rows.take(BATCH).await?;
            if page.is_empty() {
                break;
            }
            let keys: Vec<Key> = page.iter().filter_map(|row| emcrm_store::events::event_of(&row.key)).map(|id| keys::event(&id)).collect();
            let events = self.fetch(Table::Main, keys).await?;
            // Where the event cannot be read, the row is believed.
            let hosts = |item: Item| from_item::<Event>(item).map_or(true, |event| event.host_ids().contains(user));
            hosted += events.into_values().filter(|item| hosts(item.clone())).count() as i64;
        }
        // A missing row that was not mended does not make the event unhosted.
        let met = self.hosted.get(user).copied().unwrap_or(0);
        Ok(if self.report.found.contains_key(&FindingKind::HostRowMissing) { hosted.max(met) } else { hosted })
    }
}
