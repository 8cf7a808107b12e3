//! The ledger of a campaign: one row for each person, and what became of the mail.

use serde::{Deserialize, Serialize};

use crate::{CampaignId, EmailAddress, UserId};

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
    /// Taken by the mail server, and sent back later for good.
    Bounced,
    /// Delivered, and reported as unwanted by its reader.
    Complained,
}

impl DeliveryState {
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Sending,
        Self::Sent,
        Self::Error,
        Self::Unknown,
        Self::Suppressed,
        Self::Skipped,
        Self::Cancelled,
        Self::Bounced,
        Self::Complained,
    ];

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
            Self::Bounced => "bounced",
            Self::Complained => "complained",
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
            Self::Bounced => "bouncedCount",
            Self::Complained => "complainedCount",
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
    pub bounced_count: i64,
    pub complained_count: i64,
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
            DeliveryState::Bounced => self.bounced_count,
            DeliveryState::Complained => self.complained_count,
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
    /// SHA-256 of the normalised address, in hexadecimal, instead of it where the person was erased.
    #[serde(default, rename = "emailHash", skip_serializing_if = "Option::is_none")]
    pub email_hash: Option<String>,
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
