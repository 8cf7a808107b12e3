//! Steps of ledger rows from state to state, and the campaign's counts that follow them.

use std::time::Duration;

use emcrm_model::{CampaignId, CampaignState, Delivery, DeliveryState};
use emcrm_store::engine::OpBuilder;
use emcrm_store::{Guard, Rule, Table, TransactError, Transaction, keys};
use serde_json::Value;

use crate::{App, AppError};

/// Rows of one transaction; one operation is the campaign's.
const CHUNK: usize = 99;
/// How long a known outcome is tried to be recorded while the storage is away.
const RECORD_TRIES: u32 = 60;

/// One row from one state to another.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) delivery: Delivery,
    pub(super) from: DeliveryState,
    pub(super) to: DeliveryState,
    error: Option<String>,
    sent_at: Option<String>,
    pub(super) retry_at: Option<i64>,
    /// Hand-overs to add; a claim counts one, a hand-over that did not come about takes it back.
    attempts: i64,
}

impl Step {
    fn new(delivery: Delivery, from: DeliveryState, to: DeliveryState) -> Self {
        Self { delivery, from, to, error: None, sent_at: None, retry_at: None, attempts: 0 }
    }
    pub(super) fn claim(delivery: &Delivery) -> Self {
        Self { attempts: 1, ..Self::new(delivery.clone(), DeliveryState::Pending, DeliveryState::Sending) }
    }
    pub(super) fn sent(delivery: Delivery, at: String) -> Self {
        Self { sent_at: Some(at), ..Self::new(delivery, DeliveryState::Sending, DeliveryState::Sent) }
    }
    pub(super) fn failed(delivery: Delivery, to: DeliveryState, error: String) -> Self {
        Self { error: Some(error), ..Self::new(delivery, DeliveryState::Sending, to) }
    }
    pub(super) fn retry(mut delivery: Delivery, error: String, retry_at: Option<i64>, counts: bool) -> Self {
        if counts {
            delivery.attempts += 1;
        }
        Self { error: Some(error), retry_at, attempts: if counts { 0 } else { -1 }, ..Self::new(delivery, DeliveryState::Sending, DeliveryState::Pending) }
    }
    pub(super) fn left_out(delivery: Delivery, to: DeliveryState, reason: &str) -> Self {
        Self { error: Some(reason.to_owned()), ..Self::new(delivery, DeliveryState::Pending, to) }
    }

    /// The row's operation. A row that is `sending` is only touched by the run that claimed it.
    pub(super) fn write(&self, app: &App, tx: &mut Transaction, token: &str, counted: &mut Counted) {
        let Delivery { campaign_id, user_id, .. } = &self.delivery;
        let mut op = app.store.campaigns.delivery_step(tx, campaign_id, user_id, self.from, self.to);
        if self.to == DeliveryState::Sending {
            op = op.set("worker", token);
        } else if self.from != DeliveryState::Pending {
            op = op.when(Guard::equals("worker", token)).or(Rule::CampaignMoved).remove("worker");
        }
        if let (DeliveryState::Unknown, Some(_), Some(email)) = (self.from, &self.error, &self.delivery.email) {
            // A row that is not in hand any more may have lost its address to an erasure, and the words may name it.
            op = op.when(Guard::equals("email", email.as_str())).or(Rule::CampaignMoved);
        }
        op = op.set_or_remove("retryAt", self.retry_at).set_or_remove("error", self.error.as_deref());
        if let Some(at) = &self.sent_at {
            op = op.set("sentAt", at.as_str());
        }
        if self.attempts != 0 {
            op = op.add("attempts", self.attempts);
        }
        let _ = op;
        counted.moved(self.from, self.to);
    }
}

/// What a move of a whole ledger left as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Left {
    /// Rows that are being handed over.
    pub(crate) sending: u64,
    /// Rows that were to move and could not: they, or the campaign, moved meanwhile.
    pub(crate) refused: u64,
}

/// Changes of the campaign's counts.
#[derive(Debug, Default)]
pub(super) struct Counted([i64; DeliveryState::ALL.len()]);

impl Counted {
    fn slot(&mut self, state: DeliveryState) -> Option<&mut i64> {
        let at = DeliveryState::ALL.iter().position(|other| *other == state)?;
        self.0.get_mut(at)
    }
    pub(super) fn moved(&mut self, from: DeliveryState, to: DeliveryState) {
        self.slot(from).into_iter().for_each(|n| *n -= 1);
        self.slot(to).into_iter().for_each(|n| *n += 1);
    }
    pub(super) fn write(&self, mut op: OpBuilder<'_>) {
        for (state, n) in DeliveryState::ALL.into_iter().zip(self.0) {
            if n != 0 {
                op = op.add(state.count_attr(), n);
            }
        }
        let _ = op;
    }
}

