//! Mails as a person reads them: sent through a real mail server with a reader (maildev), read back from it, and compared field by field.

use std::sync::Arc;
use std::time::Duration;

use emcrm_mail::{SmtpSettings, SmtpTransport};
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

#[tokio::test]
async fn a_mail_is_read_as_it_was_written() {
    let smtp = part("EMCRM_MAILDEV");
    let settings = SmtpSettings::parse(&format!("smtp://{smtp}?connections=2")).unwrap();
    let transport = Arc::new(SmtpTransport::new(settings).unwrap());
    let mut app = TestApp::with(Options { transport: Some(transport), public_url: Some("https://crm.example"), ..Options::default() }, router).await;
    app.work();
    let address = format!("jörg+{:08x}@example.org", rand::random::<u32>()).replace("jörg", "joerg");
    let person = json!({"firstName": "Jörg 🦀 \"Q\"", "lastName": "O'Neil <b>", "email": address, "company": "{{ user.email }} & <i>Söhne</i>"});
    app.post("/users", person).await.ok();
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
    for _ in 0..1_000 {
        let sent = app.get(&at).await.ok();
        assert_eq!(sent["counts"]["error"], 0, "{}", app.get(&format!("/email/status/{}", made["email_id"].as_str().unwrap())).await.ok());
        let mails: Value = serde_json::from_str(&read(&smtp, "/api/email").await).unwrap();
        let mails = mails.as_array().cloned().or_else(|| mails["items"].as_array().cloned()).unwrap_or_default();
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
    for header in [
        "\r\nList-Unsubscribe: <https://crm.example/u/",
        "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        "@example.org>\r\nList-",
        "\r\nMIME-Version: 1.0\r\n",
    ] {
        assert!(source.contains(header), "{header:?} in {source}");
    }
    assert_eq!(mail["envelope"]["from"]["address"].as_str().unwrap_or("crm@example.org"), "crm@example.org");
    assert_eq!(
        mail["attachments"][0]["fileName"]
            .as_str()
            .or_else(|| mail["attachments"][0]["filename"].as_str())
            .or_else(|| mail["attachments"][0]["generatedFileName"].as_str()),
        Some("event.ics"),
        "{}",
        mail["attachments"]
    );
    app.stop().await;
}
