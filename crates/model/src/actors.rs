//! Who calls.

/// What somebody may do. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Who calls, for checks and for the log. A person in the CRM is a [`crate::User`], never an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The product itself: tasks, the command line.
    System,
    /// Whoever reaches the loopback address of a server without sign-in.
    Local,
}

impl Actor {
    pub fn role(&self) -> Role {
        match self {
            Self::System | Self::Local => Role::Admin,
        }
    }
    /// Stable short name for logs and keys.
    pub fn name(&self) -> &str {
        match self {
            Self::System => "system",
            Self::Local => "local",
        }
    }
}
