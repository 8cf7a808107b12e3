//! An engine that fails by a seed: throttling, lost answers, delays. For tests of use cases; the same seed and the same order of calls
//! give the same faults.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::engine::{Engine, EngineError, IndexName, Item, Key, Query, Rows, Table, TransactError, Transaction};

/// How often each fault happens, from 0 (never) to 1 (always). The first three exclude each other: their sum is at most 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct FaultPlan {
    /// A read or a transaction answers `Unavailable`. Nothing was changed.
    pub unavailable: f64,
    /// A transaction answers `Unknown` and was not done.
    pub unknown_before: f64,
    /// A transaction answers `Unknown`, whatever became of it: it was done, or refused.
    pub unknown_after: f64,
    /// A call waits first, up to `delay_max`.
    pub delay: f64,
    pub delay_max: Duration,
}

/// One fault of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Unavailable,
    UnknownBefore,
    UnknownAfter,
}

/// How many faults were injected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts {
    pub unavailable: u64,
    pub unknown_before: u64,
    pub unknown_after: u64,
    pub delayed: u64,
}

pub struct FaultyEngine {
    inner: Arc<dyn Engine>,
    plan: FaultPlan,
    random: Mutex<StdRng>,
    on: AtomicBool,
    next: Mutex<VecDeque<Option<Fault>>>,
    unavailable: AtomicU64,
    unknown_before: AtomicU64,
    unknown_after: AtomicU64,
    delayed: AtomicU64,
}

impl FaultyEngine {
    pub fn new(inner: Arc<dyn Engine>, seed: u64, plan: FaultPlan) -> Self {
        Self {
            inner,
            plan,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            on: AtomicBool::new(true),
            next: Mutex::default(),
            unavailable: AtomicU64::default(),
            unknown_before: AtomicU64::default(),
            unknown_after: AtomicU64::default(),
            delayed: AtomicU64::default(),
        }
    }

    /// Off: every call goes straight through, and no random number is drawn.
    pub fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// What the next transactions meet, in this order, instead of what the seed says. `None` lets one pass.
    pub fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.next.lock().extend(faults);
    }

    pub fn counts(&self) -> FaultCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FaultCounts {
            unavailable: read(&self.unavailable),
            unknown_before: read(&self.unknown_before),
            unknown_after: read(&self.unknown_after),
            delayed: read(&self.delayed),
        }
    }

    /// Draws both numbers at each call, so that one plan's changes do not shift the faults of another.
    fn draw(&self) -> (f64, Option<Duration>) {
        let mut random = self.random.lock();
        let (fault, delay, share) = (random.random::<f64>(), random.random::<f64>(), random.random::<f64>());
        (fault, (delay < self.plan.delay).then(|| self.plan.delay_max.mul_f64(share)))
    }

    async fn wait(&self, delay: Option<Duration>) {
        if let Some(delay) = delay {
            self.delayed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(delay).await;
        }
    }

    async fn before_read(&self) -> Result<(), EngineError> {
        if !self.on.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (draw, delay) = self.draw();
        self.wait(delay).await;
        if draw < self.plan.unavailable {
            self.unavailable.fetch_add(1, Ordering::Relaxed);
            return Err(unavailable());
        }
        Ok(())
    }

    async fn before_write(&self) -> Option<Fault> {
        if !self.on.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(scripted) = self.next.lock().pop_front() {
            return scripted;
        }
        let (draw, delay) = self.draw();
        self.wait(delay).await;
        let FaultPlan { unavailable, unknown_before, unknown_after, .. } = self.plan;
        match draw {
            draw if draw < unavailable => Some(Fault::Unavailable),
            draw if draw < unavailable + unknown_before => Some(Fault::UnknownBefore),
            draw if draw < unavailable + unknown_before + unknown_after => Some(Fault::UnknownAfter),
            _ => None,
        }
    }
}

fn unavailable() -> EngineError {
    EngineError::Unavailable("an injected fault".to_owned())
}

fn unknown() -> TransactError {
    EngineError::Unknown("an injected fault".to_owned()).into()
}

