//! Reading a JSON body field by field, so that all faults are reported at once.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// One faulty field. On the wire: `{"loc": ["body", "email"], "msg": "…", "type": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where: `["email"]`, or `["filter", "city"]` for a nested field. Empty: the body itself.
    pub path: Vec<String>,
    /// What is wrong and what would be right, for a person.
    pub message: String,
    /// What is wrong, for a program: `missing`, `string_too_long`, …
    pub kind: &'static str,
}

/// All faults of one body, never empty when returned as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldErrors(pub Vec<FieldError>);

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", error.path.join("."), error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

impl FieldErrors {
    pub fn one(field: &str, kind: &'static str, message: impl Into<String>) -> Self {
        let path = if field.is_empty() { Vec::new() } else { vec![field.to_owned()] };
        Self(vec![FieldError { path, message: message.into(), kind }])
    }
}

/// A field of a merge patch (RFC 7386): absent keeps, `null` clears, a value sets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Patch<T> {
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(f(value)),
        }
    }
    /// The value after the patch, for an optional field.
    pub fn over(self, old: Option<T>) -> Option<T> {
        match self {
            Self::Keep => old,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// Reads fields out of a JSON object and remembers every fault.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    prefix: Vec<String>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// `body` must be a JSON object.
    pub fn new(body: &'a Value) -> Result<Self, FieldErrors> {
        match body {
            Value::Object(object) => Ok(Self { object, prefix: Vec::new(), errors: Vec::new() }),
            _ => Err(FieldErrors::one("", "model_type", "the body must be a JSON object")),
        }
    }

    /// The fields of a nested object, or nothing when `name` is absent or null.
    pub fn nested(&mut self, name: &str) -> Option<Fields<'a>> {
        match self.object.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => {
                let mut prefix = self.prefix.clone();
                prefix.push(name.to_owned());
                Some(Fields { object, prefix, errors: Vec::new() })
            }
            Some(_) => {
                self.fault(name, "model_type", "must be a JSON object");
                None
            }
        }
    }

    /// Takes over the faults of nested fields.
    pub fn absorb(&mut self, nested: Fields<'_>) {
        self.errors.extend(nested.errors);
    }

    /// Fields other than these are faults; so many of them are named.
    pub fn only(&mut self, known: &[&str], named: usize) {
        let others: Vec<&'a String> = self.object.keys().filter(|name| !known.contains(&name.as_str())).take(named).collect();
        for name in others {
            self.fault(name, "extra_forbidden", format!("is not known here; known are {}", known.join(", ")));
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    pub fn raw(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub fn fault(&mut self, name: &str, kind: &'static str, message: impl Into<String>) {
        let mut path = self.prefix.clone();
        path.push(name.to_owned());
        self.errors.push(FieldError { path, message: message.into(), kind });
    }

    /// Everything was read: the value, or every fault.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, FieldErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ if self.errors.is_empty() => Err(FieldErrors::one("", "value_error", "the body is not valid")),
            _ => Err(FieldErrors(self.errors)),
        }
    }

    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// A text of so many characters, trimmed. Absent or null is a fault.
    pub fn text(&mut self, name: &str, length: RangeInclusive<usize>) -> Option<String> {
        let Some(value) = self.object.get(name) else {
            self.fault(name, "missing", "this field is required");
            return None;
        };
        self.check_text(name, value, &length)
    }

    /// The same, where absent, null and (unless an empty text is allowed) `""` mean that there is none.
    pub fn optional_text(&mut self, name: &str, length: RangeInclusive<usize>) -> Option<String> {
        let value = self.raw(name)?;
        let text = self.check_text(name, value, &(0..=*length.end()))?;
        if text.is_empty() {
            return None;
        }
        if text.chars().count() < *length.start() {
            self.fault(name, "string_too_short", format!("must have at least {} characters", length.start()));
            return None;
        }
        Some(text)
    }

    fn check_text(&mut self, name: &str, value: &Value, length: &RangeInclusive<usize>) -> Option<String> {
        let Value::String(text) = value else {
            self.fault(name, "string_type", "must be a text");
            return None;
        };
        let text = text.trim();
        let count = text.chars().count();
        if count < *length.start() {
            let message = if count == 0 { "must not be empty".to_owned() } else { format!("must have at least {} characters", length.start()) };
            self.fault(name, "string_too_short", message);
            return None;
        }
        if count > *length.end() {
            self.fault(name, "string_too_long", format!("must have at most {} characters", length.end()));
            return None;
        }
        if text.contains('\0') {
            self.fault(name, "value_error", "must not contain the NUL character");
            return None;
        }
        Some(text.to_owned())
    }

    /// `true` or `false`, or nothing when absent or null.
    pub fn optional_bool(&mut self, name: &str) -> Option<bool> {
        let value = self.raw(name)?;
        if value.as_bool().is_none() {
            self.fault(name, "bool_type", "must be true or false");
        }
        value.as_bool()
    }

    /// A whole number in a range, or nothing when absent or null.
    pub fn optional_integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.raw(name)?;
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9.0e15).map(|f| f as i64)),
            _ => None,
        };
        let Some(number) = number else {
            self.fault(name, "int_type", "must be a whole number");
            return None;
        };
        if number < *range.start() {
            self.fault(name, "greater_than_equal", format!("must be at least {}", range.start()));
            return None;
        }
        if number > *range.end() {
            self.fault(name, "less_than_equal", format!("must be at most {}", range.end()));
            return None;
        }
        Some(number)
    }

    pub fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        if self.raw(name).is_none() {
            self.fault(name, if self.has(name) { "int_type" } else { "missing" }, "this field is required: a whole number");
            return None;
        }
        self.optional_integer(name, range)
    }

    /// A value that a parser makes from a text.
    pub fn parsed<T, E: fmt::Display>(&mut self, name: &str, max: usize, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(name, 1..=max)?;
        self.parse_with(name, &text, parse)
    }

    pub fn optional_parsed<T, E: fmt::Display>(&mut self, name: &str, max: usize, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.optional_text(name, 0..=max)?;
        self.parse_with(name, &text, parse)
    }

    fn parse_with<T, E: fmt::Display>(&mut self, name: &str, text: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, "value_error", error.to_string());
                None
            }
        }
    }

    /// One of a few words.
    pub fn optional_choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.raw(name)?;
        let found = value.as_str().and_then(|text| choices.iter().find(|(word, _)| *word == text.trim()));
        if value.as_str().is_some_and(|text| text.trim().is_empty()) {
            return None;
        }
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.fault(name, "enum", format!("must be one of: {}", words.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// A list of texts, each made into a value. Absent or null is an empty list.
    pub fn list<T, E: fmt::Display>(&mut self, name: &str, max: usize, parse: impl Fn(&str) -> Result<T, E>) -> Vec<T> {
        let Some(value) = self.raw(name) else { return Vec::new() };
        let Value::Array(entries) = value else {
            self.fault(name, "list_type", "must be a list");
            return Vec::new();
        };
        if entries.len() > max {
            self.fault(name, "too_long", format!("must have at most {max} entries"));
            return Vec::new();
        }
        let mut out = Vec::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            match entry.as_str().map(|text| parse(text.trim())) {
                Some(Ok(value)) => out.push(value),
                Some(Err(error)) => self.entry_fault(name, i, "value_error", &error.to_string()),
                None => self.entry_fault(name, i, "string_type", "must be a text"),
            }
        }
        out
    }

    fn entry_fault(&mut self, name: &str, index: usize, kind: &'static str, message: &str) {
        let mut path = self.prefix.clone();
        path.extend([name.to_owned(), index.to_string()]);
        self.errors.push(FieldError { path, message: message.to_owned(), kind });
    }

    /// What a merge patch says of an optional field. `read` is called when a value is there.
    pub fn patch<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Patch<T> {
        if !self.has(name) {
            return Patch::Keep;
        }
        match read(self) {
            Some(value) => Patch::Set(value),
            // Null or empty clears; a fault was noted and wins in `finish`.
            None => Patch::Clear,
        }
    }

    /// What a merge patch says of a field that must have a value.
    pub fn patch_required<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if !self.has(name) {
            return None;
        }
        if self.raw(name).is_none() {
            self.fault(name, "null_not_allowed", "this field cannot be cleared");
            return None;
        }
        read(self)
    }
}
