//! The rules that a guard can name. A use case reads as its rules.

/// What a refused transaction broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rule {
    #[error("the id is taken")]
    IdTaken,
    #[error("the address belongs to somebody else")]
    EmailTaken,
    #[error("the slug belongs to another event")]
    SlugTaken,
    #[error("there is no such user")]
    UserUnknown,
    #[error("there is no such owner or host")]
    HostUnknown,
    #[error("there is no such event")]
    EventUnknown,
    #[error("the event is full")]
    EventFull,
    #[error("the capacity would be below the number of attendees")]
    CapacityTooLow,
    #[error("the user already attends the event")]
    AlreadyAttending,
    #[error("the user does not attend the event")]
    NotAttending,
    #[error("there is no such campaign")]
    CampaignUnknown,
    /// The campaign or its ledger moved on; read again.
    #[error("the campaign is in another state")]
    CampaignMoved,
    /// The client's `If-Match` is stale.
    #[error("the object was changed by somebody else")]
    StaleRev,
    /// What the change was computed from has changed; read again and retry.
    #[error("the object changed while the change was prepared")]
    Changed,
    /// The idempotency key was used before; the stored answer settles it.
    #[error("the idempotency key was used before")]
    KeyUsed,
    #[error("the lease is held by another worker")]
    LeaseHeld,
    #[error("the task is gone")]
    TaskGone,
}
