//! A message as a person means it, made into the bytes that go over the wire.
//!
//! The body is encoded by `lettre` (quoted-printable or base64) where SMTP cannot carry it as it is, the header values by `header`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lettre::message::Body;
use lettre::message::header::ContentTransferEncoding;
use sha2::{Digest, Sha256};

use crate::header;
use crate::transport::Handover;

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
    /// Control characters, line breaks among them, become one space.
    pub subject: String,
    /// Any line ends; they become CRLF.
    pub text: String,
    pub html: Option<String>,
    /// A calendar file (RFC 5545) that goes along as `event.ics`.
    pub calendar: Option<String>,
    /// Without angle brackets. The same at every attempt: see [`message_id`].
    pub message_id: String,
    pub date: Timestamp,
    /// `https:` address that unsubscribes by POST (RFC 8058).
    pub unsubscribe_url: Option<String>,
    /// More headers, such as `X-EMCRM-Test`. Those that the other fields make cannot be given here.
    pub headers: Vec<(String, String)>,
}

/// Why a message cannot be made. Another attempt with the same message fails in the same way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("`{0}` is not an address that mail can be sent to")]
    Address(String),
    #[error("the message id is not like `left@example.org`")]
    MessageId,
    #[error("the date of a mail lies between the years 0 and 9999")]
    Date,
    #[error("the unsubscribe address is not a plain web address")]
    UnsubscribeUrl,
    #[error("`{0}` cannot be the name of an additional header")]
    HeaderName(String),
    #[error("the value of the header `{0}` holds a line break or another control character")]
    HeaderValue(String),
    #[error("a header line is longer than 998 characters")]
    HeaderTooLong,
}

/// Headers that the fields of [`Message`] make, or that decide where mail goes or how it is read.
const OWN_HEADERS: [&str; 15] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "return-path",
    "received",
    "x-envelope-to",
];

impl Message {
    /// The whole message: CRLF line ends, no line over 998 bytes (RFC 5322 2.1.1). The same message gives the same bytes, always.
    ///
    /// Everything is ASCII, with one exception: an address with a non-ASCII local part is written as it is (RFC 6532), and such a message
    /// needs a transport that can hand it over (SMTP: only to a server that offers SMTPUTF8; otherwise it is refused for good).
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuildError> {
        self.written(header::subject, &header::address(&self.from.address)?, &header::address(&self.to.address)?)
    }

    /// With the addresses as [`header::address`] gives them. A test writes the subject in another way, to see what ours keeps out.
    fn written(&self, subject: fn(&str) -> String, from: &str, to: &str) -> Result<Vec<u8>, BuildError> {
        let mut head = String::with_capacity(HEAD);
        put(&mut head, "Date", &rfc2822(self.date)?);
        put(&mut head, "From", &header::mailbox("From", self.from.name.as_deref(), from));
        put(&mut head, "To", &header::mailbox("To", self.to.name.as_deref(), to));
        if let Some(reply_to) = &self.reply_to {
            put(&mut head, "Reply-To", &header::mailbox("Reply-To", reply_to.name.as_deref(), &header::address(&reply_to.address)?));
        }
        put(&mut head, "Subject", &subject(&self.subject));
        if !header::is_message_id(&self.message_id) {
            return Err(BuildError::MessageId);
        }
        put(&mut head, "Message-ID", &format!("<{}>", self.message_id));
        if let Some(url) = &self.unsubscribe_url {
            if url.is_empty() || !url.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>') {
                return Err(BuildError::UnsubscribeUrl);
            }
            put(&mut head, "List-Unsubscribe", &format!("<{url}>"));
            put(&mut head, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
        }
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            let taken = OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("content-");
            if taken || name.is_empty() || name.len() > 76 || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
                return Err(BuildError::HeaderName(name.chars().filter(|c| !c.is_control()).take(80).collect()));
            }
            if value.chars().any(char::is_control) {
                return Err(BuildError::HeaderValue(name.clone()));
            }
            put(&mut head, name, &header::text(name, value));
        }
        if !lines_fit(&head) {
            return Err(BuildError::HeaderTooLong);
        }
        head.push_str("MIME-Version: 1.0\r\n");

        let text = Part::new(TEXT_PLAIN, &self.text);
        let html = self.html.as_deref().map(|html| Part::new(TEXT_HTML, html));
        let calendar = self.calendar.as_deref().map(|calendar| Part::new(CALENDAR, calendar));
        let parts: Vec<&Part> = [Some(&text), html.as_ref(), calendar.as_ref()].into_iter().flatten().collect();
        let mut out = head.into_bytes();
        out.reserve(parts.iter().map(|part| part.body.len() + PART_HEAD).sum());
        let readable = |out: &mut Vec<u8>| match &html {
            None => text.write(out),
            Some(html) => several(out, "alternative", &self.boundary("inner", &parts), &[&|out| text.write(out), &|out| html.write(out)]),
        };
        match &calendar {
            None => readable(&mut out),
            Some(calendar) => several(&mut out, "mixed", &self.boundary("outer", &parts), &[&readable, &|out| calendar.write(out)]),
        }
        Ok(out)
    }

    /// The message with its envelope. `envelope_from` is where bounces go; it may differ from the sender that people see.
    pub fn handover(&self, envelope_from: &str) -> Result<Handover, BuildError> {
        let [sender, to] = [&self.from.address, &self.to.address].map(|address| header::address(address));
        let (sender, to) = (sender?, to?);
        let message = self.written(header::subject, &sender, &to)?;
        Ok(Handover { from: if envelope_from == self.from.address { sender } else { header::address(envelope_from)? }, to, message })
    }

    /// A line that no part has. Made from the message, so that every attempt gives the same bytes.
    fn boundary(&self, place: &str, parts: &[&Part]) -> String {
        let mut round = 0_u32;
        loop {
            let digest = Sha256::new().chain_update(self.message_id.as_bytes()).chain_update(place).chain_update(round.to_be_bytes()).finalize();
            let boundary = format!("=_{}", hex(&digest, 16));
            if !parts.iter().any(|part| memchr::memmem::find(&part.body, boundary.as_bytes()).is_some()) {
                return boundary;
            }
            round = round.wrapping_add(1);
        }
    }
}

