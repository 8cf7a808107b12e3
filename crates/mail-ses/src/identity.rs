//! What SES says of the address that mail comes from.

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::types::DkimStatus;
use emcrm_mail::Identity;

/// Most names that are asked for.
const ASKED: usize = 5;

/// None where SES does not tell: it cannot be reached, or may not be asked (`ses:GetEmailIdentity`).
pub async fn of(client: &Client, from: &str) -> Option<Identity> {
    let (_, domain) = from.rsplit_once('@')?;
    let mut found: Option<Identity> = None;
    let mut untold = false;
    for name in names(from, domain) {
        match client.get_email_identity().email_identity(&name).send().await {
            Ok(told) => {
                let dkim = told.dkim_attributes().is_some_and(|dkim| dkim.signing_enabled() && dkim.status() == Some(&DkimStatus::Success));
                let verified = told.verified_for_sending_status();
                let known = Identity { name, verified, signed: verified && dkim };
                let both = match found.take() {
                    Some(earlier) if earlier.verified || !known.verified => Identity { signed: earlier.signed || known.signed, ..earlier },
                    _ => known,
                };
                let enough = both.verified && both.signed;
                found = Some(both);
                if enough {
                    return found;
                }
            }
            Err(SdkError::ServiceError(error)) if error.err().is_not_found_exception() => {}
            Err(error) => {
                tracing::warn!(
                    cause = error.code().unwrap_or_default(),
                    identity = name.as_str(),
                    "SES does not tell of an identity; the right ses:GetEmailIdentity would allow it to"
                );
                untold = true;
            }
        }
    }
    // What was not told could be what is wanted.
    if untold { None } else { Some(found.unwrap_or_else(|| Identity { name: domain.to_owned(), verified: false, signed: false })) }
}

/// The address, its domain, and the domains above it: who proved one of these may send from the address.
fn names(from: &str, domain: &str) -> Vec<String> {
    let above = std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, above)| above)).filter(|domain| domain.contains('.'));
    std::iter::once(from).chain(above).take(ASKED).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_proven_by_itself_or_by_a_domain_above_it() {
        assert_eq!(names("a@example.org", "example.org"), ["a@example.org", "example.org"]);
        assert_eq!(names("a@x.y.example.org", "x.y.example.org"), ["a@x.y.example.org", "x.y.example.org", "y.example.org", "example.org"]);
        assert_eq!(names("a@localhost", "localhost"), ["a@localhost"]);
        assert_eq!(names("a@1.2.3.4.5.6.example.org", "1.2.3.4.5.6.example.org").len(), ASKED);
    }
}
