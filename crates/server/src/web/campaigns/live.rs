//! A campaign that is to be sent, is being sent, or was sent: how far it is, its ledger, its log. The progress renews itself until nothing happens any more.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use emcrm_app::{Progress, Seen};
use emcrm_model::{BodyFormat, Campaign, CampaignId, CampaignState, DeliveryState, Recipients};
use emcrm_store::keys;
use serde::Serialize;

use super::ledger::{Ledger, LedgerQuery};
use super::look::words_for;
use super::preflight::scheduled;
use super::words::{self, Badge, LogLine, Part, Stack, campaign_badge, duration, log_line, readable};
use crate::auth::{Auth, Viewer};
use crate::http::path::CampaignAt;
use crate::http::{Answer, QueryReader};
use crate::router::ApiState;
use crate::web::format::tenths;
use crate::web::href;
use crate::web::pages::{page as render, see_other};
use crate::web::shell::{Place, Shell};

/// Lines of the log that are shown.
const LOGGED: usize = 100;
/// Hits that are counted for the page: it must not wait for those of a million mails. `GET /email/requests/{id}/readers` counts more.
const HITS_SHOWN: usize = 10_000;

#[derive(Serialize)]
struct Live {
    shell: Shell,
    /// What was done to it, for those who may see the audit trail.
    history: String,
    href: String,
    subject: String,
    badge: Badge,
    status: &'static str,
    can: Can,
    started_at: Option<String>,
    finished_at: Option<String>,
    scheduled: Option<String>,
    /// Why it stands, where it does.
    reason: Option<String>,
    progress: ProgressOut,
    refused: u64,
    unknown: u64,
    ledger: Option<Ledger>,
    log: Vec<LogLine>,
    message: MessageFacts,
    /// Where its content becomes a template.
    keep: String,
    /// A copy is made once, however often its button is pressed.
    once: String,
}

/// What can be done with it as it stands.
#[expect(clippy::struct_excessive_bools, reason = "each is a button")]
#[derive(Debug, Serialize)]
pub struct Can {
    edit: bool,
    unschedule: bool,
    pause: bool,
    resume: bool,
    cancel: bool,
    retry: bool,
    delete: bool,
}

impl Can {
    fn of(campaign: &Campaign) -> Self {
        use CampaignState as State;
        let state = campaign.status;
        let lost = campaign.counts.get(DeliveryState::Error) + campaign.counts.get(DeliveryState::Unknown) > 0;
        Self {
            edit: state.is_editable(),
            unschedule: state == State::Scheduled,
            pause: state == State::Sending,
            resume: state == State::Paused,
            cancel: matches!(state, State::Scheduled | State::Pending | State::Freezing | State::Sending | State::Paused),
            retry: lost && matches!(state, State::Sent | State::Error | State::Paused),
            delete: state.is_editable(),
        }
    }
}

#[derive(Serialize)]
struct MessageFacts {
    format: &'static str,
    bytes: usize,
    kind: &'static str,
    event: Option<EventLink>,
    audience: String,
    rate: Option<u32>,
    tracking: bool,
    readers: Option<Readers>,
}

#[derive(Serialize)]
struct EventLink {
    href: String,
    title: String,
}

#[derive(Serialize)]
struct Readers {
    opened: u64,
    clicked: u64,
    /// Otherwise it is at least so many.
    exact: bool,
}

/// The part that renews itself.
#[derive(Serialize)]
pub struct ProgressOut {
    /// Where it renews itself from; none where nothing happens any more.
    poll: Option<String>,
    href: String,
    total: u64,
    sent: u64,
    handled_percent: String,
    stack: Stack,
    parts: Vec<Part>,
    /// Such as `13.8`.
    rate: Option<String>,
    average: bool,
    limit: Option<u32>,
    left: Option<String>,
    running: Option<String>,
    frozen_at: Option<String>,
    frozen: bool,
}

fn progress_of<R>(auth: &Auth<R>, campaign: &Campaign, seen: Option<Seen>) -> ProgressOut
where
    R: crate::auth::NeededRole,
{
    let now = auth.app().now();
    let progress = Progress::of(campaign, now, seen);
    let href = href::campaign(campaign.id.as_str());
    let state = campaign.status.as_str();
    let (at, handled) = (progress.seen.at.to_string(), progress.seen.handled.to_string());
    let poll = (!campaign.status.is_final() && campaign.status != CampaignState::Draft)
        .then(|| href::with_query(&format!("{href}/progress"), [("state", state), ("at", at.as_str()), ("handled", handled.as_str())]));
    let tenths = |value: f64| tenths(value, auth.locale());
    let percent = if progress.total == 0 { 0.0 } else { progress.handled as f64 * 100.0 / progress.total as f64 };
    // 99.97 % is not all of them.
    let percent = if progress.left > 0 { percent.min(99.9) } else { percent };
    ProgressOut {
        poll,
        total: progress.total,
        sent: campaign.counts.sent_count.max(0) as u64,
        handled_percent: tenths(percent),
        stack: words::stack(campaign),
        parts: words::parts(campaign),
        rate: progress.rate.filter(|_| campaign.started_at.is_some()).map(tenths),
        average: progress.average,
        limit: campaign.rate,
        left: progress.seconds_left.map(duration),
        running: progress.seconds.map(|seconds| if seconds == 0 { String::from("under 1 s") } else { duration(seconds) }),
        frozen_at: campaign.frozen_at.clone(),
        frozen: campaign.frozen_at.is_some(),
        href,
    }
}