const TEXT_PLAIN: &str = "Content-Type: text/plain; charset=utf-8\r\n";
const TEXT_HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";
/// `method` says what a mail program shall do with it; the file's name is for those who save it.
const CALENDAR: &str = "Content-Type: text/calendar; charset=utf-8; method=PUBLISH\r\nContent-Disposition: attachment; filename=\"event.ics\"\r\n";
/// Bytes of the headers, mostly.
const HEAD: usize = 1024;
/// Bytes of what stands around the body of a part, at most.
const PART_HEAD: usize = 512;

/// One part of a message (RFC 2045).
struct Part {
    headers: &'static str,
    encoding: ContentTransferEncoding,
    body: Vec<u8>,
}

impl Part {
    fn new(headers: &'static str, text: &str) -> Self {
        let body = encoded(text);
        Self { headers, encoding: body.encoding(), body: body.into_vec() }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.headers.as_bytes());
        out.extend_from_slice(b"Content-Transfer-Encoding: ");
        out.extend_from_slice(self.encoding.to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&self.body);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes a part, or several as one.
type Writer<'a> = dyn Fn(&mut Vec<u8>) + 'a;

/// Several parts as one (RFC 2046 5.1).
fn several(out: &mut Vec<u8>, kind: &str, boundary: &str, parts: &[&Writer<'_>]) {
    out.extend_from_slice(format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n\r\n").as_bytes());
    for part in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        part(out);
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
}

/// Most bytes in a line, without its CRLF.
const LINE_MAX: usize = 998;

/// The `Message-ID` of a delivery, without angle brackets: the same for the same campaign, user and domain, and telling nothing about them.
///
/// `domain` is the sender's, in ASCII.
pub fn message_id(campaign: &str, user: &str, domain: &str) -> String {
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    let digest = Sha256::new().chain_update((campaign.len() as u64).to_be_bytes()).chain_update(campaign).chain_update(user).finalize();
    format!("{}@{domain}", hex(&digest, 16))
}

/// The first `bytes` bytes in hexadecimal.
pub(crate) fn hex(digest: &[u8], bytes: usize) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    digest.iter().take(bytes).flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn rfc2822(date: Timestamp) -> Result<String, BuildError> {
    jiff::fmt::rfc2822::DateTimePrinter::new().zoned_datetime_to_string(&date.to_zoned_datetime(TimeZone::UTC)).map_err(|_| BuildError::Date)
}

/// Adds a header. `value` is encoded and folded already.
fn put(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    head.push_str(value);
    head.push_str("\r\n");
}

/// Whether no line is too long. All of them end with CRLF.
fn lines_fit(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]);
    ends.into_iter().all(|end| {
        let line = bytes.get(start..end).unwrap_or_default();
        start = end + 1;
        line.strip_suffix(b"\r").unwrap_or(line).len() <= LINE_MAX
    })
}

/// Text that SMTP carries as it is goes as it is; `lettre` would encode all lines over 76 characters. The rest is encoded as it needs.
fn encoded(text: &str) -> Body {
    let text = crlf(text);
    if text.is_ascii() && lines_fit(&text) {
        return Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    Body::new(text)
}

/// Every line break (CRLF, CR, LF) as CRLF, and no NUL: a bare CR or LF must not leave this program (RFC 5321 2.3.8), nor a NUL (RFC 5322 3.5), which a name
/// that an earlier service stored can hold.
fn crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32 + 2);
    let mut rest = text;
    while let Some(at) = memchr::memchr3(b'\r', b'\n', b'\0', rest.as_bytes()) {
        let (line, end) = rest.split_at(at);
        out.push_str(line);
        if !end.starts_with('\0') {
            out.push_str("\r\n");
        }
        rest = end.strip_prefix("\r\n").or_else(|| end.get(1..)).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use mailparse::{MailHeaderMap as _, parse_mail};

    use super::*;

    /// One attack with and without the defence, on the same way to the wire.
    #[test]
    fn a_line_break_in_the_subject_makes_no_header_and_would_if_it_were_written_as_it_came() {
        for evil in ["a\r\nBcc: x@example.org", "a\nBcc: x@example.org"] {
            let ann = Mailbox { name: None, address: "ann@example.org".to_owned() };
            let message = Message {
                from: ann.clone(),
                to: ann,
                reply_to: None,
                subject: evil.to_owned(),
                text: "Hello".to_owned(),
                html: None,
                calendar: None,
                message_id: message_id("campaign", "user", "example.org"),
                date: Timestamp::UNIX_EPOCH,
                unsubscribe_url: None,
                headers: Vec::new(),
            };
            let bcc = |bytes: &[u8]| parse_mail(bytes).unwrap().headers.get_first_value("Bcc");
            let unguarded = message.written(str::to_owned, &message.from.address, &message.to.address).unwrap();
            assert_eq!(bcc(&message.to_bytes().unwrap()), None, "{evil:?}");
            assert_eq!(bcc(&unguarded).as_deref(), Some("x@example.org"), "{evil:?}");
        }
    }
}
