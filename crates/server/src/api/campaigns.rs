//! `/email/requests`: campaigns before they are sent, and what is known about them afterwards.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use emcrm_app::tracking::{READ_MAX, Readers};
use emcrm_app::{App, Call, LeftOut, Pace, Preflight, Sample, Unmailed};
use emcrm_mail::Identity;
use emcrm_model::{Campaign, CampaignId, DeliveryState, Fields, Schedule};
use emcrm_store::{Key, LogEntry, keys};
use futures::stream;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

use super::email::{CampaignIn, CampaignOut, RecipientOut, draft_of};
use super::error::ApiError;
use crate::auth::{Auth, Sender, Viewer};
use crate::csv_out::Csv;
use crate::http::answer::{MessageOut, tagged};
use crate::http::path::CampaignAt;
use crate::http::{Answer, JsonBody, NoBody, json, schema};
use crate::router::ApiState;

/// How often a watched campaign is looked at.
const WATCH: Duration = Duration::from_secs(1);
/// How long one watch lasts; browsers ask again by themselves, and are let in again or not.
const WATCHES: u32 = 60;

/// When a campaign shall go out.
#[derive(Debug, ToSchema)]
#[schema(as = EmailSchedule, rename_all = "camelCase")]
pub struct ScheduleIn {
    #[schema(schema_with = schema::date_time)]
    pub scheduled_at: String,
    /// Zone of `scheduledAt` where it has no offset.
    #[schema(schema_with = schema::zone, required = false)]
    pub timezone: Option<String>,
    /// Minutes in which it may still begin by itself; later it is held until somebody decides. 60 by default.
    #[schema(schema_with = schema::late_after, required = false)]
    pub late_after_minutes: Option<i64>,
}

/// One line of a campaign's log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailLogEntry)]
pub struct LogOut {
    pub at: String,
    pub who: String,
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
}

/// Who did what to a campaign, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailLog)]
pub struct LogList {
    pub items: Vec<LogOut>,
}

impl From<LogEntry> for LogOut {
    fn from(entry: LogEntry) -> Self {
        let LogEntry { at, who, what, detail, id: _ } = entry;
        Self { at, who, what, detail }
    }
}

/// Everything that is worth knowing before a campaign is sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmailPreflight)]
pub struct PreflightOut {
    /// People who match the filter.
    #[schema(minimum = 0)]
    pub matches: u64,
    /// Of those who were looked at, how many would be mailed.
    #[schema(minimum = 0)]
    pub recipients: u64,
    /// Everybody was looked at, so the figures are exact.
    pub exact: bool,
    #[schema(minimum = 0)]
    pub checked: u64,
    /// People who would not be mailed, by reason.
    pub left_out: BTreeMap<&'static str, LeftOutList>,
    /// Variables without a value, with how many people lack them.
    pub missing: BTreeMap<&'static str, u64>,
    pub variables: Vec<&'static str>,
    pub samples: Vec<SampleOut>,
    /// Every mail says how to unsubscribe.
    pub unsubscribe: bool,
    pub from: String,
    /// What the mail service says of that address; absent where it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sender: Option<SenderOut>,
    /// Whether the way to the mail server is encrypted; absent where that is not known, or mail does not leave the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tls: Option<bool>,
    /// Duration at the lowest limit of the rate; absent where nothing limits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub seconds: Option<u64>,
    /// Where nothing limits the rate: at the pace of an earlier campaign. Absent while none tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub estimate: Option<EstimateOut>,
    /// Bytes of the largest sample.
    #[schema(minimum = 0)]
    pub largest: usize,
    /// Reasons not to send it like this.
    pub errors: Vec<String>,
    /// Reasons to look again.
    pub warnings: Vec<String>,
}

/// Whether the mail service knows who mails come from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailSender)]
pub struct SenderOut {
    /// What it was asked about: the address, or a domain above it.
    pub identity: String,
    /// It takes mail from there.
    pub verified: bool,
    /// It signs that mail (DKIM).
    pub signed: bool,
}

/// How long it may take.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailEstimate)]
pub struct EstimateOut {
    #[schema(minimum = 0)]
    pub seconds: u64,
    pub basis: PaceOut,
}

/// The last campaign that went through without a limit of its own and without a stop.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailPace)]
pub struct PaceOut {
    pub email_id: String,
    /// Mails that it handed over.
    #[schema(minimum = 0)]
    pub mails: u64,
    /// How long it took.
    #[schema(minimum = 0)]
    pub seconds: u64,
}

/// People who would not be mailed, for one reason.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailLeftOut)]
pub struct LeftOutList {
    #[schema(minimum = 0)]
    pub count: u64,
    /// The first twenty.
    pub people: Vec<UnmailedOut>,
}

