//! Runs the tasks: leases shards, takes what is due, deletes what is done, retries what failed, gives up what cannot be done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use emcrm_store::{Queue, Task, keys};
use emcrm_trace::Instrument as _;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cascade::Outcome;
use crate::{App, AppError, spans};

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
/// Deeds are chained in batches at least this far apart.
const AUDIT_PACE: Duration = Duration::from_millis(50);
/// The same where each look is paid for and nobody waits for the second.
const LOOK_SHARED: Duration = Duration::from_secs(2);
/// Failed attempts before a task is given up: with the backoff, more than an hour.
const ATTEMPTS_MAX: u32 = 15;
/// Longest time that a task puts itself off, in milliseconds. Only the moment of a schedule may lie further ahead.
pub(crate) const PUT_OFF_MAX_MS: i64 = 3_600_000;
/// A clock that is put back by less than this, in milliseconds, delays nothing that anybody would notice.
const SET_BACK_MS: i64 = 60_000;
/// Patience with tasks in hand at shutdown.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Runs in the background until it is stopped.
pub struct Worker {
    stop: CancellationToken,
    running: TaskTracker,
    app: Arc<App>,
    hands: Arc<Hands>,
}

/// What this process may work on and what it has in hand.
#[derive(Default)]
struct Hands {
    /// Shards, and until when (milliseconds since 1970).
    held: Mutex<HashMap<(Queue, u32), i64>>,
    /// Tasks by their ids.
    tasks: Mutex<HashMap<String, (Queue, u32)>>,
}

impl Hands {
    /// Shards of a queue whose lease has not run out, and when it does.
    fn shards(&self, queue: Queue, now: i64) -> Vec<(u32, i64)> {
        let held = self.held.lock();
        let mut shards: Vec<_> = held.iter().filter(|((of, _), until)| *of == queue && **until > now).map(|((_, shard), until)| (*shard, *until)).collect();
        shards.sort_unstable();
        shards
    }

    /// Shards of a queue in which nothing is in hand.
    fn idle(&self, queue: Queue) -> Vec<u32> {
        let tasks = self.tasks.lock();
        let held = self.held.lock();
        held.keys().filter(|(of, shard)| *of == queue && !tasks.values().any(|place| *place == (*of, *shard))).map(|(_, shard)| *shard).collect()
    }
}

impl Worker {
    pub fn spawn(app: Arc<App>) -> Self {
        Self::spawn_for(app, &Queue::ALL)
    }

    /// Works on some queues only.
    pub fn spawn_for(app: Arc<App>, queues: &[Queue]) -> Self {
        let stop = CancellationToken::new();
        let running = TaskTracker::new();
        let hands = Arc::new(Hands::default());
        running.spawn(keep_leases(app.clone(), queues.to_vec(), hands.clone(), stop.clone()));
        if queues.contains(&Queue::Default) {
            running.spawn(run_audit(app.clone(), hands.clone(), stop.clone()));
        }
        for queue in queues {
            running.spawn(run_queue(app.clone(), *queue, hands.clone(), stop.clone()));
        }
        running.close();
        Self { stop, running, app, hands }
    }

    /// Takes no new tasks, lets those in hand come to a stopping point, and gives the leases back.
    pub async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(STOP_PATIENCE, self.running.wait()).await.is_err() {
            tracing::warn!("tasks in hand did not stop in time; they will be taken up again");
            return;
        }
        let (leases, name) = (&self.app.store.leases, &self.app.settings.worker_name);
        let held: Vec<(Queue, u32)> = self.hands.held.lock().keys().copied().collect();
        let mut given = join_all(held.into_iter().map(|(queue, shard)| leases.give(queue, shard, name))).await;
        if self.app.settings.shared {
            given.push(leases.leave(name).await);
        }
        if let Some(error) = given.into_iter().find_map(Result::err) {
            tracing::warn!(%error, "leases could not be given back; they run out by themselves");
        }
    }
}

