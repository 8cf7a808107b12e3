//! A worker that dies again and again while it sends, in this process: the whole runtime goes away at a random moment, wherever its tasks are, and the next one
//! takes over what is stored. With the control: an engine that forgets claims, on which the same storm mails people twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use emcrm_app::{App, AppParts, AppSettings, DomainLimits, Worker};
use emcrm_mail::{Connection, Handover, MailError, Mailbox, Receipt, Transport};
use emcrm_model::{Campaign, CampaignId, CampaignState, DeliveryState, RandomIds, SystemClock};
use emcrm_search::{Index, tantivy_index::TantivyIndex};
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Campaigns, Engine, EngineError, Item, Key, Query, Queue, Rows, Table, TransactError, Transaction, keys};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::forgetful::Forgetful;
use crate::support::{call, campaign_draft, until, user_draft};

const PEOPLE: usize = 700;
const CONNECTIONS: usize = 8;

/// Takes every mail after a moment, and remembers whom it took one for.
#[derive(Default)]
struct Slow {
    taken: Mutex<HashMap<String, usize>>,
    random: AtomicUsize,
}

struct Line(Arc<Slow>);

#[async_trait]
impl Transport for SlowTransport {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        Ok(Box::new(Line(self.0.clone())))
    }
    fn connections_max(&self) -> usize {
        CONNECTIONS
    }
    fn rate(&self) -> Option<u32> {
        None
    }
    async fn health(&self) -> Result<(), MailError> {
        Ok(())
    }
    fn name(&self) -> &'static str {
        "slow"
    }
}

struct SlowTransport(Arc<Slow>);

#[async_trait]
impl Connection for Line {
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        let n = self.0.random.fetch_add(1, Ordering::Relaxed) as u64;
        tokio::time::sleep(Duration::from_micros(200 + n * 7_919 % 3_000)).await;
        *self.0.taken.lock().entry(handover.to.clone()).or_default() += 1;
        // The answer takes its time too, so that some deaths lie between the taking and the record.
        tokio::time::sleep(Duration::from_micros(n * 104_729 % 2_000)).await;
        Ok(Receipt { reply: "250 ok".to_owned() })
    }
    async fn close(self: Box<Self>) {}
}

/// Gives three connections, after a moment, and refuses all others at once.
struct Narrow {
    mail: Arc<Slow>,
    asked: AtomicUsize,
}

#[async_trait]
impl Transport for Narrow {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        if self.asked.fetch_add(1, Ordering::Relaxed) >= 3 {
            return Err(MailError::Unavailable { cause: "too many connections".to_owned() });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Box::new(Line(self.mail.clone())))
    }
    fn connections_max(&self) -> usize {
        CONNECTIONS
    }
    fn rate(&self) -> Option<u32> {
        None
    }
    async fn health(&self) -> Result<(), MailError> {
        Ok(())
    }
    fn name(&self) -> &'static str {
        "narrow"
    }
}

/// Takes one mail for each permit.
struct Gated {
    mail: Arc<Slow>,
    permits: Semaphore,
}

struct GatedTransport(Arc<Gated>);

struct GatedLine(Arc<Gated>);

#[async_trait]
impl Transport for GatedTransport {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        Ok(Box::new(GatedLine(self.0.clone())))
    }
    fn connections_max(&self) -> usize {
        CONNECTIONS
    }
    fn rate(&self) -> Option<u32> {
        None
    }
    async fn health(&self) -> Result<(), MailError> {
        Ok(())
    }
    fn name(&self) -> &'static str {
        "gated"
    }
}

#[async_trait]
impl Connection for GatedLine {
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        self.0.permits.acquire().await.unwrap().forget();
        Line(self.0.mail.clone()).send(handover).await
    }
    async fn close(self: Box<Self>) {}
}

/// Reads fail for a moment as soon as the first mails are out.
struct Hiccup {
    engine: Arc<dyn Engine>,
    mail: Arc<Slow>,
    left: AtomicUsize,
}

#[async_trait]
impl Engine for Hiccup {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.engine.get(table, key).await
    }
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        // Of the people, that is; campaigns lie in the other table.
        let out = table == Table::Main && !self.mail.taken.lock().is_empty();
        if out && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(EngineError::Unavailable("a moment".to_owned()));
        }
        self.engine.get_many(table, keys).await
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.engine.query(query).await
    }
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.engine.scan(table, after, limit).await
    }
    async fn transact(&self, tx: Transaction) -> Result<(), TransactError> {
        self.engine.transact(tx).await
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.engine.health().await
    }
    fn name(&self) -> &'static str {
        "hiccup"
    }
}

