//! `MAIL_…`: how mail leaves.

use super::section;
use super::setting::{HttpUrl, MailTransport, Secret, Sender};

section! {
    /// Outgoing mail.
    MailConfig {
        /// How mail leaves. `outbox` writes files into the data folder and sends nothing.
        "MAIL_TRANSPORT" => transport: MailTransport = "outbox",
        /// Mail server, such as `smtps://name:password@mail.example.org` or `smtp://127.0.0.1:25?connections=10`. It may hold a password, so it is a secret.
        "MAIL_SMTP_URL" => smtp_url: Option<Secret> = "",
        /// AWS region of SES. Without it: `DB_AWS_REGION`.
        "MAIL_SES_REGION" => ses_region: Option<String> = "",
        /// Address of SES where it is not the region's own, for tests.
        "MAIL_SES_ENDPOINT" => ses_endpoint: Option<HttpUrl> = "",
        /// Configuration set of SES: where it reports bounces and complaints.
        "MAIL_SES_CONFIGURATION_SET" => ses_configuration_set: Option<String> = "",
        /// Topic of SNS by which SES reports bounces and complaints, such as `arn:aws:sns:us-east-1:123456789012:mail`. Without it `/mail/events/sns` takes nothing.
        "MAIL_SNS_TOPIC" => sns_topic: Option<String> = "",
        /// Mails that are on their way to SES at once, in each process.
        "MAIL_SES_CONNECTIONS" => ses_connections: u32 = "20",
        /// Who mail comes from, such as `Events <events@example.org>`.
        "MAIL_FROM" => from: Sender = "EMCRM <emcrm@example.invalid>",
        /// Mails to one domain that are on their way at once, over all campaigns of a process. Without it: no limit but that of the mail server.
        "MAIL_DOMAIN_CONNECTIONS" => domain_connections: Option<u32> = "",
        /// Most mails a second to one domain, over all campaigns of a process. Without it: no limit.
        "MAIL_DOMAIN_RATE" => domain_rate: Option<u32> = "",
        /// Most mails a second, over all campaigns of a process. Without it: as many as the mail server takes; SES is never given more than its account's rate.
        "MAIL_RATE" => rate: Option<u32> = "",
    }
}
