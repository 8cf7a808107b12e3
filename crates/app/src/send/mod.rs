//! Sending a campaign: claim, hand over, record.
//!
//! A run walks the ledger once. Its connections stand in groups; each group, in turn, commits one transaction that records the outcomes of its last mails
//! and claims the next ones, then hands those over, one on each connection. So at most as many rows are `sending` as there are connections, and a row is
//! claimed before any byte of its message leaves; only its envelope may be told before, behind the message of another. Whatever dies in between, a row found
//! `sending` in the name of another run becomes `unknown` and is never sent again by itself.

mod batch;
mod domains;
mod feeder;
mod hang_ups;
mod judge;
mod ledger;
mod limiter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use emcrm_model::{Campaign, CampaignId, CampaignState, DeliveryState, Recipients};
use emcrm_store::{Guard, Rule, Task, Transaction};
use emcrm_trace::Span;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::campaigns::campaign_of;
use crate::cascade::Outcome;
use crate::freeze::moved;
use crate::render::{Prepared, Recipe};
use crate::worker::PUT_OFF_MAX_MS;
use crate::{App, AppError, Call, spans};
pub use domains::DomainLimits;
pub(crate) use domains::Domains;
use feeder::Feeder;
use hang_ups::HangUps;
pub(crate) use limiter::Limiter;

/// Groups of connections: while one waits for its commit, the others hand over.
const GROUPS: usize = 4;
/// Connections of one group: each needs a record and a claim in one transaction of 100 operations.
const GROUP_MAX: usize = 49;
/// Refusals without a success between them that pause the campaign: something is wrong with all of it.
const REFUSED_IN_A_ROW: u32 = 100;
/// When a run that was taken over looks again whether the other one goes on, in milliseconds.
const TAKEN_OVER_MS: i64 = 1_000;
/// Runs without any success, because the mail server cannot be used, that pause the campaign. About an hour.
const USELESS_RUNS: u64 = 15;

/// Why a row of somebody who is not here any more is left out.
pub(crate) const PERSON_GONE: &str = "the person was deleted";

/// What is common to the groups of one run.
struct Run {
    app: Arc<App>,
    campaign: Campaign,
    recipients: Recipients,
    prepared: Prepared,
    /// Names this run in claims.
    token: String,
    stop: CancellationToken,
    feeder: tokio::sync::Mutex<Feeder>,
    limiter: Limiter,
    /// Connections that stand or are being opened: a server refuses faster than it agrees.
    open_lines: AtomicUsize,
    /// Mails that the server took in this run.
    sent: AtomicUsize,
    refusals: Mutex<Refusals>,
    hang_ups: Mutex<HangUps>,
    /// No further claims, for whatever reason.
    halted: AtomicBool,
    why: Mutex<Option<Halt>>,
    /// Of the task; its batches stand below it.
    span: Span,
    batches: AtomicU64,
}

/// Refusals without a success between them.
#[derive(Debug, Default)]
struct Refusals {
    in_a_row: u32,
    /// Of the last one.
    domain: String,
    /// They came from more than one domain.
    several: bool,
    /// Rows that are lost by them: refused for good, or once too often.
    lost: u32,
}

/// Why a run makes no further claims.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Halt {
    /// The campaign was paused, cancelled, or taken over by another run.
    Moved,
    /// No connection can be had.
    Unavailable(String),
    /// Everything is refused.
    Refused(String),
}

impl Run {
    fn halt(&self, why: Halt) {
        self.why.lock().get_or_insert(why);
        self.halted.store(true, Ordering::Relaxed);
    }
    fn next_batch(&self, mails: usize) -> Span {
        let number = self.batches.fetch_add(1, Ordering::Relaxed) + 1;
        spans::batch(&self.span, &self.campaign.id, number, mails)
    }
    fn is_halted(&self) -> bool {
        self.stop.is_cancelled() || self.halted.load(Ordering::Relaxed)
    }
}

/// Takes the campaign out of the set of running ones, whatever ends the run.
struct Running<'a>(&'a App, CampaignId);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.sending_now.lock().remove(&self.1);
    }
}

