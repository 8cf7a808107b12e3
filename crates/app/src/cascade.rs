//! What follows a deletion: attendances, host entries, counters, and what the suppression list has in clear. Each step is one transaction, so a restart goes on
//! where it stopped.

use emcrm_model::{EmailAddress, Event, EventId, UserId};
use emcrm_store::{Attendances, Events, Rule, Table, Task, TransactError, Transaction, keys};
use serde_json::Value;

use crate::{App, AppError};

/// Attendances that are taken back in one transaction: two operations each, and a few more.
const CHUNK: u32 = 30;
/// How long an index may lag behind, in milliseconds: an event's attendances are looked for once more after that.
const INDEX_LAG_MS: i64 = 10_000;

/// What a handler made of a task.
pub(crate) enum Outcome {
    Done,
    /// Done for now; go on at this moment with this payload.
    Again {
        due: i64,
        payload: Value,
    },
}

impl App {
    /// The user is gone: attendances go and seats come free, host entries go, an address on the suppression list stays there as a hash, then the id may be taken
    /// again.
    pub(crate) async fn user_gone(&self, task: &Task) -> Result<Outcome, AppError> {
        let Some(user) = task.payload.get("user").and_then(Value::as_str).map(|id| UserId::from(id.to_owned())) else { return Ok(Outcome::Done) };
        loop {
            let rows = self.store.engine.query(Attendances::of_user(&user).limit(CHUNK)).await?;
            if rows.items.is_empty() {
                break;
            }
            let events: Vec<EventId> = rows.items.iter().filter_map(|item| emcrm_store::events::event_of(&item.key)).collect();
            let known = self.store.events.get_many(&events).await?;
            let mut tx = Transaction::new();
            for (event, known) in events.iter().zip(known) {
                self.store.attendances.delete(&mut tx, &user, event);
                if known.is_some() {
                    self.store.attendances.seats_free(&mut tx, event, 1);
                }
            }
            self.step(tx).await?;
        }
        loop {
            let rows = self.store.engine.query(Events::hosted_by(&user).limit(1)).await?;
            let Some(event) = rows.items.first().and_then(|item| emcrm_store::events::event_of(&item.key)) else { break };
            let mut tx = Transaction::new();
            self.store.events.host_forget(&mut tx, &user, &event);
            if let Some(item) = self.store.events.item(&event).await? {
                let old: Event = emcrm_store::from_item(item.clone())?;
                let hosts: Vec<Value> = old.hosts.iter().filter(|host| **host != user).map(|host| Value::from(host.as_str())).collect();
                let owner = if old.owner == user.as_str() { "" } else { old.owner.as_str() };
                tx.update(Table::Main, keys::event(&event))
                    .when(emcrm_store::unchanged(&item, "hosts").and(emcrm_store::unchanged(&item, "owner")))
                    .or(Rule::Changed)
                    .set("hosts", hosts)
                    .set("owner", owner)
                    .add("rev", 1);
                self.reindex_later(&mut tx, &[keys::event_part(&event)]);
            }
            self.step(tx).await?;
        }
        let address = task.payload.get("email").and_then(Value::as_str).map(|email| EmailAddress::from(email.to_owned()));
        if let Some(address) = address
            // Whoever has the address by now is somebody whom the list shows.
            && self.store.users.by_email(&address).await?.is_none()
        {
            self.suppression_pseudonymise(&address).await?;
        }
        let mut tx = Transaction::new();
        tx.delete(Table::Main, keys::user_tombstone(&user));
        self.step(tx).await?;
        Ok(Outcome::Done)
    }

    /// The event is gone: attendances go and the users' counters follow, then the id may be taken again. The attendances are found by an index that may
    /// lag, so the task looks a second time.
    pub(crate) async fn event_gone(&self, task: &Task) -> Result<Outcome, AppError> {
        let Some(event) = task.payload.get("event").and_then(Value::as_str).map(|id| EventId::from(id.to_owned())) else { return Ok(Outcome::Done) };
        let mut after = None;
        loop {
            let rows = self.store.engine.query(Attendances::of_event(&event).limit(CHUNK).after(after)).await?;
            let users: Vec<UserId> =
                rows.items.iter().filter_map(|item| item.key.pk.strip_prefix(keys::USER_PREFIX)).map(|id| UserId::from(id.to_owned())).collect();
            self.attendances_take_back(&event, &users).await?;
            match rows.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if task.payload.get("swept").is_none() {
            let payload = serde_json::json!({ "event": event.as_str(), "swept": true });
            return Ok(Outcome::Again { due: self.now_ms() + INDEX_LAG_MS, payload });
        }
        let mut tx = Transaction::new();
        tx.delete(Table::Main, keys::event_tombstone(&event));
        self.step(tx).await?;
        Ok(Outcome::Done)
    }

    async fn attendances_take_back(&self, event: &EventId, users: &[UserId]) -> Result<(), AppError> {
        if users.is_empty() {
            return Ok(());
        }
        let known = self.store.users.get_many(users).await?;
        let mut tx = Transaction::new();
        let mut docs = Vec::new();
        for (user, known) in users.iter().zip(&known) {
            self.attendance_take_back(&mut tx, event, user, known.is_some());
            docs.push(keys::user_part(user));
        }
        self.reindex_later(&mut tx, &docs);
        if self.step(tx).await? {
            return Ok(());
        }
        // One of them was taken back or deleted in the meantime: one by one, then.
        for user in users {
            let known = self.store.users.get(user).await?.is_some();
            let mut tx = Transaction::new();
            self.attendance_take_back(&mut tx, event, user, known);
            self.reindex_later(&mut tx, &[keys::user_part(user)]);
            if !self.step(tx).await? && self.store.attendances.get(user, event).await?.is_some() {
                return Err(AppError::Contended);
            }
        }
        Ok(())
    }

    fn attendance_take_back(&self, tx: &mut Transaction, event: &EventId, user: &UserId, known: bool) {
        self.store.attendances.delete(tx, user, event);
        if known {
            self.store.users.count(tx, user, "attendedCount", -1, Rule::Changed);
        }
    }

    /// Commits a step; false when somebody else changed what it was computed from.
    async fn step(&self, tx: Transaction) -> Result<bool, AppError> {
        match self.transact(tx).await {
            Ok(()) => Ok(true),
            Err(TransactError::Refused(_)) => Ok(false),
            Err(TransactError::Engine(error)) => Err(error.into()),
        }
    }
}
