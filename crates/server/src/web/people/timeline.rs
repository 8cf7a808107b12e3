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

use crate::http::QueryReader;
use crate::web::href;

/// Rows of each kind that one page shows; where there are more, it leads to them.
const ROWS: u32 = 50;
/// In an address: all of this kind were shown before.
const ENDED: &str = "-";
/// Names of the places in addresses.
const PLACES: [&str; 3] = ["attended", "hosted", "mailed"];

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
    /// What of an address leads to older rows; none where everything is shown.
    pub older: Option<String>,
    /// These are older rows.
    pub later: bool,
    pub mails: u64,
    /// Hosted events cannot be looked up right now.
    pub down: bool,
}

/// Where each kind of row goes on, by its cursor.
#[derive(Debug, Clone, Default)]
pub struct Places([Option<String>; 3]);

impl Places {
    pub fn read(query: &QueryReader) -> Self {
        Self(PLACES.map(|name| query.raw(name).filter(|cursor| !cursor.is_empty()).map(str::to_owned)))
    }

    pub fn is_first(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The page of this kind; none where all of it was shown before.
    fn page(&self, kind: usize) -> Option<PageRequest> {
        let position = match self.0.get(kind).and_then(Option::as_deref) {
            Some(ENDED) => return None,
            Some(cursor) => Position::Cursor(cursor.to_owned()),
            None => Position::Number(1),
        };
        Some(PageRequest { position, size: ROWS })
    }

    /// What of an address leads on; none where nothing does. `next` is of each kind.
    fn older(show: &str, next: &[Option<String>; 3]) -> Option<String> {
        if next.iter().all(Option::is_none) {
            return None;
        }
        let pairs: Vec<(&str, &str)> = PLACES.into_iter().zip(next).map(|(name, cursor)| (name, cursor.as_deref().unwrap_or(ENDED))).collect();
        Some(href::with_query("", [("show", show)].into_iter().chain(pairs)))
    }
}

/// `show` is `all`, `events` or `mails`.
pub async fn timeline(app: &App, call: &Call, user: &User, show: &str, from: &Places) -> Result<Timeline, AppError> {
    let (events, mails) = (show != "mails", show != "events");
    let mut next: [Option<String>; 3] = Default::default();
    let [attended_next, hosted_next, mailed_next] = &mut next;
    let mut line = Timeline { later: !from.is_first(), ..Timeline::default() };
    if let Some(page) = from.page(0).filter(|_| events) {
        let attended = app.attendance_of_user(call, &user.id, page).await?;
        *attended_next = attended.next;
        let titles = try_join_all(attended.items.iter().map(|one| event(app, call, &one.event_id))).await?;
        line.entries.extend(attended.items.into_iter().zip(titles).map(|(one, event)| of_attendance(&one, event)));
    }
    if let Some(page) = from.page(1).filter(|_| events) {
        let host = EventList {
            page,
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
                *hosted_next = hosted.next;
                line.entries.extend(hosted.items.into_iter().map(|event| of_hosted(app, event)));
            }
            // The rest of the page does not need the index.
            Err(AppError::Search(_)) => line.down = true,
            Err(other) => return Err(other),
        }
    }
    // How many there are is said whatever is shown of them.
    let wanted = from.page(2).filter(|_| mails);
    let mails = wanted.is_some();
    let sent = match app.deliveries_of_user(call, &user.id, wanted.unwrap_or(PageRequest { position: Position::Number(1), size: ROWS })).await {
        Ok(page) => page,
        Err(AppError::NothingThere(_)) => Page { items: Vec::new(), total: 0, page: 1, size: ROWS, next: None },
        Err(other) => return Err(other),
    };
    line.mails = sent.total;
    if mails {
        mailed_next.clone_from(&sent.next);
        let subjects = subjects(app, call, user, &sent.items).await?;
        line.entries.extend(sent.items.into_iter().map(|delivery| of_delivery(delivery, &subjects)));
    }
    line.entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    line.older = Places::older(show, &next);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_rows_go_on_where_each_kind_has_some() {
        assert_eq!(Places::older("all", &[None, None, None]), None);
        assert_eq!(Places::older("all", &[Some("a".to_owned()), None, Some("c".to_owned())]).as_deref(), Some("?show=all&attended=a&hosted=-&mailed=c"));
        let places = Places([Some("a".to_owned()), Some(ENDED.to_owned()), None]);
        assert_eq!(places.page(0).map(|page| page.position), Some(Position::Cursor("a".to_owned())));
        assert_eq!(places.page(1), None);
        assert_eq!(places.page(2).map(|page| page.position), Some(Position::Number(1)));
    }
}
