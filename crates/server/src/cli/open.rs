//! Opening what the configuration names: engine, index, transport, and the application on top of them. The only place that picks them.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use emcrm_app::{AccessSettings, App, AppParts, AppSettings, DomainLimits};
use emcrm_mail::{Notifications, Outbox, SmtpTransport, Transport};
use emcrm_model::{Clock, RandomIds, SystemClock};
use emcrm_search::{Index, SearchError, TantivyIndex};
use emcrm_store::Engine;
use emcrm_store::sqlite::{DATABASE, OpenError, SqliteEngine};

use crate::config::{Config, ConfigError, DbEngine, MailTransport, SearchEngine, secret_key};
use crate::measured;

/// How long a lease lasts after its holder has died.
const LEASE_SECONDS: u32 = 15;
/// First pause after a mail was refused for now; it doubles with each attempt.
const MAIL_RETRY_SECONDS: u32 = 30;
/// How long the answer to a new campaign waits for its audience.
const FREEZE_WAIT: Duration = Duration::from_secs(2);

/// Why the program cannot start: one or two sentences that say what to do, and an exit status by kind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("The configuration is wrong.\n{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Data(String),
    #[error("{0}")]
    Address(String),
}

impl StartError {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            Self::Data(_) => ExitCode::from(3),
            Self::Address(_) => ExitCode::from(4),
        }
    }

    pub(crate) fn address(address: SocketAddr, error: &io::Error) -> Self {
        let port = address.port();
        Self::Address(match error.kind() {
            io::ErrorKind::AddrInUse => format!("The address {address} is in use by another program. Stop that one, or choose another port with APP_API_PORT."),
            io::ErrorKind::PermissionDenied => {
                format!("This user may not listen on {address}. Ports below 1024 need a privilege: choose another with APP_API_PORT (now {port}).")
            }
            io::ErrorKind::AddrNotAvailable => format!("{} is not an address of this machine. Set APP_API_HOST to one that is.", address.ip()),
            _ => format!("It is not possible to listen on {address}: {error}. See APP_API_HOST and APP_API_PORT."),
        })
    }

    pub(crate) fn open(error: &OpenError) -> Self {
        let advice = match error {
            OpenError::InUse { .. } => "Stop that process first, or choose another folder with APP_DATA_DIR.",
            OpenError::ReadOnly { .. } | OpenError::Folder { .. } => "Give this user the right to write there, or choose another folder with APP_DATA_DIR.",
            OpenError::Full { .. } => "Make room, then start again; nothing was damaged.",
            OpenError::Newer { .. } => "Nothing was changed.",
            OpenError::Corrupt { .. } => "Restore it from a backup, or choose another folder with APP_DATA_DIR.",
            OpenError::Failed { .. } => "Nothing was changed; `emcrm doctor` may tell more.",
        };
        Self::Data(format!("{}. {advice}", first_upper(&error.to_string())))
    }

    #[cfg(feature = "aws")]
    pub(crate) fn dynamodb(error: &emcrm_store_dynamodb::OpenError) -> Self {
        use emcrm_store_dynamodb::OpenError;
        let advice = match error {
            OpenError::Unreachable(_) => "Check DB_DYNAMODB_ENDPOINT, DB_AWS_REGION, the network and the credentials.",
            OpenError::Missing(_) => {
                "Check DB_MAIN_TABLE_NAME, DB_EMAIL_TABLE_NAME and DB_AWS_REGION. `emcrm init-db` makes them; with APP_PRODUCTION=true Terraform does (deploy/terraform)."
            }
            OpenError::Wrong(_) => "docs/KEYS.md says what the tables look like.",
            OpenError::NotMade { .. } => "Nothing else was changed.",
            OpenError::Newer { .. } => "Nothing was changed.",
        };
        let text = error.to_string();
        Self::Data(format!("{}. {advice}", text.strip_suffix('.').unwrap_or(&text)))
    }

    fn search(folder: &Path, error: &SearchError) -> Self {
        Self::Data(format!(
            "The search index in {} cannot be opened: {error}. Check that this user may write there and that no other process has it open.",
            folder.display()
        ))
    }
}

