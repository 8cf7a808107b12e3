//! The readable name of an event in addresses.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Groups of `a-z0-9` joined by single `-`, 3..=50 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Slug(String);

/// What is wrong with a slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a slug has 3 to 50 lower-case letters and digits, in groups joined by single '-'")]
pub struct BadSlug;

impl Slug {
    pub const MIN: usize = 3;
    pub const MAX: usize = 50;

    pub fn parse(text: &str) -> Result<Self, BadSlug> {
        let text = text.trim();
        let groups = text.split('-').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        if groups && (Self::MIN..=Self::MAX).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(BadSlug) }
    }

    /// A slug that reads like `title`. `attempt` 0 is the plain one, later ones carry a number: `rust-meetup`, `rust-meetup-2`, …
    pub fn from_title(title: &str, attempt: u32) -> Self {
        let suffix = if attempt == 0 { String::new() } else { format!("-{}", attempt + 1) };
        let mut words = String::new();
        let mut gap = false;
        for c in title.nfkd().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' => {
                    if gap && !words.is_empty() {
                        words.push('-');
                    }
                    gap = false;
                    words.push(c);
                }
                'ß' => words.push_str("ss"),
                // Marks that NFKD split off a letter are dropped, everything else separates words.
                _ if unicode_normalization::char::is_combining_mark(c) => {}
                _ => gap = true,
            }
        }
        words.truncate(Self::MAX - suffix.len());
        let mut words = words.trim_end_matches('-').to_owned();
        if words.is_empty() {
            words.push_str("event");
        } else if words.len() < Self::MIN {
            words.push_str("-event");
        }
        Self(words + &suffix)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is stored is taken as it is.
impl From<String> for Slug {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> String {
        slug.0
    }
}