/// Somebody who would not be mailed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailUnmailed)]
pub struct UnmailedOut {
    #[serde(flatten)]
    pub person: RecipientOut,
    /// Variables that they have no value for; absent where that is not the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub missing: Vec<&'static str>,
}

impl From<Unmailed> for UnmailedOut {
    fn from(Unmailed { user, missing }: Unmailed) -> Self {
        Self { person: user.into(), missing }
    }
}

/// One mail as it would be sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailSample)]
pub struct SampleOut {
    pub to: RecipientOut,
    pub subject: String,
    pub text: String,
    /// Cleaned of everything that could run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub html: Option<String>,
}

impl From<Preflight> for PreflightOut {
    fn from(found: Preflight) -> Self {
        let exact = found.is_exact();
        let left_out = |LeftOut { count, people }| LeftOutList { count, people: people.into_iter().map(UnmailedOut::from).collect() };
        let sample = |Sample { user, subject, text, html }| SampleOut { to: user.into(), subject, text, html };
        let seconds = found.estimate();
        let basis = |Pace { campaign, mails, milliseconds }| PaceOut { email_id: campaign.into(), mails, seconds: milliseconds.div_ceil(1_000) };
        Self {
            matches: found.matches,
            recipients: found.recipients,
            exact,
            checked: found.checked,
            left_out: found.left_out.into_iter().map(|(reason, people)| (reason, left_out(people))).collect(),
            missing: found.missing,
            variables: found.variables,
            samples: found.samples.into_iter().map(sample).collect(),
            unsubscribe: found.unsubscribe,
            from: found.from,
            sender: found.sender.map(|Identity { name, verified, signed }| SenderOut { identity: name, verified, signed }),
            tls: found.tls,
            seconds: found.seconds,
            estimate: seconds.zip(found.pace.map(basis)).map(|(seconds, basis)| EstimateOut { seconds, basis }),
            largest: found.largest,
            errors: found.errors,
            warnings: found.warnings,
        }
    }
}

fn answer(campaign: Campaign) -> Answer {
    tagged(campaign.rev, &CampaignOut::from(campaign))
}

/// Write a draft. With `scheduledAt` it goes out by itself; otherwise somebody sends it.
#[utoipa::path(post, path = "/email/requests", tag = "Email", operation_id = "email_draft", request_body = CampaignIn,
    responses((status = 200, description = "The draft", body = CampaignOut)))]
pub async fn create(auth: Auth<Sender>, body: JsonBody) -> Answer {
    let (draft, schedule) = draft_of(&body)?;
    answer(auth.app().campaign_draft(&auth.write(&body)?, draft, schedule).await?)
}

/// Write it anew. Only before its audience is chosen.
#[utoipa::path(put, path = "/email/requests/{id}", tag = "Email", operation_id = "email_draft_replace", params(("id" = String, Path, description = "Id of the campaign")),
    request_body = CampaignIn, responses(
    (status = 200, description = "The draft", body = CampaignOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn replace(auth: Auth<Sender>, CampaignAt(id): CampaignAt, body: JsonBody) -> Answer {
    let (draft, _) = draft_of(&body)?;
    answer(auth.app().campaign_edit(&auth.write(&body)?, &id, draft).await?)
}

/// Delete a draft, or a campaign that waits for its moment.
#[utoipa::path(delete, path = "/email/requests/{id}", tag = "Email", operation_id = "email_draft_delete", params(("id" = String, Path, description = "Id of the campaign")), responses(
    (status = 200, description = "It is gone", body = MessageOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn delete(auth: Auth<Sender>, CampaignAt(id): CampaignAt) -> Answer {
    auth.app().campaign_delete(&auth.write(&NoBody)?, &id).await?;
    json(&MessageOut { message: "Email request deleted successfully" })
}

/// Send a draft now. Answers when the audience is frozen or after two seconds.
#[utoipa::path(post, path = "/email/requests/{id}/send", tag = "Email", operation_id = "email_draft_send", params(("id" = String, Path, description = "Id of the campaign")), responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn send(auth: Auth<Sender>, CampaignAt(id): CampaignAt) -> Answer {
    answer(auth.app().campaign_send(&auth.write(&NoBody)?, &id).await?)
}

/// Send it by itself when the moment has come.
#[utoipa::path(post, path = "/email/requests/{id}/schedule", tag = "Email", operation_id = "email_schedule", params(("id" = String, Path, description = "Id of the campaign")),
    request_body = ScheduleIn, responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn schedule(auth: Auth<Sender>, CampaignAt(id): CampaignAt, body: JsonBody) -> Answer {
    let mut fields = Fields::new(&body.value)?;
    let schedule = Schedule::read(&mut fields);
    if schedule.is_none() && fields.is_clean() {
        fields.fault("scheduledAt", "missing", "this field is required");
    }
    let schedule = fields.finish(schedule)?;
    answer(auth.app().campaign_schedule(&auth.write(&body)?, &id, schedule).await?)
}

/// A draft again.
#[utoipa::path(post, path = "/email/requests/{id}/unschedule", tag = "Email", operation_id = "email_unschedule", params(("id" = String, Path, description = "Id of the campaign")), responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn unschedule(auth: Auth<Sender>, CampaignAt(id): CampaignAt) -> Answer {
    answer(auth.app().campaign_unschedule(&auth.write(&NoBody)?, &id).await?)
}

/// A new draft with the same content and filter.
#[utoipa::path(post, path = "/email/requests/{id}/duplicate", tag = "Email", operation_id = "email_duplicate", params(("id" = String, Path, description = "Id of the campaign")),
    responses((status = 200, description = "The new draft", body = CampaignOut)))]
