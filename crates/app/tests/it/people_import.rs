//! Imports whose process dies between any two of their writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use emcrm_app::people_import::{ImportCounts, ImportState, PeopleImport, UndoCounts};
use emcrm_model::User;
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Engine, EngineError, Item, Key, Query, Rows, Table, TransactError, Transaction, Users, keys};
use serde_json::json;

use crate::support::{TestApp, call};

/// An engine whose process dies before a certain write: of people, events or imports, since leases and tasks are written at any time. From then on nothing is
/// read or written, until there is another process.
struct Mortal {
    inner: SqliteEngine,
    /// Writes until then.
    left: AtomicI64,
    dead: AtomicBool,
}

impl Mortal {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: SqliteEngine::memory(), left: AtomicI64::new(i64::MAX), dead: AtomicBool::new(false) })
    }
    fn alive(&self) -> Result<(), EngineError> {
        if self.dead.load(Ordering::SeqCst) { Err(EngineError::Unavailable("the process died".to_owned())) } else { Ok(()) }
    }
    /// Whether it was dead.
    fn revive(&self) -> bool {
        self.left.store(i64::MAX, Ordering::SeqCst);
        self.dead.swap(false, Ordering::SeqCst)
    }
}

#[async_trait]
impl Engine for Mortal {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.alive()?;
        self.inner.get(table, key).await
    }
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.alive()?;
        self.inner.get_many(table, keys).await
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.alive()?;
        self.inner.query(query).await
    }
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.alive()?;
        self.inner.scan(table, after, limit).await
    }
    async fn transact(&self, tx: Transaction) -> Result<(), TransactError> {
        let about = [keys::USER_PREFIX, keys::EVENT_PREFIX, "people_import#"];
        if tx.ops.iter().any(|op| about.iter().any(|prefix| op.key.pk.starts_with(prefix))) && self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.dead.store(true, Ordering::SeqCst);
        }
        self.alive()?;
        self.inner.transact(tx).await
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.alive()
    }
    fn name(&self) -> &'static str {
        "mortal"
    }
}

/// Everybody by address: names, and on how many lists.
type World = BTreeMap<String, (String, String, i64)>;

struct Run {
    t: TestApp,
    engine: Arc<Mortal>,
    import: PeopleImport,
    before: World,
}

impl Run {
    /// A file of two pieces for an event with fewer places than rows: 52 who are new, one who changes, one who is on the list, one faulty row, five more who are
    /// new, of whom the last four find no place.
    async fn begun() -> Self {
        let engine = Mortal::new();
        let t = TestApp::on(engine.clone());
        let event = t.event("Talks", json!({ "maxCapacity": 55 })).await;
        t.user("ann").await;
        t.attend(&t.user("ben").await, &event).await;
        t.settle().await;
        let new = |n: u32| format!("p{n}@example.org,P{n},New");
        let mut rows = vec!["email,first name,last name".to_owned()];
        rows.extend((0..52).map(new));
        rows.extend(["ann@example.org,Anna,Changed", "ben@example.org,ben,Test", "nowhere,Nobody,"].map(str::to_owned));
        rows.extend((52..57).map(new));
        let import = t.app.people_import_upload(&call(), "list.csv", rows.join("\n").into_bytes(), Some(event.id)).await.unwrap();
        t.app.people_import_start(&call(), &import.id, import.mapping.clone()).await.unwrap();
        let before = world(&t).await;
        Self { t, engine, import, before }
    }

    async fn now(&self) -> Option<PeopleImport> {
        self.t.app.people_import_get(&call(), &self.import.id).await.ok()
    }

    /// Works at it until it is there, and dies before write `n`: then another process goes on, two minutes later. Whether it died.
    async fn work(&self, n: i64, there: ImportState) -> bool {
        self.engine.left.store(n, Ordering::SeqCst);
        let worker = self.t.worker();
        let begin = Instant::now();
        while self.engine.alive().is_ok() && self.now().await.is_none_or(|import| import.state != there) {
            assert!(begin.elapsed() < Duration::from_mins(5), "the import stands still");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        worker.stop().await;
        let died = self.engine.revive();
        self.t.later(120);
        self.t.settle().await;
        died
    }

    async fn take_back(&self) {
        self.t.app.people_import_undo(&call(), &self.import.id).await.unwrap();
    }
}

async fn world(t: &TestApp) -> World {
    let users: Vec<User> = t.all(Users::list()).await;
    let all = users.len();
    let world: World = users.into_iter().map(|user| (user.email.as_str().to_owned(), (user.first_name, user.last_name, user.attended_count))).collect();
    assert_eq!(world.len(), all, "nobody is there twice");
    world
}

#[tokio::test]
async fn an_import_for_an_event_that_dies_between_two_writes_ends_with_each_row_once() {
    let whole = Run::begun().await;
    assert!(!whole.work(i64::MAX, ImportState::Done).await);
    let (done, after) = (whole.now().await.unwrap(), world(&whole.t).await);
    assert_eq!((done.state, done.pieces), (ImportState::Done, 2));
    assert_eq!(done.counts, ImportCounts { created: 53, changed: 1, same: 1, faulty: 5, registered: 54, already: 1, unplaced: 0 });
    assert_eq!(after["ann@example.org"], ("Anna".to_owned(), "Changed".to_owned(), 1));
    assert!(after["p52@example.org"].2 == 1 && !after.contains_key("p53@example.org"));

    let mut deaths = 0;
    for n in 0.. {
        let run = Run::begun().await;
        let died = run.work(n, ImportState::Done).await;
        let now = run.now().await.unwrap();
        assert_eq!((now.state, now.next, now.counts), (done.state, done.next, done.counts), "dead before write {n}");
        assert_eq!(world(&run.t).await, after, "dead before write {n}");
        run.t.assert_counts().await;
        if !died {
            break;
        }
        deaths += 1;
    }
    // Of each piece: what it does, people, places, how far it came.
    assert!(deaths >= 8, "{deaths}");
}

#[tokio::test]
async fn an_import_for_an_event_that_dies_while_it_is_taken_back_leaves_nothing_behind() {
    let mut deaths = 0;
    // There are many writes: some of them.
    for n in (0..).step_by(17) {
        let run = Run::begun().await;
        assert!(!run.work(i64::MAX, ImportState::Done).await);
        run.take_back().await;
        let died = run.work(n, ImportState::Undone).await;
        let now = run.now().await.unwrap();
        assert_eq!((now.state, now.undone), (ImportState::Undone, UndoCounts { deleted: 53, restored: 1, kept: 0, unregistered: 54 }), "dead before write {n}");
        assert_eq!(world(&run.t).await, run.before, "dead before write {n}");
        run.t.assert_counts().await;
        if !died {
            break;
        }
        deaths += 1;
    }
    assert!(deaths >= 5, "{deaths}");
}
