//! API tokens: what is kept about one. The token itself is shown once and is stored nowhere.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{FieldErrors, Fields, Grant};

/// Longest life of a token, in days.
pub const TOKEN_DAYS_MAX: i64 = 3_660;

/// A token as it is stored and listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiToken {
    pub id: String,
    /// What a person calls it.
    pub name: String,
    /// `viewer`, `editor`, `sender`, `admin`, `checkin:{event id}`.
    pub grant: String,
    /// The first characters, so that a person can tell which one it is.
    pub hint: String,
    pub created_at: String,
    pub created_by: String,
    /// From this moment on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
}

/// What a client says about a new token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTokenDraft {
    pub name: String,
    pub grant: Grant,
    /// Days until it expires; none: never.
    pub days: Option<i64>,
}

impl ApiTokenDraft {
    /// Longest name, in characters.
    pub const NAME_MAX: usize = 100;

    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let name = f.text("name", 1..=Self::NAME_MAX);
        let grant = f.parsed("grant", 100, |text| Grant::parse(text).ok_or("must be one of: viewer, editor, sender, admin, checkin:{event id}"));
        let days = f.optional_integer("days", 1..=TOKEN_DAYS_MAX);
        let draft = name.zip(grant).map(|(name, grant)| Self { name, grant, days });
        f.finish(draft)
    }
}