pub async fn duplicate(auth: Auth<Sender>, CampaignAt(id): CampaignAt) -> Answer {
    answer(auth.app().campaign_duplicate(&auth.write(&NoBody)?, &id).await?)
}

/// Who did what to it, and when.
#[utoipa::path(get, path = "/email/requests/{id}/log", tag = "Email", operation_id = "email_log", params(("id" = String, Path, description = "Id of the campaign")),
    responses((status = 200, description = "The log, oldest first", body = LogList)))]
pub async fn log(auth: Auth<Viewer>, CampaignAt(id): CampaignAt) -> Answer {
    let items = auth.app().campaign_log(auth.read(), &id).await?;
    json(&LogList { items: items.into_iter().map(LogOut::from).collect() })
}

/// Who would get it and who would not, what the mails look like, and what is missing. Sends nothing.
#[utoipa::path(post, path = "/email/preflight", tag = "Email", operation_id = "email_preflight", request_body = CampaignIn,
    responses((status = 200, description = "What sending would do", body = PreflightOut)))]
pub async fn preflight(auth: Auth<Viewer>, body: JsonBody) -> Answer {
    let (draft, _) = draft_of(&body)?;
    json(&PreflightOut::from(auth.app().campaign_preflight(auth.read(), draft).await?))
}

/// The whole ledger as CSV, row by row as it is read.
#[utoipa::path(get, path = "/email/requests/{id}/deliveries.csv", tag = "Email", operation_id = "email_ledger_csv", params(("id" = String, Path, description = "Id of the campaign")),
    responses((status = 200, description = "One line for each person", body = String, content_type = "text/csv")))]
pub async fn ledger_csv(auth: Auth<Viewer>, State(state): State<ApiState>, CampaignAt(id): CampaignAt) -> Answer {
    ledger_file(&auth, &state, &id, Vec::new()).await
}

/// The same for people: spreadsheets take a file for UTF-8 only when it says so.
pub async fn ledger_for_spreadsheets(auth: Auth<Viewer>, State(state): State<ApiState>, CampaignAt(id): CampaignAt) -> Answer {
    ledger_file(&auth, &state, &id, "\u{feff}".as_bytes().to_vec()).await
}

/// The lines, made while they are read; `mark` stands in front of them.
async fn ledger_file(auth: &Auth<Viewer>, state: &ApiState, id: &CampaignId, mark: Vec<u8>) -> Answer {
    auth.app().campaign_get(auth.read(), id).await?;
    auth.app().audit_export(auth.read(), "ledger.exported", &keys::campaign_part(id)).await?;
    let start = Rows { app: state.app.clone(), call: auth.read().clone(), csv: state.csv(), id: id.clone(), mark, after: None, begun: false, ended: false };
    let body = Body::from_stream(stream::unfold(start, |mut rows| async move { rows.next().await.map(|bytes| (bytes, rows)) }));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"deliveries-{}.csv\"", file_name(id.as_str())))
        .map_err(|_| ApiError::internal("a file name that is no header"))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")), (header::CONTENT_DISPOSITION, disposition)], body).into_response())
}

