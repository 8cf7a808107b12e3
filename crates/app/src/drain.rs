//! Having the work that waits done now, by a program that is not a server.

use std::sync::Arc;
use std::time::Duration;

use emcrm_store::{EngineError, Queue, keys};

use crate::{App, AppError, Worker};

/// Between two looks at what waits.
const LOOK: Duration = Duration::from_millis(20);
/// Longer than a transaction may be on its way.
const SURELY_COMMITTED_MS: i64 = 60_000;
/// Tasks that are forgotten at once.
const FORGET: u32 = 1_000;

/// Works off the tasks of these queues that are due. False when nothing has moved for as long as `patience`, because another process holds the
/// leases or the tasks fail.
pub async fn work_off(app: &Arc<App>, queues: &[Queue], patience: Duration) -> Result<bool, AppError> {
    let mut heads = due_heads(app, queues).await?;
    if heads.is_empty() {
        return Ok(true);
    }
    let worker = Worker::spawn_for(app.clone(), queues);
    let mut deadline = tokio::time::Instant::now() + patience;
    let outcome = loop {
        tokio::time::sleep(LOOK).await;
        match due_heads(app, queues).await {
            Ok(now) if now.is_empty() => break Ok(true),
            Ok(now) if now != heads => {
                heads = now;
                deadline = tokio::time::Instant::now() + patience;
            }
            Ok(_) if tokio::time::Instant::now() >= deadline => break Ok(false),
            Ok(_) => {}
            Err(error) => break Err(error.into()),
        }
    };
    worker.stop().await;
    outcome
}

/// Builds the index anew, and forgets the tasks that it makes superfluous: after a large import cheaper than doing them.
pub async fn reindex_instead(app: &App, progress: impl Fn(u64)) -> Result<u64, AppError> {
    // A change carries its moment from before its commit, so only what is surely committed counts.
    let before = app.now_ms() - SURELY_COMMITTED_MS;
    let documents = app.reindex(progress).await?;
    for shard in 0..keys::SHARDS {
        loop {
            let mut done = app.store.tasks.due(Queue::Index, shard, before, FORGET).await?;
            let more = done.len() == FORGET as usize;
            done.retain(|task| task.created < before);
            if done.is_empty() {
                break;
            }
            app.store.tasks.delete_many(&done).await?;
            if !more {
                break;
            }
        }
    }
    Ok(documents)
}

/// The first due task of each shard that has one.
async fn due_heads(app: &App, queues: &[Queue]) -> Result<Vec<String>, EngineError> {
    let now = app.now_ms();
    let mut heads = Vec::new();
    for queue in queues {
        for shard in 0..keys::SHARDS {
            heads.extend(app.store.tasks.due(*queue, shard, now, 1).await?.into_iter().map(|task| task.id));
        }
    }
    Ok(heads)
}
