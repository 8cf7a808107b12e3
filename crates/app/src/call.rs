//! Who calls, and what a call carries besides its subject.

use emcrm_model::{Actor, Rev, Role};

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
        Self { actor: Actor::System, request_id: String::new(), idempotency: None, if_match: None }
    }

    pub fn require(&self, role: Role) -> Result<(), AppError> {
        if self.actor.role() >= role { Ok(()) } else { Err(AppError::Forbidden(role)) }
    }
}
