//! Where and how: parsed from a URL, printed without the password.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// When the connection is encrypted. The certificate is always checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Off,
    /// STARTTLS when the server offers it.
    Opportunistic,
    /// STARTTLS, or no mail.
    Required,
    /// From the first byte.
    Implicit,
}

/// User name and password. Neither is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// An SMTP server and how to use it.
///
/// | URL | TLS | default port |
/// |---|---|---|
/// | `smtp://host` | STARTTLS when offered; none where the host is this machine | 25 |
/// | `smtp+starttls://host` | STARTTLS, or no mail | 587 |
/// | `smtps://host` | from the first byte | 465 |
///
/// `user:password@` before the host signs in (AUTH PLAIN or LOGIN; percent-encode `@ : / ? # %`), never over an unencrypted connection to another machine.
/// Settings after `?`:
///
/// | key | means | default |
/// |---|---|---|
/// | `tls` | `none`, `opportunistic`, `required` (with `smtp://` only) | see above |
/// | `connections` | most connections at once, 1 to 1000 | 20 |
/// | `timeout` | seconds to wait for a connection, and for each answer before the end of the message, 1 to 3600 | 30 |
/// | `answer_timeout` | seconds to wait for the answer to a whole message, 1 to 3600. Long (RFC 5321 4.5.3.2.6), because nobody knows afterwards whether the message was taken | 600 |
/// | `rate` | messages a second over all connections, from 1 | no limit |
/// | `mails_per_connection` | then a new connection is made, from 1 | 1000 |
/// | `hello` | the name to say in EHLO | the connection's own address, `[192.0.2.1]` |
/// | `ca` | a PEM file with more certificate authorities to trust | – |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpSettings {
    /// Host name or address, without brackets.
    pub host: String,
    pub port: u16,
    pub tls: TlsMode,
    pub credentials: Option<Credentials>,
    pub connections: usize,
    pub timeout: Duration,
    pub answer_timeout: Duration,
    pub rate: Option<u32>,
    pub mails_per_connection: u32,
    pub hello: Option<String>,
    pub ca_file: Option<PathBuf>,
}

/// What is wrong with the settings. Never tells the URL itself: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSmtpSettings {
    #[error("not an address of a mail server like smtp://mail.example.org:25 (in the password, percent-encode @ : / ? # and %)")]
    Syntax,
    #[error("the scheme is smtp, smtp+starttls or smtps")]
    Scheme,
    #[error("`{key}` has no value `{value}`; allowed: {allowed}")]
    Value { key: String, value: String, allowed: &'static str },
    #[error("there is no setting `{0}`; there are: tls, connections, timeout, answer_timeout, rate, mails_per_connection, hello, ca")]
    Unknown(String),
    #[error("the password would go unencrypted over the network: use smtp+starttls:// or smtps://")]
    PasswordInClear,
    #[error("certificate authorities cannot be read from `{path}`: {cause}")]
    CaFile { path: String, cause: String },
}

impl SmtpSettings {
    /// Parses the URL described above.
    pub fn parse(url: &str) -> Result<Self, BadSmtpSettings> {
        let url = Url::parse(url.trim()).map_err(|_| BadSmtpSettings::Syntax)?;
        let (mut tls, port) = match url.scheme() {
            "smtp" => (TlsMode::Opportunistic, 25),
            "smtp+starttls" => (TlsMode::Required, 587),
            "smtps" => (TlsMode::Implicit, 465),
            _ => return Err(BadSmtpSettings::Scheme),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(BadSmtpSettings::Syntax);
        }
        let (host, here) = host(&url)?;
        if here && tls == TlsMode::Opportunistic {
            tls = TlsMode::Off;
        }
        let mut settings = Self {
            host,
            port: url.port().unwrap_or(port),
            tls,
            credentials: credentials(&url)?,
            connections: 20,
            timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_mins(10),
            rate: None,
            mails_per_connection: 1000,
            hello: None,
            ca_file: None,
        };
        for (key, value) in url.query_pairs() {
            settings.set(url.scheme(), &key, &value)?;
        }
        if settings.credentials.is_some() && settings.tls == TlsMode::Off && !here {
            return Err(BadSmtpSettings::PasswordInClear);
        }
        Ok(settings)
    }

    /// Whether the server is on this machine.
    pub(crate) fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn set(&mut self, scheme: &str, key: &str, value: &str) -> Result<(), BadSmtpSettings> {
        let bad = |allowed| BadSmtpSettings::Value { key: key.to_owned(), value: value.chars().take(40).collect(), allowed };
        let number = |max: u32, allowed| value.parse::<u32>().ok().filter(|n| (1..=max).contains(n)).ok_or_else(|| bad(allowed));
        match key {
            "tls" if scheme != "smtp" => return Err(bad("nothing: the scheme says it already")),
            "tls" => {
                self.tls = match value {
                    "none" => TlsMode::Off,
                    "opportunistic" => TlsMode::Opportunistic,
                    "required" | "starttls" => TlsMode::Required,
                    _ => return Err(bad("none, opportunistic, required")),
                }
            }
            "connections" => self.connections = number(1000, "1 to 1000")? as usize,
            "timeout" => self.timeout = Duration::from_secs(number(3600, "1 to 3600 seconds")?.into()),
            "answer_timeout" => self.answer_timeout = Duration::from_secs(number(3600, "1 to 3600 seconds")?.into()),
            "rate" => self.rate = Some(number(u32::MAX, "a number from 1")?),
            "mails_per_connection" => self.mails_per_connection = number(u32::MAX, "a number from 1")?,
            "hello" if !value.is_empty() && value.len() <= 255 && value.bytes().all(|b| b.is_ascii_graphic()) => self.hello = Some(value.to_owned()),
            "hello" => return Err(bad("a host name like mail.example.org")),
            "ca" if value.is_empty() => return Err(bad("a file")),
            "ca" => self.ca_file = Some(PathBuf::from(value)),
            _ => return Err(BadSmtpSettings::Unknown(key.chars().take(40).collect())),
        }
        Ok(())
    }
}

