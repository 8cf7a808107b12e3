//! What a client says about a campaign: its content, and when it shall go out.

use serde_json::Value;

use crate::events::parse_zone;
use crate::{Audience, BodyFormat, Campaign, CampaignKind, DateTime, EventId, FieldErrors, Fields, Recipients, Tracking, UserFilter};

/// Everything of a campaign that a client may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignDraft {
    pub audience: Audience,
    pub filter: UserFilter,
    pub subject: String,
    pub body: String,
    pub body_format: BodyFormat,
    pub rate: Option<u32>,
    pub kind: CampaignKind,
    pub event_id: Option<EventId>,
    pub tracking: Tracking,
}

impl CampaignDraft {
    /// Highest rate, in messages per second.
    pub const RATE_MAX: i64 = 100_000;

    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let recipients = Recipients::read(&mut f);
        let content = MailContent::read(&mut f);
        let rate = f.optional_integer("rate", 1..=Self::RATE_MAX).map(|rate| rate as u32);
        let kind = f.optional_choice("kind", &CampaignKind::ALL.map(|kind| (kind.as_str(), kind))).unwrap_or_default();
        let tracking = Tracking { opens: f.optional_bool("trackOpens").unwrap_or(false), clicks: f.optional_bool("trackClicks").unwrap_or(false) };
        let draft = recipients.zip(content).map(|(recipients, content)| {
            let Recipients { audience, event_id, filter } = recipients;
            let MailContent { subject, body, body_format } = content;
            Self { audience, filter, subject, body, body_format, rate, kind, event_id, tracking }
        });
        f.finish(draft)
    }
}

/// Subject and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailContent {
    pub subject: String,
    pub body: String,
    pub body_format: BodyFormat,
}

impl MailContent {
    /// Longest subject, in characters.
    pub const SUBJECT_MAX: usize = 200;
    /// Longest body, in bytes.
    pub const BODY_MAX: usize = 100_000;

    pub fn read(f: &mut Fields<'_>) -> Option<Self> {
        let subject = f.text("subject", 1..=Self::SUBJECT_MAX);
        if subject.as_deref().is_some_and(|subject| subject.chars().any(char::is_control)) {
            f.fault("subject", "value_error", "must be one line without control characters");
        }
        let text = f.text("body", 1..=Self::BODY_MAX);
        if text.as_deref().is_some_and(|text| text.len() > Self::BODY_MAX) {
            f.fault("body", "string_too_long", format!("must have at most {} bytes", Self::BODY_MAX));
        }
        let body_format = f.optional_choice("bodyFormat", &BodyFormat::ALL.map(|format| (format.as_str(), format))).unwrap_or_default();
        subject.zip(text).map(|(subject, body)| Self { subject, body, body_format })
    }
}

impl From<&Campaign> for CampaignDraft {
    fn from(campaign: &Campaign) -> Self {
        Self {
            audience: campaign.audience,
            filter: campaign.filter.clone(),
            subject: campaign.subject.clone(),
            body: campaign.body.clone(),
            body_format: campaign.body_format,
            rate: campaign.rate,
            kind: campaign.kind,
            event_id: campaign.event_id.clone(),
            tracking: campaign.tracking,
        }
    }
}

impl CampaignDraft {
    pub fn content(&self) -> MailContent {
        MailContent { subject: self.subject.clone(), body: self.body.clone(), body_format: self.body_format }
    }
}

/// When a campaign shall go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub at: DateTime,
    /// IANA name.
    pub timezone: Option<String>,
    pub late_after_minutes: Option<u32>,
}

impl Schedule {
    /// Most minutes of grace: a week.
    pub const LATE_MAX: i64 = 7 * 24 * 60;

    /// None where the body names no `scheduledAt`.
    pub fn read(f: &mut Fields<'_>) -> Option<Self> {
        let at = f.optional_parsed("scheduledAt", DateTime::MAX, DateTime::parse);
        let timezone = f.optional_parsed("timezone", 64, parse_zone);
        let late_after_minutes = f.optional_integer("lateAfterMinutes", 0..=Self::LATE_MAX).map(|minutes| minutes as u32);
        at.map(|at| Self { at, timezone, late_after_minutes })
    }
}
