//! A small town: five people, two events, six attendances, one campaign that was sent to all.

use std::sync::Arc;

use async_trait::async_trait;
use emcrm_mail::{Connection, Handover, MailError, Mailbox, Receipt, Transport};
use emcrm_model::{
    AttendanceDraft, BodyFormat, CampaignDraft, CampaignId, DeliveryState, EmailAddress, EventDraft, EventId, FixedClock, SeededIds, User, UserDraft,
    UserFilter, UserId,
};
use emcrm_search::TantivyIndex;
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Engine, Table, Transaction, keys};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::verify::{VerifyReport, verify};
use crate::{App, AppParts, AppSettings, Call, Worker};

pub(super) struct Town {
    pub(super) app: Arc<App>,
    users: Vec<UserId>,
    events: Vec<EventId>,
    pub(super) campaign: CampaignId,
}

struct Accepts;

#[async_trait]
impl Transport for Accepts {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        Ok(Box::new(Self))
    }
    fn connections_max(&self) -> usize {
        2
    }
    fn rate(&self) -> Option<u32> {
        None
    }
    async fn health(&self) -> Result<(), MailError> {
        Ok(())
    }
    fn name(&self) -> &'static str {
        "accepts"
    }
}

#[async_trait]
impl Connection for Accepts {
    async fn send(&mut self, _: &Handover) -> Result<Receipt, MailError> {
        Ok(Receipt { reply: "250 taken".to_owned() })
    }
    async fn close(self: Box<Self>) {}
}

impl Town {
    pub(super) async fn new() -> Self {
        Self::over(Arc::new(SqliteEngine::memory())).await
    }

    /// The same people, seen by a program that has lost its index.
    pub(super) async fn with_new_index() -> Self {
        let town = Self::new().await;
        Self { app: Self::app(town.app.store.engine.clone()), ..town }
    }

    fn app(engine: Arc<dyn Engine>) -> Arc<App> {
        App::new(AppParts {
            engine,
            index: Arc::new(TantivyIndex::memory().unwrap()),
            transport: Arc::new(Accepts),
            clock: Arc::new(FixedClock::new("2026-01-02T03:04:05Z".parse().unwrap())),
            ids: Arc::new(SeededIds::new(7)),
            settings: AppSettings {
                secret_key: [1; 32],
                default_zone: TimeZone::UTC,
                mail_from: Mailbox { name: None, address: "crm@example.org".to_owned() },
                public_url: None,
                worker_name: "town".to_owned(),
                shared: false,
                lease_seconds: 30,
                mail_retry_seconds: 60,
                freeze_wait: std::time::Duration::from_secs(2),
                domain_limits: crate::DomainLimits::default(),
                access: crate::AccessSettings::default(),
            },
        })
    }

    async fn over(engine: Arc<dyn Engine>) -> Self {
        let app = Self::app(engine);
        app.index.mark_complete().await.unwrap();
        let call = Call::system();
        let mut users = Vec::new();
        for n in 0..5 {
            users.push(app.user_create(&call, None, Self::draft(&format!("p{n}@example.org"))).await.unwrap().id);
        }
        let mut events = Vec::new();
        for hosts in [vec![&users[0], &users[1]], vec![&users[2]]] {
            let hosts: Vec<&str> = hosts.into_iter().map(UserId::as_str).collect();
            let body = json!({ "title": "A meeting", "startAt": "2026-02-01T18:00:00Z", "endAt": "2026-02-01T20:00:00Z", "hosts": hosts, "maxCapacity": 10 });
            let draft = EventDraft::parse(&body, &TimeZone::UTC).unwrap();
            events.push(app.event_create(&call, None, draft).await.unwrap().id);
        }
        for (user, event) in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)] {
            let draft = AttendanceDraft { user_id: users[user].clone(), event_id: events[event].clone(), attended: "yes".to_owned() };
            app.attendance_register(&call, draft).await.unwrap();
        }
        let worker = Worker::spawn(app.clone());
        let draft = CampaignDraft {
            audience: emcrm_model::Audience::default(),
            filter: UserFilter::default(),
            subject: "Hello".to_owned(),
            body: "See you.".to_owned(),
            body_format: BodyFormat::Text,
            rate: None,
            kind: emcrm_model::CampaignKind::default(),
            event_id: None,
            tracking: emcrm_model::Tracking::default(),
        };
        let campaign = app.campaign_create(&call, draft).await.unwrap().id;
        while !app.campaign_get(&call, &campaign).await.unwrap().status.is_final() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        while app.backlog().await.unwrap().queues.iter().any(|queue| queue.waiting > 0) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        worker.stop().await;
        Self { app, users, events, campaign }
    }

    pub(super) fn draft(email: &str) -> UserDraft {
        UserDraft::parse(&json!({ "firstName": "Ann", "lastName": "Example", "email": email, "company": "Acme" })).unwrap()
    }

    pub(super) async fn verify(&self, repair: bool) -> VerifyReport {
        verify(&self.app, repair, &|_, _| ()).await.unwrap()
    }

    /// Changes the storage past every rule.
    pub(super) async fn corrupt(&self, change: impl FnOnce(&mut Transaction)) {
        let mut tx = Transaction::new();
        change(&mut tx);
        tx.ops.iter_mut().for_each(|op| op.guards.clear());
        self.app.store.engine.transact(tx).await.unwrap();
    }

    pub(super) fn user(&self, n: usize) -> UserId {
        self.users[n].clone()
    }

    pub(super) fn event(&self, n: usize) -> EventId {
        self.events[n].clone()
    }

    pub(super) async fn stored(&self, n: usize) -> User {
        self.app.store.users.get(&self.users[n]).await.unwrap().unwrap()
    }

    pub(super) fn stored_address(n: usize) -> EmailAddress {
        EmailAddress::parse(&format!("p{n}@example.org")).unwrap()
    }

    /// Moves a row of the ledger together with the campaign's counts.
    pub(super) async fn set_delivery(&self, user: usize, from: DeliveryState, to: DeliveryState) {
        self.corrupt(|tx| {
            let _ = tx.update(Table::Email, keys::delivery(&self.campaign, &self.users[user])).set("status", to.as_str());
            let _ = tx.update(Table::Email, keys::campaign(&self.campaign)).add(from.count_attr(), -1).add(to.count_attr(), 1);
        })
        .await;
    }
}
