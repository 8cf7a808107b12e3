//! What is reachable, and what waits.

use emcrm_model::{Campaign, CampaignState};
use emcrm_store::{Campaigns, Queue, keys, readable};

use crate::{App, AppError};

/// Each dependency: fine, or why not. The texts are for the log and for people who operate the server, not for the public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub storage: Result<(), String>,
    pub search: Result<(), String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    pub queues: Vec<QueueBacklog>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueBacklog {
    pub queue: &'static str,
    /// Tasks, counted up to 1,000 a shard.
    pub waiting: u64,
    /// Age of the oldest task that is due, in seconds; 0 when none is.
    pub oldest_seconds: u64,
    /// Tasks that were given up, counted up to 1,000.
    pub dead: u64,
}

const COUNT_MAX: u32 = 1_000;

impl App {
    pub async fn health(&self) -> Health {
        let (storage, search) = tokio::join!(self.store.engine.health(), self.index.health());
        Health { storage: storage.map_err(|error| error.to_string()), search: search.map_err(|error| error.to_string()) }
    }

    /// States of the newest campaigns, and whether the product itself holds them and waits for a person.
    pub async fn campaign_states(&self, limit: u32) -> Result<Vec<(CampaignState, bool)>, AppError> {
        let rows = self.store.engine.query(Campaigns::list().limit(limit)).await?;
        let state = |campaign: Campaign| (campaign.status, campaign.status == CampaignState::Paused && campaign.reason.is_some());
        Ok(readable(rows.items, |item| Campaigns::read_without_body(item).map(state))?)
    }

    pub async fn backlog(&self) -> Result<Backlog, AppError> {
        let now = self.now_ms();
        let mut queues = Vec::new();
        for queue in Queue::ALL {
            let mut waiting = 0;
            let mut oldest = now;
            for shard in 0..keys::SHARDS {
                waiting += self.store.tasks.waiting(queue, shard, COUNT_MAX).await?;
                if let Some(first) = self.store.tasks.first(queue, shard).await? {
                    oldest = oldest.min(first.due);
                }
            }
            let dead = self.store.tasks.dead(queue, COUNT_MAX).await?.len() as u64;
            queues.push(QueueBacklog { queue: queue.as_str(), waiting, oldest_seconds: ((now - oldest) / 1_000) as u64, dead });
        }
        Ok(Backlog { queues })
    }
}
