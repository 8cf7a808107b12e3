//! Messages of SNS: signed by moto as Amazon signs them, and forged ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use emcrm_mail::{Notification, NotificationError, Notifications, Report, ReportKind};
use emcrm_mail_ses::{Fetch, SnsTopic};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::moto;

/// A request to moto, by hand.
async fn http(method: &str, path: &str, service: &str, body: &str) -> String {
    let host = moto().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut stream = TcpStream::connect(&host).await.unwrap();
    let signature = format!("AWS4-HMAC-SHA256 Credential=t/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    text.split_once(begin).unwrap_or_else(|| panic!("{begin} in {text}")).1.split_once(end).unwrap().0
}

/// The certificate comes from moto instead of Amazon; who asked for what is remembered.
#[derive(Default)]
struct Stand {
    asked: Mutex<Vec<String>>,
    broken: Mutex<bool>,
}

#[async_trait]
impl Fetch for Stand {
    async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        self.asked.lock().push(url.to_string());
        if *self.broken.lock() {
            return Err("no route".to_owned());
        }
        if url.path().strip_suffix(".pem").is_some() { Ok(http("GET", url.path(), "sns", "").await.into_bytes()) } else { Ok(Vec::new()) }
    }
}

static TOPICS: AtomicU32 = AtomicU32::new(0);

/// A topic that posts to a listener here, and what it posts.
async fn published(message: &Value) -> (String, Value) {
    let name = format!("t{:08x}-{:08x}", std::process::id(), TOPICS.fetch_add(1, Ordering::Relaxed));
    let made = http("POST", "/", "sns", &format!("Action=CreateTopic&Name={name}&Version=2010-03-31")).await;
    let arn = between(&made, "<TopicArn>", "</TopicArn>").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/hook", listener.local_addr().unwrap());
    let received = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut bytes, mut chunk) = (Vec::new(), [0; 16_384]);
            let text = loop {
                let n = stream.read(&mut chunk).await.unwrap();
                bytes.extend_from_slice(&chunk[..n]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap()));
                    if body.len() >= length.unwrap_or(0) || n == 0 {
                        break body.to_owned();
                    }
                }
            };
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
            if text.contains("\"Notification\"") {
                return serde_json::from_str::<Value>(&text).unwrap();
            }
        }
    });
    let subscribe = format!("Action=Subscribe&Protocol=http&TopicArn={}&Endpoint={}&Version=2010-03-31", encode(&arn), encode(&endpoint));
    http("POST", "/", "sns", &subscribe).await;
    let publish = format!("Action=Publish&TopicArn={}&Message={}&Version=2010-03-31", encode(&arn), encode(&message.to_string()));
    http("POST", "/", "sns", &publish).await;
    (arn, received.await.unwrap())
}