pub async fn page(auth: Auth<Viewer>, State(state): State<ApiState>, CampaignAt(id): CampaignAt, query: QueryReader) -> Answer {
    let campaign = auth.app().campaign_get(auth.read(), &id).await.map_err(readable)?;
    let shell = Shell::of(&auth, &state, Place::Campaigns);
    let href = href::campaign(campaign.id.as_str());
    if campaign.status == CampaignState::Draft && shell.may.send {
        return see_other(&format!("{href}/edit"));
    }
    let wanted = LedgerQuery::read(query)?;
    let ledger = Ledger::of(&auth, &campaign, wanted).await?;
    let log = auth.app().campaign_log(auth.read(), &id).await?;
    let context = Live {
        shell,
        badge: campaign_badge(campaign.status),
        status: campaign.status.as_str(),
        can: Can::of(&campaign),
        started_at: campaign.started_at.clone(),
        finished_at: campaign.finished_at.clone(),
        scheduled: scheduled(&auth, &campaign),
        reason: campaign.reason.clone(),
        progress: progress_of(&auth, &campaign, None),
        refused: campaign.counts.get(DeliveryState::Error).max(0) as u64,
        unknown: campaign.counts.get(DeliveryState::Unknown).max(0) as u64,
        ledger,
        log: log.into_iter().rev().take(LOGGED).map(log_line).collect(),
        message: message(&auth, &campaign).await?,
        keep: href::with_query("/app/settings/templates/new", [("campaign", campaign.id.as_str())]),
        once: auth.app().ids.random().to_string(),
        history: href::history(&keys::campaign_part(&campaign.id)),
        subject: campaign.subject,
        href,
    };
    render(StatusCode::OK, "campaigns/show.html", context)
}

async fn message(auth: &Auth<Viewer>, campaign: &Campaign) -> Result<MessageFacts, emcrm_app::AppError> {
    let event = match &campaign.event_id {
        Some(id) => {
            auth.app().event_get(auth.read(), id.as_str()).await.ok().map(|event| EventLink { href: href::event(event.id.as_str()), title: event.title })
        }
        None => None,
    };
    let tracking = campaign.tracking != emcrm_model::Tracking::default();
    let readers = if tracking {
        let readers = auth.app().campaign_readers(auth.read(), &campaign.id, HITS_SHOWN).await?;
        Some(Readers { opened: readers.opened, clicked: readers.clicked, exact: readers.exact })
    } else {
        None
    };
    let format = match campaign.body_format {
        BodyFormat::Text => "Text",
        BodyFormat::Markdown => "Markdown",
        BodyFormat::Html => "HTML",
    };
    Ok(MessageFacts {
        format,
        bytes: campaign.body.len(),
        kind: campaign.kind.as_str(),
        event,
        audience: words_for(auth.app(), auth.read(), &Recipients::from(campaign)).await?,
        rate: campaign.rate,
        tracking,
        readers,
    })
}

/// The part that renews itself, for a page that shows the campaign in the state `state`. In another state the page around it is not true any more.
pub async fn progress(auth: Auth<Viewer>, State(state): State<ApiState>, CampaignAt(id): CampaignAt, mut query: QueryReader) -> Answer {
    #[derive(Serialize)]
    struct Part {
        shell: Shell,
        progress: ProgressOut,
    }
    let campaign = auth.app().campaign_get(auth.read(), &id).await.map_err(readable)?;
    let shown = query.text("state", 20);
    let number = |name: &str| query.raw(name).and_then(|text| text.parse::<i64>().ok());
    let seen = number("at").zip(number("handled")).and_then(|(at, handled)| Some(Seen { at, handled: u64::try_from(handled).ok()? }));
    let progress = progress_of(&auth, &campaign, seen);
    let mut response = render(StatusCode::OK, "campaigns/_progress.html", Part { shell: Shell::of(&auth, &state, Place::Campaigns), progress })?;
    if shown.is_some_and(|shown| shown != campaign.status.as_str()) {
        response.headers_mut().insert("hx-refresh", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// A campaign's own page.
pub fn address(id: &CampaignId) -> String {
    href::campaign(id.as_str())
}
