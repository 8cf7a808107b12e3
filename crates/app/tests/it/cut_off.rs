//! A process that dies while it moves the rows of a ledger, chunk by chunk, and the next one that goes on with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use emcrm_model::{Campaign, CampaignState, DeliveryState};
use emcrm_search::tantivy_index::TantivyIndex;
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Change, Engine, EngineError, Item, Key, Query, Rows, Table, TransactError, Transaction, keys};
use parking_lot::Mutex;
use serde_json::json;

use crate::support::{Answer, TestApp, call, campaign_draft, clean, reread, until};

/// More than three chunks of 99.
const PEOPLE: usize = 300;

/// Lets one chunk of rows pass into a state; with the next one the process is dead: nothing that it reads or writes arrives any more.
struct Dying {
    engine: Arc<dyn Engine>,
    /// The state, once it is said, and the chunks that may still pass.
    left: Mutex<Option<(DeliveryState, usize)>>,
    dead: AtomicBool,
}

impl Dying {
    /// From now on, at the second chunk into this state.
    fn dies_at(&self, state: DeliveryState) {
        *self.left.lock() = Some((state, 1));
    }
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
    fn alive(&self) -> Result<(), EngineError> {
        if self.is_dead() { Err(EngineError::Unavailable("the process is dead".to_owned())) } else { Ok(()) }
    }
    fn look_at(&self, tx: &Transaction) {
        let mut left = self.left.lock();
        let Some((state, chunks)) = left.as_mut() else { return };
        let moves = |change: &Change| matches!(change, Change::Update { set, .. } if set.get("status") == Some(&json!(state.as_str())));
        let rows = tx.ops.iter().filter(|op| op.key.pk.starts_with(keys::DELIVERY_PREFIX) && moves(&op.change)).count();
        match (rows, *chunks) {
            (0, _) => {}
            (_, 0) => self.dead.store(true, Ordering::Relaxed),
            _ => *chunks -= 1,
        }
    }
}

#[async_trait]
impl Engine for Dying {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.alive()?;
        self.engine.get(table, key).await
    }
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.alive()?;
        self.engine.get_many(table, keys).await
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.alive()?;
        self.engine.query(query).await
    }
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.alive()?;
        self.engine.scan(table, after, limit).await
    }
    async fn transact(&self, tx: Transaction) -> Result<(), TransactError> {
        self.look_at(&tx);
        self.alive()?;
        self.engine.transact(tx).await
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.engine.health().await
    }
    fn name(&self) -> &'static str {
        "dying"
    }
}

/// The process that is going to die, and the one that comes after it, on the same storage.
fn two_processes() -> (Arc<Dying>, TestApp, TestApp) {
    let (engine, index) = (Arc::new(SqliteEngine::memory()), Arc::new(TantivyIndex::memory().unwrap()));
    let dying = Arc::new(Dying { engine: engine.clone(), left: Mutex::default(), dead: AtomicBool::new(false) });
    let first = TestApp::with(dying.clone(), index.clone());
    let second = TestApp::with(engine, index);
    // When the leases of the first have run out.
    second.later(60);
    (dying, first, second)
}

async fn people(t: &TestApp) {
    for n in 0..PEOPLE {
        let id = format!("u{n:03}");
        t.user_at(&id, &address(n)).await;
    }
    t.settle().await;
}

fn address(n: usize) -> String {
    format!("u{n:03}@example.org")
}

/// How many rows are in this state, after a look whether the campaign's counts are those of its rows.
async fn rows(t: &TestApp, campaign: &Campaign, state: DeliveryState) -> usize {
    let states = t.states(campaign).await;
    let count = |state: DeliveryState| states.values().filter(|is| **is == state).count();
    let counts = reread(t, campaign).await.counts;
    for state in DeliveryState::ALL {
        assert_eq!(counts.get(state), count(state) as i64, "{state:?}");
    }
    assert_eq!(states.len(), PEOPLE);
    count(state)
}

/// The first process works until it is dead.
async fn dies(dying: &Dying, first: &TestApp) {
    let worker = first.worker();
    until("the process is dead", async || dying.is_dead()).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_retry_that_is_cut_off_goes_on_and_mails_each_once() {
    let (dying, first, second) = two_processes();
    people(&first).await;
    // One in four is taken, so that the campaign is not paused.
    let refused: Vec<usize> = (0..PEOPLE).filter(|n| n % 4 != 0).collect();
    for n in &refused {
        first.mail.answer(&address(*n), &[Answer::Permanent]);
    }
    let campaign = first.sent(campaign_draft(json!({}))).await;
    assert_eq!(reread(&first, &campaign).await.status, CampaignState::Sent);
    assert_eq!(rows(&first, &campaign, DeliveryState::Error).await, refused.len());

    first.app.campaign_retry(&call(), &campaign.id, vec![DeliveryState::Error]).await.unwrap();
    dying.dies_at(DeliveryState::Pending);
    dies(&dying, &first).await;
    let (again, left) = (rows(&second, &campaign, DeliveryState::Pending).await, rows(&second, &campaign, DeliveryState::Error).await);
    assert!(again > 0 && left > 0 && again + left == refused.len(), "{again} wait again, {left} do not yet");

    let worker = second.worker();
    until("the next process ends it", async || reread(&second, &campaign).await.status.is_final()).await;
    worker.stop().await;
    assert_eq!(reread(&second, &campaign).await.status, CampaignState::Sent);
    assert_eq!(rows(&second, &campaign, DeliveryState::Sent).await, PEOPLE);
    let taken = [first.mail.taken(), second.mail.taken()].concat();
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (PEOPLE, PEOPLE));
    second.settle().await;
    clean(&second).await;
}

#[tokio::test]
async fn a_cancellation_that_is_cut_off_goes_on_and_mails_nobody_else() {
    let (dying, first, second) = two_processes();
    people(&first).await;
    let gate = first.mail.hold();
    let worker = first.worker();
    let campaign = first.campaign(json!({})).await;
    until("mails are in hand", async || reread(&first, &campaign).await.counts.sending_count > 0).await;
    first.app.campaign_pause(&call(), &campaign.id).await.unwrap();
    gate.add_permits(PEOPLE);
    until("those in hand are recorded", async || reread(&first, &campaign).await.counts.sending_count == 0).await;
    worker.stop().await;
    let sent = rows(&first, &campaign, DeliveryState::Sent).await;
    assert_eq!(sent, first.mail.taken().len());

    first.app.campaign_cancel(&call(), &campaign.id).await.unwrap();
    dying.dies_at(DeliveryState::Cancelled);
    dies(&dying, &first).await;
    let (gone, left) = (rows(&second, &campaign, DeliveryState::Cancelled).await, rows(&second, &campaign, DeliveryState::Pending).await);
    assert!(gone > 0 && left > 0 && gone + left + sent == PEOPLE, "{gone} are cancelled, {left} wait");

    second.settle().await;
    assert_eq!(reread(&second, &campaign).await.status, CampaignState::Cancelled);
    assert_eq!(rows(&second, &campaign, DeliveryState::Cancelled).await, PEOPLE - sent);
    assert_eq!((first.mail.taken().len(), second.mail.taken().len()), (sent, 0));
    clean(&second).await;
}
