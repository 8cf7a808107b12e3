//! `emcrm doctor`: what is configured, what is reachable, what waits, and in words what is wrong and what to do. Mends nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use emcrm_app::App;
use emcrm_model::{Clock, SystemClock};
use emcrm_store::sqlite::{OpenError, SqliteEngine};
use emcrm_store::{CountKind, Queue};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::Serialize;

use super::figures::{figures, sum};
use super::open::open_app;
use crate::config::{Config, DbEngine, MailTransport, Secret};

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  emcrm doctor                           configuration, folder, clock, storage, index, mail, waiting work
  emcrm doctor --json                    for programs
  emcrm doctor --live                    only whether the server of this configuration answers; for a container's health check

While a server runs on the data folder, doctor asks it instead of opening the folder: /health/ready and /metrics, the latter with APP_METRICS_TOKEN where it is set.
Exit status: 0 well, also with warnings; 1 something is wrong (with --live: no answer); 2 the configuration is wrong.")]
pub struct DoctorArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Only ask the running server whether it is alive
    #[arg(long)]
    pub live: bool,
}

/// Below this many free bytes a warning, below the second a fault.
const OWN_KEY: &str = "kept in the data folder of this process; others that use the same tables have others";
const OWN_KEY_ADVICE: &str = "Set APP_SECRET_KEY, the same for every process: sessions, links in mails and the audit trail are made with it.";
const FREE_LOW: u64 = 1024 * 1024 * 1024;
const FREE_NONE: u64 = 100 * 1024 * 1024;
/// No clock is right that shows a time before this program was made: 2026-01-01T00:00:00Z.
const MADE: i64 = 1_767_225_600;
/// A file of the future by more than this is the sign of a clock that was set back, in seconds.
const FUTURE: i64 = 300;
/// Dead letters that are told.
const DEAD_TOLD: u32 = 20;
/// Work that waits longer than this waits too long while a server runs, in seconds.
const WAITS_LONG: u64 = 60;
const HTTP_PATIENCE: Duration = Duration::from_secs(3);
/// Metrics are the longest: a line for each bucket of each route.
const HTTP_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    about: &'static str,
    state: State,
    says: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn ok(&mut self, about: &'static str, says: impl Into<String>) {
        self.findings.push(Finding { about, state: State::Ok, says: says.into(), advice: None });
    }
    fn warn(&mut self, about: &'static str, says: impl Into<String>, advice: impl Into<String>) {
        self.findings.push(Finding { about, state: State::Warning, says: says.into(), advice: Some(advice.into()) });
    }
    fn fault(&mut self, about: &'static str, says: impl Into<String>, advice: impl Into<String>) {
        self.findings.push(Finding { about, state: State::Fault, says: says.into(), advice: Some(advice.into()) });
    }
    fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.state != State::Fault)
    }

    fn in_words(&self) -> String {
        let mut text = String::new();
        for Finding { about, state, says, advice } in &self.findings {
            let mark = match state {
                State::Ok => "ok     ",
                State::Warning => "warning",
                State::Fault => "FAULT  ",
            };
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{mark}  {about:13}  {says}");
            if let Some(advice) = advice {
                let _ = writeln!(text, "{:24}-> {advice}", "");
            }
        }
        let faults = self.findings.iter().filter(|finding| finding.state == State::Fault).count();
        let _ = if faults == 0 { writeln!(text, "Nothing is wrong.") } else { writeln!(text, "{faults} {}.", if faults == 1 { "fault" } else { "faults" }) };
        text
    }
}

