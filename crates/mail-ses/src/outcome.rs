//! What SES's answers and failures mean for a mail. One table, so that nothing that is open is ever sent again by itself.
//!
//! | answer | means |
//! |---|---|
//! | throttled (`TooManyRequestsException`, `Throttling`, status 429) | not taken; later |
//! | the day's quota is used up, `LimitExceededException` | no mail can go out now; the campaign waits |
//! | account or configuration set paused or suspended, sender's domain not verified, configuration set missing, no right, bad signature | no mail can go out; says nothing about the recipient |
//! | `MessageRejected`, `BadRequestException` | this mail is refused for good |
//! | status 5xx, time-out, broken connection | nobody knows whether it was taken |
//! | no connection | nothing was handed over |

use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use emcrm_aws::{chain, never_connected};
use emcrm_mail::MailError;

pub fn of<R>(error: &SdkError<SendEmailError, R>, status: Option<u16>) -> MailError
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(_) => answer(error.code().unwrap_or_default(), error.message().unwrap_or_default(), status.unwrap_or(0)),
        SdkError::ConstructionFailure(_) => MailError::Unavailable { cause: chain(error) },
        // The only time-out below the whole attempt's is that of connecting.
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() || dispatch.as_connector_error().is_some_and(|error| never_connected(error)) => {
            MailError::Unavailable { cause: chain(error) }
        }
        _ => MailError::Unknown { cause: chain(error) },
    }
}

/// What SES itself said.
pub fn answer(code: &str, message: &str, status: u16) -> MailError {
    let words = if message.is_empty() { code.to_owned() } else { format!("{code}: {message}") };
    let quota = message.contains("Daily message quota exceeded");
    match code {
        _ if quota => MailError::Unavailable { cause: format!("the account's quota of mails for 24 hours is used up ({words})") },
        "TooManyRequestsException" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" => MailError::Temporary { reply: words },
        _ if status == 429 => MailError::Temporary { reply: words },
        "SendingPausedException" => MailError::Unavailable { cause: format!("sending is paused for this account or configuration set ({words})") },
        "AccountSuspendedException" => MailError::Unavailable { cause: format!("the account may not send any more ({words})") },
        // The sender's identity, not the recipient: all of the campaign would be refused. In the sandbox SES says the same of recipients,
        // and there nothing can be sent to people anyway.
        "MessageRejected" if message.contains("not verified") => MailError::Unavailable { cause: words },
        "MessageRejected" | "BadRequestException" => MailError::Permanent { reply: words },
        _ if status >= 500 => MailError::Unknown { cause: words },
        // Limits, rights, signatures, a missing configuration set, an unverified domain.
        _ => MailError::Unavailable { cause: words },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_means_what_the_table_says() {
        let kind = |code: &str, message: &str, status: u16| match answer(code, message, status) {
            MailError::Temporary { .. } => "temporary",
            MailError::Permanent { .. } => "permanent",
            MailError::Unknown { .. } => "unknown",
            MailError::Unavailable { .. } => "unavailable",
        };
        for (code, message, status, meaning) in [
            ("TooManyRequestsException", "Maximum sending rate exceeded.", 429, "temporary"),
            ("Throttling", "Rate exceeded", 400, "temporary"),
            ("SomethingNew", "slow down", 429, "temporary"),
            ("TooManyRequestsException", "Daily message quota exceeded.", 429, "unavailable"),
            ("LimitExceededException", "too many", 400, "unavailable"),
            ("SendingPausedException", "paused", 400, "unavailable"),
            ("AccountSuspendedException", "suspended", 400, "unavailable"),
            ("MailFromDomainNotVerifiedException", "not verified", 400, "unavailable"),
            ("NotFoundException", "Configuration set <crm> does not exist.", 404, "unavailable"),
            ("AccessDeniedException", "not authorized", 403, "unavailable"),
            ("InvalidSignatureException", "bad", 403, "unavailable"),
            ("MessageRejected", "Email address is not verified. The following identities failed the check", 400, "unavailable"),
            ("MessageRejected", "Local address contains control or whitespace", 400, "permanent"),
            ("BadRequestException", "Invalid recipient", 400, "permanent"),
            ("InternalFailure", "", 500, "unknown"),
            ("ServiceUnavailable", "", 503, "unknown"),
        ] {
            assert_eq!(kind(code, message, status), meaning, "{code} {status}");
        }
    }
}
