//! Attendances as items.

use std::sync::Arc;

use emcrm_model::{Attendance, EventId, UserId};

use crate::engine::{Engine, EngineError, Guard, IndexName, Query, Table, Transaction};
use crate::keys;
use crate::repository::{from_item, from_items, read_many, to_item};
use crate::rules::Rule;

#[derive(Clone)]
pub struct Attendances {
    engine: Arc<dyn Engine>,
}

impl Attendances {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    pub async fn get(&self, user: &UserId, event: &EventId) -> Result<Option<Attendance>, EngineError> {
        self.engine.get(Table::Main, &keys::attendance(user, event)).await?.map(from_item).transpose()
    }

    /// Of these users at one event, in their order; none for who is not on its list.
    pub async fn get_many(&self, users: &[UserId], event: &EventId) -> Result<Vec<Option<Attendance>>, EngineError> {
        let keys: Vec<_> = users.iter().map(|user| keys::attendance(user, event)).collect();
        read_many(self.engine.as_ref(), Table::Main, &keys).await
    }

    /// Of one user; strongly consistent.
    pub fn of_user(user: &UserId) -> Query {
        Query::table(Table::Main, keys::user_part(user)).prefix(keys::EVENT_PREFIX)
    }

    /// Of one event, by an index: for lists, never to decide.
    pub fn of_event(event: &EventId) -> Query {
        Query::index(Table::Main, IndexName::Sk, keys::event_part(event)).prefix(keys::USER_PREFIX)
    }

    pub fn read(items: Vec<crate::Item>) -> Result<Vec<Attendance>, EngineError> {
        from_items(items)
    }

    pub fn put(&self, tx: &mut Transaction, attendance: &Attendance) {
        let key = keys::attendance(&attendance.user_id, &attendance.event_id);
        tx.put(Table::Main, to_item(key, keys::TYPE_ATTENDANCE, attendance)).when(Guard::Absent).or(Rule::AlreadyAttending);
    }

    /// One seat of the event is taken: it must exist and have room.
    pub fn seat_take(&self, tx: &mut Transaction, event: &EventId) {
        tx.update(Table::Main, keys::event(event))
            .add("attendeeCount", 1)
            .add("rev", 1)
            .when(Guard::Present)
            .or(Rule::EventUnknown)
            .when(Guard::below_attr("attendeeCount", "maxCapacity"))
            .or(Rule::EventFull);
    }

    /// Seats of the event, which exists, are free again.
    pub fn seats_free(&self, tx: &mut Transaction, event: &EventId, seats: i64) {
        tx.update(Table::Main, keys::event(event)).add("attendeeCount", -seats).add("rev", 1).when(Guard::Present).or(Rule::Changed);
    }

    pub fn delete(&self, tx: &mut Transaction, user: &UserId, event: &EventId) {
        tx.delete(Table::Main, keys::attendance(user, event)).when(Guard::Present).or(Rule::NotAttending);
    }
}
