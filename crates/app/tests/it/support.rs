//! What every test needs: an application in memory, people and events in it, a worker that can be run to the end of its work.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use emcrm_app::verify::verify;
use emcrm_app::{AccessSettings, App, AppParts, AppSettings, Call, DomainLimits, Worker};
use emcrm_mail::{Connection, Envelope, Handover, Identity, MailError, Mailbox, Receipt, Transport};
use emcrm_model::{
    AttendanceDraft, Campaign, CampaignDraft, DeliveryState, Event, EventDraft, Fields, FixedClock, Schedule, SeededIds, User, UserDraft, UserId,
};
use emcrm_search::{Index, tantivy_index::TantivyIndex};
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Attendances, CountKind, Engine, Events, Query, Users, from_item};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use serde_json::{Value, json};

pub struct TestApp {
    pub app: Arc<App>,
    pub clock: Arc<FixedClock>,
    pub mail: Arc<ScriptedTransport>,
}

impl TestApp {
    pub fn new() -> Self {
        Self::on(Arc::new(SqliteEngine::memory()))
    }

    pub fn on(engine: Arc<dyn Engine>) -> Self {
        Self::with(engine, Arc::new(TantivyIndex::memory().unwrap()))
    }

    pub fn with(engine: Arc<dyn Engine>, index: Arc<dyn Index>) -> Self {
        Self::build(engine, index, None, AccessSettings::default())
    }

    pub fn with_access(access: AccessSettings) -> Self {
        Self::build(Arc::new(SqliteEngine::memory()), Arc::new(TantivyIndex::memory().unwrap()), None, access)
    }

    /// Reached at this address, so that mails have links.
    pub fn public(url: &str) -> Self {
        Self::build(Arc::new(SqliteEngine::memory()), Arc::new(TantivyIndex::memory().unwrap()), Some(url.to_owned()), AccessSettings::default())
    }

    /// On this storage with another key.
    pub fn with_key(engine: Arc<dyn Engine>, secret_key: [u8; 32]) -> Self {
        Self::build_with(secret_key, engine, Arc::new(TantivyIndex::memory().unwrap()), None, AccessSettings::default(), DomainLimits::default())
    }

    /// With limits for each domain of recipients.
    pub fn limited(limits: DomainLimits) -> Self {
        let index = Arc::new(TantivyIndex::memory().unwrap());
        Self::build_with([7; 32], Arc::new(SqliteEngine::memory()), index, None, AccessSettings::default(), limits)
    }

    fn build(engine: Arc<dyn Engine>, index: Arc<dyn Index>, public_url: Option<String>, access: AccessSettings) -> Self {
        Self::build_with([7; 32], engine, index, public_url, access, DomainLimits::default())
    }

    fn build_with(
        secret_key: [u8; 32],
        engine: Arc<dyn Engine>,
        index: Arc<dyn Index>,
        public_url: Option<String>,
        access: AccessSettings,
        domain_limits: DomainLimits,
    ) -> Self {
        let clock = Arc::new(FixedClock::new("2026-11-22T09:00:00Z".parse().unwrap()));
        let mail = Arc::new(ScriptedTransport::default());
        let settings = AppSettings {
            secret_key,
            default_zone: TimeZone::UTC,
            mail_from: Mailbox { name: Some("Meetups".to_owned()), address: "crm@example.org".to_owned() },
            public_url,
            worker_name: "test".to_owned(),
            shared: false,
            lease_seconds: 30,
            mail_retry_seconds: 60,
            freeze_wait: Duration::from_secs(2),
            domain_limits,
            access,
        };
        let parts = AppParts { engine, index, transport: mail.clone(), clock: clock.clone(), ids: Arc::new(SeededIds::new(1)), settings };
        Self { app: App::new(parts), clock, mail }
    }

    /// Another process on the same storage and index, with a mail server and a clock of its own.
    pub fn another(&self, worker_name: &str) -> Self {
        let clock = Arc::new(FixedClock::new(self.app.now()));
        let mail = Arc::new(ScriptedTransport::default());
        let settings = AppSettings { worker_name: worker_name.to_owned(), ..self.app.settings.clone() };
        let (engine, index) = (self.app.store.engine.clone(), self.app.index.clone());
        let parts = AppParts { engine, index, transport: mail.clone(), clock: clock.clone(), ids: Arc::new(SeededIds::new(2)), settings };
        Self { app: App::new(parts), clock, mail }
    }

    pub fn worker(&self) -> Worker {
        Worker::spawn(self.app.clone())
    }

