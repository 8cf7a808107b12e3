//! Audience and mail of what is being written, before anything is saved.
//!
//! Mails in HTML are shown in a frame of their own, with a policy under which nothing in them can run or call home to us. What is not saved yet has no address:
//! the form itself is sent into the frame.

use axum::extract::{RawPathParams, State};
use axum::http::StatusCode;
use emcrm_app::{App, AppError, Call, Preview, Reach, Sample};
use emcrm_model::{Audience, CampaignId, EventId, Recipients, User, UserId};
use serde::Serialize;
use std::collections::BTreeMap;

use super::composer::{Values, by_field};
use super::words;
use crate::api::error::ApiError;
use crate::auth::{Auth, Sender, Viewer};
use crate::http::Answer;
use crate::router::ApiState;
use crate::web::format::Reader;
use crate::web::href;
use crate::web::mail_frame::{Pictures, mail_frame};
use crate::web::pages::page as render;
use crate::web::shell::{Place, Shell};
use crate::web_form::Form;

/// Instead of a mail while nobody can be looked up.
const AWAY: &str = "<p>The mail cannot be shown right now: searching is not possible, so nobody knows whose it would be.</p>";
/// People named beside the count.
const NAMED: usize = 5;

/// What the right half of the composer shows.
#[derive(Debug, Serialize)]
pub struct Look {
    pub audience: Option<AudienceOut>,
    pub preview: Option<PreviewOut>,
    /// Why there is no preview, where the form has faults.
    pub preview_faults: Vec<String>,
    /// The index cannot be asked, so nobody is counted.
    pub down: bool,
}

#[derive(Debug, Serialize)]
pub struct AudienceOut {
    pub total: u64,
    pub exact: bool,
    /// Who it is, as a sentence.
    pub words: String,
    pub people: Vec<Person>,
    /// The same filter in People, or the event's list.
    pub href: String,
    /// A list is asked for.
    pub list: bool,
}

#[derive(Debug, Serialize)]
pub struct Person {
    pub href: String,
    pub name: String,
    pub initials: String,
    pub email: String,
    pub company: Option<String>,
    pub attended: i64,
}

impl From<&User> for Person {
    fn from(user: &User) -> Self {
        Self {
            href: href::person(user.id.as_str()),
            name: user.full_name(),
            initials: [&user.first_name, &user.last_name].iter().filter_map(|name| name.chars().next()).flat_map(char::to_uppercase).collect(),
            email: user.email.as_str().to_owned(),
            company: user.company.clone(),
            attended: user.attended_count,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct PreviewOut {
    pub from: String,
    /// Whose mail is shown; none where nobody matches, so that it is made for nobody in particular.
    pub to: Option<Person>,
    pub subject: String,
    pub text: String,
    pub has_html: bool,
    pub warnings: Vec<String>,
}

/// Looks at what is in the form, and leaves out what its faults keep from being looked at.
pub async fn look(app: &App, call: &Call, values: &Values) -> Result<(Look, BTreeMap<String, String>), AppError> {
    let mut look = Look { audience: None, preview: None, preview_faults: Vec::new(), down: false };
    if let Ok(of) = values.recipients() {
        match app.reach(call, &of).await {
            Ok(Reach { total, settled, people }) => {
                let people = people.iter().take(NAMED).map(Person::from).collect();
                let list = of.audience.is_of_event();
                let words = words_for(app, call, &of).await?;
                let href = if list { event_list(&of) } else { people_list(values) };
                look.audience = Some(AudienceOut { total, exact: settled, words, people, href, list });
            }
            // What is typed does not need the index.
            Err(AppError::Search(error)) => {
                tracing::warn!(%error, "an audience cannot be counted");
                look.down = true;
            }
            Err(error) => return Err(error),
        }
    }
    let draft = match values.draft() {
        Ok(draft) => draft,
        Err(faults) => return Ok((look, by_field(faults))),
    };
    match app.campaign_preview(call, draft).await {
        Ok(preview) => {
            look.preview = Some(preview_out(app, preview));
            Ok((look, BTreeMap::new()))
        }
        Err(AppError::Invalid(faults)) => {
            look.preview_faults = faults.0.iter().map(|fault| fault.message.clone()).collect();
            Ok((look, by_field(faults)))
        }
        Err(AppError::Search(_)) => {
            look.down = true;
            Ok((look, BTreeMap::new()))
        }
        Err(error) => Err(error),
    }
}

/// Whom a campaign is for, as a sentence.
pub async fn words_for(app: &App, call: &Call, of: &Recipients) -> Result<String, AppError> {
    let title = match &of.event_id {
        Some(id) if of.audience.is_of_event() => match app.event_get(call, id.as_str()).await {
            Ok(event) => Some(event.title),
            Err(AppError::EventUnknown) => None,
            Err(error) => return Err(error),
        },
        _ => None,
    };
    Ok(words::recipients(of, title.as_deref()))
}

fn event_list(of: &Recipients) -> String {
    let event = href::event(of.event_id.as_ref().map(EventId::as_str).unwrap_or_default());
    match of.audience {
        Audience::People | Audience::Attendees => event,
        Audience::Here | Audience::Away => href::with_query(&event, [("s", of.audience.as_str())]),
    }
}

fn preview_out(app: &App, preview: Preview) -> PreviewOut {
    let Preview { total: _, recipients, subject, text, html, warnings } = preview;
    PreviewOut { from: from(app), to: recipients.first().map(Person::from), subject, text, has_html: html.is_some(), warnings }
}

/// Who mails come from, as mail programs show it.
pub fn from(app: &App) -> String {
    let mailbox = &app.settings.mail_from;
    mailbox.name.as_ref().map_or_else(|| mailbox.address.clone(), |name| format!("{name} <{}>", mailbox.address))
}

fn people_list(values: &Values) -> String {
    let lists = [("company", &values.company), ("jobTitle", &values.job_title), ("city", &values.city), ("state", &values.state)];
    let ranges =
        [("minAttended", &values.min_attended), ("maxAttended", &values.max_attended), ("minHosted", &values.min_hosted), ("maxHosted", &values.max_hosted)];
    let lists = lists.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str())));
    href::with_query("/app/people", lists.chain(ranges.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.as_str()))))
}

