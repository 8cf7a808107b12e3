//! What SES tells by SNS: bounces and complaints, posted to this installation. Each message is believed only when it is surely Amazon's and of our own topic:
//! its signature is checked with a certificate that comes from Amazon's own host over HTTPS, and it is not older than an hour.

use std::collections::HashMap;
use std::sync::Arc;
#[cfg(feature = "transport")]
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emcrm_mail::{DELIVERY_HEADER, Notification, NotificationError, Notifications, Report, ReportKind};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// Oldest message that is believed: SNS repeats for that long. Whoever works on one remembers its id for a day, which is longer.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(1);
/// Clocks may differ by so much.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Certificates that are kept, and the largest that is read.
const CERTIFICATES_MAX: usize = 8;
#[cfg(feature = "transport")]
const CERTIFICATE_BYTES: usize = 64 * 1024;
/// Largest message.
const MESSAGE_MAX: usize = 512 * 1024;
#[cfg(feature = "transport")]
const PATIENCE: Duration = Duration::from_secs(10);

/// Fetches from Amazon. Another one stands in for it in tests.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    async fn get(&self, url: &Url) -> Result<Vec<u8>, String>;
}

/// One topic of SNS.
pub struct SnsTopic {
    arn: String,
    fetch: Arc<dyn Fetch>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    certificates: Mutex<HashMap<String, Vec<u8>>>,
    age_max: SignedDuration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    #[serde(rename = "Type")]
    kind: String,
    message_id: String,
    topic_arn: String,
    message: String,
    timestamp: String,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
    subject: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    token: Option<String>,
}

impl SnsTopic {
    /// `arn`: the topic whose messages are believed.
    #[cfg(feature = "transport")]
    pub fn new(arn: String, now: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Result<Self, String> {
        // Another part of the program may have installed it; either way there is one now.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self::with(arn, now, Arc::new(Web(http))))
    }

    /// With another way to the certificates.
    pub fn with(arn: String, now: Arc<dyn Fn() -> Timestamp + Send + Sync>, fetch: Arc<dyn Fetch>) -> Self {
        Self { arn, fetch, now, certificates: Mutex::default(), age_max: AGE_MAX }
    }

    /// Believes what is older than an hour, too: a test sees by this what the limit stops.
    #[must_use]
    pub fn however_old(self) -> Self {
        Self { age_max: SignedDuration::MAX, ..self }
    }

    async fn certificate(&self, url: &Url) -> Result<Vec<u8>, NotificationError> {
        if let Some(known) = self.certificates.lock().get(url.as_str()) {
            return Ok(known.clone());
        }
        let pem = self.fetch.get(url).await.map_err(NotificationError::Unavailable)?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).map_err(|_| untrusted("the certificate cannot be read"))?;
        let mut certificates = self.certificates.lock();
        if certificates.len() >= CERTIFICATES_MAX {
            certificates.clear();
        }
        certificates.insert(url.to_string(), pem.contents.clone());
        Ok(pem.contents)
    }

    async fn check(&self, envelope: &Envelope) -> Result<(), NotificationError> {
        if envelope.topic_arn != self.arn {
            return Err(untrusted("it is of another topic"));
        }
        let at: Timestamp = envelope.timestamp.parse().map_err(|_| NotificationError::Malformed("the time cannot be read".to_owned()))?;
        let age = (self.now)().duration_since(at);
        if age > self.age_max || age < -AHEAD_MAX {
            return Err(untrusted("it is too old, or of the future"));
        }
        let algorithm = match envelope.signature_version.as_str() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(untrusted("its signature is of an unknown version")),
        };
        let url = amazons(&envelope.signing_cert_url)
            .filter(|url| url.query().is_none() && url.path().strip_suffix(".pem").is_some())
            .ok_or_else(|| untrusted("its certificate is not at Amazon's"))?;
        let der = self.certificate(&url).await?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).map_err(|_| untrusted("the certificate cannot be read"))?;
        let seconds = x509_parser::time::ASN1Time::from_timestamp((self.now)().as_second()).map_err(|_| untrusted("the time cannot be compared"))?;
        if !certificate.validity().is_valid_at(seconds) {
            return Err(untrusted("the certificate is not valid any more, or not yet"));
        }
        let signature = STANDARD.decode(&envelope.signature).map_err(|_| untrusted("the signature cannot be read"))?;
        let key = UnparsedPublicKey::new(algorithm, certificate.public_key().subject_public_key.data.as_ref());
        key.verify(envelope.signed_text().as_bytes(), &signature).map_err(|_| untrusted("the signature is wrong"))
    }
}

fn untrusted(why: &str) -> NotificationError {
    NotificationError::Untrusted(why.to_owned())
}