    /// Runs the worker until nothing is due any more.
    pub async fn settle(&self) {
        let worker = self.worker();
        self.wait_idle().await;
        worker.stop().await;
    }

    async fn wait_idle(&self) {
        for _ in 0..24_000 {
            let now = self.app.clock.now().as_millisecond();
            let mut due = 0;
            for queue in emcrm_store::Queue::ALL {
                for shard in 0..emcrm_store::keys::SHARDS {
                    due += self.app.store.tasks.due(queue, shard, now, 10).await.unwrap().len();
                }
            }
            if due == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("tasks are due and nobody does them");
    }

    pub fn clock_ms(&self) -> i64 {
        self.app.clock.now().as_millisecond()
    }

    pub fn later(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub async fn user(&self, name: &str) -> User {
        self.user_with(name, json!({})).await
    }

    /// With this id, which is its place in the order of every ledger.
    pub async fn user_at(&self, id: &str, email: &str) -> User {
        let draft = user_draft(id, json!({ "email": email }));
        self.app.user_create(&call(), Some(UserId::from(id.to_owned())), draft).await.unwrap()
    }

    pub async fn user_with(&self, name: &str, more: Value) -> User {
        let draft = user_draft(name, more);
        self.app.user_create(&call(), None, draft).await.unwrap()
    }

    pub async fn event(&self, title: &str, more: Value) -> Event {
        self.app.event_create(&call(), None, event_draft(title, more)).await.unwrap()
    }

    pub async fn attend(&self, user: &User, event: &Event) {
        self.app.attendance_register(&call(), attendance(user, event)).await.unwrap();
    }

    pub async fn reload(&self, user: &User) -> User {
        self.app.user_get(&call(), &user.id).await.unwrap()
    }

    pub async fn campaign(&self, filter: Value) -> Campaign {
        self.app.campaign_create(&call(), campaign_draft(filter)).await.unwrap()
    }

    /// A campaign that is made while a worker runs, and followed until nothing is due any more; as it was when it was made.
    pub async fn sent(&self, draft: CampaignDraft) -> Campaign {
        let worker = self.worker();
        let campaign = self.app.campaign_create(&call(), draft).await.unwrap();
        self.wait_idle().await;
        worker.stop().await;
        campaign
    }

    pub async fn states(&self, campaign: &Campaign) -> HashMap<String, DeliveryState> {
        let query = emcrm_store::Campaigns::deliveries(&campaign.id).limit(10_000);
        let rows = self.app.store.engine.query(query).await.unwrap();
        rows.items
            .into_iter()
            .map(|item| {
                let delivery = emcrm_store::Campaigns::read_delivery(item).unwrap();
                (delivery.email.unwrap().as_str().to_owned(), delivery.status)
            })
            .collect()
    }

    /// Recounts everything that is counted and compares.
    pub async fn assert_counts(&self) {
        let users: Vec<User> = self.all(Users::list()).await;
        let events: Vec<Event> = self.all(Events::list()).await;
        assert_eq!(self.app.store.counts.total(CountKind::Users).await.unwrap(), users.len() as u64, "users");
        assert_eq!(self.app.store.counts.total(CountKind::Events).await.unwrap(), events.len() as u64, "events");
        for user in &users {
            let attended = self.app.store.engine.query(Attendances::of_user(&user.id).limit(10_000)).await.unwrap().items.len();
            assert_eq!(user.attended_count, attended as i64, "attendedCount of {}", user.email);
            let hosted = events.iter().filter(|event| event.host_ids().contains(&user.id)).count();
            assert_eq!(user.hosted_count, hosted as i64, "hostedCount of {}", user.email);
            assert_eq!(self.app.store.users.by_email(&user.email).await.unwrap().unwrap().id, user.id, "the claim on {}", user.email);
        }
        for event in &events {
            let attendees = self.app.store.engine.query(Attendances::of_event(&event.id).limit(10_000)).await.unwrap().items.len();
            assert_eq!(event.attendee_count, attendees as i64, "attendeeCount of {}", event.slug);
            assert!(event.max_capacity.is_none_or(|most| event.attendee_count <= most), "capacity of {}", event.slug);
            assert_eq!(self.app.store.events.by_slug(&event.slug).await.unwrap().unwrap().id, event.id, "the claim on {}", event.slug);
        }
    }

    pub async fn all<T: serde::de::DeserializeOwned>(&self, query: Query) -> Vec<T> {
        let rows = self.app.store.engine.query(query.limit(10_000)).await.unwrap();
        assert!(rows.next.is_none());
        rows.items.into_iter().map(|item| from_item(item).unwrap()).collect()
    }
}

pub fn call() -> Call {
    Call::system()
}

/// Looks again and again until it holds, and fails when it does not within two minutes.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..24_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}

pub fn merged(mut base: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

pub fn user_draft(name: &str, more: Value) -> UserDraft {
    let body = json!({ "firstName": name, "lastName": "Test", "email": format!("{}@example.org", name.to_lowercase()) });
    UserDraft::parse(&merged(body, more)).unwrap()
}

pub fn event_draft(title: &str, more: Value) -> EventDraft {
    let body = json!({ "title": title, "startAt": "2026-12-01T18:00:00", "endAt": "2026-12-01T21:00:00" });
    EventDraft::parse(&merged(body, more), &TimeZone::UTC).unwrap()
}

pub fn attendance(user: &User, event: &Event) -> AttendanceDraft {
    AttendanceDraft { user_id: user.id.clone(), event_id: event.id.clone(), attended: "yes".to_owned() }
}

pub fn campaign_draft(filter: Value) -> CampaignDraft {
    CampaignDraft::parse(&json!({ "filter": filter, "subject": "Hello", "body": "See you there." })).unwrap()
}

/// What the mail server says to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Temporary,
    /// The whole domain is to be left alone for a while.
    Greylisted,
    Permanent,
    /// Takes the mail, and the connection dies before the answer.
    TakenThenLost,
    /// The connection dies before the mail.
    Lost,
}

/// Keeps what it took. Answers by address, each answer once or for ever.
#[derive(Default)]
pub struct ScriptedTransport {
    pub taken: Arc<Mutex<Vec<String>>>,
    pub messages: Arc<Mutex<Vec<Vec<u8>>>>,
    pub script: Arc<Mutex<HashMap<String, Vec<Answer>>>>,
    pub refused: Arc<Mutex<usize>>,
    /// Mails that are being handed over, by domain: now, and the most that there were.
    pub in_hand: Arc<Mutex<HashMap<String, (usize, usize)>>>,
    pub down: Arc<Mutex<bool>>,
    pub gate: Arc<Mutex<Option<Arc<tokio::sync::Semaphore>>>>,
    pub doors: Arc<Mutex<Option<Arc<tokio::sync::Semaphore>>>>,
    /// What it says of the address that mail comes from.
    pub sender: Arc<Mutex<Option<Identity>>>,
    /// What it says of the way that mail goes.
    pub encrypted: Arc<Mutex<Option<bool>>>,
    pub announced: Arc<Mutex<Announced>>,
    /// Connections that it does not give, the next ones.
    pub denies: Arc<Mutex<usize>>,
}

/// Mails that a connection was told to expect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    pub came: usize,
    /// Another came instead, or none.
    pub in_vain: usize,
}

impl ScriptedTransport {
    pub fn answer(&self, address: &str, answers: &[Answer]) {
        self.script.lock().insert(address.to_owned(), answers.to_vec());
    }
    /// Mails pass only as permits are added.
    pub fn hold(&self) -> Arc<tokio::sync::Semaphore> {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        *self.gate.lock() = Some(gate.clone());
        gate
    }
    /// Connections open only as permits are added.
    pub fn shut(&self) -> Arc<tokio::sync::Semaphore> {
        let doors = Arc::new(tokio::sync::Semaphore::new(0));
        *self.doors.lock() = Some(doors.clone());
        doors
    }
    /// What was taken, as it came over the wire, in the order in which it came.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.messages.lock().clone()
    }
    /// Mails that were answered with "later, all of you".
    pub fn refused(&self) -> usize {
        *self.refused.lock()
    }
    /// The most mails to one domain that were being handed over at once, while they had to wait for permits.
    pub fn most_at_once(&self, domain: &str) -> usize {
        self.in_hand.lock().get(domain).map_or(0, |(_, most)| *most)
    }
    pub fn taken(&self) -> Vec<String> {
        let mut taken = self.taken.lock().clone();
        taken.sort();
        taken
    }
}

