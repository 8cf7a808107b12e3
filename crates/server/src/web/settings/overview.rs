//! What the installation stands on, and how it is. Texts of failures are for administrators: they name addresses.

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::QueueBacklog;
use emcrm_model::Role;
use serde::Serialize;

use super::tasks::{Dead, dead};
use crate::auth::{Auth, Viewer};
use crate::http::Answer;
use crate::router::ApiState;
use crate::web::campaigns::words::duration;
use crate::web::pages::page as render;
use crate::web::shell::{Place, Shell};

#[derive(Serialize)]
struct Overview {
    shell: Shell,
    version: &'static str,
    outbox: bool,
    parts: Vec<Part>,
    mail: Mail,
    /// None where nobody has to sign in, and for those who do not administer.
    sign_in: Option<SignIn>,
    /// None where the storage cannot be asked.
    queues: Option<Vec<Queue>>,
    gave_up: u64,
    dead: Vec<Dead>,
}

/// Something that the installation stands on.
#[derive(Serialize)]
struct Part {
    name: &'static str,
    ready: bool,
    engine: &'static str,
    note: String,
}

#[derive(Serialize)]
struct Mail {
    from: String,
    public_url: Option<String>,
    rate: Option<u32>,
    connections: usize,
    domain_connections: Option<u32>,
    domain_rate: Option<u32>,
    encrypted: Option<bool>,
    leaves: bool,
}

/// Whom people sign in with.
#[derive(Serialize)]
struct SignIn {
    issuer: String,
    client: String,
    /// Groups and what they may do, such as `staff: editor`; empty: a group has the role of its name.
    groups: Vec<String>,
    /// Of those who are in none of them.
    default: Option<&'static str>,
}

fn sign_in(state: &ApiState) -> Option<SignIn> {
    let found = state.access.sign_in.as_ref()?;
    let issuer = found.oidc.settings();
    Some(SignIn {
        issuer: issuer.issuer.clone(),
        client: issuer.client_id.clone(),
        groups: found.roles.groups.iter().map(|(group, grant)| format!("{group}: {grant}")).collect(),
        default: found.roles.default.map(Role::as_str),
    })
}

#[derive(Serialize)]
struct Queue {
    name: &'static str,
    waiting: u64,
    /// Age of the oldest task that is due.
    oldest: Option<String>,
    dead: u64,
}

fn queue(backlog: &QueueBacklog) -> Queue {
    let name = match backlog.queue {
        "index" => "Index",
        "mail" => "Mail",
        _ => "Other",
    };
    Queue { name, waiting: backlog.waiting, oldest: (backlog.oldest_seconds > 0).then(|| duration(backlog.oldest_seconds)), dead: backlog.dead }
}

fn engine(name: &'static str) -> &'static str {
    match name {
        "sqlite" => "SQLite, a file in the data folder",
        "dynamodb" => "DynamoDB",
        "tantivy" => "tantivy, a folder beside the data",
        "opensearch" => "OpenSearch",
        "outbox" => "Files in the outbox folder; nothing is sent",
        "smtp" => "SMTP",
        "ses" => "Amazon SES",
        other => other,
    }
}

pub async fn page(auth: Auth<Viewer>, State(state): State<ApiState>) -> Answer {
    let app = auth.app();
    let admin = auth.read().require(Role::Admin).is_ok();
    let (health, mail) = tokio::join!(app.health(), app.transport.health());
    let part = |name, made_of, found: Result<(), String>| Part {
        name,
        ready: found.is_ok(),
        engine: engine(made_of),
        note: match found {
            Ok(()) => String::new(),
            Err(cause) if admin => cause,
            Err(_) => "The log says why.".to_owned(),
        },
    };
    let parts = vec![
        part("Storage", app.store.engine.name(), health.storage),
        part("Search", app.index.name(), health.search),
        part("Mail", app.transport.name(), mail.map_err(|error| error.to_string())),
    ];
    let settings = &app.settings;
    let mail = Mail {
        from: crate::web::campaigns::sender(app),
        public_url: settings.public_url.clone(),
        rate: app.transport.rate(),
        connections: app.transport.connections_max(),
        domain_connections: settings.domain_limits.connections,
        domain_rate: settings.domain_limits.rate,
        encrypted: app.transport.encrypted(),
        leaves: !app.has_outbox(),
    };
    // The page is for the moment when something does not work, so it says what it can.
    let backlog = app.backlog().await.inspect_err(|error| tracing::warn!(%error, "waiting tasks cannot be counted")).ok();
    let queues: Option<Vec<Queue>> = backlog.map(|backlog| backlog.queues.iter().map(queue).collect());
    let gave_up = queues.iter().flatten().map(|queue| queue.dead).sum();
    let dead = if admin && gave_up > 0 { dead(&auth).await? } else { Vec::new() };
    let outbox = app.has_outbox();
    let sign_in = if admin { sign_in(&state) } else { None };
    let context =
        Overview { shell: Shell::of(&auth, &state, Place::Settings), version: env!("CARGO_PKG_VERSION"), outbox, parts, mail, sign_in, queues, gave_up, dead };
    render(StatusCode::OK, "settings/overview.html", context)
}
