//! What a use case can answer besides its result. One table in the server maps each variant to a status and a code.

use emcrm_mail::MailError;
use emcrm_model::{CampaignState, FieldErrors, Role};
use emcrm_search::SearchError;
use emcrm_store::{EngineError, Rule, TransactError};

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("{0}")]
    Invalid(#[from] FieldErrors),
    #[error("This needs the role {0:?}")]
    Forbidden(Role),

    #[error("User not found")]
    UserUnknown,
    #[error("Event not found")]
    EventUnknown,
    #[error("Attendance not found")]
    AttendanceUnknown,
    #[error("Email request not found")]
    CampaignUnknown,
    #[error("Template not found")]
    TemplateUnknown,
    #[error("API token not found")]
    TokenUnknown,
    #[error("The address is not on the suppression list")]
    SuppressionUnknown,
    /// A list that the contract answers with 404 when it is empty.
    #[error("{0}")]
    NothingThere(&'static str),
    #[error("No users match the filter")]
    NoUsersMatch,

    #[error("A user with this id already exists")]
    UserIdTaken,
    #[error("An event with this id already exists")]
    EventIdTaken,
    #[error("A user with this email already exists")]
    EmailTaken,
    #[error("An event with this slug already exists")]
    SlugTaken,
    #[error("Unknown owner or host: {}", .0.join(", "))]
    HostsUnknown(Vec<String>),
    #[error("The user already attends this event")]
    AlreadyAttending,
    #[error("The event is full")]
    EventFull,
    #[error("The event is over")]
    RegistrationClosed,
    #[error("maxCapacity is below the present number of attendees, {attendees}")]
    CapacityTooLow { attendees: i64 },
    #[error("The email request is {now}, so it cannot be {wanted}")]
    CampaignState { now: CampaignState, wanted: &'static str },
    #[error("{now} people match now, and not {was} as before; look at them again before sending")]
    AudienceChanged { was: u64, now: u64 },

    #[error("The cursor is not one that this list gave out")]
    BadCursor,
    #[error("page * size may be at most 10000; walk further with cursor")]
    TooDeep,
    #[error("The object was changed in the meantime; read it again")]
    StaleRev,
    #[error("This Idempotency-Key was used before with another request")]
    KeyReused,
    /// Too many others changed the same thing at the same time; trying again will work.
    #[error("The object is being changed by many at once; try again")]
    Contended,

    #[error("storage: {0}")]
    Storage(#[from] EngineError),
    #[error("search: {0}")]
    Search(#[from] SearchError),
    #[error("mail: {0}")]
    Mail(#[from] MailError),
    /// A bug: something that cannot be. The text is for the log only.
    #[error("internal: {0}")]
    Internal(String),
}

/// A refusal whose rule the use case did not expect is a bug, and says which.
impl From<TransactError> for AppError {
    fn from(error: TransactError) -> Self {
        match error {
            TransactError::Engine(error) => Self::Storage(error),
            TransactError::Refused(_) => match error.rule() {
                Some(Rule::EmailTaken) => Self::EmailTaken,
                Some(Rule::SlugTaken) => Self::SlugTaken,
                Some(Rule::UserUnknown) => Self::UserUnknown,
                Some(Rule::EventUnknown) => Self::EventUnknown,
                Some(Rule::EventFull) => Self::EventFull,
                Some(Rule::AlreadyAttending) => Self::AlreadyAttending,
                Some(Rule::NotAttending) => Self::AttendanceUnknown,
                Some(Rule::CampaignUnknown) => Self::CampaignUnknown,
                Some(Rule::StaleRev) => Self::StaleRev,
                Some(Rule::Changed) => Self::Contended,
                rule => Self::Internal(format!("a transaction was refused by an unexpected rule: {rule:?}")),
            },
        }
    }
}
