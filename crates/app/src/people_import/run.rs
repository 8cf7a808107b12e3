//! The tasks of an import: doing it piece by piece, and taking it back, the last piece first.

use emcrm_model::{User, UserDraft};
use emcrm_store::{Guard, Rule, Table, Task, TransactError, Transaction, keys};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::columns::{draft_of, fields_of, patch_of};
use super::plan::{Seen, Step, count};
use super::{ImportState, PeopleImport, Row, UndoCounts, piece_of};
use crate::cascade::Outcome;
use crate::{App, AppError, Call};

impl App {
    pub(crate) async fn people_import_run(&self, task: &Task, stop: &CancellationToken) -> Result<Outcome, AppError> {
        let Some(mut import) = self.import_of(task, ImportState::Running).await? else { return Ok(Outcome::Done) };
        // An address counts once in a file, also when the first half was done before a restart.
        let mut seen = Seen::new();
        for n in 0..import.next {
            for Row(line, cells) in self.import_rows(&import, n).await? {
                if let Ok(Some(email)) = patch_of(&fields_of(&cells, &import.mapping)).map(|patch| patch.email) {
                    seen.entry(email.normalised().to_owned()).or_insert(line);
                }
            }
        }
        while import.next < import.pieces {
            if stop.is_cancelled() {
                return Ok(Outcome::Again { due: self.now_ms(), payload: task.payload.clone() });
            }
            let steps = self.import_steps(&import, &mut seen).await?;
            let mut changed = import.clone();
            self.import_apply(&steps, &mut changed).await?;
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
    async fn import_steps(&self, import: &PeopleImport, seen: &mut Seen) -> Result<Vec<Step>, AppError> {
        let rows = self.import_rows(import, import.next).await?;
        let key = keys::people_import_steps(&import.id, import.next);
        let stored: Option<Vec<Step>> = self.import_content(&key).await?;
        let (steps, _) = self.import_plan(&rows, &import.mapping, seen).await?;
        if let Some(stored) = stored {
            return Ok(stored);
        }
        let mut tx = Transaction::new();
        tx.put(Table::Main, piece_of(import, key.clone(), &steps)?).when(Guard::Absent).or(Rule::Changed);
        match self.transact(tx).await {
            Ok(()) => Ok(steps),
            Err(TransactError::Engine(error)) => Err(error.into()),
            // Somebody else was quicker with the same piece.
            Err(TransactError::Refused(_)) => self.import_content(&key).await?.ok_or(AppError::Contended),
        }
    }

    async fn import_apply(&self, steps: &[Step], import: &mut PeopleImport) -> Result<(), AppError> {
        count(&mut import.counts, steps);
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
                let steps: Vec<Step> = self.import_content(&keys::people_import_steps(&import.id, changed.next)).await?.unwrap_or_default();
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
