//! Configuration: every key, where it may stand, and what is wrong with it.
//!
//! Later wins: built-in defaults, `emcrm.toml`, `.env`, the environment. A key is called the same everywhere: `APP_API_PORT` in the
//! environment and in `.env` is `api_port` under `[app]` in `emcrm.toml`. This folder is the only place that reads the environment.
//!
//! | file | holds |
//! |---|---|
//! | `app`, `db`, `search`, `auth`, `mail`, `traces` | one struct for each section: the keys, their defaults, their explanation |
//! | `setting` | kinds of values: what is allowed, how it is read |
//! | `reader` | where a value comes from; collects every fault |
//! | `sources`, `dotenv` | the environment and `.env` as figment providers |
//! | `choices` | what follows from several keys: engines, the address to listen on |
//! | `secret_key` | the key of this installation, made at the first start |

mod app;
mod auth;
mod choices;
mod db;
mod dotenv;
mod mail;
mod reader;
mod search;
pub mod secret_key;
mod setting;
mod sources;
mod traces;

use std::fmt;
use std::path::{Path, PathBuf};

pub use app::AppConfig;
pub use auth::AuthConfig;
pub use choices::{Listen, SearchChoice, StorageChoice};
pub use db::DbConfig;
pub use mail::MailConfig;
pub use search::{OpensearchConfig, SearchConfig};
pub use setting::{
    DbEngine, Groups, HostName, HttpUrl, IndexAlias, LogFormat, LogLevel, MailTransport, Names, Networks, OpensearchMode, Rate, Ratio, Role, RoleName,
    SearchEngine, Seconds, Secret, Sender, Setting, TokenAlgorithm, Zone,
};
pub use traces::TracesConfig;

use reader::Reader;

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub app: AppConfig,
    pub db: DbConfig,
    pub search: SearchConfig,
    pub opensearch: OpensearchConfig,
    pub auth: AuthConfig,
    pub mail: MailConfig,
    pub traces: TracesConfig,
    /// What a person should know about the configuration, though it is valid: printed once at the start.
    pub notes: Vec<String>,
}

/// One key, for the documentation and for `emcrm doctor`.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Name in the environment and in `.env`.
    pub name: &'static str,
    pub help: &'static str,
    /// Empty: none.
    pub default: &'static str,
    /// What a value may be.
    pub allowed: &'static str,
    /// Never shown; may be given as a file by `NAME_FILE`.
    pub secret: bool,
}

impl Key {
    /// Section and key in `emcrm.toml`.
    pub fn in_toml(&self) -> (String, String) {
        let (section, key) = self.name.split_once('_').unwrap_or(("app", self.name));
        (section.to_lowercase(), key.to_lowercase())
    }
    fn path(&self) -> String {
        let (section, key) = self.in_toml();
        format!("{section}.{key}")
    }
}

/// The sections in the order of the documentation: title, keys.
pub const SECTIONS: &[(&str, &[Key])] = &[
    ("Server", AppConfig::KEYS),
    ("Storage", DbConfig::KEYS),
    ("Search", SearchConfig::KEYS),
    ("OpenSearch", OpensearchConfig::KEYS),
    ("Sign-in", AuthConfig::KEYS),
    ("Mail", MailConfig::KEYS),
    ("Traces", TracesConfig::KEYS),
];

/// Every fault of a configuration, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Where configuration is looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `emcrm.toml`, or the file that `--config` names; need not be there unless `toml_required`.
    pub toml: Option<PathBuf>,
    pub toml_required: bool,
    /// `.env`; need not be there.
    pub dotenv: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
}

impl Sources {
    /// The process's environment, and the two files in the current folder.
    pub fn of_process(config_file: Option<&Path>) -> Self {
        // What is not UTF-8 cannot be one of our values.
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        Self {
            toml: Some(config_file.map_or_else(|| PathBuf::from("emcrm.toml"), Path::to_path_buf)),
            toml_required: config_file.is_some(),
            dotenv: Some(PathBuf::from(".env")),
            environment,
        }
    }
}

impl Config {
    /// Reads everything and reports every fault, not the first.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let figment = sources::figment(sources)?;
        let mut reader = Reader::new(figment);
        let sections = (
            AppConfig::read(&mut reader),
            DbConfig::read(&mut reader),
            SearchConfig::read(&mut reader),
            OpensearchConfig::read(&mut reader),
            AuthConfig::read(&mut reader),
            MailConfig::read(&mut reader),
            TracesConfig::read(&mut reader),
        );
        reader.check_unknown(SECTIONS);
        let notes = reader.finish()?;
        let (Some(app), Some(db), Some(search), Some(opensearch), Some(auth), Some(mail), Some(traces)) = sections else {
            return Err(ConfigError(vec!["the configuration could not be read".to_owned()]));
        };
        let config = Self { app, db, search, opensearch, auth, mail, traces, notes };
        config.check_together()?;
        Ok(config)
    }

    /// Defaults only: what an empty folder and an empty environment give.
    pub fn defaults() -> Result<Self, ConfigError> {
        Self::load(&Sources::default())
    }
}

/// Declares a section: its struct, and its keys with defaults and explanations.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $( $(#[doc = $help:literal])+ $key:literal => $field:ident : $type:ty = $default:literal, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $( $(#[doc = $help])+ pub $field: $type, )*
        }

        impl $name {
            pub const KEYS: &'static [$crate::config::Key] = &[ $( $crate::config::Key {
                name: $key,
                help: concat!($($help),+),
                default: $default,
                allowed: <$type as $crate::config::Setting>::ALLOWED,
                secret: <$type as $crate::config::Setting>::SECRET,
            } ),* ];

            /// Reads all keys, so that every fault is found; none when one was faulty.
            pub(super) fn read(reader: &mut $crate::config::reader::Reader) -> Option<Self> {
                let mut keys = Self::KEYS.iter();
                $( let $field = keys.next().and_then(|key| reader.read::<$type>(key)); )*
                Some(Self { $( $field: $field?, )* })
            }
        }
    };
}
pub(crate) use section;
