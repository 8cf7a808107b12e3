//! `/mail/events`: what comes back after mails were taken.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::feedback::Heard;
use emcrm_app::{App, AppError, Call};
use emcrm_mail::{Notification, NotificationError, Report, report};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Problem};
use crate::auth::{Auth, Sender, Without};
use crate::http::call::Fingerprint;
use crate::http::request::Open;
use crate::http::{Answer, json};
use crate::router::ApiState;

/// Largest mail that can be told, in bytes: bounces carry the original.
const MAIL_MAX: usize = 2 * 1024 * 1024;

/// What was made of the reports.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MailEvents)]
pub struct EventsOut {
    /// The ledger and the suppression list have them now.
    #[schema(minimum = 0)]
    pub recorded: u32,
    /// They were told before.
    #[schema(minimum = 0)]
    pub known: u32,
    /// They are about no mail of this installation.
    #[schema(minimum = 0)]
    pub not_ours: u32,
    /// They ask for nothing, such as delays.
    #[schema(minimum = 0)]
    pub ignored: u32,
}

/// A mail as it arrived, with its headers.
#[derive(Debug, ToSchema)]
#[schema(min_length = 1)]
pub struct ReturnedMail(#[expect(dead_code, reason = "stands for the body in the document")] String);

async fn bytes(body: Body) -> Result<Vec<u8>, ApiError> {
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("a mail has at most {MAIL_MAX} bytes here"));
    Ok(to_bytes(body, MAIL_MAX).await.map_err(|_| too_large())?.to_vec())
}

async fn record(app: &App, call: &Call, reports: &[Report]) -> Result<EventsOut, ApiError> {
    let mut out = EventsOut::default();
    for report in reports {
        let n = match app.feedback(call, report).await? {
            Heard::Recorded => &mut out.recorded,
            Heard::Known => &mut out.known,
            Heard::NotOurs => &mut out.not_ours,
            Heard::Ignored => &mut out.ignored,
        };
        *n += 1;
    }
    Ok(out)
}

/// A mail that came back (RFC 3464) or a complaint (RFC 5965), as it arrived. For a mail server that pipes bounces to a program.
#[utoipa::path(post, path = "/mail/events/bounce", tag = "Email", operation_id = "mail_bounce",
    request_body(content = ReturnedMail, content_type = "text/plain", description = "The whole mail; `message/rfc822` is taken as well"), responses(
    (status = 200, description = "What was made of it", body = EventsOut),
    (status = 413, description = "The mail is too large", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn bounce(auth: Auth<Sender>, body: Body) -> Answer {
    let mail = bytes(body).await?;
    if mail.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "empty_body", "The body is the mail that came back.").into());
    }
    let call = auth.write(&Whole(&mail))?;
    json(&record(auth.app(), &call, &report::read(&mail)).await?)
}

/// A body that is taken as it came.
struct Whole<'a>(&'a [u8]);

impl Fingerprint for Whole<'_> {
    fn body(&self) -> &[u8] {
        self.0
    }
}

/// What Amazon SES tells by SNS. Open, because every message is signed; only the configured topic is believed.
#[utoipa::path(post, path = "/mail/events/sns", tag = "Email", operation_id = "mail_sns",
    request_body(content = String, content_type = "text/plain", description = "A message of SNS"), responses(
    (status = 200, description = "What was made of it", body = EventsOut),
    (status = 400, description = "It is no message of SNS", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 403, description = "It is not signed by Amazon, too old, or of another topic", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 404, description = "No topic is configured", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn sns(Open(info): Open, State(state): State<ApiState>, body: Body) -> Answer {
    let notifications =
        state.notifications.as_ref().ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no_topic", "No topic of SNS is configured: MAIL_SNS_TOPIC"))?;
    let Notification { id, reports } = notifications.receive(&bytes(body).await?).await.map_err(|error| {
        let text = error.to_string();
        tracing::warn!(%text, "a notification was refused");
        match error {
            NotificationError::Malformed(_) => Problem::new(StatusCode::BAD_REQUEST, "bad_notification", text),
            NotificationError::Untrusted(_) => Problem::new(StatusCode::FORBIDDEN, "untrusted_notification", text),
            NotificationError::Unavailable(_) => Problem::unavailable("certificate_unavailable", "The signature cannot be checked now.", 30, text),
        }
    })?;
    // Whoever kept a message could send it again, when staff have taken the address off the list that it puts it on.
    if state.access.without != Without::Once && state.app.notification_was_heard(&id).await? {
        return json(&EventsOut { known: u32::try_from(reports.len()).unwrap_or(u32::MAX), ..EventsOut::default() });
    }
    // SNS sends again what is answered by 5xx, and drops what is answered by 4xx.
    let again = |error: ApiError| -> ApiError {
        match error {
            ApiError::App(AppError::Contended) => {
                Problem::unavailable("contended", "The mail is being sent at this moment.", 5, "a mail that came back is being sent".to_owned()).into()
            }
            other => other,
        }
    };
    let out = record(&state.app, &Call::public(info.client, info.id()), &reports).await.map_err(again)?;
    if !reports.is_empty() {
        state.app.notification_heard(&id).await?;
    }
    json(&out)
}
