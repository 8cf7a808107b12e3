//! Query strings: every fault at once, with `["query", name]` as its place. Unknown parameters are ignored; the last of a repeated one counts.

use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use emcrm_app::AppError;
use emcrm_model::{DateTime, FieldError, FieldErrors, PageRequest, Position};

use crate::api::error::ApiError;

/// Reads parameters and remembers every fault.
#[derive(Debug, Clone, Default)]
pub struct QueryReader {
    pairs: Vec<(String, String)>,
    faults: Vec<FieldError>,
}

impl<S: Sync> FromRequestParts<S> for QueryReader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.uri.query().is_none_or(str::is_empty) {
            return Ok(Self::default());
        }
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::Query(FieldErrors::one("", "value_error", "the query string cannot be read")))?;
        Ok(Self { pairs: pairs.0, faults: Vec::new() })
    }
}

impl QueryReader {
    pub fn fault(&mut self, name: &str, kind: &'static str, message: impl Into<String>) {
        self.faults.push(FieldError { path: vec![name.to_owned()], message: message.into(), kind });
    }

    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(have, _)| have == name)
    }

    /// As it was sent.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// A text, trimmed; nothing when absent or empty.
    pub fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.raw(name)?.trim().to_owned();
        if text.is_empty() {
            return None;
        }
        if text.chars().count() > max {
            self.fault(name, "string_too_long", format!("must have at most {max} characters"));
            return None;
        }
        if text.contains('\0') {
            self.fault(name, "value_error", "must not contain the NUL character");
            return None;
        }
        Some(text)
    }

    /// A whole number in a range; nothing when absent.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let text = self.raw(name)?.trim();
        let Ok(number) = text.parse::<i128>() else {
            self.fault(name, "int_parsing", "must be a whole number");
            return None;
        };
        if number < i128::from(*range.start()) {
            self.fault(name, "greater_than_equal", format!("must be at least {}", range.start()));
            return None;
        }
        if number > i128::from(*range.end()) {
            self.fault(name, "less_than_equal", format!("must be at most {}", range.end()));
            return None;
        }
        u32::try_from(number).ok()
    }

    pub fn date_time(&mut self, name: &str) -> Option<DateTime> {
        match DateTime::parse(self.raw(name)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, "value_error", error.to_string());
                None
            }
        }
    }

    /// One of a few words; nothing when absent.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.raw(name)?.trim();
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.fault(name, "enum", format!("must be one of: {}", words.join(", ")));
        }
        found
    }

    /// `page` and `size`, or `cursor` and `size`. A cursor wins over a page number.
    pub fn page(&mut self) -> PageRequest {
        let size = self.integer("size", 1..=PageRequest::SIZE_MAX).unwrap_or(PageRequest::SIZE_DEFAULT);
        let number = self.integer("page", 1..=u32::MAX).unwrap_or(1);
        let cursor = self.raw("cursor").map(str::trim).filter(|cursor| !cursor.is_empty()).map(str::to_owned);
        PageRequest { position: cursor.map_or(Position::Number(number), Position::Cursor), size }
    }

    /// Every fault, if there was one.
    pub fn check(self) -> Result<(), ApiError> {
        if self.faults.is_empty() { Ok(()) } else { Err(ApiError::Query(FieldErrors(self.faults))) }
    }

    /// Every fault, or a page that may be asked for.
    pub fn check_page(self, page: &PageRequest) -> Result<(), ApiError> {
        self.check()?;
        match page.position {
            Position::Number(number) if u64::from(number) * u64::from(page.size) > u64::from(PageRequest::DEEPEST) => Err(AppError::TooDeep.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(query: &str) -> QueryReader {
        let uri = format!("/?{query}").parse().unwrap();
        QueryReader { pairs: Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap().0, faults: Vec::new() }
    }

    fn kinds(reader: QueryReader) -> Vec<(String, &'static str)> {
        reader.faults.into_iter().map(|fault| (fault.path.join("."), fault.kind)).collect()
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let mut query = reader("page=0&size=101&from=yesterday&to=&q=%00");
        query.page();
        query.date_time("from");
        query.date_time("to");
        query.text("q", 10);
        let want = [("size", "less_than_equal"), ("page", "greater_than_equal"), ("from", "value_error"), ("to", "value_error"), ("q", "value_error")];
        assert_eq!(kinds(query), want.map(|(name, kind)| (name.to_owned(), kind)));
    }

    #[test]
    fn numbers_of_any_length_are_read() {
        for (text, kind) in
            [("99999999999999999999999999999999999999999999", "int_parsing"), ("4294967296", "less_than_equal"), ("1.5", "int_parsing"), ("", "int_parsing")]
        {
            let mut query = reader(&format!("page={text}"));
            query.page();
            assert_eq!(kinds(query), [("page".to_owned(), kind)], "{text}");
        }
    }

    #[test]
    fn the_last_of_a_repeated_parameter_counts() {
        let mut query = reader("size=x&size=7");
        assert_eq!(query.page().size, 7);
        assert!(query.check().is_ok());
    }
}
