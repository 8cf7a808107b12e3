//! Ids are strings. New ones are UUIDs; any id of 1..=50 safe characters that is already stored stays valid.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest id that is accepted, in characters (which are all ASCII).
pub const ID_MAX: usize = 50;

/// What is wrong with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 50 letters, digits, '-', '_' or '.'")]
pub struct BadId;

fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Surrounding white space is not part of an id.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                let text = text.trim();
                if is_id(text) { Ok(Self(text.to_owned())) } else { Err(BadId) }
            }
            /// An id to look something up by: whatever may be stored, so not as strict as [`Self::parse`].
            pub fn lookup(text: &str) -> Result<Self, BadId> {
                let sane = !text.is_empty() && text.chars().count() <= ID_MAX && !text.chars().any(char::is_control);
                if sane { Ok(Self(text.to_owned())) } else { Err(BadId) }
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        /// What is stored is taken as it is: an earlier service may have been less strict.
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id.to_string())
            }
        }
    };
}

id_type!(
    /// Id of a [`crate::User`]. New ones are UUIDv4, which spreads writes.
    UserId
);
id_type!(
    /// Id of an [`crate::Event`]. New ones are UUIDv7, so lists come out in time order.
    EventId
);
id_type!(
    /// Id of a [`crate::Campaign`]. New ones are UUIDv7, so lists come out in time order.
    CampaignId
);