/// An address of SNS itself: `https://sns.<region>.amazonaws.com/…`.
fn amazons(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let region = host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn")))?;
    // `sns.s3.amazonaws.com` and its like are buckets, and anybody's.
    let mut parts = region.split('-');
    let area = parts.next().is_some_and(|area| area.len() == 2 && area.bytes().all(|b| b.is_ascii_lowercase()));
    let number = parts.next_back().is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    let places: Vec<&str> = parts.collect();
    let sane = area && number && !places.is_empty() && places.iter().all(|place| !place.is_empty() && place.bytes().all(|b| b.is_ascii_lowercase()));
    (url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none() && sane).then_some(url)
}

impl Envelope {
    /// What the signature is over, in Amazon's order.
    fn signed_text(&self) -> String {
        let mut text = String::new();
        let mut put = |name: &str, value: &str| {
            text.push_str(name);
            text.push('\n');
            text.push_str(value);
            text.push('\n');
        };
        put("Message", &self.message);
        put("MessageId", &self.message_id);
        if self.kind == "Notification" {
            if let Some(subject) = &self.subject {
                put("Subject", subject);
            }
        } else {
            put("SubscribeURL", self.subscribe_url.as_deref().unwrap_or_default());
        }
        put("Timestamp", &self.timestamp);
        if self.kind != "Notification" {
            put("Token", self.token.as_deref().unwrap_or_default());
        }
        put("TopicArn", &self.topic_arn);
        put("Type", &self.kind);
        text
    }
}

#[async_trait]
impl Notifications for SnsTopic {
    async fn receive(&self, body: &[u8]) -> Result<Notification, NotificationError> {
        if body.len() > MESSAGE_MAX {
            return Err(NotificationError::Malformed("it is too large".to_owned()));
        }
        let envelope: Envelope = serde_json::from_slice(body).map_err(|error| NotificationError::Malformed(error.to_string()))?;
        self.check(&envelope).await?;
        let reports = match envelope.kind.as_str() {
            "Notification" => reports(&envelope.message),
            "SubscriptionConfirmation" => {
                let url = envelope.subscribe_url.as_deref().and_then(amazons).ok_or_else(|| untrusted("its confirmation is not at Amazon's"))?;
                self.fetch.get(&url).await.map_err(NotificationError::Unavailable)?;
                tracing::info!(topic = %self.arn, "the subscription is confirmed");
                Vec::new()
            }
            _ => Vec::new(),
        };
        // The signature is over the id too.
        Ok(Notification { id: envelope.message_id, reports })
    }
}

/// What a message of SES says. Other events, such as deliveries, say nothing here.
pub fn reports(message: &str) -> Vec<Report> {
    let Ok(event) = serde_json::from_str::<Value>(message) else { return Vec::new() };
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let headers = event.pointer("/mail/headers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let ours = headers.iter().find(|header| text(header, "name").is_some_and(|name| name.eq_ignore_ascii_case(DELIVERY_HEADER)));
    let delivery = ours.and_then(|header| text(header, "value")).map(|value| value.trim().to_owned());
    let list = |path: &str| event.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let kind = text(&event, "eventType").or_else(|| text(&event, "notificationType")).unwrap_or_default();
    match kind.as_str() {
        "Bounce" => {
            let of = |path| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let kind = match (of("/bounce/bounceType"), of("/bounce/bounceSubType")) {
                ("Permanent", _) => ReportKind::Bounced,
                // Given up, though the address is good. The general ones may be no more than an answer of somebody on holiday.
                ("Transient", "MailboxFull" | "MessageTooLarge" | "ContentRejected" | "AttachmentRejected") => ReportKind::Returned,
                _ => ReportKind::Delayed,
            };
            let report = |recipient: Value| {
                let words = text(&recipient, "diagnosticCode").or_else(|| text(&recipient, "status")).unwrap_or_else(|| "bounced".to_owned());
                Report { kind, delivery: delivery.clone(), address: text(&recipient, "emailAddress"), words }
            };
            list("/bounce/bouncedRecipients").into_iter().map(report).collect()
        }
        "Complaint" => {
            let words = event.pointer("/complaint/complaintFeedbackType").and_then(Value::as_str).unwrap_or("complaint");
            let report = |recipient: Value| Report {
                kind: ReportKind::Complained,
                delivery: delivery.clone(),
                address: text(&recipient, "emailAddress"),
                words: format!("reported as {words}"),
            };
            list("/complaint/complainedRecipients").into_iter().map(report).collect()
        }
        _ => Vec::new(),
    }
}

/// Over HTTPS, without redirects.
#[cfg(feature = "transport")]
struct Web(reqwest::Client);

#[cfg(feature = "transport")]
#[async_trait]
impl Fetch for Web {
    async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let mut response = self.0.get(url.clone()).send().await.map_err(|error| error.without_url().to_string())?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > CERTIFICATE_BYTES {
                return Err("too large".to_owned());
            }
        }
        Ok(bytes)
    }
}
