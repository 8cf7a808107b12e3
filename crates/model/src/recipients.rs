//! Whom a campaign is for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::ID_MAX;
use crate::{Campaign, CampaignDraft, EventId, FieldErrors, Fields, UserFilter};

/// Among whom the filter of a campaign chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// All people.
    #[default]
    People,
    /// Everybody on the list of the attached event.
    Attendees,
    /// Those on the list who have come.
    Here,
    /// Those on the list who have not come, or not yet.
    Away,
}

impl Audience {
    pub const ALL: [Self; 4] = [Self::People, Self::Attendees, Self::Here, Self::Away];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Attendees => "attendees",
            Self::Here => "here",
            Self::Away => "away",
        }
    }
    /// Asks for an event whose list it is.
    pub fn is_of_event(self) -> bool {
        self != Self::People
    }
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whom a campaign is for: all people or those on an event's list, and of these who matches the filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipients {
    pub audience: Audience,
    /// The attached event, whether or not its list is asked for.
    pub event_id: Option<EventId>,
    pub filter: UserFilter,
}

impl Recipients {
    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let recipients = Self::read(&mut f);
        f.finish(recipients)
    }

    /// Reads them out of a body that holds more.
    pub fn read(f: &mut Fields<'_>) -> Option<Self> {
        let filter = if let Some(mut nested) = f.nested("filter") {
            let filter = UserFilter::read_whole(&mut nested);
            f.absorb(nested);
            Some(filter)
        } else {
            if f.is_clean() && f.raw("filter").is_none() {
                f.fault("filter", "missing", "this field is required: {} selects everybody");
            }
            None
        };
        let audience = f.optional_choice("audience", &Audience::ALL.map(|audience| (audience.as_str(), audience))).unwrap_or_default();
        let event_id = f.optional_parsed("eventId", ID_MAX, EventId::lookup);
        if audience.is_of_event() && f.raw("eventId").is_none_or(|value| value == "") {
            f.fault("eventId", "missing", "the event whose list it is must be named");
        }
        filter.map(|filter| Self { audience, event_id, filter })
    }
}

impl From<&Campaign> for Recipients {
    fn from(campaign: &Campaign) -> Self {
        Self { audience: campaign.audience, event_id: campaign.event_id.clone(), filter: campaign.filter.clone() }
    }
}

impl From<&CampaignDraft> for Recipients {
    fn from(draft: &CampaignDraft) -> Self {
        Self { audience: draft.audience, event_id: draft.event_id.clone(), filter: draft.filter.clone() }
    }
}
