//! What the account may send, and how fast: read once a minute at most.

use std::time::{Duration, Instant};

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::get_account::GetAccountError;
use aws_sdk_sesv2::types::SendQuota;
use emcrm_aws::chain;
use emcrm_mail::MailError;
use tokio::sync::Mutex;

/// How long what was read may be used.
const FRESH: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Messages a second; none where nobody says.
    pub rate: Option<u32>,
    /// Why nothing can be sent.
    pub stopped: Option<String>,
}

#[derive(Default)]
pub struct Account {
    known: Mutex<Option<(Instant, Known)>>,
}

impl Account {
    /// Fails when SES cannot be reached. An account that does not let us ask is taken to be fine: sending will tell.
    pub async fn known(&self, client: &Client) -> Result<Known, MailError> {
        let mut known = self.known.lock().await;
        if let Some((at, known)) = &*known
            && at.elapsed() < FRESH
        {
            return Ok(known.clone());
        }
        let fresh = read(client).await?;
        *known = Some((Instant::now(), fresh.clone()));
        Ok(fresh)
    }
}

async fn read(client: &Client) -> Result<Known, MailError> {
    let account = match client.get_account().send().await {
        Ok(account) => account,
        Err(error) if may_not_ask(&error) => {
            tracing::warn!(cause = error.code().unwrap_or_default(), "the quota of SES cannot be read; the right ses:GetAccount would allow it");
            return Ok(Known::default());
        }
        Err(error) => return Err(MailError::Unavailable { cause: error.message().map_or_else(|| chain(&error), str::to_owned) }),
    };
    if !account.production_access_enabled() {
        tracing::warn!("the account of SES is in the sandbox: it mails verified addresses only");
    }
    let quota = account.send_quota();
    // -1 means that there is none.
    let used_up = quota.filter(|quota| quota.max24_hour_send() >= 0.0 && quota.sent_last24_hours() >= quota.max24_hour_send());
    let stopped = if account.sending_enabled() {
        used_up.map(|quota| {
            format!(
                "the account's quota of {:.0} mails for 24 hours is used up; it frees up as the mails of yesterday leave the window",
                quota.max24_hour_send()
            )
        })
    } else {
        Some("sending is paused for this account".to_owned())
    };
    let rate = quota.map(SendQuota::max_send_rate).filter(|rate| *rate >= 0.0).map(|rate| (rate as u32).max(1));
    Ok(Known { rate, stopped })
}

/// Denied, or a stand-in without this operation.
fn may_not_ask<R>(error: &SdkError<GetAccountError, R>) -> bool
where
    R: std::fmt::Debug,
{
    matches!(error, SdkError::ServiceError(_)) && !matches!(error.code(), Some("TooManyRequestsException" | "InternalFailure" | "ServiceUnavailable"))
}
