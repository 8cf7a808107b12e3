//! `/email`. Every list has two addresses: the REST name, and the older one that reads by POST.

use axum::http::HeaderMap;
use emcrm_app::campaigns::Preview;
use emcrm_model::{Campaign, CampaignDraft, CampaignId, Delivery, DeliveryState, EmailAddress, FieldError, FieldErrors, Fields, Page, Schedule, User, UserId};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::attendance::PageQuery;
use super::search::UserFilterIn;
use crate::auth::{Auth, Sender, Viewer};
use crate::http::answer::tagged_unless_known;
use crate::http::body::OptionalJsonBody;
use crate::http::path::{CampaignAt, UserAt};
use crate::http::{Answer, JsonBody, NoBody, PageOut, QueryReader, json, schema};

/// A mail to everybody who matches a filter.
#[derive(Debug, ToSchema)]
#[schema(as = EmailRequestIn, rename_all = "camelCase")]
pub struct CampaignIn {
    /// Among whom the filter chooses: `people` (the default); or of the event's list `attendees` (all of them), `here` (who has come) or `away` (who has not).
    /// Only `people` can do without `eventId`.
    #[schema(schema_with = schema::audience, required = false)]
    pub audience: Option<String>,
    /// `{}` selects everybody. Conditions that do not exist are refused.
    pub filter: UserFilterIn,
    #[schema(schema_with = schema::subject)]
    pub subject: String,
    #[schema(schema_with = schema::mail_body)]
    pub body: String,
    #[schema(schema_with = schema::body_format, required = false)]
    pub body_format: Option<String>,
    /// Most mails a second.
    #[schema(schema_with = schema::rate, required = false)]
    pub rate: Option<i64>,
    /// `transactional` mails go also to those who unsubscribed.
    #[schema(schema_with = schema::campaign_kind, required = false)]
    pub kind: Option<String>,
    #[schema(schema_with = schema::event_id, required = false)]
    pub event_id: Option<String>,
    /// Whether a picture in the mail tells when it is read. Off by default.
    #[schema(schema_with = schema::flag, required = false)]
    pub track_opens: Option<bool>,
    /// Whether links lead through this installation. Off by default.
    #[schema(schema_with = schema::flag, required = false)]
    pub track_clicks: Option<bool>,
    /// When it shall go out by itself; without it at once, or when somebody sends the draft.
    #[schema(schema_with = schema::date_time, required = false)]
    pub scheduled_at: Option<String>,
    /// Zone of `scheduledAt` where it has no offset.
    #[schema(schema_with = schema::zone, required = false)]
    pub timezone: Option<String>,
    /// Minutes after `scheduledAt` in which it may still begin by itself; later it is held until somebody decides. 60 by default.
    #[schema(schema_with = schema::late_after, required = false)]
    pub late_after_minutes: Option<i64>,
}

/// A mail as a campaign would send it, to one address.
#[derive(Debug, ToSchema)]
#[schema(as = EmailTest, rename_all = "camelCase")]
pub struct TestIn {
    #[schema(schema_with = schema::email)]
    pub to: String,
    pub filter: UserFilterIn,
    #[schema(schema_with = schema::subject)]
    pub subject: String,
    #[schema(schema_with = schema::mail_body)]
    pub body: String,
    #[schema(schema_with = schema::body_format, required = false)]
    pub body_format: Option<String>,
}

/// Which deliveries are sent again.
#[derive(Debug, ToSchema)]
#[schema(as = EmailRetry)]
pub struct RetryIn {
    /// `error` (the default) and `unknown`. An unknown one may have arrived.
    #[schema(required = false)]
    pub states: Option<Vec<RetryState>>,
}

#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum RetryState {
    Error,
    Unknown,
}

