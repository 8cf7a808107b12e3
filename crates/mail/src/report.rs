//! What comes back after a mail was taken: delivery status notifications (RFC 3464) and complaints (RFC 5965), as mails.

use async_trait::async_trait;
use mailparse::{MailHeaderMap as _, ParsedMail};

/// A header of every mail of a campaign. What is told about a mail is believed where it carries this header's value.
pub const DELIVERY_HEADER: &str = "X-EMCRM-Delivery";
/// Parts within parts that are looked at.
const DEPTH_MAX: usize = 6;
/// Parts of a mail that is looked at, at most; ours have five. Whoever writes a mail that comes back decides how deep its parts lie within parts, and the parser goes
/// down a step of the stack for each.
const PARTS_MAX: usize = 200;
/// Reports that one mail or one notification can hold.
const REPORTS_MAX: usize = 100;

/// What was told about one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub kind: ReportKind,
    /// The value of our header in the mail that it is about.
    pub delivery: Option<String>,
    /// The address that it is about.
    pub address: Option<String>,
    /// The mail server's own words.
    pub words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// The address does not exist, or never takes mail.
    Bounced,
    /// It was given up; the address may be good, and take the next one.
    Returned,
    /// The reader reported it as unwanted.
    Complained,
    /// Something that may pass, such as a full mailbox: it asks for nothing.
    Delayed,
}

/// What one message of a mail service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its id: a message that comes again, whoever sends it, has the same.
    pub id: String,
    pub reports: Vec<Report>,
}

/// Where a mail service tells what became of mails.
#[async_trait]
pub trait Notifications: Send + Sync + 'static {
    /// What a call of the service says. Refused unless it is surely the service's, and at most a few hours old. It may come again: whoever works on it
    /// remembers its id.
    async fn receive(&self, body: &[u8]) -> Result<Notification, NotificationError>;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// Not what the service sends.
    #[error("not a notification: {0}")]
    Malformed(String),
    /// Signed by somebody else, or too old, or of another topic.
    #[error("not trusted: {0}")]
    Untrusted(String),
    /// It cannot be checked now; the service will send it again.
    #[error("cannot be checked now: {0}")]
    Unavailable(String),
}

/// What a mail that came back says; nothing where it is no report.
pub fn read(bytes: &[u8]) -> Vec<Report> {
    if !has_few_parts(bytes) {
        return Vec::new();
    }
    let Ok(mail) = mailparse::parse_mail(bytes) else { return Vec::new() };
    let mut found = Found::default();
    look(&mail, 0, &mut found);
    let Found { mut reports, delivery } = found;
    for report in &mut reports {
        report.delivery.clone_from(&delivery);
    }
    reports
}

/// Every part that has parts has a line that says so.
fn has_few_parts(bytes: &[u8]) -> bool {
    const KIND: &[u8] = b"content-type:";
    let kinds = bytes.split(|byte| *byte == b'\n').filter(|line| line.get(..KIND.len()).is_some_and(|name| name.eq_ignore_ascii_case(KIND)));
    kinds.take(PARTS_MAX + 1).count() <= PARTS_MAX
}

#[derive(Default)]
struct Found {
    reports: Vec<Report>,
    delivery: Option<String>,
}

fn look(part: &ParsedMail<'_>, depth: usize, found: &mut Found) {
    if depth > DEPTH_MAX {
        return;
    }
    match part.ctype.mimetype.as_str() {
        "message/delivery-status" => delivery_status(&part.get_body().unwrap_or_default(), found),
        "message/feedback-report" => feedback_report(&part.get_body().unwrap_or_default(), found),
        "message/rfc822" | "text/rfc822-headers" | "message/global" | "message/global-headers" => {
            let original = part.get_body_raw().unwrap_or_default();
            if let Ok((headers, _)) = mailparse::parse_headers(&original) {
                found.delivery = found.delivery.take().or_else(|| headers.get_first_value(DELIVERY_HEADER)).map(|value| value.trim().to_owned());
            }
        }
        _ => {}
    }
    for inner in &part.subparts {
        look(inner, depth + 1, found);
    }
}

/// Groups of fields, one for each recipient, after one about the message.
fn delivery_status(body: &str, found: &mut Found) {
    let body = body.replace("\r\n", "\n");
    for group in body.split("\n\n") {
        // The one that we wrote to, where it was forwarded.
        let Some(address) = field(group, "original-recipient").or_else(|| field(group, "final-recipient")) else { continue };
        let action = field(group, "action").unwrap_or_default().to_ascii_lowercase();
        let status = field(group, "status").unwrap_or_default();
        let kind = match (action.as_str(), status.as_str()) {
            ("failed", status) if means_the_address(status) => ReportKind::Bounced,
            ("failed", _) => ReportKind::Returned,
            _ => ReportKind::Delayed,
        };
        let words = field(group, "diagnostic-code").map_or_else(|| format!("{action} {status}"), |code| after_type(&code));
        found.push(Report { kind, delivery: None, address: Some(after_type(&address)), words });
    }
}

/// Whether a failure is the address's own and will stay (RFC 3463): 5.0 undefined, 5.1 address, 5.2.0 and 5.2.1 mailbox. Not a full mailbox, a mail that is too
/// large, the network, or a policy about the mail.
fn means_the_address(status: &str) -> bool {
    status.starts_with("5.0.") || status.starts_with("5.1.") || ["5.2.0", "5.2.1"].contains(&status.trim())
}

