//! SMTP with kept connections: the client side of RFC 5321, as far as handing over one message to one recipient at a time needs it.
//!
//! | file | holds |
//! |---|---|
//! | `settings` | the URL and what it means |
//! | `dial` | from a host name to a session: TCP, greeting, EHLO, TLS, sign-in |
//! | `session` | one mail transaction, and what its failure means |
//! | `announced` | envelopes that go out before their turn, and when they do not |
//! | `wire` | bytes out, replies in, both bounded in time and size |
//! | `reply` | the grammar of replies |
//! | `data` | the body as DATA wants it: CRLF and dots |
//!
//! The protocol is spoken here, not by a library, because the ledger above needs to know on which side of the final dot a failure happened,
//! and because a mail must cost two writes (with PIPELINING), each sent at once, or one where the next mail is known.

mod announced;
mod data;
mod dial;
mod reply;
mod session;
mod settings;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_rustls::TlsConnector;

pub use self::reply::reply_codes;
pub use self::settings::{BadSmtpSettings, SmtpSettings, TlsMode};
use crate::transport::{Connection, MailError, Transport};

/// Hands mail to one SMTP server (a relay, a provider's submission port).
#[derive(Clone)]
pub struct SmtpTransport {
    shared: Arc<Shared>,
}

/// What all connections share.
pub(crate) struct Shared {
    settings: SmtpSettings,
    tls: TlsConnector,
    announcing: announced::Announcing,
}

impl SmtpTransport {
    /// Opens nothing yet; reads the file of additional certificate authorities, if one is named.
    pub fn new(settings: SmtpSettings) -> Result<Self, BadSmtpSettings> {
        let tls = dial::tls(settings.ca_file.as_deref())?;
        Ok(Self { shared: Arc::new(Shared { settings, tls, announcing: announced::Announcing::new() }) })
    }

    pub fn settings(&self) -> &SmtpSettings {
        &self.shared.settings
    }
}

#[async_trait]
impl Transport for SmtpTransport {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        Ok(Box::new(session::SmtpConnection::open(Arc::clone(&self.shared)).await?))
    }

    fn connections_max(&self) -> usize {
        self.shared.settings.connections
    }

    fn rate(&self) -> Option<u32> {
        self.shared.settings.rate
    }

    /// Connects, signs in and says goodbye.
    async fn health(&self) -> Result<(), MailError> {
        self.connect().await?.close().await;
        Ok(())
    }

    fn encrypted(&self) -> Option<bool> {
        match self.shared.settings.tls {
            // It does not leave this machine here.
            TlsMode::Off if self.shared.settings.is_here() => None,
            TlsMode::Off => Some(false),
            TlsMode::Required | TlsMode::Implicit => Some(true),
            TlsMode::Opportunistic => None,
        }
    }

    fn name(&self) -> &'static str {
        "smtp"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_mail_goes_encrypted_is_said_where_it_is_sure_and_mail_leaves_this_machine() {
        for (url, said) in [
            ("smtp://mail.example.org?tls=none", Some(false)),
            ("smtp://192.0.2.1?tls=none", Some(false)),
            ("smtp://mail.example.org", None),
            ("smtp://mail.example.org?tls=required", Some(true)),
            ("smtp+starttls://mail.example.org", Some(true)),
            ("smtps://mail.example.org", Some(true)),
            ("smtps://127.0.0.1", Some(true)),
            ("smtp://127.0.0.1:2525", None),
            ("smtp://localhost?tls=none", None),
            ("smtp://[::1]", None),
        ] {
            let transport = SmtpTransport::new(SmtpSettings::parse(url).unwrap()).unwrap();
            assert_eq!(transport.encrypted(), said, "{url}");
        }
    }
}
