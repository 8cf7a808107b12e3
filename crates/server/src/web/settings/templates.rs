//! Reusable content of mails. A campaign takes a copy; changing a template changes no campaign.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::AppError;
use emcrm_app::template::VARIABLES;
use emcrm_model::{BodyFormat, CampaignId, FieldErrors, MailTemplate, MailTemplateDraft};
use serde::Serialize;

use crate::auth::{Auth, Sender, Viewer};
use crate::http::path::PathText;
use crate::http::{Answer, QueryReader};
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::{page as render, see_other};
use crate::web::paging::Paging;
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

const PATH: &str = "/app/settings/templates";

#[derive(Serialize)]
struct List {
    shell: Shell,
    outbox: bool,
    rows: Vec<Row>,
    paging: Option<Paging>,
}

#[derive(Serialize)]
struct Row {
    href: String,
    /// A new campaign with this content.
    compose: String,
    name: String,
    subject: String,
    updated_at: String,
}

pub async fn list(auth: Auth<Viewer>, State(state): State<ApiState>, mut query: QueryReader) -> Answer {
    let page = query.page();
    let by_cursor = query.has("cursor");
    query.check_page(&page)?;
    let found = auth.app().template_list(auth.read(), page).await?;
    let paging = (found.total > 0).then(|| Paging::of(&found, by_cursor, PATH, &[]));
    let row = |template: MailTemplate| Row {
        href: format!("{PATH}/{}", href::segment(&template.id)),
        compose: href::with_query("/app/campaigns/new", [("template", template.id.as_str())]),
        name: template.name,
        subject: template.subject,
        updated_at: template.updated_at,
    };
    let context =
        List { shell: Shell::of(&auth, &state, Place::Settings), outbox: auth.app().has_outbox(), rows: found.items.into_iter().map(row).collect(), paging };
    render(StatusCode::OK, "settings/templates.html", context)
}

#[derive(Serialize)]
struct Editor {
    shell: Shell,
    outbox: bool,
    action: String,
    rev: Option<i64>,
    values: Values,
    faults: BTreeMap<String, String>,
    theirs: BTreeMap<&'static str, String>,
    conflict: bool,
    /// The template was deleted after the form had been made.
    gone: bool,
    /// Makes a form that is sent twice act once.
    once: String,
    variables: Vec<Variable>,
}

#[derive(Serialize)]
struct Variable {
    tag: String,
    meaning: &'static str,
}

/// What is in the fields.
#[derive(Clone, Serialize)]
struct Values {
    name: String,
    subject: String,
    body: String,
    body_format: String,
}

impl Values {
    fn empty() -> Self {
        Self { name: String::new(), subject: String::new(), body: String::new(), body_format: BodyFormat::Markdown.as_str().to_owned() }
    }
    fn sent(form: &Form) -> Self {
        let text = |name: &str| form.value(name).unwrap_or_default().replace("\r\n", "\n");
        Self { name: text("name"), subject: text("subject"), body: text("body"), body_format: text("bodyFormat") }
    }
    fn of(template: &MailTemplate) -> Self {
        let MailTemplate { name, subject, body, body_format, .. } = template.clone();
        Self { name, subject, body, body_format: body_format.as_str().to_owned() }
    }
    fn draft(&self) -> Result<MailTemplateDraft, FieldErrors> {
        let Self { name, subject, body, body_format } = self;
        MailTemplateDraft::parse(&serde_json::json!({ "name": name, "subject": subject, "body": body, "bodyFormat": body_format }))
    }
    /// What `other` has instead.
    fn differs(&self, other: &Self) -> BTreeMap<&'static str, String> {
        let pairs = [
            ("name", &self.name, &other.name),
            ("subject", &self.subject, &other.subject),
            ("body", &self.body, &other.body),
            ("bodyFormat", &self.body_format, &other.body_format),
        ];
        pairs.into_iter().filter(|(_, ours, theirs)| ours.trim() != theirs.trim()).map(|(field, _, theirs)| (field, theirs.clone())).collect()
    }
}

fn show<R: crate::auth::NeededRole>(
    auth: &Auth<R>,
    state: &ApiState,
    stored: Option<&MailTemplate>,
    values: Values,
    status: StatusCode,
    faults: BTreeMap<String, String>,
    theirs: BTreeMap<&'static str, String>,
) -> Answer {
    let context = Editor {
        shell: Shell::of(auth, state, Place::Settings),
        outbox: auth.app().has_outbox(),
        action: stored.map_or_else(|| format!("{PATH}/new"), |template| format!("{PATH}/{}", href::segment(&template.id))),
        rev: stored.map(|template| template.rev.0),
        values,
        faults,
        theirs,
        conflict: status == StatusCode::PRECONDITION_FAILED,
        gone: status == StatusCode::NOT_FOUND,
        once: auth.app().ids.random().to_string(),
        variables: VARIABLES.iter().map(|variable| Variable { tag: format!("{{{{ {} }}}}", variable.name), meaning: variable.meaning }).collect(),
    };
    render(status, "settings/template.html", context)
}

