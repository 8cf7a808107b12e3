//! The tasks of an import: doing it piece by piece, and taking it back, the last piece first.

use emcrm_model::{EventId, User, UserDraft, UserId};
use emcrm_store::{Guard, Rule, Table, Task, TransactError, Transaction, keys};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::columns::{draft_of, fields_of, patch_of};
use super::plan::{Before, Place, Step, count};
use super::{ImportState, PeopleImport, Row, UndoCounts, piece_of};
use crate::cascade::Outcome;
use crate::roster::REGISTERED;
use crate::{App, AppError, Call};

impl App {
    pub(crate) async fn people_import_run(&self, task: &Task, stop: &CancellationToken) -> Result<Outcome, AppError> {
        let Some(mut import) = self.import_of(task, ImportState::Running).await? else { return Ok(Outcome::Done) };
        // An address counts once in a file, also when the first half was done before a restart.
        let mut before = Before::default();
        for n in 0..import.next {
            for Row(line, cells) in self.import_rows(&import, n).await? {
                if let Ok(Some(email)) = patch_of(&fields_of(&cells, &import.mapping)).map(|patch| patch.email) {
                    before.seen.entry(email.normalised().to_owned()).or_insert(line);
                }
            }
        }
        while import.next < import.pieces {
            if stop.is_cancelled() {
                return Ok(Outcome::Again { due: self.now_ms(), payload: task.payload.clone() });
            }
            let (steps, places) = self.import_steps(&import, &mut before).await?;
            let mut changed = import.clone();
            self.import_apply(&steps, &places, &mut changed).await?;
            changed.next += 1;
            if changed.next == changed.pieces {
                changed.state = ImportState::Done;
            }
            if !self.import_checkpoint(&import, &changed).await? {
                return Ok(Outcome::Again { due: self.now_ms(), payload: task.payload.clone() });
            }
            import = changed;
        }
        Ok(Outcome::Done)
    }

