//! Kinds of values: what is allowed and how a text becomes one. Every source gives texts; nothing is guessed from their looks.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use emcrm_mail::Mailbox;
use emcrm_model::EmailAddress;
use jiff::tz::TimeZone;

/// A kind of value.
pub trait Setting: Sized {
    /// What is allowed, as the end of "allowed: …".
    const ALLOWED: &'static str;
    /// Never shown; may be given as a file.
    const SECRET: bool = false;
    /// None when the text is not allowed. `text` is trimmed and not empty.
    fn parse(text: &str) -> Option<Self>;
    /// The value where there is no text at all; none when a value is needed.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Setting> Setting for Option<T> {
    const ALLOWED: &'static str = T::ALLOWED;
    const SECRET: bool = T::SECRET;
    fn parse(text: &str) -> Option<Self> {
        T::parse(text).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Setting for String {
    const ALLOWED: &'static str = "a text of up to 200 characters";
    fn parse(text: &str) -> Option<Self> {
        (text.chars().count() <= 200 && !text.chars().any(char::is_control)).then(|| text.to_owned())
    }
}

impl Setting for bool {
    const ALLOWED: &'static str = "true, false (also 1, 0, yes, no, on, off)";
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
            "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
            _ => None,
        }
    }
}

impl Setting for u16 {
    const ALLOWED: &'static str = "a port, 0 to 65535";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Setting for u32 {
    const ALLOWED: &'static str = "a whole number, 1 to 1000000";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| (1..=1_000_000).contains(number))
    }
}

impl Setting for PathBuf {
    const ALLOWED: &'static str = "a folder";
    fn parse(text: &str) -> Option<Self> {
        (!text.contains('\0')).then(|| Self::from(text))
    }
}

/// A name that OpenSearch takes for an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexAlias(pub String);

impl Setting for IndexAlias {
    const ALLOWED: &'static str = "1 to 60 of a-z, 0-9, - and _, beginning with a letter";
    fn parse(text: &str) -> Option<Self> {
        let good = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
        (good && text.len() <= 60 && text.starts_with(|c: char| c.is_ascii_lowercase())).then(|| Self(text.to_owned()))
    }
}

/// A span of time, given in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl Setting for Seconds {
    const ALLOWED: &'static str = "seconds, 0.1 to 3600";
    fn parse(text: &str) -> Option<Self> {
        let seconds: f64 = text.parse().ok()?;
        (0.1..=3600.0).contains(&seconds).then(|| Self(Duration::from_secs_f64(seconds)))
    }
}

/// How often something may happen; 0 for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u32);

impl Setting for Rate {
    const ALLOWED: &'static str = "a whole number, 0 to 100000";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| *number <= 100_000).map(Self)
    }
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(pub f64);

impl Setting for Ratio {
    const ALLOWED: &'static str = "a number, 0 to 1";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).map(Self)
    }
}

/// Names of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Setting for Names {
    const ALLOWED: &'static str = "names of hosts, separated by commas, or *";
    fn parse(text: &str) -> Option<Self> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect();
        let good = |name: &String| name == "*" || name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        (!names.is_empty() && names.iter().all(good)).then_some(Self(names))
    }
}

/// Networks, as addresses with the length of their prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(pub Vec<ipnet::IpNet>);

impl Setting for Networks {
    const ALLOWED: &'static str = "networks such as 10.0.0.0/8 or single addresses, separated by commas";
    fn parse(text: &str) -> Option<Self> {
        let network = |part: &str| part.parse().ok().or_else(|| part.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from));
        text.split(',').map(|part| network(part.trim())).collect::<Option<Vec<_>>>().map(Self)
    }
}

/// What a group of the issuer may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups(pub Vec<(String, emcrm_model::Grant)>);

impl Setting for Groups {
    const ALLOWED: &'static str = "group=role, separated by commas; roles are viewer, editor, sender, admin and checkin:{event id}";
    fn parse(text: &str) -> Option<Self> {
        let pair = |part: &str| {
            let (group, grant) = part.rsplit_once('=')?;
            (!group.trim().is_empty()).then_some((group.trim().to_owned(), emcrm_model::Grant::parse(grant.trim())?))
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect::<Option<Vec<_>>>().map(Self)
    }
}

/// One of the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleName(pub emcrm_model::Role);

impl Setting for RoleName {
    const ALLOWED: &'static str = "viewer, editor, sender, admin";
    fn parse(text: &str) -> Option<Self> {
        emcrm_model::Role::parse(text).map(Self)
    }
}

/// How accepted tokens are signed: always with a key that the issuer publishes, never with a secret that both sides know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenAlgorithm(pub emcrm_oidc::Algorithm);

impl Setting for TokenAlgorithm {
    const ALLOWED: &'static str = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with("HS") { None } else { text.parse().ok().map(Self) }
    }
}

