//! Bulk mail: the campaign and its ledger.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CampaignId, EmailAddress, FieldErrors, Fields, Rev, UserFilter, UserId};

/// One bulk mail. Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    #[serde(rename = "email_id")]
    pub id: CampaignId,
    #[serde(default)]
    pub filter: UserFilter,
    pub subject: String,
    pub body: String,
    #[serde(default)]
    pub body_format: BodyFormat,
    #[serde(default)]
    pub status: CampaignState,
    /// Recipients frozen so far; exact once the freeze has ended.
    #[serde(default)]
    pub total_recipients: u64,
    /// Messages per second; absent: only the transport's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Reserved for scheduling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<String>,
    #[serde(default)]
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Id of the last recipient that the freeze has written. Absent: not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_up_to: Option<String>,
    /// When the audience was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_at: Option<String>,
    /// Why the campaign is in `error` or `paused`, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub counts: DeliveryCounts,
    #[serde(default)]
    pub rev: Rev,
}

/// `pending -> freezing -> sending <-> paused -> sent | cancelled | error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CampaignState {
    #[default]
    Pending,
    Freezing,
    Sending,
    Paused,
    Sent,
    Cancelled,
    Error,
}

impl CampaignState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Freezing => "freezing",
            Self::Sending => "sending",
            Self::Paused => "paused",
            Self::Sent => "sent",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }
    /// Nothing happens any more by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Sent | Self::Cancelled | Self::Error)
    }
}

impl fmt::Display for CampaignState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    #[default]
    Text,
    Markdown,
    Html,
}

/// State of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits for its turn, or for a retry.
    #[default]
    Pending,
    /// Claimed: being handed over right now.
    Sending,
    /// The mail server took it.
    Sent,
    /// Refused for good, in the mail server's own words.
    Error,
    /// Handed over, but the answer was lost. Never sent again by itself.
    Unknown,
    /// Not sent: the address must not be mailed.
    Suppressed,
    /// Not sent: the user was deleted or no longer matches.
    Skipped,
    /// Not sent: the campaign was cancelled.
    Cancelled,
}

impl DeliveryState {
    pub const ALL: [Self; 8] = [Self::Pending, Self::Sending, Self::Sent, Self::Error, Self::Unknown, Self::Suppressed, Self::Skipped, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Error => "error",
            Self::Unknown => "unknown",
            Self::Suppressed => "suppressed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Attribute of the campaign that counts deliveries in this state.
    pub fn count_attr(self) -> &'static str {
        match self {
            Self::Pending => "pendingCount",
            Self::Sending => "sendingCount",
            Self::Sent => "sentCount",
            Self::Error => "errorCount",
            Self::Unknown => "unknownCount",
            Self::Suppressed => "suppressedCount",
            Self::Skipped => "skippedCount",
            Self::Cancelled => "cancelledCount",
        }
    }
}

/// Deliveries of a campaign by state. They add up to `totalRecipients`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeliveryCounts {
    pub pending_count: i64,
    pub sending_count: i64,
    pub sent_count: i64,
    pub error_count: i64,
    pub unknown_count: i64,
    pub suppressed_count: i64,
    pub skipped_count: i64,
    pub cancelled_count: i64,
}

impl DeliveryCounts {
    pub fn get(&self, state: DeliveryState) -> i64 {
        match state {
            DeliveryState::Pending => self.pending_count,
            DeliveryState::Sending => self.sending_count,
            DeliveryState::Sent => self.sent_count,
            DeliveryState::Error => self.error_count,
            DeliveryState::Unknown => self.unknown_count,
            DeliveryState::Suppressed => self.suppressed_count,
            DeliveryState::Skipped => self.skipped_count,
            DeliveryState::Cancelled => self.cancelled_count,
        }
    }
    pub fn total(&self) -> i64 {
        DeliveryState::ALL.into_iter().map(|state| self.get(state)).sum()
    }
}

/// One campaign to one user: a row of the ledger. Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    #[serde(rename = "email_id")]
    pub campaign_id: CampaignId,
    pub user_id: UserId,
    #[serde(default)]
    pub status: DeliveryState,
    #[serde(default, rename = "createdAt")]
    pub created_at: String,
    /// The address that the mail goes to, frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// Times that the mail was handed over.
    #[serde(default)]
    pub attempts: u32,
    /// The mail server's own words, or why the mail was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, rename = "sentAt", skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    /// Who claimed the row, while it is `sending`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Not before this moment (milliseconds since 1970), while `pending` after a temporary failure.
    #[serde(default, rename = "retryAt", skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<i64>,
}

/// Everything of a campaign that a client may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignDraft {
    pub filter: UserFilter,
    pub subject: String,
    pub body: String,
    pub body_format: BodyFormat,
    pub rate: Option<u32>,
}

impl CampaignDraft {
    /// Longest subject, in characters.
    pub const SUBJECT_MAX: usize = 200;
    /// Longest body, in bytes.
    pub const BODY_MAX: usize = 100_000;
    /// Highest rate, in messages per second.
    pub const RATE_MAX: i64 = 100_000;

    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let filter = if let Some(mut nested) = f.nested("filter") {
            let filter = UserFilter::read(&mut nested);
            f.absorb(nested);
            Some(filter)
        } else {
            if f.is_clean() && f.raw("filter").is_none() {
                f.fault("filter", "missing", "this field is required: {} selects everybody");
            }
            None
        };
        let subject = f.text("subject", 1..=Self::SUBJECT_MAX);
        if subject.as_deref().is_some_and(|subject| subject.chars().any(char::is_control)) {
            f.fault("subject", "value_error", "must be one line without control characters");
        }
        let text = f.text("body", 1..=Self::BODY_MAX);
        if text.as_deref().is_some_and(|text| text.len() > Self::BODY_MAX) {
            f.fault("body", "string_too_long", format!("must have at most {} bytes", Self::BODY_MAX));
        }
        let formats = [("text", BodyFormat::Text), ("markdown", BodyFormat::Markdown), ("html", BodyFormat::Html)];
        let body_format = f.optional_choice("bodyFormat", &formats).unwrap_or_default();
        let rate = f.optional_integer("rate", 1..=Self::RATE_MAX).map(|rate| rate as u32);
        let draft = filter.zip(subject).zip(text).map(|((filter, subject), body)| Self { filter, subject, body, body_format, rate });
        f.finish(draft)
    }
}