pub async fn run(args: DoctorArgs, config: Config) -> anyhow::Result<ExitCode> {
    let report = if args.live { live(&config).await } else { examine(&config).await };
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::json!({ "well": report.is_well(), "findings": report.findings }))?;
    } else {
        stdout.write_all(report.in_words().as_bytes())?;
    }
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(config: &Config) -> Report {
    let mut report = Report::default();
    configuration(config, &mut report);
    let folder = config.app.data_dir.as_path();
    clock(folder, &SystemClock, &mut report);
    if config.storage().engine == DbEngine::Dynamodb {
        hosted(config, &mut report).await;
        return report;
    }
    if !folder.exists() {
        report.ok("data folder", format!("{} is not there yet; the first start makes it", folder.display()));
        mail_later(config, &mut report);
        return report;
    }
    free_space(folder, &mut report);
    // Any other fault is told by `open_app`, with advice.
    if let Err(OpenError::InUse { pid, .. }) = SqliteEngine::open(folder) {
        let who = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        report.ok("data folder", format!("{} is in use by a running program{who}; asking it", folder.display()));
        running(config, &mut report).await;
        return report;
    }
    match open_app(config).await {
        Ok(app) => {
            report.ok("data folder", format!("{} can be read and written; no server is running on it", folder.display()));
            opened(&app, &mut report).await;
        }
        Err(error) => {
            let text = error.to_string();
            let (says, advice) = text.split_once(". ").unwrap_or((&text, "See docs/OPERATIONS.md."));
            report.fault("data folder", says.to_owned(), advice.to_owned());
        }
    }
    report
}

/// Storage that others may use at the same time: it is opened beside them.
async fn hosted(config: &Config, report: &mut Report) {
    match open_app(config).await {
        Ok(app) => {
            report.ok("tables", format!("{} and {} are there, with their keys and indexes", config.db.main_table_name, config.db.email_table_name));
            opened(&app, report).await;
        }
        Err(error) => {
            let text = error.to_string();
            let (says, advice) = text.split_once(". ").unwrap_or((&text, "See docs/OPERATIONS.md."));
            report.fault("tables", says.to_owned(), advice.to_owned());
        }
    }
}

/// What was chosen and why. Secrets are said to be there, no more.
fn configuration(config: &Config, report: &mut Report) {
    let (storage, search) = (config.storage(), config.search_engine());
    report.ok("storage", format!("{}, because {}", storage.engine.as_str(), storage.because));
    report.ok("search", format!("{}, because {}", search.engine.as_str(), search.because));
    let mail = match (config.mail.transport, config.smtp_settings()) {
        (MailTransport::Smtp, Some(Ok(smtp))) => {
            let sign_in = if smtp.credentials.is_some() { "with a sign-in (hidden)" } else { "without sign-in" };
            format!("smtp to {}:{} {sign_in}", smtp.host, smtp.port)
        }
        (transport, _) => transport.as_str().to_owned(),
    };
    let from = &config.mail.from.0;
    report.ok("mail", format!("{mail}; comes from {}", from.address));
    if config.mail.transport != MailTransport::Outbox && from.address.ends_with(".invalid") {
        report.fault("mail", format!("{} is nobody's address", from.address), "Set MAIL_FROM to an address of yours; mail from others is refused.");
    }
    match config.app.secret_key.is_some() {
        true => report.ok("secret key", "APP_SECRET_KEY is set (hidden)"),
        false if config.storage().engine == DbEngine::Dynamodb => report.warn("secret key", OWN_KEY, OWN_KEY_ADVICE),
        false => report.ok("secret key", "kept in the data folder"),
    }
    match config.listen() {
        Ok(listen) => {
            report.ok("address", format!("http://{} (role {})", listen.address, config.app.role.as_str()));
            if let Some(note) = listen.note {
                report.warn("address", "not the configured one", note);
            }
        }
        Err(error) => report.fault("address", error.to_string(), "Correct APP_API_HOST."),
    }
    for note in &config.notes {
        report.warn("configuration", note.clone(), "See docs/CONFIGURATION.md.");
    }
}

