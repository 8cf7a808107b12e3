//! The people that a run puts in, and the text that it mails.

use emcrm_model::{EmailAddress, UserDraft};
use serde_json::{Value, json};

const FIRST: [&str; 8] = ["Ada", "Boris", "Chiara", "Dmitri", "Emine", "Farid", "Grete", "Hugo"];
const LAST: [&str; 8] = ["Andersen", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Horváth"];
const CITIES: [&str; 8] = ["Berlin", "Lisbon", "Lyon", "Oslo", "Porto", "Riga", "Turin", "Vienna"];
const JOBS: [&str; 6] = ["Engineer", "Designer", "Analyst", "Teacher", "Manager", "Writer"];

fn of<'a>(list: &[&'a str], n: usize) -> &'a str {
    list.get(n % list.len()).copied().unwrap_or_default()
}

/// The nth person of a batch; addresses of different batches differ.
pub fn body(batch: &str, n: usize) -> Value {
    json!({
        "firstName": of(&FIRST, n),
        "lastName": of(&LAST, n / 8),
        "email": format!("{batch}.{n}@example.org"),
        "phoneNumber": format!("+49 30 {:06}", n % 1_000_000),
        "jobTitle": of(&JOBS, n / 3),
        "company": format!("Company {}", n % 997),
        "city": of(&CITIES, n / 5),
        "state": "State",
    })
}

pub fn draft(batch: &str, n: usize) -> anyhow::Result<UserDraft> {
    let email = EmailAddress::parse(&format!("{batch}.{n}@example.org"))?;
    let some = |text: &str| Some(text.to_owned());
    Ok(UserDraft {
        first_name: of(&FIRST, n).to_owned(),
        last_name: of(&LAST, n / 8).to_owned(),
        email,
        phone_number: None,
        avatar: None,
        gender: None,
        job_title: some(of(&JOBS, n / 3)),
        company: Some(format!("Company {}", n % 997)),
        city: some(of(&CITIES, n / 5)),
        state: some("State"),
    })
}

pub const SUBJECT: &str = "The programme of our meeting in spring";

/// About 3 KB of text.
pub fn text() -> String {
    let line = "We look forward to seeing you. The rooms open at nine, the first talk begins at ten, and there is coffee.\n";
    line.repeat(28)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_the_product_accepts() {
        let parsed = UserDraft::parse(&body("a", 12)).unwrap();
        assert_eq!(parsed.email.as_str(), "a.12@example.org");
        assert_eq!(parsed.company, draft("a", 12).unwrap().company);
    }
}
