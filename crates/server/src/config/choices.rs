//! What follows from several keys: which engines, which address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use emcrm_mail::{BadSmtpSettings, SmtpSettings};
use emcrm_oidc::IssuerSettings;

use super::{Config, ConfigError, DbEngine, LogFormat, MailTransport, OpensearchConfig, OpensearchMode, SearchEngine, Secret};

#[cfg(feature = "aws")]
mod patience {
    use std::time::Duration;
    pub const OPENSEARCH_CONNECT: Duration = Duration::from_secs(3);
    pub const OPENSEARCH_ANSWER: Duration = Duration::from_secs(10);
    pub const OPENSEARCH_CONNECTIONS: usize = 32;
    /// Longer than a process uses what it knows of the generations, which is a second.
    pub const OPENSEARCH_ANNOUNCE: Duration = Duration::from_millis(1_500);
    pub const SES_CONNECT: Duration = Duration::from_secs(5);
    /// Long, because a mail whose answer is given up is one of which nobody knows.
    pub const SES_ANSWER: Duration = Duration::from_mins(1);
}
#[cfg(feature = "aws")]
use patience::{OPENSEARCH_ANNOUNCE, OPENSEARCH_ANSWER, OPENSEARCH_CONNECT, OPENSEARCH_CONNECTIONS, SES_ANSWER, SES_CONNECT};

/// What stores the data, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageChoice {
    pub engine: DbEngine,
    pub because: &'static str,
}

/// What answers searches, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchChoice {
    pub engine: SearchEngine,
    pub because: &'static str,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    /// Said at the start when the address is not the one that was asked for.
    pub note: Option<String>,
}

impl Config {
    pub fn storage(&self) -> StorageChoice {
        if let Some(engine) = self.db.engine {
            return StorageChoice { engine, because: "DB_ENGINE says so" };
        }
        if self.db.dynamodb_endpoint.is_some() {
            return StorageChoice { engine: DbEngine::Dynamodb, because: "DB_DYNAMODB_ENDPOINT is set" };
        }
        if self.app.production {
            return StorageChoice { engine: DbEngine::Dynamodb, because: "APP_PRODUCTION is true" };
        }
        StorageChoice { engine: DbEngine::Sqlite, because: "it is the default" }
    }

    pub fn search_engine(&self) -> SearchChoice {
        if let Some(engine) = self.search.engine {
            return SearchChoice { engine, because: "SEARCH_ENGINE says so" };
        }
        if self.opensearch.endpoint.is_some() {
            return SearchChoice { engine: SearchEngine::Opensearch, because: "OPENSEARCH_ENDPOINT is set" };
        }
        if self.opensearch.host.is_some() {
            return SearchChoice { engine: SearchEngine::Opensearch, because: "OPENSEARCH_HOST is set" };
        }
        SearchChoice { engine: SearchEngine::Tantivy, because: "it is the default" }
    }

    pub fn log_format(&self) -> LogFormat {
        self.app.log_format.unwrap_or(if self.app.production { LogFormat::Json } else { LogFormat::Text })
    }

    /// Region that `/auth/status` names.
    pub fn auth_region(&self) -> &str {
        self.auth.cognito_region.as_deref().unwrap_or(&self.db.aws_region)
    }

    /// Where OpenSearch is: the endpoint, or the host with the usual port.
    pub fn opensearch_endpoint(&self) -> Option<String> {
        let OpensearchConfig { endpoint, host, use_ssl, mode, .. } = &self.opensearch;
        if let Some(endpoint) = endpoint {
            return Some(endpoint.as_str().to_owned());
        }
        let scheme = if *use_ssl || *mode == OpensearchMode::Cloud { "https" } else { "http" };
        // A domain of AWS answers on the port of its scheme.
        let port = if *mode == OpensearchMode::Cloud { "" } else { ":9200" };
        host.as_ref().map(|host| format!("{scheme}://{}{port}", host.0))
    }

    #[cfg(feature = "aws")]
    pub fn opensearch_settings(&self) -> Option<emcrm_search_opensearch::OpenSearchSettings> {
        use emcrm_search_opensearch::{Auth, OpenSearchSettings};
        let OpensearchConfig { mode, username, password, verify_certs, index, shards, region, .. } = &self.opensearch;
        let auth = match (username, password, mode) {
            (Some(user), password, _) => {
                Auth::Basic { user: user.clone(), password: password.as_ref().map(|password| password.reveal().to_owned()).unwrap_or_default() }
            }
            (None, _, OpensearchMode::Cloud) => Auth::Aws { region: region.clone().unwrap_or_else(|| self.db.aws_region.clone()) },
            (None, _, OpensearchMode::Local) => Auth::None,
        };
        Some(OpenSearchSettings {
            endpoint: self.opensearch_endpoint()?,
            auth,
            verify_certs: *verify_certs,
            name: index.0.clone(),
            connect_timeout: OPENSEARCH_CONNECT,
            read_timeout: OPENSEARCH_ANSWER,
            connections: OPENSEARCH_CONNECTIONS,
            shards: *shards,
            announce: OPENSEARCH_ANNOUNCE,
        })
    }