impl App {
    pub(crate) async fn send(self: &Arc<Self>, task: &Task, stop: &CancellationToken) -> Result<Outcome, AppError> {
        let Some(id) = campaign_of(task) else { return Ok(Outcome::Done) };
        if !self.sending_now.lock().insert(id.clone()) {
            return Ok(Outcome::Again { due: self.now_ms() + 1_000, payload: task.payload.clone() });
        }
        let _running = Running(self, id.clone());
        let Some(campaign) = self.store.campaigns.get(&id).await? else { return Ok(Outcome::Done) };
        if campaign.status != CampaignState::Sending {
            return Ok(Outcome::Done);
        }
        let prepared = match self.prepare(&Recipe::of(&campaign)).await {
            Ok(prepared) => prepared,
            Err(AppError::Invalid(faults)) => {
                // It was checked when it was saved; so its event is gone, or an earlier service wrote it.
                self.campaign_hold(&id, &format!("its mails cannot be made: {faults}")).await?;
                return Ok(Outcome::Done);
            }
            Err(error) => return Err(error),
        };
        // Short, because each claimed row holds it. The number tells the runs of one worker apart.
        let token = format!("{}/{:012x}", self.settings.worker_name, self.ids.random().as_u128() % (1 << 48));
        let mut tx = Transaction::new();
        self.store.campaigns.update_in(&mut tx, &id, &[CampaignState::Sending]).set("sender", token.as_str());
        if !moved(self.transact(tx).await)? {
            return Ok(Outcome::Done);
        }
        let run = Arc::new(Run {
            app: self.clone(),
            prepared,
            feeder: tokio::sync::Mutex::new(Feeder::new(campaign.id.clone(), token.clone())),
            limiter: Limiter::new(campaign.rate),
            recipients: Recipients::from(&campaign),
            campaign,
            token,
            stop: stop.clone(),
            open_lines: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            refusals: Mutex::default(),
            hang_ups: Mutex::default(),
            halted: AtomicBool::new(false),
            why: Mutex::new(None),
            span: Span::current(),
            batches: AtomicU64::new(0),
        });
        let mut working = tokio::task::JoinSet::new();
        for group in 0..self.mail_groups() {
            working.spawn(batch::group(run.clone(), group));
        }
        let mut failed = None;
        while let Some(ended) = working.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    run.halt(Halt::Moved);
                    failed = Some(error);
                }
                Err(error) => {
                    run.halt(Halt::Moved);
                    failed = Some(AppError::Internal(format!("a sending group ended: {error}")));
                }
            }
        }
        run.span.record("emcrm.batches", run.batches.load(Ordering::Relaxed));
        run.span.record("emcrm.mails.accepted", run.sent.load(Ordering::Relaxed));
        match failed {
            // What got mails out is no failure to count: a long campaign would add them up until its task is given up.
            Some(error) if run.sent.load(Ordering::Relaxed) > 0 => {
                tracing::warn!(campaign = %id, %error, "a run of the campaign ended early; it goes on");
                Ok(Outcome::Again { due: self.now_ms() + 1_000, payload: task.payload.clone() })
            }
            Some(error) => Err(error),
            None => self.run_ended(&run, task).await,
        }
    }

    fn mail_groups(&self) -> usize {
        let most = self.transport.connections_max().max(1);
        GROUPS.max(most.div_ceil(GROUP_MAX)).min(most)
    }

    /// Connections that one group of a run may hold now: all campaigns of this process share what the transport allows. 0 for a group that has to
    /// rest because there are too many campaigns.
    fn lines_share(&self, group: usize) -> usize {
        let campaigns = self.sending_now.lock().len().max(1);
        let share = (self.transport.connections_max().max(1) / campaigns).max(1);
        let groups = self.mail_groups();
        (share / groups + usize::from(group < share % groups)).min(GROUP_MAX)
    }

    /// Whether there are more campaigns than connections, so that they take turns.
    fn lines_are_short(&self) -> bool {
        self.sending_now.lock().len() > self.transport.connections_max().max(1)
    }

    /// Whether the batch after the next may be chosen already: nothing is to be kept to that the batches between could use up.
    fn may_look_ahead(&self, run: &Run) -> bool {
        !(run.limiter.has_limits() || self.transport_limiter.has_limits() || self.domains.has_limits() || self.lines_are_short())
    }

    async fn run_ended(&self, run: &Run, task: &Task) -> Result<Outcome, AppError> {
        let id = &run.campaign.id;
        let fresh = json!({ "campaign": id.as_str() });
        let now = self.now_ms();
        if run.stop.is_cancelled() {
            return Ok(Outcome::Again { due: now, payload: fresh });
        }
        let why = run.why.lock().clone();
        match why {
            Some(Halt::Moved) => {
                // Nobody goes on if it was paused or cancelled. If another run took it over, that run lives by this very task.
                let going_on = self.store.campaigns.get(id).await?.is_some_and(|campaign| campaign.status == CampaignState::Sending);
                return Ok(if going_on { Outcome::Again { due: now + TAKEN_OVER_MS, payload: task.payload.clone() } } else { Outcome::Done });
            }
            Some(Halt::Refused(reply)) => {
                self.campaign_hold(id, &format!("{REFUSED_IN_A_ROW} mails in a row were refused; the last answer was: {reply}")).await?;
                return Ok(Outcome::Done);
            }
            Some(Halt::Unavailable(cause)) => {
                let useless = if run.sent.load(Ordering::Relaxed) > 0 { 0 } else { task.payload.get("useless").and_then(Value::as_u64).unwrap_or(0) + 1 };
                if useless > USELESS_RUNS {
                    self.campaign_hold(id, &format!("the mail server cannot be used: {cause}")).await?;
                    return Ok(Outcome::Done);
                }
                tracing::warn!(campaign = %id, %cause, "the mail server cannot be used; the campaign waits");
                let wait = (1_000_i64 << useless.min(9)).min(300_000);
                return Ok(Outcome::Again { due: now + wait, payload: json!({ "campaign": id.as_str(), "useless": useless }) });
            }
            None => {}
        }
        let Some(campaign) = self.store.campaigns.get(id).await? else { return Ok(Outcome::Done) };
        if campaign.status != CampaignState::Sending {
            return Ok(Outcome::Done);
        }
        let counts = campaign.counts;
        if counts.pending_count > 0 || counts.sending_count > 0 {
            let retry = run.feeder.lock().await.earliest_retry().unwrap_or(now + 200);
            return Ok(Outcome::Again { due: retry.clamp(now + 50, now + PUT_OFF_MAX_MS), payload: fresh });
        }
        let nothing_sent = counts.get(DeliveryState::Sent) == 0 && counts.get(DeliveryState::Error) > 0;
        let ended = if nothing_sent { CampaignState::Error } else { CampaignState::Sent };
        let mut tx = Transaction::new();
        let op = self
            .store
            .campaigns
            .update_in(&mut tx, id, &[CampaignState::Sending])
            .when(Guard::AtMost("pendingCount".to_owned(), 0).and(Guard::AtMost("sendingCount".to_owned(), 0)))
            .or(Rule::CampaignMoved)
            .set("status", ended.as_str())
            .set("finishedAt", self.stamp())
            .remove("sender");
        if nothing_sent {
            op.set("reason", "no mail was accepted; each row of the ledger says why");
        }
        self.campaign_note(&mut tx, &Call::system(), id, ended.as_str(), None);
        if moved(self.transact(tx).await)? { Ok(Outcome::Done) } else { Ok(Outcome::Again { due: now + 200, payload: fresh }) }
    }

    /// Pauses a campaign that is sending, with the reason for a person.
    async fn campaign_hold(&self, id: &CampaignId, reason: &str) -> Result<(), AppError> {
        tracing::warn!(campaign = %id, reason, "the campaign is paused");
        let mut tx = Transaction::new();
        self.store.campaigns.update_in(&mut tx, id, &[CampaignState::Sending]).set("status", CampaignState::Paused.as_str()).set("reason", reason);
        self.campaign_note(&mut tx, &Call::system(), id, "paused", Some(reason.to_owned()));
        moved(self.transact(tx).await)?;
        Ok(())
    }
}
