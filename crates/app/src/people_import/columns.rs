//! Which column is which field, and what a row says about a person.

use emcrm_model::{FieldErrors, UserDraft, UserPatch};
use serde_json::{Map, Value};

/// Fields that a column can fill.
pub const FIELDS: [&str; 11] = ["firstName", "lastName", "fullName", "email", "phoneNumber", "jobTitle", "company", "city", "state", "gender", "avatar"];

/// Names of columns by field, in lower case without anything but letters and digits.
const NAMES: [(&str, &[&str]); 11] = [
    ("firstName", &["firstname", "first", "givenname", "forename", "vorname", "prenom", "nombre"]),
    ("lastName", &["lastname", "last", "surname", "familyname", "nachname", "nom", "apellido", "apellidos"]),
    ("fullName", &["name", "fullname", "contact", "person", "attendee"]),
    ("email", &["email", "emailaddress", "mail", "mailaddress", "address", "correo"]),
    ("phoneNumber", &["phone", "phonenumber", "telephone", "tel", "mobile", "mobilephone", "telefon", "cell"]),
    ("jobTitle", &["jobtitle", "title", "position", "job", "role", "occupation"]),
    ("company", &["company", "organisation", "organization", "employer", "companyname", "firma", "org"]),
    ("city", &["city", "town", "ort", "stadt", "ville", "ciudad"]),
    ("state", &["state", "province", "region", "county", "bundesland"]),
    ("gender", &["gender", "sex"]),
    ("avatar", &["avatar", "picture", "photo", "image", "photourl"]),
];

/// Field by column; none where a column is left out.
pub type Mapping = Vec<Option<String>>;

/// A guess by the names of the columns; each field at most once.
pub fn guess(header: &[String]) -> Mapping {
    let mut taken: Vec<&str> = Vec::new();
    let mut of = |name: &String| {
        let plain: String = name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let (field, _) = NAMES.iter().find(|(field, names)| !taken.contains(field) && names.contains(&plain.as_str()))?;
        taken.push(*field);
        Some((*field).to_owned())
    };
    header.iter().map(&mut of).collect()
}

/// A mapping that can be used: known fields, each once, and one column with addresses.
pub fn check(mapping: &Mapping) -> Result<(), FieldErrors> {
    let fields: Vec<&str> = mapping.iter().flatten().map(String::as_str).collect();
    let fault = |message: String| Err(FieldErrors::one("mapping", "value_error", message));
    if let Some(unknown) = fields.iter().find(|field| !FIELDS.contains(field)) {
        return fault(format!("there is no field {unknown}"));
    }
    if let Some(twice) = fields.iter().enumerate().find_map(|(at, field)| fields.iter().take(at).any(|have| have == field).then_some(field)) {
        return fault(format!("two columns are {twice}"));
    }
    if fields.contains(&"email") { Ok(()) } else { fault("one column has to be the e-mail address".to_owned()) }
}

/// The fields that a row gives; empty cells say nothing.
pub fn fields_of(cells: &[String], mapping: &Mapping) -> Value {
    let mut body = Map::new();
    for (cell, field) in cells.iter().zip(mapping) {
        let (Some(field), false) = (field, cell.is_empty()) else { continue };
        match field.as_str() {
            "fullName" => {
                let (first, last) = cell.rsplit_once(char::is_whitespace).unwrap_or((cell.as_str(), ""));
                body.entry("firstName").or_insert_with(|| first.trim().into());
                body.entry("lastName").or_insert_with(|| last.into());
            }
            "gender" => drop(body.insert(field.clone(), cell.to_lowercase().into())),
            _ => drop(body.insert(field.clone(), cell.as_str().into())),
        }
    }
    Value::Object(body)
}

/// What a row changes of somebody who is known, by the model's rules.
pub fn patch_of(body: &Value) -> Result<UserPatch, Vec<String>> {
    let mut faults = Vec::new();
    if body.get("email").is_none() {
        faults.push("email: is needed".to_owned());
    }
    match UserPatch::parse(body) {
        Ok(patch) if faults.is_empty() => Ok(patch),
        Ok(_) => Err(faults),
        Err(errors) => {
            faults.extend(sentences(&errors));
            Err(faults)
        }
    }
}

/// Who a row adds.
pub fn draft_of(body: &Value) -> Result<UserDraft, Vec<String>> {
    let mut whole = body.clone();
    if let Some(fields) = whole.as_object_mut() {
        fields.entry("lastName").or_insert_with(|| "".into());
        if !fields.contains_key("firstName") {
            return Err(vec!["firstName: is needed for somebody who is new".to_owned()]);
        }
    }
    UserDraft::parse(&whole).map_err(|errors| sentences(&errors))
}

fn sentences(errors: &FieldErrors) -> Vec<String> {
    errors.0.iter().map(|error| format!("{}: {}", error.path.join("."), error.message)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_cell_that_is_too_long_is_named_by_its_field() {
        const SHORT: [&str; 6] = ["firstName", "lastName", "jobTitle", "company", "city", "state"];
        let body = |more: usize| {
            let mut body = json!({ "email": "ann@example.org", "phoneNumber": "1".repeat(20 + more), "avatar": "x".repeat(2048 + more) });
            for field in SHORT {
                body[field] = json!("\u{df}".repeat(50 + more));
            }
            body
        };
        assert!(draft_of(&body(0)).is_ok() && patch_of(&body(0)).is_ok());
        let expected: Vec<String> = ["firstName", "lastName", "phoneNumber", "avatar", "jobTitle", "company", "city", "state"]
            .iter()
            .zip([50, 50, 20, 2048, 50, 50, 50, 50])
            .map(|(field, most)| format!("{field}: must have at most {most} characters"))
            .collect();
        assert_eq!(draft_of(&body(1)).unwrap_err(), expected);
        assert_eq!(patch_of(&body(1)).unwrap_err(), expected);
    }

    #[test]
    fn columns_are_guessed_by_their_names_each_field_once() {
        let guessed = guess(&texts(&["First Name", "E-Mail", "email", "Notes", "Firma", "JOB_TITLE"]));
        let fields: Vec<_> = guessed.iter().map(|field| field.as_deref().unwrap_or("-")).collect();
        assert_eq!(fields, ["firstName", "email", "-", "-", "company", "jobTitle"]);
        assert!(check(&guessed).is_ok());
        assert!(check(&vec![None, Some("city".into())]).is_err());
        assert!(check(&vec![Some("email".into()), Some("email".into())]).is_err());
        assert!(check(&vec![Some("email".into()), Some("attendedCount".into())]).is_err());
    }

    #[test]
    fn a_whole_name_is_taken_apart_and_empty_cells_say_nothing() {
        let mapping = vec![Some("fullName".into()), Some("email".into()), None, Some("city".into())];
        let body = fields_of(&texts(&["Mara de Okonjo", "m@example.org", "x", ""]), &mapping);
        assert_eq!(body, json!({"firstName": "Mara de", "lastName": "Okonjo", "email": "m@example.org"}));
        assert!(draft_of(&body).is_ok());
        assert!(draft_of(&json!({"email": "m@example.org"})).is_err());
        assert!(patch_of(&json!({"email": "nonsense"})).is_err());
        assert!(patch_of(&json!({"city": "Austin"})).is_err());
    }
}
