//! Storage that came out of a backup: what was under way then must not go on by itself.
//!
//! A backup knows nothing of the mails that were handed over after it. So whatever would mail by itself is held until a person has looked at it.

use emcrm_model::{CampaignId, CampaignState};
use emcrm_store::{Attrs, Campaigns, Engine, Guard, Item, Queue, Rule, Table, TransactError, Transaction, keys};
use serde::Serialize;
use serde_json::{Value, json};

use crate::freeze::moved;
use crate::{App, AppError, Call};

/// Campaigns or tasks that are read at once.
const PAGE: u32 = 200;

/// What would have gone on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Held {
    pub campaigns: u64,
    /// Confirmations of registrations; they are among the tasks that were given up, where a person may retry them.
    pub confirmations: u64,
}

/// Marks a copy of the storage as a backup of this moment.
pub async fn mark_as_backup(engine: &dyn Engine, at: &str) -> Result<(), TransactError> {
    let mut tx = Transaction::new();
    let attrs: Attrs = [("at".to_owned(), json!(at))].into_iter().collect();
    tx.put(Table::Main, Item { key: keys::restored(), attrs });
    engine.transact(tx).await
}

impl App {
    /// Holds what was under way, if this storage came out of a backup and nobody has done so yet. None: it did not.
    pub async fn restored_settle(&self) -> Result<Option<Held>, AppError> {
        let Some(mark) = self.store.engine.get(Table::Main, &keys::restored()).await? else { return Ok(None) };
        let at = mark.attrs.get("at").and_then(Value::as_str).unwrap_or("an unknown moment").to_owned();
        let held = self.restored_hold(&at).await?;
        // Last, so that a process that dies before it does it again.
        let mut tx = Transaction::new();
        tx.delete(Table::Main, keys::restored());
        self.store.engine.transact(tx).await.map_err(AppError::from)?;
        tracing::warn!(backup = at, campaigns = held.campaigns, confirmations = held.confirmations, "restored from a backup; what was under way is held");
        Ok(Some(held))
    }

    /// Pauses every campaign that would send by itself, and gives up confirmations that wait. `at`: the moment that the storage is of.
    pub async fn restored_hold(&self, at: &str) -> Result<Held, AppError> {
        let mut held = Held::default();
        let mut query = Campaigns::list().limit(PAGE);
        loop {
            let rows = self.store.engine.query(query.clone()).await?;
            for item in rows.items {
                // By its key and its state alone: one that cannot be read must not keep the others from being held.
                let status =
                    item.attrs.get("status").and_then(Value::as_str).and_then(|said| CampaignState::ALL.into_iter().find(|state| state.as_str() == said));
                if let (Some(id), Some(status)) = (keys::campaign_id(&item.key), status) {
                    held.campaigns += u64::from(self.restored_pause(&id, status, at).await?);
                }
            }
            match rows.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        for shard in 0..keys::SHARDS {
            for task in self.store.tasks.all(Queue::Mail, shard).await? {
                if task.kind == "registration_mail" {
                    self.store.tasks.bury(&task, &format!("restored from a backup of {at}: perhaps it was sent after that")).await?;
                    held.confirmations += 1;
                }
            }
        }
        Ok(held)
    }

    async fn restored_pause(&self, id: &CampaignId, status: CampaignState, at: &str) -> Result<bool, AppError> {
        const BY_ITSELF: [CampaignState; 4] = [CampaignState::Scheduled, CampaignState::Pending, CampaignState::Freezing, CampaignState::Sending];
        if !BY_ITSELF.contains(&status) {
            return Ok(false);
        }
        let reason =
            format!("restored from a backup of {at}: mails that went out after that are not known here; resume it to send what is pending, or cancel it");
        let mut tx = Transaction::new();
        let still = Guard::Any(BY_ITSELF.iter().map(|state| Guard::equals("status", state.as_str())).collect());
        let op = self.store.campaigns.update_any(&mut tx, id).when(still).or(Rule::CampaignMoved);
        op.set("status", CampaignState::Paused.as_str()).set("reason", reason.as_str());
        self.campaign_note(&mut tx, &Call::system(), id, "held", Some(reason));
        Ok(moved(self.transact(tx).await)?)
    }
}
