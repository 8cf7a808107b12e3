//! The one writer: takes all transactions that wait, writes them with one commit (one sync of the disk), and answers after it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{
    apply,
    cache::{Cache, Changing},
    fault::{commit_fault, fault},
    lately::Lately,
    open::BUSY_PATIENCE,
    schema::SCHEMA_VERSION,
};
use crate::engine::{Change, EngineError, Key, Table, TransactError, Transaction, attrs_bytes};
use crate::keys;

/// Most transactions that wait for the writer; callers beyond wait for a place.
pub const QUEUE_MAX: usize = 1024;
/// Most transactions of one commit, and the bytes after which a commit takes no more.
const BATCH_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Pages of the log (4 KB each) after which it is copied into the database, and after which the writer waits for readers so that the
/// log can start anew.
const CHECKPOINT_PAGES: i32 = 8_000;
const RESTART_PAGES: i32 = 32_000;
/// How long the writer waits for them, each time.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(50);
/// Most expired items of a table that are deleted at once.
const EXPIRED_MAX: u32 = 2_000;

pub type Answer<T> = oneshot::Sender<Result<(), T>>;

pub enum Job {
    Transact(Transaction, Answer<TransactError>),
    /// Asks whether the writer works.
    Ping(Answer<EngineError>),
    /// A test does something to the database, or holds the writer up.
    #[cfg(test)]
    Run(Box<dyn FnOnce(&Connection) + Send>),
    /// A test wants what has expired forgotten, at most so much, and to know how much it was.
    #[cfg(test)]
    Forget(u32, oneshot::Sender<usize>),
}

pub struct Writer {
    jobs: mpsc::Receiver<Job>,
    connection: Arc<Mutex<Connection>>,
    cache: Option<Arc<Cache>>,
    lately: Lately,
    people_version: Arc<AtomicU64>,
    /// Pages in the log after the last commit.
    log_pages: Arc<AtomicI32>,
    checkpoint_at: i32,
    /// Whether the last commit worked.
    healthy: Result<(), EngineError>,
}

type Waiting = (Transaction, Answer<TransactError>);

impl Writer {
    pub fn new(
        connection: Arc<Mutex<Connection>>,
        jobs: mpsc::Receiver<Job>,
        cache: Option<Arc<Cache>>,
        people_version: Arc<AtomicU64>,
    ) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicI32::new(0));
        let pages_seen = Arc::clone(&log_pages);
        connection.lock().wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            pages_seen.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { jobs, connection, cache, lately: Lately::default(), people_version, log_pages, checkpoint_at: CHECKPOINT_PAGES, healthy: Ok(()) })
    }

    /// Works until the engine is dropped and the queue is empty.
    pub fn run(mut self) {
        let mut batch: Vec<Waiting> = Vec::with_capacity(BATCH_MAX);
        let mut pings = Vec::new();
        while let Some(first) = self.jobs.blocking_recv() {
            let mut next = Some(first);
            let mut bytes = 0;
            while let Some(job) = next {
                match job {
                    Job::Transact(transaction, answer) => {
                        bytes += transaction_bytes(&transaction);
                        batch.push((transaction, answer));
                    }
                    Job::Ping(answer) => pings.push(answer),
                    #[cfg(test)]
                    Job::Run(work) => {
                        work(&self.connection.lock());
                        self.lately.forget();
                    }
                    #[cfg(test)]
                    Job::Forget(most, answer) => {
                        let _ = answer.send(self.forget_expired(most));
                    }
                }
                let full = batch.len() >= BATCH_MAX || bytes >= BATCH_BYTES_MAX;
                next = if full { None } else { self.jobs.try_recv().ok() };
            }
            self.write(&mut batch);
            for ping in pings.drain(..) {
                let _ = ping.send(self.probe());
            }
            self.checkpoint();
        }
        // So that a stopped program leaves one complete file.
        self.copy_log("TRUNCATE");
    }

    /// Commits the batch and answers each. After a fault each is tried alone, so that none suffers from another.
    fn write(&mut self, batch: &mut Vec<Waiting>) {
        if batch.is_empty() {
            return;
        }
        let transactions = batch.iter().map(|(transaction, _)| transaction);
        let cache = self.cache.as_deref();
        let done = commit(&mut self.connection.lock(), transactions, &mut self.lately, |replaced| changing(cache, replaced));
        // Before anybody hears of it, and also where it is not known whether it happened.
        if batch.iter().any(|(transaction, _)| decides_who_is_mailed(transaction)) {
            self.people_version.fetch_add(1, Ordering::SeqCst);
        }
        match done {
            Ok(outcomes) => {
                self.healthy = Ok(());
                for ((_, answer), outcome) in batch.drain(..).zip(outcomes) {
                    let _ = answer.send(outcome);
                }
            }
            Err(fault) if batch.len() == 1 => {
                self.healthy = Err(fault.clone());
                for (_, answer) in batch.drain(..) {
                    let _ = answer.send(Err(fault.clone().into()));
                }
            }
            Err(_) => {
                for one in std::mem::take(batch) {
                    self.write(&mut vec![one]);
                }
            }
        }
    }

    /// While all is well an answer is enough; after a fault a small real write tells whether it is over.
    fn probe(&mut self) -> Result<(), EngineError> {
        if self.healthy.is_err() {
            let mut connection = self.connection.lock();
            self.healthy = (|| {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                transaction.commit()
            })()
            .map_err(|error| fault(&error));
        }
        self.healthy.clone()
    }

    /// Keeps the log small. Runs after the answers, so that nobody waits for it.
    fn checkpoint(&mut self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < self.checkpoint_at {
            if pages < CHECKPOINT_PAGES {
                self.checkpoint_at = CHECKPOINT_PAGES;
            }
            return;
        }
        self.forget_expired(EXPIRED_MAX);
        let mode = if pages >= RESTART_PAGES { "RESTART" } else { "PASSIVE" };
        self.copy_log(mode);
        // Readers may have hindered it; try again only after as many pages more.
        self.checkpoint_at = pages.saturating_add(CHECKPOINT_PAGES);
    }

    /// As often as the log is copied: the more is written, the more may have expired. A fault here harms nothing; the items are forgotten later.
    fn forget_expired(&mut self, most: u32) -> usize {
        self.lately.forget();
        let mut connection = self.connection.lock();
        let forgotten = (|| {
            let open = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let forgotten = apply::forget_expired(&open, most)?;
            let main: Vec<&Key> = forgotten.iter().filter(|(table, _)| *table == Table::Main).map(|(_, key)| key).collect();
            let _changing = changing(self.cache.as_deref(), &main);
            open.commit()?;
            Ok::<_, rusqlite::Error>(forgotten.len())
        })();
        forgotten.unwrap_or_else(|error| {
            tracing::warn!(%error, "expired items could not be deleted");
            0
        })
    }

    /// A fault here harms nothing: the log is still there.
    fn copy_log(&self, mode: &str) {
        let connection = self.connection.lock();
        // A reader may hold the log for as long as a backup takes: writes must not wait for it at each attempt.
        let patience = connection.busy_timeout(CHECKPOINT_PATIENCE);
        let copied = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, i32>(0));
        if let Err(error) = patience.and(copied).and(connection.busy_timeout(BUSY_PATIENCE)) {
            tracing::warn!(%error, "the log could not be copied into the database");
        }
    }
}

