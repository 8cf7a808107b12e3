//! Runs the tasks: leases shards, takes what is due, deletes what is done, retries what failed, gives up what cannot be done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use emcrm_store::{Queue, Task, keys};
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cascade::Outcome;
use crate::{App, AppError};

/// Tasks of one queue that are worked on at once. Campaigns mostly wait, for their rate or for the mail server, so that many fit: a slow one must not
/// keep the next one from its audience.
fn at_once(queue: Queue) -> usize {
    if queue == Queue::Mail { 64 } else { 8 }
}
/// Tasks that one read takes from a shard.
const TAKE: u32 = 200;
/// Documents are brought up to date in batches at least this far apart, so that a storm of changes does not become a storm of commits.
const INDEX_PACE: Duration = Duration::from_millis(25);
/// How often due tasks are looked for without a signal: retries, and work that another process left.
const LOOK: Duration = Duration::from_millis(500);
/// Failed attempts before a task is given up: with the backoff, more than an hour.
const ATTEMPTS_MAX: u32 = 15;
/// Patience with tasks in hand at shutdown.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Runs in the background until it is stopped.
pub struct Worker {
    stop: CancellationToken,
    running: TaskTracker,
    app: Arc<App>,
    queues: Vec<Queue>,
}

/// Shards that this process may work on, and until when (milliseconds since 1970).
type Held = Arc<Mutex<HashMap<(Queue, u32), i64>>>;

impl Worker {
    pub fn spawn(app: Arc<App>) -> Self {
        Self::spawn_for(app, &Queue::ALL)
    }

    /// Works on some queues only.
    pub fn spawn_for(app: Arc<App>, queues: &[Queue]) -> Self {
        let stop = CancellationToken::new();
        let running = TaskTracker::new();
        let held: Held = Arc::default();
        running.spawn(keep_leases(app.clone(), queues.to_vec(), held.clone(), stop.clone()));
        for queue in queues {
            running.spawn(run_queue(app.clone(), *queue, held.clone(), stop.clone()));
        }
        running.close();
        Self { stop, running, app, queues: queues.to_vec() }
    }

    /// Takes no new tasks, lets those in hand come to a stopping point, and gives the leases back.
    pub async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(STOP_PATIENCE, self.running.wait()).await.is_err() {
            tracing::warn!("tasks in hand did not stop in time; they will be taken up again");
            return;
        }
        for queue in self.queues {
            for shard in 0..keys::SHARDS {
                if let Err(error) = self.app.store.leases.give(queue, shard, &self.app.settings.worker_name).await {
                    tracing::warn!(%error, "a lease could not be given back; it runs out by itself");
                    return;
                }
            }
        }
    }
}

