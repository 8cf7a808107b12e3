//! Many people onto one event's list, row by row: whoever is not known is made, whoever is known stays as they are.

use emcrm_model::{AttendanceDraft, EmailAddress, EventId, FieldError, FieldErrors, Role, UserDraft};
use serde_json::json;

use crate::roster::REGISTERED;
use crate::{App, AppError, Call};

/// Rows of one import: it is answered when it is done.
pub const ROWS_MAX: usize = 2_000;

/// One row, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Line of the file where it begins.
    pub line: u64,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    /// On the list now.
    Added,
    /// On the list now, and new among the people.
    Made,
    Already,
    Full,
    /// Why the row cannot be taken, for a person.
    Faulty(String),
}

/// Faults of a person's fields, as a person says them.
fn words(faults: &FieldErrors) -> String {
    let one = |fault: &FieldError| {
        let name = match fault.path.first().map(String::as_str) {
            Some("firstName") => "the first name",
            Some("lastName") => "the last name",
            _ => "the row",
        };
        format!("{name} {}", fault.message)
    };
    faults.0.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl App {
    /// One outcome for each row, in their order. A row that cannot be taken does not keep the others out. Repeating it changes nothing.
    pub async fn attendees_import(&self, call: &Call, event: &EventId, rows: &[ImportRow]) -> Result<Vec<ImportOutcome>, AppError> {
        call.require(Role::Editor)?;
        if self.store.events.get(event).await?.is_none() {
            return Err(AppError::EventUnknown);
        }
        let one = Call { idempotency: None, if_match: None, ..call.clone() };
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in rows.iter().take(ROWS_MAX) {
            outcomes.push(self.attendee_import(&one, event, row).await?);
        }
        Ok(outcomes)
    }

    async fn attendee_import(&self, call: &Call, event: &EventId, row: &ImportRow) -> Result<ImportOutcome, AppError> {
        let address = match EmailAddress::parse(&row.email) {
            Ok(address) => address,
            Err(error) => return Ok(ImportOutcome::Faulty(error.to_string())),
        };
        // Nobody is made who then finds no place.
        let full = match self.store.events.get(event).await? {
            Some(event) => event.max_capacity.is_some_and(|most| event.attendee_count >= most),
            None => return Err(AppError::EventUnknown),
        };
        let (user, made) = match self.store.users.by_email(&address).await? {
            Some(user) => (user, false),
            None if full => return Ok(ImportOutcome::Full),
            None => {
                let body = json!({ "firstName": row.first_name, "lastName": row.last_name, "email": row.email });
                let draft = match UserDraft::parse(&body) {
                    Ok(draft) => draft,
                    Err(faults) => return Ok(ImportOutcome::Faulty(words(&faults))),
                };
                match self.user_create(call, None, draft).await {
                    Ok(user) => (user, true),
                    Err(AppError::EmailTaken) => return Ok(ImportOutcome::Faulty("the address was taken this moment; import the row again".to_owned())),
                    Err(error) => return Err(error),
                }
            }
        };
        let draft = AttendanceDraft { user_id: user.id, event_id: event.clone(), attended: REGISTERED.to_owned() };
        match self.attendance_register(call, draft).await {
            Ok(_) if made => Ok(ImportOutcome::Made),
            Ok(_) => Ok(ImportOutcome::Added),
            Err(AppError::AlreadyAttending) => Ok(ImportOutcome::Already),
            Err(AppError::EventFull) => Ok(ImportOutcome::Full),
            Err(AppError::UserUnknown) => Ok(ImportOutcome::Faulty("the person was deleted this moment".to_owned())),
            Err(error) => Err(error),
        }
    }
}
