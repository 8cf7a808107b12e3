//! The transport: a message is one `SendEmail` with its finished bytes.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Destination, EmailContent, RawMessage};
use emcrm_aws::{AwsSettings, sdk_config};
use emcrm_mail::{Connection, Handover, Identity, MailError, Receipt, Transport};

use crate::SesSettings;
use crate::account::Account;
use crate::{identity, outcome};

/// Largest message, encoded (AWS, "Service quotas in Amazon SES": 40 MB with the API).
const MESSAGE_MAX: usize = 40 * 1024 * 1024;

pub struct SesTransport {
    shared: Arc<Shared>,
    rate: Option<u32>,
}

struct Shared {
    client: Client,
    settings: SesSettings,
    account: Account,
}

impl SesTransport {
    /// Asks SES how fast it may be asked. When SES does not answer, the setting counts alone, and mails wait until it does.
    pub async fn new(settings: SesSettings) -> Self {
        let aws = AwsSettings {
            region: settings.region.clone(),
            endpoint: settings.endpoint.clone(),
            connect_timeout: settings.connect_timeout,
            read_timeout: settings.read_timeout,
            connections: settings.connections,
        };
        let client = Client::new(&sdk_config(&aws).await);
        let shared = Arc::new(Shared { client, settings, account: Account::default() });
        let quota = match shared.account.known(&shared.client).await {
            Ok(known) => known.rate,
            Err(error) => {
                tracing::warn!(%error, "SES does not answer; mails will wait");
                None
            }
        };
        let rate = [shared.settings.rate, quota].into_iter().flatten().min();
        Self { shared, rate }
    }
}

#[async_trait]
impl Transport for SesTransport {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        self.health().await?;
        Ok(Box::new(SesConnection { shared: self.shared.clone() }))
    }

    fn connections_max(&self) -> usize {
        self.shared.settings.connections.max(1)
    }

    fn rate(&self) -> Option<u32> {
        self.rate
    }

    async fn health(&self) -> Result<(), MailError> {
        match self.shared.account.known(&self.shared.client).await?.stopped {
            Some(cause) => Err(MailError::Unavailable { cause }),
            None => Ok(()),
        }
    }

    async fn sender(&self, from: &str) -> Option<Identity> {
        identity::of(&self.shared.client, from).await
    }

    fn encrypted(&self) -> Option<bool> {
        Some(true)
    }

    fn name(&self) -> &'static str {
        "ses"
    }
}

/// SES has no connections; this is the right to have one mail on its way.
struct SesConnection {
    shared: Arc<Shared>,
}

#[async_trait]
impl Connection for SesConnection {
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        handover.check()?;
        let refuse = |reply: &str| Err(MailError::Permanent { reply: reply.to_owned() });
        if !handover.to.is_ascii() || !handover.from.is_ascii() {
            return refuse("not sent: SES takes no addresses with letters beyond ASCII before the @");
        }
        if handover.message.len() > MESSAGE_MAX {
            return refuse("not sent: the message is larger than SES takes, 40 MB");
        }
        let raw = RawMessage::builder().data(Blob::new(handover.message.clone())).build();
        let raw = raw.map_err(|error| MailError::Permanent { reply: error.to_string() })?;
        let request = self
            .shared
            .client
            .send_email()
            .from_email_address(&handover.from)
            .destination(Destination::builder().to_addresses(&handover.to).build())
            .content(EmailContent::builder().raw(raw).build())
            .set_configuration_set_name(self.shared.settings.configuration_set.clone());
        match request.send().await {
            Ok(taken) => Ok(Receipt { reply: format!("taken by SES as {}", taken.message_id().unwrap_or("a message without an id")) }),
            Err(error) => {
                let status = error.raw_response().map(|response| response.status().as_u16());
                Err(outcome::of(&error, status))
            }
        }
    }

    async fn close(self: Box<Self>) {}
}
