//! What sending would do, and the three things that can be done then: a test mail, a schedule, sending.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::when::zone_words;
use emcrm_app::{AppError, LeftOut, Preflight, Sample, Unmailed};
use emcrm_model::{Campaign, CampaignDraft, CampaignId, CampaignState, EmailAddress, FieldErrors, Fields, Recipients, Schedule};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::composer::by_field;
use super::look::{Person, from, words_for};
use super::words::{duration, readable};
use crate::api::error::ApiError;
use crate::auth::{Auth, NeededRole, Sender, Viewer};
use crate::http::Answer;
use crate::http::path::CampaignAt;
use crate::router::ApiState;
use crate::web::format::day_and_time;
use crate::web::href;
use crate::web::pages::{page as render, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

#[derive(Serialize)]
struct Context {
    shell: Shell,
    href: String,
    rev: i64,
    subject: String,
    kind: &'static str,
    audience: String,
    from: String,
    scheduled: Option<String>,
    /// None where the content itself is at fault.
    found: Option<Found>,
    content_faults: Vec<String>,
    /// The index cannot be asked, so nobody is counted.
    down: bool,
    /// Something was asked for and not done.
    notice: Option<String>,
    faults: BTreeMap<String, String>,
    /// What was typed.
    to: String,
    scheduled_at: String,
    timezone: String,
    zones: &'static [&'static str],
    /// A test mail goes out once, however often its button is pressed.
    once: String,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a line of the page")]
#[derive(Serialize)]
struct Found {
    matches: u64,
    recipients: u64,
    /// What the button names.
    mails: u64,
    exact: bool,
    checked: u64,
    left_out: Vec<Reason>,
    errors: Vec<String>,
    warnings: Vec<String>,
    variables: usize,
    unsubscribe: bool,
    tls: Option<bool>,
    /// The domain that answers for these mails.
    domain: String,
    /// The mail service takes mail from there, and signs it.
    signed: bool,
    outbox: bool,
    /// At the lowest limit of the rate.
    duration: Option<String>,
    /// Where nothing limits it.
    estimate: Option<Estimate>,
    kilobytes: usize,
    samples: Vec<SampleOut>,
}

/// How long it may take, and why that is thought.
#[derive(Serialize)]
struct Estimate {
    duration: String,
    /// The campaign that tells.
    href: String,
    mails: u64,
    took: String,
}

#[derive(Serialize)]
struct Reason {
    words: &'static str,
    count: u64,
    people: Vec<Left>,
}

/// Somebody who does not get it.
#[derive(Serialize)]
struct Left {
    person: Person,
    /// What is not known of them and the mail needs.
    missing: Vec<&'static str>,
}

impl From<Unmailed> for Left {
    fn from(Unmailed { user, missing }: Unmailed) -> Self {
        Self { person: Person::from(&user), missing }
    }
}

#[derive(Serialize)]
struct SampleOut {
    to: Person,
    subject: String,
    text: String,
    href: String,
    has_html: bool,
}

fn reason(key: &str) -> &'static str {
    match key {
        "manual" => "Stopped by hand",
        "unsubscribed" => "Unsubscribed",
        "bounced" => "Mail came back for good",
        "complained" => "Reported mail as unwanted",
        "invalid_address" => "Address cannot be mailed",
        "duplicate_address" => "Another person has their address",
        "missing_value" => "A value is missing",
        "too_long" => "Mail would be too long",
        _ => "Other",
    }
}

/// Zones that most people need; others can be typed.
static ZONES: [&str; 24] = [
    "UTC",
    "Europe/London",
    "Europe/Lisbon",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Rome",
    "Europe/Zurich",
    "Europe/Warsaw",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Sao_Paulo",
];

/// Said of what was asked for while nobody could be looked up.
const AWAY: &str = "Nothing was sent: searching is not possible right now, so nobody can be looked up.";

/// What is said beside the figures.
#[derive(Default)]
struct Told {
    status: StatusCode,
    notice: Option<String>,
    faults: BTreeMap<String, String>,
    to: String,
    scheduled_at: String,
    timezone: Option<String>,
}

impl Told {
    fn notice(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, notice: Some(text.into()), ..Self::default() }
    }
    fn faults(faults: FieldErrors) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, faults: by_field(faults), ..Self::default() }
    }
}

