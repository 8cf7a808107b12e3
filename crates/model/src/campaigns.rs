//! Bulk mail: the campaign, its states, and when it goes out.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{Audience, CampaignId, DateTime, DeliveryCounts, EventId, Rev, UserFilter};

/// One bulk mail. Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    #[serde(rename = "email_id")]
    pub id: CampaignId,
    /// Among whom the filter chooses.
    #[serde(default, skip_serializing_if = "Audience::is_default")]
    pub audience: Audience,
    #[serde(default)]
    pub filter: UserFilter,
    pub subject: String,
    /// Stored apart from the rest.
    #[serde(default)]
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
    #[serde(default, skip_serializing_if = "CampaignKind::is_default")]
    pub kind: CampaignKind,
    /// The event whose fields the text may use, and whose calendar file goes along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    #[serde(default, skip_serializing_if = "Tracking::is_off")]
    pub tracking: Tracking,
    /// When it shall go out, as sent. Without an offset it is wall-clock time in `timezone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<DateTime>,
    /// IANA name; absent: the configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Minutes after `scheduledAt` in which it may still begin by itself; later it is held and a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_after_minutes: Option<u32>,
    #[serde(default)]
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it went on last: after a pause, or to send again what had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<String>,
    /// Mails that had been handed over before that, without those that were to be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailed_before: Option<u64>,
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

impl Campaign {
    /// Minutes of grace for a schedule that names none: longer than a restart, shorter than what makes a mail embarrassing.
    pub const LATE_AFTER_MINUTES: u32 = 60;

    /// When it is due, if it is scheduled.
    pub fn due(&self, default: &TimeZone) -> Option<Timestamp> {
        let zone = self.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
        self.scheduled_at.as_ref().map(|at| at.instant(zone.as_ref().unwrap_or(default)))
    }
}

/// What a mail is, by law: people can refuse the one and not the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CampaignKind {
    /// News and invitations: never to somebody who unsubscribed, and every mail says how to unsubscribe.
    #[default]
    Marketing,
    /// What somebody needs because they registered, such as a changed venue. Goes also to those who unsubscribed, not to addresses that bounced or complained.
    Transactional,
}

impl CampaignKind {
    pub const ALL: [Self; 2] = [Self::Marketing, Self::Transactional];
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Marketing => "marketing",
            Self::Transactional => "transactional",
        }
    }
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is noted about the reading of mails. Off unless somebody switches it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracking {
    pub opens: bool,
    pub clicks: bool,
}

impl Tracking {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// `draft -> scheduled -> pending -> freezing -> sending <-> paused -> sent | cancelled | error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CampaignState {
    /// Can be edited; nothing happens by itself.
    Draft,
    /// Waits for its moment; can be edited.
    Scheduled,
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
    pub const ALL: [Self; 9] =
        [Self::Draft, Self::Scheduled, Self::Pending, Self::Freezing, Self::Sending, Self::Paused, Self::Sent, Self::Cancelled, Self::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Freezing => "freezing",
            Self::Sending => "sending",
            Self::Paused => "paused",
            Self::Sent => "sent",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }
    /// The audience is not chosen yet, so what it says can be changed.
    pub fn is_editable(self) -> bool {
        matches!(self, Self::Draft | Self::Scheduled)
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

impl BodyFormat {
    pub const ALL: [Self; 3] = [Self::Text, Self::Markdown, Self::Html];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }
}