#[async_trait]
impl Engine for FaultyEngine {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.before_read().await?;
        self.inner.get(table, key).await
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.before_read().await?;
        self.inner.get_many(table, keys).await
    }

    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.before_read().await?;
        self.inner.query(query).await
    }

    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.before_read().await?;
        self.inner.scan(table, after, limit).await
    }

    fn is_ordered(&self, table: Table, index: IndexName) -> bool {
        self.inner.is_ordered(table, index)
    }

    async fn transact(&self, transaction: Transaction) -> Result<(), TransactError> {
        match self.before_write().await {
            None => self.inner.transact(transaction).await,
            Some(Fault::Unavailable) => {
                self.unavailable.fetch_add(1, Ordering::Relaxed);
                Err(unavailable().into())
            }
            Some(Fault::UnknownBefore) => {
                self.unknown_before.fetch_add(1, Ordering::Relaxed);
                Err(unknown())
            }
            Some(Fault::UnknownAfter) => {
                self.unknown_after.fetch_add(1, Ordering::Relaxed);
                let _ = self.inner.transact(transaction).await;
                Err(unknown())
            }
        }
    }

    async fn health(&self) -> Result<(), EngineError> {
        self.inner.health().await
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteEngine;

    fn engine(seed: u64, plan: FaultPlan) -> FaultyEngine {
        FaultyEngine::new(Arc::new(SqliteEngine::memory()), seed, plan)
    }

    fn count() -> Transaction {
        let mut tx = Transaction::new();
        tx.add(Table::Main, Key::single("count"), "count", 1);
        tx
    }

    async fn counted(engine: &FaultyEngine) -> i64 {
        engine.switch(false);
        let item = engine.get(Table::Main, &Key::single("count")).await.unwrap();
        engine.switch(true);
        item.map_or(0, |item| item.attrs["count"].as_i64().unwrap())
    }

    async fn run(seed: u64) -> (Vec<Result<(), TransactError>>, FaultCounts, i64) {
        let engine = engine(seed, FaultPlan { unavailable: 0.2, unknown_before: 0.2, unknown_after: 0.2, ..FaultPlan::default() });
        let mut answers = Vec::new();
        for _ in 0..200 {
            answers.push(engine.transact(count()).await);
        }
        (answers, engine.counts(), counted(&engine).await)
    }

    #[tokio::test]
    async fn the_same_seed_gives_the_same_faults_and_another_gives_others() {
        let (answers, counts, total) = run(7).await;
        assert_eq!(run(7).await, (answers.clone(), counts, total));
        assert_ne!(run(8).await.0, answers);
        let done = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        assert_eq!(done + counts.unavailable + counts.unknown_before + counts.unknown_after, 200);
        assert_eq!(total as u64, done + counts.unknown_after, "only what was lost after the commit is done without an answer");
        assert!(counts.unavailable > 0 && counts.unknown_before > 0 && counts.unknown_after > 0);
    }

    #[tokio::test]
    async fn a_script_comes_before_the_seed() {
        let engine = engine(1, FaultPlan::default());
        engine.script([None, Some(Fault::UnknownAfter), Some(Fault::UnknownBefore), Some(Fault::Unavailable)]);
        assert_eq!(engine.transact(count()).await, Ok(()));
        for _ in 0..2 {
            assert!(matches!(engine.transact(count()).await, Err(TransactError::Engine(EngineError::Unknown(_)))));
        }
        assert!(matches!(engine.transact(count()).await, Err(TransactError::Engine(EngineError::Unavailable(_)))));
        assert_eq!(engine.transact(count()).await, Ok(()));
        assert_eq!(counted(&engine).await, 3);
    }

    #[tokio::test]
    async fn switched_off_it_lets_everything_pass() {
        let engine = engine(1, FaultPlan { unavailable: 1.0, ..FaultPlan::default() });
        assert!(engine.get(Table::Main, &Key::single("a")).await.is_err());
        assert!(engine.get_many(Table::Main, &[Key::single("a")]).await.is_err());
        assert!(engine.query(Query::table(Table::Main, "a")).await.is_err());
        assert!(engine.transact(count()).await.is_err());
        engine.switch(false);
        assert_eq!(engine.transact(count()).await, Ok(()));
        assert_eq!(engine.counts(), FaultCounts { unavailable: 4, ..FaultCounts::default() });
    }

    #[expect(clippy::unused_async, reason = "other engines take time to make")]
    async fn slow() -> (Arc<dyn Engine>, ()) {
        let plan = FaultPlan { delay: 0.2, delay_max: Duration::from_millis(2), ..FaultPlan::default() };
        (Arc::new(engine(3, plan)), ())
    }

    crate::engine_conformance!(an_engine_with_delays, slow);
}