async fn show<R: NeededRole>(auth: &Auth<R>, state: &ApiState, id: &CampaignId, told: Told) -> Answer {
    let campaign = auth.app().campaign_get(auth.read(), id).await.map_err(readable)?;
    if !campaign.status.is_editable() {
        return Err(readable(AppError::CampaignState { now: campaign.status, wanted: "sent" }));
    }
    let href = href::campaign(campaign.id.as_str());
    let mut down = false;
    let (found, content_faults) = match auth.app().campaign_preflight(auth.read(), CampaignDraft::from(&campaign)).await {
        Ok(found) => (Some(found_of(auth, &href, found)), Vec::new()),
        Err(AppError::Search(error)) => {
            tracing::warn!(%error, "an audience cannot be counted");
            down = true;
            (None, Vec::new())
        }
        Err(AppError::Invalid(faults)) => (None, faults.0.into_iter().map(|fault| fault.message).collect()),
        Err(error) => return Err(readable(error)),
    };
    let shell = Shell::of(auth, state, Place::Campaigns);
    let context = Context {
        rev: campaign.rev.0,
        kind: campaign.kind.as_str(),
        audience: words_for(auth.app(), auth.read(), &Recipients::from(&campaign)).await?,
        from: from(auth.app()),
        scheduled: scheduled(auth, &campaign),
        subject: campaign.subject,
        found,
        content_faults,
        down,
        notice: told.notice,
        faults: told.faults,
        to: told.to,
        scheduled_at: told.scheduled_at,
        timezone: told.timezone.unwrap_or_else(|| shell.zone.clone()),
        zones: &ZONES,
        once: auth.app().ids.random().to_string(),
        href,
        shell,
    };
    render(told.status, "campaigns/preflight.html", context)
}

/// The moment of a scheduled campaign, with the zone in which it is meant.
pub fn scheduled<R: NeededRole>(auth: &Auth<R>, campaign: &Campaign) -> Option<String> {
    let default = &auth.app().settings.default_zone;
    let due = campaign.due(default).filter(|_| campaign.status == CampaignState::Scheduled)?;
    let zone = campaign.timezone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(|| default.clone());
    let at = due.to_zoned_datetime(zone);
    Some(format!("{} ({})", day_and_time(&at, auth.locale()), zone_words(at.time_zone().iana_name().unwrap_or("UTC"))))
}