fn by_field(faults: FieldErrors) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for fault in faults.0 {
        found.entry(fault.path.join(".")).and_modify(|text| *text = format!("{text}; {}", fault.message)).or_insert(fault.message);
    }
    found
}

/// An empty one, or with `?campaign=` the content of a campaign.
pub async fn new(auth: Auth<Sender>, State(state): State<ApiState>, query: QueryReader) -> Answer {
    let mut values = Values::empty();
    if let Some(id) = query.raw("campaign").and_then(|id| CampaignId::lookup(id).ok()) {
        let campaign = auth.app().campaign_get(auth.read(), &id).await?;
        let name = campaign.subject.chars().take(MailTemplateDraft::NAME_MAX).collect();
        values = Values { name, subject: campaign.subject, body: campaign.body, body_format: campaign.body_format.as_str().to_owned() };
    }
    show(&auth, &state, None, values, StatusCode::OK, BTreeMap::new(), BTreeMap::new())
}

pub async fn create(auth: Auth<Sender>, State(state): State<ApiState>, form: Form) -> Answer {
    let values = Values::sent(&form);
    let made = match values.draft() {
        Ok(draft) => auth.app().template_create(&auth.write(&form)?, draft).await,
        Err(faults) => Err(AppError::Invalid(faults)),
    };
    match made {
        Ok(template) => Ok(flash(see_other(PATH)?, &format!("The template “{}” is kept.", template.name), None)),
        Err(AppError::Invalid(faults)) => show(&auth, &state, None, values, StatusCode::UNPROCESSABLE_ENTITY, by_field(faults), BTreeMap::new()),
        Err(AppError::KeyReused) => {
            let text = "this form was sent before, and made a template; save it once more to make another one";
            let faults = BTreeMap::from([("name".to_owned(), text.to_owned())]);
            show(&auth, &state, None, values, StatusCode::UNPROCESSABLE_ENTITY, faults, BTreeMap::new())
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn edit(auth: Auth<Viewer>, State(state): State<ApiState>, PathText(id): PathText) -> Answer {
    let template = auth.app().template_get(auth.read(), &id).await?;
    show(&auth, &state, Some(&template), Values::of(&template), StatusCode::OK, BTreeMap::new(), BTreeMap::new())
}

pub async fn save(auth: Auth<Sender>, State(state): State<ApiState>, PathText(id): PathText, form: Form) -> Answer {
    let values = Values::sent(&form);
    let saved = match values.draft() {
        Ok(draft) => auth.app().template_replace(&auth.write(&form)?, &id, draft).await,
        Err(faults) => Err(AppError::Invalid(faults)),
    };
    match saved {
        Ok(template) => Ok(flash(see_other(PATH)?, &format!("The template “{}” was saved. Campaigns stay as they are.", template.name), None)),
        Err(AppError::Invalid(faults)) => {
            let mut stored = match auth.app().template_get(auth.read(), &id).await {
                Err(AppError::TemplateUnknown) => return gone(&auth, &state, values),
                stored => stored?,
            };
            // The form keeps the revision that it was filled from.
            if let Some(rev) = form.value("rev").and_then(|rev| rev.parse().ok()) {
                stored.rev = emcrm_model::Rev(rev);
            }
            show(&auth, &state, Some(&stored), values, StatusCode::UNPROCESSABLE_ENTITY, by_field(faults), BTreeMap::new())
        }
        Err(AppError::StaleRev) => {
            let stored = match auth.app().template_get(auth.read(), &id).await {
                Err(AppError::TemplateUnknown) => return gone(&auth, &state, values),
                stored => stored?,
            };
            let theirs = values.differs(&Values::of(&stored));
            show(&auth, &state, Some(&stored), values, StatusCode::PRECONDITION_FAILED, BTreeMap::new(), theirs)
        }
        Err(AppError::TemplateUnknown) => gone(&auth, &state, values),
        Err(error) => Err(error.into()),
    }
}

/// The template was deleted while somebody changed it: what they typed can become another one.
fn gone(auth: &Auth<Sender>, state: &ApiState, values: Values) -> Answer {
    show(auth, state, None, values, StatusCode::NOT_FOUND, BTreeMap::new(), BTreeMap::new())
}

pub async fn delete(auth: Auth<Sender>, PathText(id): PathText, form: Form) -> Answer {
    match auth.app().template_delete(&auth.write(&form)?, &id).await {
        // The same form again: done is done.
        Err(AppError::TemplateUnknown) => return Ok(flash(see_other(PATH)?, "The template is deleted already.", None)),
        done => done?,
    }
    Ok(flash(see_other(PATH)?, "The template was deleted. Campaigns stay as they are.", None))
}