fn clock(folder: &Path, clock: &dyn Clock, report: &mut Report) {
    let now = clock.now();
    let advice = "Set the clock (or let NTP do it): times of campaigns, leases and retries depend on it.";
    if now.as_second() < MADE {
        report.fault("clock", format!("it shows {now:.0}, which is before this program was made"), advice);
        return;
    }
    let files = ["emcrm.db", "emcrm.db-wal", "secret.key"].map(|name| folder.join(name));
    let changed = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| Timestamp::try_from(time).ok());
    let newest = files.iter().filter_map(|path| changed(path)).max();
    match newest.filter(|newest| newest.as_second() > now.as_second() + FUTURE) {
        Some(newest) => report.warn("clock", format!("it shows {now:.0}, but the data was changed at {newest:.0}, which is later"), advice),
        None => report.ok("clock", format!("{now:.0}")),
    }
}

fn free_space(folder: &Path, report: &mut Report) {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => space(disk.f_bavail.saturating_mul(disk.f_frsize), report),
        Err(error) => report.warn("disk", format!("its free space cannot be read: {error}"), "Look with df."),
    }
}

fn space(free: u64, report: &mut Report) {
    let says = format!("{:.1} GB free", free as f64 / 1e9);
    let advice = "Make room: when the disk is full, nothing can be changed any more (nothing is damaged by it).";
    match free {
        0..FREE_NONE => report.fault("disk", says, advice),
        FREE_NONE..FREE_LOW => report.warn("disk", says, advice),
        _ => report.ok("disk", says),
    }
}

/// A transport that needs no data folder is asked for nothing before the first start.
fn mail_later(config: &Config, report: &mut Report) {
    if config.mail.transport == MailTransport::Smtp {
        report.ok("mail server", "is asked once there is a data folder");
    }
}

/// The folder is ours: everything can be looked at.
async fn opened(app: &App, report: &mut Report) {
    let health = app.health().await;
    let lost = match app.store.engine.name() {
        "sqlite" => "Nothing works without it. Restore a backup, or see docs/OPERATIONS.md.",
        _ => "Nothing works without it. Check its address, the region, the network and the credentials; see docs/OPERATIONS.md.",
    };
    let away = match app.index.name() {
        "tantivy" => "Run `emcrm reindex`; nothing is lost by it.",
        _ => "Searches wait for it, everything else goes on. Check OPENSEARCH_ENDPOINT, the network and the credentials.",
    };
    match (&health.storage, app.store.counts.total(CountKind::Users).await) {
        (Ok(()), Ok(users)) => report.ok("storage", format!("{} answers; {users} people", app.store.engine.name())),
        (Err(error), _) => report.fault("storage", error.clone(), lost),
        (_, Err(error)) => report.fault("storage", error.to_string(), lost),
    }
    match (&health.search, app.index.is_complete().await) {
        (Ok(()), Ok(true)) => report.ok("search", format!("{} answers", app.index.name())),
        (Ok(()), Ok(false)) => report.warn("search", "the index is empty or was lost", "Nothing to do: the next start fills it. `emcrm reindex` does it now."),
        (Err(error), _) => report.fault("search", error.clone(), away),
        (_, Err(error)) => report.fault("search", error.to_string(), away),
    }
    let check = match app.transport.name() {
        "ses" => "Check MAIL_SES_REGION, the network, the credentials and what they may do.",
        "outbox" => "Check the folder `outbox` in the data folder.",
        _ => "Check MAIL_SMTP_URL and the network.",
    };
    match tokio::time::timeout(Duration::from_secs(20), app.transport.health()).await {
        Ok(Ok(())) => report.ok("mail", format!("{} answers", app.transport.name())),
        Ok(Err(error)) => report.fault("mail", error.to_string(), format!("Campaigns wait until it can be used. {check}")),
        Err(_) => report.fault("mail", "no answer within 20 seconds", format!("Campaigns wait until it answers. {check}")),
    }
    if let Err(error) = waiting(app, report).await {
        report.fault("work", error.to_string(), "See the storage above.");
    }
}

