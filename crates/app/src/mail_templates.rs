//! Reusable content of mails. A campaign takes a copy; changing a template changes no campaign.

use emcrm_model::{MailTemplate, MailTemplateDraft, Page, PageRequest, Rev, Role};
use emcrm_store::{CountKind, Rule, Templates, Transaction};

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::template::Template;
use crate::users::unexpected;
use crate::{App, AppError, Call};

impl App {
    pub async fn template_create(&self, call: &Call, draft: MailTemplateDraft) -> Result<MailTemplate, AppError> {
        call.require(Role::Sender)?;
        if let Some(template) = self.replayed(call).await? {
            return Ok(template);
        }
        // Event fields are allowed: which event it is, the campaign says.
        Template::compile(&draft.content, true)?;
        let stamp = self.stamp();
        let template = MailTemplate {
            id: self.ids.ordered().to_string(),
            name: draft.name,
            subject: draft.content.subject,
            body: draft.content.body,
            body_format: draft.content.body_format,
            created_at: stamp.clone(),
            updated_at: stamp,
            rev: Rev(1),
        };
        let mut tx = Transaction::new();
        self.store.templates.insert(&mut tx, &template);
        self.store.counts.add(&mut tx, CountKind::Templates, &template.id, 1);
        let deed = Deed::new("template.created", format!("template#{}", template.id));
        self.commit(call, deed, tx, template).await?.map_err(unexpected)
    }

    pub async fn template_get(&self, call: &Call, id: &str) -> Result<MailTemplate, AppError> {
        call.require(Role::Viewer)?;
        if !sane(id) {
            return Err(AppError::TemplateUnknown);
        }
        self.store.templates.get(id).await?.ok_or(AppError::TemplateUnknown)
    }

    /// Newest first.
    pub async fn template_list(&self, call: &Call, page: PageRequest) -> Result<Page<MailTemplate>, AppError> {
        call.require(Role::Viewer)?;
        let total = self.store.counts.total(CountKind::Templates).await?;
        self.page("templates", Templates::list(), &page, total, Templates::read).await
    }

    pub async fn template_replace(&self, call: &Call, id: &str, draft: MailTemplateDraft) -> Result<MailTemplate, AppError> {
        call.require(Role::Sender)?;
        if let Some(template) = self.replayed(call).await? {
            return Ok(template);
        }
        Template::compile(&draft.content, true)?;
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let old = self.template_get(call, id).await?;
            if call.if_match.is_some_and(|seen| seen != old.rev) {
                return Err(AppError::StaleRev);
            }
            let MailTemplateDraft { name, content } = draft.clone();
            let template = MailTemplate {
                name,
                subject: content.subject,
                body: content.body,
                body_format: content.body_format,
                updated_at: self.stamp(),
                rev: Rev(old.rev.0 + 1),
                ..old
            };
            let mut tx = Transaction::new();
            self.store.templates.replace(&mut tx, &template, old.rev);
            match self.commit(call, Deed::new("template.changed", format!("template#{}", template.id)), tx, template).await? {
                Ok(template) => return Ok(template),
                Err(Rule::Changed) => {}
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    pub async fn template_delete(&self, call: &Call, id: &str) -> Result<(), AppError> {
        call.require(Role::Sender)?;
        if self.replayed::<()>(call).await?.is_some() {
            return Ok(());
        }
        if !sane(id) {
            return Err(AppError::TemplateUnknown);
        }
        let mut tx = Transaction::new();
        self.store.templates.delete(&mut tx, id);
        self.store.counts.add(&mut tx, CountKind::Templates, id, -1);
        match self.commit(call, Deed::new("template.deleted", format!("template#{id}")), tx, ()).await? {
            Ok(()) => Ok(()),
            Err(Rule::Changed) => Err(AppError::TemplateUnknown),
            Err(rule) => Err(unexpected(rule)),
        }
    }
}

/// Whether a template can have this id at all.
fn sane(id: &str) -> bool {
    (1..=emcrm_model::ids::ID_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
}
