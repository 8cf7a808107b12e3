//! The whole of it: twice the same, clean, and again without harm.

use std::sync::Arc;

use emcrm_mail::{Mailbox, Outbox};
use emcrm_model::{Actor, Caller, Grant, PageRequest, Position, RandomIds, Role, SystemClock};
use emcrm_search::{Kind, TantivyIndex};
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Events, IndexName, Query, Table, Users, keys};
use jiff::tz::TimeZone;

use super::{GeneratePlan, Generated, demo_make, fixed_base, generate};
use crate::verify::verify;
use crate::{App, AppError, AppParts, AppSettings, Call};

fn app() -> Arc<App> {
    let clock = Arc::new(SystemClock);
    App::new(AppParts {
        engine: Arc::new(SqliteEngine::memory()),
        index: Arc::new(TantivyIndex::memory().unwrap()),
        transport: Arc::new(Outbox::new("never-used", clock.clone())),
        clock,
        ids: Arc::new(RandomIds),
        settings: AppSettings {
            secret_key: [1; 32],
            default_zone: TimeZone::UTC,
            mail_from: Mailbox { name: None, address: "crm@example.org".to_owned() },
            public_url: None,
            worker_name: "generator".to_owned(),
            shared: false,
            lease_seconds: 30,
            mail_retry_seconds: 60,
            freeze_wait: std::time::Duration::from_secs(2),
            domain_limits: crate::DomainLimits::default(),
            access: crate::AccessSettings::default(),
        },
    })
}

const PLAN: GeneratePlan = GeneratePlan { users: 700, events: 30, attendance: 2_500, seed: 5, base: None };

/// Everything that is stored of users, events and attendances, without `rev`, which tells in how many steps it came about.
async fn stored(app: &App) -> Vec<String> {
    let mut all = Vec::new();
    for query in [Users::list(), Events::list(), Query::index(Table::Main, IndexName::Type, keys::TYPE_ATTENDANCE)] {
        let rows = app.store.engine.query(query.limit(10_000)).await.unwrap();
        assert!(rows.next.is_none());
        all.extend(rows.items.into_iter().map(|mut item| {
            item.attrs.remove("rev");
            let attrs: std::collections::BTreeMap<_, _> = item.attrs.into_iter().collect();
            format!("{} {} {}", item.key.pk, item.key.sk, serde_json::to_string(&attrs).unwrap())
        }));
    }
    all
}

#[tokio::test]
async fn the_same_seed_makes_the_same_data_and_another_seed_other_data() {
    let plan = GeneratePlan { base: Some(fixed_base()), ..PLAN };
    let (one, two, other) = (app(), app(), app());
    let made = generate(&one, &plan, &|_, _| ()).await.unwrap();
    assert_eq!(made, Generated { users: 700, events: 30, attendance: 2_500, already_there: 0, refused: 0 });
    generate(&two, &plan, &|_, _| ()).await.unwrap();
    assert_eq!(stored(&one).await, stored(&two).await);
    generate(&other, &GeneratePlan { seed: 6, ..plan }, &|_, _| ()).await.unwrap();
    assert_ne!(stored(&one).await.first(), stored(&other).await.first());
}

#[tokio::test]
async fn what_is_made_is_counted_searchable_and_clean() {
    let app = app();
    generate(&app, &PLAN, &|_, _| ()).await.unwrap();
    assert_eq!(app.index.count(Kind::User, emcrm_search::Conditions::default()).await.unwrap(), 700);
    let report = verify(&app, false, &|_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.counted.users, report.counted.events, report.counted.attendances), (700, 30, 2_500));
}

#[tokio::test]
async fn a_second_run_with_the_same_seed_adds_nothing_and_a_larger_one_the_rest() {
    let app = app();
    let plan = GeneratePlan { users: 120, events: 4, attendance: 100, base: Some(fixed_base()), ..PLAN };
    generate(&app, &plan, &|_, _| ()).await.unwrap();
    let before = stored(&app).await;
    let again = generate(&app, &plan, &|_, _| ()).await.unwrap();
    assert_eq!(again, Generated { already_there: 224, ..Generated::default() });
    assert_eq!(stored(&app).await, before);
    let more = generate(&app, &GeneratePlan { users: 150, ..plan }, &|_, _| ()).await.unwrap();
    assert_eq!((more.users, more.events), (30, 0));
    assert!(verify(&app, false, &|_, _| ()).await.unwrap().is_clean());
}

#[tokio::test]
async fn the_audit_trail_says_who_asked_for_made_up_people() {
    let app = app();
    let plan = GeneratePlan { users: 20, events: 1, attendance: 10, ..PLAN };
    let by = |role| {
        let caller = Caller { name: "staff:ada".to_owned(), label: "ada".to_owned(), grant: Some(Grant::Role(role)) };
        Call { actor: Actor::Staff(caller), ..Call::system() }
    };
    assert!(matches!(demo_make(&app, &by(Role::Sender), &plan).await, Err(AppError::Forbidden(Role::Admin))));
    demo_make(&app, &by(Role::Admin), &plan).await.unwrap();
    while app.audit_chain().await.unwrap() > 0 {}
    let page = PageRequest { position: Position::Number(1), size: 100 };
    let trail = app.audit_list(&Call::system(), None, &page).await.unwrap();
    let asked: Vec<_> = trail.items.iter().filter(|chained| chained.entry.what == "demo.made").map(|chained| chained.entry.actor.as_str()).collect();
    assert_eq!((asked, trail.items.len() as u64), (vec!["staff:ada"], trail.total));
}