async fn waiting(app: &App, report: &mut Report) -> Result<(), emcrm_app::AppError> {
    for (queue, backlog) in Queue::ALL.into_iter().zip(app.backlog().await?.queues) {
        let says = format!("queue {}: {} tasks wait", backlog.queue, backlog.waiting);
        if backlog.oldest_seconds > WAITS_LONG {
            let advice = "A server (role all or worker) does them: start one, or see docs/OPERATIONS.md, \"The backlog grows\".";
            report.warn("work", format!("{says}, the oldest since {} s", backlog.oldest_seconds), advice);
        } else {
            report.ok("work", says);
        }
        for dead in app.store.tasks.dead(queue, DEAD_TOLD).await? {
            let why = dead.error.as_deref().unwrap_or("no reason was kept");
            let advice = "Mend the cause, then `emcrm verify --repair` has it tried again.";
            report.fault("work", format!("queue {}: a task of kind {} was given up after {} attempts: {why}", backlog.queue, dead.kind, dead.attempts), advice);
        }
        if backlog.dead > u64::from(DEAD_TOLD) {
            report.fault("work", format!("queue {}: {} tasks were given up in all", backlog.queue, backlog.dead), "The first ones are above.");
        }
    }
    Ok(())
}

/// A server has the folder: it is asked.
async fn running(config: &Config, report: &mut Report) {
    let Some(address) = address(config) else {
        report.warn("server", "its port is not known, because APP_API_PORT is 0", "Ask /health/ready at the address it printed at its start.");
        return;
    };
    match get(address, "/health/ready", None).await {
        Ok((200, body)) => report.ok("server", format!("http://{address} is ready: {body}")),
        Ok((status, body)) => report.fault("server", format!("http://{address} answers {status}: {body}"), "The server's log says why."),
        Err(error) => {
            let advice = "Another command may be using the folder, or the server listens elsewhere (APP_API_HOST, APP_API_PORT), or it hangs: see its log.";
            report.fault("server", format!("http://{address} does not answer: {error}"), advice);
            return;
        }
    }
    let look = "Look at Settings, Background tasks.";
    match get(address, "/metrics", config.app.metrics_token.as_ref().map(Secret::reveal)).await {
        Ok((200, metrics)) => counted(&metrics, report),
        Ok((403, _)) => {
            report.warn("work", "the server tells what waits to callers on loopback only", format!("Set APP_METRICS_TOKEN, here and there. {look}"));
        }
        Ok((401, _)) => {
            report.warn(
                "work",
                "the server does not tell what waits: its APP_METRICS_TOKEN is another one",
                format!("Give doctor the server's settings. {look}"),
            );
        }
        Ok((status, _)) => report.warn("work", format!("the server answers {status} when it is asked what waits"), look),
        Err(error) => report.warn("work", format!("the server does not tell what waits: {error}"), look),
    }
}

/// What waits, what was given up and how mail goes, as the metrics of a running server have it.
fn counted(metrics: &str, report: &mut Report) {
    let queues = figures(metrics, "emcrm_tasks_waiting");
    if queues.is_empty() {
        report.warn("work", "the server cannot tell what waits", "It could not read its storage just now: see its log.");
    }
    for waiting in queues {
        let queue = waiting.label("queue");
        let oldest = sum(metrics, "emcrm_tasks_oldest_seconds", "queue", queue);
        let says = format!("queue {queue}: {:.0} tasks wait", waiting.value);
        if oldest > WAITS_LONG as f64 {
            report.warn("work", format!("{says}, the oldest since {oldest:.0} s"), "See docs/OPERATIONS.md, \"The backlog grows\".");
        } else {
            report.ok("work", says);
        }
        let dead = sum(metrics, "emcrm_tasks_dead", "queue", queue);
        if dead > 0.0 {
            let advice = "Each has its error in Settings, Background tasks: mend the cause, then retry or drop it there.";
            report.fault("work", format!("queue {queue}: {dead:.0} tasks were given up"), advice);
        }
    }
    let held: f64 = figures(metrics, "emcrm_campaigns_held").iter().map(|figure| figure.value).sum();
    if held > 0.0 {
        report.warn("mail", format!("{held:.0} campaigns were paused because of a fault"), "The page of each says why: mend it, then resume or cancel.");
    }
    let handed = figures(metrics, "emcrm_mail_handovers_total");
    let outcomes: Vec<String> =
        handed.iter().filter(|figure| figure.value > 0.0).map(|figure| format!("{:.0} {}", figure.value, figure.label("outcome"))).collect();
    let total: f64 = handed.iter().map(|figure| figure.value).sum();
    let sending = sum(metrics, "emcrm_campaigns", "state", "sending");
    let since = if outcomes.is_empty() { "nothing".to_owned() } else { outcomes.join(", ") };
    let says = format!("{sending:.0} campaigns are being sent; handed over since the server was started: {since}");
    if total > 0.0 && sum(metrics, "emcrm_mail_handovers_total", "outcome", "accepted") < total / 2.0 {
        report.warn("mail", says, "Most mails are not taken: see docs/OPERATIONS.md, \"Mails are stuck\".");
    } else {
        report.ok("mail", says);
    }
}

