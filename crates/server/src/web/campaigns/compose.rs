//! Writing and editing drafts. One form; its buttons say what becomes of it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::events::Ends;
use emcrm_app::template::VARIABLES;
use emcrm_app::{AppError, EventList};
use emcrm_model::{Audience, Campaign, CampaignState, FieldErrors, MailContent, PageRequest, Position};
use serde::Serialize;

use super::composer::{Values, by_field, theirs};
use super::look::{Look, look};
use super::words::{self, readable};
use crate::api::error::ApiError;
use crate::auth::{Auth, Sender};
use crate::http::path::CampaignAt;
use crate::http::{Answer, QueryReader};
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::{page as render, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

/// Events and templates to choose from.
const CHOICES: u32 = 50;

#[derive(Serialize)]
struct Composer {
    shell: Shell,
    /// Where the form goes.
    action: String,
    /// The campaign's own page, once it is saved.
    href: Option<String>,
    /// Revision that the form was filled from.
    rev: Option<i64>,
    scheduled: bool,
    values: Values,
    /// The form came back with what was typed.
    typed: bool,
    faults: BTreeMap<String, String>,
    /// Faults of fields, as a list on top.
    summary: Vec<String>,
    /// What somebody else saved meanwhile, by field.
    theirs: BTreeMap<&'static str, String>,
    conflict: bool,
    /// What was asked for and cannot be.
    note: Option<&'static str>,
    look: Look,
    audiences: Vec<Choice>,
    events: Vec<Choice>,
    templates: Vec<Choice>,
    variables: Vec<Variable>,
    body_max: usize,
    /// A new draft is made once, however often its form is sent.
    once: String,
}

#[derive(Serialize)]
struct Choice {
    value: String,
    name: String,
}

#[derive(Serialize)]
struct Variable {
    /// With its braces.
    tag: String,
    meaning: &'static str,
}

/// What a button of the form asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Save,
    /// Save, then look at everything before sending.
    Review,
    /// Look without saving.
    Check,
    /// The content of a template.
    Template,
}

impl Wish {
    fn of(form: &Form) -> Self {
        match form.value("do") {
            Some("review") => Self::Review,
            Some("check") => Self::Check,
            Some("template") => Self::Template,
            // Also Enter in a field, and a form that was sent without a button.
            _ => Self::Save,
        }
    }
}

/// The form with everything around it, before it is known what is wrong with it.
struct Sheet<'a> {
    auth: &'a Auth<Sender>,
    state: &'a ApiState,
    campaign: Option<&'a Campaign>,
    /// It was sent, and comes back.
    typed: bool,
}

