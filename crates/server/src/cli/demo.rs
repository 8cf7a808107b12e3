//! What `emcrm serve --demo` shows: a small community in a folder that is thrown away at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use emcrm_app::generate::{GeneratePlan, generate};
use emcrm_app::{App, Call, Worker};
use emcrm_model::CampaignDraft;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::{Config, DbEngine, MailTransport, SearchEngine};

/// How long a campaign of the demo may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The configuration with everything in a folder of its own, and mail as files: a demo mails nobody. The folder is gone when it is dropped.
pub fn throw_away(mut config: Config) -> anyhow::Result<(Config, TempDir)> {
    let folder = tempfile::Builder::new().prefix("emcrm-demo-").tempdir().context("a folder for the demo cannot be made")?;
    config.app.data_dir = folder.path().to_path_buf();
    config.db.engine = Some(DbEngine::Sqlite);
    config.search.engine = Some(SearchEngine::Tantivy);
    config.mail.transport = MailTransport::Outbox;
    Ok((config, folder))
}

/// Where the mails of a data folder lie as files.
pub fn outbox(data_dir: &Path) -> PathBuf {
    data_dir.join("outbox")
}

/// What to open, for the person who started the demo.
pub fn lines(address: &str, data_dir: &Path) -> Vec<String> {
    let pages = [
        ("/app", "the application"),
        ("/docs", "every request, to try out"),
        ("/users", "300 people"),
        ("/events", "12 events of the past and the coming year"),
        ("/search/users?city=Austin&minAttended=3", "who comes often, in one city"),
        ("/email/requests", "two campaigns that were sent"),
    ];
    let mut lines = vec!["A demo: made-up people, in a folder that is thrown away at the end. Look at:".to_owned()];
    lines.extend(pages.iter().map(|(path, what)| format!("  {:64} {what}", format!("{address}{path}"))));
    lines.push(format!("Mails lie as files in {}", outbox(data_dir).display()));
    lines
}

/// Fills the data: about 300 people, 12 events, 900 attendances, two campaigns that were really sent, as files. Does nothing when there is somebody already.
pub async fn fill(app: &Arc<App>) -> anyhow::Result<()> {
    anyhow::ensure!(app.transport.name() == "outbox", "a demo sends mail as files only; set MAIL_TRANSPORT=outbox");
    if app.store.counts.total(emcrm_store::CountKind::Users).await? > 0 {
        return Ok(());
    }
    app.index.mark_complete().await?;
    generate(app, &GeneratePlan { users: 300, events: 12, attendance: 900, seed: 1, base: None }, &|_, _| ()).await?;
    let worker = Worker::spawn(app.clone());
    let sent = send_all(app).await;
    worker.stop().await;
    sent
}

async fn send_all(app: &Arc<App>) -> anyhow::Result<()> {
    let regulars = json!({
        "filter": { "minAttended": 5 },
        "subject": "Thank you for coming so often",
        "body": "Hello,\n\nyou were at five of our events or more. **Thank you!** For the next one we keep a seat for you and a friend.\n\nYour team",
        "bodyFormat": "markdown",
    });
    let engineers = json!({
        "filter": { "city": ["Austin", "San Francisco", "Seattle"], "jobTitle": ["Software Engineer", "Senior Software Engineer", "Engineering Manager"] },
        "subject": "Speakers wanted: what went wrong, and what you learned",
        "body": "Hello,\n\nwe are looking for short talks about things that broke. Ten minutes, no slides needed. Reply to this mail.\n\nYour team",
    });
    for body in [regulars, engineers] {
        send(app, &body).await?;
    }
    Ok(())
}

async fn send(app: &Arc<App>, body: &Value) -> anyhow::Result<()> {
    let draft = CampaignDraft::parse(body).context("a campaign of the demo is not valid")?;
    let id = app.campaign_create(&Call::system(), draft).await?.id;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !app.campaign_get(&Call::system(), &id).await?.status.is_final() {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "a campaign of the demo was not sent in {} seconds", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
