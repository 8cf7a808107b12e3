//! Tasks that were given up: what a person can do about them.

use emcrm_model::Role;
use emcrm_store::{Queue, Task};

use crate::audit::Deed;
use crate::{App, AppError, Call};

/// Dead letters of one queue that are listed, and that are treated at once.
const LISTED: u32 = 100;

/// How the audit trail calls a task.
fn object(task: &Task) -> String {
    format!("task#{}/{}", task.queue.as_str(), task.id)
}

impl App {
    /// Of all queues, oldest first in each, at most a hundred of each.
    pub async fn dead_letters(&self, call: &Call) -> Result<Vec<Task>, AppError> {
        call.require(Role::Admin)?;
        let mut dead = Vec::new();
        for queue in Queue::ALL {
            dead.extend(self.store.tasks.dead(queue, LISTED).await?);
        }
        Ok(dead)
    }

    /// Puts one back to work, now.
    pub async fn dead_letter_retry(&self, call: &Call, queue: Queue, id: &str) -> Result<(), AppError> {
        let dead = self.dead_letter(call, queue, id).await?;
        self.audit(call, Deed::new("task.retried", object(&dead))).await?;
        self.revive(&dead).await
    }

    /// Puts all that are listed back to work. Answers how many.
    pub async fn dead_letters_retry(&self, call: &Call) -> Result<usize, AppError> {
        let dead = self.dead_letters(call).await?;
        for task in &dead {
            self.audit(call, Deed::new("task.retried", object(task))).await?;
            self.revive(task).await?;
        }
        Ok(dead.len())
    }

    /// Throws one away: what it was about is never done by itself. Answers what it was.
    pub async fn dead_letter_drop(&self, call: &Call, queue: Queue, id: &str) -> Result<Task, AppError> {
        let dead = self.dead_letter(call, queue, id).await?;
        self.audit(call, Deed::new("task.dropped", object(&dead))).await?;
        self.store.tasks.forget(queue, id).await?;
        tracing::warn!(task = id, kind = %dead.kind, queue = queue.as_str(), actor = call.actor.name(), "a task that had been given up was thrown away");
        Ok(dead)
    }

    async fn dead_letter(&self, call: &Call, queue: Queue, id: &str) -> Result<Task, AppError> {
        call.require(Role::Admin)?;
        let gone = AppError::NothingThere("The task is not among those that were given up any more");
        // Ids of tasks are UUIDs; nothing else can be a key.
        if uuid::Uuid::try_parse(id).is_err() {
            return Err(gone);
        }
        self.store.tasks.dead_letter(queue, id).await?.ok_or(gone)
    }

    async fn revive(&self, dead: &Task) -> Result<(), AppError> {
        self.store.tasks.revive(dead, self.now_ms()).await?;
        self.wake.of(dead.queue).notify_one();
        Ok(())
    }
}