/// What is left when everything has come to its end.
struct After {
    campaign: Campaign,
    deaths: usize,
    twice: usize,
    taken: usize,
}

fn app(engine: &Arc<dyn Engine>, index: &Arc<dyn Index>, mail: &Arc<Slow>) -> Arc<App> {
    app_through(engine, index, Arc::new(SlowTransport(mail.clone())))
}

fn app_through(engine: &Arc<dyn Engine>, index: &Arc<dyn Index>, transport: Arc<dyn Transport>) -> Arc<App> {
    let settings = AppSettings {
        secret_key: [7; 32],
        default_zone: jiff::tz::TimeZone::UTC,
        mail_from: Mailbox { name: None, address: "crm@example.org".to_owned() },
        public_url: Some("https://crm.example".to_owned()),
        // It takes up its own leases at once.
        worker_name: "storm".to_owned(),
        shared: false,
        lease_seconds: 30,
        mail_retry_seconds: 1,
        freeze_wait: Duration::from_secs(2),
        domain_limits: DomainLimits::default(),
        access: emcrm_app::AccessSettings::default(),
    };
    App::new(AppParts { engine: engine.clone(), index: index.clone(), transport, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds), settings })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn storm(engine: Arc<dyn Engine>, seed: u64) -> After {
    let index: Arc<dyn Index> = Arc::new(TantivyIndex::memory().unwrap());
    let mail = Arc::new(Slow::default());
    let mut random = StdRng::seed_from_u64(seed);
    let id = {
        let runtime = runtime();
        let app = app(&engine, &index, &mail);
        runtime.block_on(async {
            let worker = Worker::spawn_for(app.clone(), &[Queue::Index]);
            for i in 0..PEOPLE {
                app.user_create(&call(), None, user_draft(&format!("u{i:04}"), json!({}))).await.unwrap();
            }
            assert!(app.index_settled(Duration::from_mins(1)).await.unwrap());
            worker.stop().await;
            // Nobody freezes it yet: deaths while freezing belong to the storm.
            let draft = app.campaign_draft(&call(), campaign_draft(json!({})), None).await.unwrap();
            app.campaign_send(&call(), &draft.id).await.unwrap().id
        })
    };
    let mut deaths = 0_u64;
    loop {
        let runtime = runtime();
        let living = app(&engine, &index, &mail);
        let worker = runtime.block_on(async { Worker::spawn(living.clone()) });
        // Each lives a little longer than those before it: on a machine so slow that nobody gets far in a moment, somebody gets far in the end.
        std::thread::sleep(Duration::from_millis(random.random_range(1..30 + deaths / 4)));
        let campaign = runtime.block_on(living.campaign_get(&call(), &id)).unwrap();
        let (taken, twice) = {
            let taken = mail.taken.lock();
            (taken.len(), taken.values().filter(|times| **times > 1).count())
        };
        if campaign.status.is_final() || twice > 0 || deaths > 1_000 {
            runtime.block_on(worker.stop());
            return After { campaign, deaths: deaths as usize, twice, taken };
        }
        // Everything that waits is gone at once, wherever it waits.
        std::mem::forget(worker);
        runtime.shutdown_background();
        deaths += 1;
    }
}

fn is_right(after: &After) {
    let counts = after.campaign.counts;
    assert_eq!((after.campaign.status, after.twice), (CampaignState::Sent, 0), "{counts:?}");
    assert_eq!((after.campaign.total_recipients as usize, counts.total() as usize), (PEOPLE, PEOPLE));
    let unknown = counts.get(DeliveryState::Unknown) as usize;
    assert_eq!(counts.sent_count as usize + unknown, PEOPLE, "{counts:?}");
    assert!(unknown <= after.deaths * CONNECTIONS, "{} deaths, {unknown} unknown", after.deaths);
    assert!(counts.sent_count as usize <= after.taken && after.taken <= PEOPLE);
}

#[test]
fn a_worker_that_dies_at_any_moment_mails_nobody_twice_and_loses_nobody() {
    // Where whoever kills was held up himself, one of them lived long enough to send everything: that is no storm, but nobody is mailed twice in it either.
    let mut storms = (0..10).map(|again| storm(Arc::new(SqliteEngine::memory()), 20_261_124 + again)).inspect(is_right);
    let after = storms.find(|after| after.deaths >= 10).expect("of ten storms one is a storm");
    let counts = after.campaign.counts;
    let unknown = counts.get(DeliveryState::Unknown);
    println!("{} deaths, {} sent, {unknown} unknown, none twice", after.deaths, counts.sent_count);
}