async fn keep_leases(app: Arc<App>, queues: Vec<Queue>, held: Held, stop: CancellationToken) {
    let lasts = i64::from(app.settings.lease_seconds) * 1_000;
    let renew = Duration::from_millis((lasts / 3).max(100) as u64);
    loop {
        for queue in queues.iter().copied() {
            // All at once, so that an engine may commit them together.
            let now = app.now_ms();
            let takes = (0..keys::SHARDS).map(|shard| app.store.leases.take(queue, shard, &app.settings.worker_name, now, now + lasts));
            for (shard, taken) in (0..keys::SHARDS).zip(join_all(takes).await) {
                match taken {
                    Ok(true) => drop(held.lock().insert((queue, shard), now + lasts)),
                    Ok(false) => drop(held.lock().remove(&(queue, shard))),
                    Err(error) => tracing::warn!(%error, queue = queue.as_str(), shard, "a lease could not be renewed"),
                }
            }
            app.wake.of(queue).notify_one();
        }
        tokio::select! {
            () = tokio::time::sleep(renew) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Shards of a queue whose lease has not run out.
fn shards(app: &App, queue: Queue, held: &Held) -> Vec<u32> {
    let now = app.now_ms();
    let mut shards: Vec<u32> = held.lock().iter().filter(|((of, _), until)| *of == queue && **until > now).map(|((_, shard), _)| *shard).collect();
    shards.sort_unstable();
    shards
}

async fn run_queue(app: Arc<App>, queue: Queue, held: Held, stop: CancellationToken) {
    let in_hand: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut working = JoinSet::new();
    if queue == Queue::Index {
        fill_index(&app, &stop).await;
    }
    loop {
        let more = if queue == Queue::Index { index_once(&app, &held).await } else { start_due(&app, queue, &held, &in_hand, &mut working, &stop).await };
        while working.try_join_next().is_some() {}
        if stop.is_cancelled() {
            break;
        }
        let pause = if queue == Queue::Index { INDEX_PACE } else { Duration::ZERO };
        if more {
            tokio::time::sleep(pause).await;
            continue;
        }
        tokio::select! {
            () = app.wake.of(queue).notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            Some(_) = working.join_next(), if !working.is_empty() => {}
            () = stop.cancelled() => {}
        }
        tokio::time::sleep(pause.min(Duration::from_millis(2))).await;
    }
    while working.join_next().await.is_some() {}
}

/// Fills an index that is new, or that was lost or damaged, from the storage.
async fn fill_index(app: &Arc<App>, stop: &CancellationToken) {
    loop {
        let result = match app.index.is_complete().await {
            Ok(true) => return,
            Ok(false) => {
                tracing::info!("the search index is not complete; it is being filled from the storage");
                tokio::select! {
                    result = app.reindex(|_| {}) => result.map(|documents| tracing::info!(documents, "the search index is filled")),
                    () = stop.cancelled() => return,
                }
            }
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "the search index could not be filled; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK * 4) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Brings up to date what is due, all shards in one batch; true when there may be more.
async fn index_once(app: &Arc<App>, held: &Held) -> bool {
    let mut tasks = Vec::new();
    for shard in shards(app, Queue::Index, held) {
        match app.store.tasks.due(Queue::Index, shard, app.now_ms(), TAKE).await {
            Ok(due) => tasks.extend(due),
            Err(error) => {
                tracing::warn!(%error, "tasks of the index could not be read");
                return false;
            }
        }
    }
    if tasks.is_empty() {
        return false;
    }
    let result = match app.index_tasks(&tasks).await {
        Ok(()) => app.store.tasks.delete_many(&tasks).await.map_err(AppError::from),
        Err(error) => Err(error),
    };
    let Err(error) = result else { return true };
    tracing::warn!(%error, "the index could not be brought up to date");
    if matches!(error, AppError::Storage(emcrm_store::EngineError::Corrupt(_))) {
        // One item that cannot be read must not keep the others out.
        for task in &tasks {
            let one = std::slice::from_ref(task);
            let done = match app.index_tasks(one).await {
                Ok(()) => app.store.tasks.delete_many(one).await,
                Err(error) => app.store.tasks.bury(task, &error.to_string()).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "a task of the index could not be settled");
            }
        }
        return true;
    }
    tokio::time::sleep(LOOK).await;
    false
}

/// Starts what is due and not in hand yet; true when there was more than could be started.
async fn start_due(
    app: &Arc<App>,
    queue: Queue,
    held: &Held,
    in_hand: &Arc<Mutex<HashSet<String>>>,
    working: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> bool {
    for shard in shards(app, queue, held) {
        let due = match app.store.tasks.due(queue, shard, app.now_ms(), TAKE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, queue = queue.as_str(), "tasks could not be read");
                return false;
            }
        };
        for task in due {
            if working.len() >= at_once(queue) {
                // Something will end and wake us.
                return false;
            }
            if stop.is_cancelled() || !in_hand.lock().insert(task.id.clone()) {
                continue;
            }
            let (app, in_hand, stop) = (app.clone(), in_hand.clone(), stop.clone());
            working.spawn(async move {
                run_task(&app, &task, &stop).await;
                in_hand.lock().remove(&task.id);
            });
        }
    }
    false
}

async fn run_task(app: &Arc<App>, task: &Task, stop: &CancellationToken) {
    let result = match task.kind.as_str() {
        "freeze" => app.freeze(task, stop).await,
        "send" => app.send(task, stop).await,
        "cancel" => app.cancel(task).await,
        "retry" => app.retry(task).await,
        "user_gone" => app.user_gone(task).await,
        "event_gone" => app.event_gone(task).await,
        other => Err(AppError::Internal(format!("no handler for a task of kind {other}"))),
    };
    let settled = match result {
        Ok(Outcome::Done) => app.store.tasks.delete_many(std::slice::from_ref(task)).await,
        Ok(Outcome::Again { due, payload }) => app.store.tasks.reschedule_now(task, &Task { due, payload, attempts: 0, error: None, ..task.clone() }).await,
        Err(error) => {
            tracing::warn!(%error, task = %task.id, kind = %task.kind, attempts = task.attempts, "a task failed");
            if task.attempts + 1 >= ATTEMPTS_MAX || matches!(error, AppError::Internal(_)) && task.attempts >= 2 {
                app.store.tasks.bury(task, &error.to_string()).await
            } else {
                let wait = (500_i64 << task.attempts.min(10)).min(300_000);
                let due = app.now_ms() + wait + rand::random_range(0..=wait / 4);
                app.store.tasks.reschedule_now(task, &Task { due, attempts: task.attempts + 1, error: Some(error.to_string()), ..task.clone() }).await
            }
        }
    };
    if let Err(error) = settled {
        tracing::warn!(%error, task = %task.id, "a task could not be settled; it will be run again");
    }
}
