//! Which people a page shows: read from an address, and written into the addresses of its links.

use emcrm_model::{FieldErrors, UserFilter};
use serde_json::{Map, Value};

use crate::api::users::{SORT_MAX, TEXT_MAX};
use crate::http::QueryReader;
use crate::web::href::with_query;
use crate::web_form::Form;

pub const SIZES: [u32; 3] = [20, 50, 100];
/// Fields with values, by their names in addresses.
pub const FIELDS: [(&str, &str); 4] = [("jobTitle", "Job title"), ("company", "Company"), ("city", "City"), ("state", "State")];
/// Fields with ranges: lower bound, upper bound, what it is.
pub const RANGES: [(&str, &str, &str); 2] = [("minAttended", "maxAttended", "Attended"), ("minHosted", "maxHosted", "Hosted")];

/// Conditions, order and size of a page.
#[derive(Debug, Clone, Default)]
pub struct PeopleQuery {
    pub q: Option<String>,
    pub filter: UserFilter,
    pub sort: Option<String>,
    pub size: u32,
}

impl PeopleQuery {
    /// Faults are sentences for the page; what is at fault is no condition then.
    pub fn read(query: &mut QueryReader) -> (Self, Vec<String>) {
        let q = query.text("q", TEXT_MAX);
        let sort = query.text("sort", SORT_MAX);
        let size = query.text("size", 3).and_then(|size| size.parse().ok()).filter(|size| SIZES.contains(size)).unwrap_or(50);
        let (filter, faults) = filter_of(|name| query.all(name).map(str::to_owned).collect());
        (Self { q, filter, sort, size }, faults)
    }

    /// The filter of a form that carries one along, to come back to.
    pub fn of_form(form: &Form) -> Self {
        Self::read_form(form).0
    }

    /// The same where the filter chooses people: what is at fault must not choose everybody.
    pub fn read_form(form: &Form) -> (Self, Vec<String>) {
        let (filter, faults) = filter_of(|name| form.all(name).map(str::to_owned).collect());
        let text = |name: &str| form.value(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        (Self { q: text("q"), filter, sort: text("sort"), size: 50 }, faults)
    }

    pub fn is_unfiltered(&self) -> bool {
        self.q.is_none() && self.filter.is_empty()
    }

    /// Names and values of the filter alone: what chooses recipients.
    pub fn filter_pairs(&self) -> Vec<(&'static str, String)> {
        let filter = &self.filter;
        let mut pairs = Vec::new();
        for (name, _) in FIELDS {
            pairs.extend(values(filter, name).iter().map(|value| (name, value.clone())));
        }
        let counts =
            [("minAttended", filter.min_attended), ("maxAttended", filter.max_attended), ("minHosted", filter.min_hosted), ("maxHosted", filter.max_hosted)];
        pairs.extend(counts.into_iter().filter_map(|(name, count)| Some((name, count?.to_string()))));
        pairs
    }

    /// Everything, as it stands in an address.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = self.filter_pairs();
        pairs.extend(self.q.clone().map(|q| ("q", q)));
        pairs.extend(self.sort.clone().map(|sort| ("sort", sort)));
        if self.size != 50 && self.size != 0 {
            pairs.push(("size", self.size.to_string()));
        }
        pairs
    }

    pub fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        with_query(path, self.pairs().iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()))
    }
}

pub fn values<'a>(filter: &'a UserFilter, name: &str) -> &'a [String] {
    match name {
        "jobTitle" => &filter.job_title,
        "company" => &filter.company,
        "city" => &filter.city,
        "state" => &filter.state,
        _ => &[],
    }
}

pub fn values_mut<'a>(filter: &'a mut UserFilter, name: &str) -> Option<&'a mut Vec<String>> {
    match name {
        "jobTitle" => Some(&mut filter.job_title),
        "company" => Some(&mut filter.company),
        "city" => Some(&mut filter.city),
        "state" => Some(&mut filter.state),
        _ => None,
    }
}

/// Reads a filter by the model's own rules.
fn filter_of(all: impl Fn(&str) -> Vec<String>) -> (UserFilter, Vec<String>) {
    let mut body = Map::new();
    for (name, _) in FIELDS {
        let mut values: Vec<Value> = Vec::new();
        for value in all(name).iter().map(|value| value.trim()).filter(|value| !value.is_empty()) {
            if !values.iter().any(|have| have == value) {
                values.push(value.into());
            }
        }
        if !values.is_empty() {
            body.insert(name.to_owned(), Value::Array(values));
        }
    }
    for name in RANGES.iter().flat_map(|(min, max, _)| [*min, *max]) {
        if let Some(text) = all(name).last().map(|text| text.trim()).filter(|text| !text.is_empty()) {
            body.insert(name.to_owned(), text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from));
        }
    }
    match UserFilter::parse(&Value::Object(body)) {
        Ok(filter) => (filter, Vec::new()),
        Err(faults) => (UserFilter::default(), sentences(&faults)),
    }
}

fn sentences(faults: &FieldErrors) -> Vec<String> {
    faults.0.iter().map(|fault| format!("{}: {}", label(fault.path.first().map_or("", String::as_str)), fault.message)).collect()
}

/// What a field of an address is called on the page.
pub fn label(name: &str) -> &str {
    match name {
        "minAttended" => "Attended, at least",
        "maxAttended" => "Attended, at most",
        "minHosted" => "Hosted, at least",
        "maxHosted" => "Hosted, at most",
        _ => FIELDS.iter().find(|(have, _)| *have == name).map_or(name, |(_, label)| label),
    }
}