    async fn import_of(&self, task: &Task, state: ImportState) -> Result<Option<PeopleImport>, AppError> {
        let Some(id) = task.payload.get("import").and_then(Value::as_str) else { return Ok(None) };
        match self.people_import_get(&Call::system(), id).await {
            Ok(import) => Ok(Some(import).filter(|import| import.state == state)),
            Err(AppError::NothingThere(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// What the next piece does: stored before anything is done, and the same when it is asked for again.
    async fn import_steps(&self, import: &PeopleImport, before: &mut Before) -> Result<(Vec<Step>, Vec<Place>), AppError> {
        let rows = self.import_rows(import, import.next).await?;
        let stored = self.import_stored(import, import.next).await?;
        if let Some(event) = &import.event {
            // Of an event that is gone there is no place.
            before.free = self.store.events.get(event).await?.map_or(Some(0), |event| event.places_left());
        }
        // Done for a stored piece as well: the addresses count for the rows that follow.
        let plan = self.import_plan(import.event.as_ref(), rows, &import.mapping, before).await?;
        if let Some(stored) = stored {
            return Ok(stored);
        }
        let mut tx = Transaction::new();
        tx.put(Table::Main, piece_of(import, keys::people_import_steps(&import.id, import.next), &plan.steps)?).when(Guard::Absent).or(Rule::Changed);
        if import.event.is_some() {
            tx.put(Table::Main, piece_of(import, keys::people_import_places(&import.id, import.next), &plan.places)?).when(Guard::Absent).or(Rule::Changed);
        }
        match self.transact(tx).await {
            Ok(()) => Ok((plan.steps, plan.places)),
            Err(TransactError::Engine(error)) => Err(error.into()),
            // Somebody else was quicker with the same piece.
            Err(TransactError::Refused(_)) => self.import_stored(import, import.next).await?.ok_or(AppError::Contended),
        }
    }

    /// What a piece does, where that is stored.
    async fn import_stored(&self, import: &PeopleImport, n: u32) -> Result<Option<(Vec<Step>, Vec<Place>)>, AppError> {
        let Some(steps) = self.import_content(&keys::people_import_steps(&import.id, n)).await? else { return Ok(None) };
        let places = self.import_content(&keys::people_import_places(&import.id, n)).await?;
        Ok(Some((steps, places.unwrap_or_default())))
    }

    async fn import_apply(&self, steps: &[Step], places: &[Place], import: &mut PeopleImport) -> Result<(), AppError> {
        count(&mut import.counts, steps, places);
        let system = import.call();
        let drafts = steps.iter().filter_map(|step| match step {
            Step::Create { id, body } => draft_of(body).ok().map(|draft| (Some(id.clone()), draft)),
            _ => None,
        });
        for answer in self.users_import(&system, drafts.collect()).await? {
            match answer {
                // Taken: this very row was stored before a restart.
                Ok(_) | Err(AppError::UserIdTaken) => {}
                // Somebody was added with this address since the steps were made; so the row is left out.
                Err(AppError::EmailTaken) => {
                    import.counts.created = import.counts.created.saturating_sub(1);
                    import.counts.faulty += 1;
                }
                Err(other) => return Err(other),
            }
        }
        for step in steps {
            let Step::Change { before, body } = step else { continue };
            let Ok(patch) = patch_of(body) else { continue };
            match self.user_patch(&system, &before.id, patch).await {
                Ok(_) => {}
                Err(AppError::UserUnknown) => {
                    import.counts.changed = import.counts.changed.saturating_sub(1);
                    import.counts.faulty += 1;
                }
                Err(other) => return Err(other),
            }
        }
        self.import_register(places, import).await
    }

    /// Puts people on the event's list, when they are there.
    async fn import_register(&self, places: &[Place], import: &mut PeopleImport) -> Result<(), AppError> {
        let users: Vec<UserId> = places.iter().filter_map(Place::taken).cloned().collect();
        let Some(event) = import.event.as_ref().filter(|_| !users.is_empty()) else { return Ok(()) };
        let answers = match self.attendances_import(&import.call(), event, &users, REGISTERED).await {
            Err(AppError::EventUnknown) => {
                import.counts.unplaced += users.len() as u64;
                return Ok(());
            }
            answers => answers?,
        };
        for answer in answers {
            match answer {
                // On the list: by this very row before a restart.
                Ok(()) | Err(AppError::AlreadyAttending) => import.counts.registered += 1,
                Err(AppError::EventFull | AppError::EventUnknown | AppError::UserUnknown) => import.counts.unplaced += 1,
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// False when somebody else has moved it on.
    async fn import_checkpoint(&self, seen: &PeopleImport, changed: &PeopleImport) -> Result<bool, AppError> {
        let mut tx = Transaction::new();
        changed.put_over(&mut tx, seen)?;
        match self.transact(tx).await {
            Ok(()) => Ok(true),
            Err(TransactError::Engine(error)) => Err(error.into()),
            Err(TransactError::Refused(_)) => Ok(false),
        }
    }

    pub(crate) async fn people_import_take_back(&self, task: &Task, stop: &CancellationToken) -> Result<Outcome, AppError> {
        let Some(mut import) = self.import_of(task, ImportState::Undoing).await? else { return Ok(Outcome::Done) };
        loop {
            if stop.is_cancelled() {
                return Ok(Outcome::Again { due: self.now_ms(), payload: task.payload.clone() });
            }
            let mut changed = import.clone();
            if import.next == 0 {
                changed.state = ImportState::Undone;
            } else {
                changed.next -= 1;
                let (steps, places) = self.import_stored(&import, changed.next).await?.unwrap_or_default();
                if let Some(event) = &import.event {
                    for (step, place) in steps.iter().zip(&places) {
                        self.import_unregister(&import.call(), event, step, place, &mut changed.undone).await?;
                    }
                }
                for step in &steps {
                    self.import_undo_step(&import.call(), step, &mut changed.undone).await?;
                }
            }
            if !self.import_checkpoint(&import, &changed).await? {
                return Ok(Outcome::Again { due: self.now_ms(), payload: task.payload.clone() });
            }
            if changed.state == ImportState::Undone {
                return Ok(Outcome::Done);
            }
            import = changed;
        }
    }

    /// Takes somebody off the event's list whom the import put there, if nobody has touched that since.
    async fn import_unregister(&self, call: &Call, event: &EventId, step: &Step, place: &Place, counts: &mut UndoCounts) -> Result<(), AppError> {
        let Some(user) = place.taken() else { return Ok(()) };
        let done = match self.store.attendances.get(user, event).await? {
            Some(attendance) if attendance.attended == REGISTERED && attendance.updated_at.is_none() => {
                let call = Call { if_match: Some(attendance.rev), ..call.clone() };
                self.attendance_cancel(&call, user, event).await
            }
            Some(_) => Err(AppError::StaleRev),
            // By this very step before a restart, or by somebody.
            None => Ok(()),
        };
        match done {
            Ok(()) | Err(AppError::AttendanceUnknown) => counts.unregistered += 1,
            // Whoever was added by the import is counted when it comes to that.
            Err(AppError::StaleRev) if matches!(step, Step::Create { .. }) => {}
            Err(AppError::StaleRev) => counts.kept += 1,
            Err(other) => return Err(other),
        }
        Ok(())
    }

    async fn import_undo_step(&self, call: &Call, step: &Step, counts: &mut UndoCounts) -> Result<(), AppError> {
        let (id, outcome) = match step {
            Step::Create { id, .. } => (id, &mut counts.deleted),
            Step::Change { before, .. } => (&before.id, &mut counts.restored),
            Step::Same | Step::Faulty => return Ok(()),
        };
        let Some(user) = self.store.users.get(id).await? else {
            // Gone already, by this very step before a restart or by somebody; or never added.
            if matches!(step, Step::Create { .. }) {
                *outcome += 1;
            }
            return Ok(());
        };
        let call = Call { if_match: Some(user.rev), ..call.clone() };
        let done = match step {
            Step::Create { body, .. } if untouched(&user, body) => self.user_delete(&call, id).await,
            Step::Change { before, body } => match restored(&user, before, body) {
                Some(draft) => self.user_replace(&call, id, draft).await.map(|_| ()),
                None => Err(AppError::StaleRev),
            },
            _ => Err(AppError::StaleRev),
        };
        match done {
            Ok(()) => *outcome += 1,
            Err(AppError::StaleRev | AppError::EmailTaken | AppError::UserUnknown) => counts.kept += 1,
            Err(other) => return Err(other),
        }
        Ok(())
    }
}

/// Still as the import made them, and nowhere registered.
fn untouched(user: &User, body: &Value) -> bool {
    user.attended_count == 0 && user.hosted_count == 0 && draft_of(body).is_ok_and(|draft| draft == UserDraft::of(user))
}

/// As before, in every field that still has what the import wrote; none when there is no such field.
fn restored(user: &User, before: &User, body: &Value) -> Option<UserDraft> {
    let (now, before) = (UserDraft::of(user), UserDraft::of(before));
    let wrote = patch_of(body).ok()?.apply(before.clone());
    macro_rules! pick {
        ($($field:ident),+) => { UserDraft { $($field: if now.$field == wrote.$field { before.$field.clone() } else { now.$field.clone() }),+ } };
    }
    let draft = pick!(first_name, last_name, email, phone_number, avatar, gender, job_title, company, city, state);
    (draft != now || now == before).then_some(draft)
}
