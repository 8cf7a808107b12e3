//! Attendance: register, read, change, take back, list.

use emcrm_model::{Attendance, AttendanceDraft, EventId, Page, PageRequest, Rev, Role, User, UserId};
use emcrm_store::{Attendances, Guard, Rule, Table, Transaction, from_item, keys};
use serde_json::{Value, json};

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::users::{rev_is, unexpected};
use crate::{App, AppError, Call};

/// An attendance and who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendee {
    pub attendance: Attendance,
    /// None when it was not asked for, or when the user is gone.
    pub user: Option<User>,
}

impl App {
    pub async fn attendance_register(&self, call: &Call, draft: AttendanceDraft) -> Result<Attendance, AppError> {
        call.require(Role::Editor)?;
        if let Some(attendance) = self.replayed(call).await? {
            return Ok(attendance);
        }
        let (user, event) = (draft.user_id.clone(), draft.event_id.clone());
        let mut tx = Transaction::new();
        let attendance = self.attendance_insert(&mut tx, draft);
        self.store.attendances.seat_take(&mut tx, &attendance.event_id);
        self.store.users.count(&mut tx, &attendance.user_id, "attendedCount", 1, Rule::UserUnknown);
        self.reindex_later(&mut tx, &[keys::user_part(&attendance.user_id)]);
        // What an unknown user or event is told must not depend on what else is wrong.
        tx.ops.swap(0, 2);
        let deed = Deed::new("attendance.registered", keys::event_part(&event)).and(keys::user_part(&user));
        match self.commit(call, deed, tx, attendance).await? {
            Ok(attendance) => Ok(attendance),
            Err(Rule::UserUnknown) => Err(AppError::UserUnknown),
            Err(Rule::EventUnknown) => Err(AppError::EventUnknown),
            Err(Rule::AlreadyAttending) => Err(AppError::AlreadyAttending),
            // Somebody who is in already is told so, also when the event has filled up since.
            Err(Rule::EventFull) => match self.store.attendances.get(&user, &event).await? {
                Some(_) => Err(AppError::AlreadyAttending),
                None => Err(AppError::EventFull),
            },
            Err(rule) => Err(unexpected(rule)),
        }
    }

    /// The operation that makes an attendance, without seats and counters.
    pub(crate) fn attendance_insert(&self, tx: &mut Transaction, draft: AttendanceDraft) -> Attendance {
        let attendance = Attendance {
            user_id: draft.user_id,
            event_id: draft.event_id,
            attended: draft.attended,
            created_at: Some(self.stamp()),
            updated_at: None,
            rev: Rev(1),
        };
        self.store.attendances.put(tx, &attendance);
        attendance
    }

    pub async fn attendance_get(&self, call: &Call, user: &UserId, event: &EventId) -> Result<Attendance, AppError> {
        call.require_event(event)?;
        self.store.attendances.get(user, event).await?.ok_or(AppError::AttendanceUnknown)
    }

    /// Changes `attended`; none keeps it.
    pub async fn attendance_change(&self, call: &Call, user: &UserId, event: &EventId, attended: Option<String>) -> Result<Attendance, AppError> {
        call.require_check_in(event)?;
        if let Some(attendance) = self.replayed(call).await? {
            return Ok(attendance);
        }
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let key = keys::attendance(user, event);
            let item = self.store.engine.get(Table::Main, &key).await?.ok_or(AppError::AttendanceUnknown)?;
            let old: Attendance = from_item(item.clone())?;
            let Some(attended) = attended.clone() else { return Ok(old) };
            let changed = Attendance { attended, updated_at: Some(self.stamp()), rev: Rev(old.rev.0 + 1), ..old };
            let mut tx = Transaction::new();
            let mut op = tx.update(Table::Main, key).when(Guard::Present).or(Rule::NotAttending);
            if let Some(rev) = call.if_match {
                op = op.when(rev_is(rev)).or(Rule::StaleRev);
            }
            op.when(emcrm_store::unchanged(&item, "rev"))
                .or(Rule::Changed)
                .set("attended", changed.attended.as_str())
                .set_or_remove("updatedAt", changed.updated_at.as_deref())
                .set("rev", changed.rev.0);
            let deed = Deed::new("attendance.changed", keys::event_part(event)).and(keys::user_part(user));
            match self.commit(call, deed, tx, changed).await? {
                Ok(attendance) => return Ok(attendance),
                Err(Rule::Changed) => {}
                Err(Rule::NotAttending) => return Err(AppError::AttendanceUnknown),
                Err(Rule::StaleRev) => return Err(AppError::StaleRev),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    /// Takes the attendance back: the seat is free, the counters follow in the same change.
    pub async fn attendance_cancel(&self, call: &Call, user: &UserId, event: &EventId) -> Result<(), AppError> {
        call.require(Role::Editor)?;
        self.attendance_end(call, user, event).await
    }

    /// The same for whoever may by other means than a role.
    pub(crate) async fn attendance_end(&self, call: &Call, user: &UserId, event: &EventId) -> Result<(), AppError> {
        if self.replayed::<Value>(call).await?.is_some() {
            return Ok(());
        }
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let known_user = self.store.users.get(user).await?.is_some();
            let known_event = self.store.events.get(event).await?.is_some();
            let mut tx = Transaction::new();
            self.store.attendances.delete(&mut tx, user, event);
            if let Some(rev) = call.if_match
                && let Some(op) = tx.ops.last_mut()
            {
                op.guards.push((rev_is(rev), Rule::StaleRev));
            }
            // A side that was deleted has no counter any more; its clean-up may be under way.
            if known_event {
                self.store.attendances.seats_free(&mut tx, event, 1);
            }
            if known_user {
                self.store.users.count(&mut tx, user, "attendedCount", -1, Rule::Changed);
                self.reindex_later(&mut tx, &[keys::user_part(user)]);
            }
            let deed = Deed::new("attendance.cancelled", keys::event_part(event)).and(keys::user_part(user));
            match self.commit(call, deed, tx, json!({ "cancelled": true })).await? {
                Ok(_) => return Ok(()),
                Err(Rule::Changed) => {}
                Err(Rule::NotAttending) => return Err(AppError::AttendanceUnknown),
                Err(Rule::StaleRev) => return Err(AppError::StaleRev),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    pub async fn attendance_of_user(&self, call: &Call, user: &UserId, page: PageRequest) -> Result<Page<Attendance>, AppError> {
        call.require(Role::Viewer)?;
        let total = self.store.users.get(user).await?.ok_or(AppError::UserUnknown)?.attended_count.max(0) as u64;
        self.page(&format!("attend/{}", keys::user_part(user)), Attendances::of_user(user), &page, total, from_item).await
    }

    pub async fn attendance_of_event(&self, call: &Call, event: &EventId, page: PageRequest, with_users: bool) -> Result<Page<Attendee>, AppError> {
        call.require_event(event)?;
        let total = self.store.events.get(event).await?.ok_or(AppError::EventUnknown)?.attendee_count.max(0) as u64;
        let page: Page<Attendance> = self.page(&format!("attend/{}", keys::event_part(event)), Attendances::of_event(event), &page, total, from_item).await?;
        let users = if with_users {
            let ids: Vec<UserId> = page.items.iter().map(|attendance| attendance.user_id.clone()).collect();
            self.store.users.get_many(&ids).await?
        } else {
            vec![None; page.items.len()]
        };
        let mut users = users.into_iter();
        Ok(page.map(|attendance| Attendee { attendance, user: users.next().flatten() }))
    }
}
