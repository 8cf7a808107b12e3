//! Addresses of pages, with whatever ids and values hold.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded::Serializer;

/// What stands for itself in one part of a path (RFC 3986 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One part of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

pub fn person(id: &str) -> String {
    format!("/app/people/{}", segment(id))
}

pub fn event(id: &str) -> String {
    format!("/app/events/{}", segment(id))
}

pub fn campaign(id: &str) -> String {
    format!("/app/campaigns/{}", segment(id))
}

/// What was done to one thing.
pub fn history(object: &str) -> String {
    with_query("/app/settings/audit", [("object", object)])
}

/// A path with a query string; without pairs the path alone.
pub fn with_query<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in pairs {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_id_stays_one_part_of_the_path() {
        assert_eq!(person("a/../b?c#d e"), "/app/people/a%2F..%2Fb%3Fc%23d%20e");
        assert_eq!(campaign("ü"), "/app/campaigns/%C3%BC");
        assert_eq!(with_query("/app", [("q", "a&b=ü")]), "/app?q=a%26b%3D%C3%BC");
        assert_eq!(with_query("/app", []), "/app");
    }
}