async fn live(config: &Config) -> Report {
    let mut report = Report::default();
    let Some(address) = address(config) else {
        report.fault("server", "its port is not known, because APP_API_PORT is 0", "Choose a port.");
        return report;
    };
    match get(address, "/health/live", None).await {
        Ok((200, _)) => report.ok("server", format!("http://{address} is alive")),
        Ok((status, body)) => report.fault("server", format!("http://{address} answers {status}: {body}"), "Start it again."),
        Err(error) => report.fault("server", format!("http://{address} does not answer: {error}"), "Start it."),
    }
    report
}

/// Where the server of this configuration is reached from this machine.
fn address(config: &Config) -> Option<SocketAddr> {
    let mut address = config.listen().ok()?.address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv6() { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) });
    }
    (address.port() != 0).then_some(address)
}

/// Status and body of a short answer.
async fn get(address: SocketAddr, path: &str, token: Option<&str>) -> anyhow::Result<(u16, String)> {
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = hyper::Request::get(path).header("host", address.to_string()).header("connection", "close");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), HTTP_BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        anyhow::Ok((status, String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()))
    };
    tokio::time::timeout(HTTP_PATIENCE, exchange).await.map_err(|_| anyhow::anyhow!("no answer within {} seconds", HTTP_PATIENCE.as_secs()))?
}

#[cfg(test)]
mod tests {
    use emcrm_model::FixedClock;

    use super::*;
    use crate::config::Sources;

    fn config(settings: &[(&str, &str)]) -> Config {
        let environment = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::load(&Sources { environment, ..Sources::default() }).unwrap()
    }

