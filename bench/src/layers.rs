//! The layers below HTTP, in this process: where the time goes when the whole is too slow.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use emcrm_app::bulk::USERS_AT_ONCE;
use emcrm_app::{App, AppParts, AppSettings, Call, Worker};
use emcrm_mail::{Mailbox, SmtpSettings, SmtpTransport};
use emcrm_model::{AttendanceDraft, BodyFormat, CampaignDraft, CampaignKind, CampaignState, EventDraft, RandomIds, SystemClock, Tracking, UserFilter, UserId};
use emcrm_search::TantivyIndex;
use emcrm_store::sqlite::{CACHE_BYTES, SqliteEngine};
use emcrm_store::{Guard, Item, Key, Rule, Table, Transaction};
use serde_json::json;
use tokio::task::JoinSet;

use crate::children::{Running, cpu_of, tell};
use crate::smtp_sender::Commands;
use crate::stats::{grouped, per_second};
use crate::{people, smtp_sink};

const TASKS: usize = 64;

pub fn run(folder: &Path, only: &str, people: usize, connections: &[usize]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |name: &str| only.is_empty() || only == name;
    if wanted("engine") {
        runtime.block_on(engine(&folder.join("engine")))?;
    }
    for connections in connections {
        let folder = folder.join(format!("app{connections}"));
        if wanted("app") || wanted("campaign") || wanted("import") {
            runtime.block_on(app(&folder, only, people, *connections))?;
        }
    }
    Ok(())
}

/// Elapsed time, and processor time of this process: the latter tells something on a busy machine too.
struct Watch(Instant, f64);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), cpu_of("self").unwrap_or_default())
    }
    fn line(&self, what: &str, count: usize) {
        self.line_of(what, count, self.0.elapsed());
    }
    fn line_of(&self, what: &str, count: usize, took: Duration) {
        let each = (cpu_of("self").unwrap_or_default() - self.1) * 1e6 / count.max(1) as f64;
        let rate = grouped(per_second(count, took));
        tell(&format!("{what:44} {rate:>9}/s  {each:6.0} us of processor each   {count} in {:.2} s", took.as_secs_f64()));
    }
}

/// `work(n)` for n in 0..count, [`TASKS`] at a time.
async fn at_once<F: Future<Output = Result<()>> + Send + 'static>(count: usize, work: impl Fn(usize) -> F + Send + Sync + 'static) -> Result<()> {
    let (next, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(work));
    let mut working = JoinSet::new();
    for _ in 0..TASKS {
        let (next, work) = (next.clone(), work.clone());
        working.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(());
                }
                work(n).await?;
            }
        });
    }
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    Ok(())
}

async fn engine(folder: &Path) -> Result<()> {
    use emcrm_store::Engine as _;
    const COUNT: usize = 30_000;
    let engine = Arc::new(SqliteEngine::open(folder)?);
    let (one, two) = (engine.clone(), engine.clone());
    let watch = Watch::start();
    at_once(COUNT, move |n| {
        let engine = one.clone();
        async move {
            let attrs = |value: serde_json::Value| value.as_object().cloned().unwrap_or_default();
            let mut tx = Transaction::new();
            let mut user = attrs(people::body("engine", n));
            user.insert("type".to_owned(), "user".into());
            let _ = tx.put(Table::Main, Item { key: Key::single(format!("user#{n}")), attrs: user }).when(Guard::Absent).or(Rule::IdTaken);
            let claim = Item { key: Key::single(format!("claim#{n}")), attrs: attrs(json!({ "user_id": n.to_string() })) };
            let _ = tx.put(Table::Main, claim).when(Guard::Absent).or(Rule::EmailTaken);
            tx.add(Table::Main, Key::single(format!("count#users#{}", n % 16)), "n", 1);
            let task = attrs(json!({ "kind": "index", "payload": { "docs": [format!("user#{n}")] }, "attempts": 0, "due": 1, "created": 1, "shard": n % 16, "id": n.to_string() }));
            tx.put(Table::Main, Item { key: Key::new(format!("task#index#{}", n % 16), format!("{n:013}")), attrs: task });
            Ok(engine.transact(tx).await?)
        }
    })
    .await?;
    watch.line("engine: transactions like a new user", COUNT);
    let watch = Watch::start();
    at_once(COUNT, move |n| {
        let engine = two.clone();
        async move {
            let mut tx = Transaction::new();
            tx.add(Table::Main, Key::single(format!("user#{n}")), "attendedCount", 1);
            tx.add(Table::Main, Key::single("event#1"), "attendeeCount", 1);
            let row = json!({ "attended": "yes", "type": "attendance", "createdAt": "2026-01-01T00:00:00Z" });
            tx.put(Table::Main, Item { key: Key::new(format!("user#{n}"), "event#1"), attrs: row.as_object().cloned().unwrap_or_default() });
            tx.put(
                Table::Main,
                Item { key: Key::new(format!("task#index#{}", n % 16), format!("b{n:013}")), attrs: row.as_object().cloned().unwrap_or_default() },
            );
            Ok(engine.transact(tx).await?)
        }
    })
    .await?;
    watch.line("engine: transactions like a registration", COUNT);
    drop(engine);
    // The same reads with and without a cache: more items than it keeps, one after the other, and fewer.
    for (kept, bytes) in [("cached", CACHE_BYTES), ("not cached", 0)] {
        let engine = Arc::new(SqliteEngine::open_with_cache(folder, bytes)?);
        for among in [COUNT, 1_000] {
            let engine = engine.clone();
            let watch = Watch::start();
            at_once(COUNT * 10, move |n| {
                let engine = engine.clone();
                async move {
                    let found = engine.get(Table::Main, &Key::single(format!("user#{}", (n * 7919) % among))).await?;
                    if found.is_none() {
                        bail!("user {n} is not there");
                    }
                    Ok(())
                }
            })
            .await?;
            watch.line(&format!("engine: point reads of {}, {kept}", grouped(among as f64)), COUNT * 10);
        }
        if let Some(cache) = engine.cache() {
            tell(&format!("  {cache:?}"));
        }
    }
    Ok(())
}

