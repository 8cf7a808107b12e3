//! Handing mail over: building messages, the transport seam, SMTP and the file outbox.
//!
//! | file | holds |
//! |---|---|
//! | `message` | a mail as a person means it, and its bytes |
//! | `header` | header values: addresses checked, text encoded and folded |
//! | `transport` | the seam: transports, connections, what can go wrong |
//! | `conformance` | the one suite that every transport passes |
//! | `smtp` | SMTP with kept connections |
//! | `report` | what comes back after a mail was taken |
//! | `outbox` | files in a folder, the default |
//! | `opened` | a finished mail, taken apart for a reader |

pub mod conformance;
mod header;
pub mod message;
pub mod opened;
pub mod outbox;
pub mod report;
pub mod smtp;
pub mod transport;

pub use message::{BuildError, Mailbox, Message, message_id};
pub use opened::Opened;
pub use outbox::{Filed, FiledPage, Outbox};
pub use report::{DELIVERY_HEADER, Notification, NotificationError, Notifications, Report, ReportKind};
pub use smtp::{BadSmtpSettings, SmtpSettings, SmtpTransport, TlsMode, reply_codes};
pub use transport::{Connection, Envelope, Handover, Identity, MailError, Receipt, Transport};