fn file_name(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

struct Rows {
    app: Arc<App>,
    call: Call,
    csv: Csv,
    id: CampaignId,
    /// What the file begins with.
    mark: Vec<u8>,
    after: Option<Key>,
    begun: bool,
    ended: bool,
}

impl Rows {
    /// The next lines; an error cuts the answer off, so that nobody takes a part for the whole.
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        if self.ended {
            return None;
        }
        let mut text = std::mem::take(&mut self.mark);
        if !self.begun {
            self.begun = true;
            self.csv.row(&mut text, &["user_id", "email", "status", "attempts", "createdAt", "sentAt", "error"]);
        }
        match self.app.deliveries_chunk(&self.call, &self.id, self.after.take()).await {
            Ok((deliveries, next)) => {
                for delivery in &deliveries {
                    let attempts = delivery.attempts.to_string();
                    self.csv.row(
                        &mut text,
                        &[
                            delivery.user_id.as_str(),
                            delivery.email.as_ref().map_or("", |email| email.as_str()),
                            delivery.status.as_str(),
                            &attempts,
                            &delivery.created_at,
                            delivery.sent_at.as_deref().unwrap_or_default(),
                            delivery.error.as_deref().unwrap_or_default(),
                        ],
                    );
                }
                self.ended = next.is_none();
                self.after = next;
                Some(Ok(text.into()))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error.to_string()))
            }
        }
    }
}

/// Who read a campaign that tracks, as far as requests can tell.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmailReaders)]
pub struct ReadersOut {
    /// People who opened the mail, each once. Many mail programs show no pictures, and some fetch them all: take it as a hint.
    #[schema(minimum = 0)]
    pub opened: u64,
    /// People who followed a link, each once.
    #[schema(minimum = 0)]
    pub clicked: u64,
    #[schema(minimum = 0)]
    pub person_hits: u64,
    /// Requests of scanners, proxies and previews.
    #[schema(minimum = 0)]
    pub machine_hits: u64,
    pub exact: bool,
}

/// Who opened it and followed its links. People and machines are told apart anew at each call.
#[utoipa::path(get, path = "/email/requests/{id}/readers", tag = "Email", operation_id = "email_readers", params(("id" = String, Path, description = "Id of the campaign")),
    responses((status = 200, description = "Counts", body = ReadersOut)))]
pub async fn readers(auth: Auth<Viewer>, CampaignAt(id): CampaignAt) -> Answer {
    let Readers { opened, clicked, person_hits, machine_hits, exact } = auth.app().campaign_readers(auth.read(), &id, READ_MAX).await?;
    json(&ReadersOut { opened, clicked, person_hits, machine_hits, exact })
}

/// What a watcher is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressOut {
    pub status: &'static str,
    pub total_recipients: u64,
    pub counts: super::email::CountsOut,
    /// Mails that ended in one way or another in the last second.
    pub per_second: u64,
    /// Seconds until the end at this rate; absent where nothing moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

struct Watch {
    app: Arc<App>,
    call: Call,
    id: CampaignId,
    looked: u32,
    ended_before: Option<i64>,
    over: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        if self.over || self.looked >= WATCHES {
            return None;
        }
        if self.looked > 0 {
            tokio::time::sleep(WATCH).await;
        }
        self.looked += 1;
        let campaign = match self.app.campaign_get(&self.call, &self.id).await {
            Ok(campaign) => campaign,
            Err(error) => {
                self.over = true;
                tracing::warn!(%error, "a campaign can no longer be watched");
                return None;
            }
        };
        self.over = campaign.status.is_final();
        let left = campaign.counts.get(DeliveryState::Pending) + campaign.counts.get(DeliveryState::Sending);
        let ended = campaign.counts.total() - left;
        let per_second = self.ended_before.map_or(0, |before| (ended - before).max(0)) as u64;
        self.ended_before = Some(ended);
        let seconds_left = (per_second > 0).then(|| (left.max(0) as u64).div_ceil(per_second));
        let total_recipients = campaign.total_recipients;
        let out = CampaignOut::from(campaign);
        let progress = ProgressOut { status: out.status, total_recipients, counts: out.counts, per_second, seconds_left };
        Some(Ok(Event::default().event("progress").json_data(&progress).unwrap_or_default()))
    }
}

/// Watch a campaign: an event each second until it has ended (server-sent events).
#[utoipa::path(get, path = "/email/requests/{id}/events", tag = "Email", operation_id = "email_watch", params(("id" = String, Path, description = "Id of the campaign")),
    responses((status = 200, description = "Events named `progress`, with the state, the counts, mails per second and an estimate as JSON", content_type = "text/event-stream")))]
pub async fn watch(auth: Auth<Viewer>, State(state): State<ApiState>, CampaignAt(id): CampaignAt) -> Result<Response, ApiError> {
    auth.app().campaign_get(auth.read(), &id).await?;
    let start = Watch { app: state.app.clone(), call: auth.read().clone(), id, looked: 0, ended_before: None, over: false };
    let events = stream::unfold(start, |mut watch| async move { watch.next().await.map(|event| (event, watch)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
