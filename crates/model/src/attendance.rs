//! One user at one event.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EventId, FieldErrors, Fields, Rev, UserId};

/// Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attendance {
    pub user_id: UserId,
    pub event_id: EventId,
    /// Free text; `yes` unless the client says otherwise.
    #[serde(default = "yes")]
    pub attended: String,
    #[serde(default, rename = "createdAt", skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    #[serde(default, rename = "updatedAt", skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    #[serde(default)]
    pub rev: Rev,
}

fn yes() -> String {
    "yes".to_owned()
}

/// Body of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttendanceDraft {
    pub user_id: UserId,
    pub event_id: EventId,
    pub attended: String,
}

impl AttendanceDraft {
    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let user_id = f.parsed("user_id", usize::MAX, UserId::lookup);
        let event_id = f.parsed("event_id", usize::MAX, EventId::lookup);
        let attended = f.optional_text("attended", 0..=50).unwrap_or_else(yes);
        let draft = user_id.zip(event_id).map(|(user_id, event_id)| Self { user_id, event_id, attended });
        f.finish(draft)
    }

    /// Body of a change: the new `attended`, or nothing to change.
    pub fn parse_patch(body: &Value) -> Result<Option<String>, FieldErrors> {
        let mut f = Fields::new(body)?;
        let attended = f.patch_required("attended", |f| f.text("attended", 1..=50));
        f.finish(Some(attended))
    }
}
