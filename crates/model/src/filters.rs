//! Conditions that select users.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use crate::{FieldErrors, Fields, User};

/// The form in which exact values are compared: compatibility-normalised (so full-width letters are letters), lower-case,
/// white space trimmed and runs of it made one space.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.nfkc().collect::<String>().split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    // Lower-casing can leave a decomposed letter behind (Turkish dotted capital I).
    out.nfkc().collect()
}

/// All conditions must hold; an empty list is no condition; a list of values means any of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserFilter {
    #[serde(with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub company: Vec<String>,
    #[serde(with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub job_title: Vec<String>,
    #[serde(with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub city: Vec<String>,
    #[serde(with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_attended: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attended: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_hosted: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hosted: Option<i64>,
}

/// On the wire one value is a text, several are a list.
mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &Vec<String>, to: S) -> Result<S::Ok, S::Error> {
        match values.as_slice() {
            [one] => one.serialize(to),
            many => many.serialize(to),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        None,
        One(String),
        Many(Vec<String>),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        let values = match OneOrMany::deserialize(from)? {
            OneOrMany::None => Vec::new(),
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        };
        Ok(values.into_iter().filter(|value| !value.trim().is_empty()).collect())
    }
}

impl UserFilter {
    /// Longest value, in characters.
    pub const VALUE_MAX: usize = 50;
    /// Every condition.
    const NAMES: [&str; 8] = ["company", "jobTitle", "city", "state", "minAttended", "maxAttended", "minHosted", "maxHosted"];
    /// Conditions that do not exist, of which a person is told.
    const UNKNOWN_NAMED: usize = 3;
    /// Most values of one field.
    pub const VALUES_MAX: usize = 100;
    /// Largest count in a condition.
    pub const COUNT_MAX: i64 = 1_000_000_000;

    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let filter = Self::read(&mut f);
        f.finish(Some(filter))
    }

    /// Reads an object that is a filter and nothing else. A condition that does not exist is a fault here: passed over, it would select everybody.
    pub fn read_whole(f: &mut Fields<'_>) -> Self {
        f.only(&Self::NAMES, Self::UNKNOWN_NAMED);
        Self::read(f)
    }

    /// Reads the filter's fields out of a body that may hold more than the filter.
    pub fn read(f: &mut Fields<'_>) -> Self {
        let filter = Self {
            company: Self::values(f, "company"),
            job_title: Self::values(f, "jobTitle"),
            city: Self::values(f, "city"),
            state: Self::values(f, "state"),
            min_attended: f.optional_integer("minAttended", 0..=Self::COUNT_MAX),
            max_attended: f.optional_integer("maxAttended", 0..=Self::COUNT_MAX),
            min_hosted: f.optional_integer("minHosted", 0..=Self::COUNT_MAX),
            max_hosted: f.optional_integer("maxHosted", 0..=Self::COUNT_MAX),
        };
        let reversed = |min: Option<i64>, max: Option<i64>| min.zip(max).is_some_and(|(min, max)| max < min);
        if reversed(filter.min_attended, filter.max_attended) {
            f.fault("maxAttended", "value_error", "must not be less than minAttended");
        }
        if reversed(filter.min_hosted, filter.max_hosted) {
            f.fault("maxHosted", "value_error", "must not be less than minHosted");
        }
        filter
    }

    fn values(f: &mut Fields<'_>, name: &str) -> Vec<String> {
        let values = match f.raw(name) {
            Some(Value::Array(_)) => f.list(name, Self::VALUES_MAX, |text| {
                if text.chars().count() > Self::VALUE_MAX {
                    Err("must have at most 50 characters")
                } else if text.contains('\0') {
                    Err("must not contain the NUL character")
                } else {
                    Ok(text.to_owned())
                }
            }),
            _ => f.optional_text(name, 0..=Self::VALUE_MAX).into_iter().collect(),
        };
        values.into_iter().filter(|value| !value.is_empty()).collect()
    }

    /// Whether every user matches.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rule itself, on a stored user. The search index answers the same by other means.
    pub fn matches(&self, user: &User) -> bool {
        let any = |values: &[String], have: Option<&String>| {
            values.is_empty()
                || have.is_some_and(|have| {
                    let have = fold(have);
                    values.iter().any(|value| fold(value) == have)
                })
        };
        let within = |have: i64, min: Option<i64>, max: Option<i64>| min.is_none_or(|min| have >= min) && max.is_none_or(|max| have <= max);
        any(&self.company, user.company.as_ref())
            && any(&self.job_title, user.job_title.as_ref())
            && any(&self.city, user.city.as_ref())
            && any(&self.state, user.state.as_ref())
            && within(user.attended_count, self.min_attended, self.max_attended)
            && within(user.hosted_count, self.min_hosted, self.max_hosted)
    }

    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| Value::Object(Map::new()))
    }
}
