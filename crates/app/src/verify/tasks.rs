//! Work that waits: done before anything is counted, or known, so that consequences under way are not findings.

use std::collections::HashSet;
use std::time::Duration;

use emcrm_model::{EventId, UserId};
use emcrm_store::{EngineError, Guard, Item, Query, Queue, Rule, Table, Task, keys};
use serde_json::{Value, json};

use super::{Check, FindingKind, NoteKind, Repair};
use crate::drain::work_off;
use crate::users::json_attrs;
use crate::{App, AppError};

/// How long work that waits may stand still before it is counted around. What still waits is named.
const PATIENCE: Duration = Duration::from_secs(20);
/// Dead letters of one queue that are looked at.
const DEAD_MAX: u32 = 1_000;

/// Subjects that a task is going to see to.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) users: HashSet<String>,
    pub(super) events: HashSet<String>,
    pub(super) campaigns: HashSet<String>,
    tasks: u64,
}

impl Waiting {
    pub(super) async fn read(app: &App) -> Result<Self, EngineError> {
        let mut waiting = Self::default();
        for queue in [Queue::Default, Queue::Mail] {
            for shard in 0..keys::SHARDS {
                let query = Query::table(Table::Main, keys::task_part(queue.as_str(), shard));
                let mut rows = super::walk::Rows::new(app.store.engine.as_ref(), query);
                while let Some(item) = rows.next().await? {
                    waiting.tasks += 1;
                    waiting.note(&item);
                }
            }
        }
        Ok(waiting)
    }

    fn note(&mut self, task: &Item) {
        let subject = |name: &str| task.attrs.get("payload").and_then(|payload| payload.get(name)).and_then(Value::as_str).map(str::to_owned);
        self.users.extend(subject("user"));
        self.events.extend(subject("event"));
        self.campaigns.extend(subject("campaign"));
    }
}

impl Check<'_> {
    /// Has everything done that is due, except mail.
    pub(super) async fn drain(&mut self) -> Result<(), AppError> {
        // An index that was made anew is not wrong, it is empty.
        let progress = self.progress;
        self.app.fill_index(|n| progress("documents of a new index", n)).await?;
        (self.progress)("waiting work", 0);
        work_off(self.app, &[Queue::Index, Queue::Default], PATIENCE).await?;
        Ok(())
    }

    /// Dead letters, and what still waits.
    pub(super) async fn tasks(&mut self) -> Result<(), AppError> {
        for queue in Queue::ALL {
            for dead in self.app.store.tasks.dead(queue, DEAD_MAX).await? {
                let repair = if self.repair {
                    self.app.store.tasks.revive(&dead, self.app.now_ms()).await?;
                    Repair::Done
                } else {
                    Repair::NotAsked
                };
                let Task { kind, attempts, error, .. } = &dead;
                let why = error.as_deref().unwrap_or("no reason was kept");
                let mended = if repair == Repair::Done { "; it is tried again" } else { "" };
                self.found(
                    FindingKind::DeadTask,
                    format!("dead#{}/{}", queue.as_str(), dead.id),
                    format!("a task of kind {kind} was given up after {attempts} attempts: {why}{mended}"),
                    repair,
                );
            }
        }
        let waiting = Waiting::read(self.app).await?;
        if waiting.tasks > 0 {
            self.note(NoteKind::TasksWaiting, waiting.tasks, "tasks", "wait for their time or for a worker; what they are about is not compared");
        }
        Ok(())
    }

    /// Has the consequences of a user's deletion carried out (again).
    pub(super) async fn clean_up_user(&self, user: &UserId) -> Result<Repair, AppError> {
        let stamp = self.app.stamp();
        self.mend(|tx| {
            tx.check(Table::Main, keys::user(user)).when(Guard::Absent).or(Rule::Changed);
            tx.put(Table::Main, Item { key: keys::user_tombstone(user), attrs: json_attrs(json!({ "deletedAt": stamp })) });
            self.app.store.tasks.put(tx, Queue::Default, &keys::user_part(user), "user_gone", json!({ "user": user.as_str() }), self.app.now_ms());
        })
        .await
    }

    /// Has the consequences of an event's deletion carried out (again).
    pub(super) async fn clean_up_event(&self, event: &EventId) -> Result<Repair, AppError> {
        let stamp = self.app.stamp();
        self.mend(|tx| {
            tx.check(Table::Main, keys::event(event)).when(Guard::Absent).or(Rule::Changed);
            tx.put(Table::Main, Item { key: keys::event_tombstone(event), attrs: json_attrs(json!({ "deletedAt": stamp })) });
            self.app.store.tasks.put(tx, Queue::Default, &keys::event_part(event), "event_gone", json!({ "event": event.as_str() }), self.app.now_ms());
        })
        .await
    }
}