fn found_of<R: NeededRole>(auth: &Auth<R>, href: &str, found: Preflight) -> Found {
    let exact = found.is_exact();
    let left_out =
        |(key, LeftOut { count, people }): (&'static str, LeftOut)| Reason { words: reason(key), count, people: people.into_iter().map(Left::from).collect() };
    let sample = |Sample { user, subject, text, html }: Sample| SampleOut {
        href: format!("{href}/mail/{}", href::segment(user.id.as_str())),
        to: Person::from(&user),
        subject,
        text,
        has_html: html.is_some(),
    };
    let estimate = found.estimate().zip(found.pace.as_ref()).map(|(seconds, pace)| Estimate {
        duration: duration(seconds),
        href: href::campaign(pace.campaign.as_str()),
        mails: pace.mails,
        took: duration(pace.milliseconds.div_ceil(1_000)),
    });
    let domain = found.from_domain().to_owned();
    Found {
        matches: found.matches,
        recipients: found.recipients,
        mails: found.mails(),
        exact,
        checked: found.checked,
        left_out: found.left_out.into_iter().map(left_out).collect(),
        errors: found.errors,
        warnings: found.warnings,
        variables: found.variables.len(),
        unsubscribe: found.unsubscribe,
        tls: found.tls,
        domain,
        signed: found.sender.as_ref().is_some_and(|sender| sender.verified && sender.signed),
        outbox: auth.app().has_outbox(),
        duration: found.seconds.map(|seconds| duration(seconds.max(1))),
        estimate,
        kilobytes: found.largest.div_ceil(1_000),
        samples: found.samples.into_iter().map(sample).collect(),
    }
}

pub async fn page(auth: Auth<Viewer>, State(state): State<ApiState>, CampaignAt(id): CampaignAt) -> Answer {
    show(&auth, &state, &id, Told::default()).await
}

/// One mail to one address, in no ledger.
pub async fn test(auth: Auth<Sender>, State(state): State<ApiState>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    let to = form.value("to").unwrap_or_default().trim().to_owned();
    let address = match EmailAddress::parse(&to) {
        Ok(address) => address,
        Err(error) => return show(&auth, &state, &id, Told { to, ..Told::faults(FieldErrors::one("to", "value_error", error.to_string())) }).await,
    };
    let campaign = auth.app().campaign_get(auth.read(), &id).await.map_err(readable)?;
    match auth.app().campaign_test(&auth.write(&form)?, CampaignDraft::from(&campaign), address).await {
        Ok(reply) => {
            let text = format!("The test mail to {to} was taken. The mail server said: {reply}");
            Ok(flash(see_other(&format!("{}/preflight", href::campaign(id.as_str())))?, &text, None))
        }
        Err(AppError::KeyReused) => {
            let text = format!("The form was sent twice, and acted once: see whether the test mail to {to} has arrived.");
            Ok(flash(see_other(&format!("{}/preflight", href::campaign(id.as_str())))?, &text, None))
        }
        Err(AppError::Mail(error)) => {
            let told = Told::notice(StatusCode::BAD_GATEWAY, format!("The test mail to {to} was not sent: {error}"));
            show(&auth, &state, &id, Told { to, ..told }).await
        }
        Err(AppError::Invalid(faults)) => show(&auth, &state, &id, Told { to, ..Told::notice(StatusCode::UNPROCESSABLE_ENTITY, faults.to_string()) }).await,
        Err(AppError::Search(_)) => show(&auth, &state, &id, Told { to, ..Told::notice(StatusCode::SERVICE_UNAVAILABLE, AWAY) }).await,
        Err(error) => Err(readable(error)),
    }
}

pub async fn schedule(auth: Auth<Sender>, State(state): State<ApiState>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    let body = form.object(&["scheduledAt", "timezone"]);
    let mut fields = Fields::new(&body)?;
    let schedule = Schedule::read(&mut fields);
    if schedule.is_none() && fields.is_clean() {
        fields.fault("scheduledAt", "missing", "choose a day and a time");
    }
    let wanted = schedule.clone();
    let done = match fields.finish(schedule) {
        Ok(schedule) => auth.app().campaign_schedule(&auth.write(&form)?, &id, schedule).await,
        Err(faults) => Err(AppError::Invalid(faults)),
    };
    match done {
        Ok(campaign) => {
            let text = format!("It goes out by itself on {}.", scheduled(&auth, &campaign).unwrap_or_default());
            Ok(flash(see_other(&href::campaign(campaign.id.as_str()))?, &text, None))
        }
        Err(AppError::Invalid(faults)) => {
            let typed = |name: &str| form.value(name).unwrap_or_default().to_owned();
            let told = Told { scheduled_at: typed("scheduledAt"), timezone: Some(typed("timezone")), ..Told::faults(faults) };
            show(&auth, &state, &id, told).await
        }
        Err(AppError::StaleRev) => {
            let now = auth.app().campaign_get(auth.read(), &id).await.map_err(readable)?;
            // Pressed twice: it is scheduled for that moment already.
            if now.status == CampaignState::Scheduled && wanted.is_some_and(|wanted| now.scheduled_at == Some(wanted.at) && now.timezone == wanted.timezone) {
                let text = format!("It goes out by itself on {}.", scheduled(&auth, &now).unwrap_or_default());
                return Ok(flash(see_other(&href::campaign(id.as_str()))?, &text, None));
            }
            changed(&auth, &state, &id).await
        }
        Err(error) => Err(readable(error)),
    }
}

/// Sending it once more would be the same press once more.
fn is_on_its_way(state: CampaignState) -> bool {
    matches!(state, CampaignState::Pending | CampaignState::Freezing | CampaignState::Sending | CampaignState::Sent)
}

/// To everybody who was counted on the page that the form was on, and to nobody else.
pub async fn send(auth: Auth<Sender>, State(state): State<ApiState>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    let Some(expected) = form.value("expected").and_then(|expected| expected.parse().ok()) else {
        let told = Told::notice(StatusCode::UNPROCESSABLE_ENTITY, "The form did not say how many people it was about. Nothing was sent; look again.");
        return show(&auth, &state, &id, told).await;
    };
    match auth.app().campaign_send_to(&auth.write(&form)?, &id, expected).await {
        Ok(campaign) => Ok(see_other(&href::campaign(campaign.id.as_str()))?),
        // Pressed twice: it goes out once.
        Err(AppError::CampaignState { now, .. }) if is_on_its_way(now) => {
            Ok(flash(see_other(&href::campaign(id.as_str()))?, "It was sent already. Nobody gets it twice.", None))
        }
        Err(error @ AppError::AudienceChanged { .. }) => {
            show(&auth, &state, &id, Told::notice(StatusCode::CONFLICT, format!("Nothing was sent. {error}."))).await
        }
        Err(AppError::StaleRev) => changed(&auth, &state, &id).await,
        Err(AppError::Invalid(faults)) => show(&auth, &state, &id, Told::notice(StatusCode::UNPROCESSABLE_ENTITY, faults.to_string())).await,
        Err(AppError::Search(_)) => show(&auth, &state, &id, Told::notice(StatusCode::SERVICE_UNAVAILABLE, AWAY)).await,
        Err(error) => Err(readable(error)),
    }
}

async fn changed(auth: &Auth<Sender>, state: &ApiState, id: &CampaignId) -> Result<axum::response::Response, ApiError> {
    show(auth, state, id, Told::notice(StatusCode::PRECONDITION_FAILED, "Somebody changed the campaign meanwhile. Nothing was sent; look at it again.")).await
}