/// Scheme, host and port.
impl fmt::Display for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.tls {
            TlsMode::Off | TlsMode::Opportunistic => "smtp",
            TlsMode::Required => "smtp+starttls",
            TlsMode::Implicit => "smtps",
        };
        if self.host.contains(':') { write!(f, "{scheme}://[{}]:{}", self.host, self.port) } else { write!(f, "{scheme}://{}:{}", self.host, self.port) }
    }
}

/// The host, and whether it is this machine.
fn host(url: &Url) -> Result<(String, bool), BadSmtpSettings> {
    let name = match url.host().ok_or(BadSmtpSettings::Syntax)? {
        Host::Ipv4(ip) => return Ok((ip.to_string(), ip.is_loopback())),
        Host::Ipv6(ip) => return Ok((ip.to_string(), ip.is_loopback())),
        Host::Domain(name) => percent_decode_str(name).decode_utf8().map_err(|_| BadSmtpSettings::Syntax)?,
    };
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok((ip.to_string(), ip.is_loopback()));
    }
    let name = idna::domain_to_ascii_strict(&name).map_err(|_| BadSmtpSettings::Syntax)?;
    let here = name == "localhost";
    Ok((name, here))
}

fn credentials(url: &Url) -> Result<Option<Credentials>, BadSmtpSettings> {
    let text = |part: &str| percent_decode_str(part).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| BadSmtpSettings::Syntax);
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(BadSmtpSettings::Syntax),
        (user, Some(password)) => {
            let (user, password) = (text(user)?, text(password)?);
            // NUL separates the parts of AUTH PLAIN.
            if user.contains('\0') || password.contains('\0') {
                return Err(BadSmtpSettings::Syntax);
            }
            Ok(Some(Credentials { user, password }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_port_and_encryption() {
        for (url, port, tls) in [
            ("smtp://mail.example.org", 25, TlsMode::Opportunistic),
            ("smtp://localhost", 25, TlsMode::Off),
            ("smtp://127.0.0.1:2525", 2525, TlsMode::Off),
            ("smtp://[::1]", 25, TlsMode::Off),
            ("smtp+starttls://mail.example.org", 587, TlsMode::Required),
            ("smtps://mail.example.org", 465, TlsMode::Implicit),
            ("smtp://mail.example.org?tls=none", 25, TlsMode::Off),
            ("smtp://127.0.0.1?tls=required", 25, TlsMode::Required),
        ] {
            let settings = SmtpSettings::parse(url).unwrap();
            assert_eq!((settings.port, settings.tls), (port, tls), "{url}");
        }
    }

    #[test]
    fn every_setting_is_read() {
        let url = "smtps://us%40er:p%3Aw%2F@mail.example.org:1465/?connections=7&timeout=3&answer_timeout=9&rate=14&mails_per_connection=5&hello=crm.example.org&ca=/etc/ca.pem";
        let settings = SmtpSettings::parse(url).unwrap();
        assert_eq!(
            settings,
            SmtpSettings {
                host: "mail.example.org".into(),
                port: 1465,
                tls: TlsMode::Implicit,
                credentials: Some(Credentials { user: "us@er".into(), password: "p:w/".into() }),
                connections: 7,
                timeout: Duration::from_secs(3),
                answer_timeout: Duration::from_secs(9),
                rate: Some(14),
                mails_per_connection: 5,
                hello: Some("crm.example.org".into()),
                ca_file: Some("/etc/ca.pem".into()),
            }
        );
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let error = |url: &str| SmtpSettings::parse(url).unwrap_err().to_string();
        assert!(error("smtp://h.example?connections=0").contains("`connections` has no value `0`"));
        assert!(error("smtp://h.example?tls=maybe").contains("allowed: none, opportunistic, required"));
        assert!(error("smtps://h.example?tls=none").contains("the scheme says it already"));
        assert!(error("smtp://h.example?retries=3").contains("no setting `retries`"));
        assert!(error("http://h.example").contains("smtps"));
        for url in ["", "mail.example.org:25", "smtp://", "smtp://user@h.example", "smtp://h.example/path", "smtp://h.example?hello=a%20b"] {
            assert!(SmtpSettings::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_never_goes_unencrypted_to_another_machine() {
        assert_eq!(SmtpSettings::parse("smtp://u:p@mail.example.org?tls=none"), Err(BadSmtpSettings::PasswordInClear));
        assert!(SmtpSettings::parse("smtp://u:p@127.0.0.1").is_ok());
    }

    #[test]
    fn nothing_that_is_printed_holds_the_password() {
        let settings = SmtpSettings::parse("smtps://someone:hunter2@mail.example.org").unwrap();
        for text in [format!("{settings}"), format!("{settings:?}")] {
            assert!(!text.contains("hunter2") && !text.contains("someone"), "{text}");
        }
        assert_eq!(settings.to_string(), "smtps://mail.example.org:465");
        let error = SmtpSettings::parse("smtp://someone:hunt/er2@mail.example.org").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunt"));
    }
}