/// A sentence begins with a capital; the name of a file stays as it is.
fn first_upper(text: &str) -> String {
    if text.split(' ').next().is_some_and(|word| word.contains(['/', '.', '\\'])) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The same, on storage that is made when it is not there yet.
pub async fn open_new_app(config: &Config) -> Result<Arc<App>, StartError> {
    make_tables(config).await?;
    let app = open(config).await?;
    #[cfg(feature = "aws")]
    if config.storage().engine == DbEngine::Dynamodb {
        let noted = emcrm_store_dynamodb::note_format(app.store.engine.as_ref()).await;
        noted.map_err(|error| StartError::Data(format!("The layout of the tables could not be noted: {error}. Check what this program may write.")))?;
    }
    Ok(app)
}

/// Opens everything that the configuration names, where something is stored already: whoever looks into the wrong folder must not be told that all is well there.
pub async fn open_app(config: &Config) -> Result<Arc<App>, StartError> {
    let folder = config.app.data_dir.as_path();
    if config.storage().engine == DbEngine::Sqlite && !folder.join(DATABASE).is_file() {
        return Err(StartError::Data(format!(
            "There are no data in {}. Name the folder that the server uses with APP_DATA_DIR; its first start makes one.",
            folder.display()
        )));
    }
    open(config).await
}

async fn open(config: &Config) -> Result<Arc<App>, StartError> {
    Ok(App::new(parts(config).await?))
}

/// What an application stands on, as the configuration names it. Blocks while files are opened.
pub async fn parts(config: &Config) -> Result<AppParts, StartError> {
    let folder = config.app.data_dir.as_path();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The engine first: an embedded one makes the folder and makes sure that no other process uses it.
    let engine: Arc<dyn Engine> = match config.storage().engine {
        DbEngine::Sqlite => Arc::new(SqliteEngine::open(folder).map_err(|error| StartError::open(&error))?),
        DbEngine::Dynamodb => dynamodb(config).await?,
    };
    if config.needs_folder() {
        std::fs::create_dir_all(folder).map_err(|error| {
            StartError::Data(format!("The data folder {} cannot be made: {error}. Choose another one with APP_DATA_DIR.", folder.display()))
        })?;
    }
    let index: Arc<dyn Index> = match config.search_engine().engine {
        SearchEngine::Tantivy => Arc::new(TantivyIndex::open(folder).map_err(|error| StartError::search(folder, &error))?),
        SearchEngine::Opensearch => opensearch(config)?,
    };
    let transport: Arc<dyn Transport> = match config.mail.transport {
        MailTransport::Outbox => Arc::new(Outbox::new(folder.join("outbox"), clock.clone())),
        MailTransport::Smtp => smtp(config)?,
        MailTransport::Ses => ses(config).await?,
    };
    let secret_key = config.secret_key().map_err(|error| {
        let path = folder.join(secret_key::FILE);
        StartError::Data(format!("The key in {} cannot be used: {error}. APP_SECRET_KEY can give one instead.", path.display()))
    })?;
    let (engine, index, transport) = (measured::engine(engine), measured::index(index), measured::transport(transport));
    Ok(AppParts { engine, index, transport, clock, ids: Arc::new(RandomIds), settings: app_settings(config, secret_key) })
}

fn app_settings(config: &Config, secret_key: [u8; 32]) -> AppSettings {
    AppSettings {
        secret_key,
        default_zone: config.app.timezone.0.clone(),
        mail_from: config.mail.from.0.clone(),
        public_url: config.app.public_url.as_ref().map(|url| url.as_str().to_owned()),
        worker_name: match config.storage().engine {
            // One process at a time has the folder: whoever held a lease in it before is dead, so nobody needs to wait for its leases.
            DbEngine::Sqlite => "embedded".to_owned(),
            DbEngine::Dynamodb => config.app.worker_name.clone().unwrap_or_else(|| format!("{}-{:08x}", std::process::id(), rand::random::<u32>())),
        },
        shared: config.storage().engine == DbEngine::Dynamodb,
        lease_seconds: LEASE_SECONDS,
        mail_retry_seconds: MAIL_RETRY_SECONDS,
        freeze_wait: FREEZE_WAIT,
        domain_limits: DomainLimits { connections: config.mail.domain_connections, rate: config.mail.domain_rate },
        access: AccessSettings {
            session_hours: config.auth.token_expiry_hours,
            session_idle_minutes: config.auth.session_idle_minutes,
            audit_days: config.app.audit_days,
            ..AccessSettings::default()
        },
    }
}

#[cfg(feature = "aws")]
async fn dynamodb(config: &Config) -> Result<Arc<dyn Engine>, StartError> {
    let engine = emcrm_store_dynamodb::DynamoEngine::open(config.dynamo_settings()).await.map_err(|error| StartError::dynamodb(&error))?;
    for index in engine.indexes_without_range() {
        tracing::info!(index, "the index has no sort key, as an earlier service made it: lists that read it come in no order");
    }
    Ok(Arc::new(engine))
}

/// Makes the tables that are missing, and says which. A developer should not have to know about tables; in production nobody but an administrator
/// makes them.
#[cfg(feature = "aws")]
pub async fn make_tables(config: &Config) -> Result<Vec<String>, StartError> {
    if config.storage().engine != DbEngine::Dynamodb || config.app.production {
        return Ok(Vec::new());
    }
    let made = emcrm_store_dynamodb::DynamoEngine::create_tables(&config.dynamo_settings()).await.map_err(|error| StartError::dynamodb(&error))?;
    if !made.is_empty() {
        tracing::info!(tables = made.join(", "), "tables were made");
    }
    Ok(made)
}

#[cfg(not(feature = "aws"))]
#[allow(clippy::unused_async, reason = "the twin of one that waits")]
pub async fn make_tables(_: &Config) -> Result<Vec<String>, StartError> {
    Ok(Vec::new())
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the twin of one that waits")]
async fn dynamodb(_: &Config) -> Result<Arc<dyn Engine>, StartError> {
    Err(missing("DB_ENGINE: this build has no DynamoDB engine; allowed: sqlite"))
}

#[cfg(feature = "aws")]
fn opensearch(config: &Config) -> Result<Arc<dyn Index>, StartError> {
    let settings = config.opensearch_settings().ok_or_else(|| missing("OPENSEARCH_ENDPOINT: needed, because SEARCH_ENGINE is opensearch"))?;
    let index = emcrm_search_opensearch::OpenSearchIndex::new(settings);
    Ok(Arc::new(index.map_err(|error| StartError::Data(format!("OpenSearch cannot be used: {error}. See OPENSEARCH_ENDPOINT.")))?))
}

#[cfg(not(feature = "aws"))]
fn opensearch(_: &Config) -> Result<Arc<dyn Index>, StartError> {
    Err(missing("SEARCH_ENGINE: this build has no OpenSearch index; allowed: tantivy"))
}

#[cfg(feature = "aws")]
async fn ses(config: &Config) -> Result<Arc<dyn Transport>, StartError> {
    Ok(Arc::new(emcrm_mail_ses::SesTransport::new(config.ses_settings()).await))
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the twin of one that waits")]
async fn ses(_: &Config) -> Result<Arc<dyn Transport>, StartError> {
    Err(missing("MAIL_TRANSPORT: this build has no SES transport; allowed: outbox, smtp"))
}

/// What SES tells, where a topic is configured.
#[cfg(feature = "aws")]
pub fn notifications(config: &Config) -> Result<Option<Arc<dyn Notifications>>, StartError> {
    let Some(topic) = config.mail.sns_topic.clone() else { return Ok(None) };
    let topic = emcrm_mail_ses::SnsTopic::new(topic, Arc::new(|| SystemClock.now())).map_err(|error| missing(&format!("MAIL_SNS_TOPIC: {error}")))?;
    Ok(Some(Arc::new(topic)))
}

#[cfg(not(feature = "aws"))]
pub fn notifications(config: &Config) -> Result<Option<Arc<dyn Notifications>>, StartError> {
    if config.mail.sns_topic.is_some() {
        return Err(missing("MAIL_SNS_TOPIC: this build knows no SNS"));
    }
    Ok(None)
}

fn smtp(config: &Config) -> Result<Arc<dyn Transport>, StartError> {
    let settings = config.smtp_settings().ok_or_else(|| missing("MAIL_SMTP_URL: needed, because MAIL_TRANSPORT is smtp"))?;
    let transport = settings.and_then(SmtpTransport::new);
    Ok(Arc::new(transport.map_err(|error| missing(&format!("MAIL_SMTP_URL: the value is not allowed: {error}")))?))
}

fn missing(fault: &str) -> StartError {
    StartError::Config(ConfigError(vec![fault.to_owned()]))
}
