//! Addresses that must not be mailed.

use serde::{Deserialize, Serialize};

use crate::{CampaignKind, EmailAddress};

/// An entry of the suppression list. Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suppression {
    /// Normalised. Absent when the person was erased: then only a hash of it is left, in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// That hash.
    #[serde(skip)]
    pub email_hash: Option<String>,
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

impl Suppression {
    /// Whom it is about, as an export says it: what [`Listed::parse`] reads.
    pub fn listed(&self) -> String {
        match (&self.email, &self.email_hash) {
            (Some(email), _) => email.clone(),
            (None, Some(hash)) => format!("{}{hash}", Listed::HASH_MARK),
            (None, None) => String::new(),
        }
    }
}

/// Whom an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    Address(EmailAddress),
    /// SHA-256 of the normalised address of somebody who was erased, in hexadecimal.
    Hash(String),
}

impl Listed {
    /// No address begins like this: a colon cannot stand in a local part that is not quoted.
    pub const HASH_MARK: &'static str = "sha256:";

    /// An address, or `sha256:` and 64 hexadecimal digits, with or without the apostrophe by which an export keeps a spreadsheet from taking an address for a
    /// formula.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(text);
        match text.strip_prefix(Self::HASH_MARK) {
            None => EmailAddress::parse(text).map(Self::Address).map_err(|error| error.to_string()),
            Some(hash) if hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) => Ok(Self::Hash(hash.to_ascii_lowercase())),
            Some(_) => Err("not a hash: behind \u{201c}sha256:\u{201d} stand 64 hexadecimal digits".to_owned()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_about_an_address_or_about_a_hash_of_the_right_form() {
        let address = |text: &str| -> Result<Listed, String> { Ok(Listed::Address(EmailAddress::parse(text).unwrap())) };
        let hash = "0123456789abcdef".repeat(4);
        for (text, read) in [
            (" Ann@example.org ".to_owned(), address("Ann@example.org")),
            ("'+ann@example.org".to_owned(), address("+ann@example.org")),
            ("'ann@example.org".to_owned(), address("'ann@example.org")),
            (format!("sha256:{hash}"), Ok(Listed::Hash(hash.clone()))),
            (format!(" sha256:{} ", hash.to_uppercase()), Ok(Listed::Hash(hash.clone()))),
        ] {
            assert_eq!(Listed::parse(&text), read, "{text}");
        }
        let (short, long) = (&hash[1..], format!("{hash}0"));
        for text in [
            "sha256:".to_owned(),
            format!("sha256:{short}"),
            format!("sha256:{long}"),
            format!("sha256:{short}g"),
            format!("sha256: {short}"),
            format!("sha256:{short}#"),
            // As many bytes, and other digits.
            format!("sha256:{}", "\u{661}".repeat(32)),
            "sha256:ann@example.org".to_owned(),
            format!("SHA256:{hash}"),
            hash.clone(),
            "(erased)".to_owned(),
            String::new(),
            format!("sha256:{}", "0".repeat(1_000_000)),
        ] {
            assert!(Listed::parse(&text).is_err_and(|message| message.len() < 200), "{}", text.get(..80).unwrap_or(&text));
        }
    }
}