/// From before a commit can be seen until everybody sees it, these items of the main table are neither read from memory nor kept there.
fn changing<'a>(cache: Option<&'a Cache>, replaced: &[&Key]) -> Option<Changing<'a>> {
    cache.map(|cache| cache.changing(replaced))
}

/// All transactions in one commit. An error means that none of them happened. `committing` hears before the commit which items of the main table it replaces or
/// removes; what it answers is dropped after the commit, or after it failed.
pub fn commit<'a, W>(
    connection: &mut Connection,
    transactions: impl Iterator<Item = &'a Transaction>,
    lately: &mut Lately,
    committing: impl FnOnce(&[&Key]) -> W,
) -> Result<Vec<Result<(), TransactError>>, EngineError> {
    let done = try_commit(connection, transactions, lately, committing);
    if done.is_err() {
        lately.forget();
    }
    done
}

fn try_commit<'a, W>(
    connection: &mut Connection,
    transactions: impl Iterator<Item = &'a Transaction>,
    lately: &mut Lately,
    committing: impl FnOnce(&[&Key]) -> W,
) -> Result<Vec<Result<(), TransactError>>, EngineError> {
    // Dropped on every way out without a commit, which rolls back.
    let open = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| fault(&error))?;
    let mut outcomes = Vec::with_capacity(BATCH_MAX);
    let mut replaced = Vec::new();
    for transaction in transactions {
        match apply::plan(&open, transaction, lately) {
            Ok(writes) => {
                for write in writes {
                    if let Some((Table::Main, key)) = write.replaced() {
                        replaced.push(key);
                    }
                    apply::perform(&open, write, lately)?;
                }
                outcomes.push(Ok(()));
            }
            Err(TransactError::Engine(fault @ (EngineError::Full | EngineError::Unavailable(_)))) => return Err(fault),
            Err(error) => outcomes.push(Err(error)),
        }
    }
    let _committing = committing(&replaced);
    open.commit().map_err(|error| commit_fault(&error))?;
    Ok(outcomes)
}

/// See [`crate::engine::Engine::people_version`].
fn decides_who_is_mailed(transaction: &Transaction) -> bool {
    transaction.ops.iter().any(|op| op.table == Table::Main || op.key.pk.starts_with(keys::SUPPRESSION_PREFIX))
}

fn transaction_bytes(transaction: &Transaction) -> usize {
    let bytes = |change: &Change| match change {
        Change::Put(attrs) => attrs_bytes(attrs),
        Change::Update { set, .. } => attrs_bytes(set),
        Change::Delete | Change::Check => 0,
    };
    transaction.ops.iter().map(|op| bytes(&op.change)).sum()
}