fn bounce() -> Value {
    json!({
        "notificationType": "Bounce",
        "bounce": {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "gone@example.org", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 no such user"}]},
        "mail": {"messageId": "m1", "headers": [{"name": "From", "value": "crm@example.org"}, {"name": "X-EMCRM-Delivery", "value": " token "}]},
    })
}

fn topic(arn: &str, at: Timestamp, stand: &Arc<Stand>) -> SnsTopic {
    SnsTopic::with(arn.to_owned(), Arc::new(move || at), stand.clone())
}

#[tokio::test]
async fn a_signed_message_is_believed_and_every_change_of_it_is_not() {
    let (arn, message) = published(&bounce()).await;
    let at: Timestamp = message["Timestamp"].as_str().unwrap().parse().unwrap();
    let stand = Arc::new(Stand::default());
    let ours = topic(&arn, at, &stand);
    let expected = Report {
        kind: ReportKind::Bounced,
        delivery: Some("token".to_owned()),
        address: Some("gone@example.org".to_owned()),
        words: "smtp; 550 5.1.1 no such user".to_owned(),
    };
    let expected = Notification { id: message["MessageId"].as_str().unwrap().to_owned(), reports: vec![expected] };
    for _ in 0..3 {
        assert_eq!(ours.receive(message.to_string().as_bytes()).await.unwrap(), expected);
    }
    assert_eq!(stand.asked.lock().len(), 1, "the certificate is fetched once");
    assert!(stand.asked.lock()[0].starts_with("https://sns."));

    for (name, value) in [
        ("Message", json!(bounce().to_string().replace("gone@", "ann@"))),
        ("MessageId", json!("other")),
        ("Subject", json!("Other")),
        ("Type", json!("SubscriptionConfirmation")),
        ("Signature", json!("AAAA")),
        ("SignatureVersion", json!("1")),
        ("SignatureVersion", json!("9")),
        ("TopicArn", json!("arn:aws:sns:us-east-1:123456789012:other")),
        ("SigningCertURL", json!("https://evil.example/cert.pem")),
        ("SigningCertURL", json!("https://sns.us-east-1.amazonaws.com.evil.example/cert.pem")),
        ("SigningCertURL", json!("https://evil.example/sns.us-east-1.amazonaws.com/cert.pem")),
        ("SigningCertURL", json!("http://sns.us-east-1.amazonaws.com/cert.pem")),
        ("SigningCertURL", json!("https://user@sns.us-east-1.amazonaws.com/cert.pem")),
        ("SigningCertURL", json!("https://sns.us-east-1.amazonaws.com:8443/cert.pem")),
        ("SigningCertURL", json!("https://sns.x/y.amazonaws.com/cert.pem")),
        ("SigningCertURL", json!("https://sns.s3.amazonaws.com/cert.pem")),
        ("SigningCertURL", json!("https://sns.s3-us-west-2.amazonaws.com/cert.pem")),
        ("SigningCertURL", json!("https://sns.us-east-1.amazonaws.com/?x=cert.pem")),
    ] {
        let mut forged = message.clone();
        forged[name] = value.clone();
        let result = ours.receive(forged.to_string().as_bytes()).await;
        assert!(matches!(result, Err(NotificationError::Untrusted(_))), "{name} {value}: {result:?}");
    }
    assert_eq!(stand.asked.lock().len(), 1, "nothing else was asked, least of all where a forger says");

    for (shift, believed) in [(SignedDuration::from_mins(59), true), (SignedDuration::from_mins(61), false), (SignedDuration::from_mins(-6), false)] {
        let result = topic(&arn, at + shift, &stand).receive(message.to_string().as_bytes()).await;
        assert_eq!(result.is_ok(), believed, "{shift:?}: {result:?}");
    }
    // Without the limit a message that somebody kept is believed for as long as its certificate lives.
    let kept = topic(&arn, at + SignedDuration::from_hours(48), &stand).however_old();
    assert_eq!(kept.receive(message.to_string().as_bytes()).await.unwrap(), expected);
    for broken in ["", "{}", "[]", "null", "{\"Type\":1}"] {
        assert!(matches!(ours.receive(broken.as_bytes()).await, Err(NotificationError::Malformed(_))), "{broken}");
    }
    *stand.broken.lock() = true;
    let result = topic(&arn, at, &stand).receive(message.to_string().as_bytes()).await;
    assert!(matches!(result, Err(NotificationError::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn complaints_delays_and_other_events_are_told_apart() {
    let mail = json!({"messageId": "m", "headers": [{"name": "x-emcrm-delivery", "value": "t"}]});
    let told: HashMap<&str, Value> = HashMap::from([
        (
            "complaint",
            json!({"eventType": "Complaint", "complaint": {"complainedRecipients": [{"emailAddress": "ann@example.org"}], "complaintFeedbackType": "abuse"}, "mail": mail}),
        ),
        (
            "delayed",
            json!({"eventType": "Bounce", "bounce": {"bounceType": "Transient", "bouncedRecipients": [{"emailAddress": "full@example.org"}]}, "mail": mail}),
        ),
        (
            "returned",
            json!({"eventType": "Bounce", "bounce": {"bounceType": "Transient", "bounceSubType": "MailboxFull",
                "bouncedRecipients": [{"emailAddress": "full@example.org"}]}, "mail": mail}),
        ),
        ("other", json!({"eventType": "Delivery", "mail": mail})),
    ]);
    for (which, message) in told {
        let (arn, signed) = published(&message).await;
        let at: Timestamp = signed["Timestamp"].as_str().unwrap().parse().unwrap();
        let reports = topic(&arn, at, &Arc::new(Stand::default())).receive(signed.to_string().as_bytes()).await.unwrap().reports;
        let found: Vec<_> = reports.iter().map(|report| (report.kind, report.address.as_deref().unwrap(), report.delivery.as_deref().unwrap())).collect();
        match which {
            "complaint" => assert_eq!(found, [(ReportKind::Complained, "ann@example.org", "t")]),
            "returned" => assert_eq!(found, [(ReportKind::Returned, "full@example.org", "t")]),
            "delayed" => assert_eq!(found, [(ReportKind::Delayed, "full@example.org", "t")]),
            _ => assert!(found.is_empty()),
        }
    }
}
