//! What follows when a person cancels a campaign or has deliveries sent again, as tasks.

use emcrm_model::DeliveryState;
use emcrm_store::{Queue, Task, Transaction};
use serde_json::json;

use crate::campaigns::campaign_of;
use crate::cascade::Outcome;
use crate::freeze::payload_texts;
use crate::{App, AppError};

/// How long a run may still be handing over mails that it had claimed, in milliseconds: longer than a transport's patience.
const IN_HAND_MS: i64 = 120_000;

impl App {
    /// Rows that wait become `cancelled`. Rows in hand are recorded by their run; those that nobody records in time become `unknown`.
    pub(crate) async fn cancel(&self, task: &Task) -> Result<Outcome, AppError> {
        let Some(id) = campaign_of(task) else { return Ok(Outcome::Done) };
        let sending = self.ledger_move(&id, &[DeliveryState::Pending], DeliveryState::Cancelled, Some("the campaign was cancelled")).await?;
        if sending == 0 {
            return Ok(Outcome::Done);
        }
        if task.payload.get("waited").is_none() {
            return Ok(Outcome::Again { due: self.now_ms() + IN_HAND_MS, payload: json!({ "campaign": id.as_str(), "waited": true }) });
        }
        let reason = "the worker stopped while the mail was being handed over; it may have been sent or not";
        self.ledger_move(&id, &[DeliveryState::Sending], DeliveryState::Unknown, Some(reason)).await?;
        Ok(Outcome::Done)
    }

    /// Rows in the chosen states wait again, then the sending goes on.
    pub(crate) async fn retry(&self, task: &Task) -> Result<Outcome, AppError> {
        let Some(id) = campaign_of(task) else { return Ok(Outcome::Done) };
        let states: Vec<DeliveryState> = payload_texts(&task.payload, "states").iter().filter_map(|state| DeliveryState::parse(state)).collect();
        self.ledger_move(&id, &states, DeliveryState::Pending, None).await?;
        let mut tx = Transaction::new();
        self.store.tasks.put(&mut tx, Queue::Mail, id.as_str(), "send", json!({ "campaign": id.as_str() }), self.now_ms());
        self.store.tasks.done(&mut tx, task);
        // Refused means that the task was done before; either way it is done now.
        crate::freeze::moved(self.transact(tx).await)?;
        Ok(Outcome::Done)
    }
}