fn values_of(form: &Form) -> Values {
    Values::read(|name| form.all(name))
}

/// Both halves of what is computed, for a composer that has a script.
pub async fn check(auth: Auth<Sender>, form: Form) -> Answer {
    #[derive(Serialize)]
    struct Part {
        look: Look,
        /// The part stands alone: one of its halves is put in its place by its id.
        oob: bool,
        shell: Reader,
    }
    let (look, _) = look(auth.app(), auth.read(), &values_of(&form)).await?;
    render(StatusCode::OK, "campaigns/_look.html", Part { look, oob: true, shell: auth.locale().into() })
}

/// The mail in HTML, as the first recipient would get it.
pub async fn frame(auth: Auth<Sender>, form: Form) -> Answer {
    let made = match values_of(&form).draft() {
        Ok(draft) => auth.app().campaign_preview(auth.read(), draft).await,
        Err(faults) => Err(AppError::Invalid(faults)),
    };
    match made {
        Ok(preview) => Ok(mail_frame(preview.html.as_deref().unwrap_or("<p>This mail has no HTML part.</p>"), Pictures::Shown)),
        Err(AppError::Invalid(_)) => Ok(mail_frame("<p>The mail can be shown once the form has no faults.</p>", Pictures::Shown)),
        Err(AppError::Search(_)) => Ok(mail_frame(AWAY, Pictures::Shown)),
        Err(error) => Err(error.into()),
    }
}

/// A campaign and a person in the path.
fn campaign_and_person(params: &RawPathParams) -> Result<(CampaignId, UserId), ApiError> {
    let value = |name: &str| params.iter().find(|(have, _)| *have == name).map(|(_, value)| value).unwrap_or_default();
    let campaign = CampaignId::lookup(value("id")).map_err(|_| words::readable(AppError::CampaignUnknown))?;
    let user = UserId::lookup(value("user")).map_err(|_| AppError::UserUnknown)?;
    Ok((campaign, user))
}

/// One person's mail: the page, or with `?part=html` what its frame shows.
pub async fn mail(auth: Auth<Viewer>, State(state): State<ApiState>, params: RawPathParams, query: crate::http::QueryReader) -> Answer {
    #[derive(Serialize)]
    struct Mail {
        shell: Shell,
        campaign: String,
        campaign_subject: String,
        from: String,
        to: Person,
        subject: String,
        text: String,
        frame: Option<String>,
    }
    let (id, user) = campaign_and_person(&params)?;
    let campaign = auth.app().campaign_get(auth.read(), &id).await.map_err(words::readable)?;
    let Sample { user, subject, text, html } = auth.app().campaign_mail(auth.read(), &id, &user).await.map_err(words::readable)?;
    if query.raw("part") == Some("html") {
        return Ok(mail_frame(html.as_deref().unwrap_or_default(), Pictures::Shown));
    }
    let campaign_href = href::campaign(id.as_str());
    let frame = html.map(|_| format!("{campaign_href}/mail/{}?part=html", href::segment(user.id.as_str())));
    let context = Mail {
        shell: Shell::of(&auth, &state, Place::Campaigns),
        campaign: campaign_href,
        campaign_subject: campaign.subject,
        from: from(auth.app()),
        to: Person::from(&user),
        subject,
        text,
        frame,
    };
    render(StatusCode::OK, "campaigns/mail.html", context)
}
