//! `MAIL_…`: how mail leaves.

use super::section;
use super::setting::{MailTransport, Secret, Sender};

section! {
    /// Outgoing mail.
    MailConfig {
        /// How mail leaves. `outbox` writes files into the data folder and sends nothing.
        "MAIL_TRANSPORT" => transport: MailTransport = "outbox",
        /// Mail server, such as `smtps://name:password@mail.example.org` or `smtp://127.0.0.1:25?connections=10`. It may hold a password, so it is a secret.
        "MAIL_SMTP_URL" => smtp_url: Option<Secret> = "",
        /// Who mail comes from, such as `Events <events@example.org>`.
        "MAIL_FROM" => from: Sender = "EMCRM <emcrm@example.invalid>",
        /// Most mails a second, over all campaigns. Without it: as many as the mail server takes.
        "MAIL_RATE" => rate: Option<u32> = "",
    }
}