    #[cfg(feature = "aws")]
    pub fn ses_settings(&self) -> emcrm_mail_ses::SesSettings {
        let mail = &self.mail;
        emcrm_mail_ses::SesSettings {
            region: mail.ses_region.clone().unwrap_or_else(|| self.db.aws_region.clone()),
            endpoint: mail.ses_endpoint.as_ref().map(|url| url.as_str().to_owned()),
            configuration_set: mail.ses_configuration_set.clone(),
            connections: mail.ses_connections as usize,
            rate: mail.rate,
            connect_timeout: SES_CONNECT,
            read_timeout: SES_ANSWER,
        }
    }

    /// Whether something lies in the data folder.
    pub fn needs_folder(&self) -> bool {
        self.storage().engine == DbEngine::Sqlite
            || self.search_engine().engine == SearchEngine::Tantivy
            || self.mail.transport == MailTransport::Outbox
            || self.app.secret_key.is_none()
    }

    #[cfg(feature = "aws")]
    pub fn dynamo_settings(&self) -> emcrm_store_dynamodb::DynamoSettings {
        emcrm_store_dynamodb::DynamoSettings {
            region: self.db.aws_region.clone(),
            endpoint: self.db.dynamodb_endpoint.as_ref().map(|url| url.as_str().to_owned()),
            main_table: self.db.main_table_name.clone(),
            email_table: self.db.email_table_name.clone(),
            retries: self.db.max_retries,
            connect_timeout: self.db.connect_timeout.0,
            read_timeout: self.db.read_timeout.0,
            connections: self.db.max_pool_connections as usize,
        }
    }

    /// The mail server, if one is configured; `MAIL_RATE` wins over a rate in the address.
    pub fn smtp_settings(&self) -> Option<Result<SmtpSettings, BadSmtpSettings>> {
        let url = self.mail.smtp_url.as_ref()?;
        let settings = SmtpSettings::parse(url.reveal());
        Some(settings.map(|settings| SmtpSettings { rate: self.mail.rate.or(settings.rate), ..settings }))
    }

    /// Without sign-in only a loopback address is listened on, unless the configuration says otherwise in so many words.
    pub fn listen(&self) -> Result<Listen, ConfigError> {
        let host = &self.app.api_host.0;
        let port = self.app.api_port;
        let ip = match host.parse::<IpAddr>() {
            Ok(ip) => ip,
            Err(_) if host.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Err(_) => return Err(ConfigError(vec![format!("APP_API_HOST: {host:?} is not allowed; allowed: an IP address of this machine, or localhost")])),
        };
        if self.auth.enabled || self.app.allow_unauthenticated || ip.is_loopback() {
            return Ok(Listen { address: SocketAddr::new(ip, port), note: None });
        }
        let loopback = if ip.is_ipv6() { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let note = format!(
            "Listening on {loopback} and not on {ip} (APP_API_HOST), because nobody has to sign in: whoever reached the port could do everything. \
             Set AUTH_ENABLED=true, or APP_ALLOW_UNAUTHENTICATED=true if a proxy or a closed network keeps others out."
        );
        Ok(Listen { address: SocketAddr::new(loopback, port), note: Some(note) })
    }

    /// The issuer whom people sign in with; none without sign-in.
    pub fn issuer(&self) -> Option<IssuerSettings> {
        let auth = &self.auth;
        if !auth.enabled {
            return None;
        }
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.reveal().to_owned());
        let mut issuer = match (&auth.cognito_user_pool_id, &auth.issuer) {
            (Some(pool), _) => IssuerSettings::cognito(self.auth_region(), pool, auth.cognito_client_id.as_ref()?, secret(&auth.cognito_client_secret)),
            (None, Some(issuer)) => IssuerSettings::of(issuer.as_str(), auth.client_id.as_ref()?, secret(&auth.client_secret)),
            (None, None) => return None,
        };
        issuer.algorithm = auth.jwt_algorithm.0;
        issuer.audience.clone_from(&auth.audience);
        issuer.jwks_url = auth.jwks_url.as_ref().map(|url| url.as_str().to_owned());
        if let Some(claim) = &auth.groups_claim {
            issuer.groups_claim.clone_from(claim);
        }
        if let Some(scopes) = &auth.scopes {
            issuer.scopes = scopes.split_whitespace().map(str::to_owned).collect();
        }
        Some(issuer)
    }