/// A campaign. Optional fields that are absent are left out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmailRequest)]
pub struct CampaignOut {
    #[serde(rename = "email_id")]
    pub email_id: String,
    /// `people`, `attendees`, `here` or `away`.
    pub audience: &'static str,
    #[schema(value_type = UserFilterIn)]
    pub filter: Value,
    pub subject: String,
    pub body: String,
    #[schema(value_type = String)]
    pub body_format: emcrm_model::BodyFormat,
    /// `draft`, `scheduled`, `pending`, `freezing`, `sending`, `paused`, `sent`, `cancelled` or `error`.
    pub status: &'static str,
    /// Recipients frozen so far; exact once the audience is frozen.
    #[schema(minimum = 0)]
    pub total_recipients: u64,
    /// Deliveries by state.
    pub counts: CountsOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rate: Option<u32>,
    /// `marketing` or `transactional`.
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event_id: Option<String>,
    pub track_opens: bool,
    pub track_clicks: bool,
    /// As it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scheduled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub late_after_minutes: Option<u32>,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub finished_at: Option<String>,
    /// Why it is paused or in error, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

/// Deliveries by state. They add up to `totalRecipients`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryCounts)]
pub struct CountsOut {
    pub pending: i64,
    pub sending: i64,
    pub sent: i64,
    pub error: i64,
    pub unknown: i64,
    pub suppressed: i64,
    pub skipped: i64,
    pub cancelled: i64,
    pub bounced: i64,
    pub complained: i64,
}

impl From<Campaign> for CampaignOut {
    fn from(campaign: Campaign) -> Self {
        let count = |state| campaign.counts.get(state);
        let counts = CountsOut {
            pending: count(DeliveryState::Pending),
            sending: count(DeliveryState::Sending),
            sent: count(DeliveryState::Sent),
            error: count(DeliveryState::Error),
            unknown: count(DeliveryState::Unknown),
            suppressed: count(DeliveryState::Suppressed),
            skipped: count(DeliveryState::Skipped),
            cancelled: count(DeliveryState::Cancelled),
            bounced: count(DeliveryState::Bounced),
            complained: count(DeliveryState::Complained),
        };
        Self {
            email_id: campaign.id.into(),
            audience: campaign.audience.as_str(),
            filter: campaign.filter.to_json(),
            subject: campaign.subject,
            body: campaign.body,
            body_format: campaign.body_format,
            status: campaign.status.as_str(),
            total_recipients: campaign.total_recipients,
            counts,
            rate: campaign.rate,
            kind: campaign.kind.as_str(),
            event_id: campaign.event_id.map(String::from),
            track_opens: campaign.tracking.opens,
            track_clicks: campaign.tracking.clicks,
            scheduled_at: campaign.scheduled_at.map(String::from),
            timezone: campaign.timezone,
            late_after_minutes: campaign.late_after_minutes,
            created_at: campaign.created_at,
            started_at: campaign.started_at,
            finished_at: campaign.finished_at,
            reason: campaign.reason,
        }
    }
}

/// One campaign to one person. Optional fields that are absent are left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Email)]
pub struct DeliveryOut {
    pub email_id: String,
    pub user_id: String,
    /// `pending`, `sending`, `sent`, `error`, `unknown`, `suppressed`, `skipped`, `cancelled`, `bounced` or `complained`.
    pub status: &'static str,
    #[serde(rename = "createdAt")]
    pub created_at: String,
    /// The address that the mail goes to, frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// Times that the mail was handed over.
    #[schema(minimum = 0)]
    pub attempts: u32,
    /// The mail server's own words, or why the mail was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
    #[serde(rename = "sentAt", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sent_at: Option<String>,
}

impl From<Delivery> for DeliveryOut {
    fn from(delivery: Delivery) -> Self {
        Self {
            email_id: delivery.campaign_id.into(),
            user_id: delivery.user_id.into(),
            status: delivery.status.as_str(),
            created_at: delivery.created_at,
            email: delivery.email.map(String::from),
            attempts: delivery.attempts,
            error: delivery.error,
            sent_at: delivery.sent_at,
        }
    }
}

/// What a campaign would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmailPreview)]
pub struct PreviewOut {
    #[schema(minimum = 0)]
    pub total_recipients: u64,
    /// The first of them.
    pub recipients: Vec<RecipientOut>,
    pub subject: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub html: Option<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Recipient)]
