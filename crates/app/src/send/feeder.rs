//! Walks the ledger of a campaign once and gives out the rows that wait.

use std::collections::VecDeque;
use std::time::Duration;

use emcrm_model::{CampaignId, Delivery, DeliveryState};
use emcrm_store::{Campaigns, Key};

use super::Run;
use super::domains::{Domains, May, domain_of};
use super::judge::{self, Row};
use crate::{App, AppError};

/// Rows that are known beforehand.
const LOOK_AHEAD: usize = 500;
/// Rows that are passed over for one choice. Where those that are known all wait for their domains, it is read on to here, so that they do not hold up the
/// others.
const PASSED_MAX: usize = 5_000;
/// Ledger rows read at once.
const READ: u32 = 1_000;
/// People that are looked at together, at most.
const JUDGED: usize = 100;

pub(super) struct Feeder {
    campaign: CampaignId,
    token: String,
    waiting: VecDeque<Row>,
    /// How many are looked at together now: fewer while people change all the time.
    judged: usize,
    /// How many are to wait before the next choice.
    ahead: usize,
    after: Option<Key>,
    ended: bool,
    earliest_retry: Option<i64>,
    /// Given out before their turn, so that they may yet come back.
    held: usize,
}

impl Feeder {
    pub(super) fn new(campaign: CampaignId, token: String) -> Self {
        Self { campaign, token, waiting: VecDeque::new(), judged: 0, ahead: LOOK_AHEAD, after: None, ended: false, earliest_retry: None, held: 0 }
    }

    /// Up to `n` rows to send; none at the end of the ledger, or when all that wait have to wait for their domains. Rows that a dead run left behind are settled on the way.
    pub(super) async fn next(&mut self, run: &Run, n: usize) -> Result<Vec<Row>, AppError> {
        let app = &run.app;
        loop {
            self.look(app, n.max(self.ahead)).await?;
            self.judge(run, n).await?;
            let chosen = self.choose(&app.domains, app.clock.elapsed(), app.now_ms(), n);
            // All that wait for their domains, and a page more.
            self.ahead = if chosen.len() < n { (self.waiting.len() + 1).clamp(LOOK_AHEAD, PASSED_MAX) } else { LOOK_AHEAD };
            if !chosen.is_empty() || self.ended || self.waiting.len() >= PASSED_MAX {
                return Ok(chosen);
            }
        }
    }

    /// Reads on until so many rows wait.
    async fn look(&mut self, app: &App, wanted: usize) -> Result<(), AppError> {
        while self.waiting.len() < wanted && !self.ended {
            let rows = app.store.engine.query(Campaigns::deliveries(&self.campaign).limit(READ).after(self.after.take())).await?;
            let now = app.now_ms();
            let mut orphans = Vec::new();
            for item in rows.items {
                let delivery = Campaigns::read_delivery(item)?;
                match delivery.status {
                    DeliveryState::Pending => match delivery.retry_at {
                        // Further ahead than this row ever waits: it was written before the clock was put back.
                        Some(at) if at > now && at.saturating_sub(now) <= app.settings.retry_after_ms(delivery.attempts) => self.retry_at(at),
                        _ => self.waiting.push_back(Row::new(delivery)),
                    },
                    DeliveryState::Sending if delivery.worker.as_deref() != Some(self.token.as_str()) => orphans.push(delivery),
                    _ => {}
                }
            }
            app.deliveries_lost(&self.campaign, &orphans).await?;
            self.after = rows.next;
            self.ended = self.after.is_none();
        }
        Ok(())
    }

    /// Looks at the people of the first rows, unless what was found about them holds.
    async fn judge(&mut self, run: &Run, n: usize) -> Result<(), AppError> {
        let mut first = self.waiting.iter().take(n);
        let Some(stale) = first.find(|row| !row.holds(&run.app)) else { return Ok(()) };
        self.judged = if stale.was_judged() { n } else { (self.judged * 2).clamp(n, n.max(JUDGED)) };
        let many = self.judged.min(self.waiting.len());
        judge::ahead(run, &mut self.waiting.iter_mut().take(many).collect::<Vec<_>>()).await
    }

    /// Rows whose domains take mail now, in their order. Rows of a domain that asked to be left alone wait for a later run.
    fn choose(&mut self, domains: &Domains, elapsed: Duration, now: i64, n: usize) -> Vec<Row> {
        let mut chosen = Vec::with_capacity(n.min(self.waiting.len()));
        let mut passed = Vec::new();
        while chosen.len() < n && passed.len() < PASSED_MAX {
            let Some(row) = self.waiting.pop_front() else { break };
            match domains.take(domain_of(row.delivery.email.as_ref()), elapsed) {
                May::Now => chosen.push(row),
                May::Soon => passed.push(row),
                May::Later(wait) => self.retry_at(now + wait.as_millis() as i64 + 1),
            }
        }
        // Only those: there may be many behind them.
        while let Some(row) = passed.pop() {
            self.waiting.push_front(row);
        }
        chosen
    }

    /// The row goes out again in this run.
    pub(super) fn put_back(&mut self, row: Row) {
        self.waiting.push_front(row);
    }

    /// The same, after the others: nobody got it, and that may be its own fault.
    pub(super) fn put_last(&mut self, delivery: Delivery) {
        self.waiting.push_back(Row::new(delivery));
    }

    /// The row goes out again in a later run.
    pub(super) fn retry_at(&mut self, at: i64) {
        self.earliest_retry = Some(self.earliest_retry.map_or(at, |earliest| earliest.min(at)));
    }

    /// So many rows were given out for a batch whose turn is not yet.
    pub(super) fn hold(&mut self, rows: usize) {
        self.held += rows;
    }

    /// Their turn has come.
    pub(super) fn let_go(&mut self, rows: usize) {
        self.held = self.held.saturating_sub(rows);
    }

    /// Nothing is left to give out in this run.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty() && self.held == 0
    }

    pub(super) fn earliest_retry(&self) -> Option<i64> {
        self.earliest_retry
    }
}
