//! A campaign's content as the parts of a mail, and what is worth a warning before it is sent.

use emcrm_mail::{Handover, Mailbox, Message, message_id};
use emcrm_model::{BodyFormat, CampaignId, User};

use crate::{App, AppError};

/// Subject and body, ready for every recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

impl Content {
    /// A text part always; an HTML part where the body has formatting.
    pub fn render(subject: &str, body: &str, format: BodyFormat) -> Self {
        let (text, html) = match format {
            BodyFormat::Text => (body.to_owned(), None),
            BodyFormat::Markdown => {
                let mut html = String::with_capacity(body.len() * 2);
                // Raw HTML inside Markdown is text, not markup.
                let events = pulldown_cmark::Parser::new_ext(body, pulldown_cmark::Options::ENABLE_TABLES | pulldown_cmark::Options::ENABLE_STRIKETHROUGH).map(
                    |event| match event {
                        pulldown_cmark::Event::Html(raw) | pulldown_cmark::Event::InlineHtml(raw) => pulldown_cmark::Event::Text(raw),
                        other => other,
                    },
                );
                pulldown_cmark::html::push_html(&mut html, events);
                (body.to_owned(), Some(document(&html)))
            }
            BodyFormat::Html => (html2text::from_read(body.as_bytes(), 76).unwrap_or_else(|_| body.to_owned()), Some(body.to_owned())),
        };
        Self { subject: subject.to_owned(), text, html }
    }

    /// What a person may want to mend before sending.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.subject.contains("{{") || self.text.contains("{{") {
            warnings.push("The text contains {{ }}. Variables are not filled in; it is sent as it stands.".to_owned());
        }
        if self.subject.chars().count() > 78 {
            warnings.push("The subject is longer than 78 characters; many mail programs cut it.".to_owned());
        }
        if self.text.trim().is_empty() {
            warnings.push("The mail has no readable text.".to_owned());
        }
        warnings
    }
}

fn document(body: &str) -> String {
    format!("<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body>\n{body}</body></html>\n")
}

impl App {
    /// The mail of one delivery, ready to hand over. The Message-ID is the same at every attempt.
    pub(crate) fn mail_for(&self, campaign: &CampaignId, content: &Content, user: &User, address: &str) -> Result<Handover, AppError> {
        let from = &self.settings.mail_from;
        let domain = from.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        let name = user.full_name();
        self.mail(
            content,
            Mailbox { name: Some(name).filter(|name| !name.is_empty()), address: address.to_owned() },
            message_id(campaign.as_str(), user.id.as_str(), domain),
            Vec::new(),
        )
    }

    pub(crate) fn mail(&self, content: &Content, to: Mailbox, message_id: String, headers: Vec<(String, String)>) -> Result<Handover, AppError> {
        let message = Message {
            from: self.settings.mail_from.clone(),
            to,
            reply_to: None,
            subject: content.subject.clone(),
            text: content.text.clone(),
            html: content.html.clone(),
            message_id,
            date: self.now(),
            unsubscribe_url: None,
            headers,
        };
        message.handover(&self.settings.mail_from.address).map_err(|error| AppError::Internal(format!("a mail could not be built: {error}")))
    }
}
