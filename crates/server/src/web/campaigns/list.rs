//! All campaigns, newest first.

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::AppError;
use emcrm_model::{Campaign, CampaignState, Page};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::words::{Badge, Stack, campaign_badge, stack};
use crate::auth::{Auth, Viewer};
use crate::http::{Answer, QueryReader};
use crate::router::ApiState;
use crate::web::href;
use crate::web::pages::page as render;
use crate::web::paging::Paging;
use crate::web::shell::{Place, Shell};

const PATH: &str = "/app/campaigns";

#[derive(Serialize)]
struct List {
    shell: Shell,
    rows: Vec<Row>,
    paging: Option<Paging>,
}

#[derive(Serialize)]
struct Row {
    href: String,
    subject: String,
    badge: Badge,
    /// None before the audience is chosen.
    audience: Option<u64>,
    stack: Option<Stack>,
    sent: i64,
    refused: i64,
    /// When it began, or will begin, or was written.
    at: String,
    /// What `at` is, where it is not the begin.
    at_what: &'static str,
}

impl Row {
    /// `zone`: of moments that name none.
    fn of(campaign: Campaign, zone: &TimeZone) -> Self {
        let begun = campaign.frozen_at.is_some() || campaign.total_recipients > 0;
        let due = campaign.due(zone).filter(|_| campaign.status == CampaignState::Scheduled);
        let (at, at_what) = match (&campaign.started_at, due) {
            (Some(started), _) => (started.clone(), ""),
            (None, Some(due)) => (due.to_string(), "due "),
            (None, _) => (campaign.created_at.clone(), "written "),
        };
        Self {
            href: href::campaign(campaign.id.as_str()),
            badge: campaign_badge(campaign.status),
            audience: begun.then_some(campaign.total_recipients),
            stack: begun.then(|| stack(&campaign)),
            sent: campaign.counts.sent_count,
            refused: campaign.counts.error_count,
            subject: campaign.subject,
            at,
            at_what,
        }
    }
}

pub async fn page(auth: Auth<Viewer>, State(state): State<ApiState>, mut query: QueryReader) -> Answer {
    let request = query.page();
    let by_cursor = query.has("cursor");
    query.check_page(&request)?;
    let found = match auth.app().campaign_list(auth.read(), request.clone()).await {
        Err(AppError::NothingThere(_)) => Page { items: Vec::new(), total: 0, page: 1, size: request.size, next: None },
        found => found?,
    };
    let paging = (found.total > 0).then(|| Paging::of(&found, by_cursor, PATH, &[]));
    let (shell, zone) = (Shell::of(&auth, &state, Place::Campaigns), &auth.app().settings.default_zone);
    render(StatusCode::OK, "campaigns/list.html", List { shell, rows: found.items.into_iter().map(|campaign| Row::of(campaign, zone)).collect(), paging })
}