struct ScriptedConnection {
    in_hand: Arc<Mutex<HashMap<String, (usize, usize)>>>,
    refused: Arc<Mutex<usize>>,
    taken: Arc<Mutex<Vec<String>>>,
    messages: Arc<Mutex<Vec<Vec<u8>>>>,
    script: Arc<Mutex<HashMap<String, Vec<Answer>>>>,
    gate: Option<Arc<tokio::sync::Semaphore>>,
    announced: Arc<Mutex<Announced>>,
    expects: Option<Envelope>,
}

impl Drop for ScriptedConnection {
    fn drop(&mut self) {
        self.announced.lock().in_vain += usize::from(self.expects.is_some());
    }
}

#[async_trait]
impl Transport for ScriptedTransport {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        let doors = self.doors.lock().clone();
        if let Some(doors) = doors {
            doors.acquire().await.unwrap().forget();
        }
        if *self.down.lock() {
            return Err(MailError::Unavailable { cause: "down".to_owned() });
        }
        let denied = {
            let mut denies = self.denies.lock();
            let denied = *denies > 0;
            *denies -= usize::from(denied);
            denied
        };
        if denied {
            return Err(MailError::Unavailable { cause: "too many connections".to_owned() });
        }
        let (taken, messages, script) = (self.taken.clone(), self.messages.clone(), self.script.clone());
        let (in_hand, refused) = (self.in_hand.clone(), self.refused.clone());
        let (announced, gate) = (self.announced.clone(), self.gate.lock().clone());
        Ok(Box::new(ScriptedConnection { in_hand, refused, taken, messages, script, gate, announced, expects: None }))
    }
    fn connections_max(&self) -> usize {
        6
    }
    fn rate(&self) -> Option<u32> {
        None
    }
    async fn health(&self) -> Result<(), MailError> {
        Ok(())
    }
    async fn sender(&self, _from: &str) -> Option<Identity> {
        self.sender.lock().clone()
    }
    fn encrypted(&self) -> Option<bool> {
        *self.encrypted.lock()
    }
    fn name(&self) -> &'static str {
        "scripted"
    }
}