    #[test]
    fn what_is_configured_is_told_without_secrets() {
        let mut report = Report::default();
        let secret = "a-secret-key-that-nobody-may-see-0123456789";
        configuration(
            &config(&[
                ("MAIL_TRANSPORT", "smtp"),
                ("MAIL_SMTP_URL", "smtp://anna:hush-hush@mail.example.org:2525"),
                ("MAIL_FROM", "Events <events@example.org>"),
                ("APP_SECRET_KEY", secret),
                ("APP_API_HOST", "0.0.0.0"),
            ]),
            &mut report,
        );
        let text = report.in_words();
        assert!(!text.contains("hush") && !text.contains(secret) && !text.contains("anna"), "{text}");
        for expected in [
            "sqlite, because it is the default",
            "smtp to mail.example.org:2525 with a sign-in (hidden); comes from events@example.org",
            "APP_SECRET_KEY is set (hidden)",
            "Listening on 127.0.0.1 and not on 0.0.0.0",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(report.is_well());
    }

    #[test]
    fn mail_in_nobodys_name_is_a_fault() {
        let mut report = Report::default();
        configuration(&config(&[("MAIL_TRANSPORT", "smtp"), ("MAIL_SMTP_URL", "smtp://127.0.0.1:2525")]), &mut report);
        assert!(!report.is_well());
        assert!(report.in_words().contains("Set MAIL_FROM"), "{}", report.in_words());
    }

    #[test]
    fn a_clock_that_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let told = |now: &str| {
            let mut report = Report::default();
            clock(folder.path(), &FixedClock::new(now.parse().unwrap()), &mut report);
            report.findings[0].state
        };
        assert_eq!(told("1970-01-01T00:00:10Z"), State::Fault);
        assert_eq!(told("2026-06-01T00:00:00Z"), State::Ok);
        let file = std::fs::File::create(folder.path().join("emcrm.db")).unwrap();
        let changed = "2026-06-01T01:00:00Z".parse::<Timestamp>().unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(changed.as_second() as u64)).unwrap();
        assert_eq!(told("2026-06-01T00:00:00Z"), State::Warning);
        assert_eq!(told("2026-06-01T02:00:00Z"), State::Ok);
    }

    #[test]
    fn a_disk_that_fills_up_is_named_before_it_is_full() {
        for (free, state) in [(0, State::Fault), (50_000_000, State::Fault), (500_000_000, State::Warning), (50_000_000_000, State::Ok)] {
            let mut report = Report::default();
            space(free, &mut report);
            assert_eq!(report.findings[0].state, state, "{free}");
        }
    }

    #[test]
    fn a_server_on_all_addresses_is_asked_on_this_machine() {
        let all = config(&[("APP_API_HOST", "0.0.0.0"), ("APP_ALLOW_UNAUTHENTICATED", "true"), ("APP_API_PORT", "8123")]);
        assert_eq!(address(&all).unwrap().to_string(), "127.0.0.1:8123");
        assert_eq!(address(&config(&[("APP_API_PORT", "0")])), None);
    }

    #[test]
    fn what_a_running_server_counts_is_told_in_words() {
        let mut report = Report::default();
        counted(
            "emcrm_tasks_waiting{queue=\"index\"} 3\nemcrm_tasks_waiting{queue=\"mail\"} 7\n\
             emcrm_tasks_oldest_seconds{queue=\"index\"} 2\nemcrm_tasks_oldest_seconds{queue=\"mail\"} 900\n\
             emcrm_tasks_dead{queue=\"index\"} 0\nemcrm_tasks_dead{queue=\"mail\"} 4\n\
             emcrm_campaigns{state=\"sending\"} 1\nemcrm_campaigns_held 2\n\
             emcrm_mail_handovers_total{transport=\"smtp\",outcome=\"accepted\"} 40\n\
             emcrm_mail_handovers_total{transport=\"smtp\",outcome=\"unavailable\"} 60\n",
            &mut report,
        );
        let told: Vec<(State, &str)> = report.findings.iter().map(|finding| (finding.state, finding.says.as_str())).collect();
        assert_eq!(
            told,
            [
                (State::Ok, "queue index: 3 tasks wait"),
                (State::Warning, "queue mail: 7 tasks wait, the oldest since 900 s"),
                (State::Fault, "queue mail: 4 tasks were given up"),
                (State::Warning, "2 campaigns were paused because of a fault"),
                (State::Warning, "1 campaigns are being sent; handed over since the server was started: 40 accepted, 60 unavailable"),
            ]
        );
    }

    #[test]
    fn a_server_that_cannot_count_is_not_called_well_without_a_word() {
        let mut report = Report::default();
        counted("process_threads 4\n", &mut report);
        assert_eq!(report.findings[0].says, "the server cannot tell what waits");
    }

    #[test]
    fn words_say_what_is_wrong_and_what_to_do() {
        let mut report = Report::default();
        report.ok("disk", "12.0 GB free");
        report.warn("search", "the index is empty", "Nothing to do.");
        report.fault("mail", "no answer", "Check MAIL_SMTP_URL.");
        assert_eq!(
            report.in_words(),
            "ok       disk           12.0 GB free\n\
             warning  search         the index is empty\n\
             \x20                       -> Nothing to do.\n\
             FAULT    mail           no answer\n\
             \x20                       -> Check MAIL_SMTP_URL.\n\
             1 fault.\n"
        );
    }
}
