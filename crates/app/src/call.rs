//! Who calls, and what a call carries besides its subject.

use std::net::IpAddr;

use emcrm_model::{Actor, EventId, Rev, Role};

use crate::AppError;

/// The circumstances of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub actor: Actor,
    pub request_id: String,
    /// Makes a repeated write answer what the first one answered, for 24 hours.
    pub idempotency: Option<Idempotency>,
    /// The revision that the caller has seen; a write is refused when it is stale.
    pub if_match: Option<Rev>,
    /// Where the call comes from; none when from the machine itself.
    pub from: Option<IpAddr>,
}

/// An `Idempotency-Key` and what it was sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// 1..=255 printable characters.
    pub key: String,
    /// Digest over method, path and body: the same key with another digest is refused.
    pub fingerprint: String,
}

impl Call {
    /// A call of the product itself.
    pub fn system() -> Self {
        Self { actor: Actor::System, request_id: String::new(), idempotency: None, if_match: None, from: None }
    }

    pub fn require(&self, role: Role) -> Result<(), AppError> {
        if self.actor.may(role) { Ok(()) } else { Err(AppError::Forbidden(role)) }
    }

    /// To see one event and who attends it.
    pub fn require_event(&self, event: &EventId) -> Result<(), AppError> {
        if self.actor.may_see_event(event) { Ok(()) } else { Err(AppError::Forbidden(Role::Viewer)) }
    }

    /// To work at the door of one event.
    pub fn require_check_in(&self, event: &EventId) -> Result<(), AppError> {
        if self.actor.may_check_in(event) { Ok(()) } else { Err(AppError::Forbidden(Role::Editor)) }
    }

    /// A call of somebody whom nobody knows, by a page or a link that is for everybody.
    pub fn public(from: Option<IpAddr>, request_id: &str) -> Self {
        Self { actor: Actor::Public, request_id: request_id.to_owned(), idempotency: None, if_match: None, from }
    }
}
