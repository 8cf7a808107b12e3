//! The mail seam: a transport makes connections, a connection hands over one message at a time.

use async_trait::async_trait;

use crate::outbox::Outbox;

/// What is handed over: the envelope and the finished bytes of the message (CRLF line ends, RFC 5322).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipient, one.
    pub to: String,
    pub message: Vec<u8>,
}

impl Handover {
    /// Refuses, for good, addresses that could end the line they are written in. Every transport asks this first.
    pub fn check(&self) -> Result<(), MailError> {
        if can_be_written(&self.from, &self.to) {
            return Ok(());
        }
        Err(MailError::Permanent { reply: "not sent: the address cannot be written on an envelope".to_owned() })
    }
}

/// From whom and to whom, without the message: it may not be made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub from: String,
    pub to: String,
}

impl Envelope {
    /// Whether the message goes in it.
    pub fn is_of(&self, handover: &Handover) -> bool {
        self.from == handover.from && self.to == handover.to
    }
    /// Of plain addresses, which any server takes.
    pub(crate) fn is_plain(&self) -> bool {
        self.from.is_ascii() && self.to.is_ascii() && can_be_written(&self.from, &self.to)
    }
}

fn can_be_written(from: &str, to: &str) -> bool {
    let bad = |address: &str| {
        let quoted = address.starts_with('"');
        address.contains(|c: char| c.is_control() || matches!(c, '<' | '>') || (c == ' ' && !quoted))
    };
    // The empty sender means: no bounces, please (RFC 5321 4.5.5).
    !to.is_empty() && !bad(to) && !bad(from)
}

/// The other side took responsibility for the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its own words, such as `250 2.0.0 Ok: queued as 4F2`.
    pub reply: String,
}

/// Why a message was not taken, or may have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Not taken; the same message may be taken later (4xx, busy, throttled). Other messages may pass.
    #[error("refused for now: {reply}")]
    Temporary { reply: String },
    /// Not taken, for good (5xx). Other messages may pass.
    #[error("refused: {reply}")]
    Permanent { reply: String },
    /// The connection was lost after the message may have been taken: nobody can know. Must never be sent again by itself.
    #[error("the answer was lost after the message was handed over: {cause}")]
    Unknown { cause: String },
    /// Nothing was handed over: no connection, bad greeting, TLS or sign-in failed, the connection broke before the message. Says nothing about the recipient.
    #[error("the mail server cannot be used: {cause}")]
    Unavailable { cause: String },
}

/// What the other side says of the address that mail comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What it was asked about: the address, or a domain above it.
    pub name: String,
    /// It takes mail from there.
    pub verified: bool,
    /// It signs that mail with DKIM.
    pub signed: bool,
}

#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// A connection, ready for messages. Fails with [`MailError::Unavailable`] only.
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError>;
    /// Most connections that should be open at once.
    fn connections_max(&self) -> usize;
    /// Messages per second over all connections of this process; none: no limit.
    fn rate(&self) -> Option<u32>;
    /// Whether a message could be handed over now.
    async fn health(&self) -> Result<(), MailError>;
    /// What is known of the address that mail comes from, before any is handed over; none: nobody tells.
    async fn sender(&self, _from: &str) -> Option<Identity> {
        None
    }
    /// Whether what is handed over is encrypted on its way; none: it does not leave this machine, or it is not known.
    fn encrypted(&self) -> Option<bool> {
        None
    }
    /// The folder that mails end up in, where they do not leave: they can be read in it.
    fn outbox(&self) -> Option<&Outbox> {
        None
    }
    /// `outbox`, `smtp`, `ses`.
    fn name(&self) -> &'static str;
}

#[async_trait]
pub trait Connection: Send {
    /// Hands over one message. After `Unavailable` or `Unknown` the connection is broken: drop it. After `Temporary` and `Permanent` it is ready
    /// for the next message (the implementation resets, or reconnects inside, as needed).
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError>;
    /// The same, where it is known whose mail comes next on this connection: a transport may tell the other side with this message, and save an exchange.
    /// No message is handed over by it. Should another one come next, or none, then only the saving is lost.
    async fn send_before(&mut self, handover: &Handover, _next: Option<&Envelope>) -> Result<Receipt, MailError> {
        self.send(handover).await
    }
    /// Says goodbye. Bounded in time, never fails.
    async fn close(self: Box<Self>);
}