fn open(folder: &Path, smtp: SmtpSettings) -> Result<Arc<App>> {
    let from = Mailbox { name: Some("Bench".to_owned()), address: "bench@example.org".to_owned() };
    Ok(App::new(AppParts {
        engine: Arc::new(SqliteEngine::open(folder)?),
        index: Arc::new(TantivyIndex::open(folder)?),
        transport: Arc::new(SmtpTransport::new(smtp)?),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        settings: AppSettings {
            secret_key: [7; 32],
            default_zone: jiff::tz::TimeZone::UTC,
            mail_from: from,
            public_url: None,
            worker_name: "bench".to_owned(),
            shared: false,
            lease_seconds: 30,
            mail_retry_seconds: 60,
            freeze_wait: Duration::from_secs(2),
            domain_limits: emcrm_app::DomainLimits::default(),
            access: emcrm_app::AccessSettings::default(),
        },
    }))
}

async fn app(folder: &Path, only: &str, people: usize, connections: usize) -> Result<()> {
    let wanted = |name: &str| only.is_empty() || only == name;
    let sink = Running::own(&["sink"])?;
    let mut smtp = SmtpSettings::parse(&format!("smtp://{}?connections={connections}", sink.address))?;
    smtp.mails_per_connection = u32::MAX;
    let app = open(folder, smtp)?;
    let worker = Worker::spawn(app.clone());
    if wanted("app") {
        creates_and_registrations(&app).await?;
    }
    if wanted("import") || wanted("campaign") {
        import(&app, people).await?;
    }
    if wanted("campaign") {
        campaign(&app, &sink, connections).await?;
    }
    worker.stop().await;
    Ok(())
}

async fn creates_and_registrations(app: &Arc<App>) -> Result<()> {
    const COUNT: usize = 20_000;
    let ids = Arc::new(std::sync::Mutex::new(Vec::<UserId>::new()));
    let (one, made) = (app.clone(), ids.clone());
    let watch = Watch::start();
    at_once(COUNT, move |n| {
        let (app, made) = (one.clone(), made.clone());
        async move {
            let user = app.user_create(&Call::system(), None, people::draft("create", n)?).await?;
            made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(user.id);
            Ok(())
        }
    })
    .await?;
    watch.line("app: user_create, worker running", COUNT);
    settle(app).await?;
    let ids = Arc::new(std::mem::take(&mut *ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner)));
    let body = json!({ "title": "The bench event", "startAt": "2027-01-01T10:00:00Z", "endAt": "2027-01-01T12:00:00Z", "maxCapacity": COUNT, "owner": "", "hosts": [] });
    let event = app.event_create(&Call::system(), None, EventDraft::parse(&body, &jiff::tz::TimeZone::UTC)?).await?.id;
    let (one, of) = (app.clone(), event.clone());
    let watch = Watch::start();
    at_once(COUNT, move |n| {
        let (app, ids, event_id) = (one.clone(), ids.clone(), of.clone());
        async move {
            let Some(user_id) = ids.get(n).cloned() else { bail!("too few users") };
            app.attendance_register(&Call::system(), AttendanceDraft { user_id, event_id, attended: "yes".to_owned() }).await?;
            Ok(())
        }
    })
    .await?;
    watch.line("app: attendance_register, one event", COUNT);
    settle(app).await?;
    let counted = app.event_get(&Call::system(), event.as_str()).await?.attendee_count;
    if counted != COUNT as i64 {
        bail!("attendeeCount is {counted}, not {COUNT}");
    }
    Ok(())
}

