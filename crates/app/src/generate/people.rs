//! One made-up person: always the same for the same seed and number.

use emcrm_model::{EmailAddress, Gender, UserDraft, UserId};

use super::dice::Dice;
use super::words::{COMPANIES, COMPANY_FIRST, COMPANY_SECOND, COMPANY_THIRD, CULTURES, PLACES, TECHNICAL_TITLES, TITLES};

const ID: u64 = 1;
const DRAFT: u64 = 2;
/// Domains that nobody can have (RFC 2606).
const DOMAINS: [&str; 3] = ["example.com", "example.org", "example.net"];

pub(super) fn user_id(seed: u64, n: u64) -> UserId {
    Dice::of(seed, ID, n).id().into()
}

/// None only if the lists hold a value that is not valid, which a test rules out.
pub(super) fn person(seed: u64, n: u64) -> Option<UserDraft> {
    let mut dice = Dice::of(seed, DRAFT, n);
    let culture = dice.favour(CULTURES)?;
    let woman = dice.percent(50);
    let (first_name, first) = split(dice.text(if woman { culture.women } else { culture.men }));
    // Families come from all over: in one of seven the name is from elsewhere.
    let families = if dice.percent(15) { dice.favour(CULTURES)?.families } else { culture.families };
    let (last_name, last) = split(dice.favourite(families));

    let place = if dice.percent(94) { dice.favour(PLACES) } else { None };
    let technical = place.is_some_and(|place| place.technical && dice.percent(45));
    let job_title = match dice.below(100) {
        0..12 => None,
        _ if technical => Some(dice.favourite(TECHNICAL_TITLES).to_owned()),
        _ => Some(dice.favourite(TITLES).to_owned()),
    };
    let company = match dice.below(100) {
        0..55 => Some(dice.favourite(COMPANIES).to_owned()),
        55..85 => Some(format!("{} {} {}", dice.text(COMPANY_FIRST), dice.text(COMPANY_SECOND), dice.text(COMPANY_THIRD))),
        _ => None,
    };
    let phone_number = place.filter(|_| dice.percent(60)).map(|place| {
        let digits = if place.phone.starts_with("+1") { 100 } else { 1_000 };
        format!("{}{:0width$}", place.phone, dice.below(digits), width = if digits == 100 { 2 } else { 3 })
    });
    let gender = match dice.below(100) {
        0..30 => None,
        30..33 => Some(Gender::Other),
        _ => Some(if woman { Gender::Female } else { Gender::Male }),
    };
    let host = company.as_deref().map_or_else(|| "mail".to_owned(), label);
    // The number makes the address one person's; another seed makes other addresses.
    let number = if seed == 1 { n.to_string() } else { format!("{n}.{seed}") };
    let email = format!("{first}.{last}.{number}@{host}.{}", dice.text(&DOMAINS));
    Some(UserDraft {
        first_name,
        last_name,
        email: EmailAddress::parse(&email).ok()?,
        phone_number,
        avatar: None,
        gender,
        job_title,
        company,
        city: place.map(|place| place.city.to_owned()),
        state: place.map(|place| place.state.to_owned()),
    })
}

/// A name, and its form in an address.
fn split(name: &str) -> (String, String) {
    let (name, address) = name.split_once('=').unwrap_or((name, name));
    (name.to_owned(), address.to_lowercase().replace('-', ""))
}

/// A label of a domain name made of a company's name.
fn label(company: &str) -> String {
    emcrm_model::Slug::from_title(company, 0).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn everybody_is_valid_and_has_an_address_of_their_own() {
        let mut addresses = BTreeSet::new();
        let mut ids = BTreeSet::new();
        let mut foreign = 0;
        for seed in [1, 42] {
            for n in 0..5_000 {
                let draft = person(seed, n).expect("lists hold valid values");
                foreign += u32::from(!draft.first_name.is_ascii() || !draft.last_name.is_ascii());
                let body = json!({
                    "firstName": draft.first_name, "lastName": draft.last_name, "email": draft.email.as_str(), "phoneNumber": draft.phone_number,
                    "jobTitle": draft.job_title, "company": draft.company, "city": draft.city, "state": draft.state,
                });
                let parsed = UserDraft::parse(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
                assert_eq!(UserDraft { gender: draft.gender, ..parsed }, draft);
                let domain = draft.email.domain();
                assert!(DOMAINS.iter().any(|reserved| domain.ends_with(&format!(".{reserved}"))), "{domain}");
                assert!(addresses.insert(draft.email.normalised().to_owned()), "{}", draft.email);
                assert!(ids.insert(user_id(seed, n)));
            }
        }
        assert!(foreign > 1_500, "names of many scripts and accents: {foreign}");
    }

    #[test]
    fn a_person_never_changes() {
        let ana = person(1, 7).unwrap();
        assert_eq!((user_id(1, 7).as_str(), ana.email.as_str()), EXPECTED);
        assert_eq!(person(1, 7).unwrap(), ana);
        assert_ne!(person(2, 7).unwrap(), ana);
    }
    const EXPECTED: (&str, &str) = ("1374140a-4ed6-40ae-91d3-637c027435f1", "isaac.wilson.7@atlas-freight.example.com");

    #[test]
    fn cities_and_titles_are_skewed_so_that_filters_are_worth_while() {
        let people: Vec<UserDraft> = (0..10_000).filter_map(|n| person(1, n)).collect();
        let count = |test: &dyn Fn(&UserDraft) -> bool| people.iter().filter(|draft| test(draft)).count();
        let in_city = |city: &'static str| count(&|draft| draft.city.as_deref() == Some(city));
        assert!(in_city("Austin") > 500, "{}", in_city("Austin"));
        assert!(in_city("Austin") > 20 * in_city("Anchorage").max(1));
        let engineers = count(&|draft| draft.city.as_deref() == Some("Austin") && draft.job_title.as_deref() == Some("Software Engineer"));
        assert!((50..500).contains(&engineers), "{engineers}");
        assert!(count(&|draft| draft.company.is_none()) > 1_000);
    }
}
