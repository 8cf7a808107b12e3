//! Addresses of people: kept as typed, compared normalised.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A mailbox by RFC 5321/6531 with a dot in its domain, at most 254 bytes (RFC 5321 4.5.3.1.3 less the angle brackets).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct EmailAddress {
    typed: String,
    normalised: String,
}

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("an address has at most 254 characters")]
    TooLong,
    #[error("not an e-mail address like name@example.org")]
    Syntax,
    #[error("the domain of the address is not a host name with a dot, like example.org")]
    Domain,
}

impl EmailAddress {
    pub const MAX: usize = 254;

    /// White space around the address is dropped; the rest is kept as typed.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let typed = text.trim();
        if typed.len() > Self::MAX {
            return Err(BadAddress::TooLong);
        }
        if typed.chars().any(char::is_control) {
            return Err(BadAddress::Syntax);
        }
        let options = email_address::Options::default().with_required_tld().without_domain_literal().without_display_text();
        email_address::EmailAddress::parse_with_options(typed, options).map_err(|_| BadAddress::Syntax)?;
        // A quoted local part may hold '@'; the domain cannot.
        let (local, domain) = typed.rsplit_once('@').ok_or(BadAddress::Syntax)?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| BadAddress::Domain)?;
        if !domain.contains('.') || domain.starts_with('.') || domain.ends_with('.') {
            return Err(BadAddress::Domain);
        }
        let normalised = format!("{}@{}", local.to_lowercase(), domain);
        if normalised.len() > Self::MAX {
            return Err(BadAddress::TooLong);
        }
        Ok(Self { typed: typed.to_owned(), normalised })
    }

    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// Lower-case, with the domain in ASCII: two addresses are the same when this is the same.
    pub fn normalised(&self) -> &str {
        &self.normalised
    }

    /// Whether a stored address has the syntax that new ones must have.
    pub fn is_deliverable(&self) -> bool {
        Self::parse(&self.typed).is_ok()
    }

    /// Domain in ASCII, lower-case.
    pub fn domain(&self) -> &str {
        self.normalised.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl FromStr for EmailAddress {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        Self::parse(text)
    }
}

/// What is stored is taken as it is; [`EmailAddress::is_deliverable`] tells whether it may be mailed.
///
/// Reading is frequent and checking is not cheap, so an ASCII address, whose normal form is its lower-case form, is not parsed anew.
impl From<String> for EmailAddress {
    fn from(text: String) -> Self {
        if text.is_ascii() {
            return Self { normalised: text.trim().to_ascii_lowercase(), typed: text };
        }
        Self::parse(&text).unwrap_or_else(|_| Self { normalised: text.trim().to_lowercase(), typed: text })
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> String {
        address.typed
    }
}
