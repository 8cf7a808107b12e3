//! Many users or attendances at once: the same rules, fewer transactions.

use std::collections::HashSet;

use emcrm_model::{AttendanceDraft, EventId, Role, UserDraft, UserId};
use emcrm_store::engine::{GET_MANY_MAX, OPS_MAX};
use emcrm_store::{CountKind, Guard, Rule, Table, TransactError, Transaction, keys};

use crate::audit::Deed;
use crate::roster::REGISTERED;
use crate::{App, AppError, Call};

/// Users of one transaction: a row and a claim each; one operation counts, one is the index task, one the entry of the audit trail.
pub const USERS_AT_ONCE: usize = (OPS_MAX - 3) / 2;
/// Attendances of one transaction: a row and a user's counter each; one operation takes the seats, one is the index task, one the entry of the audit trail.
pub const ATTENDANCES_AT_ONCE: usize = (OPS_MAX - 3) / 2;

/// What became of people who were put on an event's list at once: each is in one of these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOnList {
    pub added: usize,
    /// On the list before.
    pub already: usize,
    /// Whom no place was left for, in the order in which they were given.
    pub unplaced: Vec<UserId>,
    /// Deleted meanwhile.
    pub gone: usize,
}

impl App {
    /// Makes users, [`USERS_AT_ONCE`] in a transaction. One answer for each, in their order: a row that breaks a rule does not keep the others out.
    pub async fn users_import(&self, call: &Call, drafts: Vec<(Option<UserId>, UserDraft)>) -> Result<Vec<Result<UserId, AppError>>, AppError> {
        call.require(Role::Editor)?;
        let mut answers = Vec::with_capacity(drafts.len());
        for chunk in drafts.chunks(USERS_AT_ONCE) {
            let mut tx = Transaction::new();
            let mut ids = Vec::with_capacity(chunk.len());
            for (id, draft) in chunk {
                let id = id.clone().unwrap_or_else(|| self.ids.random().into());
                ids.push(self.user_insert(&mut tx, id, draft.clone()).id);
            }
            if let Some(first) = ids.first() {
                self.store.counts.add(&mut tx, CountKind::Users, first.as_str(), ids.len() as i64);
            }
            self.reindex_later(&mut tx, &ids.iter().map(keys::user_part).collect::<Vec<_>>());
            self.audit_note(&mut tx, call, Deed::new("users.imported", "").with(format!("{} people", ids.len())));
            // A chosen id may have a clean-up under way; that check needs operations of its own, so such rows go one by one.
            let chosen = chunk.iter().any(|(id, _)| id.is_some()) && self.any_tombstone(&ids).await?;
            let result = if chosen { Err(TransactError::Refused(Vec::new())) } else { self.transact(tx).await };
            match result {
                Ok(()) => answers.extend(ids.into_iter().map(Ok)),
                Err(TransactError::Engine(emcrm_store::EngineError::Limit(_)) | TransactError::Refused(_)) => {
                    // One of them is taken, or two of them are the same.
                    for (id, draft) in chunk.iter().cloned() {
                        answers.push(self.user_create(&Call { idempotency: None, if_match: None, ..call.clone() }, id, draft).await.map(|user| user.id));
                    }
                }
                Err(TransactError::Engine(error)) => return Err(error.into()),
            }
        }
        Ok(answers)
    }

    async fn any_tombstone(&self, ids: &[UserId]) -> Result<bool, AppError> {
        let keys: Vec<_> = ids.iter().map(keys::user_tombstone).collect();
        Ok(self.store.engine.get_many(Table::Main, &keys).await?.iter().any(Option::is_some))
    }

    /// Registers users at one event, [`ATTENDANCES_AT_ONCE`] in a transaction. One answer for each, in their order.
    pub async fn attendances_import(&self, call: &Call, event: &EventId, users: &[UserId], attended: &str) -> Result<Vec<Result<(), AppError>>, AppError> {
        call.require(Role::Editor)?;
        let mut answers = Vec::with_capacity(users.len());
        for chunk in users.chunks(ATTENDANCES_AT_ONCE) {
            let Some(stored) = self.store.events.get(event).await? else { return Err(AppError::EventUnknown) };
            let mut tx = Transaction::new();
            for user in chunk {
                let draft = AttendanceDraft { user_id: user.clone(), event_id: event.clone(), attended: attended.to_owned() };
                self.attendance_insert(&mut tx, draft);
                self.store.users.count(&mut tx, user, "attendedCount", 1, Rule::UserUnknown);
            }
            let seats = chunk.len() as i64;
            let room = match stored.max_capacity {
                Some(capacity) => Guard::equals("maxCapacity", capacity).and(Guard::AtMost("attendeeCount".to_owned(), capacity - seats)),
                None => Guard::Missing("maxCapacity".to_owned()),
            };
            let op = tx.update(Table::Main, keys::event(event)).add("attendeeCount", seats).add("rev", 1);
            op.when(Guard::Present).or(Rule::EventUnknown).when(room).or(Rule::EventFull);
            self.reindex_later(&mut tx, &chunk.iter().map(keys::user_part).collect::<Vec<_>>());
            self.audit_note(&mut tx, call, Deed::new("attendances.imported", keys::event_part(event)).with(format!("{} people", chunk.len())));
            match self.transact(tx).await {
                Ok(()) => answers.extend(chunk.iter().map(|_| Ok(()))),
                Err(TransactError::Engine(emcrm_store::EngineError::Limit(_)) | TransactError::Refused(_)) => {
                    for user in chunk {
                        let draft = AttendanceDraft { user_id: user.clone(), event_id: event.clone(), attended: attended.to_owned() };
                        let one = Call { idempotency: None, if_match: None, ..call.clone() };
                        answers.push(self.attendance_register(&one, draft).await.map(|_| ()));
                    }
                }
                Err(TransactError::Engine(error)) => return Err(error.into()),
            }
        }
        Ok(answers)
    }

    /// Puts people on an event's list, each once, in the order in which they are given and while there are places. Repeating it changes nothing.
    pub async fn attendances_add(&self, call: &Call, event: &EventId, users: &[UserId]) -> Result<PutOnList, AppError> {
        call.require(Role::Editor)?;
        let places = self.store.events.get(event).await?.ok_or(AppError::EventUnknown)?.places_left();
        let mut outcome = PutOnList::default();
        let (mut seen, mut new) = (HashSet::new(), Vec::new());
        let users: Vec<UserId> = users.iter().filter(|id| seen.insert(*id)).cloned().collect();
        for part in users.chunks(GET_MANY_MAX) {
            let there = self.attending(call, event, part).await?;
            for (id, known) in part.iter().zip(self.store.users.get_many(part).await?) {
                match known {
                    None => outcome.gone += 1,
                    Some(_) if there.contains(id) => outcome.already += 1,
                    Some(_) => new.push(id.clone()),
                }
            }
        }
        // Nobody is tried who cannot get a place: one by one, that would take long.
        let rest = match places {
            Some(left) => new.split_off(new.len().min(usize::try_from(left).unwrap_or(0))),
            None => Vec::new(),
        };
        for (id, answer) in new.iter().zip(self.attendances_import(call, event, &new, REGISTERED).await?) {
            match answer {
                Ok(()) => outcome.added += 1,
                Err(AppError::AlreadyAttending) => outcome.already += 1,
                Err(AppError::UserUnknown) => outcome.gone += 1,
                // Somebody else was quicker.
                Err(AppError::EventFull) => outcome.unplaced.push(id.clone()),
                Err(other) => return Err(other),
            }
        }
        outcome.unplaced.extend(rest);
        Ok(outcome)
    }
}