fn feedback_report(body: &str, found: &mut Found) {
    let body = body.replace("\r\n", "\n");
    let kind = field(&body, "feedback-type").unwrap_or_default().to_ascii_lowercase();
    if matches!(kind.as_str(), "abuse" | "fraud" | "virus" | "other") {
        let address = field(&body, "original-rcpt-to").map(|address| address.trim_matches(['<', '>']).to_owned());
        found.push(Report { kind: ReportKind::Complained, delivery: None, address, words: format!("reported as {kind}") });
    }
}

impl Found {
    fn push(&mut self, report: Report) {
        if self.reports.len() < REPORTS_MAX {
            self.reports.push(report);
        }
    }
}

/// The value of a field, unfolded.
fn field(group: &str, name: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for line in group.lines() {
        if let Some(value) = value.as_mut() {
            if !line.starts_with([' ', '\t']) {
                break;
            }
            value.push(' ');
            value.push_str(line.trim());
        } else if let Some((have, rest)) = line.split_once(':')
            && have.trim().eq_ignore_ascii_case(name)
        {
            value = Some(rest.trim().to_owned());
        }
    }
    value.filter(|value| !value.is_empty())
}

/// `rfc822; somebody@example.org` without its type.
fn after_type(value: &str) -> String {
    value.split_once(';').map_or(value, |(_, rest)| rest).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNCE: &str = "From: MAILER-DAEMON@mx.example\r\nTo: crm@example.org\r\nSubject: Undelivered Mail\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\n\
        Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; Gone@Example.org\r\nAction: failed\r\n\
        Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no\r\n such user\r\n\r\nFinal-Recipient: rfc822; full@example.org\r\nAction: delayed\r\nStatus: 4.2.2\r\n\r\n--b\r\n\
        Content-Type: message/rfc822\r\n\r\nFrom: crm@example.org\r\nX-EMCRM-Delivery: token\r\nSubject: Hi\r\n\r\nHello\r\n--b--\r\n";

    #[test]
    fn a_bounce_says_about_whom_it_is_and_by_which_mail() {
        let reports = read(BOUNCE.as_bytes());
        assert_eq!(reports.len(), 2);
        let Some([gone, full]) = reports.first_chunk() else { panic!() };
        assert_eq!((gone.kind, gone.address.as_deref(), gone.delivery.as_deref()), (ReportKind::Bounced, Some("Gone@Example.org"), Some("token")));
        assert_eq!(gone.words, "550 5.1.1 no such user");
        assert_eq!((full.kind, full.words.as_str()), (ReportKind::Delayed, "delayed 4.2.2"));
    }

    #[test]
    fn what_was_given_up_did_not_arrive_and_only_dead_addresses_are_held_against_anybody() {
        for (action, status, expected) in [
            ("failed", "5.1.1", ReportKind::Bounced),
            ("Failed", "5.1.10", ReportKind::Bounced),
            ("failed", "5.0.0", ReportKind::Bounced),
            ("failed", "5.2.1", ReportKind::Bounced),
            ("failed", "5.2.2", ReportKind::Returned),
            ("failed", "5.7.1", ReportKind::Returned),
            ("failed", "4.4.7", ReportKind::Returned),
            ("delayed", "4.4.1", ReportKind::Delayed),
            ("relayed", "2.0.0", ReportKind::Delayed),
        ] {
            let mail = BOUNCE.replace("Action: failed\r\nStatus: 5.1.1", &format!("Action: {action}\r\nStatus: {status}"));
            assert_eq!(read(mail.as_bytes()).first().map(|report| report.kind), Some(expected), "{action} {status}");
        }
        let forwarded =
            BOUNCE.replace("Final-Recipient: rfc822; Gone@", "Final-Recipient: rfc822; elsewhere@other.example\r\nOriginal-Recipient: rfc822; Gone@");
        assert_eq!(read(forwarded.as_bytes()).first().and_then(|report| report.address.as_deref()), Some("Gone@Example.org"));
    }

    #[test]
    fn a_complaint_is_told_by_the_original_mail() {
        let mail = "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\
            Original-Rcpt-To: <ann@example.org>\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nX-EMCRM-Delivery: t\r\n\r\n--b--\r\n";
        let reports = read(mail.as_bytes());
        let expected = Report {
            kind: ReportKind::Complained,
            delivery: Some("t".to_owned()),
            address: Some("ann@example.org".to_owned()),
            words: "reported as abuse".to_owned(),
        };
        assert_eq!(reports, [expected]);
    }

    #[test]
    fn other_mail_says_nothing_and_broken_mail_harms_nobody() {
        assert_eq!(read(b"Subject: I am on holiday\r\n\r\nBack soon."), []);
        for end in 0..BOUNCE.len() {
            let _ = read(&BOUNCE.as_bytes()[..end]);
        }
    }

    /// Without the bound on its parts a mail of 200 kB ended the process: its stack was full.
    #[test]
    fn a_mail_with_many_parts_within_parts_says_nothing() {
        let nested =
            |depth: usize| (0..depth).map(|n| format!("Content-Type: multipart/mixed; boundary={n:06}\r\n\r\n--{n:06}\r\n")).collect::<Vec<_>>().concat();
        for depth in [1, PARTS_MAX, PARTS_MAX + 1, 30_000] {
            assert_eq!(read(nested(depth).as_bytes()), [], "{depth}");
        }
        // The other parts of a report may be many.
        let with = |more: usize| BOUNCE.replacen("--b\r\n", &format!("{}--b\r\n", "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n".repeat(more)), 1);
        let kinds = BOUNCE.matches("Content-Type:").count();
        assert_eq!([PARTS_MAX - kinds, PARTS_MAX - kinds + 1].map(|more| read(with(more).as_bytes()).len()), [2, 0]);
    }
}
