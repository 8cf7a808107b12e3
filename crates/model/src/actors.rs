//! Who calls, and what they may do.

use serde::{Deserialize, Serialize};

use crate::EventId;

/// What somebody may do. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See.
    Viewer,
    /// Change people, events and attendance.
    Editor,
    /// Mail people.
    Sender,
    /// Administer.
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Sender, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Sender => "sender",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What somebody's rights reach over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "scope", content = "on")]
pub enum Grant {
    /// Everything that the role may do.
    Role(Role),
    /// One event's door: see it and who attends it, and check them in. Nothing else, whatever else there is.
    CheckIn(EventId),
}

impl Grant {
    /// The role that reaches over everything; none for a grant that is narrower.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Role(role) => Some(*role),
            Self::CheckIn(_) => None,
        }
    }

    /// How it is written: `viewer`, `editor`, `sender`, `admin`, `checkin:{event id}`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(role) = Role::parse(text) {
            return Some(Self::Role(role));
        }
        let event = text.strip_prefix("checkin:")?;
        EventId::parse(event).ok().map(Self::CheckIn)
    }
}

impl std::fmt::Display for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(role) => f.write_str(role.as_str()),
            Self::CheckIn(event) => write!(f, "checkin:{event}"),
        }
    }
}

/// Somebody with a name: a staff login or an API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Stable and unique: `staff:{subject}`, `token:{id}`. For keys and for the audit trail.
    pub name: String,
    /// For people to read: an address, the name of a token.
    pub label: String,
    /// None: signed in, but no group of theirs has a role here.
    pub grant: Option<Grant>,
}

/// Who calls, for checks and for the log. A person in the CRM is a [`crate::User`], never an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The product itself: tasks, the command line.
    System,
    /// Whoever reaches the loopback address of a server without sign-in.
    Local,
    /// Anybody, by a page that is for everybody or by a signed link.
    Public,
    /// Staff, by a session or a token of the issuer.
    Staff(Caller),
    /// A program, by an API token.
    Token(Caller),
}

impl Actor {
    /// The role that reaches over everything.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::System | Self::Local => Some(Role::Admin),
            Self::Public => None,
            Self::Staff(caller) | Self::Token(caller) => caller.grant.as_ref().and_then(Grant::role),
        }
    }

    pub fn may(&self, role: Role) -> bool {
        self.role().is_some_and(|have| have >= role)
    }

    /// Whether they may work at the door of this event.
    pub fn may_check_in(&self, event: &EventId) -> bool {
        self.may(Role::Editor) || self.check_in() == Some(event)
    }

    /// Whether they may see this event and who attends it.
    pub fn may_see_event(&self, event: &EventId) -> bool {
        self.may(Role::Viewer) || self.check_in() == Some(event)
    }

    /// The one event whose door they may work at, where they may do nothing else.
    pub fn check_in(&self) -> Option<&EventId> {
        match self {
            Self::Staff(Caller { grant: Some(Grant::CheckIn(event)), .. }) | Self::Token(Caller { grant: Some(Grant::CheckIn(event)), .. }) => Some(event),
            _ => None,
        }
    }

    /// Stable short name for logs and keys.
    pub fn name(&self) -> &str {
        match self {
            Self::System => "system",
            Self::Local => "local",
            Self::Public => "public",
            Self::Staff(caller) | Self::Token(caller) => &caller.name,
        }
    }

    /// For people to read.
    pub fn label(&self) -> &str {
        match self {
            Self::System | Self::Local | Self::Public => self.name(),
            Self::Staff(caller) | Self::Token(caller) => &caller.label,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(grant: Grant) -> Actor {
        Actor::Token(Caller { name: "token:1".to_owned(), label: "door".to_owned(), grant: Some(grant) })
    }

    #[test]
    fn each_role_includes_the_ones_before_it_and_a_narrow_grant_none() {
        for (n, have) in Role::ALL.into_iter().enumerate() {
            for (m, need) in Role::ALL.into_iter().enumerate() {
                assert_eq!(token(Grant::Role(have)).may(need), n >= m);
            }
        }
        let door = token(Grant::parse("checkin:tea").unwrap());
        let (tea, beer) = (EventId::parse("tea").unwrap(), EventId::parse("beer").unwrap());
        assert!(Role::ALL.into_iter().all(|role| !door.may(role)));
        assert!(door.may_check_in(&tea) && door.may_see_event(&tea));
        assert!(!door.may_check_in(&beer) && !door.may_see_event(&beer));
        assert!(!Actor::Public.may(Role::Viewer) && Actor::Local.may(Role::Admin));
    }

    #[test]
    fn a_grant_is_read_as_it_is_written() {
        for text in ["viewer", "editor", "sender", "admin", "checkin:tea-2026"] {
            assert_eq!(Grant::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "Admin", "root", "checkin:", "checkin:a b", "checkin"] {
            assert_eq!(Grant::parse(bad), None, "{bad}");
        }
    }
}
