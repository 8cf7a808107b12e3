//! A message as a person means it, made into the bytes that go over the wire.

use jiff::Timestamp;

/// Somebody's name and address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: String,
}

/// One mail to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub from: Mailbox,
    pub to: Mailbox,
    pub reply_to: Option<Mailbox>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// Without angle brackets. The same at every attempt.
    pub message_id: String,
    pub date: Timestamp,
    /// `https:` address that unsubscribes by POST (RFC 8058).
    pub unsubscribe_url: Option<String>,
    /// More headers, such as `X-EMCRM-Test`.
    pub headers: Vec<(String, String)>,
}