pub struct RecipientOut {
    pub id: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
}

impl From<User> for RecipientOut {
    fn from(user: User) -> Self {
        Self { id: user.id.into(), first_name: user.first_name, last_name: user.last_name, email: user.email.into() }
    }
}

/// What became of a test mail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailTestResult)]
pub struct TestOut {
    pub message: &'static str,
    /// The mail server's own words.
    pub reply: String,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatusQuery {
    /// Only deliveries in this state.
    #[param(required = false, inline)]
    pub status: StatusIn,
    /// Only the deliveries to this address; `status` and pages do not count then.
    #[param(required = false, max_length = 254)]
    pub email: String,
}

#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum StatusIn {
    Pending,
    Sending,
    Sent,
    Error,
    Unknown,
    Suppressed,
    Skipped,
    Cancelled,
    Bounced,
    Complained,
}

async fn create(auth: &Auth<Sender>, body: &JsonBody) -> Answer {
    let (draft, schedule) = draft_of(body)?;
    if schedule.is_some() {
        return json(&CampaignOut::from(auth.app().campaign_draft(&auth.write(body)?, draft, schedule).await?));
    }
    json(&CampaignOut::from(auth.app().campaign_create(&auth.write(body)?, draft).await?))
}

/// What a campaign says, and when it shall go out if the body names a moment.
pub(super) fn draft_of(body: &JsonBody) -> Result<(CampaignDraft, Option<Schedule>), FieldErrors> {
    let mut fields = Fields::new(&body.value)?;
    let schedule = Schedule::read(&mut fields);
    match (CampaignDraft::parse(&body.value), fields.finish(Some(schedule))) {
        (Ok(draft), Ok(schedule)) => Ok((draft, schedule)),
        (draft, schedule) => Err(both_faults(draft.err(), schedule.err())),
    }
}

async fn read(auth: &Auth<Viewer>, id: &CampaignId) -> Answer {
    json(&CampaignOut::from(auth.app().campaign_get(auth.read(), id).await?))
}

async fn list_all(auth: &Auth<Viewer>, mut query: QueryReader) -> Answer {
    let page = query.page();
    query.check_page(&page)?;
    json(&PageOut::of(auth.app().campaign_list(auth.read(), page).await?, CampaignOut::from))
}

async fn deliveries(auth: &Auth<Viewer>, id: &CampaignId, mut query: QueryReader) -> Answer {
    let page = query.page();
    let state = query.choice("status", &DeliveryState::ALL.map(|state| (state.as_str(), state)));
    let address = query.text("email", EmailAddress::MAX);
    query.check_page(&page)?;
    if let Some(address) = address {
        let found = auth.app().deliveries_to(auth.read(), id, &EmailAddress::from(address)).await?;
        let total = found.len() as u64;
        return json(&PageOut::of(Page { items: found, total, page: 1, size: page.size, next: None }, DeliveryOut::from));
    }
    let page: Page<Delivery> = auth.app().deliveries_of_campaign(auth.read(), id, page, state.as_slice()).await?;
    json(&PageOut::of(page, DeliveryOut::from))
}

async fn deliveries_of(auth: &Auth<Viewer>, id: &UserId, mut query: QueryReader) -> Answer {
    let page = query.page();
    query.check_page(&page)?;
    json(&PageOut::of(auth.app().deliveries_of_user(auth.read(), id, page).await?, DeliveryOut::from))
}

/// Mail everybody who matches. Answers when the audience is frozen or after two seconds.
#[utoipa::path(post, path = "/email/send", tag = "Email", operation_id = "email_send", request_body = CampaignIn, responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 404, description = "Nobody matches", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn send(auth: Auth<Sender>, body: JsonBody) -> Answer {
    create(&auth, &body).await
}

/// The same by its older name.
#[utoipa::path(post, path = "/email/send_emails", tag = "Email", operation_id = "email_send_emails", request_body = CampaignIn, responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 404, description = "Nobody matches", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn send_emails(auth: Auth<Sender>, body: JsonBody) -> Answer {
    create(&auth, &body).await
}