impl Sheet<'_> {
    async fn show(&self, values: Values, told: Told) -> Answer {
        let (app, call) = (self.auth.app(), self.auth.read());
        let (look, found) = look(app, call, &values).await?;
        let Told { status, mut faults, theirs, conflict, note, quiet } = told;
        if !quiet {
            faults.extend(found);
        }
        let summary = faults.iter().map(|(field, text)| if field.is_empty() { text.clone() } else { format!("{}: {text}", label(field)) }).collect();
        let status = if status == StatusCode::OK && !faults.is_empty() { StatusCode::UNPROCESSABLE_ENTITY } else { status };
        let href = self.campaign.map(|campaign| href::campaign(campaign.id.as_str()));
        let context = Composer {
            shell: Shell::of(self.auth, self.state, Place::Campaigns),
            action: href.as_ref().map_or_else(|| "/app/campaigns/new".to_owned(), |href| format!("{href}/edit")),
            href,
            rev: self.campaign.map(|campaign| campaign.rev.0),
            scheduled: self.campaign.is_some_and(|campaign| campaign.status == CampaignState::Scheduled),
            audiences: Audience::ALL.map(|audience| Choice { value: audience.as_str().to_owned(), name: words::audience(audience).to_owned() }).into(),
            events: self.events(&values).await?,
            templates: self.templates().await?,
            values,
            typed: self.typed,
            faults,
            summary,
            theirs,
            conflict,
            note,
            look,
            variables: VARIABLES.iter().map(|variable| Variable { tag: format!("{{{{ {} }}}}", variable.name), meaning: variable.meaning }).collect(),
            body_max: MailContent::BODY_MAX,
            once: app.ids.random().to_string(),
        };
        render(status, "campaigns/edit.html", context)
    }

    /// Events that are to come and that were, and the one that is chosen.
    async fn events(&self, values: &Values) -> Result<Vec<Choice>, AppError> {
        let (app, call) = (self.auth.app(), self.auth.read());
        let now = emcrm_model::DateTime::from_instant(app.now());
        let list = |from, to, sort: &str| EventList {
            page: PageRequest { position: Position::Number(1), size: CHOICES },
            from,
            to,
            ends: Ends::Whenever,
            q: None,
            owner: None,
            host: None,
            sort: Some(sort.to_owned()),
        };
        let day = |at: &emcrm_model::DateTime| at.as_str().get(..10).unwrap_or_default().to_owned();
        let choice = |event: emcrm_model::Event| Choice { name: format!("{}, {}", day(&event.start_at), event.title), value: event.id.into() };
        let mut events: Vec<Choice> = Vec::new();
        // What is to come, the next first; then what was, for a word to those who came, the last first.
        for list in [list(Some(now.clone()), None, "startAt"), list(None, Some(now), "-startAt")] {
            match app.event_list(call, list).await {
                Ok(page) => events.extend(page.items.into_iter().map(choice)),
                // Without the index there is still the one that was chosen.
                Err(AppError::NothingThere(_) | AppError::Search(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if !values.event_id.is_empty() && !events.iter().any(|event| event.value == values.event_id) {
            match app.event_get(call, &values.event_id).await {
                Ok(event) => events.insert(0, choice(event)),
                Err(_) => events.insert(0, Choice { value: values.event_id.clone(), name: format!("{} (not there)", values.event_id) }),
            }
        }
        Ok(events)
    }

    async fn templates(&self) -> Result<Vec<Choice>, AppError> {
        let page = PageRequest { position: Position::Number(1), size: CHOICES };
        let templates = self.auth.app().template_list(self.auth.read(), page).await?;
        Ok(templates.items.into_iter().map(|template| Choice { value: template.id, name: template.name }).collect())
    }
}

/// What is said about the form.
struct Told {
    status: StatusCode,
    faults: BTreeMap<String, String>,
    theirs: BTreeMap<&'static str, String>,
    conflict: bool,
    note: Option<&'static str>,
    /// Faults are not named yet: nothing was sent.
    quiet: bool,
}

impl Told {
    fn nothing() -> Self {
        Self { status: StatusCode::OK, faults: BTreeMap::new(), theirs: BTreeMap::new(), conflict: false, note: None, quiet: true }
    }
    fn checked() -> Self {
        Self { quiet: false, ..Self::nothing() }
    }
    fn faults(faults: FieldErrors) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, faults: by_field(faults), ..Self::checked() }
    }
}

/// The name of a field as it stands on the page.
fn label(field: &str) -> &str {
    match field {
        "audience" => "Goes to",
        "company" => "Company",
        "jobTitle" => "Job title",
        "city" => "City",
        "state" => "State",
        "minAttended" => "Attended, at least",
        "maxAttended" => "Attended, at most",
        "minHosted" => "Hosted, at least",
        "maxHosted" => "Hosted, at most",
        "subject" => "Subject",
        "body" => "Body",
        "bodyFormat" => "Format",
        "kind" => "Kind",
        "eventId" => "Event",
        "rate" => "Mails a second",
        other => other,
    }
}

/// An empty form, or one that is filled by the query string: a filter from People, an event, a template.
pub async fn new(auth: Auth<Sender>, State(state): State<ApiState>, query: QueryReader) -> Answer {
    let mut values = Values::read(|name| query.all(name));
    if let Some(event) = query.raw("event") {
        event.trim().clone_into(&mut values.event_id);
    }
    let mut told = Told::nothing();
    if query.raw("q").is_some_and(|q| !q.trim().is_empty()) {
        told.note = Some("The words that were searched for are left out: free text finds people, and never chooses who gets mail. Use the filters.");
    }
    if let Some(id) = query.raw("template").filter(|id| !id.is_empty()) {
        values.fill(auth.app().template_get(auth.read(), id).await?);
    }
    Sheet { auth: &auth, state: &state, campaign: None, typed: false }.show(values, told).await
}

pub async fn create(auth: Auth<Sender>, State(state): State<ApiState>, form: Form) -> Answer {
    let mut values = Values::read(|name| form.all(name));
    let sheet = Sheet { auth: &auth, state: &state, campaign: None, typed: true };
    let wish = Wish::of(&form);
    match wish {
        Wish::Check => return sheet.show(values, Told::checked()).await,
        Wish::Template => {
            fill_from(&auth, &mut values, &form).await?;
            return sheet.show(values, Told::nothing()).await;
        }
        Wish::Save | Wish::Review => {}
    }
    let made = match values.draft() {
        Ok(draft) => auth.app().campaign_draft(&auth.write(&form)?, draft, None).await,
        Err(faults) => Err(AppError::Invalid(faults)),
    };
    match made {
        Ok(campaign) => saved(&campaign, wish),
        Err(AppError::Invalid(faults)) => sheet.show(values, Told::faults(faults)).await,
        Err(AppError::KeyReused) => {
            let note = Some("This form was sent before, and made a draft: it is in the list of campaigns. Save once more to make another one.");
            sheet.show(values, Told { status: StatusCode::UNPROCESSABLE_ENTITY, note, ..Told::nothing() }).await
        }
        Err(error) => Err(readable(error)),
    }
}

fn saved(campaign: &Campaign, wish: Wish) -> Result<Response, ApiError> {
    let href = href::campaign(campaign.id.as_str());
    let place = if wish == Wish::Review { "preflight" } else { "edit" };
    Ok(flash(see_other(&format!("{href}/{place}"))?, "Draft saved. Nothing was sent.", None))
}

async fn fill_from(auth: &Auth<Sender>, values: &mut Values, form: &Form) -> Result<(), ApiError> {
    if let Some(id) = form.value("template").filter(|id| !id.is_empty()) {
        values.fill(auth.app().template_get(auth.read(), id).await?);
    }
    Ok(())
}

async fn editable(auth: &Auth<Sender>, id: &emcrm_model::CampaignId) -> Result<Campaign, ApiError> {
    let campaign = auth.app().campaign_get(auth.read(), id).await.map_err(readable)?;
    if campaign.status.is_editable() { Ok(campaign) } else { Err(readable(AppError::CampaignState { now: campaign.status, wanted: "edited" })) }
}

pub async fn edit(auth: Auth<Sender>, State(state): State<ApiState>, CampaignAt(id): CampaignAt) -> Answer {
    let campaign = editable(&auth, &id).await?;
    Sheet { auth: &auth, state: &state, campaign: Some(&campaign), typed: false }.show(Values::of(&campaign), Told::nothing()).await
}

pub async fn save(auth: Auth<Sender>, State(state): State<ApiState>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    let mut values = Values::read(|name| form.all(name));
    let campaign = match auth.app().campaign_get(auth.read(), &id).await {
        Err(AppError::CampaignUnknown) => return gone(&auth, &state, values).await,
        campaign => campaign.map_err(readable)?,
    };
    if !campaign.status.is_editable() {
        return moved_on(&auth, &state, values).await;
    }
    let wish = Wish::of(&form);
    // A form that only looks keeps the revision that it was filled from, so that it does not hide what others did.
    let seen = form.value("rev").and_then(|rev| rev.parse().ok()).map_or(campaign.rev, emcrm_model::Rev);
    let seen = Campaign { rev: seen, ..campaign.clone() };
    let sheet = Sheet { auth: &auth, state: &state, campaign: Some(&seen), typed: true };
    match wish {
        Wish::Check => return sheet.show(values, Told::checked()).await,
        Wish::Template => {
            fill_from(&auth, &mut values, &form).await?;
            return sheet.show(values, Told::nothing()).await;
        }
        Wish::Save | Wish::Review => {}
    }
    let edited = match values.draft() {
        Ok(draft) => auth.app().campaign_edit(&auth.write(&form)?, &id, draft).await,
        Err(faults) => Err(AppError::Invalid(faults)),
    };
    match edited {
        Ok(campaign) => saved(&campaign, wish),
        Err(AppError::Invalid(faults)) => sheet.show(values, Told::faults(faults)).await,
        Err(AppError::StaleRev) => {
            // Theirs beside ours; saving again overwrites what is shown here, and nothing that came later.
            let now = editable(&auth, &id).await?;
            let told = Told { status: StatusCode::PRECONDITION_FAILED, theirs: theirs(&values, &now), conflict: true, ..Told::nothing() };
            Sheet { auth: &auth, state: &state, campaign: Some(&now), typed: true }.show(values, told).await
        }
        Err(AppError::CampaignUnknown) => gone(&auth, &state, values).await,
        Err(AppError::CampaignState { .. }) => moved_on(&auth, &state, values).await,
        Err(error) => Err(readable(error)),
    }
}

/// What was typed into the form of a campaign that is none of its any more. It can become a draft of its own.
async fn gone(auth: &Auth<Sender>, state: &ApiState, values: Values) -> Answer {
    let note = Some("This campaign was deleted meanwhile. What you typed is still here: saving it makes a new draft.");
    let told = Told { status: StatusCode::NOT_FOUND, note, ..Told::nothing() };
    Sheet { auth, state, campaign: None, typed: true }.show(values, told).await
}

async fn moved_on(auth: &Auth<Sender>, state: &ApiState, values: Values) -> Answer {
    let note = Some("This campaign cannot be edited any more: it was sent or cancelled. What you typed is still here: saving it makes another draft.");
    let told = Told { status: StatusCode::CONFLICT, note, ..Told::nothing() };
    Sheet { auth, state, campaign: None, typed: true }.show(values, told).await
}
