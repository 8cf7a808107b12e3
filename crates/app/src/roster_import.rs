//! A pasted table onto one event's list, row by row: whoever is not known is made, whoever is known stays as they are. Files go through `people_import`.

use emcrm_model::{AttendanceDraft, EmailAddress, EventId, FieldError, FieldErrors, Role, UserDraft};
use serde_json::json;

use crate::people_import::Lines;
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
            Some(event) => event.places_left() == Some(0),
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

/// What a column is called in files that people have.
fn column(header: &str) -> Option<&'static str> {
    let plain: String = header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match plain.as_str() {
        "email" | "mail" | "emailaddress" | "address" | "eaddress" => Some("email"),
        "firstname" | "givenname" | "forename" | "first" => Some("firstName"),
        "lastname" | "surname" | "familyname" | "last" => Some("lastName"),
        "name" | "fullname" => Some("name"),
        _ => None,
    }
}

/// Rows of a pasted table: commas, semicolons or tabs, with or without a line of names. Without names the columns are address, first name, last name.
pub fn read_rows(text: &str) -> Result<Vec<ImportRow>, String> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err("Paste at least one line.".to_owned());
    }
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|d| (first.bytes().filter(|b| b == d).count(), *d == b',')).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut columns: Option<Vec<Option<&'static str>>> = None;
    let mut rows = Vec::new();
    let mut lines = Lines::of_text(text);
    for record in reader.records() {
        let record = record.map_err(|error| format!("This is not a table: {error}"))?;
        let line = record.position().map_or(0, |at| lines.of(at.byte() as usize));
        if columns.is_none() {
            let named: Vec<_> = record.iter().map(column).collect();
            let has_names = named.contains(&Some("email"));
            columns = Some(if has_names { named } else { vec![Some("email"), Some("firstName"), Some("lastName")] });
            if has_names {
                continue;
            }
        }
        let columns = columns.as_deref().unwrap_or_default();
        let value = |name: &str| columns.iter().position(|column| *column == Some(name)).and_then(|at| record.get(at)).unwrap_or_default().to_owned();
        let (mut first_name, mut last_name) = (value("firstName"), value("lastName"));
        if first_name.is_empty() && last_name.is_empty() {
            let name = value("name");
            let (first, last) = name.split_once(char::is_whitespace).unwrap_or((&name, ""));
            (first_name, last_name) = (first.to_owned(), last.trim().to_owned());
        }
        rows.push(ImportRow { line, email: value("email"), first_name, last_name });
        if rows.len() > ROWS_MAX {
            return Err(format!("At most {ROWS_MAX} lines at once."));
        }
    }
    if rows.is_empty() { Err("There are names of columns, and no line under them.".to_owned()) } else { Ok(rows) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rows(text: &str) -> Vec<(String, String, String)> {
        read_rows(text).unwrap().into_iter().map(|row| (row.email, row.first_name, row.last_name)).collect()
    }

    #[test]
    fn tables_as_people_have_them_are_read() {
        let ann = ("ann@example.org".to_owned(), "Ann".to_owned(), "Berg".to_owned());
        for text in [
            "ann@example.org, Ann, Berg",
            "\u{feff}E-Mail;First name;Last name\r\nann@example.org;Ann;Berg\r\n",
            "First Name\tSurname\tShoe size\tEmail address\nAnn\tBerg\t38\tann@example.org\n",
            "name,email\n\"Ann Berg\",ann@example.org",
            "email,firstName,lastName\nann@example.org,\"Ann\",\"Berg\"\n\n",
        ] {
            assert_eq!(rows(text), std::slice::from_ref(&ann), "{text}");
        }
        assert_eq!(
            rows("email,lastName,firstName\n\"a\"\"b@example.org\",\"two\nlines\",x"),
            [("a\"b@example.org".to_owned(), "x".to_owned(), "two\nlines".to_owned())]
        );
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("a@example.org{end}{end}b@example.org{end}");
            assert_eq!(read_rows(&text).unwrap().iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3], "{end:?}");
        }
        assert!(read_rows(" \n").is_err() && read_rows("email;name").is_err());
    }
}