/// Campaigns, newest first.
#[utoipa::path(get, path = "/email/requests", tag = "Email", operation_id = "email_requests", params(PageQuery), responses(
    (status = 200, description = "A page of campaigns", body = PageOut<CampaignOut>),
    (status = 404, description = "There is none at all", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn requests(auth: Auth<Viewer>, query: QueryReader) -> Answer {
    list_all(&auth, query).await
}

/// The same by its older name.
#[utoipa::path(get, path = "/email", tag = "Email", operation_id = "email_list", params(PageQuery), responses(
    (status = 200, description = "A page of campaigns", body = PageOut<CampaignOut>),
    (status = 404, description = "There is none at all", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn list(auth: Auth<Viewer>, query: QueryReader) -> Answer {
    list_all(&auth, query).await
}

/// One campaign.
#[utoipa::path(get, path = "/email/requests/{id}", tag = "Email", operation_id = "email_request_get", params(("id" = String, Path, description = "Id of the campaign")),
    responses((status = 200, description = "The campaign", body = CampaignOut)))]
pub async fn request_get(auth: Auth<Viewer>, CampaignAt(id): CampaignAt, headers: HeaderMap) -> Answer {
    let campaign = auth.app().campaign_get(auth.read(), &id).await?;
    tagged_unless_known(&headers, campaign.rev, &CampaignOut::from(campaign))
}

/// The same by its older name.
#[utoipa::path(post, path = "/email/{email_id}", tag = "Email", operation_id = "email_get", params(("email_id" = String, Path, description = "Id of the campaign")),
    responses((status = 200, description = "The campaign", body = CampaignOut)))]
#[deprecated = "for older clients"]
pub async fn get_by_post(auth: Auth<Viewer>, CampaignAt(id): CampaignAt) -> Answer {
    read(&auth, &id).await
}

/// Deliveries of a campaign.
#[utoipa::path(get, path = "/email/status/{id}", tag = "Email", operation_id = "email_status", params(("id" = String, Path, description = "Id of the campaign"), PageQuery, StatusQuery),
    responses((status = 200, description = "A page of deliveries", body = PageOut<DeliveryOut>)))]
pub async fn status(auth: Auth<Viewer>, CampaignAt(id): CampaignAt, query: QueryReader) -> Answer {
    deliveries(&auth, &id, query).await
}

/// The same by its older name.
#[utoipa::path(post, path = "/email/sent/{email_id}", tag = "Email", operation_id = "email_sent", params(("email_id" = String, Path, description = "Id of the campaign"), PageQuery, StatusQuery),
    responses((status = 200, description = "A page of deliveries", body = PageOut<DeliveryOut>)))]
#[deprecated = "for older clients"]
pub async fn sent_by_post(auth: Auth<Viewer>, CampaignAt(id): CampaignAt, query: QueryReader) -> Answer {
    deliveries(&auth, &id, query).await
}

/// Deliveries to a person, newest first.
#[utoipa::path(get, path = "/email/status/user/{id}", tag = "Email", operation_id = "email_status_of_user", params(("id" = String, Path, description = "Id of the person"), PageQuery),
    responses((status = 200, description = "A page of deliveries", body = PageOut<DeliveryOut>)))]
pub async fn status_of_user(auth: Auth<Viewer>, UserAt(id): UserAt, query: QueryReader) -> Answer {
    deliveries_of(&auth, &id, query).await
}

/// The same by its older name.
#[utoipa::path(post, path = "/email/user/{user_id}", tag = "Email", operation_id = "email_of_user", params(("user_id" = String, Path, description = "Id of the person"), PageQuery),
    responses((status = 200, description = "A page of deliveries", body = PageOut<DeliveryOut>)))]
#[deprecated = "for older clients"]
pub async fn user_by_post(auth: Auth<Viewer>, UserAt(id): UserAt, query: QueryReader) -> Answer {
    deliveries_of(&auth, &id, query).await
}

