//! Looking at mails that became files: what a campaign wrote, in an installation that sends nothing.

use emcrm_mail::{Filed, Opened, Outbox};
use emcrm_model::Role;

use crate::render::clean;
use crate::{App, AppError, Call};

/// Mails of the outbox, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxPage {
    pub mails: Vec<OutboxMail>,
    /// Mails in the folder.
    pub total: usize,
    /// More of them are older.
    pub more: bool,
}

/// A mail of the outbox in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMail {
    /// Its file.
    pub name: String,
    pub to: String,
    pub subject: String,
    /// As its header says.
    pub date: String,
}

impl App {
    /// Whether mails become files that can be looked at.
    pub fn has_outbox(&self) -> bool {
        self.transport.outbox().is_some()
    }

    fn outbox(&self, call: &Call) -> Result<&Outbox, AppError> {
        // A mail shows more than a list of people does, such as the link that unsubscribes its reader.
        call.require(Role::Sender)?;
        self.transport.outbox().ok_or(AppError::NothingThere("Mails of this installation do not become files"))
    }

    /// The newest mails that are older than the file `before`, at most `limit`.
    pub async fn outbox_list(&self, call: &Call, before: Option<String>, limit: usize) -> Result<OutboxPage, AppError> {
        let page = self.outbox(call)?.list(before, limit).await?;
        let mails = page.mails.into_iter().map(|Filed { name, head }| {
            let opened = Opened::read_head(&head);
            let header = |name: &str| opened.header(name).unwrap_or_default().to_owned();
            OutboxMail { name, to: header("To"), subject: header("Subject"), date: header("Date") }
        });
        Ok(OutboxPage { mails: mails.collect(), total: page.total, more: page.more })
    }

    /// One of them, taken apart. Its HTML is cleaned of everything that could run.
    pub async fn outbox_get(&self, call: &Call, name: &str) -> Result<Opened, AppError> {
        let bytes = self.outbox(call)?.read(name.to_owned()).await?.ok_or(AppError::NothingThere("There is no such mail"))?;
        let opened = Opened::read(&bytes);
        Ok(Opened { html: opened.html.as_deref().map(clean), ..opened })
    }
}
