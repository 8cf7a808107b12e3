//! The application: the seams it stands on, and what every use case needs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use emcrm_mail::{Mailbox, Transport};
use emcrm_model::{CampaignId, Clock, IdSource};
use emcrm_search::Index;
use emcrm_store::{Change, Engine, Key, Op, Queue, Store, Table, Transaction, keys};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, Notify, Semaphore};

use crate::audit::Deed;
use crate::cursor::CursorKey;
use crate::links::LinkKey;
use crate::registrations::{ANSWER_AFTER, Without};
use crate::send::{DomainLimits, Domains, Limiter};
use crate::{AppError, Call};
use emcrm_store::{Remembered, Rule, TransactError};

/// What the server chooses.
pub struct AppParts {
    pub engine: Arc<dyn Engine>,
    pub index: Arc<dyn Index>,
    pub transport: Arc<dyn Transport>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub settings: AppSettings,
}

#[derive(Clone)]
pub struct AppSettings {
    /// Authenticates cursors and signed links. The same on all processes.
    pub secret_key: [u8; 32],
    /// Where a time without offset and without a zone of its event is meant.
    pub default_zone: TimeZone,
    /// Who campaigns come from.
    pub mail_from: Mailbox,
    /// Where people reach this installation, without a trailing slash.
    pub public_url: Option<String>,
    /// Name of this process in leases and claims. No two running processes share one.
    pub worker_name: String,
    /// Other processes may work on the same storage: leases are shared out, and looking costs money.
    pub shared: bool,
    /// How long a lease lasts after its holder has died.
    pub lease_seconds: u32,
    /// First pause after a temporary refusal of a mail, in seconds; it doubles with each attempt.
    pub mail_retry_seconds: u32,
    /// How long the answer to a new campaign waits for its audience.
    pub freeze_wait: Duration,
    /// What one domain of recipients gets at once and in a second.
    pub domain_limits: DomainLimits,
    pub access: AccessSettings,
}

/// How long rights and their traces last, and how little the public learns.
#[derive(Debug, Clone, Copy)]
pub struct AccessSettings {
    /// Hours after which somebody has to sign in again, however busy they are.
    pub session_hours: u32,
    /// Minutes without use after which a session is over.
    pub session_idle_minutes: u32,
    /// Days that the audit trail is kept; none: for ever.
    pub audit_days: Option<u32>,
    /// No registration for a public event is answered before this, whoever registers.
    pub answer_after: Duration,
    pub without: Without,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self { session_hours: 24, session_idle_minutes: 120, audit_days: None, answer_after: ANSWER_AFTER, without: Without::Nothing }
    }
}

impl AppSettings {
    /// Pause before the next hand-over of a mail that was refused for now `attempts` times before, in milliseconds.
    pub(crate) fn retry_after_ms(&self, attempts: u32) -> i64 {
        (i64::from(self.mail_retry_seconds) * 1_000) << attempts.min(6)
    }
}

pub struct App {
    pub store: Store,
    pub index: Arc<dyn Index>,
    pub transport: Arc<dyn Transport>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub settings: AppSettings,
    pub(crate) cursors: CursorKey,
    pub(crate) links: LinkKey,
    pub(crate) wake: Wake,
    /// Held while documents are built from stored state and applied, so that an older state never overwrites a newer one.
    pub(crate) index_writes: Mutex<()>,
    /// Campaigns that this process is sending now.
    pub(crate) sending_now: parking_lot::Mutex<HashSet<CampaignId>>,
    /// Connections to the mail server that this process may have open, over all campaigns.
    pub(crate) mail_lines: Arc<Semaphore>,
    /// Confirmations of registrations have a few connections of their own: they must not wait for a campaign to end.
    pub(crate) confirmation_lines: Semaphore,
    /// The transport's own rate, over all campaigns of this process.
    pub(crate) transport_limiter: Limiter,
    /// What is known of the domains of recipients, over all campaigns of this process.
    pub(crate) domains: Arc<Domains>,
}

/// Connections that confirmations of registrations may have open at once.
const CONFIRMATION_LINES: usize = 2;

/// Tells the worker of this process that there is work. Losing a signal costs time only: the task is stored.
#[derive(Default)]
pub(crate) struct Wake {
    index: Notify,
    mail: Notify,
    default: Notify,
    pub(crate) audit: Notify,
}

impl Wake {
    pub(crate) fn of(&self, queue: Queue) -> &Notify {
        match queue {
            Queue::Index => &self.index,
            Queue::Mail => &self.mail,
            Queue::Default => &self.default,
        }
    }
}

