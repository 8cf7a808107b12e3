//! Templates and the mail that is made of them: what is filled in stays a value, and whatever the values are, the mail has the head that it should have.
#![no_main]

use emcrm_app::template::{EventValues, Recipient, Template};
use emcrm_fuzz::parts;
use emcrm_mail::{Mailbox, Message, Opened};
use emcrm_model::{BodyFormat, MailContent, User};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

/// Every kind of mark that means something somewhere.
const HOSTILE: &str = "qz<qz>\"qz'qz&qz{{qz}}{%qz%}\r\nBcc: qz@example.org";
const HEAD: [&str; 10] =
    ["date", "from", "to", "subject", "message-id", "list-unsubscribe", "list-unsubscribe-post", "mime-version", "content-type", "content-transfer-encoding"];

fuzz_target!(|text: &str| {
    let [kind, subject, body, first, last] = parts(text);
    let body_format = match kind.len() % 3 {
        0 => BodyFormat::Text,
        1 => BodyFormat::Markdown,
        _ => BodyFormat::Html,
    };
    let content = MailContent { subject: subject.to_owned(), body: body.to_owned(), body_format };
    let Ok(template) = Template::compile(&content, true) else { return };
    let event = json!({"id": "e", "slug": "meetup", "title": HOSTILE, "startAt": "2026-11-19T18:30:00", "endAt": "2026-11-19T21:00:00", "venue": first});
    let event = EventValues::new(&serde_json::from_value(event).unwrap(), &TimeZone::UTC, None);
    let user: User =
        serde_json::from_value(json!({"id": "u", "firstName": first, "lastName": last, "email": "a@example.org", "city": HOSTILE, "company": HOSTILE}))
            .unwrap();
    let recipient = Recipient { user: Some(&user), event: Some(&event), unsubscribe_url: Some("https://crm.example/u/token") };
    let Ok(mail) = template.render(&recipient) else { return };
    assert!(mail.subject.len() <= 4_000 && mail.text.len() <= 1_000_000);
    if let Some(html) = &mail.html {
        assert!(html.len() <= 1_000_000);
        let theirs = |text: &str| text.to_lowercase().contains("qz");
        if ![subject, body, first, last].into_iter().any(theirs) {
            assert!(!html.to_lowercase().contains("qz<") && !html.to_lowercase().contains("qz\""), "{html}");
        }
    }
    let message = Message {
        from: Mailbox { name: Some("CRM".to_owned()), address: "crm@example.org".to_owned() },
        to: Mailbox { name: Some(format!("{first} {last}")), address: "a@example.org".to_owned() },
        reply_to: None,
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
        calendar: None,
        message_id: "1@example.org".to_owned(),
        date: Timestamp::UNIX_EPOCH,
        unsubscribe_url: Some("https://crm.example/u/token".to_owned()),
        headers: Vec::new(),
    };
    let Ok(bytes) = message.to_bytes() else { return };
    let bare = bytes.iter().enumerate().any(|(n, byte)| match byte {
        b'\n' => n == 0 || bytes[n - 1] != b'\r',
        b'\r' => bytes.get(n + 1) != Some(&b'\n'),
        0 => true,
        _ => false,
    });
    assert!(!bare, "a bare CR or LF, or a NUL");
    let whole = String::from_utf8(bytes).expect("a mail is text");
    assert!(whole.split("\r\n").all(|line| line.len() <= 998));
    let (head, _) = whole.split_once("\r\n\r\n").expect("a head and a body");
    let mut seen = Vec::new();
    for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
        let name = line.split_once(':').expect("a header has a name").0.to_ascii_lowercase();
        assert!(HEAD.contains(&name.as_str()) && !seen.contains(&name), "{line}");
        seen.push(name);
    }
    let squeezed = |text: &str| text.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect::<String>();
    let opened = Opened::read(whole.as_bytes());
    assert_eq!(squeezed(opened.header("subject").unwrap_or_default()), squeezed(&message.subject));
});