/// Something that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Setting for Secret {
    const ALLOWED: &'static str = "a text; or name a file that holds it, with _FILE after the key's name";
    const SECRET: bool = true;
    fn parse(text: &str) -> Option<Self> {
        (text.len() <= 16_384 && !text.contains('\0')).then(|| Self(text.to_owned()))
    }
}

/// Name or address of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(pub String);

impl Setting for HostName {
    const ALLOWED: &'static str = "an IP address or a host name";
    fn parse(text: &str) -> Option<Self> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let is_address = bare.parse::<std::net::IpAddr>().is_ok();
        let is_name = text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        (is_address || is_name).then(|| Self(bare.to_owned()))
    }
}

/// An `http` or `https` address, kept without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for HttpUrl {
    const ALLOWED: &'static str = "an address that begins with http:// or https://, without name and password";
    fn parse(text: &str) -> Option<Self> {
        let uri: axum::http::Uri = text.parse().ok()?;
        let host = uri.authority()?;
        let good = matches!(uri.scheme_str(), Some("http" | "https")) && !host.host().is_empty() && !host.as_str().contains('@') && uri.query().is_none();
        good.then(|| Self(text.trim_end_matches('/').to_owned()))
    }
}

/// A time zone by its IANA name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(pub TimeZone);

impl Setting for Zone {
    const ALLOWED: &'static str = "a time zone name like Europe/Berlin";
    fn parse(text: &str) -> Option<Self> {
        TimeZone::get(text).ok().map(Self)
    }
}

/// Who mail comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(pub Mailbox);

impl Setting for Sender {
    const ALLOWED: &'static str = "an address like events@example.org or Events <events@example.org>";
    fn parse(text: &str) -> Option<Self> {
        if text.chars().any(char::is_control) {
            return None;
        }
        let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, address)) => (Some(name.trim().trim_matches('"').to_owned()).filter(|name| !name.is_empty()), address),
            None => (None, text),
        };
        let address = EmailAddress::parse(address).ok()?.as_str().to_owned();
        Some(Self(Mailbox { name, address }))
    }
}

/// Least severity that is logged, or directives of `tracing` such as `info,emcrm_app=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(pub String);

impl Setting for LogLevel {
    const ALLOWED: &'static str = "trace, debug, info, warn, error, off, or directives like info,emcrm_app=debug";
    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let level = match lower.as_str() {
            "trace" | "debug" | "info" | "warn" | "error" | "off" => lower,
            "warning" => "warn".to_owned(),
            "critical" | "fatal" => "error".to_owned(),
            _ if text.contains('=') => {
                text.parse::<tracing_subscriber::EnvFilter>().ok()?;
                text.to_owned()
            }
            _ => return None,
        };
        Some(Self(level))
    }
}

/// A setting that is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $allowed:literal, { $($word:literal => $variant:ident),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Setting for $name {
            const ALLOWED: &'static str = $allowed;
            fn parse(text: &str) -> Option<Self> {
                match text.to_ascii_lowercase().as_str() {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

words!(/// Form of the log lines.
    LogFormat, "text, json", { "text" => Text, "json" => Json });
words!(/// What a process does.
    Role, "all, api, worker", { "all" => All, "api" => Api, "worker" => Worker });
words!(/// What stores the data.
    DbEngine, "sqlite, dynamodb", { "sqlite" => Sqlite, "dynamodb" => Dynamodb });
words!(/// What answers searches.
    SearchEngine, "tantivy, opensearch", { "tantivy" => Tantivy, "opensearch" => Opensearch });
words!(/// How requests to OpenSearch are authorised.
    OpensearchMode, "local, cloud", { "local" => Local, "cloud" => Cloud });
words!(/// How mail leaves.
    MailTransport, "outbox, smtp, ses", { "outbox" => Outbox, "smtp" => Smtp, "ses" => Ses });