impl App {
    /// Rows that a dead run had in hand: nobody can know whether their mails went out.
    pub(super) async fn deliveries_lost(&self, campaign: &CampaignId, orphans: &[Delivery]) -> Result<(), AppError> {
        for orphan in orphans {
            let mut tx = Transaction::new();
            let worker = orphan.worker.as_deref().map_or(Guard::Missing("worker".to_owned()), |worker| Guard::equals("worker", worker));
            // The claimer's name stays on the row: if it lives after all, it may still record what it knows.
            self.store
                .campaigns
                .delivery_step(&mut tx, campaign, &orphan.user_id, DeliveryState::Sending, DeliveryState::Unknown)
                .when(worker)
                .or(Rule::CampaignMoved)
                .set("error", "the worker stopped while the mail was being handed over; it may have been sent or not");
            let mut counted = Counted::default();
            counted.moved(DeliveryState::Sending, DeliveryState::Unknown);
            counted.write(self.store.campaigns.update_any(&mut tx, campaign));
            crate::freeze::moved(self.transact(tx).await)?;
        }
        Ok(())
    }

    /// Records known outcomes row by row, also over a row that was called lost too early, as long as the storage needs to come back.
    pub(super) async fn record_surely(&self, campaign: &CampaignId, token: &str, records: &[Step]) {
        for record in records {
            for attempt in 0..RECORD_TRIES {
                match self.record_one(campaign, token, record).await {
                    Ok(()) => break,
                    Err(error) if attempt + 1 == RECORD_TRIES => {
                        tracing::error!(%campaign, user = %record.delivery.user_id, %error, "an outcome could not be recorded; the row will be called unknown");
                    }
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        }
    }

    async fn record_one(&self, campaign: &CampaignId, token: &str, record: &Step) -> Result<(), AppError> {
        // Last without the words, for the row of somebody who was erased meanwhile.
        for (from, with_words) in [(DeliveryState::Sending, true), (DeliveryState::Unknown, true), (DeliveryState::Unknown, false)] {
            // A row that was called lost must not be sent again by itself, whatever its retry would say.
            if from == DeliveryState::Unknown && record.to == DeliveryState::Pending {
                continue;
            }
            let mut tx = Transaction::new();
            let mut counted = Counted::default();
            Step { from, error: record.error.clone().filter(|_| with_words), ..record.clone() }.write(self, &mut tx, token, &mut counted);
            counted.write(self.store.campaigns.update_any(&mut tx, campaign));
            match self.transact(tx).await {
                Ok(()) => return Ok(()),
                Err(TransactError::Refused(_)) => {}
                Err(TransactError::Engine(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Moves every row of a ledger that is in one of `from` to `to`, in chunks. Rows wait again only while the campaign is `sending` or `paused`: one that is
    /// cancelled meanwhile gets no more of them.
    pub(crate) async fn ledger_move(&self, campaign: &CampaignId, from: &[DeliveryState], to: DeliveryState, reason: Option<&str>) -> Result<Left, AppError> {
        let mut after = None;
        let mut left = Left::default();
        loop {
            let rows = self.store.engine.query(emcrm_store::Campaigns::deliveries(campaign).limit(CHUNK as u32).after(after)).await?;
            let mut moving = Vec::new();
            for item in rows.items {
                let delivery = emcrm_store::Campaigns::read_delivery(item)?;
                left.sending += u64::from(delivery.status == DeliveryState::Sending && to != DeliveryState::Unknown);
                if from.contains(&delivery.status) {
                    moving.push(delivery);
                }
            }
            if !self.ledger_move_chunk(campaign, &moving, to, reason).await? {
                // One of them moved meanwhile: each for itself.
                for one in &moving {
                    left.refused += u64::from(!self.ledger_move_chunk(campaign, std::slice::from_ref(one), to, reason).await?);
                }
            }
            match rows.next {
                Some(next) => after = Some(next),
                None => return Ok(left),
            }
        }
    }

    async fn ledger_move_chunk(&self, campaign: &CampaignId, moving: &[Delivery], to: DeliveryState, reason: Option<&str>) -> Result<bool, AppError> {
        if moving.is_empty() {
            return Ok(true);
        }
        let mut tx = Transaction::new();
        let mut counted = Counted::default();
        for delivery in moving {
            let op = tx
                .update(Table::Email, keys::delivery(campaign, &delivery.user_id))
                .when(Guard::equals("status", delivery.status.as_str()))
                .or(Rule::CampaignMoved)
                .set("status", to.as_str())
                .remove("retryAt")
                .set_or_remove("error", reason);
            if to == DeliveryState::Pending {
                op.set("attempts", Value::from(0)).remove("worker");
            }
            counted.moved(delivery.status, to);
        }
        counted.write(if to == DeliveryState::Pending {
            self.store.campaigns.update_in(&mut tx, campaign, &[CampaignState::Sending, CampaignState::Paused])
        } else {
            self.store.campaigns.update_any(&mut tx, campaign)
        });
        Ok(crate::freeze::moved(self.transact(tx).await)?)
    }
}
