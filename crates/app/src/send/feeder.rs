//! Walks the ledger of a campaign once and gives out the rows that wait.

use std::collections::VecDeque;

use emcrm_model::{CampaignId, Delivery, DeliveryState};
use emcrm_store::{Campaigns, Key};

use crate::{App, AppError};

/// Ledger rows read at once.
const READ: u32 = 1_000;

pub(super) struct Feeder {
    campaign: CampaignId,
    token: String,
    waiting: VecDeque<Delivery>,
    after: Option<Key>,
    ended: bool,
    earliest_retry: Option<i64>,
}

impl Feeder {
    pub(super) fn new(campaign: CampaignId, token: String) -> Self {
        Self { campaign, token, waiting: VecDeque::new(), after: None, ended: false, earliest_retry: None }
    }

    /// Up to `n` rows to send; none at the end of the ledger. Rows that a dead run left behind are settled on the way.
    pub(super) async fn next(&mut self, app: &App, n: usize) -> Result<Vec<Delivery>, AppError> {
        while self.waiting.len() < n && !self.ended {
            let rows = app.store.engine.query(Campaigns::deliveries(&self.campaign).limit(READ).after(self.after.take())).await?;
            let now = app.now_ms();
            let mut orphans = Vec::new();
            for item in rows.items {
                let delivery = Campaigns::read_delivery(item)?;
                match delivery.status {
                    DeliveryState::Pending => match delivery.retry_at {
                        Some(at) if at > now => self.retry_at(at),
                        _ => self.waiting.push_back(delivery),
                    },
                    DeliveryState::Sending if delivery.worker.as_deref() != Some(self.token.as_str()) => orphans.push(delivery),
                    _ => {}
                }
            }
            app.deliveries_lost(&self.campaign, &orphans).await?;
            self.after = rows.next;
            self.ended = self.after.is_none();
        }
        let n = n.min(self.waiting.len());
        Ok(self.waiting.drain(..n).collect())
    }

    /// The row goes out again in this run.
    pub(super) fn put_back(&mut self, delivery: Delivery) {
        self.waiting.push_front(delivery);
    }

    /// The row goes out again in a later run.
    pub(super) fn retry_at(&mut self, at: i64) {
        self.earliest_retry = Some(self.earliest_retry.map_or(at, |earliest| earliest.min(at)));
    }

    /// Nothing is left to give out in this run.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    pub(super) fn earliest_retry(&self) -> Option<i64> {
        self.earliest_retry
    }
}