    fn sign_in_faults(&self) -> Vec<String> {
        let auth = &self.auth;
        let mut faults = Vec::new();
        match (&auth.cognito_user_pool_id, &auth.issuer) {
            (None, None) => {
                faults.push(
                    "AUTH_ISSUER: needed, because AUTH_ENABLED is true; or AUTH_COGNITO_USER_POOL_ID; allowed: an address like https://login.example.org"
                        .to_owned(),
                );
            }
            (Some(_), Some(_)) => faults.push("AUTH_ISSUER: not allowed together with AUTH_COGNITO_USER_POOL_ID: people sign in with one issuer".to_owned()),
            (Some(pool), None) => {
                if !pool.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
                    faults.push("AUTH_COGNITO_USER_POOL_ID: the value is not allowed; allowed: an id like eu-central-1_AbCdEfGhI".to_owned());
                }
                if auth.cognito_client_id.is_none() {
                    faults.push("AUTH_COGNITO_CLIENT_ID: needed, because AUTH_COGNITO_USER_POOL_ID is set".to_owned());
                }
            }
            (None, Some(issuer)) => {
                if auth.client_id.is_none() {
                    faults.push("AUTH_CLIENT_ID: needed, because AUTH_ISSUER is set".to_owned());
                }
                if !is_safe(issuer.as_str()) {
                    faults.push("AUTH_ISSUER: only https is allowed, but for an issuer on this machine: tokens and the client's secret go there".to_owned());
                }
            }
        }
        match &self.app.public_url {
            None if self.listen().is_ok_and(|listen| !listen.address.ip().is_loopback()) => {
                faults.push("APP_PUBLIC_URL: needed, because AUTH_ENABLED is true: the issuer sends people back there; allowed: an address like https://crm.example.org".to_owned());
            }
            Some(url) if !is_safe(url.as_str()) => {
                faults.push("APP_PUBLIC_URL: only https is allowed with AUTH_ENABLED, but for this machine: sessions would travel in clear".to_owned());
            }
            _ => {}
        }
        faults
    }

    /// Faults that show only in several keys together, and choices that this build does not have.
    pub(super) fn check_together(&self) -> Result<(), ConfigError> {
        let mut faults = Vec::new();
        if self.auth.enabled {
            faults.extend(self.sign_in_faults());
        }
        let storage = self.storage();
        if storage.engine == DbEngine::Dynamodb {
            if cfg!(not(feature = "aws")) {
                faults.push(format!("DB_ENGINE: dynamodb was chosen ({}), but this build has no DynamoDB engine; set DB_ENGINE=sqlite", storage.because));
            }
            if self.app.production && self.app.secret_key.is_none() {
                faults.push("APP_SECRET_KEY: needed, because APP_PRODUCTION is true and several processes share the tables: all need the same key".to_owned());
            }
        }
        let search = self.search_engine();
        if search.engine == SearchEngine::Opensearch {
            if cfg!(not(feature = "aws")) {
                faults.push(format!(
                    "SEARCH_ENGINE: opensearch was chosen ({}), but this build has no OpenSearch index; set SEARCH_ENGINE=tantivy",
                    search.because
                ));
            }
            if self.opensearch_endpoint().is_none() {
                faults.push("OPENSEARCH_ENDPOINT: needed, because SEARCH_ENGINE is opensearch; allowed: an address like http://127.0.0.1:9200".to_owned());
            }
        }
        match self.mail.transport {
            MailTransport::Outbox => {}
            MailTransport::Ses => {
                if cfg!(not(feature = "aws")) {
                    faults.push("MAIL_TRANSPORT: ses is not allowed, because this build has no SES transport; allowed: outbox, smtp".to_owned());
                }
            }
            MailTransport::Smtp => match self.smtp_settings() {
                Some(Ok(_)) => {}
                Some(Err(error)) => faults.push(format!("MAIL_SMTP_URL: the value is not allowed: {error}")),
                None => faults.push("MAIL_SMTP_URL: needed, because MAIL_TRANSPORT is smtp; allowed: an address like smtp://127.0.0.1:25".to_owned()),
            },
        }
        if self.app.secret_key.as_ref().is_some_and(|key| key.reveal().chars().count() < 32) {
            faults.push("APP_SECRET_KEY: the value is too short; allowed: 32 or more characters".to_owned());
        }
        if let Err(error) = self.listen() {
            faults.extend(error.0);
        }
        if faults.is_empty() { Ok(()) } else { Err(ConfigError(faults)) }
    }
}

/// Encrypted on its way, or not on its way at all.
fn is_safe(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    url.scheme() == "https" || local
}