#[async_trait]
impl Connection for ScriptedConnection {
    async fn send_before(&mut self, handover: &Handover, next: Option<&Envelope>) -> Result<Receipt, MailError> {
        if let Some(expected) = self.expects.take() {
            let mut announced = self.announced.lock();
            *(if expected.is_of(handover) { &mut announced.came } else { &mut announced.in_vain }) += 1;
        }
        let result = self.send(handover).await;
        self.expects = next.cloned();
        result
    }
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        if let Some(gate) = &self.gate {
            let domain = handover.to.rsplit('@').next().unwrap_or_default().to_owned();
            {
                let mut in_hand = self.in_hand.lock();
                let (now, most) = in_hand.entry(domain.clone()).or_default();
                *now += 1;
                *most = (*most).max(*now);
            }
            gate.acquire().await.unwrap().forget();
            self.in_hand.lock().entry(domain).or_default().0 -= 1;
        }
        let answer = {
            let mut script = self.script.lock();
            script.get_mut(&handover.to).and_then(|answers| if answers.is_empty() { None } else { Some(answers.remove(0)) })
        };
        match answer {
            None => {}
            Some(Answer::Temporary) => return Err(MailError::Temporary { reply: "450 4.2.1 later".to_owned() }),
            Some(Answer::Greylisted) => {
                *self.refused.lock() += 1;
                return Err(MailError::Temporary { reply: "451 4.7.1 greylisted".to_owned() });
            }
            Some(Answer::Permanent) => return Err(MailError::Permanent { reply: "550 5.1.1 no such user".to_owned() }),
            Some(Answer::Lost) => return Err(MailError::Unavailable { cause: "reset".to_owned() }),
            Some(Answer::TakenThenLost) => {
                self.taken.lock().push(handover.to.clone());
                return Err(MailError::Unknown { cause: "reset".to_owned() });
            }
        }
        self.taken.lock().push(handover.to.clone());
        self.messages.lock().push(handover.message.clone());
        Ok(Receipt { reply: "250 ok".to_owned() })
    }
    async fn close(self: Box<Self>) {}
}

/// With these fields in place of the usual ones.
pub fn campaign_with(more: Value) -> CampaignDraft {
    let mut body = json!({"filter": {}, "subject": "Hello {{ user.firstName }}", "body": "See you."});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    CampaignDraft::parse(&body).unwrap()
}

pub fn schedule(at: &str, more: Value) -> Schedule {
    let mut body = json!({ "scheduledAt": at });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut fields = Fields::new(&body).unwrap();
    let schedule = Schedule::read(&mut fields);
    fields.finish(schedule).unwrap()
}

/// With an address of its own, so that mails say how to unsubscribe.
pub fn public() -> TestApp {
    TestApp::public("https://crm.example")
}

pub async fn reread(t: &TestApp, campaign: &Campaign) -> Campaign {
    t.app.campaign_get(&call(), &campaign.id).await.unwrap()
}

pub async fn clean(t: &TestApp) {
    let report = verify(&t.app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

pub fn header(mail: &str, name: &str) -> Option<String> {
    let unfolded = mail.replace("\r\n ", " ");
    unfolded.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
}
