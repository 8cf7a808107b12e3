//! Who did what, when, from where. One entry for each deed; entries are chained, so that a change or a gap is seen.

use serde::{Deserialize, Serialize};

/// An entry of the audit trail. It names things by their ids and never holds what they contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Unique; in the order of time.
    pub id: String,
    /// UTC, microseconds.
    pub at: String,
    /// Stable name of who did it: `local`, `system`, `public`, `staff:…`, `token:…`.
    pub actor: String,
    /// The same for people to read.
    pub label: String,
    /// What was done, such as `user.created`.
    pub what: String,
    /// To what, such as `user#…`; empty when to nothing in particular.
    pub object: String,
    /// A second object that it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<String>,
    /// How much, or to what else; never personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Address of the caller; none of the public, who are the people that the deed is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl AuditEntry {
    /// Whatever it was done to.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.object.as_str()).filter(|object| !object.is_empty()).chain(self.also.as_deref())
    }
}

/// An entry that is not in the chain yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewEntry {
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// Keyed digest over the entry, in hexadecimal. Earlier versions wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// An entry at its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainedEntry {
    /// 1, 2, 3, … without a gap.
    pub seq: u64,
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// Keyed digest over the digest of the entry before and this entry, in hexadecimal.
    pub mac: String,
}
