//! What a person did and got: registrations, hosted events, mails, newest first.

use std::collections::HashMap;

use emcrm_app::events::{Ends, EventList};
use emcrm_app::roster::{HERE, REGISTERED};
use emcrm_app::when::zone_name;
use emcrm_app::{App, AppError, Call};
use emcrm_model::{Attendance, CampaignId, Delivery, DeliveryState, Event, EventId, Page, PageRequest, Position, User};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;

/// Rows of each kind that one page shows; where there are more, the page says so.
const ROWS: u32 = 50;

#[derive(Debug, Serialize)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Where the time is meant, if not where the reader is.
    pub zone: Option<String>,
    pub icon: &'static str,
    pub tone: &'static str,
    /// What happened, before the name of the thing.
    pub verb: &'static str,
    pub href: String,
    pub title: String,
    pub detail: String,
}

#[derive(Debug, Default, Serialize)]
pub struct Timeline {
    pub entries: Vec<Entry>,
    /// Not everything is shown.
    pub cut: bool,
    pub mails: u64,
    /// Hosted events cannot be looked up right now.
    pub down: bool,
}

/// `events` and `mails` say what is wanted.
pub async fn timeline(app: &App, call: &Call, user: &User, events: bool, mails: bool) -> Result<Timeline, AppError> {
    let first = || PageRequest { position: Position::Number(1), size: ROWS };
    let mut line = Timeline::default();
    if events {
        let attended = app.attendance_of_user(call, &user.id, first()).await?;
        line.cut |= attended.next.is_some();
        let titles = try_join_all(attended.items.iter().map(|one| event(app, call, &one.event_id))).await?;
        line.entries.extend(attended.items.into_iter().zip(titles).map(|(one, event)| of_attendance(&one, event)));
        let host = EventList {
            page: first(),
            from: None,
            to: None,
            ends: Ends::Whenever,
            q: None,
            owner: None,
            host: Some(user.id.to_string()),
            sort: Some("-startAt".to_owned()),
        };
        match app.event_list(call, host).await {
            Ok(hosted) => {
                line.cut |= hosted.next.is_some();
                line.entries.extend(hosted.items.into_iter().map(|event| of_hosted(app, event)));
            }
            // The rest of the page does not need the index.
            Err(AppError::Search(_)) => line.down = true,
            Err(other) => return Err(other),
        }
    }
    let sent = match app.deliveries_of_user(call, &user.id, first()).await {
        Ok(page) => page,
        Err(AppError::NothingThere(_)) => Page { items: Vec::new(), total: 0, page: 1, size: ROWS, next: None },
        Err(other) => return Err(other),
    };
    line.mails = sent.total;
    if mails {
        line.cut |= sent.next.is_some();
        let subjects = subjects(app, call, user, &sent.items).await?;
        line.entries.extend(sent.items.into_iter().map(|delivery| of_delivery(delivery, &subjects)));
    }
    line.entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    Ok(line)
}

async fn event(app: &App, call: &Call, id: &EventId) -> Result<Option<Event>, AppError> {
    match app.event_get(call, id.as_str()).await {
        Ok(event) => Ok(Some(event)),
        Err(AppError::EventUnknown) => Ok(None),
        Err(other) => Err(other),
    }
}

/// The subjects of mails as this person reads them.
async fn subjects(app: &App, call: &Call, user: &User, deliveries: &[Delivery]) -> Result<HashMap<CampaignId, String>, AppError> {
    let mut ids: Vec<&CampaignId> = deliveries.iter().map(|delivery| &delivery.campaign_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let subject = |id: CampaignId| async move {
        match app.campaign_get(call, &id).await {
            Ok(campaign) => Ok(Some((id, app.campaign_subject_to(call, &campaign, user).await?))),
            Err(AppError::CampaignUnknown) => Ok(None),
            Err(other) => Err(other),
        }
    };
    Ok(try_join_all(ids.into_iter().cloned().map(subject)).await?.into_iter().flatten().collect())
}

fn ms(stamp: Option<&str>) -> i64 {
    stamp.and_then(|text| text.parse::<Timestamp>().ok()).map_or(0, Timestamp::as_millisecond)
}

fn of_attendance(one: &Attendance, event: Option<Event>) -> Entry {
    let here = one.attended == HERE;
    let detail = if here || one.attended == REGISTERED { String::new() } else { format!("Noted: {}", one.attended) };
    Entry {
        at: ms(one.updated_at.as_deref().filter(|_| here).or(one.created_at.as_deref())),
        zone: None,
        icon: "event",
        tone: "",
        verb: if here { "Checked in at" } else { "On the list of" },
        href: format!("/app/events/{}", one.event_id),
        title: event.map_or_else(|| "an event that is gone".to_owned(), |event| event.title),
        detail,
    }
}

fn of_hosted(app: &App, event: Event) -> Entry {
    let starts = event.starts(&app.settings.default_zone);
    let places = match event.max_capacity {
        Some(capacity) => format!("{} of {capacity} places taken", event.attendee_count),
        None if event.attendee_count == 1 => "1 attendee".to_owned(),
        None => format!("{} attendees", event.attendee_count),
    };
    let verb = if starts <= app.now() { "Hosted" } else { "Hosts" };
    Entry {
        at: starts.as_millisecond(),
        zone: Some(zone_name(&event, &app.settings.default_zone)),
        icon: "people",
        tone: "",
        verb,
        href: format!("/app/events/{}", event.id),
        title: event.title,
        detail: places,
    }
}

fn of_delivery(delivery: Delivery, subjects: &HashMap<CampaignId, String>) -> Entry {
    let (verb, icon, tone) = match delivery.status {
        DeliveryState::Pending | DeliveryState::Sending => ("Waiting for", "clock", ""),
        DeliveryState::Sent => ("Got", "mail", ""),
        DeliveryState::Error => ("Refused", "error", "bad"),
        DeliveryState::Unknown => ("Unknown whether it arrived:", "warning", "warn"),
        DeliveryState::Suppressed | DeliveryState::Skipped => ("Left out of", "info", ""),
        DeliveryState::Cancelled => ("Cancelled before it was sent:", "close", ""),
        DeliveryState::Bounced => ("Came back:", "error", "bad"),
        DeliveryState::Complained => ("Reported as unwanted:", "warning", "bad"),
    };
    Entry {
        at: ms(delivery.sent_at.as_deref().or(Some(&delivery.created_at))),
        zone: None,
        icon,
        tone,
        verb,
        href: format!("/app/campaigns/{}", delivery.campaign_id),
        title: subjects.get(&delivery.campaign_id).cloned().unwrap_or_else(|| "a campaign that is gone".to_owned()),
        detail: delivery.error.unwrap_or_default(),
    }
}
