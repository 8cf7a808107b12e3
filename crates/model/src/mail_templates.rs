//! Reusable content of mails.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::campaign_drafts::MailContent;
use crate::{BodyFormat, FieldErrors, Fields, Rev};

/// A reusable subject and body. Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailTemplate {
    pub id: String,
    pub name: String,
    pub subject: String,
    pub body: String,
    #[serde(default)]
    pub body_format: BodyFormat,
    #[serde(default)]
    pub created_at: String,
    #[serde(default)]
    pub updated_at: String,
    #[serde(default)]
    pub rev: Rev,
}

/// Everything of a template that a client may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailTemplateDraft {
    pub name: String,
    pub content: MailContent,
}

impl MailTemplateDraft {
    /// Longest name, in characters.
    pub const NAME_MAX: usize = 100;

    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let name = f.text("name", 1..=Self::NAME_MAX);
        let content = MailContent::read(&mut f);
        let draft = name.zip(content).map(|(name, content)| Self { name, content });
        f.finish(draft)
    }
}