async fn settle(app: &App) -> Result<()> {
    let began = Instant::now();
    while !app.index_settled(Duration::from_mins(1)).await? {}
    tell(&format!("{:44} {:>12.2} s", "  until all of it is searchable", began.elapsed().as_secs_f64()));
    Ok(())
}

async fn import(app: &Arc<App>, people: usize) -> Result<()> {
    let watch = Watch::start();
    fill(app, people).await?;
    watch.line(&format!("app: users_import, {IMPORTERS} callers"), people);
    settle(app).await
}

/// Callers of the import, so that several of its transactions share a sync of the disk.
const IMPORTERS: usize = 8;

async fn fill(app: &Arc<App>, people: usize) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut working = JoinSet::new();
    for _ in 0..IMPORTERS {
        let (app, next) = (app.clone(), next.clone());
        working.spawn(async move {
            loop {
                let n = next.fetch_add(USERS_AT_ONCE, Ordering::Relaxed);
                if n >= people {
                    return anyhow::Ok(());
                }
                let batch = (n..people.min(n + USERS_AT_ONCE)).map(|n| Ok((None, people::draft("mail", n)?))).collect::<Result<Vec<_>>>()?;
                for answer in app.users_import(&Call::system(), batch).await? {
                    answer?;
                }
            }
        });
    }
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    Ok(())
}

/// Puts people into a data folder without the product's program.
pub fn filled(folder: &Path, people: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let app = open(folder, SmtpSettings::parse("smtp://127.0.0.1:9")?)?;
        let worker = Worker::spawn(app.clone());
        fill(&app, people).await?;
        settle(&app).await?;
        worker.stop().await;
        Ok(())
    })
}

async fn campaign(app: &Arc<App>, sink: &Running, connections: usize) -> Result<()> {
    let draft = CampaignDraft {
        audience: emcrm_model::Audience::default(),
        filter: UserFilter::default(),
        subject: people::SUBJECT.to_owned(),
        body: people::text(),
        body_format: BodyFormat::Text,
        rate: None,
        kind: CampaignKind::default(),
        event_id: None,
        tracking: Tracking::default(),
    };
    let watch = Watch::start();
    let mut campaign = app.campaign_create(&Call::system(), draft).await?;
    let mut frozen = None;
    while !campaign.status.is_final() {
        if campaign.frozen_at.is_some() {
            frozen.get_or_insert_with(|| {
                watch.line("app: freeze of the audience (polled)", campaign.total_recipients as usize);
                Watch::start()
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        campaign = app.campaign_get(&Call::system(), &campaign.id).await?;
        if campaign.status == CampaignState::Paused {
            bail!("the campaign was paused: {:?}", campaign.reason);
        }
    }
    let seen = smtp_sink::stats(sink.address)?;
    let cpu = sink.cpu()?;
    frozen.unwrap_or(watch).line_of(&format!("app: campaign, {connections} connections"), seen.mails, seen.span);
    tell(&format!("  {:?}; the sink used {cpu:.2} s of a processor; {} bytes a mail", campaign.counts, seen.bytes / seen.mails.max(1)));
    let mut recipients = smtp_sink::recipients(sink.address)?;
    recipients.dedup();
    if recipients.len() as u64 != campaign.total_recipients || seen.mails != recipients.len() {
        bail!("{} recipients frozen, {} mails, {} different recipients", campaign.total_recipients, seen.mails, recipients.len());
    }
    let watch = Watch::start();
    let bare = Running::own(&["sink"])?;
    crate::campaign::bare(bare.address, Commands::InTurn, connections, seen.mails, smtp_sink::first_mail(sink.address)?)?;
    let bare = smtp_sink::stats(bare.address)?;
    watch.line_of("bare sender, the same number of mails", bare.mails, bare.span);
    tell(&format!("  ratio {:.2}", per_second(seen.mails, seen.span) / per_second(bare.mails, bare.span)));
    Ok(())
}