async fn keep_leases(app: Arc<App>, queues: Vec<Queue>, hands: Arc<Hands>, stop: CancellationToken) {
    let lasts = i64::from(app.settings.lease_seconds) * 1_000;
    let renew = Duration::from_millis((lasts / 3).max(100) as u64);
    // What the clock says beyond the time that has passed: it changes when somebody sets the clock.
    let mut known: Option<i64> = None;
    loop {
        let share = share(&app, lasts).await;
        for queue in queues.iter().copied() {
            renew_leases(&app, &hands, queue, share, lasts).await;
            app.wake.of(queue).notify_one();
        }
        let set_to = app.now_ms() - app.clock.elapsed().as_millis() as i64;
        if known.is_none_or(|known| set_to < known - SET_BACK_MS) {
            known = match bring_forward(&app, &queues, &hands).await {
                Ok(()) => Some(set_to),
                Err(error) => {
                    tracing::warn!(%error, "tasks that lie far ahead could not be read; they are looked at again");
                    None
                }
            };
        } else {
            known = Some(set_to);
        }
        tokio::select! {
            () = tokio::time::sleep(renew) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Tasks that lie further ahead than any puts itself off are due now: the clock was put back after that. Looked for when a worker starts, and when it sees its clock
/// go back.
async fn bring_forward(app: &App, queues: &[Queue], hands: &Hands) -> Result<(), emcrm_store::EngineError> {
    let now = app.now_ms();
    for queue in queues.iter().copied() {
        for (shard, _) in hands.shards(queue, now) {
            for task in app.store.tasks.due_after(queue, shard, now + PUT_OFF_MAX_MS).await? {
                if task.kind == "schedule" || hands.tasks.lock().contains_key(&task.id) {
                    continue;
                }
                tracing::warn!(task = %task.id, kind = %task.kind, "a task lies too far ahead, because the clock was put back; it is due now");
                app.store.tasks.reschedule_now(&task, &Task { due: now, ..task.clone() }).await?;
            }
        }
        app.wake.of(queue).notify_one();
    }
    Ok(())
}

/// Shards of a queue that are this worker's part, when all that are alive have the same.
async fn share(app: &App, lasts: i64) -> usize {
    let all = keys::SHARDS as usize;
    if !app.settings.shared {
        return all;
    }
    let now = app.now_ms();
    let leases = &app.store.leases;
    let alive = match leases.announce(&app.settings.worker_name, now + lasts).await {
        Ok(()) => leases.alive(now).await,
        Err(error) => Err(error),
    };
    match alive {
        Ok(alive) => all.div_ceil(alive.max(1)),
        Err(error) => {
            tracing::warn!(%error, "other workers could not be counted");
            all
        }
    }
}

/// Renews what is held, takes what is free up to the share, and gives back what is beyond it and idle.
async fn renew_leases(app: &App, hands: &Hands, queue: Queue, share: usize, lasts: i64) {
    let now = app.now_ms();
    let (leases, name) = (&app.store.leases, &app.settings.worker_name);
    let mine: Vec<u32> = hands.held.lock().keys().filter(|(of, _)| *of == queue).map(|(_, shard)| *shard).collect();
    let beyond = mine.len().saturating_sub(share);
    let given: Vec<u32> = if beyond > 0 { hands.idle(queue).into_iter().take(beyond).collect() } else { Vec::new() };
    for shard in &given {
        // Not worked on any more from this moment, and free a moment later.
        hands.held.lock().remove(&(queue, *shard));
    }
    for result in join_all(given.iter().map(|shard| leases.give(queue, *shard, name))).await {
        if let Err(error) = result {
            tracing::warn!(%error, queue = queue.as_str(), "a lease could not be given back; it runs out by itself");
        }
    }
    let mut wanted: Vec<u32> = mine.iter().copied().filter(|shard| !given.contains(shard)).collect();
    let room = share.saturating_sub(wanted.len());
    if room > 0 {
        // From a place of one's own, so that workers that start together do not all ask for the same.
        let start = rand::random_range(0..keys::SHARDS);
        let others = (0..keys::SHARDS).map(|n| (start + n) % keys::SHARDS).filter(|shard| !mine.contains(shard));
        // As many as there is room for; who holds the others gives them up, or dies, and a later round finds them.
        let mut others: Vec<u32> = others.collect();
        if app.settings.shared {
            others = free(app, queue, &others, now).await;
            others.truncate(room);
        }
        wanted.extend(others);
    }
    // All at once, so that an engine may commit them together.
    let takes = wanted.iter().map(|shard| leases.take(queue, *shard, name, now, now + lasts));
    for (shard, taken) in wanted.iter().zip(join_all(takes).await) {
        match taken {
            Ok(true) => drop(hands.held.lock().insert((queue, *shard), now + lasts)),
            Ok(false) => drop(hands.held.lock().remove(&(queue, *shard))),
            Err(error) => tracing::warn!(%error, queue = queue.as_str(), shard, "a lease could not be renewed"),
        }
    }
}

/// Those of the shards that nobody holds: reading is cheaper than failing to take.
async fn free(app: &App, queue: Queue, shards: &[u32], now: i64) -> Vec<u32> {
    match app.store.leases.free(queue, shards, now).await {
        Ok(free) => free,
        Err(error) => {
            tracing::warn!(%error, queue = queue.as_str(), "leases could not be read");
            Vec::new()
        }
    }
}

async fn run_queue(app: Arc<App>, queue: Queue, hands: Arc<Hands>, stop: CancellationToken) {
    let mut working = JoinSet::new();
    let look = if app.settings.shared && queue != Queue::Index { LOOK_SHARED } else { LOOK };
    if queue != Queue::Index && !hold_restored(&app, &stop).await {
        return;
    }
    loop {
        let more = if queue == Queue::Index {
            // New, lost or damaged: at the start, or at any time.
            fill_index(&app, &stop).await;
            index_once(&app, &hands).await
        } else {
            start_due(&app, queue, &hands, &mut working, &stop).await
        };
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
            () = tokio::time::sleep(look) => {}
            Some(_) = working.join_next(), if !working.is_empty() => {}
            () = stop.cancelled() => {}
        }
        tokio::time::sleep(pause.min(Duration::from_millis(2))).await;
    }
    while working.join_next().await.is_some() {}
}

/// Nothing that may mail is begun before this is settled; false when the worker stops first.
async fn hold_restored(app: &App, stop: &CancellationToken) -> bool {
    loop {
        match app.restored_settle().await {
            Ok(_) => return true,
            Err(error) => tracing::warn!(%error, "whether this storage was restored from a backup cannot be seen; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK * 4) => {}
            () = stop.cancelled() => return false,
        }
    }
}

/// Moves what was done into the chain of the audit trail, and forgets what is old. Whoever holds the shard does it; two at once would do no harm.
async fn run_audit(app: Arc<App>, hands: Arc<Hands>, stop: CancellationToken) {
    let shard = keys::shard_of("audit");
    loop {
        let held = hands.shards(Queue::Default, app.now_ms()).iter().any(|(held, _)| *held == shard);
        let result = if held { async { Ok::<_, AppError>(app.audit_chain().await? + app.audit_forget().await?) }.await } else { Ok(0) };
        match result {
            // There may be more.
            Ok(1..) if !stop.is_cancelled() => {
                tokio::time::sleep(AUDIT_PACE).await;
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the audit trail could not be chained; trying again"),
        }
        tokio::select! {
            () = app.wake.audit.notified() => tokio::time::sleep(AUDIT_PACE).await,
            () = tokio::time::sleep(LOOK_SHARED) => {}
            () = stop.cancelled() => return,
        }
    }
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

/// Due tasks of the shards that are held, and until when all of them surely are.
async fn due(app: &App, queue: Queue, hands: &Hands) -> Result<(Vec<Task>, i64), emcrm_store::EngineError> {
    let now = app.now_ms();
    let shards = hands.shards(queue, now);
    let until = shards.iter().map(|(_, until)| *until).min().unwrap_or(now);
    let found = join_all(shards.iter().map(|(shard, _)| app.store.tasks.due(queue, *shard, now, TAKE))).await;
    let tasks = found.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok((tasks.into_iter().flatten().collect(), until))
}

/// Brings up to date what is due, all shards in one batch; true when there may be more.
async fn index_once(app: &Arc<App>, hands: &Hands) -> bool {
    let (tasks, until) = match due(app, Queue::Index, hands).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "tasks of the index could not be read");
            return false;
        }
    };
    if tasks.is_empty() {
        return false;
    }
    let result = match app.index_tasks(&tasks).await {
        // Somebody else may have the shards by now, and may have written newer states before these arrived: whoever has them does it again.
        Ok(()) if app.settings.shared && app.now_ms() >= until => app.index_again(&tasks).await,
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
async fn start_due(app: &Arc<App>, queue: Queue, hands: &Arc<Hands>, working: &mut JoinSet<()>, stop: &CancellationToken) -> bool {
    let tasks = match due(app, queue, hands).await {
        Ok((tasks, _)) => tasks,
        Err(error) => {
            tracing::warn!(%error, queue = queue.as_str(), "tasks could not be read");
            return false;
        }
    };
    for task in tasks {
        if working.len() >= at_once(queue) {
            // Something will end and wake us.
            return false;
        }
        let new = hands.tasks.lock().insert(task.id.clone(), (queue, task.shard)).is_none();
        if stop.is_cancelled() || !new {
            continue;
        }
        let (app, hands, stop) = (app.clone(), hands.clone(), stop.clone());
        working.spawn(async move {
            run_task(&app, &task, &stop).await;
            hands.tasks.lock().remove(&task.id);
        });
    }
    false
}

async fn run_task(app: &Arc<App>, task: &Task, stop: &CancellationToken) {
    let span = spans::task(task);
    let result = handle(app, task, stop).instrument(span.clone()).await;
    let trace = task.next_trace();
    let settled = match result {
        Ok(Outcome::Done) => app.store.tasks.delete_many(std::slice::from_ref(task)).await,
        Ok(Outcome::Again { due, payload }) => {
            app.store.tasks.reschedule_now(task, &Task { due, payload, attempts: 0, error: None, trace, ..task.clone() }).await
        }
        Err(error) => {
            emcrm_trace::failed(&span);
            tracing::warn!(%error, task = %task.id, kind = %task.kind, attempts = task.attempts, "a task failed");
            if task.attempts + 1 >= ATTEMPTS_MAX || matches!(error, AppError::Internal(_)) && task.attempts >= 2 {
                app.store.tasks.bury(task, &error.to_string()).await
            } else {
                let wait = (500_i64 << task.attempts.min(10)).min(300_000);
                let due = app.now_ms() + wait + rand::random_range(0..=wait / 4);
                app.store.tasks.reschedule_now(task, &Task { due, attempts: task.attempts + 1, error: Some(error.to_string()), trace, ..task.clone() }).await
            }
        }
    };
    if let Err(error) = settled {
        tracing::warn!(%error, task = %task.id, "a task could not be settled; it will be run again");
    }
}

async fn handle(app: &Arc<App>, task: &Task, stop: &CancellationToken) -> Result<Outcome, AppError> {
    match task.kind.as_str() {
        "schedule" => app.schedule_due(task).await,
        "freeze" => app.freeze(task, stop).await,
        "send" => app.send(task, stop).await,
        "cancel" => app.cancel(task).await,
        "retry" => app.retry(task).await,
        "registration_mail" => app.registration_mail(task).await,
        "user_gone" => app.user_gone(task).await,
        "people_import" => app.people_import_run(task, stop).await,
        "people_import_undo" => app.people_import_take_back(task, stop).await,
        "user_erase" => app.user_erase_rest(task).await,
        "event_gone" => app.event_gone(task).await,
        other => Err(AppError::Internal(format!("no handler for a task of kind {other}"))),
    }
}