impl App {
    pub fn new(parts: AppParts) -> Arc<Self> {
        let AppParts { engine, index, transport, clock, ids, settings } = parts;
        Arc::new(Self {
            store: Store::new(engine, ids.clone()),
            cursors: CursorKey::new(&settings.secret_key),
            links: LinkKey::new(&settings.secret_key),
            wake: Wake::default(),
            index_writes: Mutex::new(()),
            sending_now: parking_lot::Mutex::default(),
            mail_lines: Arc::new(Semaphore::new(transport.connections_max().max(1))),
            confirmation_lines: Semaphore::new(CONFIRMATION_LINES),
            transport_limiter: Limiter::new(transport.rate()),
            domains: Arc::new(Domains::new(settings.domain_limits, Duration::from_secs(settings.mail_retry_seconds.into()))),
            index,
            transport,
            clock,
            ids,
            settings,
        })
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Now, as stored in `createdAt` and `updatedAt`: UTC, microseconds.
    pub(crate) fn stamp(&self) -> String {
        format!("{:.6}", self.now())
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// What this call's idempotency key answered before, if it did.
    pub(crate) async fn replayed<T: DeserializeOwned>(&self, call: &Call) -> Result<Option<T>, AppError> {
        let Some(idempotency) = &call.idempotency else { return Ok(None) };
        let row = self.store.idempotency.get(call.actor.name(), &idempotency.key, self.now().as_second()).await?;
        let Some(Remembered { fingerprint, answer }) = row else { return Ok(None) };
        if fingerprint != idempotency.fingerprint {
            return Err(AppError::KeyReused);
        }
        serde_json::from_value(answer).map(Some).map_err(|error| AppError::Internal(format!("an idempotency row: {error}")))
    }

    /// Commits a change whose answer is `answer` and whose trace is `deed`, and wakes the worker. `Ok(Err(rule))` when a guard refused.
    pub(crate) async fn commit<T: Serialize + DeserializeOwned>(
        &self,
        call: &Call,
        deed: Deed,
        mut tx: Transaction,
        answer: T,
    ) -> Result<Result<T, Rule>, AppError> {
        self.audit_note(&mut tx, call, deed);
        if let Some(idempotency) = &call.idempotency {
            let answer = serde_json::to_value(&answer).map_err(|error| AppError::Internal(error.to_string()))?;
            let remembered = Remembered { fingerprint: idempotency.fingerprint.clone(), answer };
            self.store.idempotency.put(&mut tx, call.actor.name(), &idempotency.key, &remembered, self.now().as_second());
            // First, so that a repeat is told by its key and not by what the first one has changed.
            tx.ops.rotate_right(1);
        }
        match self.transact(tx).await {
            Ok(()) => Ok(Ok(answer)),
            Err(TransactError::Engine(error)) => Err(error.into()),
            Err(refused) => match refused.rule() {
                Some(Rule::KeyUsed) => match self.replayed(call).await? {
                    Some(answer) => Ok(Ok(answer)),
                    None => Err(AppError::Contended),
                },
                Some(rule) => Ok(Err(rule)),
                None => Err(refused.into()),
            },
        }
    }

    /// Commits a change and wakes the worker for the tasks in it.
    pub(crate) async fn transact(&self, tx: Transaction) -> Result<(), TransactError> {
        let queues: Vec<Queue> = Queue::ALL
            .into_iter()
            .filter(|queue| {
                let prefix = format!("task#{}#", queue.as_str());
                tx.ops.iter().any(|op| op.key.pk.starts_with(&prefix))
            })
            .collect();
        let audited = tx.ops.iter().any(|op| op.key.pk.starts_with(keys::AUDIT_NEW_PREFIX));
        self.store.engine.transact(tx).await?;
        if audited {
            self.wake.audit.notify_one();
        }
        for queue in queues {
            self.wake.of(queue).notify_one();
        }
        Ok(())
    }

    /// Takes the release of claims out of a change where they are somebody else's: tables that were adopted may hold an address or a slug
    /// twice, and the one without the claim must be able to give it up. Asked for only when the change was refused once, so it costs nothing otherwise.
    pub(crate) async fn leave_claims_of_others(&self, tx: &mut Transaction, attempt: u32, id: &str) -> Result<(), AppError> {
        if attempt == 0 {
            return Ok(());
        }
        let released = |op: &Op| op.change == Change::Delete && op.key.pk.starts_with(keys::CLAIM_PREFIX);
        let claims: Vec<Key> = tx.ops.iter().filter(|op| released(op)).map(|op| op.key.clone()).collect();
        for claim in self.store.engine.get_many(Table::Main, &claims).await?.into_iter().flatten() {
            let holder = ["user_id", "event_id"].iter().find_map(|name| claim.attrs.get(*name)?.as_str());
            if holder != Some(id) {
                tx.ops.retain(|op| !released(op) || op.key != claim.key);
            }
        }
        Ok(())
    }

    /// The index task for these documents (`user#…`, `event#…`).
    pub(crate) fn reindex_later(&self, tx: &mut Transaction, docs: &[String]) {
        if let Some(first) = docs.first() {
            self.store.tasks.put(tx, Queue::Index, first, "index", serde_json::json!({ "docs": docs }), self.now_ms());
        }
    }
}

/// Times that a change is computed anew after somebody else changed the same object.
pub(crate) const ATTEMPTS: u32 = 40;

/// Waits a little, at random, before a change is computed anew.
pub(crate) async fn back_off(attempt: u32) {
    if attempt > 0 {
        let most = 1_u64 << attempt.min(6);
        let wait = rand::random_range(0..=most);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}