/// What a campaign would do. Sends nothing.
#[utoipa::path(post, path = "/email/preview", tag = "Email", operation_id = "email_preview", request_body = CampaignIn,
    responses((status = 200, description = "Audience, subject and body", body = PreviewOut)))]
pub async fn preview(auth: Auth<Viewer>, body: JsonBody) -> Answer {
    let (draft, _) = draft_of(&body)?;
    let Preview { total, recipients, subject, text, html, warnings } = auth.app().campaign_preview(auth.read(), draft).await?;
    let recipients = recipients.into_iter().map(RecipientOut::from).collect();
    json(&PreviewOut { total_recipients: total, recipients, subject, text, html, warnings })
}

/// One mail to a given address, marked as a test, in no ledger.
#[utoipa::path(post, path = "/email/test", tag = "Email", operation_id = "email_test", request_body = TestIn, responses(
    (status = 200, description = "The mail server took it", body = TestOut),
    (status = 502, description = "The mail server refused it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn test(auth: Auth<Sender>, body: JsonBody) -> Answer {
    let mut fields = Fields::new(&body.value)?;
    let to = fields.parsed("to", usize::MAX, EmailAddress::parse);
    let (to, draft) = match (fields.finish(to), CampaignDraft::parse(&body.value)) {
        (Ok(to), Ok(draft)) => (to, draft),
        (to, draft) => return Err(both_faults(to.err(), draft.err()).into()),
    };
    let reply = auth.app().campaign_test(&auth.write(&body)?, draft, to).await?;
    json(&TestOut { message: "Test mail handed over", reply })
}

fn both_faults(one: Option<FieldErrors>, other: Option<FieldErrors>) -> FieldErrors {
    let faults: Vec<FieldError> = [one, other].into_iter().flatten().flat_map(|errors| errors.0).collect();
    FieldErrors(faults)
}

/// Stop sending for now.
#[utoipa::path(post, path = "/email/requests/{id}/pause", tag = "Email", operation_id = "email_pause", params(("id" = String, Path, description = "Id of the campaign")), responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn pause(auth: Auth<Sender>, CampaignAt(id): CampaignAt) -> Answer {
    json(&CampaignOut::from(auth.app().campaign_pause(&auth.write(&NoBody)?, &id).await?))
}

/// Go on sending.
#[utoipa::path(post, path = "/email/requests/{id}/resume", tag = "Email", operation_id = "email_resume", params(("id" = String, Path, description = "Id of the campaign")), responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn resume(auth: Auth<Sender>, CampaignAt(id): CampaignAt) -> Answer {
    json(&CampaignOut::from(auth.app().campaign_resume(&auth.write(&NoBody)?, &id).await?))
}

/// Never send what has not been sent.
#[utoipa::path(post, path = "/email/requests/{id}/cancel", tag = "Email", operation_id = "email_cancel", params(("id" = String, Path, description = "Id of the campaign")), responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn cancel(auth: Auth<Sender>, CampaignAt(id): CampaignAt) -> Answer {
    json(&CampaignOut::from(auth.app().campaign_cancel(&auth.write(&NoBody)?, &id).await?))
}

/// Send again what was refused, or what may not have arrived.
#[utoipa::path(post, path = "/email/requests/{id}/retry", tag = "Email", operation_id = "email_retry",
    params(("id" = String, Path, description = "Id of the campaign")), request_body = Option<RetryIn>, responses(
    (status = 200, description = "The campaign", body = CampaignOut),
    (status = 409, description = "It is in a state that does not allow it", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn retry(auth: Auth<Sender>, CampaignAt(id): CampaignAt, OptionalJsonBody(body): OptionalJsonBody) -> Answer {
    let mut fields = Fields::new(&body.value)?;
    let listed = fields.raw("states").is_some();
    let states = fields.list("states", 2, |text| DeliveryState::parse(text).ok_or("must be one of: error, unknown"));
    let states = fields.finish(Some(if listed { states } else { vec![DeliveryState::Error] }))?;
    json(&CampaignOut::from(auth.app().campaign_retry(&auth.write(&body)?, &id, states).await?))
}
