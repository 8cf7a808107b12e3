//! `/email/templates`: reusable content of mails.

use axum::http::HeaderMap;
use emcrm_app::template::VARIABLES;
use emcrm_model::{MailTemplate, MailTemplateDraft};
use serde::Serialize;
use utoipa::ToSchema;

use super::attendance::PageQuery;
use crate::auth::{Auth, Sender, Viewer};
use crate::http::answer::{MessageOut, tagged, tagged_unless_known};
use crate::http::path::PathText;
use crate::http::{Answer, JsonBody, NoBody, PageOut, QueryReader, json, schema};

/// Reusable content.
#[derive(Debug, ToSchema)]
#[schema(as = MailTemplateIn, rename_all = "camelCase")]
pub struct TemplateIn {
    #[schema(schema_with = schema::template_name)]
    pub name: String,
    #[schema(schema_with = schema::subject)]
    pub subject: String,
    #[schema(schema_with = schema::mail_body)]
    pub body: String,
    #[schema(schema_with = schema::body_format, required = false)]
    pub body_format: Option<String>,
}

/// Reusable content, as stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MailTemplate)]
pub struct TemplateOut {
    pub id: String,
    pub name: String,
    pub subject: String,
    pub body: String,
    #[schema(value_type = String)]
    pub body_format: emcrm_model::BodyFormat,
    pub created_at: String,
    pub updated_at: String,
}

impl From<MailTemplate> for TemplateOut {
    fn from(template: MailTemplate) -> Self {
        let MailTemplate { id, name, subject, body, body_format, created_at, updated_at, rev: _ } = template;
        Self { id, name, subject, body, body_format, created_at, updated_at }
    }
}

/// What can be filled in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MailVariable)]
pub struct VariableOut {
    /// As it is written between `{{` and `}}`.
    pub name: &'static str,
    pub meaning: &'static str,
}

/// Everything that can be filled in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MailVariables)]
pub struct VariableList {
    pub items: Vec<VariableOut>,
}

/// Templates, newest first.
#[utoipa::path(get, path = "/email/templates", tag = "Email", operation_id = "templates_list", params(PageQuery),
    responses((status = 200, description = "A page of templates", body = PageOut<TemplateOut>)))]
pub async fn list(auth: Auth<Viewer>, mut query: QueryReader) -> Answer {
    let page = query.page();
    query.check_page(&page)?;
    json(&PageOut::of(auth.app().template_list(auth.read(), page).await?, TemplateOut::from))
}

/// Keep content for later.
#[utoipa::path(post, path = "/email/templates", tag = "Email", operation_id = "template_create", request_body = TemplateIn,
    responses((status = 200, description = "The template", body = TemplateOut)))]
pub async fn create(auth: Auth<Sender>, body: JsonBody) -> Answer {
    let draft = MailTemplateDraft::parse(&body.value)?;
    let template = auth.app().template_create(&auth.write(&body)?, draft).await?;
    tagged(template.rev, &TemplateOut::from(template))
}

/// One template.
#[utoipa::path(get, path = "/email/templates/{id}", tag = "Email", operation_id = "template_get", params(("id" = String, Path, description = "Id of the template")),
    responses((status = 200, description = "The template", body = TemplateOut)))]
pub async fn get(auth: Auth<Viewer>, PathText(id): PathText, headers: HeaderMap) -> Answer {
    let template = auth.app().template_get(auth.read(), &id).await?;
    tagged_unless_known(&headers, template.rev, &TemplateOut::from(template))
}

/// Write it anew. Campaigns that were made from it stay as they are.
#[utoipa::path(put, path = "/email/templates/{id}", tag = "Email", operation_id = "template_replace", params(("id" = String, Path, description = "Id of the template")),
    request_body = TemplateIn, responses((status = 200, description = "The template", body = TemplateOut)))]
pub async fn replace(auth: Auth<Sender>, PathText(id): PathText, body: JsonBody) -> Answer {
    let draft = MailTemplateDraft::parse(&body.value)?;
    let template = auth.app().template_replace(&auth.write(&body)?, &id, draft).await?;
    tagged(template.rev, &TemplateOut::from(template))
}

/// Delete it.
#[utoipa::path(delete, path = "/email/templates/{id}", tag = "Email", operation_id = "template_delete", params(("id" = String, Path, description = "Id of the template")),
    responses((status = 200, description = "It is gone", body = MessageOut)))]
pub async fn delete(auth: Auth<Sender>, PathText(id): PathText) -> Answer {
    auth.app().template_delete(&auth.write(&NoBody)?, &id).await?;
    json(&MessageOut { message: "Template deleted successfully" })
}

/// What can be filled in.
#[utoipa::path(get, path = "/email/variables", tag = "Email", operation_id = "mail_variables",
    responses((status = 200, description = "All variables", body = VariableList)))]
pub async fn variables(_auth: Auth<Viewer>) -> Answer {
    json(&VariableList { items: VARIABLES.iter().map(|variable| VariableOut { name: variable.name, meaning: variable.meaning }).collect() })
}