/// Sixty people and a campaign to all of them that has been asked to be sent.
async fn sending(app: &Arc<App>) -> CampaignId {
    sending_to(app, 60).await
}

async fn sending_to(app: &Arc<App>, people: usize) -> CampaignId {
    for i in 0..people {
        app.user_create(&call(), None, user_draft(&format!("u{i:04}"), json!({}))).await.unwrap();
    }
    assert!(app.index_settled(Duration::from_mins(1)).await.unwrap());
    let draft = app.campaign_draft(&call(), campaign_draft(json!({})), None).await.unwrap();
    app.campaign_send(&call(), &draft.id).await.unwrap().id
}

/// The campaign when it has ended, and the most failures that its task had counted.
async fn ended(app: &Arc<App>, id: &CampaignId) -> (Campaign, u32) {
    let mut failures = 0;
    for _ in 0..24_000 {
        let tasks = app.store.tasks.all(Queue::Mail, keys::shard_of(id.as_str())).await.unwrap();
        failures = tasks.iter().map(|task| task.attempts).max().unwrap_or(0).max(failures);
        if app.store.campaigns.get(id).await.unwrap().unwrap().status.is_final() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (app.store.campaigns.get(id).await.unwrap().unwrap(), failures)
}

#[test]
fn a_run_that_was_taken_over_leaves_the_other_one_its_task() {
    let (index, mail): (Arc<dyn Index>, _) = (Arc::new(TantivyIndex::memory().unwrap()), Arc::new(Slow::default()));
    let engine: Arc<dyn Engine> = Arc::new(SqliteEngine::memory());
    runtime().block_on(async {
        let app = app(&engine, &index, &mail);
        let worker = Worker::spawn(app.clone());
        let id = sending(&app).await;
        while mail.taken.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Another run says that the campaign is its own, and dies at once.
        let mut tx = Transaction::new();
        app.store.campaigns.update_in(&mut tx, &id, &[CampaignState::Sending]).set("sender", "another");
        engine.transact(tx).await.unwrap();
        let (campaign, _) = ended(&app, &id).await;
        worker.stop().await;
        assert_eq!((campaign.status, campaign.counts.sent_count), (CampaignState::Sent, 60), "nobody went on with it: {:?}", campaign.counts);
        assert!(mail.taken.lock().values().all(|times| *times == 1));
    });
}

#[test]
fn connections_that_are_refused_while_others_are_being_opened_do_not_end_the_run() {
    let (index, mail): (Arc<dyn Index>, _) = (Arc::new(TantivyIndex::memory().unwrap()), Arc::new(Slow::default()));
    let engine: Arc<dyn Engine> = Arc::new(SqliteEngine::memory());
    let narrow = Arc::new(Narrow { mail: mail.clone(), asked: AtomicUsize::new(0) });
    runtime().block_on(async {
        let app = app_through(&engine, &index, narrow.clone());
        let worker = Worker::spawn(app.clone());
        let id = sending(&app).await;
        let (campaign, _) = ended(&app, &id).await;
        worker.stop().await;
        assert_eq!((campaign.status, campaign.counts.sent_count), (CampaignState::Sent, 60), "{:?}", campaign.counts);
        assert!(narrow.asked.load(Ordering::Relaxed) <= CONNECTIONS, "each connection was asked for once");
        assert!(mail.taken.lock().values().all(|times| *times == 1));
    });
}

#[test]
fn a_run_that_got_mails_out_is_not_counted_as_a_failure() {
    let (index, mail): (Arc<dyn Index>, _) = (Arc::new(TantivyIndex::memory().unwrap()), Arc::new(Slow::default()));
    let engine: Arc<dyn Engine> = Arc::new(Hiccup { engine: Arc::new(SqliteEngine::memory()), mail: mail.clone(), left: AtomicUsize::new(1) });
    runtime().block_on(async {
        let app = app(&engine, &index, &mail);
        let worker = Worker::spawn(app.clone());
        let id = sending(&app).await;
        let (campaign, failures) = ended(&app, &id).await;
        worker.stop().await;
        assert_eq!((campaign.status, campaign.counts.sent_count, failures), (CampaignState::Sent, 60, 0));
    });
}

#[test]
fn what_a_server_said_is_recorded_though_people_cannot_be_read() {
    let (index, mail): (Arc<dyn Index>, _) = (Arc::new(TantivyIndex::memory().unwrap()), Arc::new(Slow::default()));
    let engine: Arc<dyn Engine> = Arc::new(Hiccup { engine: Arc::new(SqliteEngine::memory()), mail: mail.clone(), left: AtomicUsize::new(6) });
    runtime().block_on(async {
        let app = app(&engine, &index, &mail);
        let worker = Worker::spawn(app.clone());
        let id = sending(&app).await;
        let (campaign, _) = ended(&app, &id).await;
        worker.stop().await;
        assert_eq!((campaign.status, campaign.counts.sent_count, campaign.counts.get(DeliveryState::Unknown)), (CampaignState::Sent, 60, 0));
        assert!(mail.taken.lock().values().all(|times| *times == 1));
    });
}

#[test]
fn a_campaign_that_is_paused_and_resumed_fifty_times_and_then_cancelled_mails_nobody_twice_and_its_states_add_up() {
    const ROUNDS: usize = 50;
    // More than pass in all rounds together, so that the campaign does not end before it is cancelled.
    const ALL: usize = 400;
    let (index, mail): (Arc<dyn Index>, _) = (Arc::new(TantivyIndex::memory().unwrap()), Arc::new(Slow::default()));
    let engine: Arc<dyn Engine> = Arc::new(SqliteEngine::memory());
    let gated = Arc::new(Gated { mail: mail.clone(), permits: Semaphore::new(0) });
    let mut random = StdRng::seed_from_u64(20_261_127);
    runtime().block_on(async {
        let app = app_through(&engine, &index, Arc::new(GatedTransport(gated.clone())));
        let worker = Worker::spawn(app.clone());
        let id = sending_to(&app, ALL).await;
        let campaign = async || app.store.campaigns.get(&id).await.unwrap().unwrap();
        let passed = |wanted: usize| mail.taken.lock().values().sum::<usize>() == wanted;
        gated.permits.add_permits(1);
        until("the first mail goes", async || passed(1)).await;
        let mut permits = 1;
        for _ in 0..ROUNDS {
            let more = random.random_range(0..=6);
            permits += more;
            gated.permits.add_permits(more);
            tokio::time::sleep(Duration::from_micros(random.random_range(0..6_000))).await;
            app.campaign_pause(&call(), &id).await.unwrap();
            tokio::time::sleep(Duration::from_micros(random.random_range(0..6_000))).await;
            app.campaign_resume(&call(), &id).await.unwrap();
        }
        until("it goes on after the last one", async || passed(permits)).await;
        app.campaign_cancel(&call(), &id).await.unwrap();
        // Those in hand go through.
        gated.permits.add_permits(ALL);
        until("nothing waits and nothing is in hand", async || {
            let counts = campaign().await.counts;
            counts.pending_count == 0 && counts.sending_count == 0
        })
        .await;
        worker.stop().await;
        let Campaign { status, counts, total_recipients, .. } = campaign().await;
        assert_eq!((status, total_recipients as usize, counts.total() as usize), (CampaignState::Cancelled, ALL, ALL), "{counts:?}");
        let rows = engine.query(Campaigns::deliveries(&id).limit(1_000)).await.unwrap().items;
        let rows: Vec<DeliveryState> = rows.into_iter().map(|row| Campaigns::read_delivery(row).unwrap().status).collect();
        for state in DeliveryState::ALL {
            assert_eq!(rows.iter().filter(|row| **row == state).count() as i64, counts.get(state), "{state:?}");
        }
        let taken = mail.taken.lock();
        assert!(taken.values().all(|times| *times == 1), "twice");
        assert_eq!(taken.len() as i64, counts.sent_count + counts.get(DeliveryState::Unknown), "{counts:?}");
        assert!(taken.len() >= permits && taken.len() <= permits + CONNECTIONS, "{} mails, {permits} before it was cancelled", taken.len());
    });
}

#[test]
fn the_same_storm_mails_people_twice_where_claims_are_not_written() {
    let after = storm(Arc::new(Forgetful(Arc::new(SqliteEngine::memory()))), 20_261_124);
    assert!(after.twice > 0, "the storm proves nothing: {} deaths and nobody was mailed twice", after.deaths);
}
