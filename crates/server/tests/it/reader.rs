//! Mails as a person reads them: sent through a real mail server with a reader (maildev), read back from it, and compared field by field.

use std::sync::Arc;
use std::time::Duration;

use emcrm_mail::{DELIVERY_HEADER, SmtpSettings, SmtpTransport, message_id};
use emcrm_server::router::router;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::helpers::{Options, TestApp, part};

/// What the reader has, as JSON. Its pages are at the port after the one for mail.
async fn read(smtp: &str, path: &str) -> String {
    let (host, port) = smtp.rsplit_once(':').unwrap();
    let mut stream = tokio::net::TcpStream::connect((host, port.parse::<u16>().unwrap() + 1)).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Lines that were folded in writing, together again.
fn unfolded(text: &str) -> Vec<(&str, String)> {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for line in text.split_terminator("\r\n") {
        match line.strip_prefix([' ', '\t']) {
            Some(more) => lines.last_mut().unwrap().1.push_str(more),
            None => lines.push(line.split_once(':').map(|(name, value)| (name, value.to_owned())).unwrap()),
        }
    }
    lines
}

/// The value that is there once.
fn only<'a>(lines: &'a [(&str, String)], name: &str) -> &'a str {
    let values: Vec<_> = lines.iter().filter(|(have, _)| *have == name).map(|(_, value)| value.trim_start()).collect();
    assert_eq!(values.len(), 1, "{name}: {lines:?}");
    values[0]
}

#[tokio::test]
async fn a_mail_is_read_as_it_was_written() {
    let smtp = part("EMCRM_MAILDEV");
    let settings = SmtpSettings::parse(&format!("smtp://{smtp}?connections=2")).unwrap();
    let transport = Arc::new(SmtpTransport::new(settings).unwrap());
    let mut app = TestApp::with(Options { transport: Some(transport), public_url: Some("https://crm.example"), ..Options::default() }, router).await;
    app.work();
    let address = format!("jörg+{:08x}@example.org", rand::random::<u32>()).replace("jörg", "joerg");
    let person = json!({"firstName": "Jörg 🦀 \"Q\"", "lastName": "O'Neil <b>", "email": address, "company": "{{ user.email }} & <i>Söhne</i>"});
    let person = app.post("/users", person).await.ok();
    let event = app
        .post("/events", json!({"title": "Rust & Räucherlachs", "slug": "rust-night", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00", "timezone": "Europe/Berlin", "venue": "Halle 2, hinten", "public": true}))
        .await
        .ok();
    app.settled().await;
    let body = "<html><head><style>h1 { color: #123456 }</style></head><body><h1>Hallo {{ user.firstName }}</h1>\
                <p>{{ user.company }} trifft sich: {{ event.title }}, {{ event.startAt | time }}, {{ event.venue }}. <a href=\"{{ event.url }}\">Mehr</a></p></body></html>";
    let made = app
        .post("/email/send", json!({"filter": {}, "subject": "Grüße 🎉, {{ user.firstName }}", "body": body, "bodyFormat": "html", "eventId": event["id"]}))
        .await
        .ok();
    let at = format!("/email/requests/{}", made["email_id"].as_str().unwrap());
    let mut mail = Value::Null;
    for _ in 0..6_000 {
        let sent = app.get(&at).await.ok();
        assert_eq!(sent["counts"]["error"], 0, "{}", app.get(&format!("/email/status/{}", made["email_id"].as_str().unwrap())).await.ok());
        let mails: Vec<Value> = serde_json::from_str(&read(&smtp, "/api/email").await).unwrap();
        if let Some(found) = mails.into_iter().find(|mail| mail["to"].to_string().contains(&address)) {
            mail = found;
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(mail["subject"], "Grüße 🎉, Jörg 🦀 \"Q\"");
    assert_eq!((&mail["from"][0]["name"], &mail["from"][0]["address"]), (&json!("EMCRM"), &json!("crm@example.org")));
    assert_eq!((&mail["to"][0]["name"], &mail["to"][0]["address"]), (&json!("Jörg 🦀 \"Q\" O'Neil <b>"), &json!(address)));
    let html = mail["html"].as_str().unwrap();
    assert!(html.contains("<h1 style=\"color: #123456") && html.contains("Hallo Jörg 🦀 &quot;Q&quot;</h1>"), "{html}");
    assert!(
        html.contains("{{ user.email }} &amp; &lt;i&gt;Söhne&lt;/i&gt; trifft sich: Rust &amp; Räucherlachs, 18:00 (Europe/Berlin), Halle 2, hinten."),
        "{html}"
    );
    assert!(html.contains("href=\"https://crm.example/e/rust-night\"") && html.contains("https://crm.example/u/"), "{html}");
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("Hallo Jörg 🦀 \"Q\"") && text.contains("<i>Söhne</i>") && text.contains("https://crm.example/u/"), "{text}");
    let source = read(&smtp, &format!("/api/email/{}/source", mail["id"].as_str().unwrap())).await;
    let head = unfolded(source.split_once("\r\n\r\n").unwrap().0);
    let names: Vec<_> = head.iter().map(|(name, _)| *name).collect();
    let expected =
        ["Date", "From", "To", "Subject", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", DELIVERY_HEADER, "MIME-Version", "Content-Type"];
    assert_eq!(names, expected, "{source}");
    let id = message_id(made["email_id"].as_str().unwrap(), person["id"].as_str().unwrap(), "example.org");
    let link = text.split_whitespace().find(|word| word.starts_with("https://crm.example/u/")).unwrap();
    let page = link.strip_prefix("https://crm.example").unwrap();
    for (name, value) in [
        ("Date", "Fri, 2 Jan 2026 03:04:05 +0000"),
        ("Message-ID", &format!("<{id}>")),
        ("List-Unsubscribe", &format!("<{link}>")),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("MIME-Version", "1.0"),
    ] {
        assert_eq!(only(&head, name), value, "{name}");
    }
    assert_eq!(app.get(page).await.status, 200, "what the header says leads to the page");
    let envelope = &mail["envelope"];
    assert_eq!((&envelope["from"]["address"], envelope["to"].as_array().unwrap().len()), (&json!("crm@example.org"), 1), "{envelope}");
    assert_eq!(envelope["to"][0]["address"], address.as_str());
    let attachments = mail["attachments"].as_array().unwrap();
    assert_eq!(attachments.len(), 1, "{}", mail["attachments"]);
    let file = &attachments[0];
    for (name, value) in [("filename", "event.ics"), ("contentType", "text/calendar"), ("contentDisposition", "attachment")] {
        assert_eq!(file[name], value, "{file}");
    }
    let kept_as = file["generatedFileName"].as_str().unwrap();
    let calendar = read(&smtp, &format!("/api/email/{}/attachment/{kept_as}", mail["id"].as_str().unwrap())).await;
    let calendar = unfolded(&calendar);
    for (name, value) in [
        ("METHOD", "PUBLISH"),
        ("X-WR-TIMEZONE", "Europe/Berlin"),
        ("UID", &format!("{}@example.org", event["id"].as_str().unwrap())),
        ("SEQUENCE", "1"),
        ("DTSTAMP", "20260102T030405Z"),
        ("DTSTART;TZID=Europe/Berlin", "20260301T180000"),
        ("DTEND;TZID=Europe/Berlin", "20260301T200000"),
        ("SUMMARY", "Rust & Räucherlachs"),
        ("LOCATION", "Halle 2\\, hinten"),
        ("URL", "https://crm.example/e/rust-night"),
    ] {
        assert_eq!(only(&calendar, name), value, "{name}");
    }
    app.stop().await;
}
