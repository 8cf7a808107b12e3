//! Addresses that must not be mailed.

use serde::{Deserialize, Serialize};

use crate::CampaignKind;

/// An entry of the suppression list. Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suppression {
    /// Normalised. Absent when the person was erased: then only a hash of it is left, in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default)]
    pub reason: SuppressionReason,
    /// A person's note, or the mail server's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The campaign that it came from.
    #[serde(default, rename = "email_id", skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<String>,
    #[serde(default)]
    pub created_at: String,
}

/// Why an address is not mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuppressionReason {
    /// The reader asked for it.
    Unsubscribed,
    /// Mail came back for good.
    Bounced,
    /// The reader reported mail as unwanted.
    Complained,
    /// Somebody here decided so; also what an earlier service wrote in other words.
    #[default]
    #[serde(other)]
    Manual,
}

impl SuppressionReason {
    pub const ALL: [Self; 4] = [Self::Manual, Self::Unsubscribed, Self::Bounced, Self::Complained];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Unsubscribed => "unsubscribed",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// A complaint outweighs everything, so that nothing lesser can be taken away with it.
    pub fn weight(self) -> u8 {
        match self {
            Self::Unsubscribed => 1,
            Self::Manual => 2,
            Self::Bounced => 3,
            Self::Complained => 4,
        }
    }

    /// Whether it keeps mail of this kind away: who unsubscribed still hears that the venue has changed.
    pub fn stops(self, kind: CampaignKind) -> bool {
        !(self == Self::Unsubscribed && kind == CampaignKind::Transactional)
    }

    /// What a row of the ledger says.
    pub fn words(self) -> &'static str {
        match self {
            Self::Manual => "the address is on the suppression list",
            Self::Unsubscribed => "the address is on the suppression list: its owner unsubscribed",
            Self::Bounced => "the address is on the suppression list: mail to it came back",
            Self::Complained => "the address is on the suppression list: its owner reported mail as unwanted",
        }
    }
}
